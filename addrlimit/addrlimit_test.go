package addrlimit

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ann = netip.MustParseAddr("192.0.2.1")

func TestARateGivesItsTokensAtOnceAndThenEvenly(t *testing.T) {
	r := NewRate(10, time.Second, Size)
	count := func(at time.Duration) (taken int) {
		for range 1000 {
			if r.Take(ann, r.epoch.Add(at)) {
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
	r.Give(ann)
	if got := count(time.Hour); got != 1 {
		t.Errorf("after one was given back: %d", got)
	}
}

func TestWaitIsWhenTheNextTokenIsThere(t *testing.T) {
	r := NewRate(10, 30*time.Minute, Size)
	at := r.epoch.Add(time.Hour)
	if got := r.Wait(ann, at); got != 0 {
		t.Errorf("wait %v before anything was taken", got)
	}
	for range 10 {
		r.Take(ann, at)
	}
	wait := r.Wait(ann, at)
	if wait != 3*time.Minute {
		t.Errorf("wait %v for the eleventh of ten in half an hour, want 3m", wait)
	}
	if r.Take(ann, at.Add(wait-1)) || !r.Take(ann, at.Add(wait)) {
		t.Errorf("the token is not there after exactly %v", wait)
	}
}

func TestAddressesAreIPv4AddressesAndIPv6Networks(t *testing.T) {
	for _, row := range []struct {
		first, second string
		same          bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
	} {
		collisions := 0
		for range 20 { // in one table of many they may meet by chance
			r := NewRate(1, time.Second, Size)
			if r.Meet(netip.MustParseAddr(row.first), netip.MustParseAddr(row.second)) {
				collisions++
			}
		}
		if row.same && collisions < 20 || !row.same && collisions > 5 {
			t.Errorf("%s and %s share a bucket %d times of 20, want the same: %t", row.first, row.second, collisions, row.same)
		}
	}
}

func TestZeroIsNoLimit(t *testing.T) {
	r, c := NewRate(0, time.Second, Size), NewCount(Size)
	for range 10_000 {
		if !r.Take(ann, time.Now()) || r.Wait(ann, time.Now()) != 0 || !c.Enter(ann, 0) {
			t.Fatal("limited")
		}
	}
	r.Give(ann)
}

func TestACountIsExactWhoeverComesAtTheSameTime(t *testing.T) {
	const most = 7
	c := NewCount(Size)
	var inside, peak atomic.Int32
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for range 2000 {
				if !c.Enter(ann, most) {
					continue
				}
				now := inside.Add(1)
				for old := peak.Load(); now > old && !peak.CompareAndSwap(old, now); old = peak.Load() {
				}
				inside.Add(-1)
				c.Leave(ann)
			}
		})
	}
	all.Wait()
	if peak.Load() > most || c.Total() != 0 {
		t.Errorf("%d inside at once, want %d at most; %d when all had left", peak.Load(), most, c.Total())
	}
	for n := range most + 1 {
		if got := c.Enter(ann, most); got != (n < most) {
			t.Errorf("the %d. of %d: %t", n+1, most, got)
		}
	}
}

// However many addresses there are, the tables stay as they are.
func TestNothingIsAllocatedForAnAddress(t *testing.T) {
	r, c, n := NewRate(10, time.Second, Size), NewCount(Size), uint32(0)
	if allocs := testing.AllocsPerRun(10_000, func() {
		n += 7919
		addr := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		r.Take(addr, r.epoch)
		c.Enter(addr, 1)
	}); allocs != 0 {
		t.Errorf("%v allocations for a new address", allocs)
	}
}
