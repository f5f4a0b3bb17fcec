package relay

import (
	"net/netip"
	"time"
)

// exchange is the request in hand, from its arrival to its answer, and the memory
// that this takes. It belongs to the shard's reader.
type exchange struct {
	request
	progress

	hash    hasher
	scratch message
	// keys is where grant.key of a time-limited credential is, fresh where a new
	// nonce is written.
	keys  [32]byte
	fresh [nonceSize]byte
	login engineLogin
}

// progress is what is known of a request beside what it says.
type progress struct {
	client     netip.AddrPort
	began      time.Time
	settings   *settings   // that it is judged by, from beginning to end
	allocation *allocation // of this 5-tuple, before the request

	grant  grant
	proved bool           // the request is signed with the grant's key
	auth   *authenticator // knows the grant

	// own: the request is ours, and nobody waits for an answer.
	own bool
	// asked: the engine has the request. retry: its own nonce was stale, and it
	// will be asked again, once. answered: so has been the client.
	asked, retry, retried, answered bool
	refusal                         Refusal // why allocate failed
}

// admit decides on the datagram of size bytes in buf, which is not media, and returns
// how many bytes of buf the engine shall see: 0, or the request that it stands for.
func (s *shard) admit(buf []byte, size int, client netip.AddrPort) int {
	p := &s.pending
	p.progress = progress{client: client, settings: s.server.settings.Load()}
	drop := p.decode(buf[:size])
	if p.relaysTCP() && !s.server.relaysTCP {
		drop = DropMethod
	}
	if drop != kept {
		s.server.stats.drop(drop)
		if drop != DropAttribute {
			return 0
		}
	}
	p.began = time.Now()
	if drop == DropAttribute {
		s.refuse(RefusedMalformed)
		return 0
	}
	if p.method == methodBinding {
		s.answerBinding()
		return 0
	}
	p.allocation = s.find(client)
	refusal, drop := s.authenticate()
	if drop != kept {
		s.ignore(drop)
		return 0
	}
	if refusal == accepted {
		refusal = s.judge()
	}
	if refusal != accepted {
		s.refuse(refusal)
		return 0
	}
	switch p.method {
	case methodConnect:
		s.connect()
		return 0
	case methodConnectionBind:
		s.bindConnection()
		return 0
	default:
		return s.ask(buf)
	}
}

// ask writes the request for the engine into buf.
func (s *shard) ask(buf []byte) int {
	p := &s.pending
	p.asked, p.retry = true, false
	if p.method == methodRefresh && p.hasLifetime && p.lifetime == 0 {
		p.allocation.released.Store(true)
	}
	p.scratch = p.canonical(p.scratch, p.settings.maxLifetime)
	return copy(buf, p.scratch)
}

// settle ends the request that the engine had, or writes it into buf once more and
// returns its size. The engine leaves some without an answer, those to allocations
// that do not exist.
func (s *shard) settle(buf []byte) int {
	p := &s.pending
	if !p.asked {
		return 0
	}
	if p.retry {
		return s.ask(buf)
	}
	if !p.answered && !p.own {
		s.refuse(RefusedMismatch)
	}
	p.asked = false
	return 0
}
