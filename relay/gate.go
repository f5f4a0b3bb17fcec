package relay

import (
	"encoding/binary"
	"net/netip"
)

const (
	maxPeers    = 16   // XOR-PEER-ADDRESS in one request
	maxUnknown  = 8    // attributes named in one 420
	maxUsername = 513  // RFC 8489 section 14.3
	maxRealm    = 763  // section 14.9
	maxNonce    = 128  // ours has 28 characters
	maxRequest  = 2048 // bytes
)

// request is what the gate understood of one datagram. Its slices point into
// the datagram.
type request struct {
	class       uint16
	method      uint16
	transaction [12]byte

	// signed is the message up to MESSAGE-INTEGRITY-SHA256 (long), or to
	// MESSAGE-INTEGRITY, and mac that attribute's value; both are empty without one.
	signed, mac []byte
	long        bool
	fingerprint bool

	username, userhash, realm, nonce []byte
	// algorithm is the value of PASSWORD-ALGORITHM, algorithms that of
	// PASSWORD-ALGORITHMS; nil without one.
	algorithm, algorithms []byte

	lifetime     uint32 // seconds
	hasLifetime  bool
	transport    byte // 0: none
	family       byte // of REQUESTED-ADDRESS-FAMILY; 0: none
	additional   byte // of ADDITIONAL-ADDRESS-FAMILY; 0: none
	channel      uint16
	wish         portWish // EVEN-PORT
	hasToken     bool
	token        token
	connection   uint32 // CONNECTION-ID
	hasID        bool
	dontFragment bool

	// What a Binding request says of RFC 5780.
	hasChange, hasPadding, hasResponsePort bool
	change                                 byte // flags of CHANGE-REQUEST
	padding                                int  // bytes
	responsePort                           uint16

	peers     [maxPeers]netip.AddrPort
	peerCount int

	unknown      [maxUnknown]uint16 // comprehension-required attributes we do not know
	unknownCount int
}

// decode reads one datagram that is not media, whatever a stranger put into it.
// What follows the integrity is left out, since nobody vouches for it, and the
// length field then says so: that is what was signed (RFC 8489 section 14.5). A
// malformed request whose header is sound still has method and transaction set, so
// that it can be answered.
func (r *request) decode(datagram []byte) Drop {
	*r = request{}
	if len(datagram) < headerSize || datagram[0]>>6 != 0 || binary.BigEndian.Uint32(datagram[4:]) != magicCookie {
		return DropNotSTUN
	}
	length := int(binary.BigEndian.Uint16(datagram[2:]))
	if length%4 != 0 || headerSize+length != len(datagram) {
		return DropLength
	}
	r.class = messageType(datagram) & classMask
	r.method = messageType(datagram) &^ classMask
	copy(r.transaction[:], datagram[8:])
	if !r.served() {
		return DropMethod
	}
	if len(datagram) > maxRequest {
		return DropTooLong
	}
	return r.decodeAttributes(datagram)
}

// served: indications other than Send, which is media, are dropped, and so are
// answers: nobody was asked.
func (r *request) served() bool {
	switch r.method {
	case methodBinding, methodAllocate, methodRefresh, methodCreatePermission, methodChannelBind,
		methodConnect, methodConnectionBind:
		return r.class == classRequest
	default:
		return false
	}
}

// relaysTCP reports whether the request makes sense with TCP allocations only.
func (r *request) relaysTCP() bool {
	return r.method == methodConnect || r.method == methodConnectionBind
}
