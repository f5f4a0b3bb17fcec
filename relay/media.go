package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/duetcall/duet/relay/udp"
)

// The forms that media has on the wire between client and relay: ChannelData (RFC 8656
// section 12.4), and Send and Data indications (sections 11.1 and 11.3).

const (
	typeSend = methodSend | classIndication
	typeData = 0x0007 | classIndication

	channelHeader = 4
	// headroom is the longest header that we write before a peer's data: that of a
	// Data indication with an IPv6 address.
	headroom = headerSize + 4 + 20 + 4
)

// isMedia reports whether a client's datagram is for the data plane: ChannelData, or
// a Send indication. Everything else is for the gate.
func isMedia(datagram []byte) bool {
	return len(datagram) >= 2 && (datagram[0]>>6 == 1 || messageType(datagram) == typeSend)
}

// decodeChannelData returns channel and data. Over UDP padding is optional, and the
// datagram must hold as much data as it claims (RFC 8656 section 12.6).
func decodeChannelData(datagram []byte) (number uint16, data []byte, drop Drop) {
	if len(datagram) < channelHeader {
		return 0, nil, DropChannelData
	}
	size := int(binary.BigEndian.Uint16(datagram[2:]))
	if size > len(datagram)-channelHeader {
		return 0, nil, DropChannelData
	}
	return binary.BigEndian.Uint16(datagram), datagram[channelHeader : channelHeader+size], kept
}

// decodeSend returns peer and data of a Send indication, which has exactly one of
// each (RFC 8656 section 11.2). DONT-FRAGMENT is understood where the system can do it.
// An allocation that was made with it sends nothing in fragments; on others the
// system sets DF on what fits the path anyway.
func decodeSend(datagram []byte) (peer netip.AddrPort, data []byte, drop Drop) {
	if len(datagram) < headerSize || binary.BigEndian.Uint32(datagram[4:]) != magicCookie {
		return peer, nil, DropNotSTUN
	}
	if length := int(binary.BigEndian.Uint16(datagram[2:])); length%4 != 0 || headerSize+length != len(datagram) {
		return peer, nil, DropLength
	}
	for at := headerSize; at < len(datagram); {
		kind := binary.BigEndian.Uint16(datagram[at:])
		size := int(binary.BigEndian.Uint16(datagram[at+2:]))
		next := at + 4 + padded(size)
		if next > len(datagram) {
			return peer, nil, DropAttribute
		}
		value := datagram[at+4 : at+4+size]
		switch {
		case kind == attrXORPeerAddress:
			if peer.IsValid() || !isAddress(value) {
				return peer, nil, DropAttribute
			}
			peer = xorAddress(value, datagram)
		case kind == attrData:
			if data != nil {
				return peer, nil, DropAttribute
			}
			data = value
		case kind == attrFingerprint:
			if next != len(datagram) || !fingerprintFits(datagram[:at], value) {
				return peer, nil, DropFingerprint
			}
		case !understood(kind):
			return peer, nil, DropAttribute
		}
		at = next
	}
	if !peer.IsValid() || data == nil {
		return peer, nil, DropAttribute
	}
	return peer, data, kept
}

// isAddress reports whether the size of an address attribute is that of its family.
func isAddress(value []byte) bool {
	return len(value) == 8 && value[1] == familyIPv4 || len(value) == 20 && value[1] == familyIPv6
}

// understood: types below 0x8000 must be, or the indication is dropped (RFC 8489
// section 6.3.2). Those that we know but that have no meaning here are ignored.
func understood(kind uint16) bool {
	switch kind {
	case attrDontFragment:
		return udp.CanForbidFragments
	case attrUsername, attrUserhash, attrRealm, attrNonce, attrPasswordAlgorithm, attrPasswordAlgorithms,
		attrIntegrity, attrIntegritySHA256, attrErrorCode, attrUnknownAttributes, attrXORMappedAddress,
		attrLifetime, attrChannelNumber, attrRequestedFamily, attrEvenPort, attrRequestedTransport,
		attrReservationToken, attrConnectionID, attrPriority, attrUseCandidate:
		return true
	default:
		return kind >= 0x8000
	}
}

// wrapChannelData makes ChannelData of the size bytes at buf[headroom:], in place.
// Over UDP it needs no padding (RFC 8656 section 12.5).
func wrapChannelData(buf []byte, size int, number uint16) []byte {
	packet := buf[headroom-channelHeader : headroom+size]
	binary.BigEndian.PutUint16(packet, number)
	binary.BigEndian.PutUint16(packet[2:], uint16(size))
	return packet
}

// wrapData makes a Data indication of the size bytes at buf[headroom:], in place
// (RFC 8656 section 11.3). There must be room for the padding behind them.
func wrapData(buf []byte, size int, peer netip.AddrPort) []byte {
	family, octets := byte(familyIPv4), 4
	if peer.Addr().Is6() {
		family, octets = familyIPv6, 16
	}
	start := headroom - (headerSize + 4 + 4 + octets + 4)
	packet := buf[start : headroom+padded(size)]
	binary.BigEndian.PutUint16(packet, typeData)
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)-headerSize))
	binary.BigEndian.PutUint32(packet[4:], magicCookie)
	binary.BigEndian.PutUint64(packet[8:], rand.Uint64())
	binary.BigEndian.PutUint32(packet[16:], rand.Uint32())

	address := packet[headerSize:]
	binary.BigEndian.PutUint16(address, attrXORPeerAddress)
	binary.BigEndian.PutUint16(address[2:], uint16(4+octets))
	address[4], address[5] = 0, family
	binary.BigEndian.PutUint16(address[6:], peer.Port()^(magicCookie>>16))
	if octets == 4 {
		plain := peer.Addr().As4()
		copy(address[8:], plain[:])
	} else {
		plain := peer.Addr().As16()
		copy(address[8:], plain[:])
	}
	for i := range octets {
		address[8+i] ^= packet[4+i]
	}

	value := address[8+octets:]
	binary.BigEndian.PutUint16(value, attrData)
	binary.BigEndian.PutUint16(value[2:], uint16(size))
	clear(value[4+size:])
	return packet
}
