package signaling

import (
	"slices"
	"sync"
)

// view is a room as the members on this node know it. What they are told follows from the
// difference between what they know and a newer state, so that each of them hears
// everything once, in the same order, however the news came here.
type view struct {
	name string

	mu      sync.Mutex
	room    Room       // the newest state that they know
	members []*session // those whose session is here, and those who are about to get a seat
}

// advance takes over a newer state and tells the members here. It returns the sessions that have
// no seat any more: the caller dismisses them, without v.mu.
func (s *Server) advance(v *view, next Room) {
	v.mu.Lock()
	before := v.room
	if next.Revision > before.Revision {
		v.room = next
	}
	var gone []*session
	for _, m := range v.members {
		if !s.follow(m, before, v.room) {
			gone = append(gone, m)
		}
	}
	room := v.room
	v.mu.Unlock()
	for _, m := range gone {
		s.dismiss(m, room.why(m.id))
	}
}

// follow tells m what has changed, and reports false if it has no seat any more. m.view.mu
// must be held.
func (s *Server) follow(m *session, before, now Room) bool {
	seat := now.Seat(m.id)
	switch {
	case seat == nil && now.knock(m.id) >= 0:
		m.wait()
	case seat == nil:
		return m.since == 0 || m.since > now.Revision // its seat is newer than what is known here
	case seat.Node != s.node():
		m.displace()
	case m.told:
		s.tell(m, before, now, *seat)
	case m.welcome != nil: // else a resume, which attach tells
		m.told = true
		m.send(&Outbound{
			Type: TypeJoined, Self: self(*seat), Session: s.issue(m, now),
			Room: now.info(), Members: now.members(*seat), ICE: m.welcome, Limits: limits(),
		})
		m.welcome = nil
	}
	return true
}

// tell sends m what has changed for it between two states of its room.
func (s *Server) tell(m *session, before, now Room, seat Seat) {
	for _, out := range changes(before, now, seat) {
		m.send(&out)
	}
	if was := before.Seat(m.id); before.Locked != now.Locked || was != nil && was.Host != seat.Host {
		m.send(&Outbound{Type: TypeRoom, Self: self(seat), Room: now.info(), Session: s.issue(m, now)})
	}
}

// changes is what a member is told of the others when the one state follows the other.
func changes(before, now Room, viewer Seat) (news []Outbound) {
	event := func(event Event, seat Seat, reason Reason) {
		seen := member(viewer, seat)
		news = append(news, Outbound{Type: TypeMember, Event: event, Member: &seen, Reason: reason})
	}
	for _, was := range before.Seats {
		if was.ID != viewer.ID && now.Seat(was.ID) == nil {
			event(EventLeft, was, now.why(was.ID))
		}
	}
	for _, is := range now.Seats {
		was := before.Seat(is.ID)
		switch {
		case is.ID == viewer.ID:
		case was == nil && is.Restored:
			event(EventBack, is, "")
		case was == nil:
			event(EventJoined, is, "")
		case was.Away == "" && is.Away != "":
			event(EventAway, is, is.Away)
		case was.Away != "" && is.Away == "":
			event(EventBack, is, "")
		case was.Host != is.Host:
			event(EventHost, is, "")
		}
	}
	for _, was := range before.Knocks {
		if now.knock(was.ID) < 0 {
			news = append(news, Outbound{Type: TypeKnock, Event: EventGone, Knock: &Knocker{ID: was.ID, Name: was.Name}})
		}
	}
	for _, is := range now.Knocks {
		if before.knock(is.ID) < 0 {
			news = append(news, Outbound{Type: TypeKnock, Event: EventAsked, Knock: &Knocker{ID: is.ID, Name: is.Name}})
		}
	}
	return news
}

// member is how viewer sees another: the one who came later is polite.
func member(viewer, seat Seat) Member {
	return Member{ID: seat.ID, Name: seat.Name, Polite: seat.Order > viewer.Order, Away: seat.Away != "", Host: seat.Host}
}

// members is how viewer sees everyone else.
func (r *Room) members(viewer Seat) *[]Member {
	members := make([]Member, 0, len(r.Seats))
	for _, seat := range r.Seats {
		if seat.ID != viewer.ID {
			members = append(members, member(viewer, seat))
		}
	}
	return &members
}

func (r *Room) info() *RoomInfo {
	info := &RoomInfo{Name: r.Name, Capacity: r.Capacity, Locked: r.Locked}
	for _, k := range r.Knocks {
		info.Knocks = append(info.Knocks, Knocker{ID: k.ID, Name: k.Name})
	}
	return info
}

func self(seat Seat) *Self { return &Self{ID: seat.ID, Name: seat.Name, Host: seat.Host} }

// find returns the session of a member that is here, or nil. v.mu must be held.
func (v *view) find(id string) *session {
	i := slices.IndexFunc(v.members, func(m *session) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	return v.members[i]
}
