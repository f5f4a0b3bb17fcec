package relay

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/config"
)

// What is fixed of the limits on strangers; error_rate and binding_rate are
// configured.
const (
	// failedProofs is how many requests a second with a wrong credential are
	// looked at per source. Such a source has a nonce of ours, so it is where it
	// says it is.
	failedProofs = 100
	// unprovenWork is how many answers and checks a second all strangers get: at
	// two or three microseconds each, a fraction of one core.
	unprovenWork = 50_000
	// sources is the size of a table: 512 KiB.
	sources = 1 << 16
)

// limits bound what strangers can make us do. Requests on a 5-tuple that has an
// allocation, and those that prove to know a credential, are not strangers': no
// flood silences a running call.
type limits struct {
	errors, bindings, proofs, work *limiter
}

func newLimits(cfg config.Turn) *limits {
	return &limits{
		errors:   newLimiter(cfg.ErrorRate, sources),
		bindings: newLimiter(cfg.BindingRate, sources),
		proofs:   newLimiter(failedProofs, sources),
		work:     newLimiter(unprovenWork, 1),
	}
}

// answer takes one answer from a source's budget and from that of all, or says
// which of them is used up.
func (l *limits) answer(perSource *limiter, source netip.Addr, now time.Time) Drop {
	switch {
	case !perSource.take(source, now):
		return DropRate
	case !l.work.take(source, now):
		return DropBudget
	default:
		return kept
	}
}

// limiter is a table of token buckets, each of window's tokens, one second, for sources:
// IPv4 addresses and IPv6 /64 networks. Its size is fixed; sources whose keyed
// hashes meet share a bucket, which costs them answers under attack and nothing
// else. A nil limiter has no limit. It has no lock and allocates nothing.
//
// A bucket is one number: when it will be full again (the generic cell rate
// algorithm), in nanoseconds since epoch.
type limiter struct {
	epoch    time.Time
	interval int64 // between tokens
	window   int64 // how much a full bucket lasts for: its tokens' intervals
	seed     maphash.Seed
	full     []atomic.Int64
}

// newLimiter makes a table of a power of two buckets. With one bucket, all sources share it.
func newLimiter(perSecond, size int) *limiter {
	if perSecond == 0 {
		return nil
	}
	return &limiter{
		epoch:    time.Now(),
		interval: int64(time.Second) / int64(perSecond),
		window:   int64(time.Second),
		seed:     maphash.MakeSeed(),
		full:     make([]atomic.Int64, size),
	}
}

// take removes one token of the source's bucket, and reports false if there is none.
func (l *limiter) take(source netip.Addr, now time.Time) bool {
	if l == nil {
		return true
	}
	bucket, at := l.bucket(source), int64(now.Sub(l.epoch))
	for {
		old := bucket.Load()
		next := max(old, at) + l.interval
		if next-at > l.window {
			return false
		}
		if bucket.CompareAndSwap(old, next) {
			return true
		}
	}
}

// give puts a token back.
func (l *limiter) give(source netip.Addr) {
	if l != nil {
		l.bucket(source).Add(-l.interval)
	}
}

func (l *limiter) bucket(source netip.Addr) *atomic.Int64 {
	if len(l.full) == 1 {
		return &l.full[0]
	}
	octets := source.As16()
	size := len(octets)
	if !source.Is4() && !source.Is4In6() {
		size = 8
	}
	return &l.full[maphash.Bytes(l.seed, octets[:size])&uint64(len(l.full)-1)]
}
