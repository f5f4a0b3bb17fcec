package relay

import (
	"encoding/binary"

	"github.com/duetcall/duet/addrlimit"
)

// algorithmOffer is PASSWORD-ALGORITHMS, the best first (RFC 8489 section 14.11).
var algorithmOffer = []byte{0, byte(algorithmSHA256), 0, 0, 0, byte(algorithmMD5), 0, 0}

// answer turns what the engine says to the request into the client's answer: the
// engine knows one user, says nothing of a forbidden peer, and does not sign errors,
// which makes clients ignore them.
func (s *shard) answer(packet []byte) {
	p := &s.pending
	if messageType(packet)&classMask == classSuccess {
		p.answered = true
		if !p.own {
			s.succeed(packet)
		}
		return
	}
	code := errorCode(packet)
	if nonce, ok := attribute(packet, attrNonce); ok && code == RefusedStaleNonce.Code() && !p.retried {
		p.login.nonce = append(p.login.nonce[:0], nonce...)
		p.retry, p.retried = true, true
		return
	}
	p.answered = true
	if p.own {
		return
	}
	if p.refusal != accepted {
		s.refuse(p.refusal)
		return
	}
	s.refuse(refusalOf(code))
}

// succeed passes on the attributes of the engine's answer, all but its
// MESSAGE-INTEGRITY, the last one.
func (s *shard) succeed(packet []byte) {
	p := &s.pending
	m := append(p.scratch[:0], packet[:len(packet)-4-integritySize]...)
	switch p.method {
	case methodRefresh:
		p.allocation.extend(p.began.Add(p.grantedLifetime(p.settings.maxLifetime)))
	case methodCreatePermission, methodChannelBind:
		p.allocation.grant(&p.request)
	case methodAllocate:
		m = s.addAllocation(m)
	}
	s.reply(m)
}

// addAllocation adds what the engine does not know of an allocation. A
// retransmission gets the same.
func (s *shard) addAllocation(m message) message {
	p := &s.pending
	a := s.find(p.client)
	if a == nil {
		return m
	}
	if a.token != (token{}) {
		m = m.add(attrReservationToken, a.token[:])
	}
	if p.additional != 0 {
		// An allocation has one relayed address; this says so (RFC 8656 section 7.2).
		missing := byte(familyIPv6)
		if a.local.Addr().Is6() {
			missing = familyIPv4
		}
		m = m.addAddressError(missing, RefusedFamily.Code(), refusals[RefusedFamily].phrase)
	}
	return m
}

// refuse answers with an error, unless there have been too many: see limits.
func (s *shard) refuse(reason Refusal) {
	p, server := &s.pending, s.server
	if !p.known(reason) {
		if drop := s.allow(p.settings.limits.errors); drop != kept {
			s.ignore(drop)
			return
		}
	}
	server.stats.refuse(reason)
	m := p.scratch.start(p.method|classError, p.transaction)
	m = m.addError(reason.Code(), refusals[reason].phrase)
	switch {
	case reason.challenges():
		m = s.addChallenge(m)
	case reason == RefusedAttribute:
		m = p.addUnknown(m)
	case reason == RefusedAlternate:
		m = m.addPlainAddress(attrAlternateServer, p.settings.alternates.pick(p.client.Addr()))
	}
	if p.mac != nil && reason != RefusedPeer {
		server.log.refused(p.client, p.grant.user, reason)
	}
	p.proved = p.proved && !reason.challenges()
	s.reply(m)
}

// firstAnswers is how many answers a connection has before its source's rate counts. Its
// client is where it says it is, and over one address of a network many may come at once.
const firstAnswers = 4

// allow takes one answer to a stranger from the budgets, or says which is used up.
func (s *shard) allow(perSource *addrlimit.Rate) Drop {
	p := &s.pending
	if s.isStream() && s.answers < firstAnswers {
		s.answers++
		perSource = nil
	}
	return p.settings.limits.answer(perSource, p.client.Addr(), p.began)
}

// ignore leaves the pending request unanswered. Over UDP the client asks again; over TCP
// and TLS it would wait for ever, so that a stranger's connection ends.
func (s *shard) ignore(drop Drop) {
	s.server.stats.drop(drop)
	if s.isStream() && s.find(s.pending.client) == nil {
		_ = s.socket.conn.Close()
	}
}

// known reports whether the client is no stranger: it has a credential and, if its
// nonce is old, which somebody else may have replayed, an allocation.
func (p *progress) known(reason Refusal) bool {
	return p.proved && (reason != RefusedStaleNonce || p.allocation != nil)
}

// challenges reports whether the answer must tell how to authenticate (RFC 8489
// section 9.2.4). Such answers are not signed.
func (r Refusal) challenges() bool { return r.Code() == 401 || r.Code() == 438 }

func (s *shard) addChallenge(m message) message {
	p, server := &s.pending, s.server
	m = m.addText(attrRealm, nil, p.settings.auth.realm)
	m = m.add(attrNonce, p.settings.nonces.issue(p.fresh[:0], &p.hash, p.client, server.now()))
	if p.settings.auth.offersSHA256 {
		m = m.add(attrPasswordAlgorithms, algorithmOffer)
	}
	return m
}

// addUnknown names the attributes that must be understood (RFC 8489 section 14.13).
func (e *exchange) addUnknown(m message) message {
	var types [2 * maxUnknown]byte
	for i, kind := range e.unknown[:e.unknownCount] {
		binary.BigEndian.PutUint16(types[2*i:], kind)
	}
	return m.add(attrUnknownAttributes, types[:2*e.unknownCount])
}

// reply finishes an answer and sends it: signed as the request was, if that proved
// to know a key, and with a FINGERPRINT if that had one.
func (s *shard) reply(m message) {
	p := &s.pending
	p.scratch = seal(m, &p.hash, p.ending())
	s.send(p.scratch, s.from(), p.client)
}

// ending is what ends an answer.
type ending struct {
	software          string
	key               []byte // nil: it is not signed
	long, fingerprint bool
}

func (e *exchange) ending() ending {
	end := ending{software: e.settings.software, long: e.long, fingerprint: e.fingerprint}
	if e.proved {
		end.key = e.grant.key
	}
	return end
}

// seal finishes an answer.
func seal(m message, h *hasher, end ending) message {
	if end.software != "" {
		m = m.addText(attrSoftware, nil, end.software)
	}
	if end.key != nil {
		m = m.sign(h, end.key, end.long)
	}
	if end.fingerprint {
		m = m.addFingerprint()
	}
	return m
}

func errorCode(packet []byte) int {
	value, ok := attribute(packet, attrErrorCode)
	if !ok || len(value) < 4 {
		return 0
	}
	return int(value[2])*100 + int(value[3])
}
