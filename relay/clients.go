package relay

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// minBuckets is the size of an empty table, a power of two.
const minBuckets = 64

// clientTable holds the allocations of one shard by 5-tuple: the client, and the address
// of ours that it sends to, if the shard's socket has several. Looking up takes no lock;
// what changes the table takes a leaf one (whoever holds it calls nobody).
type clientTable struct {
	seed    maphash.Seed
	buckets atomic.Pointer[[]atomic.Pointer[clientEntry]]

	mu    sync.Mutex
	count int
	// open are all allocations that have not ended: one that has been replaced is no
	// longer found, but counts on until it is closed.
	open map[*allocation]struct{}
	// ended is what the others moved.
	ended mediaTraffic
}

// clientEntry is an immutable link in the chain of one bucket. A change makes the
// chain anew up to the point of the change.
type clientEntry struct {
	allocation *allocation
	next       *clientEntry
}

func newClientTable() *clientTable {
	t := &clientTable{seed: maphash.MakeSeed(), open: make(map[*allocation]struct{})}
	buckets := make([]atomic.Pointer[clientEntry], minBuckets)
	t.buckets.Store(&buckets)
	return t
}

// find returns the allocation of a client that sends to dest, or nil.
func (t *clientTable) find(client netip.AddrPort, dest netip.Addr) *allocation {
	buckets := *t.buckets.Load()
	for e := buckets[t.index(client, buckets)].Load(); e != nil; e = e.next {
		if e.allocation.client == client && e.allocation.dest == dest {
			return e.allocation
		}
	}
	return nil
}

func (t *clientTable) index(client netip.AddrPort, buckets []atomic.Pointer[clientEntry]) int {
	return int(maphash.Comparable(t.seed, client) & uint64(len(buckets)-1))
}

// put adds an allocation, in place of an older one of the same 5-tuple.
func (t *clientTable) put(a *allocation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[a] = struct{}{}
	buckets := *t.buckets.Load()
	if t.count >= len(buckets) {
		buckets = t.grow(buckets)
	}
	head := &buckets[t.index(a.client, buckets)]
	rest, found := head.Load().without(func(b *allocation) bool { return b.client == a.client && b.dest == a.dest })
	head.Store(&clientEntry{a, rest})
	if !found {
		t.count++
	}
}

// drop removes a, but not the allocation that came after it, and keeps what a has moved.
func (t *clientTable) drop(a *allocation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, a)
	t.ended.add(a)
	buckets := *t.buckets.Load()
	head := &buckets[t.index(a.client, buckets)]
	rest, found := head.Load().without(func(b *allocation) bool { return b == a })
	if found {
		head.Store(rest)
		t.count--
	}
}

// without returns the chain without the entry that matches, if there is one.
func (e *clientEntry) without(match func(*allocation) bool) (*clientEntry, bool) {
	if e == nil {
		return nil, false
	}
	if match(e.allocation) {
		return e.next, true
	}
	rest, found := e.next.without(match)
	if !found {
		return e, false
	}
	return &clientEntry{e.allocation, rest}, true
}

// grow doubles the table. Readers that still hold the old one find in it what they
// would have found a moment ago.
func (t *clientTable) grow(old []atomic.Pointer[clientEntry]) []atomic.Pointer[clientEntry] {
	buckets := make([]atomic.Pointer[clientEntry], 2*len(old))
	for i := range old {
		for e := old[i].Load(); e != nil; e = e.next {
			head := &buckets[t.index(e.allocation.client, buckets)]
			head.Store(&clientEntry{e.allocation, head.Load()})
		}
	}
	t.buckets.Store(&buckets)
	return buckets
}

// media returns what all allocations have moved, past ones too, and how many
// permissions and channels the open ones have at now.
func (t *clientTable) media(now time.Duration) (moved mediaTraffic, held holdings) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved = t.ended
	for a := range t.open {
		moved.add(a)
		held.add(a.routes.Load().count(now))
	}
	return moved, held
}
