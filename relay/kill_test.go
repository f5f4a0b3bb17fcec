package relay

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// Datagrams that crash or wedge TURN servers meet a relay with a call on it. The
// call does not notice.
func TestKillPacketsLeaveTheCallAlone(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	a, b := pair(t, s)
	talk(t, a, b)
	member, stranger := dial(t, s, "ann", "pass"), dial(t, s, "", "")
	at := member.allocate()
	member.want(member.do(methodCreatePermission, toPeer(at)), 0)
	for _, datagram := range []string{
		"0016 000c" + cookieAndID + "0012 0000 0013 0004 61626364", // CVE-2026-54909, Send
		"0008 0004" + cookieAndID + "0012 0000",
		"0009 000c" + cookieAndID + "000c 0004 40000000 0012 0000",
		"0016 0014" + cookieAndID + "0012 0004 00010000 0013 0004 61626364",
		"0016 0014" + cookieAndID + "0012 0008 0002 0000 00000000 0013 0000",
		"0003 ffec" + cookieAndID,
		"0003 05a0" + cookieAndID + "0015 059c" + strings.Repeat("41", 1436),
		"4000 fffc", "4000", "4000 0000", "7fff 0001 00", "00", "",
		"0003 0004" + cookieAndID + "0008 ffff",
		"0003 0018" + cookieAndID + "0008 0014" + strings.Repeat("00", 20),
		"0001 0004" + cookieAndID + "8028 0000",
	} {
		member.write(unhex(datagram))
		stranger.write(unhex(datagram))
	}
	member.want(member.do(methodCreatePermission, raw(stun.AttrXORPeerAddress)), 400)
	member.want(member.do(methodChannelBind, channelNumber(0x4000), raw(stun.AttrXORPeerAddress)), 400)
	member.want(member.do(methodChannelBind, channelNumber(0x3FFF), toPeer(at)), 400)
	member.want(member.do(methodChannelBind, channelNumber(0x8000), toPeer(at)), 400)
	member.want(member.do(stun.MethodAllocate), 400)
	member.want(member.do(stun.MethodAllocate, raw(stun.AttrRequestedTransport, 6, 0, 0, 0)), 442)
	member.want(member.do(stun.MethodAllocate, wantUDP, raw(0x0017, familyIPv6, 0, 0, 0)), 440)
	member.want(member.do(stun.MethodAllocate, wantUDP, raw(0x0017, 9, 0, 0, 0)), 440)
	member.want(member.do(stun.MethodRefresh, raw(0x7777, 1, 2, 3)), 420)
	talk(t, a, b)
	if dropped := s.Stats().Dropped; dropped[DropAttribute] < 10 || dropped[DropLength] < 2 || dropped[DropChannelData] < 2 {
		t.Errorf("dropped: %v", dropped)
	}
}

// Random bytes behind each kind of header, and random changes to good messages.
func TestNoiseLeavesTheCallAlone(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	a, b := pair(t, s)
	c := dial(t, s, "ann", "pass")
	at := c.allocate()
	noise := rand.New(rand.NewPCG(1, 2))
	for range 3_000 {
		var datagram []byte
		switch noise.IntN(3) {
		case 0:
			datagram = make([]byte, noise.IntN(200))
			for i := range datagram {
				datagram[i] = byte(noise.Uint32())
			}
		default:
			method := []stun.Method{1, 3, 4, 8, 9}[noise.IntN(5)]
			m := stun.MustBuild(append([]stun.Setter{stun.TransactionID},
				c.signed(method, toPeer(at), channelNumber(0x4000), seconds(noise.Uint32N(2000)), wantUDP)...)...)
			datagram = m.Raw
			for range noise.IntN(4) {
				datagram[noise.IntN(len(datagram))] ^= 1 << noise.IntN(8)
			}
		}
		c.conn.Write(datagram)
	}
	c.do(stun.MethodRefresh, seconds(600)) // all of it has been served
	talk(t, a, b)
}

func TestShortLifetimesAreRaised(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	for _, row := range []struct{ asked, want uint32 }{
		{0, 600}, {1, 600}, {599, 600}, {600, 600}, {777, 777}, {3600, 3599}, {1 << 31, 3599},
	} {
		c := dial(t, s, "ann", "pass")
		answer := c.do(stun.MethodAllocate, wantUDP, seconds(row.asked))
		c.want(answer, 0)
		if got := lifetimeOf(t, answer); got != row.want {
			t.Errorf("Allocate for %d s got %d, want %d", row.asked, got, row.want)
		}
		if row.asked != 0 {
			if got := lifetimeOf(t, c.do(stun.MethodRefresh, seconds(row.asked))); got != row.want {
				t.Errorf("Refresh for %d s got %d, want %d", row.asked, got, row.want)
			}
		}
	}
}

func lifetimeOf(t *testing.T, answer *stun.Message) uint32 {
	t.Helper()
	value, err := answer.Get(stun.AttrLifetime)
	if err != nil || len(value) != 4 {
		t.Fatal("no LIFETIME")
	}
	return uint32(value[2])<<8 | uint32(value[3])
}

func TestAttributesBehindIntegrityDoNotCount(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	at := c.allocate()
	m := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, stun.NewType(stun.MethodRefresh, stun.ClassRequest),
		stun.NewUsername(c.user), stun.NewRealm(testRealm), c.nonce, c.key, seconds(0))...)
	if got := lifetimeOf(t, c.exchange(m)); got != 600 {
		t.Errorf("LIFETIME %d, want 600", got)
	}
	m = stun.MustBuild(append([]stun.Setter{stun.TransactionID}, stun.NewType(methodCreatePermission, stun.ClassRequest),
		stun.NewUsername(c.user), stun.NewRealm(testRealm), c.nonce, c.key, toPeer(at))...)
	c.want(c.exchange(m), 400)
}

// The engine deletes an allocation by its 5-tuple. It must never be the next one.
func TestRefreshZeroThenAllocateLosesNone(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	other := dial(t, s, "bob", "word")
	peer := other.allocate()
	rounds := 0
	for began := time.Now(); rounds < 5_000 && time.Since(began) < 10*time.Second; rounds++ {
		c.allocate()
		c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
		at := c.allocate()
		// It is there, and relays.
		c.want(c.do(methodCreatePermission, toPeer(peer)), 0)
		other.want(other.do(methodCreatePermission, toPeer(at)), 0)
		c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
		// Permissions of the other pile up by address, of which there is one.
	}
	at := c.allocate()
	other.want(other.do(methodCreatePermission, toPeer(at)), 0)
	other.send(at, "last")
	c.want(c.do(methodCreatePermission, toPeer(peer)), 0)
	c.send(peer, "last")
	if got := other.read(time.Now().Add(patience)); !bytes.Contains(got, []byte("last")) {
		t.Errorf("got %q", got)
	}
	if stats := s.Stats(); stats.Allocations != 2 || stats.AllocationsTotal != uint64(2*rounds+2) {
		t.Errorf("%d allocations now, %d in all", stats.Allocations, stats.AllocationsTotal)
	}
}

// A request that meets the expiry of its allocation is answered 437, and does
// not reach the engine, whose timer may be firing.
func TestRequestsKeepAwayFromExpiry(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	a := s.shards[0].find(addrPort(c.conn.LocalAddr()))
	peer := toPeer(netip.MustParseAddrPort("8.8.8.8:53"))
	c.want(c.do(methodCreatePermission, peer), 0)
	a.deadline.Store(time.Now().Add(expiryMargin / 2).UnixNano())
	c.want(c.do(methodCreatePermission, peer), 437)
	c.want(c.do(methodChannelBind, channelNumber(0x4000), peer), 437)
	c.want(c.do(stun.MethodRefresh, seconds(600)), 437)
}
