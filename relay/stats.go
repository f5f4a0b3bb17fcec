package relay

import "sync/atomic"

// Stats is a snapshot of the relay's counters. All but Allocations and
// PortsUsed only grow.
type Stats struct {
	// Allocations live now, AllocationsTotal were ever made.
	Allocations      int
	AllocationsTotal uint64
	// Bindings are answered STUN Binding requests, Challenges requests without
	// credentials that were asked for some.
	Bindings, Challenges uint64
	// Refused counts error answers, by reason.
	Refused map[Refusal]uint64
	// Dropped counts unanswered datagrams, by reason.
	Dropped map[Drop]uint64
	// Datagrams on the listening sockets, and packets on the relay sockets.
	FromClients, ToClients, FromPeers, ToPeers Traffic
	// PortsUsed of PortsSize relay ports are taken, over all relayed addresses.
	PortsUsed, PortsSize int
}

// Traffic is packets and the bytes of their UDP payload.
type Traffic struct{ Packets, Bytes uint64 }

// counter counts packets of any goroutine.
type counter struct{ packets, bytes atomic.Uint64 }

func (c *counter) add(size int) {
	c.packets.Add(1)
	c.bytes.Add(uint64(size))
}

func (c *counter) snapshot() Traffic { return Traffic{c.packets.Load(), c.bytes.Load()} }

// counters are the relay's, without a lock.
type counters struct {
	live                                       atomic.Int64
	allocations                                atomic.Uint64
	bindings, challenges                       atomic.Uint64
	refused                                    [refusalCount]atomic.Uint64
	dropped                                    [dropCount]atomic.Uint64
	fromClients, toClients, fromPeers, toPeers counter
}

func (c *counters) drop(reason Drop)      { c.dropped[reason].Add(1) }
func (c *counters) refuse(reason Refusal) { c.refused[reason].Add(1) }

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats {
	stats := Stats{
		Allocations:      int(s.stats.live.Load()),
		AllocationsTotal: s.stats.allocations.Load(),
		Bindings:         s.stats.bindings.Load(),
		Challenges:       s.stats.challenges.Load(),
		Refused:          make(map[Refusal]uint64),
		Dropped:          make(map[Drop]uint64),
		FromClients:      s.stats.fromClients.snapshot(),
		ToClients:        s.stats.toClients.snapshot(),
		FromPeers:        s.stats.fromPeers.snapshot(),
		ToPeers:          s.stats.toPeers.snapshot(),
	}
	for reason := RefusedMalformed; reason < refusalCount; reason++ {
		stats.Refused[reason] = s.stats.refused[reason].Load()
	}
	for reason := DropNotSTUN; reason < dropCount; reason++ {
		stats.Dropped[reason] = s.stats.dropped[reason].Load()
	}
	for _, f := range s.families {
		used, size := f.ports.usage()
		stats.PortsUsed += used
		stats.PortsSize += size
	}
	return stats
}
