package relay

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/duetcall/duet/config"
)

// forbidden are peers that nobody asked us to reach.
var forbidden = []string{
	"0.0.0.0:80", "10.1.2.3:80", "100.64.0.1:80", "127.0.0.1:80", "127.99.0.1:80",
	"169.254.169.254:80", "172.31.0.1:80", "192.0.0.8:80", "192.168.1.1:80", "198.18.0.1:80",
	"224.0.0.251:5353", "240.0.0.1:80", "255.255.255.255:67",
	"[::ffff:127.0.0.1]:80", "[::ffff:0.0.0.0]:80", "[::ffff:10.0.0.1]:80", "[::ffff:169.254.169.254]:80",
}

func TestForbiddenPeersGet403(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	for _, peer := range forbidden {
		t.Run(peer, func(t *testing.T) {
			c.t = t
			at := netip.MustParseAddrPort(peer)
			c.want(c.do(methodCreatePermission, toPeer(at)), 403)
			c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(at)), 403)
		})
	}
	c.t = t
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(netip.MustParseAddrPort("8.8.8.8:0"))), 403)
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(s.testAddr())), 403)
	// One forbidden peer spoils the request: no permission for the other either.
	good := netip.MustParseAddrPort("8.8.8.8:53")
	c.want(c.do(methodCreatePermission, toPeer(good), toPeer(netip.MustParseAddrPort("10.0.0.1:1"))), 403)
	if a := s.shards[0].find(addrPort(c.conn.LocalAddr())); len(a.routes.Load().permissions) != 0 {
		t.Errorf("permissions: %v", a.routes.Load().permissions)
	}
	// These stand for IPv4 ones, or are IPv6, on an IPv4 relay.
	for _, peer := range []string{"[::1]:80", "[64:ff9b::7f00:1]:80", "[2002:7f00:1::]:80", "[fe80::1]:80"} {
		c.want(c.do(methodCreatePermission, toPeer(netip.MustParseAddrPort(peer))), 443)
	}
}

func TestIPv6RelayRefusesFormsOfIPv4(t *testing.T) {
	cfg := testConfig()
	cfg.RelayIP = append(cfg.RelayIP, netip.IPv6Loopback())
	s := serve(t, cfg, Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate(raw(0x0017, familyIPv6, 0, 0, 0))
	for _, peer := range []string{
		"[::1]:80", "[::]:80", "[64:ff9b::7f00:1]:80", "[64:ff9b:1::a00:1]:80", "[2002:7f00:1::]:80",
		"[2002:a00:1::1]:80", "[::7f00:1]:80", "[2001:0:1::1]:80", "[fe80::1]:80", "[fc00::1]:80",
		"[fec0::1]:80", "[ff02::1]:80", "[2001:db8::1]:80", "[100::1]:80", "[3fff::1]:80", "[5f00::1]:80",
	} {
		at := netip.MustParseAddrPort(peer)
		if at.Addr() != netip.IPv6Loopback() { // the relay's own, reachable within the range
			c.want(c.do(methodCreatePermission, toPeer(at)), 403)
		}
		c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(at)), 403)
	}
	c.want(c.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("[::ffff:127.0.0.1]:80"))), 443)
}

// A permission covers an address; which of its ports may be reached is decided
// packet by packet, both ways.
func TestEachPacketIsJudgedByPort(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	own := s.testAddr().Addr()
	outside := listenUDP(t, own) // on the relay's address, outside the relay ports
	a, b := dial(t, s, "ann", "pass"), dial(t, s, "bob", "word")
	atA, atB := a.allocate(), b.allocate()
	a.want(a.do(methodCreatePermission, toPeer(atB)), 0)
	b.want(b.do(methodCreatePermission, toPeer(atA)), 0)
	a.send(addrPort(outside.LocalAddr()), "to another port of the same address")
	a.send(netip.MustParseAddrPort("127.0.0.1:9"), "to an address without permission")
	a.send(atB, "allowed")
	if got := b.read(time.Now().Add(patience)); !bytes.Contains(got, []byte("allowed")) {
		t.Fatalf("got %q", got)
	}
	expectNothing(t, outside)
	if got := s.Stats().Dropped[DropPeer]; got != 1 {
		t.Errorf("%d packets dropped by the policy, want 1", got)
	}
	if _, err := outside.WriteToUDPAddrPort([]byte("from outside"), atA); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the packet from outside is dropped", func() bool { return s.Stats().Dropped[DropPeer] == 2 })
}

func TestPermissionsAndChannelsAreBounded(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	peer := func(n int) toPeer {
		return toPeer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 8, byte(n)}), 53))
	}
	for n := range maxPermissions {
		c.want(c.do(methodCreatePermission, peer(n)), 0)
	}
	c.want(c.do(methodCreatePermission, peer(maxPermissions)), 508)
	c.want(c.do(methodCreatePermission, peer(0)), 0) // a refresh needs no room
	for n := range maxChannels {
		c.want(c.do(methodChannelBind, channelNumber(uint16(0x4000+n)), peer(n)), 0)
	}
	c.want(c.do(methodChannelBind, channelNumber(0x4FFF), toPeer(netip.MustParseAddrPort("8.8.8.1:99"))), 508)
	c.want(c.do(methodChannelBind, channelNumber(0x4000), peer(0)), 0)
	c.want(c.do(methodChannelBind, channelNumber(0x4001), peer(0)), 400) // bound to another peer
}

func TestRefusedPeersAreLoggedWithTheRuleAndQuietly(t *testing.T) {
	var out bytes.Buffer // written by one goroutine, the shard's reader
	cfg := testConfig()
	cfg.DeniedPeerIP = []config.IPRange{{First: mustAddr("8.8.4.0"), Last: mustAddr("8.8.4.255")}}
	var last string
	t.Run("serving", func(t *testing.T) {
		s := serve(t, cfg, Options{Log: slog.New(slog.NewTextHandler(&out, nil))})
		c := dial(t, s, "ann", "pass")
		c.allocate()
		c.want(c.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("10.0.0.1:1"))), 403)
		c.want(c.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("8.8.4.4:1"))), 403)
		for range 200 {
			c.want(c.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("10.0.0.1:1"))), 403)
		}
		last = c.conn.LocalAddr().String()
	})
	log := out.String()
	for _, want := range []string{
		`msg="peer refused"`, "client=" + last, "user=ann", "peer=10.0.0.1:1", `reason="10.0.0.0/8 (private)"`,
		"reason=denied_peer_ip", `msg="allocation ended"`, "reason=shutdown",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s:\n%s", want, log)
		}
	}
	if n := strings.Count(log, "peer refused"); n > 100 {
		t.Errorf("%d lines for 202 refusals", n)
	}
	for _, secret := range []string{"pass", testSecret} {
		if strings.Contains(log, secret) {
			t.Errorf("the log contains %q", secret)
		}
	}
}
