package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// RFC 6062: what is on the wire, between a client, the relay and a peer over TCP.

var wantTCP = raw(stun.AttrRequestedTransport, transportTCP, 0, 0, 0)

// tcpConfig has TCP relays, and lets everybody reach the peers of tests.
func tcpConfig() config.Turn {
	cfg := testConfig()
	cfg.TCP, cfg.TCPRelay = true, true
	cfg.AllowedPeerIP = []config.IPRange{{First: mustAddr("127.0.0.1"), Last: mustAddr("127.0.0.9")}}
	return cfg
}

// dialStream is dial over TCP.
func dialStream(t *testing.T, s *Server, user, password string) *wireClient {
	t.Helper()
	c := dial(t, s, user, password)
	c.conn.Close()
	c.conn = dialTCP(t, s)
	return c
}

// allocateTCP returns the relayed address of a TCP allocation.
func (c *wireClient) allocateTCP() netip.AddrPort {
	c.t.Helper()
	answer := c.do(stun.MethodAllocate, wantTCP)
	c.want(answer, 0)
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
		c.t.Fatal(err)
	}
	return addrPort(&net.UDPAddr{IP: relayed.IP, Port: relayed.Port})
}

func connectionID(id []byte) stun.Setter { return raw(attrConnectionID, id...) }

// connect returns the CONNECTION-ID of a connection to peer.
func (c *wireClient) connect(peer netip.AddrPort) []byte {
	c.t.Helper()
	answer := c.do(methodConnect, toPeer(peer))
	c.want(answer, 0)
	id, err := answer.Get(attrConnectionID)
	if err != nil || len(id) != 4 {
		c.t.Fatalf("CONNECTION-ID %x: %v", id, err)
	}
	return id
}

// attempt waits for a ConnectionAttempt.
func (c *wireClient) attempt() (id []byte, peer netip.AddrPort) {
	c.t.Helper()
	m := &stun.Message{Raw: c.read(time.Now().Add(patience))}
	if err := m.Decode(); err != nil || m.Type != stun.NewType(stun.MethodConnectionAttempt, stun.ClassIndication) {
		c.t.Fatalf("got %s (%v), want a ConnectionAttempt", m, err)
	}
	id, err := m.Get(attrConnectionID)
	var from stun.XORMappedAddress
	if err = errors.Join(err, from.GetFromAs(m, stun.AttrXORPeerAddress)); err != nil || len(id) != 4 {
		c.t.Fatalf("%s: %v", m, err)
	}
	return id, addrPort(&net.UDPAddr{IP: from.IP, Port: from.Port})
}

// askToBind sends a ConnectionBind on a connection of its own, with the nonce of c.
func (c *wireClient) askToBind(s *Server, id []byte) (*wireClient, *stun.Message) {
	c.t.Helper()
	data := dialStream(c.t, s, c.user, c.password)
	data.nonce = c.nonce
	return data, data.ask(data.signed(methodConnectionBind, connectionID(id))...)
}

// bind returns a data connection.
func (c *wireClient) bind(s *Server, id []byte) net.Conn {
	c.t.Helper()
	data, answer := c.askToBind(s, id)
	data.want(answer, 0)
	return data.conn
}

// tcpPeer is a peer's listener.
func tcpPeer(t *testing.T) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, streamAddr(listener.Addr())
}

func accept(t *testing.T, listener *net.TCPListener) *net.TCPConn {
	t.Helper()
	listener.SetDeadline(time.Now().Add(patience))
	conn, err := listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// connected is a data connection that the client has asked for, and its peer's end.
func connected(t *testing.T, s *Server, c *wireClient) (client net.Conn, peer *net.TCPConn) {
	t.Helper()
	listener, at := tcpPeer(t)
	id := c.connect(at)
	peer = accept(t, listener)
	return c.bind(s, id), peer
}

// dialRelayed connects to a relayed address as a peer.
func dialRelayed(t *testing.T, relayed netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := dialAsPeer(t, relayed)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func dialAsPeer(t *testing.T, relayed netip.AddrPort) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := dialer.DialContext(t.Context(), "tcp4", relayed.String())
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// isCutOff connects as a peer that the relay does not want.
func isCutOff(t *testing.T, what string, relayed netip.AddrPort) {
	t.Helper()
	conn, err := dialAsPeer(t, relayed)
	switch {
	case err == nil:
		isClosed(t, what, conn)
	case !errors.Is(err, syscall.ECONNRESET):
		t.Errorf("%s: %v", what, err)
	}
}

var dialingPeer = netip.MustParseAddrPort("127.0.0.2:1")

// conveys checks that a text sent into one end comes out of the other.
func conveys(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	arrives(t, to, text)
}

func arrives(t *testing.T, to net.Conn, text string) {
	t.Helper()
	to.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

func noPeerConns(t *testing.T, s *Server) {
	t.Helper()
	eventually(t, "every connection with a peer is gone", func() bool { return s.peerConns.count() == 0 })
}

func TestClientConnectsToAPeer(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	relayed := c.allocateTCP()
	client, peer := connected(t, s, c)
	if got := streamAddr(peer.RemoteAddr()); got != relayed {
		t.Errorf("the peer sees %s, want %s", got, relayed)
	}
	conveys(t, client, peer, "from the client")
	conveys(t, peer, client, "from the peer")
	other, otherPeer := connected(t, s, c) // while the first goes on
	conveys(t, other, otherPeer, "another peer")
	conveys(t, client, peer, "again")
	eventually(t, "all bytes are counted", func() bool { // just after they have been sent
		stats := s.Stats()
		return stats.ToPeers.Bytes == 15+12+5 && stats.FromPeers.Bytes == 13
	})
	c.want(c.do(stun.MethodRefresh, seconds(700)), 0) // control goes on
}

func TestPeerConnectsToAClient(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	relayed := c.allocateTCP()
	c.want(c.do(methodCreatePermission, toPeer(dialingPeer)), 0)
	peer := dialRelayed(t, relayed)
	if _, err := io.WriteString(peer, "early"); err != nil {
		t.Fatal(err)
	}
	id, from := c.attempt()
	if from != streamAddr(peer.LocalAddr()) {
		t.Errorf("ConnectionAttempt of %s, want %s", from, peer.LocalAddr())
	}
	client := c.bind(s, id)
	arrives(t, client, "early")
	conveys(t, client, peer, "hello")
	conveys(t, peer, client, "and more")
}

// Two members, each with a TCP allocation, meet at their relayed addresses.
func TestTwoTCPAllocationsMeet(t *testing.T) {
	for name, change := range map[string]func(*config.Turn){
		"IPv4": func(*config.Turn) {},
		"IPv6": func(cfg *config.Turn) { cfg.RelayIP = []netip.Addr{netip.IPv6Loopback()} },
		"behind 1:1 NAT": func(cfg *config.Turn) {
			cfg.ExternalIP = config.ExternalIPs{Pairs: []config.ExternalIP{{Public: mustAddr("203.0.113.10"), Private: cfg.RelayIP[0]}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tcpConfig()
			change(&cfg)
			meet(t, serve(t, cfg, Options{}))
		})
	}
}

func meet(t *testing.T, s *Server) {
	t.Helper()
	ann, bob := dialStream(t, s, "ann", "pass"), dialStream(t, s, "bob", "word")
	atAnn, atBob := ann.allocateTCP(), bob.allocateTCP()
	bob.want(bob.do(methodCreatePermission, toPeer(atAnn)), 0)
	left := ann.bind(s, ann.connect(atBob))
	id, from := bob.attempt()
	if from != atAnn {
		t.Errorf("bob hears of %s, want %s", from, atAnn)
	}
	right := bob.bind(s, id)
	conveys(t, left, right, "ann to bob")
	conveys(t, right, left, "bob to ann")
}

// The relay port of a TCP allocation belongs to it alone.
func TestATCPRelayPortHasOneOwner(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	relayed := c.allocateTCP()
	connected(t, s, c)
	if listener, err := net.Listen("tcp4", relayed.String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listened on %s, too: %v, %v", relayed, listener, err)
	}
}
