package signaling

import (
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
	s.order = r.arrived
	r.members = append(r.members, s)
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
	return Member{ID: s.id, Name: s.name, Polite: s.order > viewer.order}
}
