package signaling

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duetcall/duet/config"
)

// Half of a room stops reading while another member sends to it what it can. The other two
// do not notice.
func TestMembersWhoDoNotReadSlowNobodyDown(t *testing.T) {
	s, url := start(t, limited(func(l *config.Signaling) { l.Capacity, l.MessageRate, l.ByteRate = 6, 0, 0 }), Options{})
	var slow []*client
	for range 3 {
		c := dial(t, url)
		if err := c.ws.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		c.join("tea", "slow")
		slow = append(slow, c)
	}
	ann, bo, flooder := dial(t, url), dial(t, url), dial(t, url)
	for _, c := range []*client{ann, bo, flooder} {
		c.join("tea", "")
	}
	// Ann asks and Bo answers; what else they hear is passed over.
	next := func(c *client) Outbound {
		for {
			if got := c.next(); got.Type == TypeSignal {
				return got
			}
		}
	}
	roundTrip := func() time.Duration {
		began := time.Now()
		ann.send(`{"type":"signal","to":%q,"candidates":[null]}`, bo.id)
		next(bo)
		bo.send(`{"type":"signal","to":%q,"candidates":[null]}`, ann.id)
		next(ann)
		return time.Since(began)
	}
	var quiet, flooded []time.Duration
	for range 300 {
		quiet = append(quiet, roundTrip())
	}

	var flood sync.WaitGroup
	flood.Go(func() {
		padding := strings.Repeat("x", 60<<10)
		for s.Stats().SlowReaders < uint64(len(slow)) {
			for _, c := range slow {
				if err := flooder.ws.WriteMessage(1, fmt.Appendf(nil, `{"type":"signal","to":%q,"description":{"type":"offer","sdp":%q}}`, c.id, padding)); err != nil {
					t.Errorf("the flooder: %v", err)
					return
				}
			}
		}
	})
	done := make(chan struct{})
	go func() {
		flood.Wait()
		close(done)
	}()
	for over := false; !over; {
		flooded = append(flooded, roundTrip())
		select {
		case <-done:
			over = true
		default:
		}
	}
	slices.Sort(quiet)
	slices.Sort(flooded)
	worst := flooded[len(flooded)-1]
	t.Logf("median and worst of %d round trips %v, %v; with members who do not read, of %d: %v, %v",
		len(quiet), quiet[len(quiet)/2], quiet[len(quiet)-1], len(flooded), flooded[len(flooded)/2], worst)
	if worst > writeTimeout/2 { // a write to who does not read lasts twice as long
		t.Errorf("a round trip took %v", worst)
	}
	within(t, "those who do not read are away", func() bool { return s.Stats().Away == int64(len(slow)) })
}

// Whatever a member sends, and whatever it knows of another room, reaches nobody there.
func TestNothingCrossesFromRoomToRoom(t *testing.T) {
	const rooms, rounds = 25, 8
	s, url := start(t, limited(func(l *config.Signaling) { l.MessageRate = 0 }), Options{})
	type seat struct {
		*client
		session *SessionInfo
	}
	var hosts, guests []seat
	for n := range rooms {
		a, joinedA := seated(t, url, fmt.Sprint("room ", n), "host")
		b, joinedB := seated(t, url, fmt.Sprint("room ", n), "guest")
		a.expectEvent(EventJoined, b.id)
		hosts, guests = append(hosts, seat{a, joinedA.Session}), append(guests, seat{b, joinedB.Session})
	}
	sent := 0
	for n, me := range hosts {
		for round := range rounds {
			for m, victim := range guests {
				if m == n {
					continue
				}
				for _, message := range []string{
					`{"type":"signal","to":"%[1]s","from":"%[2]s","room":"room %[3]d","description":{"type":"offer","sdp":"canary"}}`,
					`{"type":"signal","to":"%[1]s","candidates":[{"candidate":"canary"}],"session":"%[2]s"}`,
					`{"type":"kick","to":"%[1]s","room":"room %[3]d"}`,
					`{"type":"admit","id":"%[1]s","to":"%[2]s"}`,
					`{"type":"refuse","id":"%[1]s"}`,
				}[round%5 : round%5+1] {
					me.send(message, victim.id, hosts[m].id, m)
					sent++
					if got := me.expect(TypeError); got.Code != CodeMemberNotFound {
						t.Fatalf("%s: %+v", message, got)
					}
				}
			}
		}
		// Their ids, and our own key, open none of their sessions.
		victim := guests[(n+1)%rooms]
		for _, first := range []string{
			fmt.Sprintf(`{"type":"resume","session":%q,"key":%q,"seq":1}`, victim.id, me.session.Key),
			fmt.Sprintf(`{"type":"resume","session":%q,"key":"","seq":1}`, victim.id),
		} {
			thief := dial(t, url)
			thief.send("%s", first)
			if got := thief.next(); got.Code != CodeSessionExpired && got.Code != CodeBadRequest {
				t.Errorf("%s: %+v", first, got)
			}
		}
		thief := dial(t, url)
		thief.send(`{"type":"join","room":"room %d","old_session":%q,"old_key":%q}`, (n+1)%rooms, victim.id, me.session.Key)
		if got := thief.next(); got.Code != CodeRoomFull {
			t.Errorf("with another room's key: %+v", got)
		}
	}
	// In its own room each is heard, and that is the first thing anybody hears.
	for n := range hosts {
		hosts[n].send(`{"type":"signal","to":%q,"candidates":[{"candidate":"own %d"}]}`, guests[n].id, n)
		if got := guests[n].expect(TypeSignal); got.From != hosts[n].id || got.Seq != 2 || string(got.Candidates) != fmt.Sprintf(`[{"candidate":"own %d"}]`, n) {
			t.Errorf("room %d hears %+v", n, got)
		}
		hosts[n].quiet()
		guests[n].quiet()
	}
	if got := s.Stats(); got.Signals != rooms || got.Members != 2*rooms {
		t.Errorf("%d messages across rooms; stats: %+v", sent, got)
	}
}

// A socket that is over hears no more, even what was queued for it; what its session is sent goes
// to the next socket alone.
func TestAnOldSocketHearsNothingOfTheNewOne(t *testing.T) {
	_, url := start(t, graceful(), Options{})
	old, joined := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	old.expectEvent(EventJoined, bo.id)
	ann, _ := old.resume(t, url, joined.Session, 2, "")
	bo.send(`{"type":"signal","to":%q,"candidates":[{"candidate":"canary"}]}`, ann.id)
	ann.expect(TypeSignal)
	for {
		_ = old.ws.SetReadDeadline(time.Now().Add(patience))
		_, got, err := old.ws.ReadMessage()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the old socket stays open")
		}
		if err != nil {
			return
		}
		var out Outbound
		if err := json.Unmarshal(got, &out); err != nil || out.Type == TypeSignal {
			t.Errorf("the old socket hears %s, %v", got, err)
		}
	}
}
