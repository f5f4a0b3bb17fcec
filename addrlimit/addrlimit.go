// Package addrlimit bounds what strangers may do, by the address that they come from.
//
// There are more addresses than memory, so nothing is kept for one: a table has a fixed
// number of buckets, made once, and an address has the bucket that its keyed hash names. Addresses that
// meet in a bucket share what it allows: that costs them something while one of them
// is over its limit, and never lets anybody have more. The key is random and made
// with the table, so that nobody can aim at the bucket of somebody else.
//
// An IPv4 address counts for itself, an IPv6 address for its /64 network, which is the
// least that one customer has.
//
// There are no locks, and nothing is allocated for an address.
package addrlimit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Size is that of a table for all strangers, in buckets: 512 KiB for a Rate, 256 KiB for a Count.
const Size = 1 << 16

// Rate is a table of token buckets. A nil Rate has no limit.
//
// A bucket is one number: when it will be full again (the generic cell rate
// algorithm), in nanoseconds since epoch.
type Rate struct {
	epoch    time.Time
	interval int64 // between tokens
	window   int64 // how much a full bucket lasts for: its tokens' intervals
	seed     maphash.Seed
	full     []atomic.Int64
}

// NewRate makes a table of a power of two buckets, each for that many tokens at once and
// as many again in each period. With one bucket, all addresses share it. No tokens: nil, no limit.
func NewRate(tokens int, period time.Duration, size int) *Rate {
	if tokens == 0 {
		return nil
	}
	return &Rate{
		epoch:    time.Now(),
		interval: int64(period) / int64(tokens),
		window:   int64(period),
		seed:     maphash.MakeSeed(),
		full:     make([]atomic.Int64, size),
	}
}

// Take removes one token of the address's bucket, and reports false if there is none.
func (r *Rate) Take(addr netip.Addr, now time.Time) bool {
	if r == nil {
		return true
	}
	bucket, at := r.bucket(addr), int64(now.Sub(r.epoch))
	for {
		old := bucket.Load()
		next := max(old, at) + r.interval
		if next-at > r.window {
			return false
		}
		if bucket.CompareAndSwap(old, next) {
			return true
		}
	}
}

// Give puts a token back.
func (r *Rate) Give(addr netip.Addr) {
	if r != nil {
		r.bucket(addr).Add(-r.interval)
	}
}

// Wait is how long the bucket will have no token, 0 if it has one.
func (r *Rate) Wait(addr netip.Addr, now time.Time) time.Duration {
	if r == nil {
		return 0
	}
	at := int64(now.Sub(r.epoch))
	return time.Duration(max(0, r.bucket(addr).Load()+r.interval-r.window-at))
}

// Meet reports whether two addresses share a bucket.
func (r *Rate) Meet(a, b netip.Addr) bool { return r.bucket(a) == r.bucket(b) }

func (r *Rate) bucket(addr netip.Addr) *atomic.Int64 {
	return &r.full[index(r.seed, addr, len(r.full))]
}

// Count is a table of how many things there are now.
type Count struct {
	seed maphash.Seed
	now  []atomic.Int32
}

// NewCount makes a table of a power of two buckets.
func NewCount(size int) *Count {
	return &Count{seed: maphash.MakeSeed(), now: make([]atomic.Int32, size)}
}

// Enter counts one more, until Leave is called once, and reports false without counting it if the bucket
// has most already. No most: no limit.
func (c *Count) Enter(addr netip.Addr, most int) bool {
	bucket := c.bucket(addr)
	for {
		old := bucket.Load()
		if most > 0 && int(old) >= most {
			return false
		}
		if bucket.CompareAndSwap(old, old+1) {
			return true
		}
	}
}

// Leave counts one less.
func (c *Count) Leave(addr netip.Addr) { c.bucket(addr).Add(-1) }

// Total is how many there are in all buckets.
func (c *Count) Total() (total int) {
	for i := range c.now {
		total += int(c.now[i].Load())
	}
	return total
}

func (c *Count) bucket(addr netip.Addr) *atomic.Int32 { return &c.now[index(c.seed, addr, len(c.now))] }

// index is the bucket of an address, of a power of two.
func index(seed maphash.Seed, addr netip.Addr, size int) uint64 {
	if size == 1 {
		return 0
	}
	octets := addr.As16()
	significant := len(octets)
	if !addr.Is4() && !addr.Is4In6() {
		significant = 8
	}
	return maphash.Bytes(seed, octets[:significant]) & uint64(size-1)
}
