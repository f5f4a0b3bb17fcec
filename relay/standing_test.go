package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duetcall/duet/config"
)

// outside is the world's view of a relay, which a test may change.
type outside struct{ addr atomic.Pointer[netip.Addr] }

func (o *outside) set(addr string) {
	parsed := mustAddr(addr)
	o.addr.Store(&parsed)
}

// follows makes a relay look there again and again.
func (o *outside) follows(f *follower) {
	f.interval = time.Millisecond
	f.lookup = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{*o.addr.Load()}, nil }
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func knownAs(s *Server, addr string) func() bool {
	return func() bool { return strings.HasPrefix(s.URLs()[0], "turn:"+addr+":") }
}

// A relay whose address changes tells new clients the new one, and carries the calls
// that know it by the old.
func TestCallSurvivesAChangeOfTheExternalAddress(t *testing.T) {
	var world outside
	var log lockedBuffer
	world.set("9.9.9.9")
	cfg := testConfig()
	cfg.ExternalIP = named("turn.example.org")
	s := serve(t, cfg, Options{Log: slog.New(slog.NewTextHandler(&log, nil)), follower: world.follows})
	a, b := pair(t, s)
	if at := addrPort(a.LocalAddr()); at.Addr() != mustAddr("9.9.9.9") {
		t.Fatalf("relayed address is %s", at)
	}
	talk(t, a, b)

	world.set("8.8.8.8")
	eventually(t, "new clients are told the new address", knownAs(s, "8.8.8.8"))
	c := call(t, s, s.Credential("cat"))
	if at := addrPort(c.LocalAddr()); at.Addr() != mustAddr("8.8.8.8") {
		t.Errorf("relayed address is %s", at)
	}
	talk(t, a, b)
	permitEachOther(t, a, c)
	talk(t, a, c)
	permitEachOther(t, c, b)
	talk(t, c, b)
	if n := strings.Count(log.text(), "external address changed"); n != 1 {
		t.Errorf("%d lines about the change in\n%s", n, log.text())
	}
	for _, part := range []string{"from=9.9.9.9", "to=8.8.8.8", "the address of turn.example.org"} {
		if !strings.Contains(log.text(), part) {
			t.Errorf("no %s in\n%s", part, log.text())
		}
	}

	// Both are ours, and nobody's beside the relay ports.
	member := dial(t, s, "ann", "pass")
	member.allocate()
	for _, own := range []string{"9.9.9.9:22", "8.8.8.8:22"} {
		member.want(member.do(methodChannelBind, channelNumber(0x4000), toPeer(netip.MustParseAddrPort(own))), 403)
	}
	// The old address stays ours until the last who knows us by it has gone.
	a.Close()
	b.Close()
	eventually(t, "the old address is forgotten", func() bool { return len(s.standing.Load().former) == 0 })
	member.want(member.do(methodChannelBind, channelNumber(0x4000), toPeer(netip.MustParseAddrPort("9.9.9.9:22"))), 0)
	member.want(member.do(methodChannelBind, channelNumber(0x4001), toPeer(netip.MustParseAddrPort("8.8.8.8:22"))), 403)
}

// What the policy said of a peer does not outlive the policy.
func TestFlowToAnAddressThatBecomesOursEnds(t *testing.T) {
	m := newMedia(t, 0)
	m.s.standing.Store(&standing{policy: newTestPolicy(mustAddr("9.9.9.9"))})
	peer := netip.MustParseAddrPort("8.8.8.8:22")
	m.a.local = netip.AddrPortFrom(mustAddr("10.0.0.5"), 20000)
	if drop := m.a.judge(&m.a.up, peer); drop != kept {
		t.Fatal(drop)
	}
	m.s.standing.Store(&standing{policy: newTestPolicy(mustAddr("8.8.8.8"))})
	if drop := m.a.judge(&m.a.up, peer); drop != DropPeer {
		t.Errorf("got %v", drop)
	}
}

// Whoever has the name's DNS cannot make us send to others behind our firewall.
func TestOwnAddressNeverLeadsElsewhere(t *testing.T) {
	local, hijacked := mustAddr("10.0.0.5"), mustAddr("10.0.0.7")
	f := newFamily(true, 20000, 20099)
	old, current := &mapping{local: local, external: mustAddr("9.9.9.9")}, &mapping{local: local, external: hijacked}
	now := &standing{mappings: []*mapping{current}, former: []*mapping{old}}
	f.mapped[1].Store(old)
	f.mapped[2].Store(current)
	for _, external := range []netip.Addr{hijacked, mustAddr("9.9.9.9")} {
		for port := uint16(20000); port < 20004; port++ {
			if got := f.toLocal(netip.AddrPortFrom(external, port), now); got != netip.AddrPortFrom(local, port) {
				t.Errorf("%s:%d leads to %s", external, port, got)
			}
		}
	}
	for _, other := range []string{"10.0.0.7:22", "9.9.9.9:22", "8.8.8.8:20001"} {
		if peer := netip.MustParseAddrPort(other); f.toLocal(peer, now) != peer {
			t.Errorf("%s is turned into %s", peer, f.toLocal(peer, now))
		}
	}
}

// Two routers with one public address: each allocation is reached where its socket is.
func TestSameExternalAddressOfTwoLocalOnes(t *testing.T) {
	external := mustAddr("9.9.9.9")
	f := newFamily(true, 20000, 20099)
	old, current := &mapping{local: mustAddr("10.0.0.5"), external: external}, &mapping{local: mustAddr("192.168.1.7"), external: external}
	now := &standing{mappings: []*mapping{current}, former: []*mapping{old}}
	f.mapped[0].Store(old)
	f.mapped[1].Store(current)
	for port, local := range map[uint16]netip.Addr{20000: old.local, 20001: current.local, 20002: current.local} {
		if got := f.toLocal(netip.AddrPortFrom(external, port), now); got.Addr() != local {
			t.Errorf("port %d leads to %s", port, got)
		}
	}
	if got := f.toRelayed(netip.MustParseAddrPort("10.0.0.5:20000")); got != netip.MustParseAddrPort("9.9.9.9:20000") {
		t.Errorf("what comes from %s comes from %s", old.local, got)
	}
}

// The address changes a thousand times a second while calls talk, come and go.
func TestChangesOfAddressUnderTraffic(t *testing.T) {
	var world outside
	world.set("9.9.9.9")
	cfg := testConfig()
	cfg.ExternalIP = named("turn.example.org")
	s := serve(t, cfg, Options{Log: slog.New(slog.DiscardHandler), follower: world.follows})
	a, b := pair(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			world.set([]string{"8.8.8.8", "9.9.9.9", "7.7.7.7"}[i%3])
			time.Sleep(time.Millisecond)
		}
	})
	for ctx.Err() == nil {
		talk(t, a, b)
		c := dial(t, s, "ann", "pass")
		c.allocate()
		c.want(c.do(methodCreatePermission, toPeer(addrPort(a.LocalAddr()))), 0)
		c.do(methodRefresh, seconds(0))
	}
	changing.Wait()
	if n := len(s.standing.Load().former); n > 2 {
		t.Errorf("%d former addresses, and there were three in all", n)
	}
	talk(t, a, b)
}

// A name that changes each time costs what it may, not more.
func TestFormerAddressesAreBounded(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	cfg := s.follower.cfg
	local := s.standing.Load().mappings[0].local
	for i := range 10 * maxFormer {
		external := netip.AddrFrom4([4]byte{9, 9, 9, byte(i)})
		s.publish(cfg, []Address{{Relay: local, External: external}}, machine{})
		s.standing.Load().mappings[0].live.Add(1) // an allocation that never ends
	}
	if n := len(s.standing.Load().former); n != maxFormer {
		t.Errorf("%d former addresses", n)
	}
}

func TestRelayBehindNATFindsItselfBySTUN(t *testing.T) {
	cfg := testConfig()
	cfg.STUNServers = []config.STUNServer{sees(t, "9.9.9.9")}
	s := serve(t, cfg, Options{})
	at := s.Addresses()[0]
	how := "the answer of " + cfg.STUNServers[0].Host + " from " + cfg.RelayIP[0].String()
	if at.External != mustAddr("9.9.9.9") || at.How != how || at.Warning != "" {
		t.Errorf("%+v", at)
	}
	if !knownAs(s, "9.9.9.9")() {
		t.Errorf("URLs() = %v", s.URLs())
	}
	a, b := pair(t, s)
	talk(t, a, b)
}

func TestRelayStartsWithoutItsSTUNServers(t *testing.T) {
	cfg := testConfig()
	silent := listenUDP(t, ownLoopback())
	at := addrPort(silent.LocalAddr())
	cfg.STUNServers = []config.STUNServer{{Host: at.Addr().String(), Port: int(at.Port())}}
	began := time.Now()
	s := serve(t, cfg, Options{})
	if took := time.Since(began); took > askTimeout+patience/5 {
		t.Errorf("the start took %s", took)
	}
	if got := s.Addresses()[0]; got.External != cfg.RelayIP[0] || !strings.Contains(got.Warning, "does not answer") {
		t.Errorf("%+v", got)
	}
}

// The end of Run does not wait for servers that are silent.
func TestRunEndsWhileServersAreAsked(t *testing.T) {
	asked := make(chan struct{}, 1)
	cfg := testConfig()
	cfg.ExternalIP = named("turn.example.org")
	s, err := New(cfg, Options{follower: func(f *follower) {
		f.interval = time.Millisecond
		first := true
		f.lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
			if first {
				first = false
				return []netip.Addr{mustAddr("9.9.9.9")}, nil
			}
			select {
			case asked <- struct{}{}:
			default:
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-asked
	began := time.Now()
	cancel()
	if err := <-done; err != nil || time.Since(began) > askTimeout/2 {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	if at := s.Addresses()[0]; at.External != mustAddr("9.9.9.9") || strings.Contains(at.Warning, "can't resolve") {
		t.Errorf("a lookup that was cut short left %+v", at)
	}
}

// dnsServer answers with the addresses of a type (1 is A, 28 is AAAA), and with rcode,
// over UDP.
func dnsServer(t *testing.T, answers func(kind uint16) (addrs []netip.Addr, rcode byte)) *net.Resolver {
	t.Helper()
	conn := listenUDP(t, ownLoopback())
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			end := 12 + bytes.IndexByte(buf[12:n], 0) + 5 // header, name, type and class
			addrs, rcode := answers(binary.BigEndian.Uint16(buf[end-4:]))
			reply := append([]byte(nil), buf[:end]...)
			copy(reply[2:], []byte{0x81, 0x80 | rcode, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0})
			for _, addr := range addrs {
				reply = append(reply, 0xC0, 12)
				reply = append(reply, buf[end-4:end]...)
				reply = append(reply, 0, 0, 0, 60, 0, byte(addr.BitLen()/8))
				reply = append(reply, addr.AsSlice()...)
			}
			conn.WriteToUDPAddrPort(reply, from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestNameIsFollowedInDNS(t *testing.T) {
	var v4, rcode atomic.Uint32
	v4.Store(9)
	resolver := dnsServer(t, func(kind uint16) ([]netip.Addr, byte) {
		if kind != 1 || rcode.Load() != 0 {
			return nil, byte(rcode.Load())
		}
		n := byte(v4.Load())
		return []netip.Addr{netip.AddrFrom4([4]byte{n, n, n, n})}, 0
	})
	cfg := testConfig()
	cfg.ExternalIP = named("turn.example.org.")
	s := serve(t, cfg, Options{follower: func(f *follower) {
		f.interval = time.Millisecond
		f.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return resolver.LookupNetIP(ctx, "ip", host)
		}
	}})
	if !knownAs(s, "9.9.9.9")() {
		t.Fatalf("URLs() = %v: %+v", s.URLs(), s.Addresses())
	}
	v4.Store(8)
	eventually(t, "the new address is known", knownAs(s, "8.8.8.8"))
	for rcode32, words := range map[uint32]string{2: "server misbehaving", 3: "no such name"} {
		rcode.Store(rcode32)
		eventually(t, "a failure is told: "+words, func() bool {
			return strings.Contains(s.Addresses()[0].Warning, "can't resolve turn.example.org. ("+words+"); keeping 8.8.8.8")
		})
	}
	rcode.Store(0)
	eventually(t, "it is well again", func() bool { return s.Addresses()[0].Warning == "" })
}

func TestLookupProblemsInWords(t *testing.T) {
	for want, err := range map[string]error{
		"no answer from DNS": &net.DNSError{Err: "i/o timeout", Server: "10.0.0.1:53", IsTimeout: true},
		"no such name":       &net.DNSError{Err: "no such host", IsNotFound: true},
		"server misbehaving": &net.DNSError{Err: "server misbehaving", Server: "10.0.0.1:53"},
		"something else":     errors.New("something else"),
	} {
		if got := lookupProblem(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := lookupProblem(context.DeadlineExceeded); got != "no answer from DNS" {
		t.Error(got)
	}
}
