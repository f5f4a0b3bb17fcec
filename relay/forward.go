package relay

import (
	"net/netip"
	"time"

	"github.com/duetcall/duet/relay/peerpolicy"
)

// forward relays a client's ChannelData or Send indication to the peer. It runs on
// the shard's reader.
func (s *shard) forward(datagram []byte, client netip.AddrPort) {
	if drop := s.toPeer(datagram, client); drop != kept {
		s.server.stats.drop(drop)
	}
}

func (s *shard) toPeer(datagram []byte, client netip.AddrPort) Drop {
	if datagram[0] == typeSend>>8 {
		peer, data, drop := decodeSend(datagram)
		if drop != kept {
			return drop
		}
		a := s.find(client)
		if a == nil {
			return DropAllocation
		}
		now := s.server.clock()
		if a.tcp != nil {
			return DropMethod
		}
		if !a.routes.Load().permits(peer.Addr(), now) {
			return DropPermission
		}
		return a.toPeer(data, peer, now)
	}
	number, data, drop := decodeChannelData(datagram)
	if drop != kept {
		return drop
	}
	a := s.find(client)
	if a == nil {
		return DropAllocation
	}
	now := s.server.clock()
	peer, bound := a.routes.Load().peer(number, now)
	if !bound {
		return DropChannel
	}
	return a.toPeer(data, peer, now)
}

// toPeer sends what the routes let through, if policy and limits do so too.
func (a *allocation) toPeer(data []byte, peer netip.AddrPort, now time.Duration) Drop {
	if drop := a.judge(&a.up, peer); drop != kept {
		return drop
	}
	if drop := a.shape(&a.up, &a.shard.server.capacityUp, len(data), now); drop != kept {
		return drop
	}
	if _, err := a.socket.conn.WriteToUDPAddrPort(data, a.family.toLocal(peer, a.shard.server.standing.Load())); err != nil {
		return DropSend
	}
	a.up.relayed.add(len(data))
	return kept
}

// direction is one of the two ways through an allocation. All but relayed and
// bucket belongs to the goroutine that reads for it.
type direction struct {
	relayed counter // packets that got through, and the bytes of their data
	bucket  bucket  // max_bps

	// judged is the peer that was judged last, by policy; verdict what came of it.
	judged  netip.AddrPort
	policy  *peerpolicy.Policy
	verdict Drop

	_ cacheLine // the other direction is another goroutine's
}

// cacheLine keeps what one goroutine writes for each packet out of the cache lines
// of others. Two of 64 bytes: processors fetch them in pairs.
type cacheLine [128]byte

// judge asks the peer policy, the port included: a permission covers all ports of an
// address. The policy has the last word on each packet, whatever the routes say, and
// after a reload it is the new one.
func (a *allocation) judge(d *direction, peer netip.AddrPort) Drop {
	policy := a.shard.server.standing.Load().policy
	if peer == d.judged && policy == d.policy {
		return d.verdict
	}
	d.judged, d.policy, d.verdict = peer, policy, kept
	if peer.Addr().Is4() != a.local.Addr().Is4() {
		d.verdict = DropFamily
	} else if allowed, _ := policy.Peer(peer); !allowed {
		d.verdict = DropPeer
	}
	return d.verdict
}

// shape holds max_bps and bps_capacity.
func (a *allocation) shape(d *direction, capacity *bucket, size int, now time.Duration) Drop {
	switch {
	case !d.bucket.take(size, now):
		return DropMaxBPS
	case !capacity.take(size, now):
		return DropCapacity
	default:
		return kept
	}
}
