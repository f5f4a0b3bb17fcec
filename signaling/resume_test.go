package signaling

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
)

// graceful keeps seats for a minute.
func graceful() config.Signaling {
	limits := testLimits
	limits.Grace = config.Duration(time.Minute)
	return limits
}

// cut ends the socket without a word, as a lost network does.
func (c *client) cut() { _ = c.ws.NetConn().Close() }

// resume opens a new socket for the session and returns the server's answer.
func (c *client) resume(t *testing.T, url string, session *SessionInfo, seq uint64, attempt string) (*client, Outbound) {
	t.Helper()
	again := dial(t, url)
	again.id = c.id
	again.send(`{"type":"resume","session":%q,"key":%q,"seq":%d,"attempt":%q}`, session.ID, session.Key, seq, attempt)
	return again, again.next()
}

// seated is a member and what it was told when it joined.
func seated(t *testing.T, url, room, name string) (*client, Outbound) {
	t.Helper()
	c := dial(t, url)
	return c, c.join(room, name)
}

func (c *client) expectEvent(want Event, id string) Outbound {
	c.t.Helper()
	out := c.expect(TypeMember)
	if out.Event != want || out.Member.ID != id {
		c.t.Fatalf("got %s of %s, want %s of %s", out.Event, out.Member.ID, want, id)
	}
	return out
}

func TestAfterAResumeEachMessageWasSeenOnceAndInOrder(t *testing.T) {
	_, url := start(t, graceful(), Options{})
	ann, joined := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	ann.expectEvent(EventJoined, bo.id)
	for n := range 3 {
		bo.send(`{"type":"signal","to":%q,"candidates":[{"candidate":"%d"}]}`, ann.id, n)
	}
	seen := ann.expect(TypeSignal).Seq // the rest stays unread
	ann.cut()
	bo.expectEvent(EventAway, ann.id)
	bo.send(`{"type":"signal","to":%q,"candidates":[{"candidate":"3"}]}`, ann.id)
	bo.quiet()

	ann, resumed := ann.resume(t, url, joined.Session, seen, "")
	if resumed.Type != TypeResumed || *resumed.Lost || resumed.Seq != seen || resumed.Session.Key == joined.Session.Key {
		t.Fatalf("got %+v", resumed)
	}
	for n := 1; n <= 3; n++ {
		out := ann.expect(TypeSignal)
		if want := fmt.Sprintf(`[{"candidate":"%d"}]`, n); string(out.Candidates) != want || out.Seq != seen+uint64(n) {
			t.Errorf("got %s with seq %d, want %s with %d", out.Candidates, out.Seq, want, seen+uint64(n))
		}
	}
	bo.expectEvent(EventBack, ann.id)
	ann.quiet()
	bo.quiet()
}

func TestAResumeIsNeverALeaveAndAJoin(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	ann, session := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	ann.expectEvent(EventJoined, bo.id)
	info := session.Session
	for range 5 {
		ann.cut()
		bo.expectEvent(EventAway, ann.id)
		again, resumed := ann.resume(t, url, info, 2, "")
		if resumed.Self.ID != ann.id || len(*resumed.Members) != 1 || (*resumed.Members)[0] != (Member{ID: bo.id, Name: "Bo", Polite: true}) {
			t.Fatalf("got %+v", resumed)
		}
		bo.expectEvent(EventBack, ann.id)
		ann, info = again, resumed.Session
	}
	if stats := s.Stats(); stats.Joins != 2 || stats.Resumed != 5 || stats.Members != 2 || stats.Away != 0 {
		t.Errorf("stats: %+v", stats)
	}
}

func TestTheNewestSocketWinsAndTheOldOneCanDoNothing(t *testing.T) {
	_, url := start(t, graceful(), Options{})
	old, joined := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	old.expectEvent(EventJoined, bo.id)
	ann, resumed := old.resume(t, url, joined.Session, 2, "")
	if resumed.Type != TypeResumed {
		t.Fatalf("got %+v", resumed)
	}
	// What the old socket still brings has no effect, and its end evicts nobody.
	_ = old.ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"signal","to":%q,"candidates":[null]}`, bo.id))
	_ = old.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"leave"}`))
	old.expectClosed(closeReplaced)
	ann.quiet()
	bo.quiet()
	ann.send(`{"type":"signal","to":%q,"candidates":[null]}`, bo.id)
	bo.expect(TypeSignal)
}

func TestWhatIsLostIsSaidAndBothSidesNegotiateAnew(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	ann, joined := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	ann.expectEvent(EventJoined, bo.id)
	ann.cut()
	bo.expectEvent(EventAway, ann.id)
	padding := strings.Repeat("x", 60<<10)
	for range queueBytes/len(padding) + 1 {
		bo.send(`{"type":"signal","to":%q,"candidates":[{"candidate":%q}]}`, ann.id, padding)
		time.Sleep(len256KiBASecond(len(padding)))
	}
	bo.quiet()
	if kept := s.Stats().ReplayBytes; kept > 2*queueBytes {
		t.Errorf("%d bytes are kept for two members", kept)
	}
	ann, resumed := ann.resume(t, url, joined.Session, 2, "")
	if !*resumed.Lost {
		t.Fatal("nothing is said to be lost")
	}
	for _, c := range []struct {
		who  *client
		with string
	}{{ann, bo.id}, {bo, ann.id}} {
		if c.who == bo {
			bo.expectEvent(EventBack, ann.id)
		}
		if got := c.who.expect(TypeResync); got.With != c.with || got.Offerer != ann.id {
			t.Errorf("got %+v, want an offer from the first member", got)
		}
	}
	ann.quiet()
}

// len256KiBASecond is how long a sender of that many bytes pauses to keep its limit.
func len256KiBASecond(n int) time.Duration {
	return time.Second * time.Duration(n) / time.Duration(testLimits.ByteRate)
}

func TestAKeyIsGoodOnceButAnAttemptMayBeRepeated(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	ann, joined := seated(t, url, "tea", "Ann")
	first := joined.Session
	ann.cut()
	one, resumed := ann.resume(t, url, first, 1, "the one")
	if resumed.Type != TypeResumed {
		t.Fatalf("got %+v", resumed)
	}
	if again, refused := ann.resume(t, url, first, 1, "another"); refused.Code != CodeSessionExpired || refused.Action != ActionRejoin {
		t.Errorf("the key of another's attempt: %+v", refused)
	} else {
		again.expectClosed(closeExpired)
	}
	if _, refused := ann.resume(t, url, first, 1, ""); refused.Code != CodeSessionExpired {
		t.Errorf("no attempt: %+v", refused)
	}
	// The answer was lost on the way.
	two, repeated := ann.resume(t, url, first, 1, "the one")
	if repeated.Type != TypeResumed {
		t.Fatalf("got %+v", repeated)
	}
	one.expectClosed(closeReplaced)
	if _, resumed = two.resume(t, url, repeated.Session, 1, "third"); resumed.Type != TypeResumed {
		t.Fatalf("got %+v", resumed)
	}
	if _, refused := ann.resume(t, url, first, 1, "the one"); refused.Code != CodeSessionExpired {
		t.Errorf("the key before the last: %+v", refused)
	}
	if stats := s.Stats(); stats.UsedKeys != 3 || stats.ForgedKeys != 0 {
		t.Errorf("stats: %+v", stats)
	}
}

// unconnected is a socket that has ended: nobody hears what is written.
func unconnected() *conn { return &conn{ended: true} }

// seat gives somebody a seat in the room "tea", without a network.
func seat(t *testing.T, s *Server, name string) *session {
	t.Helper()
	m, refused := s.join(Inbound{Room: "tea", Name: name}, terms{}, unconnected())
	if refused != nil {
		t.Fatal(refused)
	}
	return m
}

// keyOf is the key that a member was told last.
func keyOf(s *Server, m *session) string {
	m.view.mu.Lock()
	defer m.view.mu.Unlock()
	return s.issue(m, m.view.room).Key
}

func TestOfManyWhoHaveTheKeyExactlyOneWins(t *testing.T) {
	s := New(graceful(), Options{Log: slog.New(slog.DiscardHandler)})
	defer s.Shutdown(t.Context())
	for round, attempts := range append(slices.Repeat([]int{50}, 200), 10_000) {
		m := seat(t, s, "Ann")
		key := keyOf(s, m)
		var winners atomic.Int32
		var racers sync.WaitGroup
		for n := range attempts {
			racers.Go(func() {
				in := Inbound{Session: m.id, Key: key, Attempt: fmt.Sprint(n)}
				if _, refused := s.resume(in, unconnected()); refused == nil {
					winners.Add(1)
				}
			})
		}
		racers.Wait()
		if winners.Load() != 1 {
			t.Fatalf("round %d: %d winners", round, winners.Load())
		}
		m.acting.Lock()
		s.remove(m, ReasonLeft)
		m.acting.Unlock()
	}
}

func TestNoGuessedKeyOpensASession(t *testing.T) {
	s := New(graceful(), Options{Log: slog.New(slog.DiscardHandler)})
	defer s.Shutdown(t.Context())
	m := seat(t, s, "Ann")
	good := keyOf(s, m)
	known, _ := s.sealer.open(good)
	foreign := newSealer(nil).seal(known)
	raw, _ := base64.RawURLEncoding.DecodeString(good)
	for n := range 100_000 {
		guess := make([]byte, len(raw))
		switch n % 3 {
		case 0:
			rand.Read(guess)
		default: // one bit of a good one
			copy(guess, raw)
			guess[n%len(raw)] ^= 1 << (n % 8)
		}
		if _, ok := s.sealer.open(base64.RawURLEncoding.EncodeToString(guess)); ok {
			t.Fatalf("opened by %x", guess)
		}
	}
	for _, key := range []string{foreign, "", good + "A", good[:len(good)-4]} {
		if _, ok := s.sealer.open(key); ok {
			t.Errorf("opened by %q", key)
		}
	}
	in := Inbound{Session: seat(t, s, "Bo").id, Key: good}
	if _, refused := s.resume(in, unconnected()); refused == nil {
		t.Error("one member's key opens another's session")
	}
	if s.stats.forgedKeys.Load() != 1 {
		t.Error("not counted")
	}
}

func TestSessionsOfAKilledServerAreRestoredWithTheirRoles(t *testing.T) {
	key := make([]byte, KeySize)
	rand.Read(key)
	limits := graceful()
	limits.Capacity = 3
	first, url := start(t, limits, Options{SessionKey: key})
	var members []*client
	var sessions []*SessionInfo
	for _, name := range []string{"Ann", "Bo", "Cy"} {
		c, joined := seated(t, url, "tea", name)
		members, sessions = append(members, c), append(sessions, joined.Session)
	}
	// The process is gone without a word to anybody.
	first.mu.Lock()
	for c := range first.conns {
		_ = c.ws.NetConn().Close()
	}
	first.mu.Unlock()

	second, url := start(t, limits, Options{SessionKey: key})
	back := make([]*client, 3)
	for _, n := range []int{2, 0, 1} {
		c, resumed := members[n].resume(t, url, sessions[n], 7, "")
		if resumed.Type != TypeResumed || !resumed.Restored || !*resumed.Lost || resumed.Self.ID != members[n].id || resumed.Room.Name != "tea" {
			t.Fatalf("got %+v", resumed)
		}
		for _, m := range *resumed.Members {
			if later := m.Name > resumed.Self.Name; m.Polite != later {
				t.Errorf("%s sees %s as polite=%v", resumed.Self.Name, m.Name, m.Polite)
			}
		}
		back[n] = c
	}
	if got := back[2].expectEvent(EventBack, members[0].id); got.Seq != 8 {
		t.Errorf("got %+v, want seq to go on from 7", got)
	}
	got := back[2].next()
	for got.Type != TypeResync || got.With != members[0].id { // Bo was faster
		got = back[2].next()
	}
	if got.Offerer != members[0].id {
		t.Errorf("got %+v, want a resync that Ann begins", got)
	}
	if _, refused := members[0].resume(t, url, sessions[0], 7, ""); refused.Code != CodeSessionExpired {
		t.Errorf("a key that was used: %+v", refused)
	}
	if stats := second.Stats(); stats.Restored != 3 || stats.Members != 3 || stats.Away != 0 {
		t.Errorf("stats: %+v", stats)
	}
	// The newcomer is polite to all.
	back[0].send(`{"type":"leave"}`)
	back[0].expectClosed(websocket.CloseNormalClosure)
	_, joined := seated(t, url, "tea", "Di")
	for _, m := range *joined.Members {
		if m.Polite {
			t.Errorf("%s is polite to a newcomer", m.Name)
		}
	}
}

func TestWhoHasLeftIsNotRestored(t *testing.T) {
	key := make([]byte, KeySize)
	rand.Read(key)
	_, url := start(t, graceful(), Options{SessionKey: key})
	ann, joined := seated(t, url, "tea", "Ann")
	ann.send(`{"type":"leave"}`)
	ann.expectClosed(websocket.CloseNormalClosure)
	_, refused := ann.resume(t, url, joined.Session, 1, "")
	if refused.Code != CodeSessionExpired {
		t.Errorf("got %+v", refused)
	}
}

func TestASeatIsKeptForTheGraceTimeAndNoLonger(t *testing.T) {
	for _, row := range []struct {
		name string
		wait time.Duration
		want Type
	}{
		{"just in time", time.Minute - time.Millisecond, TypeResumed},
		{"too late", time.Minute + time.Millisecond, TypeError},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				s, stop := serveInMemory(t, listener, graceful(), Options{})
				defer stop()
				ann := dialInMemory(t, listener)
				joined := ann.join("tea", "Ann")
				ann.cut()
				synctest.Wait()
				time.Sleep(row.wait)
				synctest.Wait()
				again := dialInMemory(t, listener)
				again.send(`{"type":"resume","session":%q,"key":%q,"seq":1}`, joined.Session.ID, joined.Session.Key)
				if got := again.next(); got.Type != row.want {
					t.Errorf("after %v: %+v", row.wait, got)
				}
				if _, members := s.registry.size(); (members == 1) != (row.want == TypeResumed) {
					t.Errorf("%d members", members)
				}
				_ = again.ws.Close()
			})
		})
	}
}

func TestWhatAPongAcknowledgesIsForgotten(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	ann, _ := seated(t, url, "tea", "Ann")
	if kept := s.Stats().ReplayBytes; kept != 0 {
		t.Errorf("%d bytes of joined are kept, without which nobody resumes", kept)
	}
	seated(t, url, "tea", "Bo")
	ann.expect(TypeMember)
	if s.Stats().ReplayBytes == 0 {
		t.Fatal("what comes after joined is not kept")
	}
	if err := ann.ws.WriteControl(websocket.PongMessage, []byte("2"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	within(t, "nothing is kept", func() bool { return s.Stats().ReplayBytes == 0 })
	for _, payload := range []string{"99999999999999999999999", "-1", "x", "18446744073709551615", "7"} {
		if err := ann.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	ann.quiet()
}

func TestReplayKeepsWhatItMay(t *testing.T) {
	var total atomic.Int64
	r := replay{total: &total}
	for range queueMessages + 10 {
		r.add([]byte("x"))
	}
	if frames, lost := r.after(10); lost || len(frames) != queueMessages {
		t.Errorf("%d frames, lost %v", len(frames), lost)
	}
	if _, lost := r.after(9); !lost {
		t.Error("the tenth is gone")
	}
	if frames, lost := r.after(r.last); lost || len(frames) != 0 {
		t.Errorf("%d frames, lost %v", len(frames), lost)
	}
	if _, lost := r.after(r.last + 1); !lost {
		t.Error("a seq that never was")
	}
	r.acknowledge(r.last - 3)
	if len(r.frames) != 3 || total.Load() != 3 || r.bytes != 3 {
		t.Errorf("%d frames, %d bytes", len(r.frames), total.Load())
	}
	r.acknowledge(5) // late, and of no effect
	if len(r.frames) != 3 {
		t.Errorf("%d frames", len(r.frames))
	}
	total.Add(replayBudget)
	r.add([]byte("y"))
	if _, lost := r.after(r.last - 1); !lost || len(r.frames) != 0 {
		t.Error("over the budget, frames are kept")
	}
}
