package relay

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

func TestTCPAllocateAnswers(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	for _, row := range []struct {
		name    string
		setters []stun.Setter
		want    int
	}{
		{"TCP", nil, 0},
		{"TCP for IPv4", []stun.Setter{raw(attrRequestedFamily, 1, 0, 0, 0)}, 0},
		{"TCP for IPv6, which this relay has not", []stun.Setter{raw(attrRequestedFamily, 2, 0, 0, 0)}, 440},
		{"DONT-FRAGMENT", []stun.Setter{raw(stun.AttrDontFragment)}, 400},
		{"EVEN-PORT", []stun.Setter{raw(stun.AttrEvenPort, 0)}, 400},
		{"EVEN-PORT, the next one too", []stun.Setter{raw(stun.AttrEvenPort, 0x80)}, 400},
		{"RESERVATION-TOKEN", []stun.Setter{raw(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)}, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dialStream(t, s, "ann", "pass")
			c.want(c.do(stun.MethodAllocate, append(row.setters, wantTCP)...), row.want)
		})
	}
	t.Run("over UDP", func(t *testing.T) {
		c := dial(t, s, "ann", "pass")
		c.want(c.do(stun.MethodAllocate, wantTCP), 400)
	})
	t.Run("UDP goes on", func(t *testing.T) {
		c := dialStream(t, s, "ann", "pass")
		c.allocate()
	})
	t.Run("SCTP", func(t *testing.T) {
		c := dialStream(t, s, "ann", "pass")
		c.want(c.do(stun.MethodAllocate, raw(stun.AttrRequestedTransport, 132, 0, 0, 0)), 442)
	})
}

func TestTCPAllocationsCountInTheQuota(t *testing.T) {
	cfg := tcpConfig()
	cfg.UserQuota = 1
	cfg.MaxPort = cfg.MinPort + 1
	s := serve(t, cfg, Options{})
	ann, bob, third := dialStream(t, s, "ann", "pass"), dial(t, s, "bob", "word"), dialStream(t, s, "ann", "pass")
	ann.allocateTCP()
	third.want(third.do(stun.MethodAllocate, wantTCP), 486)
	bob.allocate()
	minted := s.Credential("carol")
	late := dialStream(t, s, minted.Username, minted.Password)
	late.want(late.do(stun.MethodAllocate, wantTCP), 508) // both ports are taken
	ann.want(ann.do(stun.MethodRefresh, seconds(0)), 0)
	eventually(t, "the port is another's", func() bool { return code(late.do(stun.MethodAllocate, wantTCP)) == 0 })
}

func TestWithoutTCPRelayNothingAnswers(t *testing.T) {
	s := serveTCP(t)
	c := dialStream(t, s, "ann", "pass")
	c.want(c.do(stun.MethodAllocate, wantTCP), 442)
	for _, method := range []stun.Method{methodConnect, methodConnectionBind} {
		m := stun.MustBuild(stun.TransactionID, stun.NewType(method, stun.ClassRequest))
		c.write(m.Raw)
	}
	if got := code(c.ask(stun.BindingRequest)); got != 0 {
		t.Fatalf("Binding got %d", got)
	}
	if n := s.Stats().Dropped[DropMethod]; n != 2 {
		t.Errorf("%d dropped, want 2", n)
	}
}

func TestConnectAnswers(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	listener, at := tcpPeer(t)
	closed, gone := tcpPeer(t)
	closed.Close()
	c.want(c.do(methodConnect, toPeer(at)), 437)
	c.allocateTCP()
	for _, row := range []struct {
		name    string
		setters []stun.Setter
		want    int
	}{
		{"no peer", nil, 400},
		{"private peer", []stun.Setter{toPeer(netip.MustParseAddrPort("10.0.0.7:80"))}, 403},
		{"cloud metadata", []stun.Setter{toPeer(netip.MustParseAddrPort("169.254.169.254:80"))}, 403},
		{"this server's TURN port", []stun.Setter{toPeer(s.testAddr())}, 403},
		{"port 0", []stun.Setter{toPeer(netip.MustParseAddrPort("127.0.0.1:0"))}, 403},
		{"IPv6", []stun.Setter{toPeer(netip.MustParseAddrPort("[2001:db8::1]:80"))}, 443},
		{"refusing peer", []stun.Setter{toPeer(gone)}, 447},
		{"refusing peer, tried again", []stun.Setter{toPeer(gone)}, 447},
		{"unknown attribute", []stun.Setter{toPeer(at), raw(0x7777)}, 420},
		{"peer", []stun.Setter{toPeer(at)}, 0},
		{"the same while it waits", []stun.Setter{toPeer(at)}, 446},
	} {
		t.Run(row.name, func(t *testing.T) { c.want(c.do(methodConnect, row.setters...), row.want) })
	}
	accept(t, listener)
	t.Run("the same once it is bound", func(t *testing.T) {
		listener, at := tcpPeer(t)
		id := c.connect(at)
		client, peer := c.bind(s, id), accept(t, listener)
		c.want(c.do(methodConnect, toPeer(at)), 446)
		client.Close()
		isClosed(t, "the peer's connection", peer)
		peer.Close()
		eventually(t, "the same when that is over", func() bool { return code(c.do(methodConnect, toPeer(at))) != 446 })
	})
	t.Run("another user", func(t *testing.T) {
		other := dialStream(t, s, "bob", "word")
		other.conn.Close()
		other.conn = c.conn
		other.want(other.do(methodConnect, toPeer(at)), 441)
	})
	t.Run("a UDP allocation", func(t *testing.T) {
		udp := dialStream(t, s, "bob", "word")
		udp.allocate()
		udp.want(udp.do(methodConnect, toPeer(at)), 437)
	})
}

// Clients of pion send again what is not answered soon, over TCP, too.
func TestRepeatedConnectIsOneConnection(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	_, at := tcpPeer(t)
	request := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, c.signed(methodConnect, toPeer(at))...)...)
	first, second := c.exchange(request), c.exchange(request)
	if code(first) != 0 || !bytes.Equal(first.Raw, second.Raw) {
		t.Errorf("first %s\nthen %s", first, second)
	}
	if n := s.peerConns.count(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestConnectionBindAnswers(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	_, at := tcpPeer(t)
	id := c.connect(at)
	unknown := bytes.Clone(id)
	unknown[0] ^= 1
	for _, row := range []struct {
		name    string
		client  func() *wireClient
		setters []stun.Setter
		want    int
	}{
		{"no CONNECTION-ID", func() *wireClient { return dialStream(t, s, "ann", "pass") }, nil, 400},
		{"unknown", func() *wireClient { return dialStream(t, s, "ann", "pass") }, []stun.Setter{connectionID(unknown)}, 400},
		{"unknown attribute", func() *wireClient { return dialStream(t, s, "ann", "pass") }, []stun.Setter{connectionID(id), raw(0x7777)}, 420},
		{"another user", func() *wireClient { return dialStream(t, s, "bob", "word") }, []stun.Setter{connectionID(id)}, 441},
		{"wrong password", func() *wireClient { return dialStream(t, s, "ann", "wrong") }, []stun.Setter{connectionID(id)}, 401},
		{"over UDP", func() *wireClient { return dial(t, s, "ann", "pass") }, []stun.Setter{connectionID(id)}, 400},
		{"on the control connection", func() *wireClient { return c }, []stun.Setter{connectionID(id)}, 400},
		{"with a nonce of its own", func() *wireClient { return dialStream(t, s, "ann", "pass") }, []stun.Setter{connectionID(id)}, 0},
		{"bound already", func() *wireClient { return dialStream(t, s, "ann", "pass") }, []stun.Setter{connectionID(id)}, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := row.client()
			answer := client.do(methodConnectionBind, row.setters...)
			client.want(answer, row.want)
			if row.want == 0 {
				if got := shapeOf(answer); got != "0008:20 8028:4" {
					t.Errorf("attributes %s", got)
				}
			}
		})
	}
	t.Run("without a credential", func(t *testing.T) {
		answer := dialStream(t, s, "", "").ask(stun.NewType(methodConnectionBind, stun.ClassRequest), connectionID(c.connect(tcpPeerAddr(t))))
		if code(answer) != 401 {
			t.Errorf("got %d", code(answer))
		}
	})
	t.Run("with the nonce of a stranger", func(t *testing.T) {
		stranger := dialStream(t, s, "ann", "pass")
		stranger.do(stun.MethodRefresh)
		data := dialStream(t, s, "ann", "pass")
		data.nonce = stranger.nonce
		if answer := data.ask(data.signed(methodConnectionBind, connectionID(id))...); code(answer) != 438 {
			t.Errorf("got %d", code(answer))
		}
	})
}

func tcpPeerAddr(t *testing.T) netip.AddrPort {
	_, at := tcpPeer(t)
	return at
}

func TestATCPAllocationCarriesNoPackets(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	packets := listenUDP(t, mustAddr("127.0.0.1"))
	at := streamAddr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: packets.LocalAddr().(*net.UDPAddr).Port})
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(at)), 403)
	c.want(c.do(methodCreatePermission, toPeer(at)), 0)
	c.send(at, "not here")
	c.write(unhex("4000 0004 61626364"))
	if got := code(c.ask(stun.BindingRequest)); got != 0 {
		t.Fatalf("Binding got %d", got)
	}
	expectNothing(t, packets)
	stats := s.Stats()
	if stats.Dropped[DropMethod] != 1 || stats.Dropped[DropChannel] != 1 {
		t.Errorf("dropped %v", stats.Dropped)
	}
}

func TestPeersWithoutPermissionAreCutOff(t *testing.T) {
	cfg := tcpConfig()
	cfg.DeniedPeerIP = []config.IPRange{{First: mustAddr("127.0.0.3"), Last: mustAddr("127.0.0.3")}}
	s := serve(t, cfg, Options{})
	c := dialStream(t, s, "ann", "pass")
	relayed := c.allocateTCP()
	isCutOff(t, "a peer without permission", relayed)
	c.want(c.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("127.0.0.1:9"))), 0)
	isCutOff(t, "a peer with another's permission", relayed)
	if n := s.Stats().Dropped[DropUnsolicited]; n != 2 {
		t.Errorf("%d dropped, want 2", n)
	}
	c.want(c.do(methodCreatePermission, toPeer(dialingPeer)), 0)
	dialRelayed(t, relayed)
	c.attempt()
}

func TestConnectionsWithPeersAreCounted(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	relayed := c.allocateTCP()
	for i := range maxPeerConns {
		c.connect(tcpPeerAddr(t))
		if n := s.peerConns.count(); n != i+1 {
			t.Fatalf("%d connections, want %d", n, i+1)
		}
	}
	c.want(c.do(methodConnect, toPeer(tcpPeerAddr(t))), 508)
	c.want(c.do(methodCreatePermission, toPeer(dialingPeer)), 0)
	isCutOff(t, "one peer too many", relayed)
	if n := s.Stats().Dropped[DropCrowded]; n != 1 {
		t.Errorf("%d dropped as crowded", n)
	}
	c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
	noPeerConns(t, s)
}
