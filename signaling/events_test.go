package signaling

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// diary writes down what it is told.
type diary struct {
	mu     sync.Mutex
	events []RoomEvent
}

func (d *diary) note(e RoomEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// all is what was written down so far.
func (d *diary) all() []RoomEvent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// lines is the diary in words: type, member and reason.
func (d *diary) lines() []string {
	var lines []string
	for _, e := range d.all() {
		line := string(e.Type)
		if e.Member != nil {
			line += " " + e.Member.Name
		}
		if e.Reason != "" {
			line += " " + string(e.Reason)
		}
		lines = append(lines, line)
	}
	return lines
}

// holds waits until the diary has these lines.
func (d *diary) holds(t *testing.T, want ...string) {
	t.Helper()
	within(t, "so many events", func() bool { return len(d.lines()) >= len(want) })
	if got := d.lines(); !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEventsTellTheLifeOfARoomInOrder(t *testing.T) {
	var told diary
	limits := graceful()
	_, url := start(t, limits, Options{Events: told.note})
	ann, _ := seated(t, url, "tea", "Ann")
	bo, joined := seated(t, url, "tea", "Bo")
	bo.cut()
	ann.expectEvent(EventJoined, bo.id)
	ann.expectEvent(EventAway, bo.id)
	bo, _ = bo.resume(t, url, joined.Session, 1, "a")
	ann.expectEvent(EventBack, bo.id)
	ann.send(`{"type":"lock","locked":true}`) // nobody came or went
	ann.expect(TypeRoom)
	ann.send(`{"type":"kick","to":%q}`, bo.id)
	ann.expectEvent(EventLeft, bo.id)
	ann.send(`{"type":"leave"}`)
	ann.expectClosed(websocket.CloseNormalClosure)
	told.holds(t,
		"room.opened", "member.joined Ann", "member.joined Bo", "member.away Bo lost", "member.back Bo",
		"member.left Bo kicked", "member.left Ann left", "room.closed")

	first := told.all()[0]
	revision := uint64(0)
	for _, e := range told.all() {
		if e.Room != "tea" || e.RoomID == "" || e.RoomID != first.RoomID || e.Revision < revision || e.At.IsZero() {
			t.Errorf("got %+v after revision %d of %+v", e, revision, first)
		}
		revision = e.Revision
	}
	if told.all()[2].Members != 2 || told.all()[2].Member.Host || !told.all()[1].Member.Host || told.all()[7].Members != 0 {
		t.Errorf("got %+v", told.all())
	}
	seated(t, url, "tea", "Cy")
	if again := told.all()[8]; again.Type != RoomOpened || again.RoomID == first.RoomID {
		t.Errorf("the next room of that name: %+v", again)
	}
}

func TestAnEndedRoomIsLeftByAllBeforeItCloses(t *testing.T) {
	var told diary
	_, url := start(t, three(), Options{Events: told.note})
	ann, _ := pair(t, url, "tea")
	ann.send(`{"type":"end"}`)
	ann.expectClosed(closeRoomGone)
	told.holds(t, "room.opened", "member.joined Ann", "member.joined Bo", "member.left Ann ended", "member.left Bo ended", "room.closed")
}

func TestARestartIsNoEndOfARoom(t *testing.T) {
	key := make([]byte, KeySize)
	_, url := start(t, graceful(), Options{SessionKey: key})
	ann, joined := seated(t, url, "tea", "Ann")
	var told diary
	_, url = start(t, graceful(), Options{SessionKey: key, Events: told.note})
	ann.resume(t, url, joined.Session, 1, "a")
	told.holds(t, "member.back Ann")
}

func TestEventsAreInOrderWhoeverIsFaster(t *testing.T) {
	var told diary
	s, _ := start(t, three(), Options{Events: told.note})
	var each sync.WaitGroup
	for n := range 8 {
		each.Go(func() {
			for range 50 {
				m, refused := s.join(Inbound{Room: "tea", Name: fmt.Sprint(n)}, terms{}, unconnected())
				if refused != nil {
					continue // it is full
				}
				m.acting.Lock()
				s.remove(m, ReasonLeft)
				m.acting.Unlock()
			}
		})
	}
	each.Wait()
	revision, inside := uint64(0), 0
	for _, e := range told.all() {
		switch e.Type {
		case MemberJoined:
			inside++
		case MemberLeft:
			inside--
		}
		if e.Revision < revision || inside != e.Members && e.Type != RoomOpened {
			t.Fatalf("%d inside after %+v, before it was revision %d", inside, e, revision)
		}
		revision = e.Revision
	}
	if inside != 0 || revision == 0 {
		t.Errorf("%d inside at the end, revision %d", inside, revision)
	}
}
