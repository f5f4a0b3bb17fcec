package relay

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"
)

// A nonce starts with the cookie and the security features of RFC 8489 section
// 9.2. Bits are counted from the right (erratum 6290): bit 0, password algorithms,
// is the last of the 24. Bit 1, username anonymity, is never set: of the hash of a
// time-limited username nobody can find the username.
const (
	nonceCookie     = "obMatJos2"
	plainFeatures   = "AAAA"
	offersAlgorithm = "AAAB"

	nonceStamp = 4 // seconds since 1970
	nonceMAC   = 7
	nonceSize  = len(nonceCookie) + len(plainFeatures) + (8*(nonceStamp+nonceMAC)+5)/6
)

// nonces are stateless: the time of issue, and a MAC over it, the features and the
// client's address. So no stranger costs memory, no nonce serves another client, and
// nobody on the way can take the stronger algorithm out of the offer unnoticed. It
// is immutable, and the key is that of the process.
type nonces struct {
	key      []byte
	lifetime time.Duration
	features string
}

func newNonces(lifetime time.Duration, offersSHA256 bool) *nonces {
	n := &nonces{key: make([]byte, 32)}
	rand.Read(n.key)
	return n.with(lifetime, offersSHA256)
}

// with makes nonces of the same key, so that those in use stay good, unless the offer
// of algorithms in them has changed.
func (n *nonces) with(lifetime time.Duration, offersSHA256 bool) *nonces {
	next := &nonces{key: n.key, lifetime: lifetime, features: plainFeatures}
	if offersSHA256 {
		next.features = offersAlgorithm
	}
	return next
}

// nonceState is what check finds.
type nonceState uint8

const (
	nonceForeign nonceState = iota // not ours, or another client's
	nonceStale
	nonceFresh
)

// issue appends a nonce for the client to dst.
func (n *nonces) issue(dst []byte, h *hasher, client netip.AddrPort, now time.Time) []byte {
	return n.write(dst, h, client, uint32(now.Unix()))
}

// check says whether a nonce is one that issue has made for the client, and still good.
// A clock that was set back makes nonces stale, not good for ever.
func (n *nonces) check(nonce []byte, h *hasher, client netip.AddrPort, now time.Time) nonceState {
	if len(nonce) != nonceSize {
		return nonceForeign
	}
	var raw [nonceStamp + nonceMAC]byte
	if _, err := base64.RawStdEncoding.Decode(raw[:], nonce[len(nonceCookie)+len(plainFeatures):]); err != nil {
		return nonceForeign
	}
	issued := binary.BigEndian.Uint32(raw[:])
	var ours [nonceSize]byte
	if subtle.ConstantTimeCompare(n.write(ours[:0], h, client, issued), nonce) != 1 {
		return nonceForeign
	}
	age := time.Duration(int32(uint32(now.Unix())-issued)) * time.Second
	if age < 0 || age >= n.lifetime {
		return nonceStale
	}
	return nonceFresh
}

func (n *nonces) write(dst []byte, h *hasher, client netip.AddrPort, issued uint32) []byte {
	var message [nonceStamp + len(plainFeatures) + 16 + 2]byte
	binary.BigEndian.PutUint32(message[:], issued)
	copy(message[nonceStamp:], n.features)
	octets := client.Addr().As16()
	copy(message[nonceStamp+len(plainFeatures):], octets[:])
	binary.BigEndian.PutUint16(message[len(message)-2:], client.Port())
	sum := h.sha256(n.key, message[:])

	var raw [nonceStamp + nonceMAC]byte
	binary.BigEndian.PutUint32(raw[:], issued)
	copy(raw[nonceStamp:], sum[:])
	dst = append(dst, nonceCookie...)
	dst = append(dst, n.features...)
	return base64.RawStdEncoding.AppendEncode(dst, raw[:])
}
