package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/relay/tcp"
)

// dataBuffer is what is read at once from a peer.
const dataBuffer = 16 << 10

// halfClosedTimeout ends a data connection of which one side has said that it will
// send no more, and the other says nothing.
const halfClosedTimeout = 2 * time.Minute

// peerConn is a connection with a peer, in either direction, and later the client's
// connection that is bound to it (RFC 6062 sections 5.2 to 5.5). A goroutine of its own,
// serve, has it from beginning to end, and carries what the peer sends; what the client
// sends is carried by the reader of the client's connection.
type peerConn struct {
	allocation  *allocation
	peer        netip.AddrPort
	id          uint32
	transaction [12]byte // of the Connect; zero if the peer connected

	// Guarded by peerConns; once the state says that they are there, they stay.
	state  peerState
	conn   *net.TCPConn
	client *stream

	bound      chan struct{} // closed when the client has the answer to its ConnectionBind
	clientDone chan struct{} // closed when nothing more comes from the client
	done       chan struct{} // closed when both connections are

	halfClosed atomic.Bool
	over       chan struct{} // closed by interrupt
}

func newPeerConn(a *allocation, peer netip.AddrPort) *peerConn {
	return &peerConn{
		allocation: a, peer: peer,
		bound: make(chan struct{}), clientDone: make(chan struct{}), done: make(chan struct{}),
		over: make(chan struct{}),
	}
}

// interrupt ends the connection: who reads or writes for it stops, and serve closes
// it. It does not block, and is called with the lock of peerConns.
func (c *peerConn) interrupt() {
	select {
	case <-c.over:
		return
	default:
	}
	close(c.over)
	if c.conn != nil {
		_ = c.conn.SetDeadline(longAgo)
	}
	if c.client != nil {
		_ = c.client.conn.SetDeadline(longAgo)
	}
}

var longAgo = time.Unix(1, 0)

// serve waits for a client once begin has made the connection, and carries what the
// peer sends.
func (c *peerConn) serve(begin func() bool) {
	defer c.allocation.shard.server.relays.Done()
	defer close(c.done)
	defer c.allocation.tcp.all.remove(c)
	if !begin() {
		return
	}
	if !c.awaitBind() {
		abort(c.conn)
		return
	}
	a := c.allocation
	buf := make([]byte, dataBuffer)
	c.carry(c.client.conn, c.conn, c.conn, buf, func(size int) {
		a.fromPeers.add(size)
	}, &a.down, &a.shard.server.capacityDown)
	<-c.clientDone
	_ = c.conn.Close()
	_ = c.client.conn.Close() // the slower one, over TLS
}

// awaitBind reports whether a client has bound the connection in time.
func (c *peerConn) awaitBind() bool {
	all := c.allocation.tcp.all
	timer := time.NewTimer(all.bindTimeout)
	defer timer.Stop()
	select {
	case <-c.bound:
		return true
	case <-timer.C:
	case <-c.over:
	}
	if !all.isBound(c) {
		return false
	}
	<-c.bound // is being answered
	return true
}

// bindConnection answers the pending ConnectionBind. After a success the connection
// carries data.
func (s *shard) bindConnection() {
	p := &s.pending
	c, refusal := s.server.peerConns.bind(p.connection, p.grant.user, s.socket.conn.(*stream))
	if refusal != accepted {
		s.refuse(refusal)
		return
	}
	s.reply(p.scratch.start(methodConnectionBind|classSuccess, p.transaction))
	s.bound = c
}

// relayData carries what the client sends until the data connection is over. What
// came right behind the ConnectionBind request is part of it.
func (s *shard) relayData(buf []byte) {
	c, a := s.bound, s.bound.allocation
	s.bound = nil
	if inner := tcpConn(c.client.conn); inner != nil {
		_ = tcp.Bound(inner)
	}
	c.setDeadline(c.client.conn.SetDeadline, time.Time{})
	close(c.bound)
	c.carry(c.conn, c.client.conn, c.client.in, buf, s.received.add, &a.up, &s.server.capacityUp)
	close(c.clientDone)
	<-c.done
}

// carry passes on what arrives in from, which is read through in, until its end, and
// tells to of that. A full to makes it wait, and with it the sender.
func (c *peerConn) carry(to, from net.Conn, in io.Reader, buf []byte, arrived func(size int), d *direction, capacity *bucket) {
	for {
		if c.halfClosed.Load() {
			c.setDeadline(from.SetReadDeadline, time.Now().Add(c.allocation.tcp.all.halfClosedTimeout))
		}
		size, err := in.Read(buf)
		if size > 0 {
			arrived(size)
			if !c.pace(&d.bucket, size) || !c.pace(capacity, size) {
				return
			}
			if _, err := to.Write(buf[:size]); err != nil {
				c.end()
				return
			}
			d.relayed.add(size)
		}
		if errors.Is(err, io.EOF) {
			c.halfClose(to)
			return
		}
		if err != nil {
			c.end()
			return
		}
	}
}

// halfClose passes the end of one direction on. The other may go on, while it does
// something.
func (c *peerConn) halfClose(to net.Conn) {
	half, ok := to.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.end()
		return
	}
	c.halfClosed.Store(true)
	c.setDeadline(to.SetReadDeadline, time.Now().Add(c.allocation.tcp.all.halfClosedTimeout))
}

// end interrupts both directions.
func (c *peerConn) end() { c.allocation.tcp.all.interrupt(c) }

// setDeadline keeps an interrupted connection interrupted.
func (c *peerConn) setDeadline(set func(time.Time) error, at time.Time) {
	_ = set(at)
	select {
	case <-c.over:
		_ = set(longAgo)
	default:
	}
}

// pace waits until size bytes may pass. It reports false if the connection is over
// before.
func (c *peerConn) pace(b *bucket, size int) bool {
	for {
		wait := b.delay(size, c.allocation.shard.server.clock())
		if wait == 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.over:
			timer.Stop()
			return false
		}
	}
}

// isStream reports whether the client's connection may be part of a TCP relay
// (RFC 6062 sections 5.1 and 5.4).
func (s *shard) isStream() bool {
	_, ok := s.socket.conn.(*stream)
	return ok && (s.transport == "tcp" || s.transport == "tls")
}

// controlOf returns the client whose nonce a ConnectionBind request may bear beside its
// own: clients go on with that of the control connection.
func (s *shard) controlOf(r *request) (netip.AddrPort, bool) {
	if r.method != methodConnectionBind {
		return netip.AddrPort{}, false
	}
	return s.server.peerConns.owner(r.connection)
}
