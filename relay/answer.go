package relay

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// answer turns the engine's answer to the pending request into the one that the
// RFCs want: the engine says 400 for a wrong password, nothing for a forbidden
// peer, and does not sign errors, which makes clients ignore them.
func (s *shard) answer(packet []byte) []byte {
	p := &s.pending
	if !p.active {
		return packet // Binding
	}
	p.answered = true
	if messageType(packet)&classMask == classSuccess {
		switch p.method {
		case methodRefresh:
			p.allocation.extend(p.began.Add(p.grantedLifetime()))
		case methodAllocate:
			return s.addToken(packet)
		case methodCreatePermission, methodChannelBind:
			p.allocation.grant(&p.request)
		}
		return packet
	}
	if p.refusal == accepted {
		code := errorCode(packet)
		switch {
		case code == 401:
			return packet // a challenge, with the engine's nonce
		case code == 438:
			s.server.stats.refuse(RefusedStaleNonce)
			return packet
		}
		p.refusal = refusalOf(code)
	}
	return s.refuse(p.refusal)
}

// extend notes that the engine has set its timer anew.
func (a *allocation) extend(deadline time.Time) { a.deadline.Store(deadline.UnixNano()) }

// addToken puts RESERVATION-TOKEN before the engine's MESSAGE-INTEGRITY, its last
// attribute, into the answer to an Allocate that reserved a port. A
// retransmission gets the same.
func (s *shard) addToken(packet []byte) []byte {
	a := s.find(s.pending.client)
	if a == nil || a.token == (token{}) {
		return packet
	}
	m := append(s.scratch[:0], packet[:len(packet)-4-integritySize]...)
	s.scratch = m.add(attrReservationToken, a.token[:]).sign(s.pending.grant.key)
	return s.scratch
}

// refuse writes the error answer to the pending request. Whoever has proved
// to know a key gets it signed.
func (s *shard) refuse(reason Refusal) message {
	p := &s.pending
	s.server.stats.refuse(reason)
	m := s.scratch.start(p.method|classError, p.transaction)
	m = m.addError(reason.Code(), refusals[reason].phrase)
	switch {
	case reason.Code() == 401:
		// The engine found this nonce good; the client may go on using it.
		m = m.add(attrRealm, []byte(s.server.auth.realm))
		m = m.add(attrNonce, p.echo)
	case reason == RefusedAttribute:
		var types []byte
		for _, kind := range p.unknown[:p.unknownCount] {
			types = binary.BigEndian.AppendUint16(types, kind)
		}
		m = m.add(attrUnknownAttributes, types)
	}
	if p.signed && reason.Code() != 401 {
		m = m.sign(p.grant.key)
	}
	if p.active && p.mac != nil && reason != RefusedPeer {
		s.server.log.refused(p.client, p.grant.user, reason)
	}
	s.scratch = m
	return m
}

// reject answers a request that the engine never sees.
func (s *shard) reject(client netip.AddrPort, reason Refusal) {
	s.send(s.refuse(reason), client)
	s.pending = pending{echo: s.pending.echo[:0]}
}

func errorCode(packet []byte) int {
	value, ok := attribute(packet, attrErrorCode)
	if !ok || len(value) < 4 {
		return 0
	}
	return int(value[2])*100 + int(value[3])
}
