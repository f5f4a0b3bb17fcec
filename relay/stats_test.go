package relay

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/pion/turn/v4"
)

// moved is what counters of data say, in an order of its own.
func moved(s Stats) map[string]uint64 {
	return map[string]uint64{
		"from clients": s.FromClients.Bytes, "to clients": s.ToClients.Bytes, "from peers": s.FromPeers.Bytes, "to peers": s.ToPeers.Bytes,
		"packets from clients": s.FromClients.Packets, "packets to clients": s.ToClients.Packets,
		"packets from peers": s.FromPeers.Packets, "packets to peers": s.ToPeers.Packets,
	}
}

// What a call moves is counted while it runs, over UDP and TCP, and stays counted after it.
func TestTrafficIsCountedLiveAndNeverLess(t *testing.T) {
	cfg := testConfig()
	cfg.TCP = true
	s := serve(t, cfg, Options{})
	conn := dialTCP(t, s)
	a, b := call(t, s, s.Credential("ann")), callOver(t, s, s.Credential("bob"), turn.NewSTUNConn(conn))
	permitEachOther(t, a, b)
	exchangeSizes(t, a, b, 1000, 1000, 1000)

	running := s.Stats()
	// A packet is counted once it has been sent, and pion's clients bind their channels in passing.
	eventually(t, "both ways are counted while the call runs", func() bool {
		running = s.Stats()
		return running.FromPeers.Bytes >= 6000 && running.ToPeers.Bytes >= 6000 && running.Channels == 2
	})
	if running.Allocations != 2 || running.Permissions != 2 || running.Streams != 1 {
		t.Errorf("while the call runs: %d allocations, %d permissions, %d connections", running.Allocations, running.Permissions, running.Streams)
	}
	before := moved(running)
	notLess := func() {
		t.Helper()
		now := moved(s.Stats())
		for name, n := range before {
			if now[name] < n {
				t.Errorf("%s went from %d to %d", name, n, now[name])
			}
		}
		before = now
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	eventually(t, "both are over", func() bool {
		notLess()
		stats := s.Stats()
		return stats.Allocations == 0 && stats.Streams == 0
	})
	notLess()
	after := s.Stats()
	if after.Permissions != 0 || after.Channels != 0 || after.Ended[EndReleased] != 1 || after.Ended[EndClosed] != 1 || after.AllocationsTotal != 2 {
		t.Errorf("after the call: %d permissions, %d channels, ended %v", after.Permissions, after.Channels, after.Ended)
	}
}

// An allocation that took the place of another, which the engine is yet to close, does not
// take what that one has moved out of the sum; and neither is counted twice.
func TestAReplacedAllocationStaysCounted(t *testing.T) {
	table := newClientTable()
	client := netip.MustParseAddrPort("192.0.2.1:5000")
	allocate := func(bytes int) *allocation {
		a := &allocation{client: client}
		a.routes.Store(noRoutes)
		a.fromPeers.add(bytes)
		table.put(a)
		return a
	}
	want := func(when string, bytes uint64) {
		t.Helper()
		if media, _ := table.media(0); media.fromPeers.Bytes != bytes {
			t.Errorf("%s: %d bytes, want %d", when, media.fromPeers.Bytes, bytes)
		}
	}
	old := allocate(1000)
	want("one", 1000)
	next := allocate(10)
	want("replaced, not closed", 1010)
	old.fromPeers.add(500)
	table.drop(old)
	want("closed", 1510)
	table.drop(next)
	want("both closed", 1510)
}

// What one scrape costs with many running allocations, each with a permission.
func BenchmarkStats(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("allocations=%d", size), func(b *testing.B) {
			gate, _ := newGate(b, nil)
			for n := range size {
				a := &allocation{shard: gate, client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 4000)}
				a.routes.Store(noRoutes.permit([]netip.AddrPort{stranger}, 0))
				gate.clients.put(a)
			}
			b.ReportAllocs()
			for b.Loop() {
				if stats := gate.server.Stats(); stats.Permissions != size {
					b.Fatal(stats.Permissions)
				}
			}
		})
	}
}
