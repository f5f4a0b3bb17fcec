package relay

import (
	"time"

	"github.com/duetcall/duet/relay/udp"
)

// expiryMargin keeps requests away from the moment when an allocation expires.
const expiryMargin = 2 * time.Second

// Lifetimes of allocations (RFC 8656 section 7.2). The engine takes one of an
// hour or more for nonsense and gives ten minutes.
const (
	defaultLifetime = 10 * time.Minute
	engineLifetime  = time.Hour - time.Second
)

// grantedLifetime returns how long an allocation may live from now: the requested
// time, raised to 600 s and capped at longest (RFC 8656 section 7.2). A Refresh may
// ask for zero, which ends it.
func (r *request) grantedLifetime(longest time.Duration) time.Duration {
	requested := time.Duration(r.lifetime) * time.Second
	switch {
	case !r.hasLifetime:
		return defaultLifetime
	case requested == 0 && r.method == methodRefresh:
		return 0
	default:
		return min(max(requested, defaultLifetime), longest)
	}
}

// judge decides on the pending request, whose credential is good: the engine would
// now serve anyone. The order of the checks is that of RFC 8656 sections 5 and 7 to 12.
func (s *shard) judge() Refusal {
	p := &s.pending
	switch {
	case p.unknownCount > 0:
		return RefusedAttribute
	case p.method == methodAllocate:
		return s.judgeAllocate()
	case p.method == methodConnectionBind:
		return s.judgeConnectionBind()
	case p.allocation == nil, p.allocation.expiring(p.began), p.allocation.revoked.Load():
		return RefusedMismatch
	case p.allocation.user != p.grant.user:
		return RefusedUser
	}
	switch p.method {
	case methodCreatePermission:
		return s.judgePeers()
	case methodConnect:
		if p.allocation.tcp == nil {
			return RefusedMismatch
		}
		return s.judgePeers()
	case methodChannelBind:
		if p.allocation.tcp != nil {
			return RefusedChannel
		}
		if p.channel < 0x4000 || p.channel > 0x7FFF {
			return RefusedMalformed
		}
		return s.judgePeers()
	default: // Refresh
		if p.family != 0 && (p.family == familyIPv4) != p.allocation.local.Addr().Is4() {
			return RefusedPeerFamily // RFC 8656 section 8.2
		}
		return accepted
	}
}

func (s *shard) judgeAllocate() Refusal {
	p := &s.pending
	switch {
	case p.allocation != nil && p.allocation.user != p.grant.user:
		return RefusedMismatch // the user's own may be a retransmission, which the engine remembers
	case p.allocation == nil && s.server.draining.Load():
		return p.refusedDraining()
	case p.transport == 0,
		p.hasToken && (p.wish != anyPort || p.family != 0):
		return RefusedMalformed
	case p.transport == transportTCP && s.server.relaysTCP:
		if !s.isStream() || p.dontFragment || p.wish != anyPort || p.hasToken {
			return RefusedMalformed // RFC 6062 section 5.1
		}
	case p.transport != transportUDP:
		return RefusedTransport
	}
	switch {
	case p.dontFragment && !udp.CanForbidFragments:
		p.unknown[0], p.unknownCount = attrDontFragment, 1 // RFC 8656 section 7.2
		return RefusedAttribute
	case p.additional != 0 && (p.additional != familyIPv6 || p.family != 0 || p.hasToken || p.wish == portPair):
		return RefusedMalformed // RFC 8656 section 7.2
	case p.family > familyIPv6 || s.server.family(p.family) == nil:
		return RefusedFamily
	}
	now := s.server.now()
	if s.server.revoked.includes(p.grant.user, now) {
		return RefusedRevoked
	}
	return p.settings.auth.opens(p.grant, now)
}

// judgeConnectionBind: only a connection that does nothing else becomes a data
// connection (RFC 6062 section 5.4).
func (s *shard) judgeConnectionBind() Refusal {
	p := &s.pending
	if !p.hasID || p.allocation != nil || !s.isStream() {
		return RefusedMalformed
	}
	return accepted
}

// judgePeers: one forbidden peer spoils the request (RFC 8656 section 9.2).
func (s *shard) judgePeers() Refusal {
	p := &s.pending
	peers := p.peers[:p.peerCount]
	if len(peers) == 0 {
		return RefusedMalformed
	}
	policy := s.server.standing.Load().policy
	for _, peer := range peers {
		if peer.Addr().Is4() != p.allocation.local.Addr().Is4() {
			return RefusedPeerFamily
		}
		allowed, rule := policy.Peer(peer)
		if p.method == methodCreatePermission {
			// The port is ignored here, and may be anything.
			allowed, rule = policy.Address(peer.Addr())
		}
		if !allowed {
			s.server.log.peerRefused(p.client, p.grant.user, peer, rule)
			return RefusedPeer
		}
	}
	if p.method != methodConnect && !p.allocation.admits(&p.request) {
		return RefusedTooMany
	}
	return accepted
}
