package relay

import (
	"net/netip"
	"time"
)

// pending is the request that the engine is busy with.
type pending struct {
	request
	active   bool // a request that wants credentials, handed to the engine
	answered bool
	client   netip.AddrPort
	began    time.Time
	echo     []byte // its NONCE, for a 401

	grant      grant
	signed     bool // the grant's key fits
	refusal    Refusal
	allocation *allocation // of this 5-tuple, before the request
}

// exchange decides on what is neither ChannelData nor an indication, or is
// malformed, and returns how many bytes of buf the engine shall see.
func (s *shard) exchange(buf []byte, size int, drop Drop, client netip.AddrPort) int {
	p := &s.pending
	if drop != kept {
		s.server.stats.drop(drop)
		if drop == DropAttribute && p.class == classRequest {
			s.reject(client, RefusedMalformed)
		}
		return 0
	}
	if p.method == methodBinding {
		if p.unknownCount > 0 {
			s.reject(client, RefusedAttribute)
			return 0
		}
		s.server.stats.bindings.Add(1)
		return size
	}
	return s.prepare(buf, size, client)
}

// prepare checks who signed a request. A good one is written anew, with only
// what the engine may see; any other goes to the engine as it is, to be asked for
// credentials, or for fresh ones.
func (s *shard) prepare(buf []byte, size int, client netip.AddrPort) int {
	p := &s.pending
	p.active, p.client, p.began = true, client, time.Now()
	p.echo = append(p.echo[:0], p.nonce...)
	if p.mac == nil {
		s.server.stats.challenges.Add(1)
		return size
	}
	if len(p.username) == 0 || len(p.realm) == 0 || len(p.nonce) == 0 {
		return size // 400, says the engine
	}
	p.allocation = s.find(client)
	if p.grant, p.signed = s.server.auth.authenticate(&p.request); !p.signed {
		return size
	}
	s.scratch = p.canonical(s.scratch, p.grant.key)
	return copy(buf, s.scratch)
}

// settle ends a request. The engine leaves some without an answer, those to
// allocations that do not exist.
func (s *shard) settle() {
	p := &s.pending
	if !p.active {
		return
	}
	if !p.answered && p.signed {
		s.send(s.refuse(RefusedMismatch), p.client)
	}
	*p = pending{echo: p.echo[:0]}
}

// authorize is the engine's question once the nonce proved good.
func (s *shard) authorize() ([]byte, bool) {
	p := &s.pending
	if p.refusal = s.judge(); p.refusal != accepted {
		return nil, false
	}
	if p.method == methodRefresh && p.lifetime == 0 && p.hasLifetime {
		p.allocation.released.Store(true)
	}
	return p.grant.key, true
}
