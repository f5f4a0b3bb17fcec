package relay

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// decodeAttributes notes the attributes of a message whose header is sound.
func (r *request) decodeAttributes(datagram []byte) Drop {
	var seen seenKinds
	end := len(datagram)
	for at := headerSize; at < len(datagram); {
		if at+4 > len(datagram) {
			return DropAttribute
		}
		kind := binary.BigEndian.Uint16(datagram[at:])
		size := int(binary.BigEndian.Uint16(datagram[at+2:]))
		next := at + 4 + padded(size)
		if next > len(datagram) {
			return DropAttribute
		}
		value := datagram[at+4 : at+4+size]
		switch {
		case kind == attrFingerprint:
			if next != len(datagram) || !fingerprintFits(datagram[:at], value) {
				return DropFingerprint
			}
			r.fingerprint = true
			end = min(end, at) // it would not survive a cut
		case r.long, r.mac != nil && kind != attrIntegritySHA256:
			// Behind the integrity: cut off.
		case kind == attrIntegrity, kind == attrIntegritySHA256:
			if !r.takeIntegrity(kind, value, datagram[:at]) {
				return DropAttribute
			}
			end = next
		default:
			if !seen.first(kind) && kind != attrXORPeerAddress {
				break // only the first of a kind counts (RFC 8489 section 14)
			}
			if !r.take(kind, value, datagram) {
				return DropAttribute
			}
		}
		at = next
	}
	binary.BigEndian.PutUint16(datagram[2:], uint16(end-headerSize))
	return kept
}

// seenKinds are the kinds of attributes that a message has had, those that we know.
type seenKinds [0x38]bool

func (s *seenKinds) first(kind uint16) bool {
	const optional, slots = 0x8000, 8 // as many slots for kinds that need not be understood
	slot := int(kind)
	switch {
	case kind >= optional && kind < optional+slots:
		slot = len(s) - slots + int(kind-optional)
	case slot >= len(s)-slots:
		return true
	}
	again := s[slot]
	s[slot] = true
	return !again
}

// takeIntegrity notes what the message is signed with. The stronger of two
// signatures comes second, and counts (RFC 8489 section 14.5).
func (r *request) takeIntegrity(kind uint16, value, upTo []byte) bool {
	r.signed, r.mac, r.long = upTo, value, kind == attrIntegritySHA256
	if r.long { // may be truncated (section 14.6)
		return len(value) >= 16 && len(value) <= sha256.Size && len(value)%4 == 0
	}
	return len(value) == integritySize
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
	case attrUserhash:
		r.userhash = value
		return size == sha256.Size
	case attrPasswordAlgorithm:
		r.algorithm = value
		return size >= 4
	case attrPasswordAlgorithms:
		r.algorithms = value
		return size >= 4
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
	case attrAdditionalFamily:
		if size == 4 {
			r.additional = value[0]
		}
		return size == 4 && r.additional != 0
	case attrDontFragment:
		r.dontFragment = true
		return size == 0
	case attrEvenPort:
		r.wish = evenPort
		if size == 1 && value[0]&0x80 != 0 {
			r.wish = portPair
		}
		return size == 1
	case attrReservationToken:
		r.hasToken = true
		return copy(r.token[:], value) == len(r.token) && size == len(r.token)
	case attrConnectionID:
		if size == 4 {
			r.connection, r.hasID = binary.BigEndian.Uint32(value), true
		}
		return size == 4
	case attrData, attrErrorCode, attrUnknownAttributes, attrXORMappedAddress, attrPriority, attrUseCandidate:
		return true // known, and ignored where it has no meaning
	}
	if r.method == methodBinding {
		if known, fits := r.takeDiscovery(kind, value); known {
			return fits
		}
	}
	// Types below 0x8000 must be understood (RFC 8489 section 14).
	if kind < 0x8000 {
		r.addUnknownKind(kind)
	}
	return true
}

// takeDiscovery notes the attributes of RFC 5780 section 7. The two bytes behind the
// port in RESPONSE-PORT count as part of it or not, depending on who reads the RFC.
func (r *request) takeDiscovery(kind uint16, value []byte) (known, fits bool) {
	size := len(value)
	switch kind {
	case attrChangeRequest:
		if r.hasChange = true; size == 4 {
			r.change = value[3] & (flagChangeIP | flagChangePort)
		}
		return true, size == 4
	case attrPadding:
		r.hasPadding, r.padding = true, size
		return true, true
	case attrResponsePort:
		if r.hasResponsePort = true; size == 2 || size == 4 {
			r.responsePort = binary.BigEndian.Uint16(value)
		}
		return true, size == 2 || size == 4
	default:
		return false, false
	}
}

func (r *request) addUnknownKind(kind uint16) {
	if r.unknownCount < maxUnknown {
		r.unknown[r.unknownCount] = kind
		r.unknownCount++
	}
}

func (r *request) takePeer(value, header []byte) bool {
	if !isAddress(value) || r.peerCount == maxPeers {
		return false
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
	return len(value) == fingerprintSize &&
		binary.BigEndian.Uint32(value) == crc32.ChecksumIEEE(upTo)^fingerprintXOR
}
