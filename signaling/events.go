package signaling

import "time"

// RoomEventType is what happened to a room, or to a member of it.
type RoomEventType string

// What happens in rooms.
const (
	RoomOpened   RoomEventType = "room.opened"
	RoomClosed   RoomEventType = "room.closed"
	MemberJoined RoomEventType = "member.joined"
	MemberLeft   RoomEventType = "member.left"
	MemberAway   RoomEventType = "member.away" // it has lost its socket and keeps its seat
	MemberBack   RoomEventType = "member.back"
)

// RoomEvent is one thing that happened, for Options.Events.
type RoomEvent struct {
	Type RoomEventType
	At   time.Time
	Room string
	// RoomID tells the room from one that had its name before.
	RoomID string
	// Revision grows with each change of the room; the events of one change share it.
	Revision uint64
	// Members is how many the room holds after the change.
	Members int
	// Member is whom it happened to. Nil: to the room.
	Member *RoomMember
	// Reason is why it left or is away.
	Reason Reason
}

// RoomMember is a member, for those who run the service.
type RoomMember struct {
	ID, Name string
	// Subject is Grant.Subject.
	Subject string
	Host    bool
}

// report tells Options.Events how the one state of a room has become the other.
func (s *Server) report(before, after Room) {
	if s.opts.Events == nil {
		return
	}
	for _, event := range events(before, after, time.Now()) {
		s.opts.Events(event)
	}
}

// events are what lies between two states of a room: it opens before anybody joins and
// closes when everybody has left. Members of an earlier process who have come back never left, and nor was
// their room ever closed.
func events(before, after Room, at time.Time) (happened []RoomEvent) {
	add := func(kind RoomEventType, seat *Seat, reason Reason) {
		event := RoomEvent{Type: kind, At: at, Room: after.Name, RoomID: after.Born, Revision: after.Revision, Members: len(after.Seats), Reason: reason}
		if event.RoomID == "" {
			event.RoomID = before.Born
		}
		if seat != nil {
			event.Member = &RoomMember{ID: seat.ID, Name: seat.Name, Subject: seat.Subject, Host: seat.Host}
		}
		happened = append(happened, event)
	}
	if before.Empty() && !after.Empty() && !after.Seats[0].Restored {
		add(RoomOpened, nil, "")
	}
	for _, was := range before.Seats {
		if after.Seat(was.ID) == nil {
			add(MemberLeft, &was, after.why(was.ID))
		}
	}
	for _, is := range after.Seats {
		was := before.Seat(is.ID)
		switch {
		case was == nil && is.Restored:
			add(MemberBack, &is, "")
		case was == nil:
			add(MemberJoined, &is, "")
		case was.Away == "" && is.Away != "":
			add(MemberAway, &is, is.Away)
		case was.Away != "" && is.Away == "":
			add(MemberBack, &is, "")
		}
	}
	if !before.Empty() && after.Empty() {
		add(RoomClosed, nil, "")
	}
	return happened
}
