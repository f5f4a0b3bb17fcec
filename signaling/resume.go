package signaling

import (
	"errors"
	"time"

	"github.com/gorilla/websocket"
)

// Why a room was left as it is.
var (
	errNothing = errors.New("there is nothing to change")
	errMoved   = errors.New("another node has the session now")
)

// errUsed is a key that was good once, or never.
var errUsed = errors.New("the key does not open the session")

// resume gives a session to the socket that brings its key, and takes it from the one
// that had it, on whatever node: the newest socket wins. All that is wrong with a key is answered alike.
func (r *reader) resume(in *Inbound) bool {
	m, refused := r.server.resume(*in, r.conn)
	if refused != nil {
		r.fail(*refused)
		return false
	}
	r.seated(m)
	r.log().Info("member resumed")
	return true
}

func (s *Server) resume(in Inbound, c *conn) (*session, *refusal) {
	if s.isDraining() {
		return nil, restarting()
	}
	t, authentic := s.sealer.open(in.Key)
	if !authentic || t.Session != in.Session {
		s.stats.forgedKeys.Add(1)
		if delayed := s.tryKey(c.from); delayed != nil {
			return nil, delayed
		}
		return nil, expired()
	}
	m, refused := s.claim(t, in.Seq)
	if refused != nil {
		return nil, refused
	}
	defer m.acting.Unlock()
	ice := s.ice(m)
	from, room, err := s.take(m, t, in.Attempt)
	if err == nil {
		rest := s.handedOver(m, from)
		m.adopt(from, s.node(), rest, in.Seq)
		err = s.attach(m, rest, in, room, c, &ice)
	}
	if err == nil {
		return m, nil
	}
	s.abandon(m)
	if errors.Is(err, errUsed) {
		s.stats.usedKeys.Add(1)
		return nil, expired()
	}
	return nil, refusalOf(err)
}

// claim returns the session of a ticket with its acting held: the one that is here, or one
// that is made for it.
func (s *Server) claim(t ticket, seq uint64) (*session, *refusal) {
	for {
		m := s.registry.find(t.Session)
		if m == nil {
			if s.isClosed() && s.cluster == nil {
				return nil, restarting() // the next process makes it anew
			}
			m = s.newSession(t.Session)
			m.anew, m.ready, m.extra = true, make(chan struct{}), t.Extra
			m.replay.last = seq
			var refused *refusal
			if m, refused = s.registry.add(t.Room, m); refused != nil {
				return nil, refused
			}
		}
		m.acting.Lock()
		if s.registry.find(t.Session) == m {
			return m, nil
		}
		m.acting.Unlock() // it ended meanwhile
	}
}

// take makes this node the one that has the session, if the ticket opens it, and says
// which one had it. m.acting must be held.
func (s *Server) take(m *session, t ticket, attempt string) (from string, room Room, err error) {
	room, err = s.update(t.Room, func(r *Room) error {
		seat := r.Seat(m.id)
		if seat == nil {
			if !s.earlier.may(m.id) {
				return expired()
			}
			if err := r.restore(t, s.registry.capacity()); err != nil {
				return err
			}
			seat = r.Seat(m.id)
		}
		if !seat.Keys.accept(t, attempt) {
			return errUsed
		}
		from = seat.Node
		seat.Node, seat.Away, seat.Since = s.node(), "", time.Time{}
		return nil
	})
	return from, room, err
}

// abandon forgets a session that was made for a resume that came to nothing.
func (s *Server) abandon(m *session) {
	m.mu.Lock()
	unused := m.anew && m.conn == nil
	m.mu.Unlock()
	if unused && s.registry.drop(m) {
		m.end(ReasonLost)
	}
}

// attach makes c the socket of the session, whose seat is this node's since room. rest is what another node
// has handed over of it. m.acting must be held.
func (s *Server) attach(m *session, rest *handover, in Inbound, room Room, c *conn, ice *ICE) error {
	v := m.view
	s.advance(v, room)
	lost, err := s.connect(m, rest, in, c, ice)
	if err == nil && lost {
		s.resync(m)
	}
	return err
}

// connect tells c what it has missed, and from then on it hears the rest.
func (s *Server) connect(m *session, rest *handover, in Inbound, c *conn, ice *ICE) (lost bool, err error) {
	v := m.view
	v.mu.Lock()
	defer v.mu.Unlock()
	seat := v.room.Seat(m.id)
	if seat == nil || seat.Node != s.node() || v.find(m.id) != m {
		return false, errUsed // somebody was faster still
	}
	if rest != nil {
		s.tell(m, rest.Seen, v.room, *seat)
	}
	if !m.told {
		m.told = true
		close(m.ready)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	old, anew := m.conn, m.anew
	s.stopGrace(m)
	missed, lost := m.replay.after(in.Seq)
	if lost = lost || anew; lost {
		missed = nil
		m.replay.clear()
	}
	heard := &m.heard
	if anew {
		heard = nil // nobody knows
	}
	restored := anew && s.cluster == nil
	c.prime(encode(&Outbound{
		Type: TypeResumed, Heard: heard, Seq: m.replay.last - uint64(len(missed)), Lost: &lost, Restored: restored,
		Self: self(*seat), Session: s.issue(m, v.room),
		Room: v.room.info(), Members: v.room.members(*seat), ICE: ice, Limits: limits(),
	}), missed, m.replay.last)
	m.conn, m.anew = c, false

	if old != nil {
		old.close(closeReplaced, "another socket has resumed this session")
	}
	switch {
	case restored:
		s.stats.restored.Add(1)
	case lost:
		s.stats.lossy.Add(1)
	default:
		s.stats.resumed.Add(1)
	}
	return lost, nil
}

// resync tells each pair of m's to begin a negotiation anew: signals are lost.
func (s *Server) resync(m *session) {
	m.view.mu.Lock()
	room := m.view.room
	m.view.mu.Unlock()
	me := room.Seat(m.id)
	if me == nil {
		return
	}
	for _, o := range room.Seats {
		if o.ID == m.id {
			continue
		}
		first := o.ID
		if me.Order < o.Order {
			first = m.id
		}
		_ = s.deliver(m, o.ID, &Outbound{Type: TypeResync, With: m.id, Offerer: first}) // who cannot be reached is told when it resumes
		m.send(&Outbound{Type: TypeResync, With: o.ID, Offerer: first})
	}
}

// part is the end of c's time as the session's socket, if it still is that: the member
// leaves, or its seat is kept for the grace time.
func (s *Server) part(m *session, c *conn, reason Reason) (left bool) {
	m.acting.Lock()
	defer m.acting.Unlock()
	draining := s.isDraining()
	v := m.view
	v.mu.Lock()
	waits := !m.told
	v.mu.Unlock()
	grace := s.grace
	if reason == ReasonLeft {
		grace = min(grace, m.returns)
	}
	keep := !waits && (reason == ReasonLost || reason == ReasonSlow || reason == ReasonLeft) && grace > 0 && (!draining || s.cluster != nil)

	m.mu.Lock()
	if m.conn != c {
		m.mu.Unlock()
		return false
	}
	m.conn = nil
	if keep && !draining {
		m.absences++
		absence := m.absences
		s.graces.Add(1)
		m.graceTimer = time.AfterFunc(grace, func() {
			defer s.graces.Done()
			s.expire(m, absence, reason)
		})
	}
	m.mu.Unlock()
	if !keep {
		s.remove(m, reason)
		return true
	}
	if draining { // another node takes it
		return false
	}
	room, err := s.update(v.name, func(r *Room) error {
		if !r.part(m.id, s.node(), reason) {
			return errNothing
		}
		return nil
	})
	if err == nil {
		s.advance(v, room)
	}
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
		s.remove(m, reason)
		s.opts.Log.Info("member left", "member", m.id, "reason", reason)
	}
}

// remove takes m out of its room and tells the others, unless all are being sent away.
// m.acting must be held.
func (s *Server) remove(m *session, reason Reason) {
	if s.isDraining() {
		reason = ReasonDrain
	} else {
		room, err := s.update(m.view.name, func(r *Room) error {
			switch seat := r.Seat(m.id); {
			case seat != nil && seat.Node != s.node():
				return errMoved
			case !r.leave(m.id, reason):
				return errNothing
			}
			return nil
		})
		if err == nil {
			s.advance(m.view, room)
		}
		if errors.Is(err, errMoved) {
			reason = reasonMoved
		}
	}
	s.dismiss(m, reason) // whatever the store could do: here it is over
}

// dismiss ends a session that has no seat any more, once.
func (s *Server) dismiss(m *session, reason Reason) {
	if !s.registry.drop(m) {
		return
	}
	m.mu.Lock()
	s.stopGrace(m)
	m.mu.Unlock()
	m.end(reason)
	if reason == ReasonDrain || reason == reasonMoved {
		return
	}
	s.earlier.over(m.id)
	if s.opts.Left != nil {
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

// forgetAway ends every session that is left, of a server that ends.
func (s *Server) forgetAway() {
	for _, m := range s.registry.all() {
		m.acting.Lock()
		s.remove(m, ReasonDrain)
		m.acting.Unlock()
	}
	s.graces.Wait()
}

func limits() *Limits {
	return &Limits{MessageBytes: MaxMessageBytes, QueueMessages: queueMessages, QueueBytes: queueBytes}
}

func restarting() *refusal {
	return &refusal{CodeUnavailable, "The server is restarting.", ActionRejoin, websocket.CloseServiceRestart, unavailableRetry.Milliseconds()}
}
