package relay

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v4"

	"github.com/duetcall/duet/config"
)

func member(t *testing.T, s *Server, name string) *wireClient {
	t.Helper()
	cred := s.Credential(name)
	return dial(t, s, cred.Username, cred.Password)
}

// as makes the client somebody else, on the same 5-tuple.
func (c *wireClient) as(user, password string) {
	c.user, c.password, c.key = user, password, stun.NewLongTermIntegrity(user, testRealm, password)
}

func TestARevokedMemberIsCutOff(t *testing.T) {
	cfg := testConfig()
	cfg.AllowedPeerIP = []config.IPRange{{First: mustAddr("127.0.0.0"), Last: mustAddr("127.255.255.255")}}
	s := serve(t, cfg, Options{})
	a, b := pair(t, s) // of others
	c, second := member(t, s, "cat"), member(t, s, "cat")
	relayed := c.allocate()
	second.allocate()
	static := dial(t, s, "ann", "pass")
	static.allocate()
	peer := listenUDP(t, ownLoopback())
	at := addrPort(peer.LocalAddr())
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(at)), 0)

	s.Revoke("cat")
	eventually(t, "its allocations are gone", func() bool { return s.Stats().Allocations == 3 })
	c.channelData(0x4000, "late")
	peer.WriteToUDPAddrPort([]byte("late"), relayed)
	c.want(c.do(stun.MethodRefresh, seconds(600)), 437)
	second.want(second.do(methodCreatePermission, toPeer(at)), 437)
	again := member(t, s, "cat")
	again.want(again.do(stun.MethodAllocate, wantUDP), 401)
	expectNothing(t, peer)
	if got := c.read(time.Now().Add(10 * time.Millisecond)); got != nil {
		t.Errorf("the client got %q", got)
	}
	talk(t, a, b)
	static.want(static.do(stun.MethodRefresh, seconds(600)), 0)
	if used := s.Stats().PortsUsed; used != 3 {
		t.Errorf("%d ports in use, want 3", used)
	}
	// A static user of that name is somebody else.
	s.Revoke("ann")
	static.want(static.do(stun.MethodRefresh, seconds(600)), 0)
	talk(t, b, b)
}

// The engine deletes by 5-tuple: what comes next on one must never be deleted for what was
// there before.
func TestA5TupleIsGoodAgainAfterARevocation(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	for n := range 300 {
		name := fmt.Sprint("member ", n)
		cred := s.Credential(name)
		c.as(cred.Username, cred.Password)
		c.allocate()
		s.Revoke(name)
		eventually(t, "the allocation is gone", func() bool { return s.Stats().Allocations == 0 })
		c.as("ann", "pass")
		c.allocate()
		c.want(c.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("8.8.8.8:53"))), 0)
		c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
	}
	c.allocate()
	s.Revoke("member 299")
	c.want(c.do(stun.MethodRefresh, seconds(600)), 0)
	if stats := s.Stats(); stats.Allocations != 1 || stats.AllocationsTotal != 601 {
		t.Errorf("%d allocations now, %d in all", stats.Allocations, stats.AllocationsTotal)
	}
}

func TestARevokedMembersConnectionIsClosed(t *testing.T) {
	cfg := testConfig()
	cfg.TCP = true
	s := serve(t, cfg, Options{})
	call(t, s, s.Credential("bob"))
	conn := dialTCP(t, s)
	callOver(t, s, s.Credential("cat"), turn.NewSTUNConn(conn))
	s.Revoke("cat")
	eventually(t, "the allocation is gone", func() bool { return s.Stats().Allocations == 1 })
	eventually(t, "so is the connection", func() bool { return s.streams.count() == 0 })
}

func TestARevokedMembersDTLSAssociationEnds(t *testing.T) {
	s, cert := serveDTLS(t)
	callOverDTLS(t, s, cert, "cat")
	callOverDTLS(t, s, cert, "bob")
	s.Revoke("cat")
	eventually(t, "the allocation is gone", func() bool { return s.Stats().Allocations == 1 && s.streams.count() == 1 })
}

// An allocation that is about to expire is left to the engine's timer, which may be
// firing; nothing passes through it any more.
func TestRevokeKeepsAwayFromExpiry(t *testing.T) {
	cfg := testConfig()
	cfg.AllowedPeerIP = []config.IPRange{{First: mustAddr("127.0.0.0"), Last: mustAddr("127.255.255.255")}}
	s := serve(t, cfg, Options{})
	c := member(t, s, "cat")
	c.allocate()
	peer := listenUDP(t, ownLoopback())
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(addrPort(peer.LocalAddr()))), 0)
	a := s.shards[0].find(addrPort(c.conn.LocalAddr()))
	a.deadline.Store(time.Now().Add(expiryMargin / 2).UnixNano())
	s.Revoke("cat")
	eventually(t, "it leads nowhere", func() bool { return a.routes.Load() == noRoutes })
	c.channelData(0x4000, "late")
	eventually(t, "it is dropped", func() bool { return s.Stats().Dropped[DropChannel] == 1 })
	c.want(c.do(stun.MethodRefresh, seconds(600)), 437)
	expectNothing(t, peer)
}

// A member who is revoked between the judgement of its request and the allocation
// keeps nothing. Our clock is read for the nonce, the judgement and the allocation.
func TestARevocationMeetsAnAllocationInTheMaking(t *testing.T) {
	var reads atomic.Int64
	var s *Server
	s = serve(t, testConfig(), Options{Now: func() time.Time {
		if reads.Add(-1) == 0 {
			s.revoked.revoke("cat", time.Now())
		}
		return time.Now()
	}})
	cred := s.Credential("cat")
	c := dial(t, s, cred.Username, cred.Password)
	c.do(stun.MethodRefresh) // for the nonce
	reads.Store(3)
	c.allocate()
	eventually(t, "it is gone", func() bool { return s.Stats().Allocations == 0 })
	c.want(c.do(stun.MethodRefresh, seconds(600)), 437)
	c.want(c.do(stun.MethodAllocate, wantUDP), 401)
}

// Whoever allocates while being revoked keeps nothing.
func TestRevocationsMeetAllocationsInTheMaking(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	var group sync.WaitGroup
	for n := range 40 {
		name := fmt.Sprint("member ", n)
		c := member(t, s, name)
		c.do(stun.MethodRefresh) // for the nonce
		group.Go(func() { s.Revoke(name) })
		group.Go(func() {
			if got := code(c.do(stun.MethodAllocate, wantUDP)); got != 0 && got != 401 && got != 437 {
				t.Errorf("Allocate got %d", got)
			}
		})
		group.Wait()
		c.want(c.do(stun.MethodRefresh, seconds(600)), 437)
	}
	eventually(t, "none is left", func() bool { return s.Stats().Allocations == 0 })
	if n := len(s.revoked.allocations); n != 0 {
		t.Errorf("%d members are still known", n)
	}
}

func TestRevocationsAreRememberedAsLongAsCredentialsLast(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := newRevocations(time.Hour)
	cat := user{"cat", true}
	r.revoke("cat", now)
	if !r.includes(cat, now.Add(time.Hour-1)) || r.includes(cat, now.Add(time.Hour)) || r.includes(user{name: "cat"}, now) {
		t.Error("cat is revoked for an hour, and no static user is")
	}
	r.remember(2 * time.Hour)
	r.remember(time.Minute) // older credentials last longer
	r.revoke("dog", now)
	if !r.includes(user{"dog", true}, now.Add(2*time.Hour-1)) {
		t.Error("dog is revoked for two hours")
	}
	// When there are too many, the first goes, and is counted.
	for n := range maxRevoked {
		r.revoke(fmt.Sprint(n), now)
	}
	if r.includes(cat, now) || !r.includes(user{"0", true}, now) || r.forgottenEarly() != 2 || len(r.until) != maxRevoked || len(r.order) != maxRevoked {
		t.Errorf("%d remembered, %d forgotten", len(r.until), r.forgottenEarly())
	}
	// What is over makes room without being counted.
	r.revoke("last", now.Add(3*time.Hour))
	if len(r.until) != 1 || len(r.order) != 1 || r.forgottenEarly() != 2 {
		t.Errorf("%d remembered, %d forgotten", len(r.until), r.forgottenEarly())
	}
	r.revoke("last", now.Add(4*time.Hour))
	if len(r.order) != 1 || !r.includes(user{"last", true}, now.Add(5*time.Hour)) {
		t.Error("revoked again, it is remembered longer")
	}
}

func TestADrainingServerNamesAnother(t *testing.T) {
	cfg := testConfig()
	alternate := netip.MustParseAddrPort("192.0.2.7:3479")
	cfg.AlternateServer = []netip.AddrPort{alternate, netip.MustParseAddrPort("[2001:db8::7]:3478")}
	s := serve(t, cfg, Options{})
	a, b := pair(t, s)
	c := dial(t, s, "ann", "pass")
	c.allocate()
	s.Drain()
	stranger := dial(t, s, "", "")
	stranger.want(stranger.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest), wantUDP), 401)
	next := dial(t, s, "ann", "pass")
	answer := next.do(stun.MethodAllocate, wantUDP)
	next.want(answer, 300)
	var named stun.AlternateServer
	if err := named.GetFrom(answer); err != nil || !named.IP.Equal(net.IP(alternate.Addr().AsSlice())) || named.Port != int(alternate.Port()) {
		t.Errorf("ALTERNATE-SERVER is %v, %v", named, err)
	}
	// What there is goes on.
	talk(t, a, b)
	permitEachOther(t, a, b)
	c.want(c.do(stun.MethodRefresh, seconds(600)), 0)
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(netip.MustParseAddrPort("8.8.8.8:53"))), 0)
	c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
	c.want(c.do(stun.MethodAllocate, wantUDP), 300)
	// Without a server of the client's family, there is none to name.
	cfg.AlternateServer = cfg.AlternateServer[1:]
	s.Reload(cfg)
	c.want(c.do(stun.MethodAllocate, wantUDP), 508)
}
