package relay

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// shard is one listening UDP socket, or one client's connection, and the engine
// that reads it. Everything a request causes, from ReadFrom to the answer's WriteTo, happens on the engine's
// reading goroutine: pending and the buffers need no lock.
type shard struct {
	server    *Server
	socket    *socket
	local     *net.UDPAddr
	transport string // "udp", "tcp" or "tls"
	ended     func() // called once the reader has
	closed    atomic.Bool

	// allocations are the live ones by client; the 5-tuple's other half is this
	// socket. Its lock is a leaf: whoever holds it calls nobody.
	mu          sync.Mutex
	allocations map[netip.AddrPort]*allocation

	// The reader's.
	pending pending
	address net.UDPAddr // of the sender of a datagram that makes no allocation
	octets  [16]byte
	scratch message
}

func newShard(server *Server, conn udpConn, local *net.UDPAddr, transport string) *shard {
	return &shard{
		server:      server,
		socket:      newSocket(conn),
		local:       local,
		transport:   transport,
		ended:       server.readers.Done,
		allocations: make(map[netip.AddrPort]*allocation),
	}
}

// busy reports whether there are allocations.
func (s *shard) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.allocations) > 0
}

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

// ReadFrom gives the engine the next datagram that passes the gate, with the
// requests of users we know in canonical form.
func (s *shard) ReadFrom(buf []byte) (int, net.Addr, error) {
	s.settle()
	for {
		n, client, err := s.socket.read(buf)
		if err != nil {
			s.closed.Store(true)
			s.ended()
			return 0, nil, err
		}
		s.server.stats.fromClients.add(n)
		if n = s.admit(buf, n, client); n > 0 {
			return n, s.sender(client), nil
		}
	}
}

// sender returns the address in the engine's form. The engine keeps that of an
// Allocate; for all else one piece of memory serves every datagram.
func (s *shard) sender(client netip.AddrPort) net.Addr {
	if s.pending.active && s.pending.method == methodAllocate {
		return udpAddr(client)
	}
	s.address.IP = append(s.octets[:0], client.Addr().AsSlice()...)
	s.address.Port = int(client.Port())
	s.address.Zone = client.Addr().Zone()
	return &s.address
}

// admit decides on a datagram in buf and returns how many bytes the engine shall see.
func (s *shard) admit(buf []byte, n int, client netip.AddrPort) int {
	p := &s.pending
	size, drop := p.decode(buf[:n])
	if drop != kept {
		s.server.stats.drop(drop)
		if drop == DropAttribute && p.class == classRequest {
			s.reject(client, RefusedMalformed)
		}
		return 0
	}
	if p.channelData || p.class == classIndication {
		return size
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

// WriteTo sends what the engine says to a client.
func (s *shard) WriteTo(packet []byte, to net.Addr) (int, error) {
	size := len(packet)
	if isResponse(packet) {
		packet = s.answer(packet)
	}
	s.send(packet, addrPort(to))
	return size, nil
}

// send counts what the system does not take; nobody could do more about it.
func (s *shard) send(packet []byte, client netip.AddrPort) {
	n, err := s.socket.conn.WriteToUDPAddrPort(packet, client)
	if err != nil {
		s.server.stats.drop(DropSend)
		return
	}
	s.server.stats.toClients.add(n)
}

func (s *shard) find(client netip.AddrPort) *allocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allocations[client]
}

func (s *shard) remember(a *allocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allocations[a.client] = a
}

// forget removes a, but not the allocation that came after it.
func (s *shard) forget(a *allocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.allocations[a.client] == a {
		delete(s.allocations, a.client)
	}
}

// Close closes the socket; the engine then closes the allocations.
func (s *shard) Close() error {
	s.socket.close()
	return nil
}

// LocalAddr is half of the engine's 5-tuples.
func (s *shard) LocalAddr() net.Addr { return s.local }

// SetDeadline does nothing: the engine never sets one.
func (s *shard) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *shard) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *shard) SetWriteDeadline(time.Time) error { return nil }
