package relay

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// macBlock is the block size of SHA-1 and SHA-256, and the longest key of a hasher.
const macBlock = 64

// hasher makes HMACs (RFC 2104) and keys in memory of its own: crypto/hmac
// allocates for each key, and strangers make us check many. It belongs to one
// goroutine.
type hasher struct{ buf []byte }

// sha1 is HMAC-SHA1. The key has at most macBlock bytes.
func (h *hasher) sha1(key, message []byte) [sha1.Size]byte {
	h.pad(key, 0x36)
	h.buf = append(h.buf, message...)
	inner := sha1.Sum(h.buf)
	h.pad(key, 0x5C)
	h.buf = append(h.buf, inner[:]...)
	return sha1.Sum(h.buf)
}

// sha256 is HMAC-SHA256. The key has at most macBlock bytes.
func (h *hasher) sha256(key, message []byte) [sha256.Size]byte {
	h.pad(key, 0x36)
	h.buf = append(h.buf, message...)
	inner := sha256.Sum256(h.buf)
	h.pad(key, 0x5C)
	h.buf = append(h.buf, inner[:]...)
	return sha256.Sum256(h.buf)
}

func (h *hasher) pad(key []byte, with byte) {
	h.buf = append(h.buf[:0], key...)
	for len(h.buf) < macBlock {
		h.buf = append(h.buf, 0)
	}
	for i := range macBlock {
		h.buf[i] ^= with
	}
}

// fits compares mac, which may be a truncated MESSAGE-INTEGRITY-SHA256, with that
// of the message, in constant time.
func (h *hasher) fits(mac, message, key []byte, long bool) bool {
	if long {
		sum := h.sha256(key, message)
		return len(mac) <= len(sum) && subtle.ConstantTimeCompare(sum[:len(mac)], mac) == 1
	}
	sum := h.sha1(key, message)
	return subtle.ConstantTimeCompare(sum[:], mac) == 1
}

// algorithm of a long-term key (RFC 8489 section 18.5).
type algorithm uint16

const (
	algorithmMD5    algorithm = 1
	algorithmSHA256 algorithm = 2
)

// longTermKey appends the hash of username ":" realm ":" password to dst
// (RFC 8489 sections 18.5.1.1 and 18.5.1.2).
func (h *hasher) longTermKey(dst []byte, a algorithm, username []byte, realm string, password []byte) []byte {
	h.buf = append(h.buf[:0], username...)
	h.buf = append(h.buf, ':')
	h.buf = append(h.buf, realm...)
	h.buf = append(h.buf, ':')
	h.buf = append(h.buf, password...)
	if a == algorithmSHA256 {
		sum := sha256.Sum256(h.buf)
		return append(dst, sum[:]...)
	}
	sum := md5.Sum(h.buf)
	return append(dst, sum[:]...)
}

// mintedPassword appends the password of a time-limited username to dst.
func (h *hasher) mintedPassword(dst, secret, username []byte) []byte {
	sum := h.sha1(secret, username)
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// macKey makes a key of any length one of at most macBlock bytes, as HMAC-SHA1 would.
func macKey(secret string) []byte {
	if len(secret) <= macBlock {
		return []byte(secret)
	}
	sum := sha1.Sum([]byte(secret))
	return sum[:]
}
