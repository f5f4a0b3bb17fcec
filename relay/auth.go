package relay

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/duetcall/duet/config"
)

// minHorizon is how far ahead of now a time-limited credential may always
// expire; a longer credential_ttl raises it. What lies beyond is a mistake (a
// time in milliseconds, say) or a leaked secret made permanent.
const minHorizon = 30 * 24 * time.Hour

// user is who an allocation belongs to. All credentials of one member are one user.
type user struct {
	name   string
	minted bool // by a shared secret; a static user may have the same name
}

// grant is a credential that a request proved to know.
type grant struct {
	user    user
	key     []byte // of MESSAGE-INTEGRITY (RFC 8489 section 9.2.2)
	expires time.Time
}

// authenticator knows every credential. It is immutable.
type authenticator struct {
	realm   string
	static  map[string][]byte // key by username
	secrets []config.Secret   // of time-limited credentials, current first
	horizon time.Duration
	// nobody's key is checked for unknown users, so that they take the same time.
	nobody []byte
}

func newAuthenticator(cfg config.Turn) *authenticator {
	a := &authenticator{
		realm:   cfg.Realm,
		static:  make(map[string][]byte, len(cfg.Users)),
		horizon: max(minHorizon, cfg.CredentialTTL.Std()),
		nobody:  make([]byte, md5.Size),
	}
	rand.Read(a.nobody)
	for name, password := range cfg.Users {
		a.static[name] = longTermKey(name, cfg.Realm, password.Reveal())
	}
	for _, secret := range []config.Secret{cfg.StaticAuthSecret, cfg.StaticAuthSecretPrevious} {
		if secret != "" {
			a.secrets = append(a.secrets, secret)
		}
	}
	return a
}

// authenticate finds the credential that the request was signed with. It does
// not look at the clock: expiry concerns new allocations only.
func (a *authenticator) authenticate(r *request) (grant, bool) {
	name := string(r.username)
	if key, ok := a.static[name]; ok {
		return grant{user: user{name: name}, key: key}, r.signedWith(key)
	}
	if member, expires, ok := parseMinted(name); ok {
		for _, secret := range a.secrets {
			key := longTermKey(name, a.realm, mintedPassword(secret, name))
			if r.signedWith(key) {
				return grant{user{member, true}, key, expires}, true
			}
		}
	}
	r.signedWith(a.nobody)
	return grant{}, false
}

// opens reports whether the credential may open an allocation now.
func (a *authenticator) opens(g grant, now time.Time) Refusal {
	switch {
	case g.expires.IsZero():
		return accepted
	case !now.Before(g.expires):
		return RefusedExpired
	case g.expires.After(now.Add(a.horizon)):
		return RefusedTooFar
	default:
		return accepted
	}
}

// signedWith compares MESSAGE-INTEGRITY in constant time.
func (r *request) signedWith(key []byte) bool {
	return hmac.Equal(integrity(r.signed, key), r.mac)
}

// longTermKey is MD5(username ":" realm ":" password), RFC 8489 section 9.2.2.
func longTermKey(username, realm, password string) []byte {
	key := md5.Sum(fmt.Appendf(nil, "%s:%s:%s", username, realm, password))
	return key[:]
}
