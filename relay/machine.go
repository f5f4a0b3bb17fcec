package relay

import (
	"net"
	"net/netip"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay/peerpolicy"
)

// machine is what we need to know of the computer: external.go decides on it,
// inspect reads it.
type machine struct {
	interfaces     []ifaceAddr
	route4, route6 netip.Addr // source addresses of the default routes
}

// ifaceAddr is one address of an interface that is up.
type ifaceAddr struct {
	name     string
	prefix   netip.Prefix
	loopback bool
}

// inspect asks the system. Connecting a UDP socket sends nothing: it only makes
// the kernel choose the route and the source address.
func inspect() machine {
	m := machine{
		route4: routeSource("udp4", "198.41.0.4:53"),
		route6: routeSource("udp6", "[2001:503:ba3e::2:30]:53"),
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return m
	}
	for _, iface := range interfaces {
		if iface.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := iface.Addrs()
		if err != nil {
			continue
		}
		for _, addr := range addrs {
			prefix, err := netip.ParsePrefix(addr.String())
			if err != nil {
				continue
			}
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits())
			m.interfaces = append(m.interfaces, ifaceAddr{iface.Name, prefix, iface.Flags&net.FlagLoopback != 0})
		}
	}
	return m
}

func routeSource(network, target string) netip.Addr {
	conn, err := net.Dial(network, target)
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = conn.Close() }()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// source is where a local relay address comes from.
type source int

const (
	sourceNone       source = iota
	sourceConfigured        // named in the file
	sourceMachine           // found
	sourceLoopback          // found, for want of anything else
)

// choice is a local address to relay on.
type choice struct {
	addr   netip.Addr
	source source
	how    string
}

// choose finds the local address of one family: relay_ip, the private half of
// external_ip, listening_ip (as coturn does), the default route, any address of
// an interface, loopback. Naming addresses of one family in relay_ip or
// listening_ip leaves the other family out.
func (m machine) choose(cfg config.Turn, v4 bool) choice {
	if len(cfg.RelayIP) > 0 {
		return configured(firstOf(cfg.RelayIP, v4), "set in relay_ip")
	}
	for _, pair := range cfg.ExternalIP.Pairs {
		if private := pair.Private.Unmap(); private.IsValid() && private.Is4() == v4 {
			return configured(private, "set in external_ip")
		}
	}
	if len(cfg.ListeningIP) > 0 {
		addr := firstOf(cfg.ListeningIP, v4)
		if !addr.IsValid() || !addr.IsUnspecified() {
			return configured(addr, "set in listening_ip")
		}
	}
	route := m.route6
	if v4 {
		route = m.route4
	}
	if relayable(route) {
		return choice{route, sourceMachine, m.where(route) + ", the default route"}
	}
	return m.interfaceAddress(v4)
}

func configured(addr netip.Addr, how string) choice {
	if !addr.IsValid() {
		return choice{}
	}
	return choice{addr, sourceConfigured, how}
}

// interfaceAddress prefers global addresses to private ones and those to
// loopback. An IPv6 loopback is of no use to anyone whom the IPv4 one does not
// serve, so there is none.
func (m machine) interfaceAddress(v4 bool) choice {
	var private, loopback choice
	for _, iface := range m.interfaces {
		addr := iface.prefix.Addr()
		switch {
		case addr.Is4() != v4:
		case iface.loopback:
			if addr.IsLoopback() && v4 && loopback.source == sourceNone {
				loopback = choice{addr, sourceLoopback, "loopback, nothing else is up"}
			}
		case !relayable(addr):
		case global(addr):
			return choice{addr, sourceMachine, m.where(addr)}
		case private.source == sourceNone:
			private = choice{addr, sourceMachine, m.where(addr)}
		}
	}
	if private.source != sourceNone {
		return private
	}
	return loopback
}

// where names the interface of an address.
func (m machine) where(addr netip.Addr) string {
	for _, iface := range m.interfaces {
		if iface.prefix.Addr() == addr {
			return "the address of " + iface.name
		}
	}
	return "the source address"
}

// subnet is the network that an address of ours is on.
func (m machine) subnet(addr netip.Addr) netip.Prefix {
	for _, iface := range m.interfaces {
		if iface.prefix.Addr() == addr {
			return iface.prefix.Masked()
		}
	}
	return netip.Prefix{}
}

func firstOf(addrs []netip.Addr, v4 bool) netip.Addr {
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() == v4 {
			return addr
		}
	}
	return netip.Addr{}
}

// relayable leaves out link-local addresses: they need a zone, which no
// candidate can carry.
func relayable(addr netip.Addr) bool { return addr.IsValid() && addr.IsGlobalUnicast() }

// global reports whether the whole Internet could reach addr.
func global(addr netip.Addr) bool {
	ok, _ := peerpolicy.New(peerpolicy.Config{}).Address(addr)
	return ok
}
