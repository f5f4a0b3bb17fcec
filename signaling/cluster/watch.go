package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duetcall/duet/signaling"
)

// mirror is what a node has heard of all rooms.
type mirror struct {
	mu    sync.Mutex
	rooms map[string]signaling.Room // those that somebody is in
	whole bool                      // once all that was there is known
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
		m.rooms[room.Name] = room.Clone()
	}
	return before, true
}

// missing ends a whole look at the bucket, and returns the rooms of which it had nothing.
func (m *mirror) missing(seen map[string]bool) (gone []signaling.Room) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.whole = true
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
	if !c.mirror.whole {
		return nil, fmt.Errorf("%w: the rooms are not known yet", signaling.ErrUnavailable)
	}
	rooms := make([]signaling.Room, 0, len(c.mirror.rooms))
	for _, room := range c.mirror.rooms {
		rooms = append(rooms, room.Clone())
	}
	return rooms, nil
}

// Watch implements [signaling.Cluster]. It looks at the whole bucket, and again whenever the
// connection was lost: what happened meanwhile is the difference.
func (c *Cluster) Watch(ctx context.Context, changed func(before, after signaling.Room)) error {
	for ctx.Err() == nil {
		c.mirror.mu.Lock()
		first := !c.mirror.whole
		c.mirror.mu.Unlock()
		err := c.watch(ctx, first, changed)
		if err == nil || ctx.Err() != nil {
			continue
		}
		c.opts.Log.Warn("NATS does not tell what happens to rooms: asking again", "error", err)
		select {
		case <-time.After(watchRetry):
		case <-ctx.Done():
		}
	}
	return nil
}

// checkEvery is how often it is made sure that a watch still tells what happens, and how long
// NATS may take to begin one. watchRetry is the time between two that fail.
const (
	checkEvery = 5 * time.Second
	watchRetry = time.Second
)

// watch returns when the bucket must be looked at anew, or ctx ends.
func (c *Cluster) watch(ctx context.Context, first bool, changed func(before, after signaling.Room)) error {
	written, err := c.written(ctx)
	if err != nil {
		return c.unavailable(err)
	}
	updates, stop, err := watchAll(ctx, c.rooms)
	if err != nil {
		return c.unavailable(err)
	}
	defer stop()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	seen := make(map[string]bool)
	progress := progress{first: written, written: written}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.reconnected:
			return nil
		case <-check.C:
			if written, err := c.written(ctx); err == nil && progress.stuck(written) {
				return errors.New("the watch tells nothing any more")
			}
		case entry, open := <-updates:
			switch {
			case !open:
				return errors.New("the watch has ended")
			case entry == nil: // all that was there has been told
				for _, was := range c.mirror.missing(seen) {
					changed(was, signaling.Room{Name: was.Name, Revision: was.Revision + 1})
				}
				first, seen = false, nil
			default:
				progress.heard = entry.Revision()
				c.heard(entry, seen, first, changed)
			}
		}
	}
}

// written is the revision that was given last in the bucket.
func (c *Cluster) written(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, checkEvery)
	defer cancel()
	status, err := c.rooms.Status(ctx)
	if err != nil {
		return 0, err
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return 0, errors.New("NATS does not say how far the bucket is")
	}
	return bucket.StreamInfo().State.LastSeq, nil
}

// progress tells a watch that has nothing to tell from one that tells nothing, as when the
// server is gone that made it.
type progress struct {
	heard   uint64 // the last revision that the watch has told
	first   uint64 // the last that was given before it began
	written uint64 // and at the last check
}

// stuck reports whether a change that was made since the watch began and before the last check
// has not been told. What was there before may be forgotten by now.
func (p *progress) stuck(written uint64) bool {
	before := p.written
	p.written = written
	return before > p.first && p.heard < before
}

// watchAll begins a watch, or gives up soon. Who gets one stops it.
func watchAll(ctx context.Context, bucket jetstream.KeyValue) (updates <-chan jetstream.KeyValueEntry, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx) // for as long as the watch lasts
	late := time.AfterFunc(checkEvery, cancel)
	watcher, err := bucket.WatchAll(ctx)
	if err != nil {
		late.Stop()
		cancel()
		return nil, nil, fmt.Errorf("watching %s: %w", bucket.Bucket(), err)
	}
	late.Stop()
	return watcher.Updates(), func() {
		cancel()
		_ = watcher.Stop()
		for range watcher.Updates() { // what it still tells: it would wait for ever
			continue
		}
	}, nil
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
