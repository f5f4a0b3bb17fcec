package signaling

import (
	"cmp"
	"time"
)

// join seats the socket's member, or has it wait until somebody lets it in. The room's view tells it
// and everyone else.
func (r *reader) join(in Inbound) bool {
	on, refused := r.server.authorize(in, r.client)
	var m *session
	if refused == nil {
		m, refused = r.server.join(in, on, r.conn)
	}
	if refused != nil {
		r.fail(*refused)
		return false
	}
	r.seated(m)
	r.log.Info("member joined")
	return true
}

// seated is the beginning of the socket's time as that of a member.
func (r *reader) seated(m *session) {
	r.session, r.since = m, time.Now()
	r.log = r.log.With("member", m.id)
	r.server.joinedOrGone()
}

func (s *Server) join(in Inbound, on terms, c *conn) (*session, *refusal) {
	if s.isClosed() {
		return nil, restarting()
	}
	m := s.newSession(newID())
	m.extra = on.ICEServers
	ice := s.ice(m)
	m.conn, m.welcome = c, &ice
	if _, refused := s.registry.add(in.Room, m); refused != nil {
		return nil, refused
	}
	e := entrant{
		seat: Seat{
			ID: m.id, Name: cmp.Or(on.Name, in.Name), Subject: on.Subject,
			Host: on.Role == RoleHost, Guest: on.Role == RoleGuest, Node: s.node(), Keys: newKeys(),
		},
		key:    s.sealer.roomKey(in.Room, in.Key),
		make:   in.Create,
		knock:  in.Knock,
		before: s.before(in),
		must:   on.returns,
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

// before opens the key of the session that a page had before it was loaded again.
func (s *Server) before(in Inbound) *ticket {
	if in.OldKey == "" {
		return nil
	}
	t, authentic := s.sealer.open(in.OldKey)
	if !authentic || t.Session != in.OldSession || t.Room != in.Room {
		return nil
	}
	return &t
}
