package signaling

import (
	"sync"
	"time"
)

// earlier knows which sessions of the process before may be made anew: for twice the grace
// time after the start, those that have not ended since.
type earlier struct {
	until time.Time

	mu    sync.Mutex
	ended map[string]bool // nil once there were too many, and then none is made anew
}

// maxEnded bounds earlier.ended.
const maxEnded = 100_000

func newEarlier(grace time.Duration) *earlier {
	return &earlier{until: time.Now().Add(2 * grace), ended: make(map[string]bool)}
}

// may reports whether the session may be made anew.
func (e *earlier) may(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended != nil && !e.ended[id] && !time.Now().After(e.until)
}

// over keeps in mind that a session has ended, as long as it could be made anew.
func (e *earlier) over(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ended == nil:
	case len(e.ended) >= maxEnded, time.Now().After(e.until):
		e.ended = nil
	default:
		e.ended[id] = true
	}
}
