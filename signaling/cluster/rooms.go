package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/duetcall/duet/signaling"
)

// emptyTime is how long a room that nobody is in any more is kept, for the nodes that have not heard
// of its end.
const emptyTime = time.Minute

// turns let one change of a room after the other try its luck: those of one node would only get
// in each other's way. Rooms that share a turn wait for each other, too.
type turns struct {
	seed  maphash.Seed
	taken [256]chan struct{} // full while somebody has the turn
}

func newTurns() *turns {
	t := &turns{seed: maphash.MakeSeed()}
	for i := range t.taken {
		t.taken[i] = make(chan struct{}, 1)
	}
	return t
}

// take waits for the turn of a room, which done gives back.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	turn := t.taken[maphash.String(t.seed, name)%uint64(len(t.taken))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Update implements [signaling.Store]: it reads, changes, and writes if nobody else has written since.
func (c *Cluster) Update(ctx context.Context, name string, change func(*signaling.Room) error) (before, after signaling.Room, err error) {
	done, err := c.turns.take(ctx, name)
	if err != nil {
		return before, before, c.unavailable(err)
	}
	defer done()
	for {
		if before, err = c.Room(ctx, name); err != nil {
			return before, before, err
		}
		after = before.Clone()
		if err := change(&after); err != nil {
			return before, before, err
		}
		after.Revision, err = c.write(ctx, after, before.Revision)
		if !isConflict(err) {
			if err != nil {
				return before, before, c.unavailable(err)
			}
			return before, after, nil
		}
		c.stats.conflicts.Add(1)
		select {
		case <-ctx.Done():
			return before, before, c.unavailable(ctx.Err())
		case <-time.After(rand.N(5 * time.Millisecond)):
		}
	}
}

// write keeps a room if its revision is still that one, and returns the next.
func (c *Cluster) write(ctx context.Context, room signaling.Room, revision uint64) (uint64, error) {
	msg := &nats.Msg{Subject: "$KV." + c.rooms.Bucket() + "." + key(room.Name), Data: encode(room)}
	options := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(revision)}
	if room.Empty() {
		options = append(options, jetstream.WithMsgTTL(emptyTime))
	}
	ack, err := c.js.PublishMsg(ctx, msg, options...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// isConflict reports whether somebody else has written since.
func isConflict(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// Room implements [signaling.Store].
func (c *Cluster) Room(ctx context.Context, name string) (signaling.Room, error) {
	entry, err := c.rooms.Get(ctx, key(name))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return signaling.Room{Name: name}, nil
	case err != nil:
		return signaling.Room{}, c.unavailable(err)
	}
	room, err := decode(name, entry.Value(), entry.Revision())
	if err != nil {
		return signaling.Room{}, fmt.Errorf("%w: %w", signaling.ErrUnavailable, err)
	}
	return room, nil
}

// key is the name of a room as a key of the bucket: any text becomes one token.
func key(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

// nameOf is the room that a key is of.
func nameOf(key string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(key)
	return string(name), err
}

func encode(room signaling.Room) []byte {
	value, err := json.Marshal(room)
	if err != nil {
		panic("cluster: " + err.Error()) // there is nothing in a Room that can fail
	}
	return value
}

func decode(name string, value []byte, revision uint64) (signaling.Room, error) {
	room := signaling.Room{}
	if err := json.Unmarshal(value, &room); err != nil {
		return room, fmt.Errorf("a room in NATS is none: %w", err)
	}
	room.Name, room.Revision = name, revision
	return room, nil
}
