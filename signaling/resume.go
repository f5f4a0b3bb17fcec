package signaling

import (
	"time"

	"github.com/gorilla/websocket"
)

// resume gives a session to the socket that brings its key, and takes it from the one
// that had it: the newest socket wins. All that is wrong with a key is answered alike.
func (r *reader) resume(in Inbound) bool {
	s := r.server
	m, t, refused := s.lookUp(in)
	if refused != nil {
		r.fail(*refused)
		return false
	}
	m.acting.Lock()
	defer m.acting.Unlock()
	ice := s.opts.ICEServers(m.id)
	if !s.attach(m, t, in, r.conn, ice) {
		s.stats.usedKeys.Add(1)
		r.fail(*expired())
		return false
	}
	r.session, r.since = m, time.Now()
	r.log = r.log.With("member", m.id)
	s.joinedOrGone()
	r.log.Info("member resumed")
	return true
}

// lookUp finds the session of a key, or makes it anew if it is of the process before.
func (s *Server) lookUp(in Inbound) (*session, ticket, *refusal) {
	if s.isDraining() {
		return nil, ticket{}, restarting()
	}
	t, authentic := s.sealer.open(in.Key)
	if !authentic || t.Session != in.Session {
		s.stats.forgedKeys.Add(1)
		return nil, t, expired()
	}
	if m := s.registry.find(t.Session); m != nil {
		return m, t, nil
	}
	if s.isClosed() {
		return nil, t, restarting() // the next process makes it anew
	}
	m := s.newSession(t.Session, t.Name, nil)
	m.order, m.restored = t.Order, true
	m.keys = Keys{Generation: t.Generation, Secret: t.Secret}
	m.replay.last = in.Seq
	found, refused := s.registry.restore(t, m)
	if found == m {
		s.stats.away.Add(1)
	}
	return found, t, refused
}

// attach makes c the session's socket if the ticket opens the session. m.acting must
// be held.
func (s *Server) attach(m *session, t ticket, in Inbound, c *conn, ice ICE) bool {
	rm := m.room
	rm.mu.Lock()
	defer rm.mu.Unlock()
	members := rm.views(m)

	m.mu.Lock()
	if m.gone || !m.keys.accept(t, in.Attempt) {
		m.mu.Unlock()
		return false
	}
	s.stopGrace(m)
	missed, lost := m.replay.after(in.Seq)
	lost = lost || m.restored
	if lost {
		missed = nil
		m.replay.clear()
	}
	heard := &m.heard
	if m.restored {
		heard = nil // nobody knows
	}
	c.prime(encode(Outbound{
		Type: TypeResumed, Heard: heard, Seq: m.replay.last - uint64(len(missed)), Lost: &lost, Restored: m.restored,
		Self: &Self{ID: m.id, Name: m.name}, Session: m.issue(s.sealer, s.grace),
		Room: &RoomInfo{Name: rm.name, Capacity: rm.capacity}, Members: members, ICE: &ice, Limits: limits(),
	}), missed, m.replay.last)
	old, restored := m.conn, m.restored
	m.conn, m.restored = c, false
	m.mu.Unlock()

	if old != nil {
		old.close(closeReplaced, "another socket has resumed this session")
	} else {
		s.stats.away.Add(-1)
		rm.tell(m, EventBack, "")
	}
	switch {
	case restored:
		s.stats.restored.Add(1)
	case lost:
		s.stats.lossy.Add(1)
	default:
		s.stats.resumed.Add(1)
	}
	if lost {
		rm.resync(m)
	}
	return true
}

// resync tells each pair of m's to begin a negotiation anew: signals are lost.
func (r *room) resync(m *session) {
	for _, o := range r.others(m) {
		first := o
		if m.order < o.order {
			first = m
		}
		o.send(Outbound{Type: TypeResync, With: m.id, Offerer: first.id})
		m.send(Outbound{Type: TypeResync, With: o.id, Offerer: first.id})
	}
}

// part is the end of c's time as the session's socket, if it still is that: the member
// leaves, or its seat is kept for the grace time.
func (s *Server) part(m *session, c *conn, reason Reason) (left bool) {
	m.acting.Lock()
	defer m.acting.Unlock()
	if !m.holds(c) {
		return false
	}
	keep := reason == ReasonLost || reason == ReasonSlow
	if !keep || s.grace == 0 || s.isDraining() {
		s.remove(m, reason)
		return true
	}
	m.room.mu.Lock()
	defer m.room.mu.Unlock()
	m.mu.Lock()
	m.conn = nil
	m.absences++
	absence := m.absences
	s.graces.Add(1)
	m.graceTimer = time.AfterFunc(s.grace, func() {
		defer s.graces.Done()
		s.expire(m, absence, reason)
	})
	m.mu.Unlock()
	s.stats.away.Add(1)
	m.room.tell(m, EventAway, reason)
	return false
}

// expire ends a session that has not come back from that absence.
func (s *Server) expire(m *session, absence uint64, reason Reason) {
	m.acting.Lock()
	defer m.acting.Unlock()
	m.mu.Lock()
	still := m.conn == nil && m.absences == absence && !m.gone
	m.mu.Unlock()
	if still {
		s.stats.away.Add(-1)
		s.remove(m, reason)
		s.opts.Log.Info("member left", "member", m.id, "reason", reason)
	}
}

// remove takes m out of its room and tells the others, unless all are being sent away.
// m.acting must be held.
func (s *Server) remove(m *session, reason Reason) {
	draining := s.isDraining()
	s.registry.leave(m, func() {
		m.end()
		if !draining {
			m.room.tell(m, EventLeft, reason)
		}
	})
	if s.opts.Left != nil && !draining {
		s.opts.Left(m.id)
	}
}

// stopGrace ends the wait for a session that is away. m.mu must be held.
func (s *Server) stopGrace(m *session) {
	if m.graceTimer != nil && m.graceTimer.Stop() {
		s.graces.Done()
	}
	m.graceTimer = nil
}

// forgetAway ends every session that is away, of a server that ends.
func (s *Server) forgetAway() {
	for _, m := range s.registry.all() {
		m.acting.Lock()
		m.mu.Lock()
		away := m.conn == nil
		s.stopGrace(m)
		m.mu.Unlock()
		if away {
			s.stats.away.Add(-1)
			s.remove(m, ReasonDrain)
		}
		m.acting.Unlock()
	}
	s.graces.Wait()
}

func limits() *Limits {
	return &Limits{MessageBytes: MaxMessageBytes, QueueMessages: queueMessages, QueueBytes: queueBytes}
}

func restarting() *refusal {
	return &refusal{CodeUnavailable, "The server is restarting.", ActionRejoin, websocket.CloseServiceRestart}
}
