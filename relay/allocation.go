package relay

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Permissions and channels live as long as the engine's (RFC 8656 sections 9
// and 12), and one allocation may have so many of each.
const (
	permissionLifetime = 5 * time.Minute
	channelLifetime    = 10 * time.Minute
	maxPermissions     = 64
	maxChannels        = 64
)

// Reasons for the end of an allocation, as logged.
const (
	endExpired  = "expired"
	endReleased = "released by the client"
	endShutdown = "shutdown"
	endClosed   = "connection closed"
)

// allocation is one relayed address: the socket that the engine relays
// through, and all that the engine does not keep for us. It lives from
// shard.relayOn to Close, which the engine calls exactly when it forgets the
// allocation: no other event is needed.
type allocation struct {
	shard   *shard
	family  *family
	user    user
	client  netip.AddrPort
	local   netip.AddrPort // of the socket
	relayed netip.AddrPort // what peers see
	began   time.Time

	socket    *socket
	localAddr *net.UDPAddr
	closing   sync.Once

	token token // of the reservation that came with it

	// deadline is when the engine's timer will fire, never later (Unix nanoseconds).
	deadline atomic.Int64
	// released is set once the client has asked for the end.
	released atomic.Bool

	fromClient, fromPeers counter

	// permissions and channels hold when each lapses. They belong to the
	// shard's reader, as does lastPeer, the peer that was judged last.
	permissions map[netip.Addr]time.Time
	channels    map[uint16]time.Time
	lastPeer    netip.AddrPort

	// source, its octets and lastSource belong to the engine's relay goroutine.
	source     net.UDPAddr
	octets     [16]byte
	lastSource netip.AddrPort
}

// WriteTo sends a client's packet to a peer. What the policy refuses is dropped
// here whatever the engine thinks, and counted. The engine gets no error: it
// could do nothing about it.
func (a *allocation) WriteTo(packet []byte, to net.Addr) (int, error) {
	peer := addrPort(to)
	stats := a.shard.server.stats
	a.fromClient.add(len(packet))
	if peer != a.lastPeer || !peer.IsValid() {
		if allowed, _ := a.shard.server.policy.Peer(peer); !allowed {
			stats.drop(DropPeer)
			return len(packet), nil
		}
		if peer.Addr().Is4() != a.local.Addr().Is4() {
			stats.drop(DropFamily)
			return len(packet), nil
		}
		a.lastPeer = peer
	}
	if _, err := a.socket.conn.WriteToUDPAddrPort(packet, a.family.toLocal(peer)); err != nil {
		if errors.Is(err, net.ErrClosed) {
			return 0, err
		}
		stats.drop(DropSend)
		return len(packet), nil
	}
	stats.toPeers.add(len(packet))
	return len(packet), nil
}

// ReadFrom gives the engine the next packet of a peer. The engine's buffer has
// 1,600 bytes; a packet that fills it may have been cut, and is dropped.
//
// When the socket is closed, the goroutine ends here. Were it to return, the
// engine would delete "the allocation of this 5-tuple", which may be the next
// one by then. It holds no lock and has no deferred call while it reads.
func (a *allocation) ReadFrom(buf []byte) (int, net.Addr, error) {
	server := a.shard.server
	for {
		n, source, err := a.socket.read(buf)
		if err != nil {
			server.relays.Done()
			runtime.Goexit()
		}
		server.stats.fromPeers.add(n)
		if n == len(buf) {
			server.stats.drop(DropTooLong)
			continue
		}
		source = a.family.toRelayed(source)
		if source != a.lastSource {
			if allowed, _ := server.policy.Peer(source); !allowed {
				server.stats.drop(DropPeer)
				continue
			}
			a.lastSource = source
			a.source.IP = append(a.octets[:0], source.Addr().AsSlice()...)
			a.source.Port = int(source.Port())
		}
		a.fromPeers.add(n)
		return n, &a.source, nil
	}
}

// Close frees the socket, the port and the quota. It never fails: the engine
// would leave its other allocations open.
func (a *allocation) Close() error {
	a.closing.Do(func() {
		defer a.shard.server.relays.Done()
		a.socket.close()
		a.family.ports.put(a.local.Port())
		a.shard.server.quota.release(a.user)
		a.shard.server.stats.live.Add(-1)
		a.shard.forget(a)
		a.shard.server.log.allocationEnded(a)
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

// endReason says why it ended.
func (a *allocation) endReason() string {
	switch {
	case a.shard.server.stopping.Load():
		return endShutdown
	case a.released.Load():
		return endReleased
	case a.shard.closed.Load():
		return endClosed
	default:
		return endExpired
	}
}

// expiring reports whether the engine's timer may be about to fire. What
// changes an allocation must not meet it: the engine would panic, or lose the
// allocation that comes next on the same 5-tuple.
func (a *allocation) expiring(now time.Time) bool {
	return now.UnixNano() > a.deadline.Load()-int64(expiryMargin)
}

// permit notes that the peers have permissions from now on. It reports false,
// and changes nothing, if they would be too many.
func (a *allocation) permit(peers []netip.AddrPort, now time.Time) bool {
	if len(a.permissions)+len(peers) > maxPermissions {
		forgetLapsed(a.permissions, now)
	}
	added := 0
	for i, peer := range peers {
		if _, has := a.permissions[peer.Addr()]; !has && !containsAddr(peers[:i], peer.Addr()) {
			added++
		}
	}
	if len(a.permissions)+added > maxPermissions {
		return false
	}
	for _, peer := range peers {
		a.permissions[peer.Addr()] = now.Add(permissionLifetime + expiryMargin)
	}
	return true
}

// bind notes a channel, as permit notes permissions.
func (a *allocation) bind(channel uint16, now time.Time) bool {
	if len(a.channels) == maxChannels {
		forgetLapsed(a.channels, now)
	}
	if _, has := a.channels[channel]; !has && len(a.channels) == maxChannels {
		return false
	}
	a.channels[channel] = now.Add(channelLifetime + expiryMargin)
	return true
}

func forgetLapsed[K comparable](table map[K]time.Time, now time.Time) {
	maps.DeleteFunc(table, func(_ K, lapses time.Time) bool { return now.After(lapses) })
}

func containsAddr(peers []netip.AddrPort, addr netip.Addr) bool {
	return slices.ContainsFunc(peers, func(p netip.AddrPort) bool { return p.Addr() == addr })
}
