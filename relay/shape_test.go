package relay

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/duetcall/duet/config"
)

func TestBucketHoldsItsRate(t *testing.T) {
	for _, row := range []struct {
		rate int64
		size int
	}{{1_000, 100}, {1_000, 1_200}, {30_000, 160}, {250_000, 1_200}, {100_000_000, 1_400}, {12_500_000_000, 65_000}} {
		b := bucket{bytesPerSecond: row.rate}
		const seconds = 3
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
	b := bucket{bytesPerSecond: 100_000}
	for now := time.Duration(0); now < 10*time.Second; now += 10 * time.Millisecond {
		if !b.take(1_000, now) {
			t.Fatalf("refused at %s", now)
		}
	}
	if unlimited := (bucket{}); !unlimited.take(1<<16, 0) {
		t.Error("0 is a limit")
	}
}

func TestBucketIsSharedWithoutALock(t *testing.T) {
	b := bucket{bytesPerSecond: 1_000_000}
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

func TestEachWayHoldsMaxBPS(t *testing.T) {
	b := newBench(t, func(cfg *config.Turn) { cfg.MaxBytesPerSecond = 10_000 })
	holdsLimit(t, b, DropMaxBPS, 10_000)
}

func TestAllTogetherHoldBPSCapacity(t *testing.T) {
	b := newBench(t, func(cfg *config.Turn) { cfg.TotalBytesPerSecond = 10_000 })
	holdsLimit(t, b, DropCapacity, 10_000)
	// Nothing is left for anyone else.
	c := dial(t, b.s, "bob", "word")
	c.allocate()
	c.want(c.do(methodCreatePermission, toPeer(b.peerAt)), 0)
	b.expectDrop(DropCapacity, func() {
		for range 20 { // more than may pass at once
			c.send(b.peerAt, string(random(500)))
			b.channelData(0x4000, string(random(500)))
		}
	})
}

// holdsLimit sends twice the limit, one way and then the other, for ten seconds of
// the data plane's clock.
func holdsLimit(t *testing.T, b *bench, reason Drop, limit uint64) {
	t.Helper()
	b.want(b.do(methodChannelBind, channelNumber(0x4000), toPeer(b.peerAt)), 0)
	const size, seconds, perSecond = 500, 10, 40
	data := random(size)
	for way, send := range map[string]func(){
		"to the peer":   func() { b.channelData(0x4000, string(data)) },
		"to the client": func() { b.fromPeer(data) },
	} {
		before := b.s.Stats()
		passed := func() uint64 { // ToClients counts headers and answers, too
			after := b.s.Stats()
			if way == "to the peer" {
				return after.ToPeers.Packets - before.ToPeers.Packets
			}
			return after.ToClients.Packets - before.ToClients.Packets
		}
		for sent := range uint64(seconds * perSecond) {
			send()
			eventually(t, "it is counted", func() bool { return passed()+b.dropped(reason)-before.Dropped[reason] > sent })
			b.advance(time.Second / perSecond)
		}
		got := passed() * size
		if least, most := limit*seconds-size, limit*seconds+limit/2+size; got < least || got > most {
			t.Errorf("%d bytes %s in %d s, want %d to %d", got, way, seconds, least, most)
		}
	}
}
