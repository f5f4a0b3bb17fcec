// Package storetest is what every [signaling.Store] has to do, as tests: the one in
// memory and the one of a cluster pass the same.
package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duetcall/duet/signaling"
)

// Run tests a store, seen through several nodes that share it: the first and the last may be the same.
func Run(t *testing.T, stores ...signaling.Store) {
	t.Helper()
	pick := func(n int) signaling.Store { return stores[n%len(stores)] }

	t.Run("a room is what was made of it, on every node", func(t *testing.T) {
		for n, name := range []string{"tea", "a.b.*.>", " ", "茶室 🫖", strings.Repeat("é", 64), "$KV.x", "line\nbreak", "\x00"} {
			before, after, err := pick(n).Update(t.Context(), name, sit("m_1", 2))
			if err != nil || len(before.Seats) != 0 || before.Name != name || len(after.Seats) != 1 || after.Name != name || after.Revision == 0 {
				t.Fatalf("%q: %+v, %+v, %v", name, before, after, err)
			}
			again, err := pick(n+1).Room(t.Context(), name)
			if err != nil || again.Revision != after.Revision || again.Name != name || again.Seats[0].ID != "m_1" || again.Capacity != 2 {
				t.Errorf("%q is read as %+v, %v", name, again, err)
			}
			leave(t, pick(n), name)
		}
	})

	t.Run("an error is passed on and nothing is kept", func(t *testing.T) {
		refused := errors.New("refused")
		for n, name := range []string{"new", "known"} {
			if name == "known" {
				update(t, pick(0), name, sit("m_1", 2))
			}
			_, _, err := pick(n).Update(t.Context(), name, func(r *signaling.Room) error {
				r.Seats, r.Locked = append(r.Seats, signaling.Seat{ID: "m_2"}), true
				return refused
			})
			if !errors.Is(err, refused) {
				t.Errorf("got %v", err)
			}
			if r := room(t, pick(n+1), name); r.Locked || len(r.Seats) != n {
				t.Errorf("%s is %+v", name, r)
			}
		}
		leave(t, pick(0), "known")
	})

	t.Run("what is handed out is a copy", func(t *testing.T) {
		after := update(t, pick(0), "tea", sit("m_1", 2))
		after.Seats[0].ID = "changed"
		read := room(t, pick(0), "tea")
		read.Seats[0].ID = "changed"
		before, _, _ := pick(0).Update(t.Context(), "tea", func(r *signaling.Room) error {
			r.Seats[0].Name = "changed"
			return nil
		})
		if before.Seats[0].Name != "" || room(t, pick(0), "tea").Seats[0].ID != "m_1" {
			t.Error("who changes what it was given changes the store")
		}
		leave(t, pick(0), "tea")
	})

	t.Run("a room that is listed is a copy", func(t *testing.T) {
		update(t, pick(0), "listed", sit("m_1", 2))
		rooms, i := listed(t, pick(0), "listed")
		rooms[i].Seats[0].ID = "changed"
		if again, i := listed(t, pick(0), "listed"); again[i].Seats[0].ID != "m_1" {
			t.Error("who changes what is listed changes the store")
		}
		leave(t, pick(0), "listed")
	})

	t.Run("a revision grows, also when the room is forgotten and made again", func(t *testing.T) {
		var last uint64
		for n := range 5 {
			for _, change := range []func(*signaling.Room) error{sit("m_1", 2), func(r *signaling.Room) error { r.Locked = true; return nil }, empty} {
				after := update(t, pick(n), "again", change)
				if after.Revision <= last {
					t.Fatalf("revision %d follows %d", after.Revision, last)
				}
				last = after.Revision
			}
			if r := room(t, pick(n+1), "again"); !r.Empty() {
				t.Errorf("a forgotten room is %+v", r)
			}
		}
	})

	t.Run("of many changes at once none is lost", func(t *testing.T) {
		var writers sync.WaitGroup
		for n := range 20 {
			writers.Go(func() {
				for i := range 5 {
					update(t, pick(n), "busy", func(r *signaling.Room) error {
						r.Arrived++
						r.Seats = append(r.Seats, signaling.Seat{ID: fmt.Sprint(n, " ", i)})
						return nil
					})
				}
			})
		}
		writers.Wait()
		if r := room(t, pick(0), "busy"); r.Arrived != 100 || len(r.Seats) != 100 {
			t.Errorf("%d changes are counted, %d seats", r.Arrived, len(r.Seats))
		}
		leave(t, pick(0), "busy")
	})

	t.Run("of 64 who race for two seats exactly two win", func(t *testing.T) {
		for round := range 25 {
			name := fmt.Sprint("race ", round)
			var winners atomic.Int32
			var racers sync.WaitGroup
			for n := range 64 {
				racers.Go(func() {
					_, _, err := pick(n).Update(t.Context(), name, sit(fmt.Sprint("m_", n), 2))
					switch {
					case err == nil:
						winners.Add(1)
					case !errors.Is(err, errFull):
						t.Error(err)
					}
				})
			}
			racers.Wait()
			if r := room(t, pick(rand.N(64)), name); winners.Load() != 2 || len(r.Seats) != 2 {
				t.Fatalf("round %d: %d winners, %d seats", round, winners.Load(), len(r.Seats))
			}
			leave(t, pick(round), name)
		}
	})
}

var errFull = errors.New("full")

// sit gives a seat to somebody, if there is one.
func sit(id string, capacity int) func(*signaling.Room) error {
	return func(r *signaling.Room) error {
		if len(r.Seats) >= capacity {
			return errFull
		}
		r.Capacity = capacity
		r.Seats = append(slices.Clip(r.Seats), signaling.Seat{ID: id})
		return nil
	}
}

func empty(r *signaling.Room) error {
	r.Seats = nil
	return nil
}

func update(t *testing.T, store signaling.Store, name string, change func(*signaling.Room) error) signaling.Room {
	t.Helper()
	_, after, err := store.Update(t.Context(), name, change)
	if err != nil {
		t.Errorf("changing %q: %v", name, err)
	}
	return after
}

func room(t *testing.T, store signaling.Store, name string) signaling.Room {
	t.Helper()
	r, err := store.Room(t.Context(), name)
	if err != nil {
		t.Errorf("reading %q: %v", name, err)
	}
	return r
}

func leave(t *testing.T, store signaling.Store, name string) {
	t.Helper()
	update(t, store, name, empty)
}

// listed waits until a room is listed, which a node of a cluster has to hear first, and returns where.
func listed(t *testing.T, store signaling.Store, name string) (rooms []signaling.Room, i int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		rooms, err := store.Rooms(t.Context())
		if i := slices.IndexFunc(rooms, func(r signaling.Room) bool { return r.Name == name && len(r.Seats) == 1 }); i >= 0 {
			return rooms, i
		}
		if time.Now().After(deadline) {
			t.Fatalf("listed are %+v, %v", rooms, err)
		}
	}
}
