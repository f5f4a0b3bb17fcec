package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duetcall/duet/signaling"
)

// mirror is what a node has heard of all rooms.
type mirror struct {
	mu    sync.Mutex
	rooms map[string]signaling.Room // those that somebody is in; nil before the first watch
}

// put takes over a newer state, and returns the one before.
func (m *mirror) put(room signaling.Room) (before signaling.Room, newer bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before = m.rooms[room.Name]
	if before.Revision >= room.Revision {
		return before, false
	}
	if room.Empty() {
		delete(m.rooms, room.Name)
	} else {
		m.rooms[room.Name] = room
	}
	return before, true
}

// missing returns the rooms of which a whole look at the bucket had nothing.
func (m *mirror) missing(seen map[string]bool) (gone []signaling.Room) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, room := range m.rooms {
		if !seen[name] {
			gone = append(gone, room)
			delete(m.rooms, name)
		}
	}
	return gone
}

// Rooms implements [signaling.Store], from what Watch has heard.
func (c *Cluster) Rooms(context.Context) ([]signaling.Room, error) {
	c.mirror.mu.Lock()
	defer c.mirror.mu.Unlock()
	if c.mirror.rooms == nil {
		return nil, signaling.ErrUnavailable
	}
	rooms := make([]signaling.Room, 0, len(c.mirror.rooms))
	for _, room := range c.mirror.rooms {
		rooms = append(rooms, room)
	}
	return rooms, nil
}

// Watch implements [signaling.Cluster]. It looks at the whole bucket, and again whenever the
// connection was lost: what happened meanwhile is the difference.
func (c *Cluster) Watch(ctx context.Context, changed func(before, after signaling.Room)) error {
	c.mirror.mu.Lock()
	first := c.mirror.rooms == nil
	if first {
		c.mirror.rooms = make(map[string]signaling.Room)
	}
	c.mirror.mu.Unlock()
	for {
		again, err := c.watch(ctx, first, changed)
		if err != nil || !again {
			return err
		}
		first = false
	}
}

// watch reports whether the bucket must be looked at anew.
func (c *Cluster) watch(ctx context.Context, first bool, changed func(before, after signaling.Room)) (again bool, err error) {
	watcher, err := c.rooms.WatchAll(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, c.unavailable(fmt.Errorf("watching the rooms: %w", err))
	}
	defer func() { _ = watcher.Stop() }()
	seen := make(map[string]bool)
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-c.reconnected:
			return true, nil
		case entry, open := <-watcher.Updates():
			switch {
			case !open && ctx.Err() != nil:
				return false, nil
			case !open:
				return false, errors.New("NATS has ended the watch of the rooms")
			case entry == nil: // all that was there has been told
				for _, was := range c.mirror.missing(seen) {
					changed(was, signaling.Room{Name: was.Name, Revision: was.Revision + 1})
				}
				first, seen = false, nil
			default:
				c.heard(entry, seen, first, changed)
			}
		}
	}
}

// heard takes over what the bucket says of one room. seen is nil once the whole bucket was told.
func (c *Cluster) heard(entry jetstream.KeyValueEntry, seen map[string]bool, first bool, changed func(before, after signaling.Room)) {
	name, err := nameOf(entry.Key())
	room := signaling.Room{Name: name, Revision: entry.Revision()}
	if err == nil && entry.Operation() == jetstream.KeyValuePut {
		room, err = decode(name, entry.Value(), entry.Revision())
	}
	if err != nil {
		c.opts.Log.Warn("a key in NATS is no room", "bucket", c.rooms.Bucket(), "error", err)
		return
	}
	if seen != nil && !room.Empty() {
		seen[name] = true
	}
	if before, newer := c.mirror.put(room); newer && !first {
		before.Name = name
		changed(before, room)
	}
}
