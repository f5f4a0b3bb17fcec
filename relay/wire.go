package relay

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"time"
)

// The STUN message header (RFC 8489 section 5).
const (
	headerSize  = 20
	magicCookie = 0x2112A442

	classMask       = 0x0110
	classRequest    = 0x0000
	classIndication = 0x0010
	classSuccess    = 0x0100
	classError      = 0x0110
)

// Methods (RFC 8489 section 18.2, RFC 8656 section 17), as in the message type of a request.
const (
	methodBinding          = 0x0001
	methodAllocate         = 0x0003
	methodRefresh          = 0x0004
	methodSend             = 0x0006
	methodCreatePermission = 0x0008
	methodChannelBind      = 0x0009
)

// Attributes (RFC 8489 section 18.3, RFC 8656 section 18).
const (
	attrUsername           = 0x0006
	attrIntegrity          = 0x0008
	attrErrorCode          = 0x0009
	attrUnknownAttributes  = 0x000A
	attrChannelNumber      = 0x000C
	attrLifetime           = 0x000D
	attrXORPeerAddress     = 0x0012
	attrData               = 0x0013
	attrRealm              = 0x0014
	attrNonce              = 0x0015
	attrRequestedFamily    = 0x0017
	attrEvenPort           = 0x0018
	attrRequestedTransport = 0x0019
	attrDontFragment       = 0x001A
	attrIntegritySHA256    = 0x001C
	attrReservationToken   = 0x0022
	attrPriority           = 0x0024 // ICE, in a Binding request (RFC 8445)
	attrUseCandidate       = 0x0025
	attrFingerprint        = 0x8028
)

const (
	familyIPv4   = 1
	familyIPv6   = 2
	transportUDP = 17

	integritySize = sha1.Size
)

// messageType returns the first two bytes of a STUN message.
func messageType(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

// isResponse reports whether b, written by the engine, answers a request:
// ChannelData and indications do not.
func isResponse(b []byte) bool {
	return len(b) >= headerSize && b[0]&0xC0 == 0 && messageType(b)&classSuccess != 0
}

// attribute returns the value of the first attribute of that type in a
// well-formed message.
func attribute(b []byte, kind uint16) ([]byte, bool) {
	for at := headerSize; at+4 <= len(b); {
		size := int(binary.BigEndian.Uint16(b[at+2:]))
		if at+4+size > len(b) {
			break
		}
		if binary.BigEndian.Uint16(b[at:]) == kind {
			return b[at+4 : at+4+size], true
		}
		at += 4 + padded(size)
	}
	return nil, false
}

// padded rounds up to the 32 bits of RFC 8489 section 14.
func padded(n int) int { return (n + 3) &^ 3 }

// message is a STUN message in the making.
type message []byte

// start begins a message in m's memory.
func (m message) start(kind uint16, transaction [12]byte) message {
	m = binary.BigEndian.AppendUint16(m[:0], kind)
	m = append(m, 0, 0)
	m = binary.BigEndian.AppendUint32(m, magicCookie)
	return append(m, transaction[:]...)
}

// add appends an attribute, padded with zeros, and keeps the length field right.
func (m message) add(kind uint16, value []byte) message {
	m = binary.BigEndian.AppendUint16(m, kind)
	m = binary.BigEndian.AppendUint16(m, uint16(len(value)))
	m = append(m, value...)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	m.setLength(len(m))
	return m
}

func (m message) setLength(end int) {
	binary.BigEndian.PutUint16(m[2:], uint16(end-headerSize))
}

// addSeconds appends LIFETIME (RFC 8656 section 18.2).
func (m message) addSeconds(lifetime time.Duration) message {
	return m.add(attrLifetime, binary.BigEndian.AppendUint32(nil, uint32(lifetime/time.Second)))
}

// addError appends ERROR-CODE (RFC 8489 section 14.8).
func (m message) addError(code int, phrase string) message {
	value := append([]byte{0, 0, byte(code / 100), byte(code % 100)}, phrase...)
	return m.add(attrErrorCode, value)
}

// addPeer appends XOR-PEER-ADDRESS (RFC 8656 section 18.3).
func (m message) addPeer(peer netip.AddrPort) message {
	value := make([]byte, 2, 20)
	value[1] = familyIPv4
	if peer.Addr().Is6() {
		value[1] = familyIPv6
	}
	value = binary.BigEndian.AppendUint16(value, peer.Port()^(magicCookie>>16))
	for i, octet := range peer.Addr().AsSlice() {
		value = append(value, octet^m[4+i])
	}
	return m.add(attrXORPeerAddress, value)
}

// sign appends MESSAGE-INTEGRITY (RFC 8489 section 14.5).
func (m message) sign(key []byte) message {
	end := len(m)
	m.setLength(end + 4 + integritySize)
	return m.add(attrIntegrity, integrity(m[:end], key))
}

// integrity is the HMAC of a message up to its MESSAGE-INTEGRITY, whose length
// field already counts that attribute.
func integrity(upTo, key []byte) []byte {
	mac := hmac.New(sha1.New, key)
	mac.Write(upTo)
	return mac.Sum(nil)
}

// xorAddress undoes the XOR of an address attribute whose size is known to
// fit its family (RFC 8489 section 14.2). IPv4-mapped addresses come back as IPv4.
func xorAddress(value, header []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(value[2:]) ^ (magicCookie >> 16)
	var octets [16]byte
	size := copy(octets[:], value[4:])
	for i := range size {
		octets[i] ^= header[4+i]
	}
	addr, _ := netip.AddrFromSlice(octets[:size])
	return netip.AddrPortFrom(addr.Unmap(), port)
}
