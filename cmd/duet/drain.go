package main

import (
	"context"
	"time"
)

// A drain looks so often whether it is over, and tells so often how far it is.
const (
	drainCheck  = 200 * time.Millisecond
	drainReport = 30 * time.Second
	// moveWindow is the time over which other nodes get our members: they take 10,000 in it
	// easily.
	moveWindow = time.Minute
)

// drain is the time between an operator's wish for the end and the end: nothing new
// begins, and what runs goes on.
type drain struct {
	began    time.Time
	reported time.Time
	tick     *time.Ticker
	deadline <-chan time.Time // nil without one
}

// beginDrain refuses newcomers from now on.
func (s *server) beginDrain(ctx context.Context) *drain {
	now := time.Now()
	d := &drain{began: now, reported: now, tick: time.NewTicker(drainCheck)}
	timeout := s.config().Turn.DrainTimeout.Std()
	window := moveWindow
	if timeout > 0 {
		d.deadline = time.After(timeout)
		window = min(window, timeout/2)
	}
	if s.cluster == nil || len(s.cluster.Others()) == 0 {
		window = 0
	}
	s.draining.Store(true)
	s.announce(ctx)
	s.signaling.Drain(window)
	if s.relay != nil {
		s.relay.Drain()
	}
	s.log.Info("draining: no new allocations", "allocations", s.allocations(), "timeout", timeout.String())
	return d
}

func (s *server) allocations() int {
	if s.relay == nil {
		return 0
	}
	return s.relay.Allocations()
}

// over reports whether nothing is left, and tells now and then how much is.
func (d *drain) over(s *server, now time.Time) bool {
	left := s.allocations()
	if left == 0 && s.signaling.Drained() {
		s.log.Info("drained", "duration", now.Sub(d.began).Round(time.Millisecond).String())
		return true
	}
	if now.Sub(d.reported) >= drainReport {
		d.reported = now
		s.log.Info("draining", "allocations", left, "duration", now.Sub(d.began).Round(time.Second).String())
	}
	return false
}

// operate does what an operator asks for, and calls end when a drain is over. It
// returns when ctx ends.
func (s *server) operate(ctx context.Context, end func()) {
	var d *drain
	var tick, deadline <-chan time.Time // nil until draining
	defer func() {
		if d != nil {
			d.tick.Stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case order := <-s.orders:
			switch {
			case order == reloadSignal && s.hungUp():
				s.log.Info("the terminal is gone")
				end()
			case order == reloadSignal:
				s.reload()
			case d == nil:
				d = s.beginDrain(ctx)
				tick, deadline = d.tick.C, d.deadline
			default:
				s.log.Info("draining already", "allocations", s.allocations())
			}
		case now := <-tick:
			if d.over(s, now) {
				end()
			}
		case <-deadline:
			s.log.Warn("drain_timeout is over, the rest is cut", "allocations", s.allocations())
			end()
		}
	}
}

// hungUp reports whether we were started on a terminal that is no more: then SIGHUP
// means what it meant first.
func (s *server) hungUp() bool { return s.terminal != nil && !isTerminal(s.terminal) }
