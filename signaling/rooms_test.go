package signaling

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
)

// asks sends a join with more fields and returns the answer.
func asks(t *testing.T, url, fields string) (*client, Outbound) {
	t.Helper()
	c := dial(t, url)
	c.send(`{"type":"join","room":"tea",%s}`, fields)
	out := c.next()
	if out.Self != nil {
		c.id = out.Self.ID
	}
	return c, out
}

// three is testLimits for three in a room.
func three() config.Signaling {
	limits := testLimits
	limits.Capacity = 3
	return limits
}

func TestAKeyedRoomOpensToItsKeyAlone(t *testing.T) {
	_, url := start(t, three(), Options{})
	if _, got := asks(t, url, `"key":"sesame","create":true`); got.Type != TypeJoined {
		t.Fatalf("got %+v", got)
	}
	for _, fields := range []string{`"name":"no key"`, `"key":"wrong"`, `"key":"sesam"`, `"key":"wrong","create":true`, `"create":true`, `"key":"wrong","knock":true`} {
		c, got := asks(t, url, fields)
		if got.Code != CodeBadKey || got.Action != ActionStop {
			t.Errorf("%s: got %+v", fields, got)
		}
		c.expectClosed(closeForbidden)
	}
	for _, fields := range []string{`"key":"sesame"`, `"key":"sesame","create":true`} {
		if _, got := asks(t, url, fields); got.Type != TypeJoined {
			t.Errorf("%s: got %+v", fields, got)
		}
	}
}

func TestAKeyDoesNotOpenARoomThatHasNone(t *testing.T) {
	_, url := start(t, testLimits, Options{})
	dial(t, url).join("tea", "squatter")
	if _, got := asks(t, url, `"key":"sesame","create":true`); got.Code != CodeBadKey {
		t.Errorf("got %+v: whoever has a key expects a room that strangers cannot enter", got)
	}
}

func TestAWrongKeyAndAnUnknownRoomAreAnsweredAlike(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	asks(t, url, `"key":"sesame","create":true`)
	answer := func(room string) (string, time.Duration) {
		began := time.Now()
		_, refused := s.join(Inbound{Room: room, Key: "guess"}, terms{}, unconnected())
		took := time.Since(began)
		if refused == nil {
			t.Fatal("let in")
		}
		out, _ := json.Marshal(Outbound{Code: refused.code, Message: refused.message, Action: refused.action})
		return fmt.Sprint(string(out), refused.close), took
	}
	var times [2][]time.Duration
	for range 4000 {
		known, took := answer("tea")
		times[0] = append(times[0], took)
		unknown, took := answer("eat")
		times[1] = append(times[1], took)
		if known != unknown {
			t.Fatalf("the answers are %s and %s", known, unknown)
		}
	}
	median := func(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }
	known, unknown := median(times[0]), median(times[1])
	if known > unknown*3/2 || unknown > known*3/2 {
		t.Errorf("a wrong key takes %v, an unknown room %v", known, unknown)
	}
}

func TestALockedRoomOpensToThoseWhoAreAdmitted(t *testing.T) {
	_, url := start(t, three(), Options{})
	ann, bo := pair(t, url, "tea")
	ann.send(`{"type":"lock","locked":true}`)
	for _, c := range []*client{ann, bo} {
		if got := c.expect(TypeRoom); !got.Room.Locked || got.Self.Host != (c == ann) || got.Session.Key == "" {
			t.Errorf("got %+v", got)
		}
	}
	if c, got := asks(t, url, `"name":"Cy"`); got.Code != CodeRoomLocked {
		t.Errorf("got %+v", got)
	} else {
		c.expectClosed(closeForbidden)
	}

	cy, got := asks(t, url, `"name":"Cy","knock":true`)
	if got.Type != TypeKnocking || got.Seq != 0 {
		t.Fatalf("got %+v", got)
	}
	cy.quiet()
	var knocker string
	for _, c := range []*client{ann, bo} {
		asked := c.expect(TypeKnock)
		if knocker = asked.Knock.ID; asked.Event != EventAsked || asked.Knock.Name != "Cy" {
			t.Errorf("got %+v", asked)
		}
	}
	bo.send(`{"type":"admit","id":%q}`, knocker)
	joined := cy.expect(TypeJoined)
	if joined.Seq != 1 || joined.Self.ID != knocker || len(*joined.Members) != 2 || joined.Self.Host {
		t.Errorf("got %+v", joined)
	}
	for _, c := range []*client{ann, bo} {
		c.expectEvent(EventJoined, knocker)
		if gone := c.expect(TypeKnock); gone.Event != EventGone || gone.Knock.ID != knocker {
			t.Errorf("got %+v", gone)
		}
	}
	cy.send(`{"type":"signal","to":%q,"candidates":[null]}`, ann.id)
	ann.expect(TypeSignal)
}

func TestWhoKnocksIsNobodyUntilSomebodyOpens(t *testing.T) {
	s, url := start(t, three(), Options{})
	ann, bo := pair(t, url, "tea")
	ann.send(`{"type":"lock","locked":true}`)
	ann.expect(TypeRoom)
	bo.expect(TypeRoom)
	for _, row := range []struct {
		name   string
		does   func(cy *client, id string)
		closed int
	}{
		{"signals", func(cy *client, _ string) {
			cy.send(`{"type":"signal","to":%q,"candidates":[null]}`, ann.id)
		}, closeProtocol},
		{"admits itself", func(cy *client, id string) { cy.send(`{"type":"admit","id":%q}`, id) }, closeProtocol},
		{"unlocks", func(cy *client, _ string) { cy.send(`{"type":"lock","locked":false}`) }, closeProtocol},
		{"leaves", func(cy *client, _ string) { cy.send(`{"type":"leave"}`) }, websocket.CloseNormalClosure},
		{"is refused", func(_ *client, id string) { bo.send(`{"type":"refuse","id":%q}`, id) }, closeForbidden},
		{"is lost", func(cy *client, _ string) { cy.cut() }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			cy, _ := asks(t, url, `"name":"Cy","knock":true`)
			id := ann.expect(TypeKnock).Knock.ID
			bo.expect(TypeKnock)
			row.does(cy, id)
			for _, c := range []*client{ann, bo} {
				if gone := c.expect(TypeKnock); gone.Event != EventGone || gone.Knock.ID != id {
					t.Errorf("got %+v", gone)
				}
			}
			if row.closed != 0 {
				cy.expectClosed(row.closed)
			}
			bo.send(`{"type":"admit","id":%q}`, id)
			if got := bo.expect(TypeError); got.Code != CodeMemberNotFound {
				t.Errorf("admitted after it had gone: %+v", got)
			}
		})
	}
	if stats := s.Stats(); stats.Members != 2 {
		t.Errorf("%d members are counted", stats.Members)
	}
}

func TestAFullRoomAdmitsNobodyAndKnocksAreBounded(t *testing.T) {
	_, url := start(t, three(), Options{})
	ann, bo := pair(t, url, "tea")
	ann.send(`{"type":"lock","locked":true}`)
	ann.expect(TypeRoom)
	bo.expect(TypeRoom)
	var ids []string
	var waiting []*client
	for n := range maxKnocks {
		c, got := asks(t, url, `"knock":true`)
		if got.Type != TypeKnocking {
			t.Fatalf("knock %d: %+v", n, got)
		}
		waiting = append(waiting, c)
		ids = append(ids, ann.expect(TypeKnock).Knock.ID)
	}
	if _, got := asks(t, url, `"knock":true`); got.Code != CodeRoomLocked {
		t.Errorf("got %+v", got)
	}
	ann.send(`{"type":"admit","id":%q}`, ids[3])
	waiting[3].expect(TypeJoined)
	ann.expectEvent(EventJoined, ids[3])
	ann.expect(TypeKnock)
	ann.send(`{"type":"admit","id":%q}`, ids[0])
	if got := ann.expect(TypeError); got.Code != CodeRoomFull {
		t.Errorf("got %+v", got)
	}
	for _, c := range []*client{ann, waiting[3]} {
		c.send(`{"type":"leave"}`)
		c.expectClosed(websocket.CloseNormalClosure)
	}
	bo.send(`{"type":"leave"}`) // and nobody is left who could open
	waiting[0].expectClosed(closeRoomGone)
}

func TestAKickedMemberIsOutAndItsRelaysEnd(t *testing.T) {
	ended := make(chan string, 4)
	_, url := start(t, three(), Options{Left: func(id string) { ended <- id }})
	ann, bo := pair(t, url, "tea")
	cy, joined := seated(t, url, "tea", "Cy")
	ann.expectEvent(EventJoined, cy.id)
	bo.expectEvent(EventJoined, cy.id)
	bo.send(`{"type":"kick","to":%q}`, cy.id)
	if got := bo.expect(TypeError); got.Code != CodeForbidden || got.Action != ActionRetry {
		t.Errorf("one who is no host kicks: %+v", got)
	}
	ann.send(`{"type":"kick","to":%q}`, cy.id)
	if got := cy.expect(TypeGoaway); got.Reason != ReasonKicked || got.ReconnectInMS != 0 {
		t.Errorf("got %+v", got)
	}
	cy.expectClosed(closeKicked)
	for _, c := range []*client{ann, bo} {
		if left := c.expectEvent(EventLeft, cy.id); left.Reason != ReasonKicked {
			t.Errorf("got %+v", left)
		}
	}
	if id := <-ended; id != cy.id {
		t.Errorf("the relays of %s ended", id)
	}
	if _, got := cy.resume(t, url, joined.Session, 1, "again"); got.Code != CodeSessionExpired {
		t.Errorf("the kicked member resumes: %+v", got)
	}
	ann.send(`{"type":"kick","to":"m_nobody"}`)
	if got := ann.expect(TypeError); got.Code != CodeMemberNotFound {
		t.Errorf("got %+v", got)
	}
}

func TestAnEndedRoomIsGoneForAll(t *testing.T) {
	s, url := start(t, three(), Options{})
	ann, bo := pair(t, url, "tea")
	bo.send(`{"type":"end"}`)
	if got := bo.expect(TypeError); got.Code != CodeForbidden {
		t.Errorf("got %+v", got)
	}
	ann.send(`{"type":"end"}`)
	for _, c := range []*client{ann, bo} {
		if got := c.expect(TypeGoaway); got.Reason != ReasonEnded {
			t.Errorf("got %+v", got)
		}
		c.expectClosed(closeRoomGone)
	}
	within(t, "the room is gone", func() bool { st := s.Stats(); return st.Rooms == 0 && st.Members == 0 })
	dial(t, url).join("tea", "Cy")
}

func TestWhenTheHostLeavesTheOneWhoHasBeenHereLongestIsHost(t *testing.T) {
	_, url := start(t, three(), Options{})
	ann, bo := pair(t, url, "tea")
	cy, _ := seated(t, url, "tea", "Cy")
	ann.expectEvent(EventJoined, cy.id)
	bo.expectEvent(EventJoined, cy.id)
	ann.send(`{"type":"leave"}`)
	bo.expectEvent(EventLeft, ann.id)
	bo.isHost()
	cy.expectEvent(EventLeft, ann.id)
	cy.expectEvent(EventHost, bo.id)
	bo.send(`{"type":"kick","to":%q}`, cy.id)
	cy.expectClosed(closeKicked)
}

func TestAPageThatIsLoadedAgainTakesItsOwnSeatBack(t *testing.T) {
	_, url := start(t, graceful(), Options{})
	ann, joined := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	ann.expectEvent(EventJoined, bo.id)
	ann.send(`{"type":"lock","locked":true}`)
	locked := ann.expect(TypeRoom)
	bo.expect(TypeRoom)
	ann.cut()
	bo.expectEvent(EventAway, ann.id)

	old := fmt.Sprintf(`"name":"Ann","old_session":%q,"old_key":%q`, ann.id, locked.Session.Key)
	again, got := asks(t, url, old)
	if got.Type != TypeJoined || got.Self.ID == ann.id || !got.Self.Host || len(*got.Members) != 1 {
		t.Fatalf("got %+v", got)
	}
	bo.expectEvent(EventLeft, ann.id)
	bo.expectEvent(EventJoined, again.id)
	if _, got := ann.resume(t, url, joined.Session, 1, "x"); got.Code != CodeSessionExpired {
		t.Errorf("the old session goes on: %+v", got)
	}
	if _, got := asks(t, url, old); got.Code != CodeRoomFull && got.Code != CodeRoomLocked {
		t.Errorf("the old key is good twice: %+v", got)
	}
}

func TestARestartKeepsARoomClosedToStrangers(t *testing.T) {
	key := make([]byte, KeySize)
	_, url := start(t, graceful(), Options{SessionKey: key})
	ann, got := asks(t, url, `"key":"sesame","create":true`)
	ann.send(`{"type":"lock","locked":true}`)
	session := ann.expect(TypeRoom).Session
	if got.Session.ID != session.ID {
		t.Fatalf("got %+v", session)
	}

	_, url = start(t, graceful(), Options{SessionKey: key})
	squatter := dial(t, url)
	squatter.join("tea", "squatter")
	if _, got := ann.resume(t, url, session, 1, "a"); got.Code != CodeSessionExpired {
		t.Errorf("a stranger shares the room: %+v", got)
	}

	_, url = start(t, graceful(), Options{SessionKey: key})
	ann, resumed := ann.resume(t, url, session, 1, "a")
	if resumed.Type != TypeResumed || !resumed.Room.Locked || !resumed.Self.Host {
		t.Fatalf("got %+v", resumed)
	}
	if _, got := asks(t, url, `"name":"no key"`); got.Code != CodeBadKey {
		t.Errorf("got %+v", got)
	}
	if _, got := asks(t, url, `"key":"sesame"`); got.Code != CodeRoomLocked {
		t.Errorf("got %+v", got)
	}
	ann.quiet()
}
