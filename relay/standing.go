package relay

import (
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay/peerpolicy"
)

// maxFormer bounds how many former addresses count as ours. More changes than that in
// the life of one allocation are a name that somebody plays with.
const maxFormer = 16

// standing is how the relay is reached and what follows from it. It is immutable: a
// change of address makes a new one, packets and requests read the current one through
// an atomic pointer.
type standing struct {
	addresses []Address  // IPv4 first
	mappings  []*mapping // of the addresses
	// former are mappings that live allocations may still have.
	former  []*mapping
	policy  *peerpolicy.Policy
	because peerpolicy.Config // what policy was made of
}

// mapping is a local address and the external one in its place. Each allocation keeps
// the one it was made with, since its client has told others that address.
type mapping struct {
	local, external netip.Addr
	live            atomic.Int64 // allocations
}

// mapping returns that of new allocations of a family.
func (s *standing) mapping(v4 bool) *mapping {
	for _, m := range s.mappings {
		if m.local.Is4() == v4 {
			return m
		}
	}
	return nil
}

// known returns a mapping to an external address of ours, or nil.
func (s *standing) known(external netip.Addr) *mapping {
	for _, m := range s.mappings {
		if m.external == external {
			return m
		}
	}
	for _, m := range s.former {
		if m.external == external {
			return m
		}
	}
	return nil
}

// publish makes addresses those of new allocations.
func (s *Server) publish(cfg config.Turn, addresses []Address, m machine) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	next, before := &standing{}, s.standing.Load()
	var known []*mapping
	if before != nil {
		known = append(known, before.mappings...)
		known = append(known, before.former...)
	}
	for _, address := range addresses {
		at := slices.IndexFunc(known, func(m *mapping) bool { return m.local == address.Relay && m.external == address.External })
		if at < 0 {
			known = append(known, &mapping{local: address.Relay, external: address.External})
			at = len(known) - 1
		}
		next.mappings = append(next.mappings, known[at])
		next.addresses = append(next.addresses, s.withListener(address))
	}
	for _, m := range known {
		// One that was current until now may be about to get an allocation.
		wanted := m.live.Load() > 0 || before != nil && slices.Contains(before.mappings, m)
		if wanted && !slices.Contains(next.mappings, m) && len(next.former) < maxFormer {
			next.former = append(next.former, m)
		}
	}
	next.because = s.peerConfig(cfg, next, m)
	if before != nil && reflect.DeepEqual(next.because, before.because) {
		next.policy = before.policy
	} else {
		next.policy = peerpolicy.New(next.because)
	}
	s.standing.Store(next)
}

// judgeAnew makes the peer policy anew, of what the operator says now.
func (s *Server) judgeAnew() {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	next, settings := *s.standing.Load(), s.settings.Load()
	before := next.because
	next.because.Allowed, next.because.Denied = settings.allowed, settings.denied
	if !reflect.DeepEqual(next.because, before) {
		next.policy = peerpolicy.New(next.because)
		s.standing.Store(&next)
	}
}

// peerConfig tells the peer policy who we are, and were to allocations that live.
func (s *Server) peerConfig(cfg config.Turn, now *standing, m machine) peerpolicy.Config {
	settings := s.settings.Load()
	policy := peerpolicy.Config{
		Allowed: settings.allowed,
		Denied:  settings.denied,
		MinPort: uint16(cfg.MinPort),
		MaxPort: uint16(cfg.MaxPort),
	}
	for _, address := range now.addresses {
		policy.Relayed = append(policy.Relayed, address.External)
		policy.Own = append(policy.Own, address.Relay)
		if address.lan.IsValid() {
			policy.LAN = append(policy.LAN, address.lan)
		}
	}
	for _, former := range now.former {
		policy.Relayed = append(policy.Relayed, former.external)
		policy.Own = append(policy.Own, former.local)
	}
	for _, pair := range cfg.ExternalIP.Pairs {
		if pair.Name == "" {
			policy.Own = append(policy.Own, pair.Public.Unmap())
		}
	}
	for _, shard := range s.shards {
		policy.Own = append(policy.Own, addrPort(shard.local).Addr())
	}
	for _, iface := range m.interfaces {
		policy.Own = append(policy.Own, iface.prefix.Addr())
	}
	return policy
}

// withListener finds the socket that clients of the address's family use: the
// one on the relay's address, one on all addresses, or any.
func (s *Server) withListener(address Address) Address {
	for _, shard := range s.shards {
		at := addrPort(shard.local)
		if at.Addr().Is4() != address.Relay.Is4() || shard.corner != 0 {
			continue
		}
		if at.Addr() == address.Relay || at.Addr().IsUnspecified() || !address.Listen.IsValid() {
			address.Listen = at
		}
	}
	return address
}

// Addresses returns how the relay is reached now, IPv4 first: at most one address
// per family, and the UDP URL for each is that of the same index in URLs.
func (s *Server) Addresses() []Address {
	var reached []Address
	for _, address := range s.standing.Load().addresses {
		if address.Listen.IsValid() {
			reached = append(reached, address)
		}
	}
	return reached
}

// URLs returns the TURN URLs for an RTCIceServer: UDP, IPv4 first, then one for TCP,
// if that is on. More would slow browsers down.
func (s *Server) URLs() []string {
	var urls []string
	addresses := s.Addresses()
	for _, address := range addresses {
		urls = append(urls, turnURL(address.public(), "udp"))
	}
	if len(urls) > 0 && len(s.listeners) > 0 {
		urls = append(urls, turnURL(addresses[0].public(), "tcp"))
	}
	return urls
}

// public is where clients send to.
func (a Address) public() netip.AddrPort {
	host := a.Listen.Addr()
	if host.IsUnspecified() || host == a.Relay {
		host = a.External
	}
	return netip.AddrPortFrom(host, a.Listen.Port())
}
