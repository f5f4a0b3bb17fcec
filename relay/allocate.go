package relay

import (
	"net"
	"net/netip"
	"slices"

	"github.com/duetcall/duet/relay/udp"
)

// allocate is the engine's request for a relay socket. The order is: quota, port,
// socket; whatever fails gives back what came before.
func (s *shard) allocate() (net.PacketConn, net.Addr, error) {
	s.server.reservations.sweep(s.pending.began)
	a, refusal := s.newAllocation()
	if refusal != accepted {
		s.pending.refusal = refusal
		return nil, nil, errNoPort
	}
	return a, udpAddr(a.relayed), nil
}

func (s *shard) newAllocation() (*allocation, Refusal) {
	p, server := &s.pending, s.server
	if p.hasToken {
		return s.claimReservation()
	}
	if refusal := server.quota.take(p.grant.user); refusal != accepted {
		return nil, refusal
	}
	if p.wish == portPair {
		if refusal := server.reservations.admit(p.grant.user); refusal != accepted {
			server.quota.release(p.grant.user)
			return nil, refusal
		}
	}
	family := server.family(p.family)
	at := server.standing.Load().mapping(family.v4)
	if p.transport == transportTCP {
		return s.listenOn(family, at)
	}
	conn, err := family.open(at.local, p.wish, p.began)
	if err != nil {
		server.quota.release(p.grant.user)
		if p.wish == portPair {
			server.quota.release(p.grant.user)
		}
		return nil, RefusedNoPort
	}
	a := s.relayOn(family, at, conn)
	if p.wish == portPair {
		a.token = server.reservations.keep(reservation{
			user:    p.grant.user,
			family:  family,
			port:    a.local.Port() + 1,
			expires: p.began.Add(reservationLifetime),
		})
	}
	return a, accepted
}

// claimReservation: a token that is not valid gets 508 (RFC 8656 section 7.2).
func (s *shard) claimReservation() (*allocation, Refusal) {
	p, server := &s.pending, s.server
	claimed, ok := server.reservations.claim(p.token, p.grant.user)
	if !ok {
		return nil, RefusedReservation
	}
	at := server.standing.Load().mapping(claimed.family.v4)
	conn, err := claimed.family.openReserved(at.local, claimed.port)
	if err != nil {
		server.quota.release(p.grant.user)
		return nil, RefusedReservation
	}
	return s.relayOn(claimed.family, at, conn), accepted
}

// relayOn makes an allocation of a bound socket; port and quota are taken.
func (s *shard) relayOn(family *family, at *mapping, conn *net.UDPConn) *allocation {
	if s.pending.dontFragment {
		// For ChannelData, too. Should it fail, DF is set on what fits all the same.
		_ = udp.ForbidFragments(conn)
	}
	a := s.prepare(family, at, conn, addrPort(conn.LocalAddr()))
	s.begin(a)
	go a.readPeers()
	return a
}

// listenOn makes a TCP allocation (RFC 6062 section 5.1); the quota is taken.
func (s *shard) listenOn(family *family, at *mapping) (*allocation, Refusal) {
	server := s.server
	listener, err := family.listen(at.local, s.pending.began)
	if err != nil {
		server.quota.release(s.pending.grant.user)
		return nil, RefusedNoPort
	}
	relay := newTCPRelay(server.peerConns, listener)
	a := s.prepare(family, at, relay, streamAddr(listener.Addr()))
	a.tcp = relay
	s.begin(a)
	go a.acceptPeers()
	return a, accepted
}

// prepare makes an allocation that nobody knows of yet.
func (s *shard) prepare(family *family, at *mapping, conn udpConn, local netip.AddrPort) *allocation {
	p := &s.pending
	a := &allocation{
		shard:     s,
		family:    family,
		at:        at,
		user:      p.grant.user,
		auth:      p.auth,
		client:    p.client,
		dest:      s.socket.dest,
		from:      slices.Clone(s.from()),
		local:     local,
		began:     p.began,
		socket:    newSocket(conn),
		localAddr: udpAddr(local),
	}
	a.routes.Store(noRoutes)
	a.up.bucket.limit(p.settings.maxBytesPerSecond)
	a.down.bucket.limit(p.settings.maxBytesPerSecond)
	a.relayed = netip.AddrPortFrom(at.external, a.local.Port())
	family.mapped[a.local.Port()-family.first].Store(at)
	at.live.Add(1)
	a.deadline.Store(p.began.Add(p.grantedLifetime(p.settings.maxLifetime)).UnixNano())
	return a
}

// begin lets packets find the allocation. The caller starts the goroutine that reads
// its socket.
func (s *shard) begin(a *allocation) {
	server := s.server
	server.relays.Add(3) // ReadFrom's end, that goroutine's and Close's
	count := server.stats.of(a)
	count.live.Add(1)
	count.total.Add(1)
	s.clients.put(a)
	if server.revoked.add(a, server.now()) { // while we looked for a port
		s.revoke(a)
	}
}
