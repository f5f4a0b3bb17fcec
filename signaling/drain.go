package signaling

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/gorilla/websocket"
)

// How those who are sent away come back: soon, but not all at once. A server takes some
// hundreds of resumes a second.
const (
	soonestReturn = 300 * time.Millisecond
	returnSpread  = time.Second          // at least
	perReturn     = 2 * time.Millisecond // of the spread, for each that comes back
)

// handoverTime is how long a node waits at its end for others to ask for what it has kept. Members
// come back sooner.
const handoverTime = 3 * time.Second

// Drain lets nobody join from now on. Those who are in a room stay, may go on talking, and
// may resume. With a window, because other nodes can take them, they are asked one after the other over that time to come
// back, and get in there; calls go on meanwhile. Drained says when they are gone.
func (s *Server) Drain(window time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if window == 0 || s.moving || s.draining {
		return
	}
	s.moving = true
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns { // in no order
		conns = append(conns, c)
	}
	s.background.Go(func() { s.sendAway(conns, window) })
}

// Drained reports whether a drain has nobody left whom another node can take.
func (s *Server) Drained() bool {
	s.mu.Lock()
	moving, sockets := s.moving, len(s.conns)
	s.mu.Unlock()
	_, members := s.registry.size()
	return !moving || sockets == 0 && members == 0
}

// sendAway asks the clients to come back, evenly over window, until the server ends.
func (s *Server) sendAway(conns []*conn, window time.Duration) {
	began := time.Now()
	for i, c := range conns {
		timer := time.NewTimer(time.Until(began.Add(window * time.Duration(i) / time.Duration(len(conns)))))
		select {
		case <-timer.C:
			goAway(c, returnSpread)
		case <-s.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// comebackSpread is over how long those come back who are all sent away now, well within the
// grace time. s.mu must be held.
func (s *Server) comebackSpread() time.Duration {
	return max(returnSpread, min(time.Duration(len(s.conns))*perReturn, s.grace/2))
}

// goAway closes a socket and tells its client when to come back, within spread.
func goAway(c *conn, spread time.Duration) {
	in := soonestReturn + rand.N(spread)
	c.enqueue(encode(&Outbound{Type: TypeGoaway, Reason: ReasonDrain, ReconnectInMS: in.Milliseconds()}), 0)
	c.close(websocket.CloseServiceRestart, "the server is restarting")
}

// awaitHandovers waits until others have what is kept here, for a moment.
func (s *Server) awaitHandovers(ctx context.Context) {
	if !s.othersLive() { //nolint:contextcheck // it has a deadline of its own
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(s.registry.all()) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// othersLive reports whether there are other nodes.
func (s *Server) othersLive() bool {
	if s.cluster == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	nodes, err := s.cluster.Nodes(ctx)
	return err == nil && len(nodes) > 1
}
