package relay

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// bench is a relay with one client, and a peer outside that it may reach.
type bench struct {
	*wireClient
	s       *Server
	peer    *net.UDPConn
	peerAt  netip.AddrPort
	relayed netip.AddrPort
	elapsed atomic.Int64 // what the data plane's clock is put forward
}

func newBench(t *testing.T, change func(*config.Turn)) *bench {
	t.Helper()
	cfg := testConfig()
	cfg.AllowedPeerIP = []config.IPRange{{First: mustAddr("127.0.0.0"), Last: mustAddr("127.255.255.255")}}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{s: s, peer: listenUDP(t, ownLoopback())}
	b.peerAt = addrPort(b.peer.LocalAddr())
	s.clock = func() time.Duration { return time.Duration(b.elapsed.Load()) }
	run(t, s)
	b.wireClient = dial(t, s, "ann", "pass")
	b.relayed = b.allocate()
	return b
}

func (b *bench) advance(d time.Duration) { b.elapsed.Add(int64(d)) }

// arrives reads packets of the peer until it is the one that is wanted.
func (b *bench) arrives(want []byte) bool {
	b.t.Helper()
	buf := make([]byte, 1<<16)
	b.peer.SetReadDeadline(time.Now().Add(patience / 5))
	for {
		n, from, err := b.peer.ReadFromUDPAddrPort(buf)
		if err != nil {
			return false
		}
		if from != b.relayed {
			b.t.Fatalf("came from %s, want %s", from, b.relayed)
		}
		if bytes.Equal(buf[:n], want) {
			return true
		}
	}
}

// receives reads the client's datagrams until a peer's packet comes, and says how it came.
func (b *bench) receives(want []byte) (channel uint16, ok bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience / 5)
	for {
		datagram := b.read(deadline)
		if datagram == nil {
			return 0, false
		}
		if datagram[0]>>6 == 1 {
			if int(binary.BigEndian.Uint16(datagram[2:])) == len(datagram)-4 && bytes.Equal(datagram[4:], want) {
				return binary.BigEndian.Uint16(datagram), true
			}
			continue
		}
		m := &stun.Message{Raw: datagram}
		if m.Decode() != nil || m.Type != stun.NewType(stun.MethodData, stun.ClassIndication) {
			continue
		}
		var from stun.XORMappedAddress
		if from.GetFromAs(m, stun.AttrXORPeerAddress) != nil || from.String() != b.peerAt.String() {
			b.t.Fatalf("Data from %s, want %s", from, b.peerAt)
		}
		if data, err := m.Get(stun.AttrData); err == nil && bytes.Equal(data, want) {
			return 0, true
		}
	}
}

func (b *bench) fromPeer(data []byte) {
	b.t.Helper()
	if _, err := b.peer.WriteToUDPAddrPort(data, b.relayed); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) dropped(reason Drop) uint64 { return b.s.Stats().Dropped[reason] }

// expectDrop runs an action that ends in one packet being dropped for that reason.
func (b *bench) expectDrop(reason Drop, action func()) {
	b.t.Helper()
	before := b.dropped(reason)
	action()
	eventually(b.t, "a packet is dropped for "+reason.String(), func() bool { return b.dropped(reason) > before })
}

func random(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return data
}

// again tries a few times: UDP may lose.
func again(t *testing.T, what string, try func() bool) {
	t.Helper()
	for range 5 {
		if try() {
			return
		}
	}
	t.Fatal("did not arrive: ", what)
}

func TestMediaOfAllSizesAndForms(t *testing.T) {
	b := newBench(t, nil)
	b.want(b.do(methodCreatePermission, toPeer(b.peerAt)), 0)
	sizes := []int{1600, 1601, 2047, 2048, 4096, 9000, 30_000, 60_000, 65_000}
	for size := range 1473 {
		if size < 20 || size%61 == 0 || size > 1460 {
			sizes = append(sizes, size)
		}
	}
	for _, form := range []string{"indications", "channel"} {
		want := uint16(0)
		if form == "channel" {
			want = 0x4FFF
			b.want(b.do(methodChannelBind, channelNumber(want), toPeer(b.peerAt)), 0)
		}
		for _, size := range sizes {
			data := random(size)
			again(t, form+" to the peer", func() bool { b.send(b.peerAt, string(data)); return b.arrives(data) })
			again(t, form+" to the client", func() bool {
				b.fromPeer(data)
				channel, ok := b.receives(data)
				if ok && channel != want {
					t.Fatalf("came on channel %#x, want %#x", channel, want)
				}
				return ok
			})
			if want != 0 {
				again(t, "ChannelData to the peer", func() bool { b.channelData(want, string(data)); return b.arrives(data) })
			}
		}
	}
	// Padding is optional, and none of the data.
	again(t, "padded ChannelData", func() bool { b.write(unhex("4fff 0001 61 000000")); return b.arrives([]byte("a")) })
	stats := b.s.Stats()
	if stats.FromPeers.Bytes < 65_000 || stats.ToPeers.Bytes < 65_000 || stats.ToClients.Bytes < stats.FromPeers.Bytes {
		t.Errorf("a running allocation is not counted: %+v", stats)
	}
}

func TestNothingPassesWithoutPermission(t *testing.T) {
	b := newBench(t, nil)
	stranger := dial(t, b.s, "", "")
	b.expectDrop(DropPermission, func() { b.send(b.peerAt, "no permission") })
	b.expectDrop(DropChannel, func() { b.channelData(0x4000, "no channel") })
	b.expectDrop(DropChannel, func() { b.channelData(0x7FFF, "a reserved number") })
	b.expectDrop(DropAllocation, func() { stranger.send(b.peerAt, "no allocation") })
	b.expectDrop(DropAllocation, func() { stranger.channelData(0x4000, "no allocation") })
	b.expectDrop(DropUnsolicited, func() { b.fromPeer([]byte("unsolicited")) })
	other := listenUDP(t, ownLoopback())
	b.want(b.do(methodCreatePermission, toPeer(b.peerAt)), 0)
	b.expectDrop(DropUnsolicited, func() { other.WriteToUDPAddrPort([]byte("unsolicited"), b.relayed) })
	b.fromPeer([]byte("permitted"))
	for {
		datagram := b.read(time.Now().Add(patience))
		if datagram == nil {
			t.Fatal("the permitted packet did not come")
		}
		if bytes.Contains(datagram, []byte("unsolicited")) {
			t.Fatal("an unsolicited packet reached the client")
		}
		if bytes.Contains(datagram, []byte("permitted")) {
			break
		}
	}
	if got := b.s.Stats().ToPeers.Packets; got != 0 {
		t.Errorf("%d packets to peers", got)
	}
	expectNothing(t, b.peer)
}

func TestPermissionsAndChannelsLapse(t *testing.T) {
	b := newBench(t, nil)
	const number = 0x4001
	hi := []byte("hi")
	viaSend := func() { b.send(b.peerAt, "hi") }
	viaChannel := func() { b.channelData(number, "hi") }
	back := func() { b.fromPeer(hi) }
	toPeerBy := func(way func()) {
		t.Helper()
		again(t, "a packet to the peer", func() bool { way(); return b.arrives(hi) })
	}
	toClientOn := func(want uint16) {
		t.Helper()
		again(t, "a packet to the client", func() bool {
			back()
			channel, ok := b.receives(hi)
			if ok && channel != want {
				t.Fatalf("came on channel %#x, want %#x", channel, want)
			}
			return ok
		})
	}
	b.want(b.do(methodCreatePermission, toPeer(b.peerAt)), 0)
	b.advance(permissionLifetime - 1)
	toPeerBy(viaSend)
	toClientOn(0)
	b.advance(1)
	b.expectDrop(DropPermission, viaSend)
	b.expectDrop(DropUnsolicited, back)

	// A binding brings a permission; media refreshes neither (RFC 8656 section 12.6).
	b.want(b.do(methodChannelBind, channelNumber(number), toPeer(b.peerAt)), 0)
	toPeerBy(viaSend)
	b.advance(permissionLifetime - 1)
	toPeerBy(viaChannel)
	toClientOn(number)
	b.advance(1)
	b.expectDrop(DropPermission, viaSend)
	toPeerBy(viaChannel) // asks for the binding only (section 12.6)
	toClientOn(number)   // and so does the way back, from the bound port
	b.expectDrop(DropUnsolicited, func() {
		listenUDP(t, b.peerAt.Addr()).WriteToUDPAddrPort([]byte("from another port"), b.relayed)
	})

	// CreatePermission refreshes the permission, not the channel.
	b.want(b.do(methodCreatePermission, toPeer(b.peerAt)), 0)
	toClientOn(number)
	b.advance(permissionLifetime - 1)
	toClientOn(number)
	b.want(b.do(methodCreatePermission, toPeer(b.peerAt)), 0)
	b.advance(1)
	b.expectDrop(DropChannel, viaChannel)
	toClientOn(0)

	// ChannelBind refreshes both.
	for range 3 {
		b.want(b.do(methodChannelBind, channelNumber(number), toPeer(b.peerAt)), 0)
		b.advance(permissionLifetime - 1)
		toPeerBy(viaSend)
		toPeerBy(viaChannel)
		toClientOn(number)
	}
}

func TestChannelsAreReboundToTheSamePeerOnly(t *testing.T) {
	b := newBench(t, nil)
	other := listenUDP(t, ownLoopback())
	otherAt := addrPort(other.LocalAddr())
	b.want(b.do(methodChannelBind, channelNumber(0x4000), toPeer(b.peerAt)), 0)
	b.want(b.do(methodChannelBind, channelNumber(0x4000), toPeer(b.peerAt)), 0)
	b.want(b.do(methodChannelBind, channelNumber(0x4000), toPeer(otherAt)), 400)
	b.want(b.do(methodChannelBind, channelNumber(0x4001), toPeer(b.peerAt)), 400)
	b.expectDrop(DropChannel, func() { b.channelData(0x4001, "not bound") })
	b.expectDrop(DropUnsolicited, func() { other.WriteToUDPAddrPort([]byte("a refused binding permits nobody"), b.relayed) })
	again(t, "on the channel", func() bool { b.channelData(0x4000, "bound"); return b.arrives([]byte("bound")) })
	expectNothing(t, other)
	// Another allocation's channels are its own.
	c := dial(t, b.s, "bob", "word")
	c.allocate()
	c.want(c.do(methodChannelBind, channelNumber(0x4000), toPeer(otherAt)), 0)
	again(t, "on the other's channel", func() bool {
		c.channelData(0x4000, "other")
		buf := make([]byte, 100)
		other.SetReadDeadline(time.Now().Add(patience / 5))
		n, _, err := other.ReadFromUDPAddrPort(buf)
		return err == nil && string(buf[:n]) == "other"
	})
}

func TestEachWayHoldsMaxBPS(t *testing.T) {
	b := newBench(t, func(cfg *config.Turn) { cfg.MaxBytesPerSecond = 10_000 })
	holdsLimit(t, b, DropMaxBPS, 10_000)
}

func TestAllTogetherHoldBPSCapacity(t *testing.T) {
	b := newBench(t, func(cfg *config.Turn) { cfg.TotalBytesPerSecond = 10_000 })
	holdsLimit(t, b, DropCapacity, 10_000)
	// Nothing is left for anyone else.
	c := dial(t, b.s, "bob", "word")
	c.allocate()
	c.want(c.do(methodCreatePermission, toPeer(b.peerAt)), 0)
	b.expectDrop(DropCapacity, func() {
		for range 20 { // more than may pass at once
			c.send(b.peerAt, string(random(500)))
			b.channelData(0x4000, string(random(500)))
		}
	})
}

// holdsLimit sends twice the limit, one way and then the other, for ten seconds of
// the data plane's clock.
func holdsLimit(t *testing.T, b *bench, reason Drop, limit uint64) {
	t.Helper()
	b.want(b.do(methodChannelBind, channelNumber(0x4000), toPeer(b.peerAt)), 0)
	const size, seconds, perSecond = 500, 10, 40
	data := random(size)
	for way, send := range map[string]func(){
		"to the peer":   func() { b.channelData(0x4000, string(data)) },
		"to the client": func() { b.fromPeer(data) },
	} {
		before := b.s.Stats()
		passed := func() uint64 { // ToClients counts headers and answers, too
			after := b.s.Stats()
			if way == "to the peer" {
				return after.ToPeers.Packets - before.ToPeers.Packets
			}
			return after.ToClients.Packets - before.ToClients.Packets
		}
		for sent := range uint64(seconds * perSecond) {
			send()
			eventually(t, "it is counted", func() bool { return passed()+b.dropped(reason)-before.Dropped[reason] > sent })
			b.advance(time.Second / perSecond)
		}
		got := passed() * size
		if least, most := limit*seconds-size, limit*seconds+limit/2+size; got < least || got > most {
			t.Errorf("%d bytes %s in %d s, want %d to %d", got, way, seconds, least, most)
		}
	}
}
