package relay

import "encoding/binary"

// DTLS on the wire: records (RFC 6347 section 4.1) and in them handshake messages
// (section 4.2.2).
const (
	recordHeader    = 13
	handshakeHeader = 12

	recordChangeCipher = 20
	recordAlert        = 21
	recordHandshake    = 22
	recordData         = 23

	alertFatal           = 2
	alertProtocolVersion = 70 // RFC 5246 section 7.2

	messageClientHello   = 1
	messageVerifyRequest = 3

	versionDTLS10 = 0xFEFF
	versionDTLS12 = 0xFEFD

	// maxHello is the longest ClientHello that is looked at. Those of OpenSSL and GnuTLS
	// have less than 400 bytes.
	maxHello = 1400
	// maxRecordNumber: record sequence numbers have 48 bits.
	maxRecordNumber = 1<<48 - 1
)

// hello is a ClientHello (RFC 5246 section 7.4.1.2), as far as the cookie exchange
// needs it. Its slices point into the datagram.
type hello struct {
	record  uint64 // sequence number of the record
	message uint16 // message_seq

	// A client repeats before and suites unchanged, with its cookie between them (RFC
	// 6347 section 4.2.1). before is version, random and session id, suites what
	// follows the cookie up to the extensions, and extensions all the rest.
	before, cookie, suites, extensions []byte

	outdated bool // the client knows no DTLS 1.2
}

// random tells one handshake of a client from the next.
func (h *hello) random() [32]byte { return [32]byte(h.before[2:34]) }

// isHello reports whether a datagram claims to begin a handshake: a ClientHello that is
// not encrypted.
func isHello(datagram []byte) bool {
	return len(datagram) > recordHeader && datagram[0] == recordHandshake &&
		recordEpoch(datagram) == 0 && datagram[recordHeader] == messageClientHello
}

func recordEpoch(record []byte) uint16 { return binary.BigEndian.Uint16(record[3:]) }

func recordNumber(record []byte) uint64 {
	return binary.BigEndian.Uint64(record[3:]) & maxRecordNumber
}

func setRecordNumber(record []byte, number uint64) {
	epoch := uint64(recordEpoch(record))
	binary.BigEndian.PutUint64(record[3:], epoch<<48|number&maxRecordNumber)
}

// parse reads a datagram that isHello, whatever a stranger put into it. It must be one
// whole ClientHello, and nothing else: one in fragments could not be
// answered without keeping some of them, and clients send none.
func (h *hello) parse(datagram []byte) bool {
	if len(datagram) < recordHeader+handshakeHeader || len(datagram) > maxHello || datagram[1] != versionDTLS10>>8 {
		return false
	}
	message, body := datagram[recordHeader:], datagram[recordHeader+handshakeHeader:]
	if int(binary.BigEndian.Uint16(datagram[11:])) != len(message) ||
		uint24(message[1:]) != len(body) || uint24(message[6:]) != 0 || uint24(message[9:]) != len(body) {
		return false
	}
	h.record = recordNumber(datagram)
	h.message = binary.BigEndian.Uint16(message[4:])
	return h.parseBody(body)
}

func (h *hello) parseBody(body []byte) bool {
	if len(body) < 35 || body[0] != versionDTLS12>>8 {
		return false
	}
	h.outdated = body[1] > versionDTLS12&0xFF // versions count downwards
	at := 35 + int(body[34])
	if body[34] > 32 || at >= len(body) {
		return false
	}
	h.before = body[:at]
	size := int(body[at])
	if at += 1 + size; at+2 > len(body) {
		return false
	}
	h.cookie = body[at-size : at]
	size = int(binary.BigEndian.Uint16(body[at:]))
	compression := at + 2 + size
	if size < 2 || size%2 != 0 || compression >= len(body) || body[compression] == 0 {
		return false
	}
	end := compression + 1 + int(body[compression])
	if end > len(body) {
		return false
	}
	h.suites, h.extensions = body[at:end], body[end:]
	return len(h.extensions) == 0 ||
		len(h.extensions) >= 2 && int(binary.BigEndian.Uint16(h.extensions)) == len(h.extensions)-2
}

// appendVerifyRequest appends the HelloVerifyRequest that asks for the cookie. It is
// shorter than any ClientHello. The record's number is that of the hello, and the version
// 1.0 whatever will be spoken (RFC 6347 section 4.2.1).
func (h *hello) appendVerifyRequest(dst, cookie []byte) []byte {
	body := 2 + 1 + len(cookie)
	dst = appendRecordHeader(dst, recordHandshake, versionDTLS10, h.record, handshakeHeader+body)
	dst = appendHandshakeHeader(dst, messageVerifyRequest, 0, body)
	dst = append(dst, versionDTLS10>>8, versionDTLS10&0xFF, byte(len(cookie)))
	return append(dst, cookie...)
}

// appendOutdated appends the alert that refuses the client's version.
func (h *hello) appendOutdated(dst []byte) []byte {
	dst = appendRecordHeader(dst, recordAlert, versionDTLS10, h.record, 2)
	return append(dst, alertFatal, alertProtocolVersion)
}

// appendFirst appends the ClientHello that the client sent, or could have sent, before
// it had a cookie.
func (h *hello) appendFirst(dst []byte) []byte {
	body := len(h.before) + 1 + len(h.suites) + len(h.extensions)
	dst = appendRecordHeader(dst, recordHandshake, versionDTLS12, h.record-1, handshakeHeader+body)
	dst = appendHandshakeHeader(dst, messageClientHello, 0, body)
	dst = append(dst, h.before...)
	dst = append(dst, 0)
	dst = append(dst, h.suites...)
	return append(dst, h.extensions...)
}

func appendRecordHeader(dst []byte, kind byte, version uint16, number uint64, size int) []byte {
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint16(dst, version)
	dst = binary.BigEndian.AppendUint64(dst, number)
	return binary.BigEndian.AppendUint16(dst, uint16(size))
}

func appendHandshakeHeader(dst []byte, kind byte, message uint16, size int) []byte {
	dst = append(dst, kind, byte(size>>16), byte(size>>8), byte(size))
	dst = binary.BigEndian.AppendUint16(dst, message)
	return append(dst, 0, 0, 0, byte(size>>16), byte(size>>8), byte(size))
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
