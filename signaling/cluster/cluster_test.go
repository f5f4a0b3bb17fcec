package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/storetest"
)

// three lets three nodes into a cluster of three servers.
func three(t *testing.T) (*natsServers, []*Cluster) {
	t.Helper()
	n := startNATS(t, 3)
	nodes, errs := make([]*Cluster, 3), make([]error, 3)
	var opening sync.WaitGroup
	for i := range nodes { // at once, as after a power cut
		opening.Go(func() { nodes[i], errs[i] = Open(t.Context(), n.fill(i, Options{})) })
	}
	opening.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, c := range nodes {
		t.Cleanup(c.Close)
	}
	return n, nodes
}

// watch hears what happens to rooms until the test ends.
func watch(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	go func() { watching <- c.Watch(ctx, func(_, _ signaling.Room) {}) }()
	t.Cleanup(func() {
		end()
		if err := <-watching; err != nil {
			t.Error(err)
		}
	})
}

func TestRoomsInNATSAreAStore(t *testing.T) {
	c := startNATS(t, 1).open(0, Options{})
	t.Cleanup(c.Close)
	watch(t, c)
	storetest.Run(t, c)
}

func TestRoomsThatThreeNodesShareAreAStore(t *testing.T) {
	_, nodes := three(t)
	for _, c := range nodes {
		watch(t, c)
	}
	storetest.Run(t, nodes[0], nodes[1], nodes[2])
}

func TestWithoutAMajorityNothingIsChangedAndNobodyGuesses(t *testing.T) {
	n, nodes := three(t)
	sit := func(r *signaling.Room) error {
		r.Seats = append(r.Seats, signaling.Seat{ID: fmt.Sprint("m_", len(r.Seats))})
		return nil
	}
	if _, _, err := nodes[0].Update(t.Context(), "tea", sit); err != nil {
		t.Fatal(err)
	}
	n.stop(1)
	n.stop(2)
	began := time.Now()
	var err error
	for range 3 { // the first may have been on its way to a server that is gone
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if _, _, err = nodes[0].Update(ctx, "tea", sit); !errors.Is(err, signaling.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		cancel()
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("three answers took %v", took)
	}
	within(t, "a node that is cut off knows nobody", func() bool {
		_, err := nodes[0].Nodes(t.Context())
		return errors.Is(err, signaling.ErrUnavailable)
	})

	n.start(1)
	n.start(2)
	within(t, "the room is there again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, after, err := nodes[0].Update(ctx, "tea", sit)
		return err == nil && len(after.Seats) >= 2
	})
	within(t, "the nodes see each other again", func() bool {
		live, err := nodes[0].Nodes(t.Context())
		return err == nil && len(live) == 3
	})
}

func TestANodeThatIsGoneIsMissed(t *testing.T) {
	n := startNATS(t, 1)
	ann, bo := n.open(0, Options{Lease: func() Lease { return Lease{URLs: []string{"turn:192.0.2.1:3478"}, Load: 7} }}), n.open(0, Options{})
	t.Cleanup(ann.Close)
	sees := func(want ...string) func() bool {
		return func() bool {
			live, err := ann.Nodes(t.Context())
			slices.Sort(live)
			slices.Sort(want)
			return err == nil && slices.Equal(live, want)
		}
	}
	within(t, "they see each other", sees(ann.Node(), bo.Node()))
	within(t, "and what they say", func() bool {
		others := bo.Others()
		return len(others) == 1 && others[0].Load == 7 && slices.Equal(others[0].URLs, []string{"turn:192.0.2.1:3478"})
	})
	bo.Close()
	began := time.Now()
	within(t, "who says so is gone at once", sees(ann.Node()))
	if took := time.Since(began); took > ann.opts.leaseTime/2 {
		t.Errorf("that took %v", took)
	}

	dead := n.open(0, Options{})
	within(t, "a third is seen", sees(ann.Node(), dead.Node()))
	dead.end() // it renews its lease no more, and says nothing
	within(t, "who says nothing is gone with its lease", sees(ann.Node()))
	dead.conn.Close()
	dead.parts.Wait()
}

func TestANodeThatDrainsIsRecommendedToNobody(t *testing.T) {
	n := startNATS(t, 1)
	draining := false
	ann := n.open(0, Options{})
	bo := n.open(0, Options{Lease: func() Lease { return Lease{Draining: draining} }})
	t.Cleanup(ann.Close)
	t.Cleanup(bo.Close)
	within(t, "it is there", func() bool { return len(ann.Others()) == 1 })
	bo.end()
	bo.parts.Wait() // nothing else renews the lease now
	draining = true
	if err := bo.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, "it drains", func() bool { return len(ann.Others()) == 0 })
	if live := ann.alive(); len(live) != 2 {
		t.Errorf("%d nodes live: one that drains has members", len(live))
	}
}

func TestCallsArriveInOrderAndAreAnswered(t *testing.T) {
	_, nodes := three(t)
	ctx, end := context.WithCancel(t.Context())
	var mu sync.Mutex
	var heard []string
	served := make(chan error, 1)
	go func() {
		served <- nodes[1].Serve(ctx, func(_ context.Context, request []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, string(request))
			return []byte(strings.ToUpper(string(request)))
		})
	}()
	within(t, "the node serves", func() bool {
		_, err := nodes[0].Call(t.Context(), nodes[1].Node(), []byte("hello"))
		return err == nil
	})
	mu.Lock()
	heard = nil
	mu.Unlock()
	var want []string
	for i := range 200 {
		text := fmt.Sprint("m", i)
		want = append(want, text)
		if reply, err := nodes[0].Call(t.Context(), nodes[1].Node(), []byte(text)); err != nil || string(reply) != strings.ToUpper(text) {
			t.Fatalf("got %q, %v", reply, err)
		}
	}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %v", heard)
	}
	if _, err := nodes[0].Call(t.Context(), "nobody", nil); !errors.Is(err, signaling.ErrNoNode) {
		t.Errorf("got %v", err)
	}
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
	within(t, "one that serves no more is not there", func() bool { // once its server has told the others
		_, err := nodes[0].Call(t.Context(), nodes[1].Node(), nil)
		return errors.Is(err, signaling.ErrNoNode)
	})
}

func TestAnAnswerThatNATSDoesNotCarryIsSaidAtOnce(t *testing.T) {
	n := startNATS(t, 1)
	ann, bo := n.open(0, Options{}), n.open(0, Options{})
	t.Cleanup(ann.Close)
	t.Cleanup(bo.Close)
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- bo.Serve(ctx, func(_ context.Context, request []byte) []byte {
			size, _ := strconv.Atoi(string(request))
			return make([]byte, size)
		})
	}()
	within(t, "the node serves", func() bool { _, err := ann.Call(t.Context(), bo.Node(), nil); return err == nil })
	limit := int(ann.conn.MaxPayload())
	if reply, err := ann.Call(t.Context(), bo.Node(), []byte(strconv.Itoa(limit))); err != nil || len(reply) != limit {
		t.Errorf("got %d bytes, %v", len(reply), err)
	}
	began := time.Now()
	_, err := ann.Call(t.Context(), bo.Node(), []byte(strconv.Itoa(limit+1)))
	if !errors.Is(err, signaling.ErrUnavailable) || !strings.Contains(err.Error(), "max_payload") || time.Since(began) > callTimeout/2 {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	if _, err := ann.Call(t.Context(), bo.Node(), make([]byte, limit+1)); !errors.Is(err, signaling.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestANodeThatHasJustComeBackCallsNobodyGone(t *testing.T) {
	n := startNATS(t, 1)
	ann, bo := n.open(0, Options{}), n.open(0, Options{})
	t.Cleanup(ann.Close)
	t.Cleanup(bo.Close)
	if _, err := ann.Nodes(t.Context()); !errors.Is(err, signaling.ErrUnavailable) {
		t.Errorf("a node that has just come: %v", err)
	}
	both := func() bool { live, err := ann.Nodes(t.Context()); return err == nil && len(live) == 2 }
	within(t, "they see each other", both)
	n.stop(0) // and with it go all leases
	within(t, "nobody is known without NATS", func() bool {
		_, err := ann.Nodes(t.Context())
		return errors.Is(err, signaling.ErrUnavailable)
	})
	n.start(0)
	within(t, "they see each other again, and never only themselves", func() bool {
		live, err := ann.Nodes(t.Context())
		if err == nil && len(live) != 2 {
			t.Fatalf("only %v live", live)
		}
		return err == nil
	})
}

func TestAWatchGoesOnWhenTheServerThatToldItIsGone(t *testing.T) {
	n, nodes := three(t)
	var last atomic.Uint64
	ctx, end := context.WithCancel(t.Context())
	watching := make(chan error, 1)
	go func() {
		watching <- nodes[0].Watch(ctx, func(_, after signaling.Room) { last.Store(after.Arrived) })
	}()
	count := func(by *Cluster) (arrived uint64) {
		t.Helper()
		within(t, "a change", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, after, err := by.Update(ctx, "tea", func(r *signaling.Room) error {
				r.Arrived++
				r.Seats = []signaling.Seat{{ID: "m_1"}}
				return nil
			})
			arrived = after.Arrived
			return err == nil
		})
		return arrived
	}
	within(t, "the rooms are known", func() bool { _, err := nodes[0].Rooms(t.Context()); return err == nil })
	for i := range 3 { // one after the other, also the one that leads
		arrived := count(nodes[(i+1)%3])
		within(t, "a change is heard", func() bool { return last.Load() == arrived })
		n.stop(i)
		arrived = count(nodes[(i+1)%3])
		within(t, "a change is heard without that server", func() bool { return last.Load() == arrived })
		n.start(i)
		n.settle()
	}
	end()
	if err := <-watching; err != nil {
		t.Error(err)
	}
}

func TestAWatchThatTellsNothingIsNoticed(t *testing.T) {
	for _, row := range []struct {
		what           string
		heard, written []uint64 // when it begins, and at each check
		stuck          bool     // at the last
	}{
		{"an empty bucket", []uint64{0, 0, 0}, []uint64{0, 0, 0}, false},
		{"what was there is forgotten", []uint64{3, 3, 3}, []uint64{9, 9, 9}, false},
		{"all is told", []uint64{5, 7, 9}, []uint64{5, 7, 9}, false},
		{"it lags behind", []uint64{5, 5, 7}, []uint64{5, 7, 9}, false},
		{"nothing is told", []uint64{5, 5, 5}, []uint64{5, 7, 7}, true},
		{"nothing is told, much is written", []uint64{5, 6, 6}, []uint64{5, 7, 9}, true},
		{"the only change is not told", []uint64{0, 5, 5}, []uint64{5, 6, 6}, true},
		{"what was there is told late", []uint64{0, 0, 5}, []uint64{5, 5, 5}, false},
	} {
		p := progress{first: row.written[0], written: row.written[0]}
		var stuck bool
		for i, written := range row.written[1:] {
			p.heard = row.heard[i+1]
			stuck = p.stuck(written)
		}
		if stuck != row.stuck {
			t.Errorf("%s: stuck %t", row.what, stuck)
		}
	}
}

func TestWatchTellsWhatHappenedAlsoWhileTheConnectionWasLost(t *testing.T) {
	n := startNATS(t, 1)
	c, other := n.open(0, Options{}), n.open(0, Options{})
	t.Cleanup(c.Close)
	t.Cleanup(other.Close)
	seat := func(r *signaling.Room) error {
		r.Seats = append(r.Seats, signaling.Seat{ID: "m_1"})
		return nil
	}
	change := func(name string, by func(*signaling.Room) error) {
		t.Helper()
		within(t, "changing "+name, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, _, err := other.Update(ctx, name, by)
			return err == nil
		})
	}
	change("before", seat)

	var mu sync.Mutex
	now, was := map[string]int{}, map[string]int{}
	watching := make(chan error, 1)
	ctx, end := context.WithCancel(t.Context())
	go func() {
		watching <- c.Watch(ctx, func(before, after signaling.Room) {
			mu.Lock()
			defer mu.Unlock()
			was[after.Name], now[after.Name] = len(before.Seats), len(after.Seats)
		})
	}()
	seats := func(name string, before, after int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return was[name] == before && now[name] == after
		}
	}
	within(t, "the rooms are known", func() bool { rooms, err := c.Rooms(t.Context()); return err == nil && len(rooms) == 1 })
	change("tea", seat)
	within(t, "a new room", seats("tea", 0, 1))
	change("before", seat)
	within(t, "a second seat", seats("before", 1, 2))

	n.stop(0)
	n.start(0)
	change("tea", func(r *signaling.Room) error { r.Seats = nil; return nil })
	within(t, "an end", seats("tea", 1, 0))
	change("coffee", seat)
	within(t, "a beginning", seats("coffee", 0, 1))
	end()
	if err := <-watching; err != nil {
		t.Error(err)
	}
}

func TestANodeThatCannotGetInSaysWhyAndNoSecret(t *testing.T) {
	n := startNATS(t, 1, func(o *server.Options) { o.Username, o.Password = "duet", "right" })
	at := strings.TrimPrefix(n.url(0), "nats://")
	for _, row := range []struct {
		opts Options
		want string
	}{
		{Options{URL: "nats://ann:secret@127.0.0.1:1"}, "connecting to NATS at nats://127.0.0.1:1: "},
		{Options{URL: "nats://duet:secret@" + at}, "connecting to NATS at nats://" + at + ": nats: Authorization Violation"},
		{Options{URL: "nats://" + at, User: "duet", Password: "secret"}, "Authorization Violation"},
		{Options{URL: "nats://" + at, User: "duet", Password: "right", Replicas: 3}, "on as many servers as replicas says"},
		{Options{URL: "nats://" + at, Credentials: "/secret/no.creds"}, "no.creds"},
	} {
		row.opts.Log = slog.New(slog.DiscardHandler)
		c, err := Open(t.Context(), row.opts)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(strings.ReplaceAll(err.Error(), "/secret/", ""), "secret") {
			t.Errorf("got %v, want %q in it", err, row.want)
		}
	}
	n.open(0, Options{User: "duet", Password: "right"}).Close()
}

func TestTheCertificateOfNATSIsChecked(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startNATS(t, 1, func(o *server.Options) {
		o.TLS, o.TLSTimeout = true, patience.Seconds()
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	})
	url := strings.Replace(n.url(0), "nats:", "tls:", 1)
	if _, err := Open(t.Context(), Options{URL: url, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its CA: %v", err)
	}
	n.open(0, Options{URL: url, CA: ca}).Close()
}

func TestANATSThatHasLostEverythingServesAgain(t *testing.T) {
	n := startNATS(t, 1)
	c := n.open(0, Options{})
	t.Cleanup(c.Close)
	sit := func(r *signaling.Room) error {
		r.Seats = append(r.Seats, signaling.Seat{ID: "m_1"})
		return nil
	}
	_, was, err := c.Update(t.Context(), "tea", sit)
	if err != nil {
		t.Fatal(err)
	}
	n.stop(0)
	n.options[0].StoreDir = t.TempDir()
	n.start(0)
	within(t, "a room is made anew, and its revision has grown", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, is, err := c.Update(ctx, "tea", sit)
		if err == nil && (len(is.Seats) != 1 || is.Revision <= was.Revision) {
			t.Fatalf("%+v follows %+v", is, was)
		}
		return err == nil
	})
}

// What is in the buckets is whatever somebody with access to NATS wrote there.
func FuzzWhatIsInNATS(f *testing.F) {
	f.Add("dGVh", []byte(`{"born":"b","capacity":2,"arrived":1,"seats":[{"id":"m_1","order":1,"node":"n","keys":{"generation":0,"secret":"AA=="}}]}`))
	f.Add("*", []byte(`{"node":"*","urls":["turn:192.0.2.1:3478"],"load":3}`))
	f.Add("", []byte(`{"seats":null}`))
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		if lease, ok := decodeLease(name, value); ok && lease.Node != name {
			t.Errorf("the lease of %q says %q", name, lease.Node)
		}
		if text, err := nameOf(name); err == nil && key(text) != name && name != "" {
			if again, _ := nameOf(key(text)); again != text {
				t.Errorf("%q is %q, and that %q", name, text, again)
			}
		}
		room, err := decode(name, value, 7)
		if err != nil {
			return
		}
		if again, err := decode(name, encode(room), 7); err != nil || !reflect.DeepEqual(again, room) {
			t.Errorf("%+v is kept as %+v, %v", room, again, err)
		}
	})
}
