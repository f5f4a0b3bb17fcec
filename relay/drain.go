package relay

import (
	"math/rand/v2"
	"net/netip"
)

// alternates are the servers that clients are sent to while this one drains, by the
// family that a client must use: the address in ALTERNATE-SERVER has to be of the
// family of the request's source (RFC 8489 section 14.15).
type alternates struct{ v4, v6 []netip.AddrPort }

func newAlternates(servers []netip.AddrPort) alternates {
	var a alternates
	for _, server := range servers {
		if server.Addr().Unmap().Is4() {
			a.v4 = append(a.v4, netip.AddrPortFrom(server.Addr().Unmap(), server.Port()))
		} else {
			a.v6 = append(a.v6, server)
		}
	}
	return a
}

// of returns those that the client can reach.
func (a *alternates) of(client netip.Addr) []netip.AddrPort {
	if client.Is4() {
		return a.v4
	}
	return a.v6
}

// pick spreads clients over the servers, of which there is at least one.
func (a *alternates) pick(client netip.Addr) netip.AddrPort {
	servers := a.of(client)
	return servers[rand.IntN(len(servers))]
}

// Drain refuses new allocations from now on, so that the server can be stopped when
// the running calls have ended: those there are go on as before. Clients are sent to
// one of alternate_server (300), or refused (508) where there is none of their family.
func (s *Server) Drain() { s.draining.Store(true) }

// Allocations returns how many there are now.
func (s *Server) Allocations() int {
	sum := int64(0)
	for _, kind := range s.stats.kinds {
		sum += kind.live.Load()
	}
	return int(sum)
}

// refusedDraining is what a draining server says to an Allocate. Who gets it has
// proved a credential, as a 300 demands (RFC 8489 section 14.8).
func (e *exchange) refusedDraining() Refusal {
	if len(e.settings.alternates.of(e.client.Addr())) == 0 {
		return RefusedDraining
	}
	return RefusedAlternate
}
