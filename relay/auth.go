package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
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
	realm  string
	users  map[string]config.Secret // what the accounts are made of
	static map[string]*account
	hashed map[[sha256.Size]byte]*account // by USERHASH
	// secrets are those of time-limited credentials, the current one first.
	secrets []config.Secret
	keys    [][]byte // the secrets, for hasher
	horizon time.Duration
	// nobody's key is checked for unknown users, so that they take the same time.
	nobody []byte
	// offersSHA256: every user has a key for it. A client that knows it takes it
	// when it is offered, and could not log in as a user of whom only the MD5 key
	// is configured.
	offersSHA256 bool
}

// horizon is how far ahead of now a time-limited credential may expire.
func horizon(cfg config.Turn) time.Duration { return max(minHorizon, cfg.CredentialTTL.Std()) }

// newAuthenticator knows the users of cfg, and the secrets, none of which is empty.
func newAuthenticator(cfg config.Turn, secrets []config.Secret) *authenticator {
	a := &authenticator{
		realm:        cfg.Realm,
		users:        maps.Clone(cfg.Users),
		secrets:      secrets,
		static:       make(map[string]*account, len(cfg.Users)),
		hashed:       make(map[[sha256.Size]byte]*account, len(cfg.Users)),
		horizon:      horizon(cfg),
		nobody:       make([]byte, sha256.Size),
		offersSHA256: true,
	}
	rand.Read(a.nobody)
	for name, password := range cfg.Users {
		account := newAccount(name, cfg.Realm, password.Reveal())
		a.static[name] = account
		a.hashed[sha256.Sum256([]byte(name+":"+cfg.Realm))] = account
		a.offersSHA256 = a.offersSHA256 && account.sha256 != nil
	}
	for _, secret := range secrets {
		a.keys = append(a.keys, macKey(secret.Reveal()))
	}
	return a
}

// authenticate checks the pending request as RFC 8489 section 9.2.4 wants it, in
// its order but for the nonce: whether it is ours is looked at first, which keeps the
// costlier checks for clients that are where they say they are. It does not look at
// the expiry of the credential, which concerns new allocations only. A request that
// goes unanswered has a drop.
func (s *shard) authenticate() (Refusal, Drop) {
	p, server := &s.pending, s.server
	if p.mac == nil {
		return RefusedUnsigned, kept
	}
	if len(p.username) == 0 && len(p.userhash) == 0 || len(p.realm) == 0 || len(p.nonce) == 0 {
		return RefusedMalformed, kept
	}
	state := p.settings.nonces.check(p.nonce, &p.hash, p.client, server.now())
	if control, ok := s.controlOf(&p.request); ok && state == nonceForeign {
		state = p.settings.nonces.check(p.nonce, &p.hash, control, server.now())
	}
	if state == nonceForeign {
		return RefusedNonce, kept
	}
	chosen, ok := p.settings.auth.algorithm(&p.request)
	if !ok {
		return RefusedMalformed, kept
	}
	drop := s.prove(chosen)
	switch {
	case drop != kept:
		return accepted, drop
	case !p.proved:
		return RefusedCredential, kept
	case state == nonceStale:
		return RefusedStaleNonce, kept
	}
	return accepted, kept
}

// algorithm returns the one that the client has chosen, MD5 if it knows of no choice.
// If somebody on the way has changed the offer, what the client repeats of it is not
// what the nonce stands for (RFC 8489 section 9.2.4). The nonce is known to be ours.
func (a *authenticator) algorithm(r *request) (algorithm, bool) {
	if r.algorithm == nil && r.algorithms == nil {
		return algorithmMD5, true
	}
	if !a.offersSHA256 || r.algorithm == nil || !bytes.Equal(r.algorithms, algorithmOffer) {
		return 0, false
	}
	// Neither algorithm has parameters (section 18.5.1).
	chosen := algorithm(binary.BigEndian.Uint16(r.algorithm))
	return chosen, len(r.algorithm) == 4 && binary.BigEndian.Uint16(r.algorithm[2:]) == 0 &&
		(chosen == algorithmMD5 || chosen == algorithmSHA256)
}

// prove finds out whether the pending request is signed with the key of the user it
// names. Failures are limited.
func (s *shard) prove(chosen algorithm) Drop {
	p, source := &s.pending, s.pending.client.Addr()
	stranger := p.allocation == nil
	if stranger {
		if drop := p.settings.limits.answer(p.settings.limits.proofs, source, p.began); drop != kept {
			return drop
		}
	}
	p.auth = p.settings.auth
	p.proved = p.auth.prove(p, chosen)
	if !p.proved && !stranger {
		// A running call outlives a change of its password, and of its user.
		p.auth = p.allocation.auth
		p.proved = p.auth != p.settings.auth && p.auth.prove(p, chosen)
	}
	if stranger && p.proved {
		p.settings.limits.proofs.Give(source)
		p.settings.limits.work.Give(source)
	}
	return kept
}

// prove finds the credential that the request was signed with. For a user that does
// not exist it does what it does for a wrong password.
func (a *authenticator) prove(e *exchange, chosen algorithm) bool {
	known := a.static[string(e.username)]
	if len(e.userhash) > 0 {
		known = a.hashed[[sha256.Size]byte(e.userhash)]
	}
	if known != nil {
		key := known.md5
		if chosen == algorithmSHA256 {
			key = known.sha256
		}
		if key == nil { // offered by newer settings than those that know this user
			key = a.nobody
		}
		if !e.signedWith(key) {
			return false
		}
		e.grant = grant{user: user{name: known.name}, key: key}
		return true
	}
	if member, expires, ok := parseMinted(e.username); ok {
		for _, secret := range a.keys {
			var password [32]byte
			key := e.hash.longTermKey(e.keys[:0], chosen, e.username, a.realm,
				e.hash.mintedPassword(password[:0], secret, e.username))
			if e.signedWith(key) {
				e.grant = grant{user{string(member), true}, key, expires}
				return true
			}
		}
		return false
	}
	e.signedWith(a.nobody)
	return false
}

// signedWith checks the integrity of the request.
func (e *exchange) signedWith(key []byte) bool {
	return e.hash.fits(e.mac, e.signed, key, e.long)
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
