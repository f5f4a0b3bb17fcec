package relay

import (
	"net/netip"
	"testing"
	"time"
)

func TestLimiterGivesASecondsWorthAtOnceAndThenTheRate(t *testing.T) {
	l := newLimiter(10, sources)
	source := netip.MustParseAddr("192.0.2.1")
	count := func(at time.Duration) (taken int) {
		for range 1000 {
			if l.take(source, l.epoch.Add(at)) {
				taken++
			}
		}
		return taken
	}
	for _, step := range []struct {
		at   time.Duration
		want int
	}{{time.Second, 10}, {time.Second, 0}, {1100 * time.Millisecond, 1}, {1500 * time.Millisecond, 4}, {time.Hour, 10}} {
		if got := count(step.at); got != step.want {
			t.Errorf("at %s: %d, want %d", step.at, got, step.want)
		}
	}
	l.give(source)
	if got := count(time.Hour); got != 1 {
		t.Errorf("after one was given back: %d", got)
	}
}

func TestSourcesAreIPv4AddressesAndIPv6Networks(t *testing.T) {
	for _, row := range []struct {
		first, second string
		same          bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
	} {
		collisions := 0
		for range 20 { // in one table of many they may meet by chance
			l := newLimiter(1, sources)
			if l.bucket(netip.MustParseAddr(row.first)) == l.bucket(netip.MustParseAddr(row.second)) {
				collisions++
			}
		}
		if row.same && collisions < 20 || !row.same && collisions > 5 {
			t.Errorf("%s and %s share a bucket %d times of 20, want the same: %t", row.first, row.second, collisions, row.same)
		}
	}
}

func TestZeroRateIsUnlimited(t *testing.T) {
	l := newLimiter(0, sources)
	for range 10_000 {
		if !l.take(netip.MustParseAddr("192.0.2.1"), time.Now()) {
			t.Fatal("limited")
		}
	}
	l.give(netip.MustParseAddr("192.0.2.1"))
}

// However many sources there are, the limiter stays as it is.
func TestLimiterAllocatesNothing(t *testing.T) {
	l, n := newLimiter(10, sources), uint32(0)
	if allocs := testing.AllocsPerRun(10_000, func() {
		n += 7919
		l.take(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), l.epoch)
	}); allocs != 0 {
		t.Errorf("%v allocations for a new source", allocs)
	}
}
