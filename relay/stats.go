package relay

import (
	"sync/atomic"
)

// Stats is a snapshot of the relay's counters. What there is now
// goes up and down, all else only grows.
type Stats struct {
	// Allocations live now, AllocationsTotal were ever made.
	Allocations      int
	AllocationsTotal uint64
	// ByKind are the same, apart by transport and address family; every kind is there.
	ByKind map[Kind]Count
	// Ended counts the allocations that are over, by reason; every reason is there.
	Ended map[End]uint64
	// Permissions and Channels are those of all allocations, now.
	Permissions, Channels int
	// Bindings are answered STUN Binding requests, Challenges requests without
	// credentials that were asked for some; those are in Refused, too.
	Bindings, Challenges uint64
	// Refused counts error answers, by reason.
	Refused map[Refusal]uint64
	// RevocationsForgotten are members whom Revoke could not remember until their
	// credentials were over: there were too many.
	RevocationsForgotten uint64
	// Dropped counts unanswered datagrams, by reason.
	Dropped map[Drop]uint64
	// FromClients and ToClients are the datagrams of the listening sockets. FromPeers
	// are the packets that came from peers with a permission, ToPeers those that went
	// to peers. All are as of now, running allocations included.
	FromClients, ToClients, FromPeers, ToPeers Traffic
	// PeerConnections are those that TCP allocations have with peers now, or are making.
	PeerConnections int
	// PortsUsed of PortsSize relay ports are taken, over all relayed addresses; Ports
	// says so by address family.
	PortsUsed, PortsSize int
	Ports                map[string]PortUse
	// Streams are the connections of clients, now.
	Streams int
}

// Kind is what tells allocations apart.
type Kind struct {
	Transport string // of the client: one of Transports
	Family    string // of the relayed address: "ipv4" or "ipv6"
}

// Transports are the values of Kind.Transport.
var Transports = []string{"udp", "tcp", "tls", "dtls"}

// Count is how many allocations of a kind there are, and ever were.
type Count struct {
	Now   int
	Total uint64
}

// PortUse is how many of a family's relay ports are taken, and how many it has.
type PortUse struct{ Used, Size int }

// Traffic is packets and the bytes of their UDP payload.
type Traffic struct{ Packets, Bytes uint64 }

// counter counts packets of any goroutine.
type counter struct{ packets, bytes atomic.Uint64 }

func (c *counter) add(size int) {
	c.packets.Add(1)
	c.bytes.Add(uint64(size))
}

func (c *counter) snapshot() Traffic { return Traffic{c.packets.Load(), c.bytes.Load()} }

func (t *Traffic) add(more Traffic) {
	t.Packets += more.Packets
	t.Bytes += more.Bytes
}

// flow is what went through a shard.
type flow struct{ fromClients, toClients, fromPeers, toPeers Traffic }

func (f *flow) add(more flow) {
	f.fromClients.add(more.fromClients)
	f.toClients.add(more.toClients)
	f.fromPeers.add(more.fromPeers)
	f.toPeers.add(more.toPeers)
}

// measure returns what went through, and what the shard's allocations have now.
func (s *shard) measure() (flow, holdings) {
	media, held := s.clients.media(s.server.clock())
	f := flow{fromClients: s.received.snapshot(), toClients: s.answered.snapshot(), fromPeers: media.fromPeers, toPeers: media.toPeers}
	f.toClients.add(media.toClients)
	return f, held
}

// mediaTraffic is what allocations have moved.
type mediaTraffic struct{ toClients, fromPeers, toPeers Traffic }

func (m *mediaTraffic) add(a *allocation) {
	m.toClients.add(a.down.relayed.snapshot())
	m.fromPeers.add(a.fromPeers.snapshot())
	m.toPeers.add(a.up.relayed.snapshot())
}

// counters are the relay's, without a lock. Media is counted by each allocation for
// itself, and datagrams of clients by each shard.
type counters struct {
	kinds    map[Kind]*kindCounters // made once
	bindings atomic.Uint64
	refused  [refusalCount]atomic.Uint64
	dropped  [dropCount]atomic.Uint64
	ended    [endCount]atomic.Uint64
}

// kindCounters are those of one kind of allocations.
type kindCounters struct {
	live  atomic.Int64
	total atomic.Uint64
}

func newCounters() *counters {
	c := &counters{kinds: make(map[Kind]*kindCounters)}
	for _, transport := range Transports {
		for _, family := range []string{"ipv4", "ipv6"} {
			c.kinds[Kind{transport, family}] = &kindCounters{}
		}
	}
	return c
}

// of returns what counts the allocation.
func (c *counters) of(a *allocation) *kindCounters {
	return c.kinds[Kind{a.shard.transport, familyName(a.local.Addr().Is4())}]
}

func familyName(v4 bool) string {
	if v4 {
		return "ipv4"
	}
	return "ipv6"
}

func (c *counters) drop(reason Drop)      { c.dropped[reason].Add(1) }
func (c *counters) refuse(reason Refusal) { c.refused[reason].Add(1) }

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats {
	stats := Stats{
		ByKind:          make(map[Kind]Count),
		Ended:           make(map[End]uint64),
		PeerConnections: s.peerConns.count(),
		Bindings:        s.stats.bindings.Load(),

		RevocationsForgotten: s.revoked.forgottenEarly(),
		Challenges:           s.stats.refused[RefusedUnsigned].Load(),
		Refused:              make(map[Refusal]uint64),
		Dropped:              make(map[Drop]uint64),
		Ports:                make(map[string]PortUse),
		Streams:              s.streams.count(),
	}
	for kind, of := range s.stats.kinds {
		count := Count{int(of.live.Load()), of.total.Load()}
		stats.ByKind[kind] = count
		stats.Allocations += count.Now
		stats.AllocationsTotal += count.Total
	}
	all, held := s.streams.measure()
	for _, shard := range s.shards {
		flow, more := shard.measure()
		all.add(flow)
		held.add(more)
	}
	stats.FromClients, stats.ToClients, stats.FromPeers, stats.ToPeers = all.fromClients, all.toClients, all.fromPeers, all.toPeers
	stats.Permissions, stats.Channels = held.permissions, held.channels
	for reason := EndExpired; reason < endCount; reason++ {
		stats.Ended[reason] = s.stats.ended[reason].Load()
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
		stats.Ports[familyName(f.v4)] = PortUse{used, size}
	}
	return stats
}
