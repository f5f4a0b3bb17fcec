package signaling

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/duetcall/duet/config"
)

// refusal is why somebody may not join, in the protocol's terms.
type refusal struct {
	code    Code
	message string
	action  Action
	close   int
}

// registry knows every room by its name and every session by its id, and keeps their
// numbers within bounds. Its lock comes before that of any room.
type registry struct {
	// restoring is until when sessions of an earlier process are made anew.
	restoring time.Time

	mu       sync.Mutex
	limits   config.Signaling
	rooms    map[string]*room
	sessions map[string]*session
	// ended are the sessions that have ended while restoring: they stay so. It is nil
	// once there were too many, and then none is made anew.
	ended map[string]bool
}

// maxEnded bounds registry.ended.
const maxEnded = 100_000

func newRegistry(limits config.Signaling) *registry {
	return &registry{
		limits: limits, restoring: time.Now().Add(2 * limits.Grace.Std()),
		rooms: make(map[string]*room), sessions: make(map[string]*session), ended: make(map[string]bool),
	}
}

// limit sets the limits from now on.
func (g *registry) limit(limits config.Signaling) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = limits
}

// join seats s in the named room, making the room if need be. On success it calls
// seated with the room locked, so that what it enqueues is in the same order for
// everybody.
func (g *registry) join(name string, s *session, seated func(*room)) *refusal {
	return g.seat(name, s, (*room).add, seated)
}

// restore is join for a session of an earlier process, whose id and order are known. Of
// two for one session, the second finds the first's.
func (g *registry) restore(t ticket, s *session) (*session, *refusal) {
	g.mu.Lock()
	known, late := g.sessions[t.Session], g.ended == nil || g.ended[t.Session] || time.Now().After(g.restoring)
	g.mu.Unlock()
	switch {
	case known != nil:
		return known, nil
	case late:
		return nil, expired()
	}
	refused := g.seat(t.Room, s, (*room).restore, func(*room) {})
	if refused != nil && refused.code == CodeRoomFull {
		if known := g.find(t.Session); known != nil {
			return known, nil
		}
	}
	return s, refused
}

func (g *registry) seat(name string, s *session, take func(*room, *session) bool, seated func(*room)) *refusal {
	g.mu.Lock()
	r, found := g.rooms[name]
	if !found {
		if len(g.rooms) >= g.limits.MaxRooms {
			g.mu.Unlock()
			return fullHouse("rooms")
		}
		r = &room{name: name, capacity: g.limits.Capacity}
	}
	if len(g.sessions) >= g.limits.MaxMembers {
		g.mu.Unlock()
		return fullHouse("members")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.sessions[s.id] != nil || !take(r, s) {
		g.mu.Unlock()
		return &refusal{CodeRoomFull, fmt.Sprintf("%q holds %d people and all of them are here.", name, r.capacity), ActionStop, closeForbidden}
	}
	g.rooms[name] = r
	g.sessions[s.id] = s
	g.mu.Unlock()
	seated(r)
	return nil
}

// leave takes s out of its room and forgets the room when it was the last. It calls
// gone with the room locked.
func (g *registry) leave(s *session, gone func()) {
	r := s.room
	g.mu.Lock()
	r.mu.Lock()
	defer r.mu.Unlock()
	removed := r.remove(s)
	if removed {
		delete(g.sessions, s.id)
		g.remember(s.id)
	}
	if len(r.members) == 0 {
		delete(g.rooms, r.name)
	}
	g.mu.Unlock()
	if removed {
		gone()
	}
}

// remember keeps in mind that a session has ended, as long as it could be made anew.
func (g *registry) remember(id string) {
	switch {
	case g.ended == nil:
	case len(g.ended) >= maxEnded, time.Now().After(g.restoring):
		g.ended = nil
	default:
		g.ended[id] = true
	}
}

// find returns the session with that id, or nil.
func (g *registry) find(id string) *session {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sessions[id]
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
	return len(g.rooms), len(g.sessions)
}

func fullHouse(what string) *refusal {
	return &refusal{CodeCapacity, "This server has as many " + what + " as it may have. Try again later.", ActionRetry, closeTryAgain}
}

func expired() *refusal {
	return &refusal{CodeSessionExpired, "The session is over. Join the room again.", ActionRejoin, closeExpired}
}
