package signaling

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// Store keeps what all nodes agree on: the rooms and who has a seat in them. A process
// alone keeps it in memory (NewMemory); nodes together share one (signaling/cluster).
// Its methods are safe for concurrent use.
type Store interface {
	// Update changes the named room: it calls change with a copy of its newest state, which has
	// no seats if there is no such room, and keeps what change made of it. A room without seats is
	// forgotten. Of two that change one room at the same time, the second sees what the
	// first has made of it: change may be called several times, and must do nothing but
	// change its argument. Its error is returned as it is and nothing is kept. Update returns the state
	// that is kept now, before which was that one.
	//
	// ErrUnavailable, wrapped: the nodes do not agree now, and nobody knows whether it was kept.
	Update(ctx context.Context, name string, change func(*Room) error) (before, after Room, err error)
	// Room returns the newest state of a room, ErrUnavailable if it cannot be had. No such room: no seats.
	Room(ctx context.Context, name string) (Room, error)
	// Rooms returns every room, in no order.
	Rooms(ctx context.Context) ([]Room, error)
}

// Cluster is a Store that several nodes share, and what they say to each other. Its methods
// are safe for concurrent use.
type Cluster interface {
	Store
	// Watch calls changed for what happens to any room from now on, whoever did it, until ctx ends. Each room's
	// states come in their order; of several in quick succession some may be passed over. A
	// room that is gone has no seats. Watch returns nil when ctx has ended.
	Watch(ctx context.Context, changed func(before, after Room)) error
	// Node is the name of this node, new with each process.
	Node() string
	// Nodes are the names of the nodes that live now, this one among them. A node that stops
	// without a word lives on for a few seconds. ErrUnavailable: nobody knows.
	Nodes(ctx context.Context) ([]string, error)
	// Call hands a request to another node and returns its answer. ErrNoNode, wrapped: there is none of that
	// name now; ErrUnavailable: no answer came before ctx ended. Two calls one after the other
	// arrive in their order.
	Call(ctx context.Context, node string, request []byte) (reply []byte, err error)
	// Serve has handle answer the calls to this node until ctx ends, and returns nil then,
	// when no handle runs any more. handle is called concurrently for different calls.
	Serve(ctx context.Context, handle func(ctx context.Context, request []byte) (reply []byte)) error
}

// What a Store and a Cluster can fail with.
var (
	ErrUnavailable = errors.New("the nodes of this cluster do not reach each other")
	ErrNoNode      = errors.New("there is no such node")
)

// Room is the state of one room. Its slices belong to whoever has it: a Store hands out copies.
type Room struct {
	Name string `json:"-"`
	// Revision grows with each change of the room, also when it is forgotten and made again.
	// The store sets it.
	Revision uint64 `json:"-"`

	// Born tells a room from one that had its name before.
	Born     string `json:"born,omitempty"`
	Capacity int    `json:"capacity"`
	Arrived  uint64 `json:"arrived"` // how many ever came, which orders the members
	Seats    []Seat `json:"seats"`   // in the order in which they came
	// Gone are those who left last, the newest at the end: why is for the others.
	Gone []Departure `json:"gone,omitempty"`

	// Key is what opens the room, hashed. Empty: it is open to all.
	Key    []byte  `json:"key,omitempty"`
	Locked bool    `json:"locked,omitempty"`
	Knocks []Knock `json:"knocks,omitempty"`
}

// Seat is one member of a room.
type Seat struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Order uint64 `json:"order"`
	Host  bool   `json:"host,omitempty"`  // may lock, kick and end
	Guest bool   `json:"guest,omitempty"` // never becomes a host
	// Subject is who the member is for those who let it in (Grant.Subject).
	Subject string `json:"subject,omitempty"`
	// Node has the member's session: its socket and what is kept for a resume.
	Node string `json:"node"`
	// Away is why the member has no socket, and Since since when. Empty: it has one.
	Away  Reason    `json:"away,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Keys  Keys      `json:"keys"`
	// Restored: the seat is that of an earlier process, and its member has come back.
	Restored bool `json:"restored,omitempty"`
}

// Departure is a member who has left, and why.
type Departure struct {
	ID     string `json:"id"`
	Reason Reason `json:"reason"`
}

// Knock is somebody who waits to be let into a locked room.
type Knock struct {
	ID    string `json:"id"` // of the member that it may become
	Name  string `json:"name,omitempty"`
	Host  bool   `json:"host,omitempty"`
	Guest bool   `json:"guest,omitempty"`
	// Subject is the Seat's.
	Subject string `json:"subject,omitempty"`
	Node    string `json:"node"`
}

// Clone returns a copy that shares nothing which anybody changes.
func (r Room) Clone() Room {
	r.Seats, r.Gone, r.Knocks = slices.Clone(r.Seats), slices.Clone(r.Gone), slices.Clone(r.Knocks)
	r.Key = slices.Clone(r.Key)
	return r
}

// Empty reports whether nobody is in the room: then it is forgotten.
func (r Room) Empty() bool { return len(r.Seats) == 0 }

// Seat returns the member with that id, which the caller may change, or nil.
func (r *Room) Seat(id string) *Seat {
	for i := range r.Seats {
		if r.Seats[i].ID == id {
			return &r.Seats[i]
		}
	}
	return nil
}

// Memory is the Store of one process.
type Memory struct {
	mu       sync.Mutex
	revision uint64
	rooms    map[string]Room
}

// NewMemory returns a store without rooms.
func NewMemory() *Memory { return &Memory{rooms: make(map[string]Room)} }

// Update implements [Store].
func (m *Memory) Update(_ context.Context, name string, change func(*Room) error) (before, after Room, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before = m.get(name)
	after = before.Clone()
	if err := change(&after); err != nil {
		return before, before, err
	}
	m.revision++
	after.Revision = m.revision
	if after.Empty() {
		delete(m.rooms, name)
	} else {
		m.rooms[name] = after
	}
	return before, after.Clone(), nil
}

func (m *Memory) get(name string) Room {
	room := m.rooms[name]
	room.Name = name
	return room
}

// Room implements [Store].
func (m *Memory) Room(_ context.Context, name string) (Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(name).Clone(), nil
}

// Rooms implements [Store].
func (m *Memory) Rooms(context.Context) ([]Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rooms := make([]Room, 0, len(m.rooms))
	for room := range maps.Values(m.rooms) {
		rooms = append(rooms, room.Clone())
	}
	return rooms, nil
}
