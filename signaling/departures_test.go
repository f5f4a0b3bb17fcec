package signaling

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

func TestWhoLeavesIsReportedAtOnceAndWhoLosesTheSocketAfterTheGraceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 10)
		listener := newPipes()
		s, stop := serveInMemory(t, listener, graceful(), Options{Left: func(id string) { told <- id }})
		defer stop()
		ann, bo := dialInMemory(t, listener), dialInMemory(t, listener)
		ann.join("tea", "Ann")
		bo.join("tea", "Bo")
		ann.cut()
		bo.expectEvent(EventAway, ann.id)
		bo.send(`{"type":"leave"}`)
		synctest.Wait()
		if len(told) != 1 || <-told != bo.id {
			t.Error("the first to have left is Bo")
		}
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		if len(told) != 0 {
			t.Errorf("%s was given up too early", <-told)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if len(told) != 1 || <-told != ann.id {
			t.Error("Ann has not left")
		}
		if _, members := s.registry.size(); members != 0 {
			t.Errorf("%d members", members)
		}
	})
}

func TestADrainLetsMembersResume(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	ann, joined := seated(t, url, "tea", "Ann")
	s.Drain(0)
	ann.cut()
	if _, resumed := ann.resume(t, url, joined.Session, 1, ""); resumed.Type != TypeResumed {
		t.Errorf("got %+v", resumed)
	}
}

func TestShutdownIsNoDeparture(t *testing.T) {
	s, url := start(t, graceful(), Options{Left: func(id string) { t.Errorf("told of %s", id) }})
	_, bo := pair(t, url, "tea")
	bo.cut()
	within(t, "Bo is away", func() bool { return s.Stats().Away == 1 })
	_ = s.Shutdown(t.Context())
}

func TestADrainKeepsThoseWhoAreInAndNobodyElse(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	early := dial(t, url)
	s.Drain(0)
	late := dial(t, url)
	late.send(`{"type":"join","room":"coffee"}`)
	if got := late.expect(TypeError); got.Code != CodeUnavailable {
		t.Errorf("got %+v", got)
	}
	late.expectClosed(websocket.CloseServiceRestart)
	early.send(`{"type":"join","room":"coffee"}`)
	if got := early.expect(TypeError); got.Code != CodeUnavailable || got.Action != ActionRejoin {
		t.Errorf("got %+v", got)
	}
	ann.send(`{"type":"signal","to":%q,"candidates":[null]}`, bo.id)
	bo.expect(TypeSignal)
	bo.send(`{"type":"ice"}`)
	bo.expect(TypeICE)
	ann.send(`{"type":"leave"}`)
	if got := bo.expect(TypeMember); got.Event != EventLeft || got.Member.ID != ann.id {
		t.Errorf("got %+v, want Ann left", got)
	}
	bo.isHost()
	bo.quiet()
}

func TestReloadChangesLimitsAndOriginsForThoseWhoCome(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	limits := testLimits
	limits.Capacity, limits.MaxMembers = 3, 2
	s.Reload(limits, Origins{Allowed: []string{"https://app.example"}})
	cy := dial(t, url)
	cy.send(`{"type":"join","room":"coffee"}`)
	if got := cy.expect(TypeError); got.Code != CodeCapacity {
		t.Errorf("got %+v, want capacity", got)
	}
	limits.MaxMembers = 4
	s.Reload(limits, Origins{Allowed: []string{"https://app.example"}})
	di := dial(t, url)
	if got := di.join("coffee", "Di"); got.Room.Capacity != 3 {
		t.Errorf("a new room holds %d, want 3", got.Room.Capacity)
	}
	ei := dial(t, url)
	ei.send(`{"type":"join","room":"tea"}`)
	if got := ei.expect(TypeError); got.Code != CodeRoomFull {
		t.Errorf("got %+v, want room_full: the room was open before", got)
	}
	ws, resp, err := (&websocket.Dialer{Subprotocols: []string{Protocol}}).Dial(url, http.Header{"Origin": {"https://app.example"}})
	if err != nil {
		t.Fatalf("from an origin that is allowed since: %v", err)
	}
	_ = resp.Body.Close()
	_ = ws.Close()
	ann.send(`{"type":"signal","to":%q,"candidates":[null]}`, bo.id)
	bo.expect(TypeSignal)
}

func TestTheMoreMembersComeBackTheLongerTheyTake(t *testing.T) {
	s := New(graceful(), Options{})
	for _, row := range []struct {
		sockets int
		want    time.Duration
	}{{0, time.Second}, {500, time.Second}, {5000, 10 * time.Second}, {100_000, 30 * time.Second}} {
		for range row.sockets - len(s.conns) {
			s.conns[new(conn)] = true
		}
		if got := s.comebackSpread(); got != row.want {
			t.Errorf("%d come back over %v, want %v", row.sockets, got, row.want)
		}
	}
}

func TestAPageThatMayBeLoadedAgainKeepsItsSeatForAsLongAsItSays(t *testing.T) {
	for _, row := range []struct {
		says string
		want time.Duration
	}{
		{"6000", 6 * time.Second},
		{"9007199254740991", maxReturn},
		{"-1", 0},
	} {
		t.Run(row.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				_, stop := serveInMemory(t, listener, graceful(), Options{})
				defer stop()
				ann, bo := dialInMemory(t, listener), dialInMemory(t, listener)
				ann.join("tea", "Ann")
				bo.join("tea", "Bo")
				told := bo.listen()
				began := time.Now()
				ann.send(`{"type":"leave","return_ms":%s}`, row.says)
				if row.want > 0 {
					if got := <-told; got.Event != EventAway || got.Reason != ReasonLeft {
						t.Errorf("got %s, %s", got.Event, got.Reason)
					}
				}
				if got := <-told; got.Event != EventLeft || got.Reason != ReasonLeft || time.Since(began) != row.want {
					t.Errorf("%s, %s after %v, want %v", got.Event, got.Reason, time.Since(began), row.want)
				}
				bo.cut()
			})
		})
	}
}

func TestAPageThatIsLoadedAgainIsBackInItsLockedRoom(t *testing.T) {
	_, url := start(t, graceful(), Options{})
	ann, bo := pair(t, url, "tea")
	ann.send(`{"type":"lock","locked":true}`)
	session := ann.expect(TypeRoom).Session
	bo.expect(TypeRoom)
	ann.send(`{"type":"leave","return_ms":6000}`)
	ann.expectClosed(websocket.CloseNormalClosure)
	bo.expectEvent(EventAway, ann.id)
	again := dial(t, url)
	again.send(`{"type":"join","room":"tea","name":"Ann","old_session":%q,"old_key":%q}`, session.ID, session.Key)
	if got := again.expect(TypeJoined); !got.Self.Host || !got.Room.Locked || len(*got.Members) != 1 {
		t.Errorf("got %+v in %+v with %d others", got.Self, got.Room, len(*got.Members))
	}
}
