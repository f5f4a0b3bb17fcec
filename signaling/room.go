package signaling

import (
	"cmp"
	"slices"
	"sync"
)

// room is a name that people meet under. Its mutex guards everything below it; what
// it does is pure, the callers do the talking.
type room struct {
	name     string
	capacity int

	mu      sync.Mutex
	members []*session // in the order in which they came
	arrived uint64     // how many ever came, which orders the members
}

// add gives s the last place in the room, or reports false when it is full.
func (r *room) add(s *session) bool {
	if len(r.members) >= r.capacity {
		return false
	}
	r.arrived++
	s.order, s.room = r.arrived, r
	r.members = append(r.members, s)
	return true
}

// restore gives s, whose order is known, its place in the room again, or reports false
// when it is full, or the order is another's.
func (r *room) restore(s *session) bool {
	at, taken := slices.BinarySearchFunc(r.members, s.order, func(o *session, order uint64) int { return cmp.Compare(o.order, order) })
	if len(r.members) >= r.capacity || taken {
		return false
	}
	r.arrived = max(r.arrived, s.order)
	s.room = r
	r.members = slices.Insert(r.members, at, s)
	return true
}

// remove takes s out and reports whether it was there.
func (r *room) remove(s *session) bool {
	i := slices.Index(r.members, s)
	if i < 0 {
		return false
	}
	r.members = slices.Delete(r.members, i, i+1)
	return true
}

// find returns the member with that id, or nil.
func (r *room) find(id string) *session {
	for _, s := range r.members {
		if s.id == id {
			return s
		}
	}
	return nil
}

// others returns everyone but s.
func (r *room) others(s *session) []*session {
	return slices.DeleteFunc(slices.Clone(r.members), func(o *session) bool { return o == s })
}

// view is how viewer sees s: the one who came later is polite.
func view(viewer, s *session) Member {
	return Member{ID: s.id, Name: s.name, Polite: s.order > viewer.order, Away: s.away()}
}

// views is how viewer sees everyone else.
func (r *room) views(viewer *session) *[]Member {
	others := r.others(viewer)
	members := make([]Member, len(others))
	for i, o := range others {
		members[i] = view(viewer, o)
	}
	return &members
}

// tell tells everyone else what happened to s.
func (r *room) tell(s *session, event Event, reason Reason) {
	for _, o := range r.others(s) {
		seen := view(o, s)
		o.send(Outbound{Type: TypeMember, Event: event, Member: &seen, Reason: reason})
	}
}
