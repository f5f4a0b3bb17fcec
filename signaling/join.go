package signaling

import (
	"cmp"
	"time"
)

// join seats the socket's member, or has it wait until somebody lets it in. The room's view tells it
// and everyone else.
func (r *reader) join(in *Inbound) bool {
	on, refused := r.server.authorize(*in, r.conn.from)
	var m *session
	if refused == nil {
		m, refused = r.server.join(*in, on, r.conn)
	}
	if refused != nil {
		r.fail(*refused)
		return false
	}
	r.seated(m)
	r.log().Info("member joined")
	return true
}

// seated is the beginning of the socket's time as that of a member.
func (r *reader) seated(m *session) {
	r.session, r.since = m, time.Now()
	r.server.joinedOrGone()
}

// join gives the socket a seat in the room that it asks for. A key that does not open the room counts
// against the client's address; while there were too many from there, none is looked at, but who has
// an old seat there takes it as ever.
func (s *Server) join(in Inbound, on terms, c *conn) (*session, *refusal) {
	if s.isClosed() {
		return nil, restarting()
	}
	e := entrant{key: s.sealer.roomKey(in.Room, in.Key), make: in.Create, knock: in.Knock, before: s.before(in, c)}
	if e.key == nil {
		return s.seat(in, on, e, c)
	}
	delayed := s.tryKey(c.from)
	if delayed != nil && e.before == nil {
		return nil, delayed
	}
	if delayed != nil {
		e.key, e.make = wrongKey(), false
	}
	m, refused := s.seat(in, on, e, c)
	wrong := refused != nil && refused.code == CodeBadKey
	switch {
	case wrong && delayed != nil:
		refused = delayed
	case wrong:
		s.stats.wrongKeys.Add(1)
	case delayed == nil:
		s.goodKey(c.from)
	}
	return m, refused
}

func (s *Server) seat(in Inbound, on terms, e entrant, c *conn) (*session, *refusal) {
	m := s.newSession(newID())
	m.extra = on.ICEServers
	ice := s.ice(m)
	m.conn, m.welcome = c, &ice
	if _, refused := s.registry.add(in.Room, m); refused != nil {
		return nil, refused
	}
	e.must = on.returns
	e.seat = Seat{
		ID: m.id, Name: cmp.Or(on.Name, in.Name), Subject: on.Subject,
		Host: on.Role == RoleHost, Guest: on.Role == RoleGuest, Node: s.node(), Keys: newKeys(),
	}
	born := random(9)
	room, err := s.update(in.Room, func(r *Room) error { return r.enter(e, s.registry.capacity(), born) })
	if err != nil {
		if s.registry.drop(m) {
			m.detach(c)
		}
		return nil, refusalOf(err)
	}
	m.view.mu.Lock()
	m.since = room.Revision
	m.view.mu.Unlock()
	s.advance(m.view, room)
	s.stats.joins.Add(1)
	return m, nil
}

// before opens the key of the session that a page had before it was loaded again, and counts one that is forged.
func (s *Server) before(in Inbound, c *conn) *ticket {
	t, forged := s.former(in)
	if forged {
		s.stats.forgedKeys.Add(1)
		_ = s.tryKey(c.from) // whatever else it wants, it has tried one
	}
	return t
}

// former opens the key of an earlier session, nil if there is none of that room.
func (s *Server) former(in Inbound) (t *ticket, forged bool) {
	if in.OldKey == "" {
		return nil, false
	}
	old, authentic := s.sealer.open(in.OldKey)
	if !authentic || old.Session != in.OldSession || old.Room != in.Room {
		return nil, !authentic
	}
	return &old, false
}

// wrongKey is what opens no room.
func wrongKey() []byte { return []byte{0} }
