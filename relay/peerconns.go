package relay

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"
)

// How many connections with peers there may be: of one allocation, and in all.
const (
	maxPeerConns    = 64
	maxAllPeerConns = 4096
)

// peerConns knows the connections with peers of all TCP allocations, so that their
// number is bounded, each is found by its CONNECTION-ID, and all end with their
// allocation. Its lock is a leaf, and guards what they say it does.
type peerConns struct {
	bindTimeout, halfClosedTimeout time.Duration

	mu   sync.Mutex
	byID map[uint32]*peerConn
}

func newPeerConns() *peerConns {
	return &peerConns{bindTimeout: bindTimeout, halfClosedTimeout: halfClosedTimeout, byID: make(map[uint32]*peerConn)}
}

// peerState is how far a connection with a peer has come.
type peerState uint8

const (
	peerConnecting peerState = iota
	peerWaiting              // for a ConnectionBind
	peerBound
	peerLapsed // nobody came
)

// add counts a connection in, before it costs anything. RefusedConnected comes with
// the connection that there is already.
func (p *peerConns) add(c *peerConn) (*peerConn, Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	relay := c.allocation.tcp
	switch existing := relay.conns[c.peer]; {
	case relay.closed:
		return nil, RefusedMismatch
	case existing != nil:
		return existing, RefusedConnected
	case len(relay.conns) >= maxPeerConns, len(p.byID) >= maxAllPeerConns:
		return nil, RefusedTooMany
	}
	for c.id == 0 || p.byID[c.id] != nil {
		c.id = randomID()
	}
	p.byID[c.id] = c
	relay.conns[c.peer] = c
	return c, accepted
}

// connected notes the socket of a connection that has been made. It reports false if
// the allocation is over.
func (p *peerConns) connected(c *peerConn, conn *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.conn, c.state = conn, peerWaiting
	return !c.allocation.tcp.closed
}

// isConnected reports whether a Connect has been answered with success, or is being.
func (p *peerConns) isConnected(c *peerConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.state == peerWaiting || c.state == peerBound
}

// owner returns the control connection's client of a connection that waits.
func (p *peerConns) owner(id uint32) (netip.AddrPort, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byID[id]
	if c == nil || c.state != peerWaiting {
		return netip.AddrPort{}, false
	}
	return c.allocation.client, true
}

// bind gives a waiting connection its client, once (RFC 6062 section 5.4).
func (p *peerConns) bind(id uint32, by user, client *stream) (*peerConn, Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byID[id]
	switch {
	case c == nil || c.state != peerWaiting || c.allocation.tcp.closed:
		return nil, RefusedMalformed
	case c.allocation.user != by:
		return nil, RefusedUser
	}
	c.client, c.state = client, peerBound
	return c, accepted
}

// isBound reports whether a client has, or will have in a moment, the connection; if
// not, it is not to be had any more.
func (p *peerConns) isBound(c *peerConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state != peerBound {
		c.state = peerLapsed
	}
	return c.state == peerBound
}

// remove may be called again: another connection with the peer stays.
func (p *peerConns) remove(c *peerConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if relay := c.allocation.tcp; relay.conns[c.peer] == c {
		delete(relay.conns, c.peer)
	}
	if p.byID[c.id] == c {
		delete(p.byID, c.id)
	}
}

// close ends all connections of one allocation, and lets no other begin.
func (p *peerConns) close(relay *tcpRelay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	relay.closed = true
	for _, c := range relay.conns {
		c.interrupt()
	}
}

// interrupt ends one connection.
func (p *peerConns) interrupt(c *peerConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.interrupt()
}

// count returns how many connections there are.
func (p *peerConns) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byID)
}

func randomID() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}
