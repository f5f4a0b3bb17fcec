package signaling

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// sweepEvery is how often a node looks for members whose node is gone.
const sweepEvery = 2 * time.Second

// belong begins what a node of a cluster does: it hears what happens to rooms, answers the other
// nodes, and looks after the members of nodes that are gone. Shutdown ends it.
func (s *Server) belong() {
	s.background.Go(func() { s.keepOn("watching the rooms", func() error { return s.cluster.Watch(s.ctx, s.changed) }) })
	s.background.Go(func() { s.keepOn("serving the other nodes", func() error { return s.cluster.Serve(s.ctx, s.serve) }) })
	s.background.Go(func() {
		for s.pause(sweepEvery) {
			s.sweep()
		}
	})
}

// keepOn does what a node cannot be without, again after it has failed, until the server ends.
func (s *Server) keepOn(what string, do func() error) {
	for {
		err := do()
		if s.ctx.Err() != nil {
			return
		}
		s.opts.Log.Error("the cluster does not let this node in", "doing", what, "error", err)
		if !s.pause(time.Second) {
			return
		}
	}
}

// pause waits about as long, and reports false if the server ends.
func (s *Server) pause(about time.Duration) bool {
	timer := time.NewTimer(about/2 + rand.N(about))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// changed is told what happens to any room, on whatever node.
func (s *Server) changed(before, after Room) {
	if v := s.registry.view(after.Name); v != nil {
		s.advance(v, after)
	}
	if s.opts.Left == nil {
		return
	}
	for _, was := range before.Seats { // of whom our relay may hold something
		if was.Node != s.node() && after.Seat(was.ID) == nil {
			s.opts.Left(was.ID)
		}
	}
	for _, gone := range after.Gone { // who came and went between the two
		if before.Seat(gone.ID) == nil && !slices.Contains(before.Gone, gone) && s.registry.find(gone.ID) == nil {
			s.opts.Left(gone.ID)
		}
	}
}

// sweep sets right what nobody else will: of the nodes that live the first by name looks
// after the members of those that are gone, and each after its own.
func (s *Server) sweep() {
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	nodes, err := s.cluster.Nodes(ctx)
	if err != nil {
		return // nobody knows who is gone
	}
	rooms, err := s.store.Rooms(ctx)
	if err != nil {
		return
	}
	first := len(nodes) > 0 && slices.Min(nodes) == s.node()
	for _, room := range rooms {
		if s.mend(&room, nodes, first) { // a copy, which may be old
			s.right(room.Name, nodes, first)
		}
	}
}

// right sets a room right.
func (s *Server) right(name string, nodes []string, first bool) {
	after, err := s.update(name, func(r *Room) error {
		if !s.mend(r, nodes, first) {
			return errNothing
		}
		return nil
	})
	if v := s.registry.view(name); err == nil && v != nil {
		s.advance(v, after)
	}
}

// mend takes out who has been away too long, notes who is away and who is not, and reports whether there was
// anything to do.
func (s *Server) mend(r *Room, nodes []string, first bool) (changed bool) {
	for _, k := range slices.Clone(r.Knocks) {
		if first && !slices.Contains(nodes, k.Node) {
			changed = r.leave(k.ID, ReasonLost) || changed
		}
	}
	for _, seat := range slices.Clone(r.Seats) {
		here := s.registry.find(seat.ID)
		ours := seat.Node == s.node() && here == nil
		orphan := first && seat.Node != s.node() && !slices.Contains(nodes, seat.Node)
		switch {
		case seat.Node == s.node() && seat.Away != "" && here != nil && here.connected(): // we were taken for gone
			back := r.Seat(seat.ID)
			back.Away, back.Since, changed = "", time.Time{}, true
		case !ours && !orphan:
		case seat.Away == "":
			changed = r.part(seat.ID, seat.Node, ReasonLost) || changed
		case time.Since(seat.Since) > s.grace:
			changed = r.leave(seat.ID, ReasonLost) || changed
		}
	}
	return changed
}
