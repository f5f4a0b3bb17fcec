package signaling

import (
	"maps"
	"slices"
	"sync"

	"github.com/duetcall/duet/config"
)

// refusal is why something may not be, in the protocol's terms.
type refusal struct {
	code    Code
	message string
	action  Action
	close   int // 0: the socket stays open
	retryMS int64
}

func (r *refusal) Error() string { return r.message }

// registry knows the rooms and the sessions of this node, and keeps their numbers within
// bounds. Its lock comes before that of any view.
type registry struct {
	mu       sync.Mutex
	limits   config.Signaling
	views    map[string]*view
	sessions map[string]*session
}

func newRegistry(limits config.Signaling) *registry {
	return &registry{limits: limits, views: make(map[string]*view), sessions: make(map[string]*session)}
}

// limit sets the limits from now on.
func (g *registry) limit(limits config.Signaling) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = limits
}

// capacity is how many a new room holds.
func (g *registry) capacity() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limits.Capacity
}

// add makes room for a session in the view of its room, and returns the one that is known by
// its id: m, or another that was first.
func (g *registry) add(room string, m *session) (*session, *refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.sessions[m.id]; known != nil {
		return known, nil
	}
	v := g.views[room]
	switch {
	case v == nil && len(g.views) >= g.limits.MaxRooms:
		return nil, fullHouse("rooms")
	case len(g.sessions) >= g.limits.MaxMembers:
		return nil, fullHouse("members")
	case v == nil:
		v = &view{name: room}
		g.views[room] = v
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	m.view = v
	v.members = append(v.members, m)
	g.sessions[m.id] = m
	return m, nil
}

// drop forgets a session, and its room with the last of it here. It reports false if it
// was not known any more.
func (g *registry) drop(m *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[m.id] != m {
		return false
	}
	delete(g.sessions, m.id)
	v := m.view
	v.mu.Lock()
	defer v.mu.Unlock()
	v.members = slices.DeleteFunc(v.members, func(o *session) bool { return o == m })
	if len(v.members) == 0 {
		delete(g.views, v.name)
	}
	return true
}

// find returns the session with that id, or nil.
func (g *registry) find(id string) *session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sessions[id]
}

// view returns the room as it is known here, or nil.
func (g *registry) view(room string) *view {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.views[room]
}

// all returns every session.
func (g *registry) all() []*session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.sessions))
}

// size returns how many rooms and members there are.
func (g *registry) size() (rooms, members int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.views), len(g.sessions)
}

func fullHouse(what string) *refusal {
	return &refusal{CodeCapacity, "This server has as many " + what + " as it may have. Try again later.", ActionRetry, closeTryAgain, fullRetry.Milliseconds()}
}

func expired() *refusal {
	return &refusal{CodeSessionExpired, "The session is over. Join the room again.", ActionRejoin, closeExpired, 0}
}
