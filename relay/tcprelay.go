package relay

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/duetcall/duet/relay/tcp"
)

// Times of RFC 6062 sections 5.2 and 5.3. The first must be at least so long.
const (
	connectTimeout = 30 * time.Second
	bindTimeout    = 30 * time.Second
)

// tcpRelay is the relay socket of a TCP allocation: a listener, and the connections
// that share its port. To the engine the allocation is one like all others, on which no
// packet ever arrives.
type tcpRelay struct {
	listener *net.TCPListener
	ctx      context.Context // ends with the allocation
	cancel   context.CancelFunc

	// all guards the rest.
	all    *peerConns
	conns  map[netip.AddrPort]*peerConn // by peer, as clients know it
	closed bool
}

func newTCPRelay(all *peerConns, listener *net.TCPListener) *tcpRelay {
	r := &tcpRelay{listener: listener, all: all, conns: make(map[netip.AddrPort]*peerConn)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// ReadFromUDPAddrPort is never called: there are no packets.
func (r *tcpRelay) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, net.ErrClosed
}

// WriteToUDPAddrPort is never called: Send indications are dropped before, and there
// are no channels.
func (r *tcpRelay) WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error) { return 0, net.ErrClosed }

// Close frees the port, and ends all connections without waiting for them.
func (r *tcpRelay) Close() error {
	err := r.listener.Close()
	r.cancel()
	r.all.close(r)
	return err
}

// acceptPeers serves peers that connect to the relayed address until the allocation
// is over.
func (a *allocation) acceptPeers() {
	defer a.shard.server.relays.Done()
	AcceptEach(a.tcp.ctx, a.tcp.listener, func(conn net.Conn) {
		inner := conn.(*net.TCPConn)
		if drop := a.acceptPeer(inner); drop != kept {
			a.shard.server.stats.drop(drop)
			abort(inner)
		}
	})
}

// acceptPeer tells the client of a peer that has a permission (RFC 6062 section 5.3).
// What the peer sends meanwhile stays with the kernel, which has a bounded buffer for it.
func (a *allocation) acceptPeer(conn *net.TCPConn) Drop {
	server := a.shard.server
	policy := server.standing.Load().policy
	peer := a.family.toRelayed(streamAddr(conn.RemoteAddr()))
	if !a.routes.Load().permits(peer.Addr(), server.clock()) {
		return DropUnsolicited
	}
	if allowed, _ := policy.Peer(peer); !allowed {
		return DropPeer
	}
	c := newPeerConn(a, peer)
	if _, refusal := server.peerConns.add(c); refusal != accepted {
		return DropCrowded
	}
	server.relays.Add(1)
	go c.serve(func() bool {
		if !server.peerConns.connected(c, conn) {
			abort(conn)
			return false
		}
		m := message(nil).start(methodConnectionAttempt|classIndication, randomTransaction())
		m = m.addConnectionID(c.id)
		m = m.addAddress(attrXORPeerAddress, peer)
		a.shard.send(m, a.from, a.client)
		return true
	})
	return kept
}

// connect begins to connect to a peer, as the pending request wants (RFC 6062 section
// 5.2). The answer comes when the peer has answered; requests go on meanwhile.
func (s *shard) connect() {
	p, server := &s.pending, s.server
	c := newPeerConn(p.allocation, p.peers[0])
	c.transaction = p.transaction
	existing, refusal := server.peerConns.add(c)
	if refusal == RefusedConnected && existing.transaction == p.transaction {
		// A retransmission, as some clients make them over TCP, too.
		if server.peerConns.isConnected(existing) {
			s.reply(existing.success(p.scratch))
		}
		return
	}
	if refusal != accepted {
		s.refuse(refusal)
		return
	}
	end := p.ending()
	end.key = slices.Clone(end.key) // its memory is the next request's
	server.relays.Add(1)
	go c.serve(func() bool { return c.dial(end) })
}

// dial connects to the peer and answers the request.
func (c *peerConn) dial(end ending) bool {
	a, server := c.allocation, c.allocation.shard.server
	ctx, cancel := context.WithTimeout(a.tcp.ctx, connectTimeout)
	defer cancel()
	var h hasher
	conn, err := tcp.Dial(ctx, a.local, a.family.toLocal(c.peer, server.standing.Load()))
	if err != nil {
		server.peerConns.remove(c) // before the client hears of it, and tries again
		server.stats.refuse(RefusedConnection)
		server.log.refused(a.client, a.user, RefusedConnection)
		m := message(nil).start(methodConnect|classError, c.transaction)
		m = m.addError(RefusedConnection.Code(), refusals[RefusedConnection].phrase)
		a.shard.send(seal(m, &h, end), a.from, a.client)
		return false
	}
	if !server.peerConns.connected(c, conn) {
		_ = conn.Close()
		return false
	}
	a.shard.send(seal(c.success(nil), &h, end), a.from, a.client)
	return true
}

// success begins the answer to the Connect of this connection.
func (c *peerConn) success(m message) message {
	return m.start(methodConnect|classSuccess, c.transaction).addConnectionID(c.id)
}

// abort closes a connection that has served nobody, and leaves nothing of it behind.
func abort(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

func randomTransaction() (transaction [12]byte) {
	rand.Read(transaction[:])
	return transaction
}
