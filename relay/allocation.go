package relay

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/relay/udp"
)

// End is why an allocation ended. It is the label of a counter, and in the log.
type End uint8

// The reasons.
const (
	// EndExpired: the client did not refresh it.
	EndExpired End = iota
	// EndReleased: the client asked for it.
	EndReleased
	// EndClosed: so has the client's connection.
	EndClosed
	// EndRevoked: the member has left (Server.Revoke).
	EndRevoked
	// EndShutdown: so has the relay.
	EndShutdown

	endCount
)

// String returns the label, "released".
func (e End) String() string {
	return [endCount]string{"expired", "released", "closed", "revoked", "shutdown"}[e]
}

// allocation is one relayed address: the socket that packets are relayed through,
// and where they may go. To the engine it is the relay socket, which the engine owns
// but neither reads nor writes. It lives from shard.relayOn to Close, which the
// engine calls exactly when it forgets the allocation: no other event is needed.
type allocation struct {
	shard   *shard
	family  *family
	at      *mapping
	user    user
	auth    *authenticator // that let it be made
	client  netip.AddrPort
	dest    netip.Addr     // that the client sends to, see socket
	from    udp.Source     // the same, for what goes to the client
	local   netip.AddrPort // of the socket
	relayed netip.AddrPort // what peers see
	began   time.Time

	socket    *socket
	localAddr *net.UDPAddr
	closing   sync.Once

	tcp *tcpRelay // nil: it relays UDP

	token token // of the reservation that came with it

	// deadline is when the engine's timer will fire, never later (Unix nanoseconds).
	deadline atomic.Int64
	// released is set once the client has asked for the end, revoked once the end has
	// been asked for by Revoke.
	released, revoked atomic.Bool

	// routes are replaced by the shard's reader and read for each packet.
	routes atomic.Pointer[routes]

	_ cacheLine
	// up is from the client to peers, of the shard's reader; down from peers to the
	// client, of readPeers. TCP connections share all but judged and verdict.
	up, down direction
	// fromPeers counts the packets that routes and policy let in, and their data.
	fromPeers counter
	_         cacheLine
}

// admits reports whether there is room for the permissions and the channel that the
// request wants.
func (a *allocation) admits(r *request) bool {
	limits, now, current := a.shard.pending.settings, a.shard.server.clock(), a.routes.Load()
	return current.admitsPeers(r.peers[:r.peerCount], limits.maxPermissions, now) &&
		(r.method != methodChannelBind || current.admitsChannel(r.channel, limits.maxChannels, now))
}

// grant gives the allocation the permissions and the channel that the engine has
// just granted, or refreshed. It is called by the shard's reader, before the client
// hears of it.
func (a *allocation) grant(r *request) {
	now, current := a.shard.server.clock(), a.routes.Load()
	switch r.method {
	case methodCreatePermission:
		a.routes.Store(current.permit(r.peers[:r.peerCount], now))
	case methodChannelBind:
		a.routes.Store(current.bind(r.channel, r.peers[0], now))
	}
}

// ReadFrom keeps the engine's relaying goroutine waiting until the socket is closed,
// and ends it. Were it to return, the engine would delete "the allocation of this
// 5-tuple", which may be the next one by then. It holds no lock and has no deferred
// call while it reads.
func (a *allocation) ReadFrom([]byte) (int, net.Addr, error) {
	<-a.socket.closed
	a.shard.server.relays.Done()
	runtime.Goexit()
	return 0, nil, net.ErrClosed
}

// WriteTo does nothing: the engine sees no media, and has nothing to send.
func (a *allocation) WriteTo(packet []byte, _ net.Addr) (int, error) { return len(packet), nil }

// Close frees the socket, the port and the quota. It never fails: the engine
// would leave its other allocations open.
func (a *allocation) Close() error {
	a.closing.Do(func() {
		defer a.shard.server.relays.Done()
		a.socket.close()
		a.family.ports.put(a.local.Port())
		a.at.live.Add(-1)
		a.shard.server.quota.release(a.user)
		a.shard.server.stats.of(a).live.Add(-1)
		a.shard.clients.drop(a)
		why := a.whyEnded()
		a.shard.server.stats.ended[why].Add(1)
		a.shard.server.revoked.drop(a)
		a.shard.server.log.allocationEnded(a, why)
	})
	return nil
}

// LocalAddr is the engine's, for its logs.
func (a *allocation) LocalAddr() net.Addr { return a.localAddr }

// SetDeadline does nothing: the engine never sets one.
func (a *allocation) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (a *allocation) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (a *allocation) SetWriteDeadline(time.Time) error { return nil }

// whyEnded says why it ended.
func (a *allocation) whyEnded() End {
	switch {
	case a.shard.server.stopping.Load():
		return EndShutdown
	case a.revoked.Load():
		return EndRevoked
	case a.released.Load():
		return EndReleased
	case a.shard.closed.Load():
		return EndClosed
	default:
		return EndExpired
	}
}

// extend notes that the engine has set its timer anew.
func (a *allocation) extend(deadline time.Time) { a.deadline.Store(deadline.UnixNano()) }

// expiring reports whether the engine's timer may be about to fire. What
// changes an allocation must not meet it: the engine would panic, or lose the
// allocation that comes next on the same 5-tuple.
func (a *allocation) expiring(now time.Time) bool {
	return now.UnixNano() > a.deadline.Load()-int64(expiryMargin)
}
