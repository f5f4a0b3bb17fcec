package relay

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	cookieSize = 20
	// cookiePeriod is how long a cookie is issued for. It is good for that long at
	// least, and twice as long at most: a handshake's first round trip.
	cookiePeriod = 30 * time.Second
)

// cookies of the DTLS handshake prove that a client is where it says it is, before
// there is anything to remember about it (RFC 6347 section 4.2.1). A cookie is a MAC
// over the time, the client's address and port, and what its hello must repeat. It
// belongs to one goroutine; the key is of the process.
type cookies struct {
	key     [32]byte
	hash    hasher
	message []byte
}

func newCookies() *cookies {
	c := &cookies{message: make([]byte, 0, maxHello+32)}
	rand.Read(c.key[:])
	return c
}

// issue returns the cookie for a hello.
func (c *cookies) issue(h *hello, client netip.AddrPort, now time.Time) [cookieSize]byte {
	return c.of(h, client, period(now))
}

// check reports whether the hello's cookie is one that issue has made for it, in this
// period or the one before; its lowest bit says in which.
func (c *cookies) check(h *hello, client netip.AddrPort, now time.Time) bool {
	if len(h.cookie) != cookieSize {
		return false
	}
	issued := period(now)
	issued -= (issued ^ int64(h.cookie[cookieSize-1])) & 1
	cookie := c.of(h, client, issued)
	return subtle.ConstantTimeCompare(cookie[:], h.cookie) == 1
}

func period(now time.Time) int64 { return now.UnixNano() / int64(cookiePeriod) }

func (c *cookies) of(h *hello, client netip.AddrPort, period int64) [cookieSize]byte {
	octets := client.Addr().As16()
	m := binary.BigEndian.AppendUint64(c.message[:0], uint64(period))
	m = append(m, octets[:]...)
	m = binary.BigEndian.AppendUint16(m, client.Port())
	m = append(m, h.before...) // tells its own length
	m = append(m, h.suites...)
	c.message = m
	sum := c.hash.sha256(c.key[:], m)
	cookie := [cookieSize]byte(sum[:])
	cookie[cookieSize-1] = cookie[cookieSize-1]&^1 | byte(period&1)
	return cookie
}
