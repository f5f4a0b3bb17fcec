package relay

// Drop is why a datagram went no further. It is the label of a counter, never
// an answer: whoever sent such a datagram hears nothing.
type Drop uint8

// The reasons, in the order in which a datagram meets them.
const (
	kept Drop = iota
	// DropNotSTUN is a datagram that is neither STUN nor ChannelData.
	DropNotSTUN
	// DropLength is a STUN length field that disagrees with the datagram.
	DropLength
	// DropTooLong is a request, or a packet of a peer, that is larger than any honest one.
	DropTooLong
	// DropAttribute is an attribute that leaves the message, or has the wrong size.
	DropAttribute
	// DropFingerprint is a FINGERPRINT that does not fit (RFC 8489 section 14.7).
	DropFingerprint
	// DropMethod is a method or class that a TURN server does not serve, or not here: a
	// Send indication to a TCP allocation.
	DropMethod
	// DropChannelData is ChannelData that claims more data than there is.
	DropChannelData
	// DropAllocation is media from a client that has no allocation.
	DropAllocation
	// DropChannel is ChannelData on a channel that is not bound, or no longer.
	DropChannel
	// DropPermission is a Send indication to a peer without permission.
	DropPermission
	// DropUnsolicited is a packet, or a connection, from a peer without permission.
	DropUnsolicited
	// DropPeer is a packet to or from a peer that the policy refuses, or its connection.
	DropPeer
	// DropFamily is a packet to a peer of another address family than the relay's.
	DropFamily
	// DropMaxBPS is a packet above an allocation's max_bps.
	DropMaxBPS
	// DropCapacity is a packet above bps_capacity.
	DropCapacity
	// DropRate is a request of a source that has had its share of answers: see
	// error_rate and binding_rate.
	DropRate
	// DropBudget is a stranger's request while all strangers together have had theirs.
	DropBudget
	// DropSend is a packet that the system did not take.
	DropSend
	// DropFrame is a connection that ended for what it carried: neither STUN nor ChannelData.
	DropFrame
	// DropCrowded is a connection that was one too many: in all, from its source, or
	// with peers of an allocation.
	DropCrowded
	// DropHello is a ClientHello on the DTLS port that is broken, in fragments or
	// replayed, or wants DTLS 1.0.
	DropHello
	// DropCookie is a ClientHello with a cookie that is stale, or another client's.
	DropCookie
	// DropHandshake is a DTLS handshake that failed or took too long.
	DropHandshake
	// DropRecord is a datagram on the DTLS port that no association has a use for.
	DropRecord
	// DropQueue is a datagram of a DTLS client that sends faster than we decrypt.
	DropQueue

	dropCount
)

var dropNames = [dropCount]string{
	"", "not_stun", "length", "too_long", "attribute", "fingerprint", "method",
	"channel_data", "allocation", "channel", "permission", "unsolicited", "peer", "family",
	"max_bps", "bps_capacity", "rate", "budget", "send", "frame", "crowded",
	"hello", "cookie", "handshake", "record", "queue",
}

// String returns the label, "not_stun".
func (d Drop) String() string { return dropNames[d] }

// Refusal is why a request was answered with an error.
type Refusal uint8

// The reasons, with the STUN error code that the client sees.
const (
	accepted Refusal = iota
	// RefusedMalformed: 400, an attribute is missing or makes no sense.
	RefusedMalformed
	// RefusedUnsigned: 401, the challenge to a request without a credential.
	RefusedUnsigned
	// RefusedNonce: 438, the nonce is not ours (we were restarted), or not this client's.
	RefusedNonce
	// RefusedCredential: 401, unknown user or wrong password.
	RefusedCredential
	// RefusedExpired: 401, the credential is over, and this would be a new allocation.
	RefusedExpired
	// RefusedTooFar: 401, the credential claims to last longer than we would ever grant.
	RefusedTooFar
	// RefusedRevoked: 401, the member has left, and this would be a new allocation.
	RefusedRevoked
	// RefusedPeer: 403, the peer policy.
	RefusedPeer
	// RefusedChannel: 403, a channel for a TCP allocation, which has none.
	RefusedChannel
	// RefusedAttribute: 420, an attribute that must be understood and is not.
	RefusedAttribute
	// RefusedMismatch: 437, no allocation where there must be one, or one where there must be none.
	RefusedMismatch
	// RefusedStaleNonce: 438, asked to try again with a fresh nonce.
	RefusedStaleNonce
	// RefusedFamily: 440, no relayed address of the family that was asked for.
	RefusedFamily
	// RefusedUser: 441, the allocation is another user's.
	RefusedUser
	// RefusedTransport: 442, a relayed transport other than UDP and, with tcp_relay, TCP.
	RefusedTransport
	// RefusedPeerFamily: 443, the peer's family is not the relayed address's.
	RefusedPeerFamily
	// RefusedConnected: 446, the allocation has a connection with this peer already.
	RefusedConnected
	// RefusedConnection: 447, the peer does not answer, or refuses.
	RefusedConnection
	// RefusedUserQuota: 486, user_quota.
	RefusedUserQuota
	// RefusedTotalQuota: 486, total_quota.
	RefusedTotalQuota
	// RefusedNoPort: 508, every relay port is taken.
	RefusedNoPort
	// RefusedReservation: 508, the token is not valid, or too many ports are reserved.
	RefusedReservation
	// RefusedAlternate: 300, no new allocations before the end, but another server has
	// room (Server.Drain).
	RefusedAlternate
	// RefusedDraining: 508, no new allocations before the end, and no other server is known.
	RefusedDraining
	// RefusedTooMany: 508, the allocation has all the permissions, channels or peer
	// connections it may have.
	RefusedTooMany

	refusalCount
)

// unauthenticated is short, as coturn has it: who asks may not be who hears it.
const unauthenticated = "Unauthorized"

var refusals = [refusalCount]struct {
	code   int
	name   string
	phrase string // RFC 8489 section 14.8, RFC 8656 section 19, RFC 6062 section 6.3
}{
	{},
	{400, "malformed", "Bad Request"},
	{401, "unsigned", unauthenticated},
	{438, "nonce", "Stale Nonce"},
	{401, "credential", unauthenticated},
	{401, "expired", unauthenticated},
	{401, "too_far", unauthenticated},
	{401, "revoked", unauthenticated},
	{403, "peer", "Forbidden"},
	{403, "channel", "Forbidden"},
	{420, "attribute", "Unknown Attribute"},
	{437, "mismatch", "Allocation Mismatch"},
	{438, "stale_nonce", "Stale Nonce"},
	{440, "family", "Address Family not Supported"},
	{441, "user", "Wrong Credentials"},
	{442, "transport", "Unsupported Transport Protocol"},
	{443, "peer_family", "Peer Address Family Mismatch"},
	{446, "connected", "Connection Already Exists"},
	{447, "connection", "Connection Timeout or Failure"},
	{486, "user_quota", "Allocation Quota Reached"},
	{486, "total_quota", "Allocation Quota Reached"},
	{508, "no_port", "Insufficient Capacity"},
	{508, "reservation", "Insufficient Capacity"},
	{300, "alternate", "Try Alternate"},
	{508, "draining", "Insufficient Capacity"},
	{508, "too_many", "Insufficient Capacity"},
}

// String returns the label, "user_quota".
func (r Refusal) String() string { return refusals[r].name }

// suspicious reports whether this is what somebody gets who guesses credentials. Honest
// clients get the other 401 all the time.
func (r Refusal) suspicious() bool { return r == RefusedCredential || r == RefusedTooFar }

// ordinary reports whether honest clients get this in the course of things: nonces age.
func (r Refusal) ordinary() bool { return r == RefusedNonce || r == RefusedStaleNonce }

// Code returns the STUN error code that the client sees.
func (r Refusal) Code() int { return refusals[r].code }

// refusalOf names a code that the engine chose by itself.
func refusalOf(code int) Refusal {
	for r := RefusedMalformed; r < refusalCount; r++ {
		if refusals[r].code == code {
			return r
		}
	}
	return RefusedMalformed
}
