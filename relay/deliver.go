package relay

import (
	"net/netip"
	"sync"
)

// maxPacket is what a peer's packet may have to be passed on: headroom, data and
// padding make 64 KiB. Nothing larger would fit a datagram to the client.
const maxPacket = 1<<16 - headroom

// packetBuffers are those of the relay sockets' readers. They go from ended
// allocations to new ones.
type packetBuffers struct{ pool sync.Pool }

func (b *packetBuffers) get() *[headroom + maxPacket]byte {
	if buf, ok := b.pool.Get().(*[headroom + maxPacket]byte); ok {
		return buf
	}
	return new([headroom + maxPacket]byte)
}

// readPeers passes peers' packets to the client until the socket is closed. It is
// the only reader of the relay socket.
func (a *allocation) readPeers() {
	server := a.shard.server
	defer server.relays.Done()
	buf := server.buffers.get()
	defer server.buffers.pool.Put(buf)
	for {
		size, source, err := a.socket.read(buf[headroom:])
		if err != nil {
			return
		}
		if drop := a.toClient(buf[:], size, source); drop != kept {
			server.stats.drop(drop)
		}
	}
}

// toClient wraps the packet of size bytes at buf[headroom:] and sends it to the
// client: as ChannelData if a channel is bound to the peer, which the client then
// expects, else as a Data indication (RFC 8656 sections 11.3 and 12.7).
//
// A channel lets its peer in for as long as it is bound, also when the permission that
// came with it has lapsed. Section 11.3 asks for the permission, but clients refresh
// what they have every 500 s and know nothing of permissions (aioice): their calls
// would be deaf from 300 s on. coturn and pion let the peer in as well.
func (a *allocation) toClient(buf []byte, size int, source netip.AddrPort) Drop {
	if size == maxPacket {
		return DropTooLong // and perhaps cut
	}
	server := a.shard.server
	peer, now, routes := a.family.toRelayed(source), server.clock(), a.routes.Load()
	number, bound := routes.channel(peer, now)
	if !bound && !routes.permits(peer.Addr(), now) {
		return DropUnsolicited
	}
	if drop := a.judge(&a.down, peer); drop != kept {
		return drop
	}
	a.fromPeers.add(size)
	if drop := a.shape(&a.down, &server.capacityDown, size, now); drop != kept {
		return drop
	}
	var packet []byte
	if bound {
		packet = wrapChannelData(buf, size, number)
	} else {
		packet = wrapData(buf, size, peer)
	}
	if _, err := a.shard.socket.write(packet, a.from, a.client); err != nil {
		return DropSend
	}
	a.down.relayed.add(len(packet))
	return kept
}
