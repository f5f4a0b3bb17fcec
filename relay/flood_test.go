package relay

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/addrlimit"
	"github.com/duetcall/duet/config"
)

func TestASourceGetsItsShareAndThenSilence(t *testing.T) {
	for _, row := range []struct {
		name  string
		limit int
		flood []string
		drop  Drop
	}{
		{"challenges and other errors", 10, []string{"allocate", "malformed", "binding with one unknown", "made-up nonce", "wrong password"}, DropRate},
		{"Binding", 50, []string{"binding"}, DropRate},
	} {
		t.Run(row.name, func(t *testing.T) {
			gate, out := newGate(t, func(cfg *config.Turn) { cfg.ErrorRate, cfg.BindingRate = 10, 50 })
			began, sent := time.Now(), 0
			for _, kind := range strangers(t, gate) {
				for _, name := range row.flood {
					for i := 0; kind.name == name && i < 100; i++ {
						gate.admit(bytes.Clone(kind.datagram), len(kind.datagram), stranger)
						sent++
					}
				}
			}
			most := row.limit + int(time.Since(began).Seconds()*float64(row.limit)) + 1
			if out.packets < row.limit || out.packets > most {
				t.Errorf("%d answers to %d requests, want %d to %d", out.packets, sent, row.limit, most)
			}
			if got := gate.server.Stats().Dropped[row.drop]; int(got) != sent-out.packets {
				t.Errorf("%d dropped, %d counted", sent-out.packets, got)
			}
			// The next house does not notice.
			*out = outbox{}
			fine := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
			gate.admit(fine, len(fine), netip.MustParseAddrPort("198.51.100.1:5000"))
			if out.packets != 1 {
				t.Error("another source is silenced")
			}
		})
	}
}

// From however many addresses they come, strangers together get no more than the budget.
func TestStrangersTogetherHaveABudget(t *testing.T) {
	gate, out := newGate(t, func(cfg *config.Turn) { cfg.ErrorRate = 10 })
	gate.server.settings.Load().limits.work = addrlimit.NewRate(100, time.Second, 1)
	request := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw
	began := time.Now()
	for n := range 2000 {
		gate.admit(bytes.Clone(request), len(request), netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 1))
	}
	most := 100 + int(time.Since(began).Seconds()*100) + 1
	if out.packets < 100 || out.packets > most {
		t.Errorf("%d answers, want 100 to %d", out.packets, most)
	}
	if stats := gate.server.Stats(); int(stats.Dropped[DropBudget]) != 2000-out.packets {
		t.Errorf("%d over budget, %d answers", stats.Dropped[DropBudget], out.packets)
	}
}

// A flood from the very address of a call, and wrong passwords on its very 5-tuple,
// do not stop it.
func TestFloodsLeaveTheCallAlone(t *testing.T) {
	cfg := testConfig()
	cfg.ErrorRate, cfg.BindingRate = 10, 50
	s := serve(t, cfg, Options{})
	a, b := pair(t, s)
	member := dial(t, s, "ann", "pass")
	at := member.allocate()
	kinds := strangers(t, s.shards[0])
	var floods sync.WaitGroup
	for range 3 {
		flood := dial(t, s, "", "")
		floods.Go(func() {
			for range 2000 {
				for _, kind := range kinds {
					flood.conn.Write(kind.datagram)
				}
			}
		})
	}
	thief := *member
	for range 20 {
		thief.key = stun.NewLongTermIntegrity("ann", testRealm, "guessed")
		thief.write(stun.MustBuild(append([]stun.Setter{stun.TransactionID}, thief.signed(stun.MethodRefresh, seconds(0))...)...).Raw)
		member.want(member.ask(member.signed(methodCreatePermission, toPeer(at))...), 0)
		member.want(member.ask(member.signed(stun.MethodRefresh, seconds(700))...), 0)
	}
	talk(t, a, b)
	floods.Wait()
	talk(t, a, b)
	if dropped := s.Stats().Dropped[DropRate]; dropped == 0 {
		t.Error("nothing was dropped")
	}
}

// tapped keeps what the engine gets to see.
type tapped struct {
	*shard
	mu   sync.Mutex
	seen bytes.Buffer
}

func (e *tapped) ReadFrom(buf []byte) (int, net.Addr, error) {
	n, from, err := e.shard.ReadFrom(buf)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen.Write(buf[:n])
	return n, from, err
}

func TestNoByteOfAStrangersReachesTheEngine(t *testing.T) {
	s, err := New(testConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine := &tapped{shard: s.shards[0]}
	defer runEngine(t, engine, engine.shard)()
	c := dial(t, s, "", "")
	for _, kind := range strangers(t, engine.shard) {
		c.write(kind.datagram)
	}
	eventually(t, "all are answered", func() bool { return s.Stats().ToClients.Packets >= 16 })
	engine.mu.Lock()
	if engine.seen.Len() > 0 {
		t.Errorf("unsigned, it sees %x", engine.seen.Bytes())
	}
	engine.mu.Unlock()

	// Nor one of a member's that was not understood.
	member := dial(t, s, "ann", "pass")
	member.allocate(stun.NewSoftware("canary"), raw(0xC001, []byte("canary")...), raw(stun.AttrEvenPort, 0x80))
	member.do(stun.MethodRefresh, stun.NewSoftware("canary"))
	engine.mu.Lock()
	defer engine.mu.Unlock()
	seen := engine.seen.String()
	if seen == "" {
		t.Fatal("the engine has seen nothing")
	}
	for what, text := range map[string]string{
		"an attribute": "canary", "the user's name": "ann", "the realm": testRealm, "the nonce": string(member.nonce),
	} {
		if strings.Contains(seen, text) {
			t.Errorf("the engine has seen %s", what)
		}
	}
}
