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

// resolve chooses the relay's addresses, at most one IPv4 and one IPv6, IPv4 first.
func resolve(cfg config.Turn, m machine) ([]Address, error) {
	v4, v6 := m.choose(cfg, true), m.choose(cfg, false)
	switch {
	case v4.source == sourceNone && v6.source == sourceNone:
		return nil, errors.New("no address to relay on: no network interface is up; set [turn] relay_ip")
	case v4.source == sourceLoopback && v6.source != sourceNone:
		v4 = choice{} // nobody else could use it
	case v4.source != sourceNone && v6.source == sourceMachine && !global(v6.addr):
		v6 = choice{} // a private IPv6 address reaches nobody whom the IPv4 one does not
	}
	var found []Address
	for _, chosen := range []choice{v4, v6} {
		if chosen.source == sourceNone {
			continue
		}
		address, err := m.describe(cfg.ExternalIP.Pairs, chosen)
		if err != nil {
			return nil, err
		}
		found = append(found, address)
	}
	for _, pair := range cfg.ExternalIP.Pairs {
		public := pair.Public.Unmap()
		if !slices.ContainsFunc(found, func(a Address) bool { return a.Relay.Is4() == public.Is4() }) {
			return nil, fmt.Errorf("external_ip %s: there is no local address of its family to relay on; set [turn] relay_ip, or leave it out", pair)
		}
	}
	return found, nil
}

// describe finds the external address of a local one.
func (m machine) describe(pairs []config.ExternalIP, chosen choice) (Address, error) {
	relay := chosen.addr
	address := Address{Relay: relay, External: relay, How: chosen.how}
	var other *config.ExternalIP
	for _, pair := range pairs {
		public, private := pair.Public.Unmap(), pair.Private.Unmap()
		switch {
		case public.Is4() != relay.Is4():
		case !private.IsValid() || private == relay:
			address.External, address.How = public, "set in external_ip"
			address.Warning = warning(chosen.source, public)
			return address, nil
		default:
			other = &pair
		}
	}
	if other != nil {
		return Address{}, fmt.Errorf("external_ip %s: the relay's address is %s, not %s; set [turn] relay_ip, or correct the pair",
			other, relay, other.Private)
	}
	if !global(relay) && !relay.IsLoopback() {
		address.lan = m.subnet(relay)
	}
	address.Warning = warning(chosen.source, relay)
	return address, nil
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
