package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/relay/udp"
)

// shard is one listening UDP socket, or one client's connection, and the engine
// that reads it. Everything a request causes, from ReadFrom to the answer's WriteTo, happens on the engine's
// reading goroutine: pending and the buffers need no lock.
type shard struct {
	server    *Server
	socket    *socket
	local     *net.UDPAddr
	clients   *clientTable
	transport string // "udp", "tcp", "tls" or "dtls"
	ended     func() // called once the reader has
	closed    atomic.Bool

	square *square // of NAT discovery, nil without
	corner byte    // that the socket is of the square

	revokedMu sync.Mutex // a leaf
	revoked   []*allocation

	// The reader's, but for the counters, which anyone may read.
	_        cacheLine
	received counter // datagrams of clients
	answered counter // answers to requests
	answers  int     // to a stranger on a connection, up to firstAnswers
	pending  exchange
	bound    *peerConn   // what the client's connection has just become half of
	source   udp.Source  // of answers to the datagram in hand
	address  net.UDPAddr // of the sender of a datagram that makes no allocation
	octets   [16]byte
}

func newShard(server *Server, conn udpConn, local *net.UDPAddr, transport string) *shard {
	return &shard{
		server:    server,
		socket:    newSocket(conn),
		local:     local,
		clients:   newClientTable(),
		transport: transport,
		ended:     server.readers.Done,
		pending:   exchange{login: newEngineLogin()},
	}
}

// ReadFrom relays what clients send until there is a request, and gives the engine
// that if it passes the gate, in canonical form.
func (s *shard) ReadFrom(buf []byte) (int, net.Addr, error) {
	n := s.settle(buf)
	if n == 0 {
		n = s.endRevoked(buf)
	}
	if n > 0 {
		return n, s.sender(s.pending.client), nil
	}
	for {
		n, client, err := s.socket.read(buf)
		if errors.Is(err, errWoken) {
			if n = s.endRevoked(buf); n > 0 {
				return n, s.sender(s.pending.client), nil
			}
			continue
		}
		if err != nil {
			s.closed.Store(true)
			s.ended()
			return 0, nil, err
		}
		s.received.add(n)
		if isMedia(buf[:n]) {
			s.forward(buf[:n], client)
			continue
		}
		if n = s.admit(buf, n, client); n > 0 {
			return n, s.sender(client), nil
		}
		if s.bound != nil {
			s.relayData(buf)
		}
	}
}

// sender returns the address in the engine's form. The engine keeps that of an
// Allocate; for all else one piece of memory serves every datagram.
func (s *shard) sender(client netip.AddrPort) net.Addr {
	if s.pending.method == methodAllocate {
		return udpAddr(client)
	}
	s.address.IP = append(s.octets[:0], client.Addr().AsSlice()...)
	s.address.Port = int(client.Port())
	s.address.Zone = client.Addr().Zone()
	return &s.address
}

// WriteTo takes what the engine says to the pending request; it says nothing else.
func (s *shard) WriteTo(packet []byte, _ net.Addr) (int, error) {
	if isResponse(packet) && s.pending.asked {
		s.answer(packet)
	}
	return len(packet), nil
}

// send counts what the system does not take; nobody could do more about it.
func (s *shard) send(packet []byte, from udp.Source, client netip.AddrPort) {
	n, err := s.socket.write(packet, from, client)
	if err != nil {
		s.server.stats.drop(DropSend)
		return
	}
	s.answered.add(n)
}

// from is where answers to the datagram in hand leave from: the address of ours that it
// was sent to. It is good until the next one.
func (s *shard) from() udp.Source {
	s.source = udp.AppendSource(s.source[:0], s.socket.dest)
	return s.source
}

// find returns the allocation of the 5-tuple that a client's datagram in hand has, or nil.
func (s *shard) find(client netip.AddrPort) *allocation {
	return s.clients.find(client, s.socket.dest)
}

// Close closes the socket; the engine then closes the allocations.
func (s *shard) Close() error {
	s.socket.close()
	return nil
}

// LocalAddr is half of the engine's 5-tuples: where the request in hand was sent to. The
// engine asks while it serves a request.
func (s *shard) LocalAddr() net.Addr {
	if dest := s.socket.dest; dest.IsValid() {
		return udpAddr(netip.AddrPortFrom(dest, uint16(s.local.Port)))
	}
	return s.local
}

// SetDeadline does nothing: the engine never sets one.
func (s *shard) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *shard) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *shard) SetWriteDeadline(time.Time) error { return nil }
