package signaling

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// ErrNotFound is why nothing was done: there is no such room, or no such member in it.
var ErrNotFound = errors.New("there is no such room or member")

// RoomState is a room as those who run the service see it: nothing in it opens anything.
type RoomState struct {
	Name string `json:"name"`
	// ID tells the room from one that had its name before.
	ID       string `json:"id"`
	Capacity int    `json:"capacity"`
	Locked   bool   `json:"locked"`
	// Keyed: a key opens it.
	Keyed bool `json:"keyed"`
	// Members are in the order in which they came.
	Members []MemberState `json:"members"`
	// Knocks are those who wait to be let in.
	Knocks []Knocker `json:"knocks"`
}

// MemberState is a member as those who run the service see it.
type MemberState struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Subject is Grant.Subject.
	Subject string `json:"subject,omitempty"`
	Host    bool   `json:"host"`
	// Away is why it has no socket, and AwaySince since when. Empty: it has one.
	Away      Reason    `json:"away,omitempty"`
	AwaySince time.Time `json:"away_since,omitzero"`
	// Node has its session. Empty without a cluster.
	Node string `json:"node,omitempty"`
}

// Rooms returns all rooms of all nodes, by name. ErrUnavailable, wrapped: they are not known now.
func (s *Server) Rooms(ctx context.Context) ([]RoomState, error) {
	rooms, err := s.store.Rooms(ctx)
	if err != nil {
		return nil, err
	}
	states := make([]RoomState, 0, len(rooms))
	for _, room := range rooms {
		states = append(states, room.state())
	}
	slices.SortFunc(states, func(a, b RoomState) int { return strings.Compare(a.Name, b.Name) })
	return states, nil
}

// Room returns one room, of whatever node. ErrNotFound; ErrUnavailable, wrapped.
func (s *Server) Room(ctx context.Context, name string) (RoomState, error) {
	room, err := s.store.Room(ctx, name)
	if err == nil && room.Empty() {
		err = ErrNotFound
	}
	return room.state(), err
}

// End ends a room for all who are in it or knock. ErrNotFound; ErrUnavailable, wrapped.
func (s *Server) End(name string) error {
	return s.decree(name, func(r *Room) error {
		r.end(ReasonEnded)
		return nil
	})
}

// Kick puts a member out of a room, also a host. ErrNotFound; ErrUnavailable, wrapped.
func (s *Server) Kick(name, member string) error {
	return s.decree(name, func(r *Room) error {
		if r.Seat(member) == nil {
			return ErrNotFound
		}
		r.leave(member, ReasonKicked)
		return nil
	})
}

// decree changes a room and nobody in it is asked.
func (s *Server) decree(name string, change func(*Room) error) error {
	room, err := s.update(name, func(r *Room) error {
		if r.Empty() {
			return ErrNotFound
		}
		return change(r)
	})
	if err != nil {
		return err
	}
	if v := s.registry.view(name); v != nil { // else only other nodes have members of it
		s.advance(v, room)
	}
	return nil
}

func (r *Room) state() RoomState {
	state := RoomState{
		Name: r.Name, ID: r.Born, Capacity: r.Capacity, Locked: r.Locked, Keyed: len(r.Key) > 0,
		Members: make([]MemberState, 0, len(r.Seats)), Knocks: make([]Knocker, 0, len(r.Knocks)),
	}
	for _, seat := range r.Seats {
		state.Members = append(state.Members, MemberState{
			ID: seat.ID, Name: seat.Name, Subject: seat.Subject, Host: seat.Host, Away: seat.Away, AwaySince: seat.Since, Node: seat.Node,
		})
	}
	for _, k := range r.Knocks {
		state.Knocks = append(state.Knocks, Knocker{ID: k.ID, Name: k.Name})
	}
	return state
}
