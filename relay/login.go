package relay

import (
	"crypto/rand"
	"time"
)

// What the engine knows of users: one, with a key that never leaves the process.
// Whom an allocation belongs to is the gate's business.
const (
	engineRealm = "duet"
	engineUser  = "gate"
)

// engineLogin is how one shard signs its requests to its engine.
type engineLogin struct {
	key   [16]byte
	nonce []byte // the engine's, from its last 438
}

func newEngineLogin() engineLogin {
	var l engineLogin
	rand.Read(l.key[:])
	return l
}

// hooks are what the shard's engine needs of it.
func (s *shard) hooks() engineHooks {
	return engineHooks{key: s.pending.login.key[:], allocate: s.allocate}
}

// canonical writes the request anew: what we understood of it, nothing else, under
// the transaction's own id, to which addresses are XOR-ed. So the engine never sees
// an attribute that we did not judge, nor EVEN-PORT, for which it would open and
// reserve ports before looking at a quota, nor a byte of a stranger's.
//
// The first request of all has no nonce: the engine's 438 brings one, and the request
// is repeated, as it is when that nonce has grown stale.
func (e *exchange) canonical(m message, longest time.Duration) message {
	m = m.start(e.method, e.transaction)
	switch e.method {
	case methodAllocate:
		m = m.add(attrRequestedTransport, []byte{transportUDP, 0, 0, 0})
		m = m.addSeconds(e.grantedLifetime(longest))
	case methodRefresh:
		m = m.addSeconds(e.grantedLifetime(longest))
	case methodChannelBind:
		m = m.add(attrChannelNumber, []byte{byte(e.channel >> 8), byte(e.channel), 0, 0})
	}
	for _, peer := range e.peers[:e.peerCount] {
		m = m.addAddress(attrXORPeerAddress, peer)
	}
	m = m.addText(attrUsername, nil, engineUser)
	m = m.addText(attrRealm, nil, engineRealm)
	m = m.add(attrNonce, e.login.nonce)
	return m.sign(&e.hash, e.login.key[:], false)
}
