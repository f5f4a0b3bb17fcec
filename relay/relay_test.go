package relay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testRealm  = "duet.test"
	testSecret = "the current secret"
	patience   = 10 * time.Second

	maxPermissions = 64
	maxChannels    = 64
)

// loopbacks numbers the 127/8 addresses that tests relay on: on one of its own a
// test has all ports to itself.
var loopbacks atomic.Uint32

func ownLoopback() netip.Addr {
	n := loopbacks.Add(1)
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(64 + pid%64), byte(pid / 64), byte(n)})
}

// testConfig relays on an address of its own and knows ann, whose password is "pass".
func testConfig() config.Turn {
	addr := ownLoopback()
	return config.Turn{
		Enabled:          true,
		Realm:            testRealm,
		ListeningIP:      []netip.Addr{addr},
		RelayIP:          []netip.Addr{addr},
		ExternalIP:       config.ExternalIPs{Auto: true},
		MinPort:          20000,
		MaxPort:          20099,
		Users:            map[string]config.Secret{"ann": "pass", "bob": "word"},
		StaticAuthSecret: testSecret,
		CredentialTTL:    config.Duration(time.Hour),
		// No limits on strangers: all of a test's clients have one address.
		StaleNonce:          config.Duration(10 * time.Minute),
		MaxAllocateLifetime: config.Duration(time.Hour),
		MaxPermissions:      maxPermissions,
		MaxChannels:         maxChannels,
	}
}

// serve runs a relay until the test ends.
func serve(t *testing.T, cfg config.Turn, opts Options) *Server {
	t.Helper()
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return s
}

// run serves until the test ends.
func run(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Run did not return")
		}
		if used := s.Stats().PortsUsed; used != 0 {
			t.Errorf("%d ports still in use after Run", used)
		}
		if n := s.Stats().Allocations; n != 0 {
			t.Errorf("%d allocations still counted after Run", n)
		}
	})
}

func (s *Server) testAddr() netip.AddrPort { return addrPort(s.shards[0].local) }

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// listenUDP opens a socket that the test owns.
func listenUDP(t *testing.T, addr netip.Addr) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", udpAddr(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// expectNothing reads what has arrived by now; use it after something later has
// been seen to pass.
func expectNothing(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	buf := make([]byte, 2048)
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s got %d bytes from %s (%v), want nothing", conn.LocalAddr(), n, from, err)
	}
}

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// users is a table of one.
func users(name string, password config.Secret) map[string]config.Secret {
	return map[string]config.Secret{name: password}
}
