package signaling

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAnOperatorSeesRoomsAndNothingThatOpensThem(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	ann := dial(t, url)
	ann.send(`{"type":"join","room":"tea","name":"Ann","key":"the key","create":true}`)
	joined := ann.expect(TypeJoined)
	bo := dial(t, url)
	bo.send(`{"type":"join","room":"tea","name":"Bo","key":"the key"}`)
	bo.id = bo.expect(TypeJoined).Self.ID
	ann.expectEvent(EventJoined, bo.id)
	bo.cut()
	ann.expectEvent(EventAway, bo.id)
	cy, _ := seated(t, url, "coffee", "Cy")

	rooms, err := s.Rooms(t.Context())
	if err != nil || len(rooms) != 2 || rooms[0].Name != "coffee" || rooms[0].Keyed || rooms[0].Members[0].ID != cy.id {
		t.Fatalf("got %+v, %v", rooms, err)
	}
	tea, err := s.Room(t.Context(), "tea")
	if err != nil || !tea.Keyed || tea.Locked || tea.Capacity != 2 || tea.ID == "" || len(tea.Members) != 2 {
		t.Fatalf("got %+v, %v", tea, err)
	}
	if got := tea.Members[0]; got.Name != "Ann" || !got.Host || got.Away != "" || !got.AwaySince.IsZero() {
		t.Errorf("Ann is %+v", got)
	}
	if got := tea.Members[1]; got.Name != "Bo" || got.Host || got.Away != ReasonLost || time.Since(got.AwaySince) > patience {
		t.Errorf("Bo is %+v", got)
	}
	text, _ := json.Marshal([]any{rooms, tea})
	for what, secret := range map[string]string{"the key of the room": "the key", "the key of a session": joined.Session.Key} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s is in %s", what, text)
		}
	}
	if _, err := s.Room(t.Context(), "water"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a room that is not there: %v", err)
	}
}

func TestAnOperatorPutsOutAHostAndEndsRooms(t *testing.T) {
	left := make(chan string, 10)
	s, url := start(t, graceful(), Options{Left: func(id string) { left <- id }})
	ann, _ := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	ann.expectEvent(EventJoined, bo.id)

	for _, err := range []error{s.Kick("tea", "m_nobody"), s.Kick("water", ann.id), s.End("water")} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("what is not there: %v", err)
		}
	}
	if err := s.Kick("tea", ann.id); err != nil {
		t.Fatal(err)
	}
	if out := ann.expect(TypeGoaway); out.Reason != ReasonKicked {
		t.Errorf("told %+v", out)
	}
	ann.expectClosed(closeKicked)
	if out := bo.expectEvent(EventLeft, ann.id); out.Reason != ReasonKicked {
		t.Errorf("told %+v", out)
	}
	bo.isHost()
	if id := <-left; id != ann.id {
		t.Errorf("%s has left, want %s", id, ann.id)
	}

	if err := s.End("tea"); err != nil {
		t.Fatal(err)
	}
	if out := bo.expect(TypeGoaway); out.Reason != ReasonEnded {
		t.Errorf("told %+v", out)
	}
	bo.expectClosed(closeRoomGone)
	if id := <-left; id != bo.id {
		t.Errorf("%s has left, want %s", id, bo.id)
	}
	if rooms, err := s.Rooms(t.Context()); err != nil || len(rooms) != 0 {
		t.Errorf("left are %+v, %v", rooms, err)
	}
}
