package relay

import (
	"sync/atomic"
	"time"
)

// burst is how much may pass at once after a pause: what half a second allows.
const burst = time.Second / 2

// bucket limits bytes per second without a lock. Instead of counting tokens it
// remembers when all that has passed would be paid for at the allowed rate; while
// that is less than burst ahead, the next packet passes, whatever its size. So the
// excess over any time is at most a burst and one packet, and a limit below the size
// of a packet slows packets down rather than stopping them.
type bucket struct {
	bytesPerSecond atomic.Int64 // 0 is unlimited
	paid           atomic.Int64 // nanoseconds on the relay's clock
}

// limit sets the rate from now on.
func (b *bucket) limit(bytesPerSecond int64) { b.bytesPerSecond.Store(bytesPerSecond) }

// delay is take for a stream, whose bytes can wait: it returns for how long, 0 if
// they have passed. It leaves half of the burst to packets, which cannot wait.
func (b *bucket) delay(size int, now time.Duration) time.Duration {
	rate := b.bytesPerSecond.Load()
	if rate == 0 {
		return 0
	}
	price := int64(size) * int64(time.Second) / rate
	for {
		paid := b.paid.Load()
		from := max(paid, int64(now))
		if ahead := from - int64(now); ahead >= int64(burst/2) {
			return time.Duration(ahead) - burst/2 + 1
		}
		if b.paid.CompareAndSwap(paid, from+price) {
			return 0
		}
	}
}

// take reports whether a packet of size bytes may pass now.
func (b *bucket) take(size int, now time.Duration) bool {
	rate := b.bytesPerSecond.Load()
	if rate == 0 {
		return true
	}
	price := int64(size) * int64(time.Second) / rate
	for {
		paid := b.paid.Load()
		from := max(paid, int64(now))
		if from-int64(now) >= int64(burst) {
			return false
		}
		if b.paid.CompareAndSwap(paid, from+price) {
			return true
		}
	}
}
