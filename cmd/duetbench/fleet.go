package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A fleet dials from several loopback addresses, because each has ports for some 28,000 sockets
// to one server, and those of the phase before may still be taken.
const sources = 8

// senders share the members of a fleet among them.
const senders = 2

// beat is how often a sender sends what is due.
const beat = time.Millisecond

// fleet is a load: members of one server, two to a room.
type fleet struct {
	server      *process
	name        string // of its rooms
	description string
	buffers     *sync.Pool
	pings       atomic.Int64 // answered
	leaving     atomic.Bool
	readers     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	members []*member  // that are in
	took    []time.Duration
	lost    []error // why sockets ended before their time
}

func newFleet(server *process, name string) *fleet {
	return &fleet{server: server, name: name, description: description(), buffers: new(sync.Pool)}
}

// joining is how a number of joins went.
type joining struct {
	Took    []time.Duration `json:"-"` // of those that are in, from when each was due
	Joined  int             `json:"joined"`
	Refused map[string]int  `json:"refused"` // by answer
	Hung    int             `json:"hung"`    // were told nothing in joinTimeout
	Failed  map[string]int  `json:"failed"`  // by error
}

// arrival is how members come.
type arrival struct {
	members   int
	perSecond float64 // evenly spread over time
	// atOnce bounds how many are on their way at once. 0: they come whether those before are in or not.
	atOnce int
	alone  bool // all from one address
}

// join lets members join.
func (f *fleet) join(ctx context.Context, a arrival) *joining {
	result := &joining{Refused: make(map[string]int), Failed: make(map[string]int)}
	var joins sync.WaitGroup
	onTheWay := make(chan struct{}, cmp.Or(a.atOnce, a.members))
	began := time.Now()
	for i := range a.members {
		due := began.Add(time.Duration(float64(i) / a.perSecond * float64(time.Second)))
		if pause(ctx, time.Until(due)) != nil {
			break
		}
		onTheWay <- struct{}{}
		m := &member{fleet: f, room: fmt.Sprintf("%s, room %d", f.name, i/2), ready: make(chan struct{})}
		from := net.IPv4(127, 0, 0, 2)
		if !a.alone {
			from[len(from)-1] += byte(i % sources)
		}
		joins.Go(func() {
			err := m.join(ctx, from)
			took := time.Since(due)
			<-onTheWay
			f.mu.Lock()
			defer f.mu.Unlock()
			switch {
			case err == nil:
				result.Joined++
				result.Took = append(result.Took, took)
				f.members = append(f.members, m)
				f.readers.Go(m.read)
			case errors.Is(err, errRefused):
				result.Refused[err.Error()]++
			case isTimeout(err):
				result.Hung++
			default:
				result.Failed[withoutAddresses(err)]++
			}
		})
	}
	joins.Wait()
	return result
}

func isTimeout(err error) bool {
	slow, ok := errors.AsType[net.Error](err)
	return ok && slow.Timeout() // a context's deadline is one, too
}

// withoutAddresses makes errors that are alike the same.
func withoutAddresses(err error) string {
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed.Op + ": " + failed.Err.Error()
	}
	return err.Error()
}

// paired waits until each member knows its other.
func (f *fleet) paired(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for _, m := range f.members {
		select {
		case <-m.ready:
		case <-ctx.Done():
			return fmt.Errorf("%s has not told a member of the other in its room: %w", f.server.name, ctx.Err())
		}
	}
	return nil
}

// exchange lets the members send that many offers in all, one after the other, evenly spread
// over time, and returns how long each took when all have arrived.
func (f *fleet) exchange(ctx context.Context, offers int, perSecond float64) ([]time.Duration, error) {
	f.mu.Lock()
	f.took = make([]time.Duration, 0, offers)
	f.mu.Unlock()
	var (
		sending sync.WaitGroup
		errs    [senders]error
	)
	began := time.Now()
	for s := range senders {
		sending.Go(func() { errs[s] = f.send(ctx, s, offers, perSecond, began) })
	}
	sending.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(sendTimeout); ; {
		f.mu.Lock()
		arrived, lost := len(f.took), f.lost
		f.mu.Unlock()
		switch {
		case len(lost) > 0:
			return nil, fmt.Errorf("%s lost %d sockets: %w", f.server.name, len(lost), lost[0])
		case arrived >= offers:
			return f.took, nil
		case time.Now().After(deadline):
			return nil, fmt.Errorf("%s passed on %d of %d offers", f.server.name, arrived, offers)
		}
		if err := pause(ctx, beat); err != nil {
			return nil, err
		}
	}
}

// send sends every offer whose number is s modulo senders, each member in its turn. An offer is
// of the time when it was due if the sender was late because the one before took long.
func (f *fleet) send(ctx context.Context, s, offers int, perSecond float64, began time.Time) error {
	for i := s; i < offers; {
		now := time.Now()
		for ; i < offers; i += senders {
			due := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
			if due.After(now) {
				break
			}
			at := now
			if late := now.Sub(due); late > 2*beat {
				at = due
			}
			if err := f.members[i%len(f.members)].send(at); err != nil {
				return fmt.Errorf("sending an offer to %s: %w", f.server.name, err)
			}
			now = time.Now()
		}
		if err := pause(ctx, beat); err != nil {
			return err
		}
	}
	return nil
}

// arrived notes an offer.
func (f *fleet) arrived(frame []byte) {
	at, err := stamped(frame)
	took := time.Since(at)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.lost = append(f.lost, err)
		return
	}
	f.took = append(f.took, took)
}

// ended notes that a socket has ended.
func (f *fleet) ended(err error) {
	if f.leaving.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = append(f.lost, err)
}

// leave lets all members leave, and returns when they have.
func (f *fleet) leave() {
	f.leaving.Store(true)
	for _, m := range f.members {
		m.leave()
	}
	f.readers.Wait()
	for _, m := range f.members {
		_ = m.ws.Close()
	}
}
