package relay

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

const (
	maxPeers    = 16   // XOR-PEER-ADDRESS in one request
	maxUnknown  = 8    // attributes named in one 420
	maxUsername = 513  // RFC 8489 section 14.3
	maxRealm    = 763  // section 14.9
	maxNonce    = 128  // ours has some 25 characters
	maxRequest  = 2048 // bytes; Send indications carry data and are not bound by it

	fingerprintXOR = 0x5354554E
)

// request is what the gate understood of one datagram. Its slices point into
// the datagram.
type request struct {
	channelData bool
	class       uint16 // classRequest or classIndication
	method      uint16
	transaction [12]byte

	// signed is the message up to MESSAGE-INTEGRITY, mac that attribute's
	// value; both are empty without one.
	signed, mac            []byte
	username, realm, nonce []byte

	lifetime    uint32 // seconds
	hasLifetime bool
	transport   byte // 0: none
	family      byte // of REQUESTED-ADDRESS-FAMILY; 0: none
	channel     uint16
	wish        portWish // EVEN-PORT
	hasToken    bool
	token       token

	peers     [maxPeers]netip.AddrPort
	peerCount int

	unknown      [maxUnknown]uint16 // comprehension-required attributes we do not know
	unknownCount int
}

// decode reads one datagram, whatever a stranger put into it, and says how
// many bytes of it may go on: what follows MESSAGE-INTEGRITY is cut off, since
// nobody vouches for it (RFC 8489 section 14.5). A malformed request whose
// header is sound still has method and transaction set, so that it can be
// answered.
func (r *request) decode(datagram []byte) (size int, drop Drop) {
	*r = request{}
	if len(datagram) < 4 {
		return 0, DropNotSTUN
	}
	switch datagram[0] >> 6 {
	case 0:
		return r.decodeSTUN(datagram)
	case 1:
		return r.decodeChannelData(datagram)
	default:
		return 0, DropNotSTUN
	}
}

// decodeChannelData: the length need not count the padding, but never more
// than there is (RFC 8656 section 12.4).
func (r *request) decodeChannelData(datagram []byte) (int, Drop) {
	r.channelData = true
	r.channel = binary.BigEndian.Uint16(datagram)
	size := 4 + int(binary.BigEndian.Uint16(datagram[2:]))
	if size > len(datagram) || len(datagram) > padded(size) {
		return 0, DropChannelData
	}
	return len(datagram), kept
}

func (r *request) decodeSTUN(datagram []byte) (int, Drop) {
	if len(datagram) < headerSize || binary.BigEndian.Uint32(datagram[4:]) != magicCookie {
		return 0, DropNotSTUN
	}
	length := int(binary.BigEndian.Uint16(datagram[2:]))
	if length%4 != 0 || headerSize+length != len(datagram) {
		return 0, DropLength
	}
	r.class = messageType(datagram) & classMask
	r.method = messageType(datagram) &^ classMask
	copy(r.transaction[:], datagram[8:])
	if !r.served() {
		return 0, DropMethod
	}
	if r.class == classRequest && len(datagram) > maxRequest {
		return 0, DropTooLong
	}
	size, drop := r.decodeAttributes(datagram)
	if drop == kept && r.class == classIndication && (r.peerCount != 1 || r.unknownCount > 0) {
		return 0, DropAttribute
	}
	return size, drop
}

func (r *request) served() bool {
	switch r.method {
	case methodBinding, methodAllocate, methodRefresh, methodCreatePermission, methodChannelBind:
		return r.class == classRequest
	case methodSend:
		return r.class == classIndication
	default:
		return false
	}
}

func (r *request) decodeAttributes(datagram []byte) (int, Drop) {
	var seen [0x26]bool
	end := len(datagram)
	for at := headerSize; at < len(datagram); {
		if at+4 > len(datagram) {
			return 0, DropAttribute
		}
		kind := binary.BigEndian.Uint16(datagram[at:])
		size := int(binary.BigEndian.Uint16(datagram[at+2:]))
		next := at + 4 + padded(size)
		if next > len(datagram) {
			return 0, DropAttribute
		}
		value := datagram[at+4 : at+4+size]
		switch {
		case kind == attrFingerprint:
			if next != len(datagram) || !fingerprintFits(datagram[:at], value) {
				return 0, DropFingerprint
			}
			// The engine does not need it, and it would not survive a cut.
			end = min(end, at)
		case r.mac != nil:
			// Behind MESSAGE-INTEGRITY: cut off.
		case kind == attrIntegrity:
			if size != integritySize {
				return 0, DropAttribute
			}
			r.signed, r.mac = datagram[:at], value
			end = next
		default:
			first := int(kind) >= len(seen) || !seen[kind]
			if !first && kind != attrXORPeerAddress {
				break // only the first of a kind counts (RFC 8489 section 14)
			}
			if int(kind) < len(seen) {
				seen[kind] = true
			}
			if !r.take(kind, value, datagram) {
				return 0, DropAttribute
			}
		}
		at = next
	}
	binary.BigEndian.PutUint16(datagram[2:], uint16(end-headerSize))
	return end, kept
}

// take notes one attribute and reports whether its size is that of its kind.
func (r *request) take(kind uint16, value, header []byte) bool {
	size := len(value)
	switch kind {
	case attrUsername:
		r.username = value
		return size <= maxUsername
	case attrRealm:
		r.realm = value
		return size <= maxRealm
	case attrNonce:
		r.nonce = value
		return size <= maxNonce
	case attrXORPeerAddress:
		return r.takePeer(value, header)
	case attrLifetime:
		if size == 4 {
			r.lifetime, r.hasLifetime = binary.BigEndian.Uint32(value), true
		}
		return size == 4
	case attrChannelNumber:
		if size == 4 {
			r.channel = binary.BigEndian.Uint16(value)
		}
		return size == 4
	case attrRequestedTransport:
		if size == 4 {
			r.transport = value[0]
		}
		return size == 4 && r.transport != 0
	case attrRequestedFamily:
		if size == 4 {
			r.family = value[0]
		}
		return size == 4 && r.family != 0
	case attrEvenPort:
		r.wish = evenPort
		if size == 1 && value[0]&0x80 != 0 {
			r.wish = portPair
		}
		return size == 1
	case attrReservationToken:
		r.hasToken = true
		return copy(r.token[:], value) == len(r.token) && size == len(r.token)
	case attrIntegritySHA256:
		return size >= 16 && size <= 32 && size%4 == 0
	case attrData, attrPriority, attrUseCandidate:
		return true
	}
	// Types below 0x8000 must be understood (RFC 8489 section 14).
	if kind < 0x8000 && r.unknownCount < maxUnknown {
		r.unknown[r.unknownCount] = kind
		r.unknownCount++
	}
	return true
}

func (r *request) takePeer(value, header []byte) bool {
	if !isAddress(value) || r.peerCount == maxPeers {
		return false
	}
	if r.class == classIndication && value[0] != 0 {
		return false // must be ignored, but the engine, which sees this very byte, does not
	}
	if r.peerCount > 0 && r.method != methodCreatePermission {
		return true // only the first counts
	}
	r.peers[r.peerCount] = xorAddress(value, header)
	r.peerCount++
	return true
}

// fingerprintFits checks FINGERPRINT, which must be the last attribute
// (RFC 8489 section 14.7).
func fingerprintFits(upTo, value []byte) bool {
	return len(value) == 4 &&
		binary.BigEndian.Uint32(value) == crc32.ChecksumIEEE(upTo)^fingerprintXOR
}
