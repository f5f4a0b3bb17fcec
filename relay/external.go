package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/duetcall/duet/config"
)

// Address is how the relay is reached in one address family, for a banner.
type Address struct {
	// Listen is the socket that clients of this family send to.
	Listen netip.AddrPort
	// Relay is the local address of relay sockets.
	Relay netip.Addr
	// External is what clients and peers see in place of Relay.
	External netip.Addr
	// How says in words where External comes from: "the address of eth0, the default route".
	How string
	// Warning says what will not work with this address, or is empty.
	Warning string

	lan netip.Prefix // the subnet of Relay, when External is only local
}

// place is a local address to relay on, with what the file says of its external one.
type place struct {
	choice
	pair   *config.ExternalIP // of this address, or nil
	subnet netip.Prefix       // of a private address
}

// places chooses the relay's local addresses, at most one IPv4 and one IPv6, IPv4 first.
func (m machine) places(cfg config.Turn) ([]place, error) {
	v4, v6 := m.choose(cfg, true), m.choose(cfg, false)
	switch {
	case v4.source == sourceNone && v6.source == sourceNone:
		return nil, errors.New("no address to relay on: no network interface is up; set [turn] relay_ip")
	case v4.source == sourceLoopback && v6.source != sourceNone:
		v4 = choice{} // nobody else could use it
	case v4.source != sourceNone && v6.source == sourceMachine && !global(v6.addr):
		v6 = choice{} // a private IPv6 address reaches nobody whom the IPv4 one does not
	}
	var found []place
	for _, chosen := range []choice{v4, v6} {
		if chosen.source == sourceNone {
			continue
		}
		pair, err := pairOf(cfg.ExternalIP.Pairs, chosen.addr)
		if err != nil {
			return nil, err
		}
		at := place{choice: chosen, pair: pair}
		if !global(chosen.addr) && !chosen.addr.IsLoopback() {
			at.subnet = m.subnet(chosen.addr)
		}
		found = append(found, at)
	}
	for _, pair := range cfg.ExternalIP.Pairs {
		if pair.Name == "" && !slices.ContainsFunc(found, func(p place) bool { return p.addr.Is4() == pair.Public.Unmap().Is4() }) {
			return nil, fmt.Errorf("external_ip %s: there is no local address of its family to relay on; set [turn] relay_ip, or leave it out", pair)
		}
	}
	return found, nil
}

// pairOf finds what external_ip says of a local address.
func pairOf(pairs []config.ExternalIP, relay netip.Addr) (*config.ExternalIP, error) {
	var other *config.ExternalIP
	for i := range pairs {
		pair := &pairs[i]
		public, private := pair.Public.Unmap(), pair.Private.Unmap()
		switch {
		case public.IsValid() && public.Is4() != relay.Is4():
		case private.IsValid() && private.Is4() != relay.Is4():
		case !private.IsValid() || private == relay:
			return pair, nil
		default:
			other = pair
		}
	}
	if other != nil {
		return nil, fmt.Errorf("external_ip %s: the relay's address is %s, not %s; set [turn] relay_ip, or correct the pair",
			other, relay, other.Private)
	}
	return nil, nil
}

// asksSTUN reports whether the STUN servers are to be asked about this address: to find
// the external one, or to check the one that the file gives.
func (p place) asksSTUN(cfg config.Turn) bool {
	return len(cfg.STUNServers) > 0 && (p.pair != nil || cfg.ExternalIP.Auto && !global(p.addr))
}

// describe settles the external address: the one in the file, else what its name
// resolves to, else what STUN servers see, else the relay's own.
func (p place) describe(cfg config.Turn, name, seen heard) Address {
	address := Address{Relay: p.addr, External: p.addr, How: p.how}
	switch {
	case p.pair != nil && p.pair.Name == "":
		address.External, address.How = p.pair.Public.Unmap(), "set in external_ip"
		if address.External != p.addr {
			address.How += ", relaying from " + p.addr.String()
		}
		if seen.addr.IsValid() && seen.addr != address.External {
			address.Warning = fmt.Sprintf("external_ip says %s, but %s sees %s: correct external_ip", address.External, seen.from, seen.addr)
		}
	case name.addr.IsValid():
		address.External, address.How = name.addr, fmt.Sprintf("the address of %s, relaying from %s", name.from, p.addr)
		address.Warning = name.trouble
		if address.Warning == "" && seen.addr.IsValid() && seen.addr != name.addr {
			address.Warning = fmt.Sprintf("%s is %s, but %s sees %s: is its record old?", name.from, name.addr, seen.from, seen.addr)
		}
	case seen.addr.IsValid():
		address.External, address.How = seen.addr, fmt.Sprintf("the answer of %s from %s", seen.from, p.addr)
		address.Warning = join(name.trouble, seen.trouble)
		if address.Warning == "" && seen.remapped {
			address.Warning = "the NAT changes port numbers: forward the listening port and the relay ports to " + p.addr.String() + ", number for number"
		}
	default:
		// Only an operator who names no way to a public address means the LAN: it must
		// not open because a server was silent for a while.
		if p.pair == nil && (len(cfg.STUNServers) == 0 || !cfg.ExternalIP.Auto) {
			address.lan = p.subnet
		}
		address.Warning = name.trouble
		if !global(p.addr) {
			address.Warning = join(name.trouble, seen.trouble)
		}
		if address.Warning != "" {
			address.Warning += "; using " + p.addr.String() + " until that changes"
		}
	}
	if address.Warning == "" {
		address.Warning = warning(p.source, address.External)
	}
	return address
}

func warning(source source, external netip.Addr) string {
	switch {
	case source == sourceLoopback:
		return "only loopback is up: calls work on this machine only"
	case external.IsLoopback():
		return "calls work on this machine only"
	case external.Is6() && !global(external):
		return fmt.Sprintf("people outside this network can't reach %s: set external_ip", external)
	case !global(external):
		return fmt.Sprintf("people outside this network can't reach %s: set external_ip, or forward the port and the relay ports to it", external)
	default:
		return ""
	}
}

// turnURL is the address as an RTCIceServer wants it (RFC 7065).
func turnURL(addr netip.AddrPort, transport string) string {
	host := addr.Addr().WithZone("").String()
	if addr.Addr().Is6() {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("turn:%s:%d?transport=%s", host, addr.Port(), transport)
}
