// Package peerpolicy decides which peers a client may reach through the relay,
// and says which rule decided. It is pure: no sockets, no clock, no logging.
//
// A relay on the public Internet sits inside somebody's network too. Unless it
// refuses, every member is inside that network with it: the cloud's metadata
// address, the database on 10.0.0.7, the admin port on loopback. So each range of
// the IANA special-purpose registries is refused until the operator allows it.
//
// The rules, the first that matches decides:
//
//  1. Port 0 is nobody.
//  2. Our own relayed addresses, within the relay ports: allowed, always. Two
//     clients of this relay meet there.
//  3. allowed_peer_ip.
//  4. Every other address and port of this server: refused.
//  5. denied_peer_ip.
//  6. On a LAN (the relay's own address is private and nothing else was
//     configured): its subnet is allowed, but not the subnet's broadcast address.
//  7. The special-purpose ranges: refused.
//  8. Everyone else is allowed.
//
// IPv6 addresses that stand for IPv4 ones are judged as both.
package peerpolicy

import (
	"net/netip"

	"github.com/duetcall/duet/config"
)

// Rule names what decided, for logs: a range, or one of the constants.
type Rule string

// The rules that are not ranges.
const (
	Public   Rule = "public address"
	Port     Rule = "port 0"
	Relayed  Rule = "own relayed address"
	Own      Rule = "own address outside the relay ports"
	Allowed  Rule = "allowed_peer_ip"
	Denied   Rule = "denied_peer_ip"
	LAN      Rule = "own subnet"
	Network  Rule = "own subnet's network or broadcast address"
	Embedded Rule = "stands for an IPv4 address that is refused"
	Invalid  Rule = "not an address"
)

// Config is what a Policy is made of. The zero value allows all that is not
// special-purpose.
type Config struct {
	// Allowed wins over Denied and over the built-in ranges.
	Allowed, Denied []config.IPRange
	// Relayed are the relay's addresses as clients see them; they are peers
	// within MinPort and MaxPort, both included.
	Relayed          []netip.Addr
	MinPort, MaxPort uint16
	// Own are all other addresses of this server.
	Own []netip.Addr
	// LAN are the subnets that count as local.
	LAN []netip.Prefix
}

// Policy is an immutable set of rules. Its methods allocate nothing.
type Policy struct {
	config Config
	v4, v6 []special
}

// New compiles the rules.
func New(cfg Config) *Policy {
	p := &Policy{config: cfg}
	p.v4, p.v6 = specialRanges()
	return p
}

// Peer reports whether packets may go to peer and come from it.
func (p *Policy) Peer(peer netip.AddrPort) (bool, Rule) {
	if peer.Port() == 0 {
		return false, Port
	}
	addr := peer.Addr().Unmap()
	if p.relayed(addr) && p.config.MinPort <= peer.Port() && peer.Port() <= p.config.MaxPort {
		return true, Relayed
	}
	return p.judge(addr)
}

// Address reports whether addr may be reached at any port: a permission covers
// all ports of an address (RFC 8656 section 9.2), Peer then judges each packet.
func (p *Policy) Address(addr netip.Addr) (bool, Rule) {
	addr = addr.Unmap()
	if p.relayed(addr) {
		return true, Relayed
	}
	return p.judge(addr)
}

// judge applies the rules that do not depend on the port.
func (p *Policy) judge(addr netip.Addr) (bool, Rule) {
	addr = addr.WithZone("")
	if !addr.IsValid() {
		return false, Invalid
	}
	inner, wrapped := embedded(addr)
	switch {
	case contains(p.config.Allowed, addr), wrapped && contains(p.config.Allowed, inner):
		return true, Allowed
	case p.own(addr), wrapped && p.own(inner):
		return false, Own
	case contains(p.config.Denied, addr), wrapped && contains(p.config.Denied, inner):
		return false, Denied
	}
	if !wrapped {
		for _, lan := range p.config.LAN {
			if lan.Contains(addr) {
				return lanHost(lan, addr)
			}
		}
	}
	if rule, found := p.special(addr); found {
		return false, rule
	}
	if wrapped {
		if _, found := p.special(inner); found {
			return false, Embedded
		}
	}
	return true, Public
}

func (p *Policy) relayed(addr netip.Addr) bool {
	for _, own := range p.config.Relayed {
		if own == addr {
			return true
		}
	}
	return false
}

func (p *Policy) own(addr netip.Addr) bool {
	for _, own := range p.config.Own {
		if own == addr {
			return true
		}
	}
	return p.relayed(addr)
}

func (p *Policy) special(addr netip.Addr) (Rule, bool) {
	table := p.v6
	if addr.Is4() {
		table = p.v4
	}
	for i := range table {
		if table[i].prefix.Contains(addr) {
			return table[i].rule, true
		}
	}
	return "", false
}

func contains(ranges []config.IPRange, addr netip.Addr) bool {
	for i := range ranges {
		if ranges[i].Contains(addr) {
			return true
		}
	}
	return false
}

// lanHost leaves out the first and the last address of an IPv4 subnet, which
// reach every host on it at once. Point-to-point subnets have neither (RFC 3021).
func lanHost(lan netip.Prefix, addr netip.Addr) (bool, Rule) {
	hostBits := addr.BitLen() - lan.Bits()
	if !addr.Is4() || hostBits < 2 {
		return true, LAN
	}
	octets := addr.As4()
	host := uint32(octets[0])<<24 | uint32(octets[1])<<16 | uint32(octets[2])<<8 | uint32(octets[3])
	mask := uint32(1)<<hostBits - 1
	if host &= mask; host == 0 || host == mask {
		return false, Network
	}
	return true, LAN
}
