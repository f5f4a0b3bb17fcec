package relay

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestBucketHoldsItsRate(t *testing.T) {
	for _, row := range []struct {
		rate int64
		size int
	}{{1_000, 100}, {1_000, 1_200}, {30_000, 160}, {250_000, 1_200}, {100_000_000, 1_400}, {12_500_000_000, 65_000}} {
		b := newBucket(row.rate)
		const seconds = 20
		var passed int64
		step := time.Duration(int64(row.size) * int64(time.Second) / row.rate / 3) // three times too much
		for now := time.Hour; now < time.Hour+seconds*time.Second; now += step {
			if b.take(row.size, now) {
				passed += int64(row.size)
			}
		}
		least := row.rate*seconds - int64(row.size)
		most := row.rate*seconds + row.rate/2 + int64(row.size)
		most += most / 1000 // whole nanoseconds
		if passed < least || passed > most {
			t.Errorf("%d bytes/s: %d bytes of %d passed in %d s, want %d to %d", row.rate, passed, row.size, seconds, least, most)
		}
	}
}

func TestBucketLetsPassWhatIsBelowItsRate(t *testing.T) {
	b := newBucket(100_000)
	for now := time.Duration(0); now < 10*time.Second; now += 10 * time.Millisecond {
		if !b.take(1_000, now) {
			t.Fatalf("refused at %s", now)
		}
	}
	if unlimited := newBucket(0); !unlimited.take(1<<16, 0) {
		t.Error("0 is a limit")
	}
}

func TestBucketIsSharedWithoutALock(t *testing.T) {
	b := newBucket(1_000_000)
	var passed [4]int64
	var group sync.WaitGroup
	for i := range passed {
		group.Go(func() {
			for range 10_000 {
				size := 1 + rand.IntN(1_000)
				if b.take(size, time.Second) {
					passed[i] += int64(size)
				}
			}
		})
	}
	group.Wait()
	if sum := passed[0] + passed[1] + passed[2] + passed[3]; sum < 500_000 || sum > 501_000 {
		t.Errorf("%d bytes passed at once, want half a second's", sum)
	}
}

func newBucket(rate int64) *bucket {
	b := new(bucket)
	b.limit(rate)
	return b
}
