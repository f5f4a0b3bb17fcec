package signaling

import "errors"

// What a member may do to its room and to those in it. The room's view tells everyone.

// act does what a message asks for, or says why not.
func (s *Server) act(m *session, in *Inbound) *refusal {
	ask := *in
	room, err := s.update(m.view.name, func(r *Room) error { return r.act(m.id, ask) })
	switch {
	case errors.Is(err, errNothing):
		return nil
	case err != nil:
		return refusalOf(err)
	}
	s.advance(m.view, room)
	return nil
}

// act changes the room as its member asks.
func (r *Room) act(by string, in Inbound) error {
	seat := r.Seat(by)
	if seat == nil {
		return notHere()
	}
	host := in.Type == TypeLock || in.Type == TypeKick || in.Type == TypeEnd
	if host && !seat.Host {
		return &refusal{CodeForbidden, "Only a host of the room may do that.", ActionRetry, 0, 0}
	}
	switch in.Type {
	case TypeLock:
		if r.Locked == in.Locked {
			return errNothing
		}
		r.Locked = in.Locked
	case TypeEnd:
		r.end(ReasonEnded)
	case TypeKick:
		if in.To == by || r.Seat(in.To) == nil {
			return notHere()
		}
		r.leave(in.To, ReasonKicked)
	case TypeAdmit:
		return r.admit(in.ID)
	case TypeRefuse:
		if r.knock(in.ID) < 0 {
			return notHere()
		}
		r.leave(in.ID, ReasonRefused)
	}
	return nil
}
