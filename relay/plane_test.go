package relay

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// watched looks at what the engine gets to see.
type watched struct {
	*shard
	requests, others atomic.Int64
}

func (w *watched) ReadFrom(buf []byte) (int, net.Addr, error) {
	n, from, err := w.shard.ReadFrom(buf)
	switch {
	case err != nil:
	case n >= headerSize && buf[0]>>6 == 0 && messageType(buf)&classMask == classRequest:
		w.requests.Add(1)
	default:
		w.others.Add(1)
	}
	return n, from, err
}

// runEngine starts an engine that reads a shard through conn, until stop is called.
func runEngine(t *testing.T, conn net.PacketConn, shard *shard) (stop func()) {
	t.Helper()
	s := shard.server
	s.readers.Add(1)
	if err := startEngine(conn, maxDatagram+1, shard.hooks(), s.log.Logger); err != nil {
		t.Fatal(err)
	}
	return func() {
		s.closeSockets()
		s.readers.Wait()
		s.relays.Wait()
	}
}

// The engine sees requests and nothing else, and sends no media either.
func TestEngineSeesNoMedia(t *testing.T) {
	s, err := New(testConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine := &watched{shard: s.shards[0]}
	defer runEngine(t, engine, engine.shard)()
	a, b := dial(t, s, "ann", "pass"), dial(t, s, "bob", "word")
	atA, atB := a.allocate(), b.allocate()
	a.want(a.do(methodChannelBind, channelNumber(0x4000), toPeer(atB)), 0)
	b.want(b.do(methodCreatePermission, toPeer(atA)), 0)
	asked := engine.requests.Load()
	stranger := dial(t, s, "", "")
	for range 20 {
		a.channelData(0x4000, "by channel")
		a.channelData(0x4001, "on none")
		a.send(atB, "by indication")
		b.send(atA, "back")
		b.send(netip.MustParseAddrPort("8.8.8.8:53"), "to nobody")
		stranger.send(atA, "from nobody")
		stranger.channelData(0x4000, "from nobody")
		stranger.write(unhex("0017 0000" + cookieAndID)) // a Data indication
		stranger.write(unhex("0016 0000" + cookieAndID))
		stranger.write(unhex("4000 ffff"))
	}
	eventually(t, "media passes both ways", func() bool { return s.Stats().ToClients.Packets > 50 })
	if engine.others.Load() != 0 || engine.requests.Load() != asked {
		t.Errorf("the engine saw %d requests for none, and %d other datagrams", engine.requests.Load()-asked, engine.others.Load())
	}
}

// Everything at once: traffic both ways, requests, lapsing permissions and channels,
// allocations that clients release and timers close. Nothing is lost or left over,
// and a call beside it goes on.
func TestPlaneUnderRequestsExpiryAndClosing(t *testing.T) {
	s, err := New(testConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var elapsed atomic.Int64
	s.clock = func() time.Duration { return time.Duration(elapsed.Load()) }
	run(t, s)
	left, right := dial(t, s, "ann", "pass"), dial(t, s, "bob", "word")
	atLeft, atRight := left.allocate(), right.allocate()

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() { // time flies: a permission lasts 30 ms
		for ctx.Err() == nil {
			elapsed.Add(int64(10 * time.Second))
			time.Sleep(time.Millisecond)
		}
	})
	for i := range 3 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 3))
			for ctx.Err() == nil {
				c := dial(t, s, "ann", "pass")
				at := c.allocate()
				a := s.shards[0].find(addrPort(c.conn.LocalAddr()))
				if a == nil {
					t.Error("the new allocation is not in the table")
					return
				}
				var traffic sync.WaitGroup
				quiet := make(chan struct{})
				for _, send := range []func(){
					func() { c.conn.Write(indication(atRight)) },
					func() { c.conn.Write([]byte{0x40, 0x00, 0, 2, 'h', 'i'}) },
					func() { right.conn.Write(indication(at)) },
				} {
					traffic.Go(func() {
						pace := time.NewTicker(200 * time.Microsecond) // requests want through, too
						defer pace.Stop()
						for {
							select {
							case <-quiet:
								return
							case <-pace.C:
								send()
							}
						}
					})
				}
				for range random.IntN(8) {
					if code(c.do(methodChannelBind, channelNumber(0x4000), toPeer(atRight))) != 0 ||
						code(c.do(methodCreatePermission, toPeer(atLeft), toPeer(atRight))) != 0 {
						t.Error("a request was refused")
					}
				}
				released := random.IntN(2) == 0
				if !released {
					// As the engine's timer does, from a goroutine of its own. The engine does
					// not know, so this 5-tuple is not used again.
					a.Close()
				} else if code(c.do(stun.MethodRefresh, seconds(0))) != 0 {
					t.Error("Refresh(0) was refused")
				}
				if s.shards[0].find(a.client) != nil {
					t.Error("the allocation is still in the table")
				}
				close(quiet)
				traffic.Wait()
				if released {
					c.conn.Close()
				}
			}
		})
	}
	group.Go(func() {
		for ctx.Err() == nil {
			s.Stats()
			right.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			right.conn.Read(make([]byte, 100))
		}
	})
	group.Wait()
	for _, c := range []*wireClient{left, right} {
		for c.read(time.Now().Add(10*time.Millisecond)) != nil {
		}
		c.want(c.do(methodCreatePermission, toPeer(atLeft), toPeer(atRight)), 0)
	}
	again(t, "the call beside it", func() bool {
		left.send(atRight, "still there")
		data := right.read(time.Now().Add(patience / 5))
		return data != nil && string(data[36:47]) == "still there"
	})
	if live := s.Stats().Allocations; live != 2 {
		t.Errorf("%d allocations are left, want 2", live)
	}
}

func indication(peer netip.AddrPort) []byte {
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		toPeer(peer), raw(stun.AttrData, 'h', 'i'))
	return m.Raw
}

// media is a client's packet on its way: an allocation with a channel, without an
// engine, between sockets that the test owns.
type media struct {
	s            *Server
	a            *allocation
	client, peer *net.UDPConn
	clientAt     netip.AddrPort
	peerAt       netip.AddrPort
}

func newMedia(tb testing.TB, channels int) *media {
	tb.Helper()
	addr := ownLoopback()
	open := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp4", udpAddr(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { conn.Close() })
		return conn
	}
	m := &media{client: open(), peer: open()}
	m.clientAt, m.peerAt = addrPort(m.client.LocalAddr()), addrPort(m.peer.LocalAddr())
	listening, relaying := open(), open()
	m.s = &Server{stats: &counters{}}
	policy := newTestPolicy(addr)
	m.s.standing.Store(&standing{policy: policy})
	began := time.Now()
	m.s.clock = func() time.Duration { return time.Since(began) }
	m.s.capacityUp.limit(1 << 40)
	m.s.capacityDown.limit(1 << 40)
	shard := &shard{server: m.s, socket: newSocket(listening), clients: newClientTable()}
	m.a = &allocation{
		shard: shard, client: m.clientAt, local: addrPort(relaying.LocalAddr()), socket: newSocket(relaying),
		family: newFamily(true, 20000, 20001),
	}
	m.a.up.bucket.limit(1 << 40)
	m.a.down.bucket.limit(1 << 40)
	routes := noRoutes
	for i := range channels - 1 {
		routes = routes.bind(uint16(0x4001+i), netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 8, byte(i)}), 53), 0)
	}
	if channels > 0 {
		routes = routes.bind(0x4000, m.peerAt, 0)
	} else {
		routes = routes.permit([]netip.AddrPort{m.peerAt}, 0)
	}
	m.a.routes.Store(routes)
	shard.clients.put(m.a)
	// The peer is on a port outside the relay ports, which the policy would refuse.
	m.a.up.judged, m.a.down.judged = m.peerAt, m.peerAt
	m.a.up.policy, m.a.down.policy = policy, policy
	return m
}

// up and down relay one packet, and take it off the socket where it arrives, so that
// no queue fills.
func (m *media) up(tb testing.TB, datagram, buf []byte) {
	if drop := m.a.shard.toPeer(datagram, m.clientAt); drop != kept {
		tb.Fatal(drop)
	}
	if _, _, err := m.peer.ReadFromUDPAddrPort(buf); err != nil {
		tb.Fatal(err)
	}
}

func (m *media) down(tb testing.TB, packet []byte, size int, buf []byte) {
	if drop := m.a.toClient(packet, size, m.peerAt); drop != kept {
		tb.Fatal(drop)
	}
	if _, _, err := m.client.ReadFromUDPAddrPort(buf); err != nil {
		tb.Fatal(err)
	}
}

// paths are the four ways of a packet through the relay.
func paths(tb testing.TB, m *media, size int) map[string]func() {
	buf, packet := make([]byte, 1<<16), make([]byte, headroom+maxPacket)
	channelData := append(binary.BigEndian.AppendUint16([]byte{0x40, 0}, uint16(size)), make([]byte, size)...)
	send := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		toPeer(m.peerAt), raw(stun.AttrData, make([]byte, size)...)).Raw
	ways := map[string]func(){
		"Send":   func() { m.up(tb, send, buf) },
		"toward": func() { m.down(tb, packet, size, buf) },
	}
	if _, bound := m.a.routes.Load().channel(m.peerAt, 0); bound {
		ways["ChannelData"] = func() { m.up(tb, channelData, buf) }
	}
	return ways
}

// What runs for each packet of a call allocates nothing, dropped packets included.
func TestPacketPathAllocatesNothing(t *testing.T) {
	for _, channels := range []int{0, 1, maxChannels} {
		m := newMedia(t, channels)
		for way, relay := range paths(t, m, 1200) {
			if n := testing.AllocsPerRun(100, relay); n != 0 {
				t.Errorf("%s with %d channels allocates %v times", way, channels, n)
			}
		}
		refused := netip.MustParseAddrPort("8.8.4.4:53")
		packet := make([]byte, headroom+maxPacket)
		unknown, known, malformed := unhex("4fff 0000"), unhex("4000 0000"), unhex("0016")
		for what, run := range map[string]func(){
			"an unsolicited packet": func() { m.a.toClient(packet, 10, refused) },
			"an unknown channel":    func() { m.a.shard.forward(unknown, m.clientAt) },
			"an unknown client":     func() { m.a.shard.forward(known, refused) },
			"a malformed Send":      func() { m.a.shard.forward(malformed, m.clientAt) },
			"another peer":          func() { m.a.judge(&m.a.up, refused); m.a.judge(&m.a.up, m.peerAt) },
		} {
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%s allocates %v times", what, n)
			}
		}
	}
}

func BenchmarkClientToPeer(b *testing.B) {
	benchmark(b, func(m *media, size int) map[string]func() {
		ways := paths(b, m, size)
		delete(ways, "toward")
		return ways
	})
}

func BenchmarkPeerToClient(b *testing.B) {
	benchmark(b, func(m *media, size int) map[string]func() {
		return map[string]func(){"": paths(b, m, size)["toward"]}
	})
}

func benchmark(b *testing.B, ways func(m *media, size int) map[string]func()) {
	for name, channels := range map[string]int{"permission": 0, "channel": 1, "64channels": maxChannels} {
		m := newMedia(b, channels)
		for way, relay := range ways(m, 1200) {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					relay()
				}
			})
		}
	}
}

// BenchmarkDecision is the part of the packet path that is ours: all but the system's
// send.
func BenchmarkDecision(b *testing.B) {
	for name, channels := range map[string]int{"channel": 1, "64channels": maxChannels} {
		m := newMedia(b, channels)
		m.a.socket.conn, m.a.shard.socket.conn = sink{}, sink{}
		datagram, packet := append([]byte{0x40, 0, 4, 176}, make([]byte, 1200)...), make([]byte, headroom+maxPacket)
		b.Run("up/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.a.shard.forward(datagram, m.clientAt)
			}
		})
		b.Run("down/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.a.toClient(packet, 1200, m.peerAt)
			}
		})
	}
}

// sink is a system that takes everything at no cost.
type sink struct{ udpConn }

func (sink) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }
