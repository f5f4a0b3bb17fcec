package relay

import (
	"crypto/md5"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// A running allocation goes on under the credential that it was made with; a new one
// needs a credential of today.
func TestAllocationsOutliveTheirUserAndItsPassword(t *testing.T) {
	cfg := testConfig()
	key := md5.Sum([]byte("key:" + testRealm + ":secret"))
	cfg.Users = map[string]config.Secret{"ann": "pass", "bob": "word", "key": config.Secret(fmt.Sprintf("0x%x", key))}
	s := serve(t, cfg, Options{})
	minted := s.Credential("cat")
	running := map[string]*wireClient{
		"ann": dial(t, s, "ann", "pass"), "bob": dial(t, s, "bob", "word"),
		"key": dial(t, s, "key", "secret"), "cat": dial(t, s, minted.Username, minted.Password),
	}
	for _, c := range running {
		c.allocate()
	}
	cfg.Users = map[string]config.Secret{"ann": "new pass", "dan": "hello"} // bob and key are gone
	cfg.StaticAuthSecret = "another secret"
	s.Reload(cfg)
	peer := toPeer(netip.MustParseAddrPort("8.8.8.8:53"))
	for name, c := range running {
		t.Run(name, func(t *testing.T) {
			c.want(c.do(stun.MethodRefresh, seconds(600)), 0)
			c.want(c.do(methodCreatePermission, peer), 0)
			c.want(c.do(methodChannelBind, channelNumber(0x4000), peer), 0)
			again := dial(t, s, c.user, c.password)
			again.want(again.do(stun.MethodAllocate, wantUDP), 401)
			// The allocation of one is not opened by the old password of another.
			thief := *c
			thief.user, thief.password = "bob", "word"
			thief.key = stun.NewLongTermIntegrity("bob", testRealm, "word")
			if c.user != "bob" {
				thief.want(thief.do(stun.MethodRefresh, seconds(0)), 441)
			}
		})
	}
	dial(t, s, "dan", "hello").allocate()
	dial(t, s, "ann", "new pass").allocate()
	// The new password does as well on what the old one has opened.
	ann := running["ann"]
	ann.password, ann.key = "new pass", stun.NewLongTermIntegrity("ann", testRealm, "new pass")
	ann.want(ann.do(stun.MethodRefresh, seconds(0)), 0)
	ann.password, ann.key = "pass", stun.NewLongTermIntegrity("ann", testRealm, "pass")
	ann.want(ann.do(stun.MethodAllocate, wantUDP), 401)
}

// A user of whom the MD5 key alone is known is not opened by an empty SHA-256 key, though
// SHA-256 is offered since that user has gone.
func TestAnOfferSinceAReloadOpensNobody(t *testing.T) {
	cfg := testConfig()
	key := md5.Sum([]byte("key:" + testRealm + ":secret"))
	cfg.Users = users("key", config.Secret(fmt.Sprintf("0x%x", key)))
	s := serve(t, cfg, Options{})
	c := dial(t, s, "key", "secret")
	c.allocate()
	cfg.Users = users("ann", "pass")
	s.Reload(cfg)
	c.want(c.do(stun.MethodRefresh), 0) // with a new nonce
	sig := signature{user: "key", chosen: algorithmSHA256}
	setters := slices.DeleteFunc(sig.setters(c, stun.MethodRefresh), func(setter stun.Setter) bool {
		_, signs := setter.(stun.MessageIntegrity)
		return signs
	})
	c.want(c.ask(append(setters, integritySHA256{nil, 32})...), 401)
	c.want(c.do(stun.MethodRefresh), 0)
}

func TestSecretsRotateByReload(t *testing.T) {
	cfg := testConfig()
	s := serve(t, cfg, Options{})
	before := s.Credential("cat")
	cfg.StaticAuthSecret, cfg.StaticAuthSecretPrevious = "the next secret", cfg.StaticAuthSecret
	s.Reload(cfg)
	after := s.Credential("cat")
	if _, want := Mint("the next secret", "cat", after.Expires); after.Password != want {
		t.Error("credentials are not of the new secret")
	}
	dial(t, s, before.Username, before.Password).allocate()
	dial(t, s, after.Username, after.Password).allocate()
	cfg.StaticAuthSecretPrevious = ""
	s.Reload(cfg)
	old := dial(t, s, before.Username, before.Password)
	old.want(old.do(stun.MethodAllocate, wantUDP), 401)
	dial(t, s, after.Username, after.Password).allocate()
}

func TestASecretOfOurOwnMakingSurvivesReloads(t *testing.T) {
	cfg := testConfig()
	cfg.StaticAuthSecret = ""
	s := serve(t, cfg, Options{})
	cred := s.Credential("cat")
	works := func(when string) {
		t.Helper()
		c := dial(t, s, cred.Username, cred.Password)
		if got := code(c.do(stun.MethodAllocate, wantUDP)); got != 0 {
			t.Errorf("%s: %d", when, got)
		}
	}
	cfg.UserQuota = 9
	s.Reload(cfg)
	works("after a reload without a secret")
	if got := s.Credential("cat"); got.Password != cred.Password && got.Username == cred.Username {
		t.Error("another secret was made")
	}
	cfg.StaticAuthSecret = "now there is one"
	s.Reload(cfg)
	works("after a reload with one")
	cfg.StaticAuthSecret = ""
	s.Reload(cfg)
	works("after it was taken out again")
}

// A peer that is denied from now on is cut off from running calls, both ways, whatever
// permissions and channels they hold.
func TestANewPolicyHoldsForEachPacketOfRunningCalls(t *testing.T) {
	cfg := testConfig()
	loopback := []config.IPRange{{First: mustAddr("127.0.0.0"), Last: mustAddr("127.255.255.255")}}
	cfg.AllowedPeerIP = loopback
	s := serve(t, cfg, Options{})
	c := dial(t, s, "ann", "pass")
	relayed := c.allocate()
	peer := listenUDP(t, ownLoopback())
	at := addrPort(peer.LocalAddr())
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(at)), 0)
	arrives := func(want string) {
		t.Helper()
		buf := make([]byte, 2048)
		peer.SetReadDeadline(time.Now().Add(patience))
		n, _, err := peer.ReadFromUDPAddrPort(buf)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("the peer got %q, %v, want %q", buf[:n], err, want)
		}
	}
	c.channelData(0x4000, "before")
	arrives("before")
	peer.WriteToUDPAddrPort([]byte("back"), relayed)
	if got := c.read(time.Now().Add(patience)); string(got) != "\x40\x00\x00\x04back" {
		t.Fatalf("the client got %q", got)
	}

	cfg.AllowedPeerIP = nil
	s.Reload(cfg)
	c.channelData(0x4000, "denied")
	peer.WriteToUDPAddrPort([]byte("denied"), relayed)
	eventually(t, "both are dropped", func() bool { return s.Stats().Dropped[DropPeer] == 2 })
	c.want(c.do(methodCreatePermission, toPeer(at)), 403)

	cfg.AllowedPeerIP = loopback
	s.Reload(cfg)
	c.channelData(0x4000, "after")
	arrives("after")
	if late := c.read(time.Now().Add(10 * time.Millisecond)); late != nil {
		t.Errorf("the client got %q", late)
	}
}

// Limits that become smaller take nothing away from an allocation that has more: what
// it holds, it may refresh.
func TestSmallerLimitsLeaveRunningCallsWhatTheyHave(t *testing.T) {
	cfg := testConfig()
	s := serve(t, cfg, Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	peer := func(n int) toPeer {
		return toPeer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 8, byte(n)}), 53))
	}
	for n := range 3 {
		c.want(c.do(methodChannelBind, channelNumber(uint16(0x4000+n)), peer(n)), 0)
	}
	cfg.MaxPermissions, cfg.MaxChannels, cfg.UserQuota, cfg.TotalQuota = 1, 1, 1, 1
	cfg.MaxAllocateLifetime = config.Duration(10 * time.Minute)
	s.Reload(cfg)
	for n := range 3 {
		c.want(c.do(methodChannelBind, channelNumber(uint16(0x4000+n)), peer(n)), 0)
		c.want(c.do(methodCreatePermission, peer(n)), 0)
	}
	c.want(c.do(methodChannelBind, channelNumber(0x4003), peer(3)), 508)
	c.want(c.do(methodCreatePermission, peer(3)), 508)
	answer := c.do(stun.MethodRefresh, seconds(3600))
	c.want(answer, 0)
	if got := lifetimeOf(t, answer); got != 600 {
		t.Errorf("LIFETIME %d, want 600", got)
	}
	again := dial(t, s, "ann", "pass")
	again.want(again.do(stun.MethodAllocate, wantUDP), 486)
	cfg.UserQuota, cfg.TotalQuota = 2, 2
	s.Reload(cfg)
	again.allocate()
}

// What clients hold stays good: a reload asks nobody to authenticate anew.
func TestAReloadKeepsNonces(t *testing.T) {
	cfg := testConfig()
	s := serve(t, cfg, Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	cfg.Users["eve"] = "new"
	cfg.StaleNonce = config.Duration(5 * time.Minute)
	s.Reload(cfg)
	c.want(c.ask(c.signed(stun.MethodRefresh)...), 0)
}

// max_bps is an allocation's own, bps_capacity everybody's.
func TestBandwidthLimitsFollowAReload(t *testing.T) {
	cfg := testConfig()
	s := serve(t, cfg, Options{})
	a, b := pair(t, s)
	talk(t, a, b)
	cfg.MaxBytesPerSecond = 1
	s.Reload(cfg)
	talk(t, a, b)
	if n := s.Stats().Dropped[DropMaxBPS]; n != 0 {
		t.Errorf("%d packets of a running call met the new max_bps", n)
	}
	cfg.MaxBytesPerSecond, cfg.TotalBytesPerSecond = 0, 1
	s.Reload(cfg)
	eventually(t, "bps_capacity holds", func() bool {
		_, _ = a.WriteTo([]byte("more than a byte a second"), b.LocalAddr())
		return s.Stats().Dropped[DropCapacity] > 0
	})
}

// A call goes on while the settings change under it all the time.
func TestACallLosesNothingToReloads(t *testing.T) {
	cfg := testConfig()
	s := serve(t, cfg, Options{})
	a, b := pair(t, s)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			next := cfg
			next.Users = users("ann", config.Secret(fmt.Sprint("password ", n)))
			next.StaticAuthSecret = config.Secret(fmt.Sprint("secret ", n))
			next.MaxPermissions, next.UserQuota, next.ErrorRate = 1+n%9, 1+n%3, n%5
			s.Reload(next)
		}
	}()
	for range 20 {
		talk(t, a, b)
		permitEachOther(t, a, b)
	}
	close(stop)
	<-stopped
}
