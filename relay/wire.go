package relay

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
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

// Methods of TCP allocations (RFC 6062 section 6.1).
const (
	methodConnect           = 0x000A
	methodConnectionBind    = 0x000B
	methodConnectionAttempt = 0x000C // an indication of ours
)

// Attributes (RFC 8489 section 18.3, RFC 8656 section 18). Those below 0x8000
// must be understood.
const (
	attrMappedAddress      = 0x0001
	attrChangeRequest      = 0x0003 // RFC 5780 section 7
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
	attrPasswordAlgorithm  = 0x001D
	attrUserhash           = 0x001E
	attrXORMappedAddress   = 0x0020
	attrReservationToken   = 0x0022
	attrPriority           = 0x0024 // ICE, in a Binding request (RFC 8445)
	attrUseCandidate       = 0x0025
	attrPadding            = 0x0026 // RFC 5780 section 7
	attrResponsePort       = 0x0027
	attrConnectionID       = 0x002A // RFC 6062 section 6.2.1
	attrAdditionalFamily   = 0x8000
	attrAddressErrorCode   = 0x8001
	attrPasswordAlgorithms = 0x8002
	attrSoftware           = 0x8022
	attrAlternateServer    = 0x8023
	attrFingerprint        = 0x8028
	attrResponseOrigin     = 0x802B // RFC 5780 section 7
	attrOtherAddress       = 0x802C
)

const (
	familyIPv4   = 1
	familyIPv6   = 2
	transportTCP = 6
	transportUDP = 17

	integritySize   = sha1.Size
	fingerprintSize = 4
	fingerprintXOR  = 0x5354554E
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
func (m message) add(kind uint16, value []byte) message { return m.addText(kind, value, "") }

// addText appends an attribute whose value ends in text.
func (m message) addText(kind uint16, head []byte, text string) message {
	m = binary.BigEndian.AppendUint16(m, kind)
	m = binary.BigEndian.AppendUint16(m, uint16(len(head)+len(text)))
	m = append(m, head...)
	m = append(m, text...)
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
	var value [4]byte
	binary.BigEndian.PutUint32(value[:], uint32(lifetime/time.Second))
	return m.add(attrLifetime, value[:])
}

// addConnectionID appends CONNECTION-ID (RFC 6062 section 6.2.1).
func (m message) addConnectionID(id uint32) message {
	return m.add(attrConnectionID, binary.BigEndian.AppendUint32(nil, id))
}

// addError appends ERROR-CODE (RFC 8489 section 14.8).
func (m message) addError(code int, phrase string) message {
	return m.addText(attrErrorCode, []byte{0, 0, byte(code / 100), byte(code % 100)}, phrase)
}

// addAddressError appends ADDRESS-ERROR-CODE (RFC 8656 section 18.12).
func (m message) addAddressError(family byte, code int, phrase string) message {
	return m.addText(attrAddressErrorCode, []byte{family, 0, byte(code / 100), byte(code % 100)}, phrase)
}

// addAddress appends a XOR-ed address (RFC 8489 section 14.2).
func (m message) addAddress(kind uint16, addr netip.AddrPort) message {
	var value [20]byte
	size := 8
	value[1] = familyIPv4
	octets := addr.Addr().As16()
	from := octets[12:]
	if addr.Addr().Is6() {
		value[1], size, from = familyIPv6, len(value), octets[:]
	}
	binary.BigEndian.PutUint16(value[2:], addr.Port()^(magicCookie>>16))
	for i, octet := range from {
		value[4+i] = octet ^ m[4+i]
	}
	return m.add(kind, value[:size])
}

// addPlainAddress appends an address that is not XOR-ed (RFC 8489 section 14.1).
func (m message) addPlainAddress(kind uint16, addr netip.AddrPort) message {
	octets := addr.Addr().As16()
	value := [20]byte{0, familyIPv6, byte(addr.Port() >> 8), byte(addr.Port())}
	if addr.Addr().Is4() {
		value[1] = familyIPv4
		return m.add(kind, value[:4+copy(value[4:], octets[12:])])
	}
	return m.add(kind, value[:4+copy(value[4:], octets[:])])
}

// addZeros appends an attribute whose value is so many zeros.
func (m message) addZeros(kind uint16, size int) message {
	m = binary.BigEndian.AppendUint16(m, kind)
	m = binary.BigEndian.AppendUint16(m, uint16(size))
	for range padded(size) {
		m = append(m, 0)
	}
	m.setLength(len(m))
	return m
}

// sign appends MESSAGE-INTEGRITY or, long, MESSAGE-INTEGRITY-SHA256 (RFC 8489
// sections 14.5 and 14.6). The length field counts it while the HMAC is made.
func (m message) sign(h *hasher, key []byte, long bool) message {
	end := len(m)
	if long {
		m.setLength(end + 4 + sha256.Size)
		sum := h.sha256(key, m)
		return m.add(attrIntegritySHA256, sum[:])
	}
	m.setLength(end + 4 + integritySize)
	sum := h.sha1(key, m)
	return m.add(attrIntegrity, sum[:])
}

// addFingerprint appends FINGERPRINT, the last attribute (RFC 8489 section 14.7).
func (m message) addFingerprint() message {
	m.setLength(len(m) + 4 + fingerprintSize)
	var value [fingerprintSize]byte
	binary.BigEndian.PutUint32(value[:], crc32.ChecksumIEEE(m)^fingerprintXOR)
	return m.add(attrFingerprint, value[:])
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
