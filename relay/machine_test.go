package relay

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/duetcall/duet/config"
)

func TestAddresses(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, s := range list {
			out = append(out, mustAddr(s))
		}
		return out
	}
	pairs := func(list ...string) (out config.ExternalIPs) {
		for _, s := range list {
			public, private, _ := strings.Cut(s, "/")
			pair := config.ExternalIP{Public: mustAddr(public)}
			if private != "" {
				pair.Private = mustAddr(private)
			}
			out.Pairs = append(out.Pairs, pair)
		}
		return out
	}
	iface := func(name, prefix string) ifaceAddr {
		return ifaceAddr{name, netip.MustParsePrefix(prefix), name == "lo"}
	}
	lo4, lo6 := iface("lo", "127.0.0.1/8"), iface("lo", "::1/128")
	auto := config.ExternalIPs{Auto: true}
	lan := machine{
		interfaces: []ifaceAddr{lo4, lo6, iface("eth0", "192.168.1.5/24"), iface("eth0", "fd00::5/64"), iface("eth0", "fe80::1/64"), iface("eth1", "10.0.0.5/8")},
		route4:     mustAddr("192.168.1.5"), route6: mustAddr("fd00::5"),
	}
	server := machine{
		interfaces: []ifaceAddr{lo4, iface("ens3", "198.41.9.9/32"), iface("ens3", "2a00:1::9/64")},
		route4:     mustAddr("198.41.9.9"), route6: mustAddr("2a00:1::9"),
	}
	const outside = "people outside this network can't reach 192.168.1.5: set external_ip, or forward the port and the relay ports to it"
	for _, row := range []struct {
		name    string
		machine machine
		cfg     config.Turn
		want    []Address
		err     string
	}{
		{name: "public server, both families", machine: server, cfg: config.Turn{ExternalIP: auto}, want: []Address{
			{Relay: mustAddr("198.41.9.9"), External: mustAddr("198.41.9.9"), How: "the address of ens3, the default route"},
			{Relay: mustAddr("2a00:1::9"), External: mustAddr("2a00:1::9"), How: "the address of ens3, the default route"},
		}},
		{name: "LAN: the unique local IPv6 address adds nothing", machine: lan, cfg: config.Turn{ExternalIP: auto}, want: []Address{
			{Relay: mustAddr("192.168.1.5"), External: mustAddr("192.168.1.5"), How: "the address of eth0, the default route", Warning: outside, lan: netip.MustParsePrefix("192.168.1.0/24")},
		}},
		{name: "no default route: the first private address", machine: machine{interfaces: lan.interfaces}, cfg: config.Turn{}, want: []Address{
			{Relay: mustAddr("192.168.1.5"), External: mustAddr("192.168.1.5"), How: "the address of eth0", Warning: outside, lan: netip.MustParsePrefix("192.168.1.0/24")},
		}},
		{name: "no default route: a global address before a private one", machine: machine{interfaces: append(lan.interfaces, iface("eth2", "9.9.9.1/24"))}, cfg: config.Turn{}, want: []Address{
			{Relay: mustAddr("9.9.9.1"), External: mustAddr("9.9.9.1"), How: "the address of eth2"},
		}},
		{name: "only loopback", machine: machine{interfaces: []ifaceAddr{lo4, lo6}}, want: []Address{
			{Relay: mustAddr("127.0.0.1"), External: mustAddr("127.0.0.1"), How: "loopback, nothing else is up", Warning: "only loopback is up: calls work on this machine only"},
		}},
		{name: "only unique local IPv6", machine: machine{interfaces: []ifaceAddr{lo4, iface("eth0", "fd00::5/64")}}, want: []Address{
			{Relay: mustAddr("fd00::5"), External: mustAddr("fd00::5"), How: "the address of eth0", Warning: "people outside this network can't reach fd00::5: set external_ip", lan: netip.MustParsePrefix("fd00::/64")},
		}},
		{name: "nothing at all", machine: machine{}, err: "set [turn] relay_ip"},
		{name: "external address of the default route", machine: lan, cfg: config.Turn{ExternalIP: pairs("203.0.113.10")}, want: []Address{
			{Relay: mustAddr("192.168.1.5"), External: mustAddr("203.0.113.10"), How: "set in external_ip, relaying from 192.168.1.5", Warning: "people outside this network can't reach 203.0.113.10: set external_ip, or forward the port and the relay ports to it"},
		}},
		{name: "public/private chooses the interface", machine: lan, cfg: config.Turn{ExternalIP: pairs("9.9.9.9/10.0.0.5")}, want: []Address{
			{Relay: mustAddr("10.0.0.5"), External: mustAddr("9.9.9.9"), How: "set in external_ip, relaying from 10.0.0.5"},
		}},
		{name: "one pair of several fits", machine: lan, cfg: config.Turn{ExternalIP: pairs("9.9.9.8/10.9.9.9", "9.9.9.9/10.0.0.5"), RelayIP: addrs("10.0.0.5")}, want: []Address{
			{Relay: mustAddr("10.0.0.5"), External: mustAddr("9.9.9.9"), How: "set in external_ip, relaying from 10.0.0.5"},
		}},
		{name: "pair for another address", machine: lan, cfg: config.Turn{ExternalIP: pairs("9.9.9.9/10.0.0.6"), RelayIP: addrs("10.0.0.5")}, err: "external_ip 9.9.9.9/10.0.0.6: the relay's address is 10.0.0.5"},
		{name: "IPv6 external without IPv6", machine: machine{interfaces: lan.interfaces[2:3]}, cfg: config.Turn{ExternalIP: pairs("2a00::1")}, err: "external_ip 2a00::1: there is no local address"},
		{name: "relay_ip of one family", machine: server, cfg: config.Turn{RelayIP: addrs("198.41.9.9")}, want: []Address{
			{Relay: mustAddr("198.41.9.9"), External: mustAddr("198.41.9.9"), How: "set in relay_ip"},
		}},
		{name: "relay_ip on loopback", machine: server, cfg: config.Turn{RelayIP: addrs("127.0.0.1")}, want: []Address{
			{Relay: mustAddr("127.0.0.1"), External: mustAddr("127.0.0.1"), How: "set in relay_ip", Warning: "calls work on this machine only"},
		}},
		{name: "listening_ip is relayed on too", machine: lan, cfg: config.Turn{ListeningIP: addrs("10.0.0.5")}, want: []Address{
			{Relay: mustAddr("10.0.0.5"), External: mustAddr("10.0.0.5"), How: "set in listening_ip", Warning: strings.Replace(outside, "192.168.1.5", "10.0.0.5", 1), lan: netip.MustParsePrefix("10.0.0.0/8")},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			places, err := row.machine.places(row.cfg)
			var got []Address
			for _, at := range places {
				got = append(got, at.describe(row.cfg, heard{}, heard{}))
			}
			if row.err != "" {
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Fatalf("error %v, want %q", err, row.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(row.want) {
				t.Fatalf("got %+v", got)
			}
			for i := range got {
				if got[i] != row.want[i] {
					t.Errorf("got  %+v\nwant %+v", got[i], row.want[i])
				}
			}
		})
	}
}

func TestErrorsNameTheKeyAndTheFix(t *testing.T) {
	busy := testConfig()
	other, err := net.ListenUDP("udp4", udpAddr(netip.AddrPortFrom(busy.ListeningIP[0], 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	busy.ListeningPort = int(addrPort(other.LocalAddr()).Port())
	foreignListener, foreignRelay, ports := testConfig(), testConfig(), testConfig()
	foreignListener.ListeningIP = []netip.Addr{mustAddr("8.8.8.8")}
	foreignRelay.RelayIP = []netip.Addr{mustAddr("8.8.8.8")}
	ports.MinPort = 30000
	for _, row := range []struct {
		cfg   config.Turn
		want  string
		errno syscall.Errno
	}{
		{busy, "address already in use; another TURN server (coturn?) is running, or set [turn] listening_port", syscall.EADDRINUSE},
		{foreignListener, "not an address of this machine; correct [turn] listening_ip", syscall.EADDRNOTAVAIL},
		{foreignRelay, "relaying on 8.8.8.8: cannot assign requested address; set [turn] relay_ip", syscall.EADDRNOTAVAIL},
		{ports, "correct [turn] min_port and max_port", 0},
	} {
		s, err := New(row.cfg, Options{})
		if err == nil {
			s.closeSockets()
			t.Errorf("no error, want %q", row.want)
			continue
		}
		if !strings.Contains(err.Error(), row.want) || row.errno != 0 && !errors.Is(err, row.errno) {
			t.Errorf("got  %v\nwant %s", err, row.want)
		}
	}
}

func TestWildcardListeners(t *testing.T) {
	cfg := testConfig()
	cfg.ListeningIP = nil
	s := serve(t, cfg, Options{})
	at := s.Addresses()
	if len(at) != 1 || !at[0].Listen.Addr().IsUnspecified() || at[0].External != cfg.RelayIP[0] {
		t.Errorf("%+v", at)
	}
	if urls := s.URLs(); len(urls) != 1 || !strings.HasPrefix(urls[0], "turn:"+cfg.RelayIP[0].String()+":") {
		t.Errorf("URLs() = %v", urls)
	}
	for _, shard := range s.shards[1:] {
		if !addrPort(shard.local).Addr().Is6() || shard.local.Port != s.shards[0].local.Port {
			t.Errorf("second socket is on %s", shard.local)
		}
	}
}

func TestURLBracketsIPv6(t *testing.T) {
	if got := turnURL(netip.MustParseAddrPort("[2a00::1]:3478"), "udp"); got != "turn:[2a00::1]:3478?transport=udp" {
		t.Error(got)
	}
}
