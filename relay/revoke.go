package relay

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

// maxRevoked bounds how many members are remembered as revoked, a few MiB. When there
// are more, the longest revoked are forgotten, and counted.
const maxRevoked = 1 << 16

// revocations know which members may open no allocation any more, and the allocations
// of all members. Its lock comes before no other.
type revocations struct {
	mu sync.Mutex
	// allocations of members, those with a time-limited credential.
	allocations map[string][]*allocation
	// until is when the last credential that a revoked member can have is over, order
	// the members as they were revoked.
	until     map[string]time.Time
	order     []string
	memory    time.Duration // the longest credential_ttl since the start
	forgotten uint64        // before their time
}

func newRevocations(ttl time.Duration) *revocations {
	return &revocations{allocations: make(map[string][]*allocation), until: make(map[string]time.Time), memory: ttl}
}

// remember makes revocations last as long as credentials that are good for ttl.
func (r *revocations) remember(ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memory = max(r.memory, ttl)
}

// includes reports whether the user is a revoked member.
func (r *revocations) includes(u user, now time.Time) bool {
	if !u.minted {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until[u.name])
}

// add notes an allocation, and reports whether its owner has been revoked meanwhile.
func (r *revocations) add(a *allocation, now time.Time) (late bool) {
	if !a.user.minted {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allocations[a.user.name] = append(r.allocations[a.user.name], a)
	return now.Before(r.until[a.user.name])
}

// drop forgets an allocation.
func (r *revocations) drop(a *allocation) {
	if !a.user.minted {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	left := slices.DeleteFunc(r.allocations[a.user.name], func(b *allocation) bool { return a == b })
	if len(left) == 0 {
		delete(r.allocations, a.user.name)
	} else {
		r.allocations[a.user.name] = left
	}
}

// revoke remembers the member, and returns its allocations.
func (r *revocations) revoke(member string, now time.Time) []*allocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.until[member]; known { // to the end of the queue: it is the longest of all
		r.order = slices.DeleteFunc(r.order, func(m string) bool { return m == member })
	}
	r.until[member] = now.Add(r.memory)
	r.order = append(r.order, member)
	for len(r.order) > 0 && (len(r.order) > maxRevoked || !now.Before(r.until[r.order[0]])) {
		if now.Before(r.until[r.order[0]]) {
			r.forgotten++
		}
		delete(r.until, r.order[0])
		r.order = r.order[1:]
	}
	return slices.Clone(r.allocations[member])
}

// forgottenEarly returns how many were forgotten although they may hold a credential.
func (r *revocations) forgottenEarly() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgotten
}

// Revoke ends what a member has here: its allocations are gone when the readers of
// their sockets have been woken, within milliseconds, and none of its credentials
// opens another. The next request on such a 5-tuple is answered 437; connections of
// the member's are closed. Static users are no members, whatever their name.
//
// Credentials are refused for as long as those that Credential makes are good;
// then they are over by themselves. After a restart the relay knows of no revocation.
func (s *Server) Revoke(member string) {
	for _, a := range s.revoked.revoke(member, s.now()) {
		a.shard.revoke(a)
	}
}

// revoke has the shard's reader end an allocation: it alone talks to the engine and
// changes routes. A stream has no other client, and is closed.
func (s *shard) revoke(a *allocation) {
	if !a.revoked.CompareAndSwap(false, true) {
		return
	}
	s.revokedMu.Lock()
	s.revoked = append(s.revoked, a)
	s.revokedMu.Unlock()
	s.socket.wake()
}

// nextRevoked returns an allocation that is to end, or nil.
func (s *shard) nextRevoked() *allocation {
	s.revokedMu.Lock()
	defer s.revokedMu.Unlock()
	if len(s.revoked) == 0 {
		return nil
	}
	a := s.revoked[0]
	s.revoked = s.revoked[1:]
	return a
}

// endRevoked writes into buf, for the engine, the Refresh that ends the next revoked
// allocation, and returns its size, 0 if there is none. The engine must drop
// allocations itself, on the goroutine that makes them, or it would one day drop the
// one that comes next on the same 5-tuple.
func (s *shard) endRevoked(buf []byte) int {
	for a := s.nextRevoked(); a != nil; a = s.nextRevoked() {
		if s.socket.wide != nil {
			s.socket.dest = a.dest // the Refresh comes as the client's would
		}
		if s.find(a.client) != a {
			continue // over
		}
		a.routes.Store(noRoutes) // nothing passes any more, whatever the engine does
		p, now := &s.pending, time.Now()
		if a.expiring(now) {
			continue // its timer ends it, see expiring
		}
		p.progress = progress{client: a.client, began: now, settings: s.server.settings.Load(), allocation: a, own: true}
		p.request = request{method: methodRefresh, hasLifetime: true}
		rand.Read(p.transaction[:])
		return s.ask(buf)
	}
	return 0
}
