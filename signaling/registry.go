package signaling

import (
	"fmt"
	"sync"

	"github.com/duetcall/duet/config"
)

// refusal is why somebody may not join, in the protocol's terms.
type refusal struct {
	code    Code
	message string
	action  Action
	close   int
}

// registry knows every room by its name and keeps their number, and that of
// their members, within bounds. Its lock comes before that of any room.
type registry struct {
	mu      sync.Mutex
	limits  config.Signaling
	rooms   map[string]*room
	members int
}

func newRegistry(limits config.Signaling) *registry {
	return &registry{limits: limits, rooms: make(map[string]*room)}
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
	g.mu.Lock()
	r, found := g.rooms[name]
	if !found {
		if len(g.rooms) >= g.limits.MaxRooms {
			g.mu.Unlock()
			return fullHouse("rooms")
		}
		r = &room{name: name, capacity: g.limits.Capacity}
	}
	if g.members >= g.limits.MaxMembers {
		g.mu.Unlock()
		return fullHouse("members")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.add(s) {
		g.mu.Unlock()
		return &refusal{CodeRoomFull, fmt.Sprintf("%q holds %d people and all of them are here.", name, r.capacity), ActionStop, closeForbidden}
	}
	g.rooms[name] = r
	g.members++
	g.mu.Unlock()
	seated(r)
	return nil
}

// leave takes s out of its room and forgets the room when it was the last. It calls
// gone with the room locked.
func (g *registry) leave(r *room, s *session, gone func()) {
	g.mu.Lock()
	r.mu.Lock()
	defer r.mu.Unlock()
	removed := r.remove(s)
	if removed {
		g.members--
	}
	if len(r.members) == 0 {
		delete(g.rooms, r.name)
	}
	g.mu.Unlock()
	if removed {
		gone()
	}
}

// size returns how many rooms and members there are.
func (g *registry) size() (rooms, members int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.rooms), g.members
}

func fullHouse(what string) *refusal {
	return &refusal{CodeCapacity, "This server has as many " + what + " as it may have. Try again later.", ActionRetry, closeTryAgain}
}
