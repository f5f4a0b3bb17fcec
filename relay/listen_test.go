package relay

import (
	"net"
	"net/netip"
	"testing"

	"github.com/pion/stun/v3"
)

func TestEveryAddressOfListeningIPServesOverUDPAndTCP(t *testing.T) {
	cfg := testConfig()
	cfg.ListeningPort, cfg.TCP = 3478, true
	cfg.ListeningIP = append(cfg.ListeningIP, ownLoopback(), netip.MustParseAddr("::ffff:"+ownLoopback().String()))
	if probe, err := net.ListenUDP("udp6", udpAddr(netip.AddrPortFrom(netip.IPv6Loopback(), 0))); err == nil {
		// One port for all: take one that is free there.
		cfg.ListeningIP, cfg.ListeningPort = append(cfg.ListeningIP, netip.IPv6Loopback()), int(addrPort(probe.LocalAddr()).Port())
		probe.Close()
	}
	s := serve(t, cfg, Options{})
	relayed := make(map[netip.AddrPort]bool)
	for _, addr := range cfg.ListeningIP {
		for _, network := range []string{"udp", "tcp"} {
			conn, err := net.Dial(network, netip.AddrPortFrom(addr.Unmap(), uint16(cfg.ListeningPort)).String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			c := &wireClient{t: t, conn: conn, user: "ann", password: "pass", key: stun.NewLongTermIntegrity("ann", testRealm, "pass")}
			var mapped stun.XORMappedAddress
			if err := mapped.GetFrom(c.ask(stun.BindingRequest)); err != nil || mapped.String() != conn.LocalAddr().String() {
				t.Errorf("%s %s: mapped %s (%v)", network, addr, mapped, err)
			}
			at := c.allocate()
			if relayed[at] || at.Addr() != cfg.RelayIP[0] {
				t.Errorf("%s %s: relayed %s", network, addr, at)
			}
			relayed[at] = true
		}
	}
	if urls := s.URLs(); len(urls) != 2 {
		t.Errorf("URLs %s, want one for each transport", urls)
	}
}
