package relay

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay/udp"
)

// wideConfig listens on all addresses.
func wideConfig() config.Turn {
	cfg := testConfig()
	cfg.ListeningIP = nil
	cfg.AllowedPeerIP = []config.IPRange{{First: mustAddr("127.0.0.0"), Last: mustAddr("127.255.255.255")}}
	return cfg
}

// at connects to the server at an address of the machine: what comes from another one,
// the client does not see. from is the client's address, with port 0 for any.
func at(t *testing.T, s *Server, from, host string) *wireClient {
	t.Helper()
	dialer := net.Dialer{
		LocalAddr: udpAddr(netip.MustParseAddrPort(from)),
		Control: func(_, _ string, raw syscall.RawConn) error { // several may have one port
			return raw.Control(func(fd uintptr) {
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
			})
		},
	}
	conn, err := dialer.Dial("udp", netip.AddrPortFrom(mustAddr(host), s.testAddr().Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wireClient{t: t, conn: conn, user: "ann", password: "pass", key: stun.NewLongTermIntegrity("ann", testRealm, "pass")}
}

// relays checks that media passes both ways between a client and a peer.
func relays(t *testing.T, c *wireClient, relayed netip.AddrPort, peer *net.UDPConn, text string) {
	t.Helper()
	buf := make([]byte, 100)
	for range 5 { // UDP may lose
		c.channelData(0x4000, text)
		peer.SetReadDeadline(time.Now().Add(patience / 5))
		n, from, err := peer.ReadFromUDPAddrPort(buf)
		if err != nil {
			continue
		}
		if string(buf[:n]) != text || addrPort(udpAddr(from)) != relayed {
			t.Fatalf("the peer got %q from %s, want %q from %s", buf[:n], from, text, relayed)
		}
		peer.WriteToUDPAddrPort(buf[:n], relayed)
		if got := c.read(time.Now().Add(patience / 5)); got != nil {
			if string(got[4:]) != text {
				t.Fatalf("the client got %q, want %q", got, text)
			}
			return
		}
	}
	t.Fatalf("%q did not come back", text)
}

func TestAnswersAndMediaLeaveFromTheAddressThatWasAsked(t *testing.T) {
	s := serve(t, wideConfig(), Options{})
	for _, row := range []struct{ from, host string }{
		{"127.0.0.1:0", "127.0.0.2"}, {"127.0.0.1:0", "127.0.0.1"}, {"127.0.0.3:0", "127.255.0.4"}, {"[::1]:0", "::1"},
	} {
		t.Run(row.host, func(t *testing.T) {
			if row.host == "::1" && len(s.shards) == 1 {
				t.Skip("no IPv6 here")
			}
			c := at(t, s, row.from, row.host)
			var mapped stun.XORMappedAddress
			if err := mapped.GetFrom(c.ask(stun.BindingRequest)); err != nil || mapped.String() != c.conn.LocalAddr().String() {
				t.Errorf("mapped %s (%v)", mapped, err)
			}
			peer := listenUDP(t, ownLoopback())
			relayed := c.allocate()
			c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(addrPort(peer.LocalAddr()))), 0)
			relays(t, c, relayed, peer, "hello")
			c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
		})
	}
}

func TestTheAddressThatWasAskedIsPartOfThe5Tuple(t *testing.T) {
	s := serve(t, wideConfig(), Options{})
	first := at(t, s, "127.0.0.1:0", "127.0.0.2")
	second := at(t, s, first.conn.LocalAddr().String(), "127.0.0.3")
	cred := s.Credential("cat")
	second.as(cred.Username, cred.Password)
	peer := listenUDP(t, ownLoopback())
	relayed := make(map[*wireClient]netip.AddrPort)
	for _, c := range []*wireClient{first, second} {
		relayed[c] = c.allocate()
		c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(addrPort(peer.LocalAddr()))), 0)
	}
	if relayed[first] == relayed[second] {
		t.Fatalf("both relay on %s", relayed[first])
	}
	for range 10 {
		relays(t, first, relayed[first], peer, "first")
		relays(t, second, relayed[second], peer, "second")
	}
	s.Revoke("cat")
	eventually(t, "the second is gone", func() bool { return s.Stats().Allocations == 1 })
	second.want(second.do(stun.MethodRefresh, seconds(600)), 437)
	relays(t, first, relayed[first], peer, "first")
	first.want(first.do(stun.MethodRefresh, seconds(0)), 0)
	if n := s.Stats().Allocations; n != 0 {
		t.Errorf("%d allocations left", n)
	}
}

func TestDTLSAnswersLeaveFromTheAddressThatWasAsked(t *testing.T) {
	cfg := wideConfig()
	cfg.DTLS, cfg.TLSListeningPort = true, 0
	certificate := certificateOf(t, ecdsaKey(t))
	s := serve(t, cfg, Options{Certificate: func() *tls.Certificate { return certificate }})
	for _, host := range []string{"127.0.0.2", "127.0.0.1"} {
		at := netip.AddrPortFrom(mustAddr(host), s.testDTLSAddr().Port())
		socket, err := net.DialUDP("udp", nil, udpAddr(at)) // hears nobody else
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		conn, err := tryDTLSAt(t, at, certificate, dtlsnet.PacketConnFromConn(socket))
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
		if _, err := conn.Write(request.Raw); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(patience))
		buf := make([]byte, 2048)
		n, err := conn.Read(buf)
		answer := &stun.Message{Raw: buf[:n]}
		if err != nil || answer.Decode() != nil || answer.TransactionID != request.TransactionID {
			t.Errorf("%s: %q (%v)", host, buf[:n], err)
		}
	}
}

func TestTheSecondPortOfAllAddressesAnswersFromTheAddressThatWasAsked(t *testing.T) {
	cfg := wideConfig()
	free := listenUDP(t, netip.IPv4Unspecified())
	cfg.AltListeningPort = int(addrPort(free.LocalAddr()).Port())
	free.Close()
	s := serve(t, cfg, Options{})
	client := listenUDP(t, mustAddr("127.0.0.1"))
	answer, from := askFrom(t, client, client, netip.AddrPortFrom(mustAddr("127.0.0.2"), s.testAddr().Port()), change(flagChangePort))
	origin, other := told(answer)
	if want := netip.AddrPortFrom(mustAddr("127.0.0.2"), uint16(cfg.AltListeningPort)); from != want || origin != want.String() || other != "none" {
		t.Errorf("from %s, RESPONSE-ORIGIN %s, OTHER-ADDRESS %s, want %s", from, origin, other, want)
	}
}

// widen puts the client's allocation on a socket on all addresses.
func (m *media) widen(tb testing.TB) {
	tb.Helper()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	m.a.shard.socket = newSocket(conn)
	m.a.shard.socket.widen(conn, m.s.log.Logger)
	m.a.dest = m.clientAt.Addr()
	m.a.from = udp.AppendSource(nil, m.a.dest)
	m.a.shard.socket.dest = m.a.dest
	m.a.shard.local = conn.LocalAddr().(*net.UDPAddr)
	m.a.shard.clients.put(m.a)
}

// arrive has the shard's socket read a datagram of the client's, and answer it.
func (m *media) arrive(tb testing.TB, to netip.AddrPort, datagram, buf []byte) {
	shard := m.a.shard
	if _, err := m.client.WriteToUDPAddrPort(datagram, to); err != nil {
		tb.Fatal(err)
	}
	n, client, err := shard.socket.read(buf)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := shard.socket.write(buf[:n], shard.from(), client); err != nil {
		tb.Fatal(err)
	}
	if n, _, err := m.client.ReadFromUDPAddrPort(buf); err != nil || n != len(datagram) {
		tb.Fatal(n, err)
	}
}

func TestPacketPathOfASocketOnAllAddressesAllocatesNothing(t *testing.T) {
	m := newMedia(t, 1)
	m.s.log = newQuietLog(nil)
	m.widen(t)
	ways := paths(t, m, 1200)
	to, datagram, buf := netip.AddrPortFrom(m.a.dest, uint16(m.a.shard.local.Port)), bytes.Repeat([]byte{1}, 1200), make([]byte, 1<<16)
	ways["arriving"] = func() { m.arrive(t, to, datagram, buf) }
	for way, relay := range ways {
		if n := testing.AllocsPerRun(100, relay); n != 0 {
			t.Errorf("%s allocates %v times", way, n)
		}
	}
}

// BenchmarkAllAddresses is what it costs to hear and to say which address was asked:
// compare a socket on one address, one on all, and one on all that does neither.
func BenchmarkAllAddresses(b *testing.B) {
	one, all, unaware := newMedia(b, 1), newMedia(b, 1), newMedia(b, 1)
	one.a.shard.local = one.a.shard.socket.conn.(*net.UDPConn).LocalAddr().(*net.UDPAddr)
	for _, m := range []*media{all, unaware} {
		m.s.log = newQuietLog(nil)
		m.widen(b)
	}
	unaware.a.shard.socket.wide, unaware.a.shard.socket.dest = nil, netip.Addr{}
	datagram, buf := bytes.Repeat([]byte{1}, 1200), make([]byte, 1<<16)
	for name, m := range map[string]*media{"one": one, "all": all, "unaware": unaware} {
		to := netip.AddrPortFrom(m.clientAt.Addr(), uint16(m.a.shard.local.Port))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.arrive(b, to, datagram, buf)
			}
		})
	}
}
