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

	"github.com/duetcall/duet/config"
)

// outbox is a socket that only counts what is written to it.
type outbox struct{ packets, bytes int }

func (*outbox) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, net.ErrClosed
}

func (o *outbox) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	o.packets++
	o.bytes += len(b)
	return len(b), nil
}

func (*outbox) Close() error { return nil }

// newGate is a shard without engine and network: datagrams in, answers counted.
func newGate(t testing.TB, change func(*config.Turn)) (*shard, *outbox) {
	t.Helper()
	cfg := testConfig()
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.closeSockets()
	out := &outbox{}
	gate := s.shards[0]
	gate.socket = newSocket(out)
	return gate, out
}

var stranger = netip.MustParseAddrPort("192.0.2.1:5000")

// strangers are what one can send without a credential, and how many bytes coturn
// 4.6.1, as Debian sets it up, answers to each (realm "duet.test").
func strangers(t testing.TB, gate *shard) []struct {
	name     string
	datagram []byte
	coturn   int
} {
	t.Helper()
	request := func(method stun.Method, setters ...stun.Setter) []byte {
		return stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, setters...)...).Raw
	}
	unknown := []stun.Setter{raw(0x7770), raw(0x7771), raw(0x7772), raw(0x7773), raw(0x7774), raw(0x7775), raw(0x7776), raw(0x7777)}
	signed := func(user, nonce string) []byte {
		return request(stun.MethodAllocate, wantUDP, stun.NewUsername(user), stun.NewRealm(testRealm), stun.NewNonce(nonce),
			stun.NewLongTermIntegrity(user, testRealm, "guessed"))
	}
	var h hasher
	ours := string(gate.server.nonces.issue(nil, &h, stranger, gate.server.now()))
	return []struct {
		name     string
		datagram []byte
		coturn   int
	}{
		{"binding", request(stun.MethodBinding), 80},
		{"binding with fingerprint", request(stun.MethodBinding, stun.Fingerprint), 88},
		{"binding with one unknown", request(stun.MethodBinding, unknown[:1]...), 80},
		{"binding with eight unknown", request(stun.MethodBinding, unknown...), 92},
		{"allocate", request(stun.MethodAllocate, wantUDP), 100},
		{"allocate with fingerprint", request(stun.MethodAllocate, wantUDP, stun.Fingerprint), 108},
		{"bare allocate", request(stun.MethodAllocate), 100},
		{"refresh", request(stun.MethodRefresh), 100},
		{"permission", request(methodCreatePermission), 100},
		{"channel", request(methodChannelBind), 100},
		{"no username", request(stun.MethodAllocate, stun.NewRealm(testRealm), stun.NewNonce("x"), stun.NewShortTermIntegrity("x")), 64},
		{"malformed", request(methodCreatePermission, raw(stun.AttrXORPeerAddress)), 100},
		{"made-up nonce", signed("ann", "made up"), 100},
		{"wrong password", signed("ann", ours), 100},
		{"unknown user", signed("eve", ours), 100},
		{"wrong time-limited password", signed("1800000000:ann", ours), 100},
	}
}

func TestNoAnswerToStrangersIsLargerThanCoturns(t *testing.T) {
	gate, out := newGate(t, nil)
	for _, row := range strangers(t, gate) {
		*out = outbox{}
		gate.admit(bytes.Clone(row.datagram), len(row.datagram), stranger)
		if out.packets != 1 || out.bytes > row.coturn {
			t.Errorf("%s: %d bytes in, %d out in %d packets; coturn sends %d", row.name, len(row.datagram), out.bytes, out.packets, row.coturn)
		}
	}
}

func TestRefusalsAllocateNothing(t *testing.T) {
	gate, _ := newGate(t, nil)
	silent, _ := newGate(t, func(cfg *config.Turn) { cfg.ErrorRate, cfg.BindingRate = 1, 1 })
	buf := make([]byte, maxRequest)
	for name, g := range map[string]*shard{"answered": gate, "in silence": silent} {
		for _, row := range strangers(t, g) {
			admit := func() { g.admit(buf, copy(buf, row.datagram), stranger) }
			for range 50 { // more lines than the log takes in a second
				admit()
			}
			if allocs := testing.AllocsPerRun(1000, admit); allocs != 0 {
				t.Errorf("%s %s: %v allocations", row.name, name, allocs)
			}
		}
	}
}

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
	gate.server.limits.work = newLimiter(100, 1)
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
	s.readers.Add(1)
	if err := startEngine(engine, engine.hooks(), s.log.Logger); err != nil {
		t.Fatal(err)
	}
	defer func() {
		s.closeSockets()
		s.readers.Wait()
		s.relays.Wait()
	}()
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

// What it costs to refuse.
func BenchmarkRefusal(b *testing.B) {
	gate, _ := newGate(b, nil)
	gate.server.limits.work = nil
	gate.server.limits.proofs = nil
	silent, _ := newGate(b, func(cfg *config.Turn) { cfg.ErrorRate, cfg.BindingRate = 1, 1 })
	buf := make([]byte, maxRequest)
	for _, row := range strangers(b, gate) {
		b.Run(strings.ReplaceAll(row.name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				gate.admit(buf, copy(buf, row.datagram), stranger)
			}
		})
	}
	for _, row := range strangers(b, silent) {
		b.Run("silent/"+strings.ReplaceAll(row.name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				silent.admit(buf, copy(buf, row.datagram), stranger)
			}
		})
	}
	nonce := []byte(strings.Repeat("41", 1400))
	long := append(unhex("0003 057c"+cookieAndID+"0015 0578"), nonce[:1400]...)
	b.Run("nonce-of-1400-bytes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			gate.admit(buf, copy(buf, long), stranger)
		}
	})
}
