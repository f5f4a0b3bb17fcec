package relay

import (
	"crypto/rand"
	"sync"
	"time"
)

// A reserved port waits so long for the Allocate that claims it (RFC 8656
// section 7.2), and so many may wait at once.
const (
	reservationLifetime = 30 * time.Second
	maxReservations     = 64
)

// token is the value of RESERVATION-TOKEN; the zero value is none.
type token [8]byte

// reservation is the odd port of a pair whose even one is allocated. It counts
// in its user's quota, and its port is taken.
type reservation struct {
	user    user
	family  *family
	port    uint16
	expires time.Time
}

// reservations starts no timer: what has expired is given back before the next
// port is taken, which is when it matters.
type reservations struct {
	quota *quota

	mu      sync.Mutex
	waiting map[token]reservation
}

func newReservations(q *quota) *reservations {
	return &reservations{quota: q, waiting: make(map[token]reservation)}
}

// admit counts one more reservation of u, or says why there cannot be one.
func (r *reservations) admit(u user) Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) >= maxReservations {
		return RefusedReservation
	}
	return r.quota.take(u)
}

// keep makes the token for an admitted reservation.
func (r *reservations) keep(waiting reservation) token {
	var t token
	rand.Read(t[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[t] = waiting
	return t
}

// claim ends a reservation of the user's: the caller now owns the port, which is
// still taken, and its place in the quota.
func (r *reservations) claim(t token, u user) (reservation, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting, ok := r.waiting[t]
	if !ok || waiting.user != u {
		return reservation{}, false
	}
	delete(r.waiting, t)
	return waiting, true
}

// sweep gives back what has expired by now; with the zero time, everything.
func (r *reservations) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, waiting := range r.waiting {
		if now.IsZero() || now.After(waiting.expires) {
			delete(r.waiting, t)
			waiting.family.ports.put(waiting.port)
			r.quota.release(waiting.user)
		}
	}
}
