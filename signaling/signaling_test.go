package signaling

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait in these tests.
const patience = 10 * time.Second

var testLimits = config.Signaling{Capacity: 2, MaxRooms: 100, MaxMembers: 100, MessageRate: 50, MessageBurst: 200, ByteRate: 256 << 10}

// start serves a Server on loopback until the test ends.
func start(t *testing.T, limits config.Signaling, opts Options) (*Server, string) {
	t.Helper()
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := New(limits, opts)
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Shutdown: %v", err)
		}
		web.Close()
	})
	return s, "ws" + strings.TrimPrefix(web.URL, "http")
}

// client is a member as seen from outside: what a person's browser would do.
type client struct {
	t  *testing.T
	ws *websocket.Conn
	id string
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{Protocol}, HandshakeTimeout: patience}
	ws, resp, err := d.Dial(url, nil)
	if err != nil {
		t.Fatalf("dialing: %v", err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return &client{t: t, ws: ws}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// next returns the next message.
func (c *client) next() Outbound {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	_, frame, err := c.ws.ReadMessage()
	if err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	var out Outbound
	if err := json.Unmarshal(frame, &out); err != nil {
		c.t.Fatalf("%s: %v", frame, err)
	}
	return out
}

// expect returns the next message, which must be of that type.
func (c *client) expect(want Type) Outbound {
	c.t.Helper()
	out := c.next()
	if out.Type != want {
		c.t.Fatalf("got %+v, want a %s", out, want)
	}
	return out
}

// expectClosed reads on to the close frame and checks its code.
func (c *client) expectClosed(code int) {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, frame, err := c.ws.ReadMessage()
		if err == nil {
			c.t.Logf("before the close: %s", frame)
			continue
		}
		if !websocket.IsCloseError(err, code) {
			c.t.Fatalf("got %v, want close %d", err, code)
		}
		return
	}
}

// isHost expects to be told that c is a host of its room now.
func (c *client) isHost() {
	c.t.Helper()
	if got := c.expect(TypeRoom); !got.Self.Host {
		c.t.Errorf("got %+v, want a host", got.Self)
	}
}

// quiet proves that nothing was sent to the client: a ping's answer is the next thing.
func (c *client) quiet() {
	c.t.Helper()
	c.send(`{"type":"ping"}`)
	c.expect(TypePong)
}

// join joins and checks that joined is the first message.
func (c *client) join(room, name string) Outbound {
	c.t.Helper()
	c.send(`{"type":"join","room":%q,"name":%q}`, room, name)
	out := c.expect(TypeJoined)
	if out.Seq != 1 {
		c.t.Fatalf("joined has seq %d, want 1", out.Seq)
	}
	c.id = out.Self.ID
	return out
}

// pair seats two members in a room.
func pair(t *testing.T, url, room string) (ann, bo *client) {
	t.Helper()
	ann, bo = dial(t, url), dial(t, url)
	ann.join(room, "Ann")
	bo.join(room, "Bo")
	ann.expect(TypeMember)
	return ann, bo
}

// within waits for a condition that the server reaches by itself.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-tick.C
	}
}

func TestTheFirstMemberCallsAndTheSecondIsPolite(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	ann, bo := dial(t, url), dial(t, url)
	if got := ann.join("tea", "Ann"); len(*got.Members) != 0 || got.Room.Name != "tea" || got.Room.Capacity != 2 {
		t.Errorf("first joined: %+v", got)
	}
	got := bo.join("tea", "Bo")
	if want := (Member{ID: ann.id, Name: "Ann", Host: true}); len(*got.Members) != 1 || (*got.Members)[0] != want {
		t.Errorf("Bo sees %+v, want %+v", got.Members, want)
	}
	event := ann.expect(TypeMember)
	if want := (Member{ID: bo.id, Name: "Bo", Polite: true}); event.Event != EventJoined || *event.Member != want {
		t.Errorf("Ann sees %+v %+v, want %+v", event.Event, event.Member, want)
	}
}

func TestEveryPairHasExactlyOnePoliteSideWhateverTheOrderOfLeaving(t *testing.T) {
	limits := testLimits
	limits.Capacity = 4
	_, url := start(t, limits, Options{})
	a, b, c := dial(t, url), dial(t, url), dial(t, url)
	a.join("tea", "")
	b.join("tea", "")
	c.join("tea", "")
	a.send(`{"type":"leave"}`)
	a.expectClosed(websocket.CloseNormalClosure)
	for range 2 { // c joined, a left
		b.expect(TypeMember)
	}
	c.expect(TypeMember)
	b.isHost()
	c.expectEvent(EventHost, b.id)
	d := dial(t, url)
	for _, m := range *d.join("tea", "").Members {
		if m.Polite {
			t.Errorf("the newcomer sees %s as polite: nobody would be impolite", m.ID)
		}
	}
	for _, c := range []*client{b, c} {
		if e := c.expect(TypeMember); e.Member.ID != d.id || !e.Member.Polite {
			t.Errorf("%s sees %+v, want a polite newcomer", c.id, e.Member)
		}
	}
}

// The tutorial servers drop a third person without a word.
func TestAThirdPersonIsToldThatTheRoomIsFull(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	third := dial(t, url)
	third.send(`{"type":"join","room":"tea","name":"Cy"}`)
	got := third.expect(TypeError)
	if got.Code != CodeRoomFull || got.Action != ActionStop || got.Seq != 0 {
		t.Errorf("got %+v", got)
	}
	third.expectClosed(closeForbidden)
	ann.quiet()
	bo.quiet()
	if n := s.Stats().Refused[CodeRoomFull]; n != 1 {
		t.Errorf("room_full counted %d times, want 1", n)
	}
}

func TestLeavingFreesTheSeat(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(*client)
		want Reason
	}{
		{"leave", func(c *client) { c.send(`{"type":"leave"}`); c.expectClosed(1000) }, ReasonLeft},
		{"lost socket", func(c *client) { _ = c.ws.NetConn().Close() }, ReasonLost},
		{"protocol error", func(c *client) { c.send(`tea`); c.expectClosed(closeProtocol) }, ReasonError},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, url := start(t, testLimits, Options{})
			ann, bo := pair(t, url, "tea")
			row.end(bo)
			got := ann.expect(TypeMember)
			if got.Event != EventLeft || got.Member.ID != bo.id || got.Reason != row.want {
				t.Errorf("got %+v, want left, %s", got, row.want)
			}
			if next := dial(t, url).join("tea", "Cy"); len(*next.Members) != 1 {
				t.Errorf("the newcomer sees %+v", next.Members)
			}
		})
	}
}

// The tutorial servers keep one global list and believe the names and rooms in messages.
func TestMembersOfDifferentRoomsNeverHearEachOther(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	cy, di := pair(t, url, "coffee")
	cy.send(`{"type":"signal","to":%q,"from":%q,"room":"tea","description":{"type":"offer","sdp":"canary"}}`, ann.id, bo.id)
	if got := cy.expect(TypeError); got.Code != CodeMemberNotFound {
		t.Errorf("got %+v, want member_not_found", got)
	}
	cy.send(`{"type":"leave"}`)
	di.expect(TypeMember)
	ann.quiet()
	bo.quiet()
}

func TestAStrangersIDAndAnUnknownIDAreAnsweredAlike(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	ann, _ := pair(t, url, "tea")
	_, di := pair(t, url, "coffee")
	var answers []string
	for _, to := range []string{di.id, "m_nobody", ann.id, "Bo"} {
		ann.send(`{"type":"signal","to":%q,"candidates":[null]}`, to)
		got := ann.expect(TypeError)
		answers = append(answers, fmt.Sprint(got.Code, got.Message, got.Action))
	}
	for _, a := range answers[1:] {
		if a != answers[0] {
			t.Errorf("answers differ: %q", answers)
		}
	}
}

func TestFromIsTheServersAndNamesAreNoIdentities(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	ann, bo := dial(t, url), dial(t, url)
	ann.join("tea", "Ann")
	bo.join("tea", "Ann")
	ann.expect(TypeMember)
	if ann.id == bo.id {
		t.Fatal("two members share an id")
	}
	bo.send(`{"type":"signal","from":%q,"to":%q,"candidates":[null]}`, ann.id, ann.id)
	if got := ann.expect(TypeSignal); got.From != bo.id {
		t.Errorf("from = %q, want %q", got.From, bo.id)
	}
}

func TestSignalsArriveUnreadOnceAndInOrder(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	const n = 150
	for i := range n {
		ann.send(`{"type":"signal","to":%q,"description":{"type":"offer","sdp":"<b>%d</b>","private":[1]}}`, bo.id, i)
	}
	for i := range n {
		got := bo.expect(TypeSignal)
		want := fmt.Sprintf(`{"type":"offer","sdp":"<b>%d</b>","private":[1]}`, i)
		var plain any
		if err := json.Unmarshal(got.Description, &plain); err != nil {
			t.Fatal(err)
		}
		var wanted any
		_ = json.Unmarshal([]byte(want), &wanted)
		if fmt.Sprint(plain) != fmt.Sprint(wanted) || got.Seq != uint64(i+2) {
			t.Fatalf("message %d: %s, seq %d", i, got.Description, got.Seq)
		}
	}
}

func TestSeqCountsEveryMessageOfTheMemberWithoutGaps(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea") // seq 1 and 2
	ann.send(`{"type":"ice"}`)
	ann.send(`{"type":"dance"}`)
	bo.send(`{"type":"signal","to":%q,"candidates":[null]}`, ann.id)
	seen := map[uint64]bool{1: true, 2: true}
	for range 3 {
		seen[ann.next().Seq] = true
	}
	for seq := range uint64(5) {
		if !seen[seq+1] {
			t.Errorf("seq %d is missing: %v", seq+1, seen)
		}
	}
	ann.send(`{"type":"ping"}`)
	if got := ann.expect(TypePong); got.Seq != 0 {
		t.Errorf("pong has seq %d, want none", got.Seq)
	}
}

func TestICEServersAreMintedForEachMember(t *testing.T) {
	_, url := start(t, testLimits, Options{ICEServers: func(member string) ICE {
		return ICE{Servers: []ICEServer{{URLs: []string{"turn:192.0.2.1"}, Username: member, Credential: "x"}}, Expires: time.Unix(1e9, 0).UTC()}
	}})
	c := dial(t, url)
	got := c.join("tea", "")
	c.send(`{"type":"ice"}`)
	again := c.expect(TypeICE)
	for _, ice := range []*ICE{got.ICE, again.ICE} {
		if ice == nil || ice.Servers[0].Username != c.id || ice.Expires.Unix() != 1e9 {
			t.Errorf("got %+v, want credentials for %s", ice, c.id)
		}
	}
}

func TestBrokenMessagesCloseTheSocketWithTheirCode(t *testing.T) {
	for _, row := range []struct {
		name, first, then string
		kind, code        int
	}{
		{"not JSON", "", "{", websocket.TextMessage, closeProtocol},
		{"array", "", "[]", websocket.TextMessage, closeProtocol},
		{"null", "", "null", websocket.TextMessage, closeProtocol},
		{"wrong type of field", "", `{"type":"join","room":5}`, websocket.TextMessage, closeProtocol},
		{"no room", "", `{"type":"join"}`, websocket.TextMessage, closeProtocol},
		{"room of control characters", "", "{\"type\":\"join\",\"room\":\"\\u202e\\u0007 \"}", websocket.TextMessage, closeProtocol},
		{"signal before join", "", `{"type":"signal","to":"x","candidates":[]}`, websocket.TextMessage, closeProtocol},
		{"unknown before join", "", `{"type":"dance"}`, websocket.TextMessage, closeProtocol},
		{"join twice", `{"type":"join","room":"a"}`, `{"type":"join","room":"b"}`, websocket.TextMessage, closeProtocol},
		{"binary", "", `{"type":"join","room":"a"}`, websocket.BinaryMessage, closeProtocol},
		{"too large", "", `{"type":"join","room":"` + strings.Repeat("a", MaxMessageBytes) + `"}`, websocket.TextMessage, websocket.CloseMessageTooBig},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, url := start(t, testLimits, Options{})
			c := dial(t, url)
			if row.first != "" {
				c.send("%s", row.first)
			}
			if err := c.ws.WriteMessage(row.kind, []byte(row.then)); err != nil {
				t.Fatal(err)
			}
			c.expectClosed(row.code)
		})
	}
}

func TestAnUnknownTypeLeavesTheSocketOpen(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	c := dial(t, url)
	c.join("tea", "")
	c.send(`{"type":"dance"}`)
	if got := c.expect(TypeError); got.Code != CodeUnknownType || got.Action != ActionRetry {
		t.Errorf("got %+v", got)
	}
	c.quiet()
}

func TestASlowReaderLosesItsSocketAndTheRoomDoesNotWait(t *testing.T) {
	limits := testLimits
	limits.Capacity = 4
	s, url := start(t, limits, Options{})
	ann, bo := pair(t, url, "tea")
	cy := dial(t, url)
	cy.join("tea", "Cy") // and reads nothing from here on
	if err := cy.ws.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}

	// Newcomers fill Cy's buffers, each with as much as one socket may send at once.
	frame := fmt.Sprintf(`{"type":"signal","to":%q,"description":{"type":"offer","sdp":%q}}`, cy.id, strings.Repeat("x", 60<<10))
	for i := 0; s.Stats().SlowReaders == 0; i++ {
		if i == 100 {
			t.Fatal("Cy's queue never filled")
		}
		di := dial(t, url)
		di.join("tea", "Di")
		for range byteBurst / len(frame) {
			di.send("%s", frame)
		}
		di.send(`{"type":"leave"}`)
		di.expectClosed(websocket.CloseNormalClosure)
	}
	for _, c := range []*client{ann, bo} {
		got := c.expect(TypeMember)
		for got.Member.ID != cy.id || got.Event != EventLeft {
			got = c.expect(TypeMember)
		}
		if got.Reason != ReasonSlow {
			t.Errorf("got %+v, want Cy left, slow", got)
		}
	}
	ann.send(`{"type":"signal","to":%q,"candidates":[null]}`, bo.id)
	for bo.next().Type != TypeSignal {
	}
}

func TestAFloodingMemberLosesItsSocketAndNotItsPeers(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	for range testLimits.MessageBurst + 2*testLimits.MessageRate*int(patience/time.Second) {
		if ann.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"signal","to":%q,"candidates":[null]}`, bo.id)) != nil {
			break // closed while we were writing
		}
	}
	ann.expectClosed(closeRateLimited)
	for {
		got := bo.next()
		if got.Type == TypeMember {
			if got.Event != EventLeft || got.Member.ID != ann.id || got.Reason != ReasonError {
				t.Errorf("got %+v", got)
			}
			break
		}
	}
	bo.isHost()
	bo.quiet()
	if n := s.Stats().Refused[CodeRateLimited]; n != 1 {
		t.Errorf("rate_limited counted %d times, want 1", n)
	}
}

func TestASocketThatNeverJoinsIsForgotten(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	_ = dial(t, url).ws.Close()
	within(t, "the socket is forgotten", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 0 && s.unjoined == 0
	})
}

func TestOnlySoManySocketsMayWaitWithoutJoining(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	s.mu.Lock()
	s.unjoined = maxUnjoined
	s.mu.Unlock()
	_, resp, err := (&websocket.Dialer{Subprotocols: []string{Protocol}}).Dial(url, nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("dialing: %v, want 503 with Retry-After", err)
	}
	s.mu.Lock()
	s.unjoined = 0
	s.mu.Unlock()
	dial(t, url).join("tea", "")
}

func TestTheServerHoldsNoMoreRoomsAndMembersThanConfigured(t *testing.T) {
	for _, row := range []struct {
		name   string
		limits config.Signaling
		room   string
	}{
		{"rooms", config.Signaling{Capacity: 2, MaxRooms: 1, MaxMembers: 10}, "coffee"},
		{"members", config.Signaling{Capacity: 2, MaxRooms: 10, MaxMembers: 1}, "tea"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, url := start(t, row.limits, Options{})
			first := dial(t, url)
			first.join("tea", "")
			second := dial(t, url)
			second.send(`{"type":"join","room":%q}`, row.room)
			if got := second.expect(TypeError); got.Code != CodeCapacity || got.Action != ActionRetry {
				t.Errorf("got %+v", got)
			}
			second.expectClosed(closeTryAgain)
			first.send(`{"type":"leave"}`)
			within(t, "the room is gone", func() bool { return s.Stats().Rooms == 0 && s.Stats().Members == 0 })
			dial(t, url).join(row.room, "")
		})
	}
}

func TestShutdownSendsEverybodyAwayWith1012AndNobodySeesALeave(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	waiting := dial(t, url)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(t.Context()) }()
	for _, c := range []*client{ann, bo, waiting} {
		if got := c.expect(TypeGoaway); got.ReconnectInMS <= 0 || got.Reason != ReasonDrain {
			t.Errorf("got %+v", got)
		}
		c.expectClosed(websocket.CloseServiceRestart)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Sockets; n != 0 {
		t.Errorf("%d sockets left", n)
	}
	_, resp, err := (&websocket.Dialer{Subprotocols: []string{Protocol}}).Dial(url, nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("dialing after shutdown: %v", err)
	}
}

func TestShutdownCutsASocketThatDoesNotAnswer(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	c := dial(t, url)
	c.join("tea", "") // and never reads again: no close frame comes back
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("a silent peer is cut after %v, without an error: %v", closeTimeout, err)
	}
}

func TestRequestsThatAreNoGoodSocketsAreRefusedInWords(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	plain, err := http.Get("http" + strings.TrimPrefix(url, "ws"))
	if err != nil {
		t.Fatal(err)
	}
	_ = plain.Body.Close()
	if plain.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("plain GET: %s, want 426", plain.Status)
	}
	_, resp, err := websocket.DefaultDialer.Dial(url, nil)
	if err == nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without the subprotocol: %v, want 400", err)
	}
	_, resp, err = (&websocket.Dialer{Subprotocols: []string{Protocol}}).Dial(url, http.Header{"Origin": {"https://evil.example"}})
	if err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %v, want 403", err)
	}
}

func TestCompressionIsNeverNegotiated(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	_, resp, err := (&websocket.Dialer{Subprotocols: []string{Protocol}, EnableCompression: true}).Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("extensions: %q", got)
	}
}
