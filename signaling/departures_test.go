package signaling

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
)

func TestWhoLostTheSocketHasLeftAfterTheGraceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		type departure struct {
			id    string
			after time.Duration
		}
		told := make(chan departure, 10)
		d := newDepartures(func(id string) { told <- departure{id, time.Since(began)} }, 45*time.Second, 2)
		d.tell("lost", ReasonLost)
		d.tell("hung up", ReasonLeft)
		time.Sleep(10 * time.Second)
		d.tell("slow", ReasonSlow)
		d.tell("one too many", ReasonLost)
		time.Sleep(time.Minute)
		synctest.Wait()
		close(told)
		got := slices.Collect(func(yield func(departure) bool) {
			for each := range told {
				yield(each)
			}
		})
		want := []departure{
			{"hung up", 0}, {"one too many", 10 * time.Second}, {"lost", 45 * time.Second}, {"slow", 55 * time.Second},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		d.stop()
	})
}

func TestNobodyIsToldOfDeparturesAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDepartures(func(id string) { t.Errorf("told of %s", id) }, time.Second, 10)
		d.tell("before", ReasonLost)
		d.stop()
		d.tell("after", ReasonLost)
		time.Sleep(time.Minute)
	})
}

func TestLeavingIsReportedAndLosingTheSocketNotYet(t *testing.T) {
	told := make(chan string, 10)
	limits := testLimits
	limits.Grace = config.Duration(time.Hour)
	s, url := start(t, limits, Options{Left: func(id string) { told <- id }})
	ann, bo := pair(t, url, "tea")
	_ = ann.ws.NetConn().Close()
	if got := bo.expect(TypeMember); got.Reason != ReasonLost {
		t.Fatalf("got %+v", got)
	}
	bo.send(`{"type":"leave"}`)
	if got := <-told; got != bo.id {
		t.Errorf("told of %q, want Bo, %q", got, bo.id)
	}
	s.left.mu.Lock()
	defer s.left.mu.Unlock()
	if len(told) != 0 || len(s.left.waiting) != 1 || s.left.waiting[ann.id] == nil {
		t.Errorf("told of %d more, %v waiting, want Ann", len(told), s.left.waiting)
	}
}

func TestShutdownIsNoDeparture(t *testing.T) {
	s, url := start(t, testLimits, Options{Left: func(id string) { t.Errorf("told of %s", id) }}) // no grace
	pair(t, url, "tea")
	_ = s.Shutdown(t.Context())
}

func TestADrainKeepsThoseWhoAreInAndNobodyElse(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	early := dial(t, url)
	s.Drain()
	_, resp, err := (&websocket.Dialer{Subprotocols: []string{Protocol}}).Dial(url, nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("dialing while draining: %v", err)
	}
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
