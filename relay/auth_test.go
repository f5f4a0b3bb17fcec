package relay

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// passwordOf is what Mint gives a username of the usual form.
func passwordOf(username string) string {
	mac := hmac.New(sha1.New, []byte(testSecret))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestWhoMayAllocate(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	cfg := testConfig()
	cfg.StaticAuthSecretPrevious = "the previous secret"
	s := serve(t, cfg, Options{Now: func() time.Time { return now }})
	minted := func(secret config.Secret, member string, expires time.Time) [2]string {
		name, password := Mint(secret, member, expires)
		return [2]string{name, password}
	}
	own := s.Credential("cat")
	soon := now.Add(time.Minute)
	bare := fmt.Sprint(soon.Unix())
	for _, row := range []struct {
		name string
		cred [2]string
		want int
	}{
		{"static user", [2]string{"ann", "pass"}, 0},
		{"our own credential", [2]string{own.Username, own.Password}, 0},
		{"minted elsewhere with our secret", minted(testSecret, "cat", soon), 0},
		{"bare expiry", [2]string{bare, passwordOf(bare)}, 0},
		{"previous secret", minted("the previous secret", "cat", soon), 0},
		{"29 days ahead", minted(testSecret, "cat", now.Add(29*24*time.Hour)), 0},
		{"31 days ahead", minted(testSecret, "cat", now.Add(31*24*time.Hour)), 401},
		{"wrong password", [2]string{"ann", "word"}, 401},
		{"no password", [2]string{"ann", ""}, 401},
		{"unknown user", [2]string{"eve", "pass"}, 401},
		{"foreign secret", minted("guess", "cat", soon), 401},
		{"expired this second", minted(testSecret, "cat", now), 401},
		{"expired", minted(testSecret, "cat", now.Add(-time.Hour)), 401},
		{"expiry that overflows", [2]string{"99999999999999999999:cat", "x"}, 401},
		{"negative expiry", minted(testSecret, "cat", time.Unix(-5, 0)), 401},
		{"signed expiry", [2]string{"+" + own.Username, passwordOf("+" + own.Username)}, 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dial(t, s, row.cred[0], row.cred[1])
			answer := c.do(stun.MethodAllocate, wantUDP)
			c.want(answer, row.want)
			if row.want == 401 && !(answer.Contains(stun.AttrNonce) && answer.Contains(stun.AttrRealm)) {
				t.Error("a 401 needs REALM and NONCE")
			}
		})
	}
}

func TestRunningCallOutlivesItsCredential(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	s := serve(t, testConfig(), Options{Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
	cred := s.Credential("ann")
	c := dial(t, s, cred.Username, cred.Password)
	at := c.allocate()
	other := dial(t, s, "bob", "word")
	otherAt := other.allocate()
	other.want(other.do(methodCreatePermission, toPeer(at)), 0)

	clock.Add(int64(2 * time.Hour / time.Second))
	late := dial(t, s, cred.Username, cred.Password)
	late.want(late.do(stun.MethodAllocate, wantUDP), 401)
	c.want(c.do(stun.MethodRefresh, seconds(900)), 0)
	c.want(c.do(methodCreatePermission, toPeer(otherAt)), 0)
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(otherAt)), 0)
	c.channelData(0x4000, "still here")
	if got := other.read(time.Now().Add(patience)); len(got) == 0 {
		t.Error("media stopped at the expiry of the credential")
	}
	c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
	c.want(c.do(stun.MethodAllocate, wantUDP), 401)
}

func TestAllocationBelongsToItsUser(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	first, fresh := s.Credential("cat"), Credential{}
	fresh.Username, fresh.Password = Mint(testSecret, "cat", time.Now().Add(time.Minute))
	c := dial(t, s, first.Username, first.Password)
	at := c.allocate()

	thief := *c
	thief.user, thief.key = "ann", stun.NewLongTermIntegrity("ann", testRealm, "pass")
	thief.want(thief.do(stun.MethodRefresh, seconds(0)), 441)
	thief.want(thief.do(methodCreatePermission, toPeer(at)), 441)
	thief.want(thief.do(methodChannelBind, channelNumber(0x4000), toPeer(at)), 441)
	thief.want(thief.do(stun.MethodAllocate, wantUDP), 437)

	// The same member with a newer credential is the same user.
	c.user, c.key = fresh.Username, stun.NewLongTermIntegrity(fresh.Username, testRealm, fresh.Password)
	c.want(c.do(stun.MethodRefresh, seconds(700)), 0)
}

func TestRequestsWithoutAllocation(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	peer := toPeer(netip.MustParseAddrPort("8.8.8.8:53"))
	c.want(c.do(stun.MethodRefresh, seconds(600)), 437)
	c.want(c.do(methodCreatePermission, peer), 437)
	c.want(c.do(methodChannelBind, channelNumber(0x4000), peer), 437)
}

func TestBindingTellsTheAddress(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "", "")
	answer := c.ask(stun.BindingRequest, stun.Fingerprint)
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(answer); err != nil {
		t.Fatal(err)
	}
	if got, want := (&net.UDPAddr{IP: mapped.IP, Port: mapped.Port}).String(), c.conn.LocalAddr().String(); got != want {
		t.Errorf("XOR-MAPPED-ADDRESS is %s, want %s", got, want)
	}
	c.want(c.ask(stun.BindingRequest, raw(0x0003, 0, 0, 0, 6)), 420)
}
