package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// deliveryTimeout is how long a message may take to another node.
const deliveryTimeout = 2 * time.Second

// A message follows a member that moves from node to node that often, and waits that long in
// between: a node that lives may not be heard of everywhere yet.
const (
	deliveries    = 10
	deliveryPause = 50 * time.Millisecond
)

// What a node asks of another.
const (
	opDeliver = "deliver"
	opTake    = "take"
)

// request is what one node asks of another.
type request struct {
	Op      string    `json:"op"`
	Room    string    `json:"room"`
	Session string    `json:"session"` // that is meant
	From    string    `json:"from,omitempty"`
	Out     *Outbound `json:"out,omitempty"`
}

// answer is what the other node says: whether it has the session, and what it had of it.
type answer struct {
	Here     bool      `json:"here"`
	Handover *handover `json:"handover,omitempty"`
}

// handover is what is kept of a session that goes to another node.
type handover struct {
	Last   uint64            `json:"last"`
	Frames []json.RawMessage `json:"frames,omitempty"`
	Heard  uint64            `json:"heard"`
	// Seen is the room as the session's member knows it.
	Seen Room `json:"seen"`
}

// deliver hands a message to another member of m's room, on whatever node it is. When it returns nil
// the message is in the member's session. If the member's node is gone, that is
// ErrUnavailable, and the member will be told to begin anew when it comes back.
func (s *Server) deliver(m *session, to string, out *Outbound) error {
	if here, ok, _ := m.view.hand(s.node(), to, out); here && ok { // as nearly always
		return nil
	}
	return s.pursue(m, to, out)
}

// pursue delivers to a member that is not simply here.
func (s *Server) pursue(m *session, to string, local *Outbound) error {
	out := *local // so that those who deliver nearby need no heap
	ctx, cancel := context.WithTimeout(s.ctx, deliveryTimeout)
	defer cancel()
	for range deliveries {
		m.view.mu.Lock()
		seat := m.view.room.Seat(to)
		m.view.mu.Unlock()
		switch {
		case seat == nil:
			return notHere()
		case seat.Node == s.node():
			if s.receive(ctx, m.view, to, &out) {
				return nil
			}
			return notHere() // it is leaving
		}
		known := seat.Node
		reply, err := s.call(ctx, known, request{Op: opDeliver, Room: m.view.name, Session: to, From: m.id, Out: &out})
		if err == nil && reply.Here || err != nil && !errors.Is(err, ErrNoNode) {
			return err
		}
		// It has moved, or its node is gone.
		room, err := s.store.Room(ctx, m.view.name)
		if err != nil {
			return err
		}
		s.advance(m.view, room)
		if seat := room.Seat(to); seat != nil && seat.Node == known {
			select {
			case <-time.After(deliveryPause):
			case <-ctx.Done():
				return ErrUnavailable
			}
		}
	}
	return ErrUnavailable
}

// receive puts a message into the session of a member that is here, and reports false if there
// is none. It waits for one that is just being handed over.
func (s *Server) receive(ctx context.Context, v *view, to string, out *Outbound) bool {
	for {
		here, ok, told := v.hand(s.node(), to, out)
		if here || told == nil {
			return ok
		}
		select {
		case <-told:
		case <-ctx.Done():
			return false
		}
	}
}

// hand puts a message into the session of a member that is here. ok says that the session is not
// over. A session that is just being handed over is not here yet, until told is closed.
func (v *view) hand(node, to string, out *Outbound) (here, ok bool, told <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seat, m := v.room.Seat(to), v.find(to)
	switch {
	case m == nil || seat == nil || seat.Node != node:
		return false, false, nil
	case !m.told:
		return false, false, m.ready
	}
	return true, m.send(out), nil
}

// call asks another node.
func (s *Server) call(ctx context.Context, node string, req request) (reply answer, err error) {
	asked, err := json.Marshal(req)
	if err != nil {
		return reply, err
	}
	answered, err := s.cluster.Call(ctx, node, asked)
	if err != nil {
		return reply, err
	}
	return reply, json.Unmarshal(answered, &reply)
}

// serve answers another node.
func (s *Server) serve(ctx context.Context, asked []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	var (
		req   request
		reply answer
	)
	if err := json.Unmarshal(asked, &req); err != nil {
		s.opts.Log.Warn("another node asks nonsense", "error", err)
	}
	switch {
	case req.Op == opDeliver && req.Out != nil:
		reply.Here = s.accept(ctx, req)
	case req.Op == opTake:
		reply.Handover = s.handOver(req)
		reply.Here = reply.Handover != nil
	}
	frame, err := json.Marshal(reply)
	if err != nil {
		panic("signaling: " + err.Error()) // there is nothing in it that can fail
	}
	return frame
}

// accept receives a message from another node. Whoever sent it has been announced before.
func (s *Server) accept(ctx context.Context, req request) bool {
	v := s.registry.view(req.Room)
	if v == nil {
		return false
	}
	v.mu.Lock()
	stranger := v.room.Seat(req.From) == nil
	v.mu.Unlock()
	if stranger {
		room, err := s.store.Room(ctx, req.Room)
		if err != nil {
			return false
		}
		s.advance(v, room)
		if room.Seat(req.From) == nil {
			return true // it has left meanwhile: nobody misses what it said
		}
	}
	return s.receive(ctx, v, req.Session, req.Out)
}

// handedOver asks the node that had the session for what it kept, nil if it has nothing.
func (s *Server) handedOver(m *session, from string) *handover {
	if from == "" || from == s.node() {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, deliveryTimeout)
	defer cancel()
	reply, err := s.call(ctx, from, request{Op: opTake, Room: m.view.name, Session: m.id})
	if err != nil {
		s.opts.Log.Warn("a session comes without what its node kept", "member", m.id, "node", from, "error", err)
	}
	return reply.Handover
}

// handOver gives away what is kept of a session that another node has now.
func (s *Server) handOver(req request) *handover {
	m := s.registry.find(req.Session)
	if m == nil {
		return nil
	}
	m.acting.Lock()
	defer m.acting.Unlock()
	m.view.mu.Lock()
	seen, told := m.view.room.Clone(), m.told
	m.mu.Lock()
	rest := &handover{Last: m.replay.last, Heard: m.heard, Seen: seen}
	for _, frame := range m.replay.frames {
		rest.Frames = append(rest.Frames, frame)
	}
	usable := told && !m.gone && !m.anew
	m.gone = true
	m.mu.Unlock()
	m.view.mu.Unlock()
	s.dismiss(m, reasonMoved)
	if !usable {
		return nil
	}
	return rest
}

// adopt takes over what another node has kept, nil if that is not known.
func (m *session) adopt(from string, node string, rest *handover, seq uint64) {
	if from == "" || from == node {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replay.clear()
	m.anew = rest == nil
	if rest == nil {
		m.replay.last = seq
		return
	}
	m.heard = rest.Heard
	m.replay.last = rest.Last - uint64(len(rest.Frames))
	for _, frame := range rest.Frames {
		m.replay.add(frame)
	}
}
