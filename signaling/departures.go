package signaling

import (
	"sync"
	"time"
)

// departures tell the rest of the process that a member has left for good: whoever says
// so, at once; whoever lost the socket, after the grace time, because media goes on
// without a socket and its ends may be about to find each other again.
type departures struct {
	left  func(memberID string)
	grace time.Duration
	most  int // who may wait at once

	mu      sync.Mutex
	waiting map[string]*time.Timer
	stopped bool
	running sync.WaitGroup // calls of left by timers
}

func newDepartures(left func(string), grace time.Duration, most int) *departures {
	return &departures{left: left, grace: grace, most: most, waiting: make(map[string]*time.Timer)}
}

// tell reports a member's end. It must be called without a lock.
func (d *departures) tell(id string, reason Reason) {
	if d.left != nil && (reason == ReasonLeft || !d.wait(id)) {
		d.left(id)
	}
}

// wait has left called after the grace time. It reports false if there is none, or
// if too many wait.
func (d *departures) wait(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return true // everything ends
	}
	if d.grace == 0 || len(d.waiting) >= d.most {
		return false
	}
	d.waiting[id] = time.AfterFunc(d.grace, func() { d.expire(id) })
	return true
}

func (d *departures) expire(id string) {
	d.mu.Lock()
	_, waiting := d.waiting[id]
	delete(d.waiting, id)
	if waiting {
		d.running.Add(1)
	}
	d.mu.Unlock()
	if waiting {
		defer d.running.Done()
		d.left(id)
	}
}

// stop forgets who waits.
func (d *departures) stop() {
	d.mu.Lock()
	d.stopped = true
	for _, timer := range d.waiting {
		timer.Stop()
	}
	clear(d.waiting)
	d.mu.Unlock()
	d.running.Wait()
}
