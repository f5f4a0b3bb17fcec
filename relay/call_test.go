package relay

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v4"

	"github.com/duetcall/duet/config"
)

// caller is one end of a call through the relay, with pion's client: it binds
// channels and refreshes, as browsers do.
type caller struct {
	net.PacketConn // the relayed address
	client         *turn.Client
}

func call(t *testing.T, s *Server, cred Credential) *caller {
	t.Helper()
	local, err := net.ListenPacket("udp", netip.AddrPortFrom(s.testAddr().Addr(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	return callOver(t, s, cred, local)
}

// callOver is call over a transport that the test has opened.
func callOver(t *testing.T, s *Server, cred Credential, local net.PacketConn) *caller {
	t.Helper()
	t.Cleanup(func() { local.Close() })
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: s.testAddr().String(), TURNServerAddr: s.testAddr().String(),
		Username: cred.Username, Password: cred.Password, Realm: testRealm,
		Conn: local, LoggerFactory: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { relayed.Close() })
	return &caller{relayed, client}
}

// pair is a call: two members, each behind a relayed address.
func pair(t *testing.T, s *Server) (a, b *caller) {
	t.Helper()
	a, b = call(t, s, s.Credential("ann")), call(t, s, s.Credential("bob"))
	permitEachOther(t, a, b)
	return a, b
}

func permitEachOther(t *testing.T, a, b *caller) {
	t.Helper()
	for _, permit := range []struct{ from, to *caller }{{a, b}, {b, a}} {
		if err := permit.from.client.CreatePermission(permit.to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
}

// passes sends data from one end and checks that it arrives, from the right address.
func passes(t *testing.T, from, to *caller, data []byte) {
	t.Helper()
	buf := make([]byte, 2048)
	for range 5 { // UDP may lose
		if _, err := from.WriteTo(data, to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		to.SetReadDeadline(time.Now().Add(patience / 5))
		for {
			n, source, err := to.ReadFrom(buf)
			if err != nil {
				break
			}
			if source.String() != from.LocalAddr().String() {
				t.Fatalf("came from %s, want %s", source, from.LocalAddr())
			}
			if bytes.Equal(buf[:n], data) {
				return
			}
		}
	}
	t.Fatal("the data did not arrive")
}

// talk exchanges packets of many sizes both ways.
func talk(t *testing.T, a, b *caller) {
	t.Helper()
	exchangeSizes(t, a, b, 1, 3, 160, 1200, 1400)
}

func exchangeSizes(t *testing.T, a, b *caller, sizes ...int) {
	t.Helper()
	for i, size := range sizes {
		data := make([]byte, size)
		rand.Read(data)
		data[0] = byte(i)
		passes(t, a, b, data)
		passes(t, b, a, data)
	}
}

func TestTwoMembersTalkThroughTheRelay(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	a, b := pair(t, s)
	talk(t, a, b)
	stats := s.Stats()
	if stats.Allocations != 2 || stats.PortsUsed != 2 || stats.PortsSize != 100 {
		t.Errorf("stats: %+v", stats)
	}
	eventually(t, "everything is counted", func() bool {
		stats := s.Stats()
		for _, way := range []Traffic{stats.FromClients, stats.ToClients, stats.FromPeers, stats.ToPeers} {
			if way.Packets < 10 || way.Bytes < 5000 {
				return false
			}
		}
		return true
	})
}

func TestRelayedAddressIsTheExternalOneWithoutHairpinning(t *testing.T) {
	cfg := testConfig()
	private := cfg.RelayIP[0]
	cfg.RelayIP = nil
	cfg.ExternalIP = config.ExternalIPs{Pairs: []config.ExternalIP{{Public: mustAddr("203.0.113.10"), Private: private}}}
	s := serve(t, cfg, Options{})
	a, b := pair(t, s)
	for _, end := range []*caller{a, b} {
		if at := addrPort(end.LocalAddr()); at.Addr() != mustAddr("203.0.113.10") {
			t.Errorf("relayed address is %s", at)
		}
	}
	talk(t, a, b)
	want := fmt.Sprintf("turn:203.0.113.10:%d?transport=udp", s.testAddr().Port())
	if urls := s.URLs(); len(urls) != 1 || urls[0] != want {
		t.Errorf("URLs() = %v, want %s", urls, want)
	}
}

func TestIPv6Relay(t *testing.T) {
	loopback := netip.IPv6Loopback()
	probe, err := net.ListenUDP("udp6", udpAddr(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Skip("no IPv6 loopback here")
	}
	probe.Close()
	cfg := testConfig()
	cfg.RelayIP = append(cfg.RelayIP, loopback)
	s := serve(t, cfg, Options{})
	a, b := dial(t, s, "ann", "pass"), dial(t, s, "bob", "word")
	family := raw(0x0017, familyIPv6, 0, 0, 0)
	atA, atB := a.allocate(family), b.allocate(family)
	if atA.Addr() != loopback {
		t.Fatalf("relayed address is %s", atA)
	}
	a.want(a.do(methodCreatePermission, toPeer(atB)), 0)
	b.want(b.do(methodChannelBind, channelNumber(0x4001), toPeer(atA)), 0)
	a.send(atB, "hello")
	if got := b.read(time.Now().Add(patience)); string(got) != "\x40\x01\x00\x05hello" {
		t.Errorf("got %q", got)
	}
	a.want(a.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("8.8.8.8:53"))), 443)
	v4 := dial(t, s, "ann", "pass")
	v4.allocate()
	v4.want(v4.do(methodCreatePermission, toPeer(atB)), 443)
}

func TestEchoPeerOutsideTheRelay(t *testing.T) {
	cfg := testConfig()
	cfg.AllowedPeerIP = []config.IPRange{{First: mustAddr("127.0.0.0"), Last: mustAddr("127.255.255.255")}}
	s := serve(t, cfg, Options{})
	peer := listenUDP(t, ownLoopback())
	echoing := make(chan struct{})
	go func() {
		defer close(echoing)
		buf := make([]byte, 2048)
		for {
			n, from, err := peer.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			peer.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	t.Cleanup(func() { peer.Close(); <-echoing })

	c := dial(t, s, "ann", "pass")
	c.allocate()
	at := addrPort(peer.LocalAddr())
	c.want(c.do(methodCreatePermission, toPeer(at)), 0)
	c.send(at, "by indication")
	if got := c.read(time.Now().Add(patience)); !bytes.Contains(got, []byte("by indication")) {
		t.Errorf("got %q", got)
	}
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(at)), 0)
	c.channelData(0x4000, "by channel")
	if got := c.read(time.Now().Add(patience)); string(got) != "\x40\x00\x00\x0aby channel" {
		t.Errorf("got %q", got)
	}
}
