package relay

import (
	"context"
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

// The engine sees requests and nothing else, and sends no media either.
func TestEngineSeesNoMedia(t *testing.T) {
	s, err := New(testConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine := &watched{shard: s.shards[0]}
	s.readers.Add(1)
	if err := startEngine(engine, engine.hooks(), s.log.Logger); err != nil {
		t.Fatal(err)
	}
	defer func() {
		s.closeSockets()
		s.readers.Wait()
		s.relays.Wait()
	}()
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
