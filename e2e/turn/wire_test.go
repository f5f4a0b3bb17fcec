//go:build linux

package turn

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// What a message between a client and Duet is: a STUN type (RFC 8489 section 5), or
// one of the two below it.
const (
	allocateRequest, allocateSuccess, allocateError = 0x0003, 0x0103, 0x0113
	sendIndication, dataIndication                  = 0x0016, 0x0017
	bindingRequest, bindingSuccess                  = 0x0001, 0x0101
	createPermissionError, channelBindError         = 0x0118, 0x0119
	connectionBindRequest, connectionBindSuccess    = 0x000B, 0x010B
	channelData                                     = 0x4000
	unknownMessage                                  = 0xFFFF
)

// Attributes that tests look at.
const (
	attrErrorCode              = 0x0009
	attrXORRelayedAddress      = 0x0016
	attrRequestedAddressFamily = 0x0017
	attrEvenPort               = 0x0018
	attrDontFragment           = 0x001A
	attrReservationToken       = 0x0022
)

// message is one that a client sent to Duet (up), or got from it.
type message struct {
	up   bool
	kind int
	raw  []byte
}

// wire is what happened between clients, Duet and peers.
type wire struct {
	// carriers counts the packets from clients by how they came, "udp4 3478".
	carriers map[string]int
	// messages are those in the clear.
	messages []message
	// records are the sizes of what encrypted records carry, from clients.
	records []int
	// toPeers and fromPeers are the packets between a relayed address and a peer
	// that is none.
	toPeers, fromPeers []packet
	// streamUp and streamDown are the bytes on data connections (RFC 6062 section 4.3),
	// and streamBetween those that went from one relayed address to another over TCP.
	streamUp, streamDown, streamBetween int
}

// relayedAt reports whether at is a relayed address.
func relayedAt(at netip.AddrPort) bool {
	return (at.Addr() == server4 || at.Addr() == server6) && at.Port() >= firstRelay && at.Port() <= lastRelay
}

// read makes sense of a capture on Duet's machine.
func read(packets []packet) wire {
	w := wire{carriers: make(map[string]int)}
	streams := make(map[[2]netip.AddrPort]*stream)
	for _, p := range packets {
		switch fromClient, toClient := p.from.Addr() == client4 || p.from.Addr() == client6, p.to.Addr() == client4 || p.to.Addr() == client6; {
		case relayedAt(p.to) && fromClient:
			w.fromPeers = append(w.fromPeers, p)
		case relayedAt(p.from) && toClient:
			w.toPeers = append(w.toPeers, p)
		case relayedAt(p.from) && relayedAt(p.to) && p.protocol == protoTCP:
			w.streamBetween += len(p.payload)
		case p.protocol == protoUDP && fromClient:
			w.carriers[carrier(p)]++
			w.datagram(true, p.payload)
		case p.protocol == protoUDP && toClient:
			w.datagram(false, p.payload)
		case fromClient || toClient:
			if fromClient {
				w.carriers[carrier(p)]++
			}
			flow := [2]netip.AddrPort{p.from, p.to}
			if streams[flow] == nil {
				streams[flow] = &stream{up: fromClient}
			}
			streams[flow].take(&w, p)
		}
	}
	return w
}

func carrier(p packet) string {
	protocol, family := "udp", 4
	if p.protocol == protoTCP {
		protocol = "tcp"
	}
	if p.to.Addr().Is6() {
		family = 6
	}
	return fmt.Sprintf("%s%d %d", protocol, family, p.to.Port())
}

// datagram takes one message, or the DTLS records in one datagram (RFC 6347 section 4.1).
func (w *wire) datagram(up bool, data []byte) {
	const header = 13
	if len(data) < header || data[0] < 20 || data[0] > 25 {
		w.messages = append(w.messages, message{up, kindOf(data), data})
		return
	}
	for len(data) >= header {
		size := int(binary.BigEndian.Uint16(data[11:]))
		w.record(up, data[0], size)
		data = data[min(len(data), header+size):]
	}
}

// applicationData is the type of the records that carry what the client sends.
const applicationData = 23

func (w *wire) record(up bool, kind byte, size int) {
	if up && kind == applicationData {
		w.records = append(w.records, size)
	}
}

// stream puts one direction of a TCP connection together.
type stream struct {
	up, begun bool
	bound     bool // a data connection, or about to be one
	next      uint32
	early     []packet
	data      []byte
}

// take takes a segment, and from the stream what it completes.
func (s *stream) take(w *wire, p packet) {
	if !s.begun && len(p.payload) > 0 {
		s.begun, s.next = true, p.sequence
	}
	s.early = append(s.early, p)
	for i := 0; i < len(s.early); i++ {
		p := s.early[i]
		if have := s.next - p.sequence; int32(have) >= 0 { // not from beyond a gap
			s.early = slices.Delete(s.early, i, i+1)
			if have < uint32(len(p.payload)) {
				s.data = append(s.data, p.payload[have:]...)
				s.next = p.sequence + uint32(len(p.payload))
			}
			i = -1
		}
	}
	for len(s.data) >= 5 {
		if kind := kindOf(s.data); s.bound && kind&^0x0110 != connectionBindRequest {
			w.streamed(s.up, len(s.data))
			s.data = nil
			return
		}
		var size int
		encrypted := s.data[0] >= 20 && s.data[0] <= 23 && s.data[1] == 3 // a TLS record
		switch length := int(binary.BigEndian.Uint16(s.data[2:])); {
		case encrypted:
			size = 5 + int(binary.BigEndian.Uint16(s.data[3:]))
		case s.data[0]>>6 == 1:
			size = 4 + (length+3)&^3 // ChannelData, padded on streams (RFC 8656 section 12.5)
		default:
			size = 20 + length
		}
		if len(s.data) < size {
			return
		}
		if encrypted {
			w.record(s.up, s.data[0], size-5)
		} else {
			kind := kindOf(s.data)
			w.messages = append(w.messages, message{s.up, kind, s.data[:size:size]})
			s.bound = s.bound || kind == connectionBindRequest || kind == connectionBindSuccess
		}
		s.data = s.data[size:]
	}
}

func (w *wire) streamed(up bool, size int) {
	if up {
		w.streamUp += size
	} else {
		w.streamDown += size
	}
}

func kindOf(data []byte) int {
	switch {
	case len(data) >= 4 && data[0]>>6 == 1:
		return channelData
	case len(data) >= 20 && binary.BigEndian.Uint32(data[4:]) == 0x2112A442:
		return int(binary.BigEndian.Uint16(data))
	default:
		return unknownMessage
	}
}

// attribute returns the value of a STUN message's attribute.
func (m message) attribute(name uint16) (value []byte, ok bool) {
	if m.kind == channelData || m.kind == unknownMessage {
		return nil, false
	}
	for rest := m.raw[20:]; len(rest) >= 4; {
		size := int(binary.BigEndian.Uint16(rest[2:]))
		if len(rest) < 4+size {
			return nil, false
		}
		if binary.BigEndian.Uint16(rest) == name {
			return rest[4 : 4+size], true
		}
		rest = rest[min(len(rest), 4+(size+3)&^3):]
	}
	return nil, false
}

// transaction identifies a request and its answer.
func (m message) transaction() string { return string(m.raw[8:20]) }

// relayedPort returns the port of XOR-RELAYED-ADDRESS, or 0.
func (m message) relayedPort() uint16 {
	value, ok := m.attribute(attrXORRelayedAddress)
	if !ok || len(value) < 8 {
		return 0
	}
	return binary.BigEndian.Uint16(value[2:]) ^ 0x2112
}

// errorCode returns what ERROR-CODE says, or 0 (RFC 8489 section 14.8).
func (m message) errorCode() int {
	if value, ok := m.attribute(attrErrorCode); ok && len(value) >= 4 {
		return int(value[2]&7)*100 + int(value[3])
	}
	return 0
}

// count returns how many messages of a kind went up, or down.
func (w *wire) count(up bool, kind int) (n int) {
	for _, m := range w.messages {
		if m.up == up && m.kind == kind {
			n++
		}
	}
	return n
}

// with returns how many messages of a kind had the attribute.
func (w *wire) with(kind int, attribute uint16) (n int) {
	for _, m := range w.messages {
		if _, ok := m.attribute(attribute); ok && m.kind == kind {
			n++
		}
	}
	return n
}

// errors returns how many answers of a kind had the error code.
func (w *wire) errors(kind, code int) (n int) {
	for _, m := range w.messages {
		if m.kind == kind && m.errorCode() == code {
			n++
		}
	}
	return n
}
