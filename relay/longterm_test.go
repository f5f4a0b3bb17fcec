package relay

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// The long-term credential mechanism of RFC 8489 section 9.2.4, rule by rule.

func TestChallengeOffersWhatTheRFCAsksFor(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	for _, method := range []stun.Method{stun.MethodAllocate, stun.MethodRefresh, methodCreatePermission, methodChannelBind} {
		c := dial(t, s, "", "")
		answer := c.ask(stun.NewType(method, stun.ClassRequest), wantUDP)
		c.want(answer, 401)
		for kind, want := range map[stun.AttrType]string{
			stun.AttrRealm: testRealm, stun.AttrNonce: "obMatJos2AAAB", attrPasswordAlgorithms: string(algorithmOffer),
		} {
			if value, err := answer.Get(kind); err != nil || !bytes.HasPrefix(value, []byte(want)) {
				t.Errorf("%s: %s is %q, want %q", method, kind, value, want)
			}
		}
		if len(answer.Attributes) != 4 {
			t.Errorf("%s: %s", method, answer.Attributes)
		}
	}
}

// signature is how a request tries to authenticate; the zero value is ann with her password.
type signature struct {
	user, password string
	without        stun.AttrType // this attribute is left out
	hash           bool          // USERHASH
	chosen         algorithm     // PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS
	extra          []stun.Setter
	long           int // size of MESSAGE-INTEGRITY-SHA256
	both           bool
}

func (c *wireClient) try(method stun.Method, sig signature) *stun.Message {
	c.t.Helper()
	return c.ask(sig.setters(c, method)...)
}

func (sig signature) key() []byte {
	text := fmt.Appendf(nil, "%s:%s:%s", sig.user, testRealm, sig.password)
	if sig.chosen == algorithmSHA256 {
		sum := sha256.Sum256(text)
		return sum[:]
	}
	sum := md5.Sum(text)
	return sum[:]
}

func (sig signature) setters(c *wireClient, method stun.Method) []stun.Setter {
	setters := []stun.Setter{stun.NewType(method, stun.ClassRequest), wantUDP}
	add := func(kind stun.AttrType, value []byte) {
		if kind != sig.without {
			setters = append(setters, raw(kind, value...))
		}
	}
	if sig.hash {
		sum := sha256.Sum256([]byte(sig.user + ":" + testRealm))
		add(attrUserhash, sum[:])
	} else {
		add(stun.AttrUsername, []byte(sig.user))
	}
	add(stun.AttrRealm, []byte(testRealm))
	add(stun.AttrNonce, c.nonce)
	if sig.chosen != 0 {
		add(attrPasswordAlgorithm, []byte{0, byte(sig.chosen), 0, 0})
		add(attrPasswordAlgorithms, algorithmOffer)
	}
	setters = append(setters, sig.extra...)
	if sig.long == 0 || sig.both {
		setters = append(setters, stun.MessageIntegrity(sig.key()))
	}
	if sig.long > 0 {
		setters = append(setters, integritySHA256{sig.key(), sig.long})
	}
	return setters
}

func TestLongTermCredentials(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	minted := s.Credential("cat")
	ann := signature{user: "ann", password: "pass"}
	with := func(change func(*signature)) signature {
		sig := ann
		change(&sig)
		return sig
	}
	for _, row := range []struct {
		name string
		sig  signature
		want int
	}{
		{"as ever", ann, 0},
		{"without USERNAME", with(func(s *signature) { s.without = stun.AttrUsername }), 400},
		{"without REALM", with(func(s *signature) { s.without = stun.AttrRealm }), 400},
		{"without NONCE", with(func(s *signature) { s.without = stun.AttrNonce }), 400},
		{"wrong password", with(func(s *signature) { s.password = "word" }), 401},
		{"unknown user", with(func(s *signature) { s.user = "eve" }), 401},
		{"SHA-256 key", with(func(s *signature) { s.chosen, s.long = algorithmSHA256, 32 }), 0},
		{"SHA-256 key of a time-limited credential", with(func(s *signature) {
			s.user, s.password, s.chosen, s.long = minted.Username, minted.Password, algorithmSHA256, 32
		}), 0},
		{"SHA-256 key, wrong password", with(func(s *signature) { s.password, s.chosen, s.long = "word", algorithmSHA256, 32 }), 401},
		{"MD5 key, chosen", with(func(s *signature) { s.chosen, s.long = algorithmMD5, 32 }), 0},
		{"MD5 key, long signature", with(func(s *signature) { s.long = 32 }), 0},
		{"truncated signature", with(func(s *signature) { s.long = 16 }), 0},
		{"both signatures", with(func(s *signature) { s.long, s.both = 32, true }), 0},
		{"an algorithm nobody knows", with(func(s *signature) { s.chosen, s.long = 3, 32 }), 400},
		{"an algorithm without the offer", with(func(s *signature) {
			s.chosen, s.long, s.without = algorithmSHA256, 32, attrPasswordAlgorithms
		}), 400},
		{"the offer without an algorithm", with(func(s *signature) {
			s.chosen, s.long, s.without = algorithmSHA256, 32, attrPasswordAlgorithm
		}), 400},
		{"a weaker offer than ours", with(func(s *signature) {
			s.without, s.chosen, s.long = attrPasswordAlgorithms, algorithmMD5, 32
			s.extra = []stun.Setter{raw(attrPasswordAlgorithms, 0, 1, 0, 0)}
		}), 400},
		{"userhash", with(func(s *signature) { s.hash, s.chosen, s.long = true, algorithmSHA256, 32 }), 0},
		{"userhash of nobody", with(func(s *signature) { s.user, s.hash, s.long = "eve", true, 32 }), 401},
		{"userhash, wrong password", with(func(s *signature) { s.password, s.hash = "word", true }), 401},
	} {
		// Open until the end: another client on its port would meet its allocation.
		c := dial(t, s, row.sig.user, row.sig.password)
		t.Run(row.name, func(t *testing.T) {
			c.t = t
			if err := c.nonce.GetFrom(c.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest))); err != nil {
				t.Fatal(err)
			}
			answer := c.try(stun.MethodAllocate, row.sig)
			if got := code(answer); got != row.want {
				t.Fatalf("got %d, want %d", got, row.want)
			}
			switch {
			case row.want == 400 && (answer.Contains(stun.AttrNonce) || answer.Contains(stun.AttrRealm)):
				t.Error("a 400 has neither REALM nor NONCE")
			case row.want == 401 && (!answer.Contains(stun.AttrNonce) || !answer.Contains(stun.AttrRealm)):
				t.Error("a 401 has REALM and NONCE")
			case row.want == 0 && row.sig.long > 0:
				integritySHA256{row.sig.key(), 32}.check(t, answer)
			case row.want == 0:
				if err := stun.MessageIntegrity(row.sig.key()).Check(answer); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestStrongerSignatureOfTwoCounts(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	c.do(stun.MethodRefresh) // for the nonce
	good := signature{user: "ann", password: "pass"}
	setters := append(good.setters(c, stun.MethodAllocate), integritySHA256{[]byte("guessed"), 32})
	c.want(c.ask(setters...), 401)
}

func TestNonceOfAnotherClientIsNoGood(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	first, second := dial(t, s, "ann", "pass"), dial(t, s, "ann", "pass")
	first.do(stun.MethodRefresh)
	request := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, first.signed(stun.MethodAllocate, wantUDP)...)...)
	answer := second.exchange(request) // the same bytes, from another port
	second.want(answer, 438)
	if err := second.nonce.GetFrom(answer); err != nil || bytes.Equal(second.nonce, first.nonce) {
		t.Fatalf("no nonce of its own: %v", err)
	}
	second.allocate()
	second.nonce = stun.NewNonce("made up")
	second.want(second.ask(second.signed(stun.MethodRefresh)...), 438)
	if stats := s.Stats(); stats.Refused[RefusedNonce] != 2 || stats.Allocations != 1 {
		t.Errorf("%d refused for their nonce, %d allocations", stats.Refused[RefusedNonce], stats.Allocations)
	}
}

func TestStaleNonceIsAnswered438(t *testing.T) {
	var clock atomic.Int64
	clock.Store(1_800_000_000)
	s := serve(t, testConfig(), Options{Now: func() time.Time { return time.Unix(clock.Load(), 0) }})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	clock.Add(599)
	c.want(c.ask(c.signed(stun.MethodRefresh)...), 0)
	clock.Add(1)
	answer := c.ask(c.signed(stun.MethodRefresh)...)
	c.want(answer, 438)
	if !answer.Contains(attrPasswordAlgorithms) || !answer.Contains(stun.AttrRealm) {
		t.Error("a 438 has REALM and PASSWORD-ALGORITHMS")
	}
	wrong := dial(t, s, "ann", "word")
	wrong.do(stun.MethodRefresh)
	clock.Add(600)
	wrong.want(wrong.ask(wrong.signed(stun.MethodRefresh)...), 401) // not even told that it is stale
	if err := c.nonce.GetFrom(answer); err != nil {
		t.Fatal(err)
	}
	c.want(c.do(stun.MethodRefresh), 0)
}

// Who guesses names learns nothing from the answer.
func TestUnknownUserAndWrongPasswordGetTheSameAnswer(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	var answers [][]byte
	for _, user := range []string{"ann", "eve", s.Credential("ann").Username} {
		c := dial(t, s, user, "guessed")
		c.do(stun.MethodRefresh)
		request := stun.MustBuild(c.signed(stun.MethodAllocate, wantUDP)...) // transaction 0
		answer := c.exchange(request)
		nonce, err := answer.Get(stun.AttrNonce)
		if err != nil {
			t.Fatal(err)
		}
		answer.Raw = answer.Raw[:len(answer.Raw)-8] // FINGERPRINT
		answers = append(answers, bytes.Replace(answer.Raw, nonce, make([]byte, len(nonce)), 1))
	}
	if !slices.EqualFunc(answers[:2], answers[1:], bytes.Equal) {
		t.Errorf("%q", answers)
	}
}

// A user of whom only coturn's key is configured logs in with it, and nobody is
// offered an algorithm for which that user has no key.
func TestUserGivenByKey(t *testing.T) {
	cfg := testConfig()
	key := md5.Sum([]byte("key:" + testRealm + ":secret"))
	cfg.Users["key"] = config.Secret(fmt.Sprintf("0x%x", key))
	cfg.Users["hex"] = "0x1234" // a password like any other
	s := serve(t, cfg, Options{})
	for user, password := range map[string]string{"key": "secret", "hex": "0x1234", "ann": "pass"} {
		c := dial(t, s, user, password)
		challenge := c.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest))
		nonce, _ := challenge.Get(stun.AttrNonce)
		if challenge.Contains(attrPasswordAlgorithms) || !bytes.HasPrefix(nonce, []byte("obMatJos2AAAA")) {
			t.Errorf("SHA-256 is offered, nonce %q", nonce)
		}
		c.allocate()
	}
	c := dial(t, s, "key", fmt.Sprintf("0x%x", key))
	c.want(c.do(stun.MethodAllocate, wantUDP), 401)
}
