package peerpolicy

import "net/netip"

// special is one row of the IANA special-purpose address registries, or of the
// multicast and link-local ones: nothing that a stranger should reach through us.
type special struct {
	prefix netip.Prefix
	rule   Rule
}

// specialRanges returns the built-in table, IPv4 and IPv6 apart.
func specialRanges() (v4, v6 []special) {
	row := func(prefix, what string) special {
		return special{netip.MustParsePrefix(prefix), Rule(prefix + " (" + what + ")")}
	}
	v4 = []special{
		row("0.0.0.0/8", "this network"),
		row("10.0.0.0/8", "private"),
		row("100.64.0.0/10", "carrier-grade NAT"),
		row("127.0.0.0/8", "loopback"),
		row("169.254.0.0/16", "link-local"),
		row("172.16.0.0/12", "private"),
		row("192.0.0.0/24", "IETF protocols"),
		row("192.0.2.0/24", "documentation"),
		row("192.88.99.0/24", "6to4 relays"),
		row("192.168.0.0/16", "private"),
		row("198.18.0.0/15", "benchmarking"),
		row("198.51.100.0/24", "documentation"),
		row("203.0.113.0/24", "documentation"),
		row("224.0.0.0/4", "multicast"),
		row("255.255.255.255/32", "broadcast"),
		row("240.0.0.0/4", "reserved"),
	}
	v6 = []special{
		row("::/128", "unspecified"),
		row("::1/128", "loopback"),
		row("::/96", "IPv4-compatible"),
		row("::ffff:0:0:0/96", "IPv4-translated"),
		row("64:ff9b:1::/48", "local NAT64"),
		row("100::/64", "discard"),
		row("100:0:0:1::/64", "dummy"),
		row("2001::/23", "IETF protocols, Teredo"),
		row("2001:db8::/32", "documentation"),
		row("3fff::/20", "documentation"),
		row("5f00::/16", "segment routing"),
		row("fc00::/7", "unique local"),
		row("fe80::/10", "link-local"),
		row("fec0::/10", "site-local"),
		row("ff00::/8", "multicast"),
	}
	return v4, v6
}

// embedded returns the IPv4 address that an IPv6 one stands for: IPv4-mapped,
// NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056) and the IPv4-compatible form. A
// translator on the way would deliver to that IPv4 address.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return addr, false
	}
	b := addr.As16()
	zeros := func(from, to int) bool {
		for _, octet := range b[from:to] {
			if octet != 0 {
				return false
			}
		}
		return true
	}
	nat64 := b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b
	switch {
	case addr.Is4In6(),
		nat64 && zeros(4, 12),
		nat64 && b[4] == 0 && b[5] == 1,
		zeros(0, 8) && b[8] == 0xff && b[9] == 0xff && zeros(10, 12), // ::ffff:0:a.b.c.d
		zeros(0, 12):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:])), true
	default:
		return addr, false
	}
}
