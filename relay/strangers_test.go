package relay

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"

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
	ours := string(gate.server.settings.Load().nonces.issue(nil, &h, stranger, gate.server.now()))
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

// What it costs to refuse.
func BenchmarkRefusal(b *testing.B) {
	gate, _ := newGate(b, nil)
	gate.server.settings.Load().limits.work = nil
	gate.server.settings.Load().limits.proofs = nil
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
