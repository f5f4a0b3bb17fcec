package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// grace is how long members may be away in these tests.
const grace = 4 * time.Second

// node is one server of a service, whole but for the relay.
type node struct {
	cluster   *Cluster
	signaling *signaling.Server
	http      *httptest.Server

	mu   sync.Mutex
	left map[string]bool // of whom the relay was told
	dead bool
}

// service is three nodes over three NATS servers.
func service(t *testing.T) (*natsServers, []*node) {
	t.Helper()
	n, clusters := three(t)
	return n, serveAll(t, clusters)
}

// serveAll has nodes serve, and waits until they know each other.
func serveAll(t *testing.T, clusters []*Cluster) (nodes []*node) {
	t.Helper()
	for _, c := range clusters {
		nodes = append(nodes, serve(t, c))
	}
	within(t, "the nodes know each other and serve", func() bool {
		for _, from := range clusters {
			if live, err := from.Nodes(t.Context()); err != nil || len(live) != len(clusters) {
				return false
			}
			for _, to := range clusters {
				if _, err := from.Call(t.Context(), to.Node(), []byte("{}")); err != nil {
					return false
				}
			}
			if _, err := from.Rooms(t.Context()); err != nil {
				return false
			}
		}
		return true
	})
	return nodes
}

func serve(t *testing.T, c *Cluster) *node {
	t.Helper()
	cfg := config.Default().Signaling
	cfg.Grace = config.Duration(grace)
	cfg.ConnectRate, cfg.SocketsPerAddress = 0, 0 // all of the test is one address
	n := &node{cluster: c, left: make(map[string]bool)}
	n.signaling = signaling.New(cfg, signaling.Options{
		Cluster: c, SessionKey: make([]byte, signaling.KeySize), Log: slog.New(slog.DiscardHandler),
		Left: func(member string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.left[member] = true
		},
	})
	n.http = httptest.NewServer(n.signaling)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := n.signaling.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
		n.http.Close()
	})
	return n
}

// kill ends a node as the loss of its machine would: nobody hears a word.
func (n *node) kill() {
	n.dead = true
	n.cluster.end()
	n.cluster.conn.Close()
	n.http.Listener.Close()
	n.http.CloseClientConnections()
}

func (n *node) hasLeft(member string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.left[member]
}

// client is a member's side of a WebSocket.
type client struct {
	t    *testing.T
	ws   *websocket.Conn
	told chan signaling.Outbound
	end  error // of the socket, once told is closed

	id, key string
	seq     uint64 // of the last message that was taken from told
}

// ws is where the node's clients connect.
func (n *node) ws() string { return "ws" + strings.TrimPrefix(n.http.URL, "http") }

var dialer = websocket.Dialer{Subprotocols: []string{signaling.Protocol}, HandshakeTimeout: patience}

// dial connects to a node.
func dial(t *testing.T, n *node) *client {
	t.Helper()
	ws, resp, err := dialer.DialContext(t.Context(), n.ws(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	c := &client{t: t, ws: ws, told: make(chan signaling.Outbound, 1000)}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(c.told)
		for {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				c.end = err
				return
			}
			var out signaling.Outbound
			if err := json.Unmarshal(frame, &out); err != nil {
				t.Errorf("%s: %v", frame, err)
			}
			c.told <- out
		}
	})
	t.Cleanup(func() {
		ws.Close()
		reading.Wait()
	})
	return c
}

// fields are those of a message that a client sends.
type fields map[string]any

func (c *client) send(kind signaling.Type, in fields) {
	c.t.Helper()
	message := fields{"type": kind}
	maps.Copy(message, in)
	frame, err := json.Marshal(message)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ws.WriteMessage(websocket.TextMessage, frame); err != nil {
		c.t.Fatalf("sending %s: %v", kind, err)
	}
}

// next is the next message.
func (c *client) next(what string) signaling.Outbound {
	c.t.Helper()
	select {
	case out, open := <-c.told:
		if !open {
			c.t.Fatalf("instead of %s the socket ended: %v", what, c.end)
		}
		if out.Seq != 0 && out.Type != signaling.TypeResumed {
			if out.Seq != c.seq+1 && out.Type != signaling.TypeJoined {
				c.t.Errorf("%s has seq %d after %d", out.Type, out.Seq, c.seq)
			}
			c.seq = out.Seq
		}
		if out.Session != nil {
			c.id, c.key = out.Session.ID, out.Session.Key
		}
		return out
	case <-time.After(patience):
		c.t.Fatalf("not in time: %s", what)
	}
	panic("not reached")
}

// expect is the next message, which must be of that type.
func (c *client) expect(kind signaling.Type) signaling.Outbound {
	c.t.Helper()
	out := c.next(string(kind))
	if out.Type != kind {
		c.t.Fatalf("got %s instead of %s: %+v", out.Type, kind, out)
	}
	return out
}

// member is the next message, which must tell that of a member.
func (c *client) member(event signaling.Event, id string) signaling.Outbound {
	c.t.Helper()
	out := c.expect(signaling.TypeMember)
	if out.Event != event || out.Member.ID != id {
		c.t.Fatalf("got %s of %s instead of %s of %s", out.Event, out.Member.ID, event, id)
	}
	return out
}

// closed is the code that the socket is closed with, and what it was told before.
func (c *client) closed() (code int, last signaling.Outbound) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case out, open := <-c.told:
			if open {
				last = out
				continue
			}
			if closed, ok := errors.AsType[*websocket.CloseError](c.end); ok {
				return closed.Code, last
			}
			return 0, last
		case <-timeout:
			c.t.Fatal("the socket stays open")
		}
	}
}

// join gives somebody a seat.
func join(t *testing.T, n *node, room, name string) (*client, signaling.Outbound) {
	t.Helper()
	c := dial(t, n)
	c.send(signaling.TypeJoin, fields{"room": room, "name": name})
	return c, c.expect(signaling.TypeJoined)
}

// pair are two in a room, on two nodes.
func pair(t *testing.T, first, second *node, room string) (ann, bo *client) {
	t.Helper()
	ann, _ = join(t, first, room, "Ann")
	bo, joined := join(t, second, room, "Bo")
	if members := *joined.Members; len(members) != 1 || members[0].ID != ann.id || members[0].Polite {
		t.Fatalf("Bo is told of %+v", members)
	}
	if told := ann.member(signaling.EventJoined, bo.id); !told.Member.Polite {
		t.Fatalf("Ann is told of %+v", told.Member)
	}
	return ann, bo
}

func (c *client) signal(to, text string) {
	c.t.Helper()
	c.send(signaling.TypeSignal, fields{"to": to, "candidates": []fields{{"candidate": text}}})
}

// hears is the next message, which must be that signal.
func (c *client) hears(from, text string) {
	c.t.Helper()
	out := c.expect(signaling.TypeSignal)
	if out.From != from || !strings.Contains(string(out.Candidates), `"`+text+`"`) {
		c.t.Fatalf("got %s from %s instead of %q", out.Candidates, out.From, text)
	}
}

// resume takes a session to a node.
func resume(t *testing.T, n *node, was *client) (*client, signaling.Outbound) {
	t.Helper()
	c := dial(t, n)
	c.seq = was.seq
	c.send(signaling.TypeResume, fields{"session": was.id, "key": was.key, "seq": was.seq, "attempt": fmt.Sprint(time.Now().UnixNano())})
	out := c.expect(signaling.TypeResumed)
	if c.id != was.id {
		t.Fatalf("%s comes back as %s", was.id, c.id)
	}
	c.seq = out.Seq
	return c, out
}

func TestSignalsBetweenNodesArriveInOrder(t *testing.T) {
	_, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	const count = 150
	for i := range count {
		ann.signal(bo.id, fmt.Sprint("a", i))
		bo.signal(ann.id, fmt.Sprint("b", i))
	}
	for i := range count {
		bo.hears(ann.id, fmt.Sprint("a", i))
		ann.hears(bo.id, fmt.Sprint("b", i))
	}
	bo.send(signaling.TypeLeave, nil)
	if out := ann.member(signaling.EventLeft, bo.id); out.Reason != signaling.ReasonLeft {
		t.Errorf("left for %s", out.Reason)
	}
	for i, n := range nodes {
		within(t, fmt.Sprintf("node %d ends the relays of who left", i), func() bool { return n.hasLeft(bo.id) })
	}
	if nodes[0].hasLeft(ann.id) {
		t.Error("who is still here has lost its relays")
	}
}

func TestOf64WhoRaceOnThreeNodesForTwoSeatsExactlyTwoBecomeMembers(t *testing.T) {
	_, nodes := service(t)
	for round := range 5 {
		var clients []*client
		for i := range 64 {
			clients = append(clients, dial(t, nodes[i%3]))
		}
		for _, c := range clients {
			c.send(signaling.TypeJoin, fields{"room": fmt.Sprint("race ", round)})
		}
		var members []*client
		for _, c := range clients {
			switch out := c.next("an answer"); {
			case out.Type == signaling.TypeJoined:
				members = append(members, c)
			case out.Type != signaling.TypeError || out.Code != signaling.CodeRoomFull:
				t.Errorf("round %d: %+v", round, out)
			}
		}
		if len(members) != 2 {
			t.Fatalf("round %d: %d members", round, len(members))
		}
		members[0].signal(members[1].id, "hello")
		out := members[1].next("a signal")
		if out.Type == signaling.TypeMember { // the one who came first is told of the other
			out = members[1].next("a signal")
		}
		if out.Type != signaling.TypeSignal || out.From != members[0].id {
			t.Errorf("round %d: %+v", round, out)
		}
		for _, c := range clients {
			c.ws.Close()
		}
	}
}

func TestASessionGoesToAnotherNodeWithAllThatWasKept(t *testing.T) {
	_, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	bo.signal(ann.id, "heard")
	ann.hears(bo.id, "heard")
	for i := range 20 {
		bo.signal(ann.id, fmt.Sprint("missed ", i))
	}
	bo.send(signaling.TypePing, nil)
	bo.expect(signaling.TypePong) // all of it has arrived

	again, resumed := resume(t, nodes[2], ann)
	if *resumed.Lost || resumed.Restored {
		t.Errorf("lost %t, restored %t", *resumed.Lost, resumed.Restored)
	}
	if members := *resumed.Members; len(members) != 1 || members[0].ID != bo.id || !members[0].Polite || members[0].Away {
		t.Errorf("the others are %+v", members)
	}
	for i := range 20 {
		again.hears(bo.id, fmt.Sprint("missed ", i))
	}
	if code, _ := ann.closed(); code != 4409 {
		t.Errorf("the old socket is closed with %d", code)
	}
	for i := range 20 {
		again.signal(bo.id, fmt.Sprint("a", i))
		bo.signal(again.id, fmt.Sprint("b", i))
	}
	for i := range 20 { // and nothing else: it has not been away
		bo.hears(ann.id, fmt.Sprint("a", i))
		again.hears(bo.id, fmt.Sprint("b", i))
	}
	// And back, where it has been before.
	third, resumed := resume(t, nodes[0], again)
	if *resumed.Lost {
		t.Error("something is lost on the way back")
	}
	third.signal(bo.id, "back")
	bo.hears(ann.id, "back")
	if nodes[0].hasLeft(ann.id) || nodes[1].hasLeft(ann.id) || nodes[2].hasLeft(ann.id) {
		t.Error("who goes to another node loses its relays")
	}
}

func TestMembersOfANodeThatDiedAreBackInTheirCallOnAnother(t *testing.T) {
	_, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	nodes[0].kill()
	bo.signal(ann.id, "into the void")
	again, resumed := resume(t, nodes[2], ann)
	if !*resumed.Lost || resumed.Restored {
		t.Errorf("lost %t, restored %t", *resumed.Lost, resumed.Restored)
	}
	if members := *resumed.Members; len(members) != 1 || members[0].ID != bo.id || !members[0].Polite {
		t.Errorf("the others are %+v", members)
	}
	for _, c := range []*client{again, bo} {
		out := c.next("a resync")
		for out.Type == signaling.TypeMember && (out.Event == signaling.EventAway || out.Event == signaling.EventBack) || out.Code == signaling.CodeUnavailable {
			out = c.next("a resync") // the death was noticed before, or what was said into the void came back
		}
		if out.Type != signaling.TypeResync || out.Offerer != ann.id {
			t.Errorf("%s is told %+v", c.id, out)
		}
	}
	again.signal(bo.id, "offer")
	bo.hears(ann.id, "offer")
	bo.signal(ann.id, "answer")
	out := again.next("an answer")
	if strings.Contains(string(out.Candidates), "into the void") { // it has found her
		out = again.next("an answer")
	}
	if out.From != bo.id || !strings.Contains(string(out.Candidates), "answer") {
		t.Errorf("got %+v", out)
	}
}

func TestMembersOfANodeThatDiedAreAwayAndThenHaveLeft(t *testing.T) {
	_, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	nodes[0].kill()
	if out := bo.member(signaling.EventAway, ann.id); out.Reason != signaling.ReasonLost {
		t.Errorf("away for %s", out.Reason)
	}
	away := time.Now()
	bo.member(signaling.EventLeft, ann.id)
	if stayed := time.Since(away); stayed < grace {
		t.Errorf("its seat was kept for %v", stayed)
	}
	within(t, "its relays end", func() bool { return nodes[1].hasLeft(ann.id) && nodes[2].hasLeft(ann.id) })
	if out := bo.expect(signaling.TypeRoom); !out.Self.Host {
		t.Error("nobody is a host of the room")
	}
	cy, _ := join(t, nodes[2], "tea", "Cy")
	bo.member(signaling.EventJoined, cy.id)
}

func TestWithoutAMajorityNobodyJoinsAndNobodyIsLost(t *testing.T) {
	n, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	n.stop(1)
	n.stop(2)
	began := time.Now()
	for i, node := range nodes {
		c := dial(t, node)
		c.send(signaling.TypeJoin, fields{"room": "coffee"})
		if code, last := c.closed(); code != 1013 || last.Code != signaling.CodeUnavailable || last.RetryAfterMS == 0 {
			t.Errorf("node %d: closed with %d after %+v", i, code, last)
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("that took %v", took)
	}
	ann.signal(bo.id, "meanwhile") // what needs no agreement goes on
	bo.hears(ann.id, "meanwhile")
	n.start(1)
	n.start(2)
	within(t, "people join again", func() bool {
		c := dial(t, nodes[2])
		c.send(signaling.TypeJoin, fields{"room": "coffee"})
		return c.next("an answer").Type == signaling.TypeJoined
	})
	ann.signal(bo.id, "still here")
	for out := bo.next("a signal"); out.Type != signaling.TypeSignal; out = bo.next("a signal") {
		if out.Type == signaling.TypeMember && out.Event == signaling.EventLeft {
			t.Fatalf("%s has left", out.Member.ID)
		}
	}
}

func TestMembersOfANodeThatWasCutOffAreBackWithIt(t *testing.T) {
	n := startNATS(t, 1)
	wire := newWire(t, strings.TrimPrefix(n.url(0), "nats://"))
	cut, whole := n.open(0, Options{URL: "nats://" + wire.from}), n.open(0, Options{})
	t.Cleanup(cut.Close)
	t.Cleanup(whole.Close)
	nodes := serveAll(t, []*Cluster{cut, whole})
	ann, bo := pair(t, nodes[0], nodes[1], "tea")

	wire.cut()
	ann.signal(bo.id, "too early")
	if out := ann.expect(signaling.TypeError); out.Code != signaling.CodeUnavailable || out.Action != signaling.ActionRetry {
		t.Errorf("a signal to a node out of reach is answered with %+v", out)
	}
	bo.member(signaling.EventAway, ann.id)
	wire.mend()
	bo.member(signaling.EventBack, ann.id)
	within(t, "the nodes reach each other", func() bool {
		_, err := cut.Call(t.Context(), whole.Node(), []byte("{}"))
		return err == nil
	})
	ann.signal(bo.id, "here I am")
	for out := bo.next("a signal"); out.Type != signaling.TypeSignal; out = bo.next("a signal") {
		if out.Type != signaling.TypeMember || out.Event == signaling.EventLeft {
			t.Fatalf("%+v", out)
		}
	}

	wire.cut()
	for out := bo.next("the end"); out.Event != signaling.EventLeft; out = bo.next("the end") {
	}
	wire.mend()
	if code, last := ann.closed(); code != 4410 || last.Code != signaling.CodeSessionExpired || last.Action != signaling.ActionRejoin {
		t.Errorf("closed with %d after %+v", code, last)
	}
}

func TestANodeThatDrainsSendsItsMembersToOthersAndNothingIsLost(t *testing.T) {
	_, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	nodes[0].signaling.Drain(time.Second)
	if out := ann.expect(signaling.TypeGoaway); out.Reason != signaling.ReasonDrain || out.ReconnectInMS == 0 {
		t.Errorf("told %+v", out)
	}
	if code, _ := ann.closed(); code != websocket.CloseServiceRestart {
		t.Errorf("closed with %d", code)
	}
	bo.signal(ann.id, "meanwhile")
	again, resumed := resume(t, nodes[2], ann)
	if *resumed.Lost {
		t.Error("something is lost")
	}
	again.hears(bo.id, "meanwhile")
}

func TestANodeThatShutsDownHandsOverWhatItKept(t *testing.T) {
	_, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	ended := make(chan error, 1)
	go func() { ended <- nodes[0].signaling.Shutdown(context.WithoutCancel(t.Context())) }()
	ann.expect(signaling.TypeGoaway)
	if code, _ := ann.closed(); code != websocket.CloseServiceRestart {
		t.Errorf("closed with %d", code)
	}
	bo.signal(ann.id, "meanwhile")
	bo.send(signaling.TypePing, nil)
	bo.expect(signaling.TypePong)
	again, resumed := resume(t, nodes[2], ann)
	if *resumed.Lost {
		t.Error("something is lost")
	}
	again.hears(bo.id, "meanwhile")
	began := time.Now()
	if err := <-ended; err != nil || time.Since(began) > time.Second {
		t.Errorf("the end came after %v: %v", time.Since(began), err)
	}
	if nodes[0].hasLeft(ann.id) {
		t.Error("who goes to another node loses its relays")
	}
}
