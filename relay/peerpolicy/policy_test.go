package peerpolicy

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func ipRange(first, last string) config.IPRange {
	return config.IPRange{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}
}

func TestSpecialPurposeRangesAreRefused(t *testing.T) {
	p := New(Config{})
	for _, row := range []struct {
		addr string
		rule Rule
	}{
		{"0.0.0.0", "0.0.0.0/8 (this network)"},
		{"10.255.255.255", "10.0.0.0/8 (private)"},
		{"100.64.0.0", "100.64.0.0/10 (carrier-grade NAT)"},
		{"100.127.255.255", "100.64.0.0/10 (carrier-grade NAT)"},
		{"127.255.255.254", "127.0.0.0/8 (loopback)"},
		{"169.254.169.254", "169.254.0.0/16 (link-local)"},
		{"172.16.0.1", "172.16.0.0/12 (private)"},
		{"172.31.255.255", "172.16.0.0/12 (private)"},
		{"192.0.0.170", "192.0.0.0/24 (IETF protocols)"},
		{"192.0.2.2", "192.0.2.0/24 (documentation)"},
		{"192.88.99.1", "192.88.99.0/24 (6to4 relays)"},
		{"192.168.255.1", "192.168.0.0/16 (private)"},
		{"198.19.255.255", "198.18.0.0/15 (benchmarking)"},
		{"198.51.100.7", "198.51.100.0/24 (documentation)"},
		{"203.0.113.7", "203.0.113.0/24 (documentation)"},
		{"224.0.0.1", "224.0.0.0/4 (multicast)"},
		{"239.255.255.255", "224.0.0.0/4 (multicast)"},
		{"240.0.0.1", "240.0.0.0/4 (reserved)"},
		{"255.255.255.255", "255.255.255.255/32 (broadcast)"},
		{"::", "::/128 (unspecified)"},
		{"::1", "::1/128 (loopback)"},
		{"::8.8.8.8", "::/96 (IPv4-compatible)"},
		{"::ffff:0:8.8.8.8", "::ffff:0:0:0/96 (IPv4-translated)"},
		{"::ffff:127.0.0.1", "127.0.0.0/8 (loopback)"},
		{"::ffff:0.0.0.0", "0.0.0.0/8 (this network)"},
		{"64:ff9b::7f00:1", Embedded},
		{"64:ff9b::a9fe:a9fe", Embedded},
		{"64:ff9b:1::808:808", "64:ff9b:1::/48 (local NAT64)"},
		{"100::1", "100::/64 (discard)"},
		{"2001::1", "2001::/23 (IETF protocols, Teredo)"},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::/23 (IETF protocols, Teredo)"},
		{"2001:db8::1", "2001:db8::/32 (documentation)"},
		{"2002:7f00:1::", Embedded},
		{"2002:a00:1::1", Embedded},
		{"3fff:fff::1", "3fff::/20 (documentation)"},
		{"5f00::1", "5f00::/16 (segment routing)"},
		{"fc00::1", "fc00::/7 (unique local)"},
		{"fdff::1", "fc00::/7 (unique local)"},
		{"fe80::1", "fe80::/10 (link-local)"},
		{"fe80::1%eth0", "fe80::/10 (link-local)"},
		{"fec0::1", "fec0::/10 (site-local)"},
		{"ff02::1", "ff00::/8 (multicast)"},
	} {
		allowed, rule := p.Peer(netip.AddrPortFrom(netip.MustParseAddr(row.addr), 80))
		if allowed || rule != row.rule {
			t.Errorf("%s: %t, %q, want refused by %q", row.addr, allowed, rule, row.rule)
		}
	}
}

func TestPublicAddressesAreAllowed(t *testing.T) {
	p := New(Config{})
	for _, addr := range []string{
		"1.0.0.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.0.0.1", "128.0.0.1",
		"169.253.1.1", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.1.1", "192.169.0.1",
		"198.17.255.255", "198.20.0.0", "203.0.112.1", "223.255.255.255",
		"::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2001:200::1", "2001:4860:4860::8888",
		"2a00::1", "2600::1", "3ffe::1", "fb00::1",
	} {
		if allowed, rule := p.Peer(netip.AddrPortFrom(netip.MustParseAddr(addr), 80)); !allowed || rule != Public {
			t.Errorf("%s: %t, %q", addr, allowed, rule)
		}
	}
}

func TestWhichRuleDecides(t *testing.T) {
	public := Config{
		Relayed: addrs("198.41.9.9"), Own: addrs("10.0.0.5", "198.41.9.8", "2a00::9"), MinPort: 50000, MaxPort: 50999,
	}
	with := func(base Config, allowed, denied []config.IPRange) Config {
		base.Allowed, base.Denied = allowed, denied
		return base
	}
	ten := []config.IPRange{ipRange("10.0.0.0", "10.255.255.255")}
	lan := Config{
		Relayed: addrs("192.168.1.5"), Own: addrs("192.168.1.5", "127.0.0.1"), MinPort: 50000, MaxPort: 50999,
		LAN: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")},
	}
	loopback := Config{Relayed: addrs("127.0.0.1"), Own: addrs("127.0.0.1"), MinPort: 50000, MaxPort: 50999}
	for _, row := range []struct {
		name    string
		config  Config
		peer    string
		allowed bool
		rule    Rule
	}{
		{"port 0", Config{}, "8.8.8.8:0", false, Port},
		{"port 0, though allowed", with(Config{}, []config.IPRange{ipRange("8.8.8.8", "8.8.8.8")}, nil), "8.8.8.8:0", false, Port},
		{"own relayed address, first port", public, "198.41.9.9:50000", true, Relayed},
		{"own relayed address, last port", public, "198.41.9.9:50999", true, Relayed},
		{"own relayed address below the range", public, "198.41.9.9:49999", false, Own},
		{"own relayed address above the range", public, "198.41.9.9:51000", false, Own},
		{"own relayed address, mapped", public, "[::ffff:198.41.9.9]:50000", true, Relayed},
		{"own relayed address by NAT64 is not how peers name it", public, "[64:ff9b::198.41.9.9]:50000", false, Own},
		{"own listening address within the range", public, "198.41.9.8:50000", false, Own},
		{"own private address", public, "10.0.0.5:50000", false, Own},
		{"own IPv6 address", public, "[2a00::9]:443", false, Own},
		{"own relayed address, denied", with(public, nil, []config.IPRange{ipRange("198.41.9.0", "198.41.9.255")}), "198.41.9.9:50000", true, Relayed},
		{"allowed private range", with(public, ten, nil), "10.0.0.7:22", true, Allowed},
		{"allowed private range, mapped", with(public, ten, nil), "[::ffff:10.0.0.7]:22", true, Allowed},
		{"allowed wins over denied", with(public, ten, ten), "10.0.0.7:22", true, Allowed},
		{"allowed covers own addresses when it names them", with(public, ten, nil), "10.0.0.5:22", true, Allowed},
		{"denied public range", with(public, nil, []config.IPRange{ipRange("8.8.8.0", "8.8.8.7")}), "8.8.8.7:53", false, Denied},
		{"just beyond a denied range", with(public, nil, []config.IPRange{ipRange("8.8.8.0", "8.8.8.7")}), "8.8.8.8:53", true, Public},
		{"denied range by 6to4", with(public, nil, []config.IPRange{ipRange("8.8.8.0", "8.8.8.7")}), "[2002:808:807::1]:53", false, Denied},
		{"neighbour on the LAN", lan, "192.168.1.77:9", true, LAN},
		{"neighbour on the LAN, mapped", lan, "[::ffff:192.168.1.77]:9", true, LAN},
		{"the LAN's broadcast address", lan, "192.168.1.255:9", false, Network},
		{"the LAN's network address", lan, "192.168.1.0:9", false, Network},
		{"another private network", lan, "192.168.2.1:9", false, "192.168.0.0/16 (private)"},
		{"ourselves on the LAN", lan, "192.168.1.5:22", false, Own},
		{"our relay on the LAN", lan, "192.168.1.5:50001", true, Relayed},
		{"denied neighbour", with(lan, nil, []config.IPRange{ipRange("192.168.1.1", "192.168.1.1")}), "192.168.1.1:80", false, Denied},
		{"loopback relay, within the range", loopback, "127.0.0.1:50001", true, Relayed},
		{"loopback relay, another port", loopback, "127.0.0.1:22", false, Own},
		{"loopback relay, another address", loopback, "127.0.0.2:50001", false, "127.0.0.0/8 (loopback)"},
		{"no address", Config{}, "", false, Invalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			peer, _ := netip.ParseAddrPort(row.peer)
			if row.peer == "" {
				peer = netip.AddrPortFrom(netip.Addr{}, 80)
			}
			allowed, rule := New(row.config).Peer(peer)
			if allowed != row.allowed || rule != row.rule {
				t.Errorf("%s: %t, %q, want %t, %q", row.peer, allowed, rule, row.allowed, row.rule)
			}
		})
	}
}

func TestAddressForgetsThePort(t *testing.T) {
	p := New(Config{Relayed: addrs("198.41.9.9"), Own: addrs("198.41.9.8"), MinPort: 50000, MaxPort: 50999})
	for addr, want := range map[string]bool{"198.41.9.9": true, "198.41.9.8": false, "8.8.8.8": true, "10.0.0.1": false} {
		if got, rule := p.Address(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t, %q", addr, got, rule)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint16(80))
	f.Add([]byte{0: 0x20, 1: 2, 2: 127, 15: 0}, uint16(80))
	p := New(Config{})
	f.Fuzz(func(t *testing.T, octets []byte, port uint16) {
		addr, ok := netip.AddrFromSlice(octets)
		if !ok {
			return
		}
		allowed, rule := p.Peer(netip.AddrPortFrom(addr, port))
		if rule == "" {
			t.Errorf("%s: no rule", addr)
		}
		u := addr.Unmap()
		if allowed && (port == 0 || u.IsLoopback() || u.IsPrivate() || u.IsMulticast() || u.IsUnspecified() || u.IsLinkLocalUnicast()) {
			t.Errorf("%s is allowed by %q", addr, rule)
		}
		// An address and what it is mapped to are one peer.
		mapped, _ := p.Peer(netip.AddrPortFrom(netip.AddrFrom16(u.As16()), port))
		if mapped != allowed {
			t.Errorf("%s: %t, but mapped %t", addr, allowed, mapped)
		}
	})
}

func TestJudgingAllocatesNothing(t *testing.T) {
	p := New(Config{Relayed: addrs("198.41.9.9")})
	for _, peer := range []string{"8.8.8.8:53", "10.0.0.1:1", "[2a00::1]:53", "[64:ff9b::7f00:1]:1"} {
		at := netip.MustParseAddrPort(peer)
		if n := testing.AllocsPerRun(100, func() { p.Peer(at) }); n != 0 {
			t.Errorf("%s: %v allocations", peer, n)
		}
	}
}

func BenchmarkPeer(b *testing.B) {
	p := New(Config{Relayed: addrs("198.41.9.9"), Own: addrs("198.41.9.8", "10.0.0.5", "127.0.0.1")})
	for name, peer := range map[string]string{"IPv4": "8.8.8.8:53", "IPv6": "[2a00::1]:53", "relayed": "198.41.9.9:1"} {
		at := netip.MustParseAddrPort(peer)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Peer(at)
			}
		})
	}
}
