package relay

import (
	"fmt"
	"net/netip"

	"github.com/duetcall/duet/config"
)

// The flags of CHANGE-REQUEST (RFC 5780 section 7.2).
const (
	flagChangePort = 0x02
	flagChangeIP   = 0x04
)

// maxPadding is the longest PADDING of ours, in bytes: the MTU of most networks, so that
// an answer with it comes in fragments.
const maxPadding = 1500

// square is the sockets with which clients find out how the NAT in front of them
// behaves (RFC 5780 section 4): two ports on each of two addresses. A corner is the
// index of a socket, the flags that lead to it from the one that listening_ip and
// listening_port name. Those that are not configured are nil.
type square [flagChangeIP + flagChangePort + 1]*shard

// listenAlternates binds the other corners. To strangers and to TURN's clients they are
// sockets like all others: the gate is the same, and so is what is behind it. They are
// named by OTHER-ADDRESS alone.
func (s *Server) listenAlternates(cfg config.Turn) error {
	if cfg.AltListeningPort == 0 {
		return nil
	}
	partners := make(map[bool][]netip.Addr)
	for _, addr := range cfg.AltListeningIP {
		partners[addr.Unmap().Is4()] = append(partners[addr.Unmap().Is4()], addr.Unmap())
	}
	for _, shard := range s.shards[:len(s.shards):len(s.shards)] {
		at := addrPort(shard.local)
		shard.square = &square{shard}
		if err := s.bindCorner(shard.square, flagChangePort, at.Addr(), cfg.AltListeningPort); err != nil {
			return err
		}
		left := partners[at.Addr().Is4()]
		if len(left) == 0 {
			continue
		}
		partners[at.Addr().Is4()] = left[1:]
		if err := s.bindCorner(shard.square, flagChangeIP, left[0], int(at.Port())); err != nil {
			return err
		}
		if err := s.bindCorner(shard.square, flagChangeIP|flagChangePort, left[0], cfg.AltListeningPort); err != nil {
			return err
		}
	}
	return nil
}

// warnOfAlternates tells of those that OTHER-ADDRESS cannot name.
func (s *Server) warnOfAlternates(cfg config.Turn) {
	for _, addr := range cfg.AltListeningIP {
		if _, ok := s.seenAs(addr.Unmap()); !ok {
			s.log.Warn("clients are not told of alt_listening_ip", "reason",
				fmt.Sprintf(`external_ip does not say what the world sees in place of %s; add "public/%s"`, addr, addr))
		}
	}
}

func (s *Server) bindCorner(of *square, corner byte, addr netip.Addr, port int) error {
	shard, err := s.bind(addr, port, func(error) string { return "correct [turn] alt_listening_ip and alt_listening_port" })
	if err != nil {
		return err
	}
	shard.square, shard.corner = of, corner
	of[corner] = shard
	return nil
}

// judgeDiscovery says whether a Binding request can be answered as it wants. Without
// a socket to answer from, CHANGE-REQUEST is an attribute like any unknown one, and
// without a square so are all of RFC 5780.
func (s *shard) judgeDiscovery() Refusal {
	p := &s.pending
	switch {
	case s.square == nil:
		for _, asked := range [...]struct {
			here bool
			kind uint16
		}{{p.hasChange, attrChangeRequest}, {p.hasPadding, attrPadding}, {p.hasResponsePort, attrResponsePort}} {
			if asked.here {
				p.addUnknownKind(asked.kind)
			}
		}
	case s.square[s.corner^p.change] == nil:
		p.addUnknownKind(attrChangeRequest)
	}
	switch {
	case p.unknownCount > 0:
		return RefusedAttribute
	case p.hasResponsePort && (p.responsePort == 0 || p.hasPadding):
		// Nobody could aim fragments at the ports of others (RFC 5780 section 6.1).
		return RefusedMalformed
	default:
		return accepted
	}
}

// discover finishes the answer to a Binding request on a corner, and sends it from and
// to where the request says (RFC 5780 section 6.1).
//
// PADDING is as long as the request's, not as long as the MTU, which is a SHOULD: a few
// bytes with a forged source would bring somebody else a packet of 1500.
func (s *shard) discover(m message) {
	p := &s.pending
	from, to := s.square[s.corner^p.change], p.client
	if p.hasResponsePort {
		to = netip.AddrPortFrom(to.Addr(), p.responsePort)
	}
	// Beside the XOR-ed one, so that a NAT that rewrites addresses is noticed.
	m = m.addPlainAddress(attrMappedAddress, p.client)
	if origin, ok := from.origin(s.socket.dest); ok {
		m = m.addPlainAddress(attrResponseOrigin, origin)
	}
	if other := s.square[s.corner^(flagChangeIP|flagChangePort)]; other != nil {
		// A NAT that shows both as one address leaves nothing to discover.
		own, known := s.origin(s.socket.dest)
		if seen, ok := other.origin(s.socket.dest); ok && known && own.Addr() != seen.Addr() {
			m = m.addPlainAddress(attrOtherAddress, seen)
		}
	}
	if p.hasPadding {
		m = m.addZeros(attrPadding, min(p.padding, maxPadding))
	}
	p.scratch = seal(m, &p.hash, p.ending())
	from.send(p.scratch, s.from(), to)
}

// origin is where the world sees what this socket sends, if that is known. A socket on
// all addresses sends from the one that was asked.
func (s *shard) origin(dest netip.Addr) (netip.AddrPort, bool) {
	at := addrPort(s.local)
	if !at.Addr().IsUnspecified() {
		dest = at.Addr()
	}
	seen, ok := s.server.seenAs(dest)
	return netip.AddrPortFrom(seen, at.Port()), ok
}

// seenAs returns the address that the world sees in place of a local one: that of its
// pair in external_ip, else that of allocations on it, else itself, if the world sees
// others of its family as they are.
func (s *Server) seenAs(local netip.Addr) (netip.Addr, bool) {
	if !local.IsValid() {
		return local, false
	}
	for _, pair := range s.pairs {
		if pair.Private.Unmap() == local && pair.Name == "" {
			return pair.Public.Unmap(), true
		}
	}
	m := s.standing.Load().mapping(local.Is4())
	switch {
	case m == nil || m.local == m.external || global(local):
		return local, true
	case m.local == local:
		return m.external, true
	default:
		return local, false
	}
}
