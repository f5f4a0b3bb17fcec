package main

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/turn/v4"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// relayedBy allocates with what a member was given, over a connection of the test's,
// until end is called, which is so at the end of the test.
func relayedBy(t *testing.T, given signaling.ICEServer, address string, conn net.PacketConn) (client *turn.Client, end func()) {
	t.Helper()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address, TURNServerAddr: address, Conn: conn,
		Username: given.Username, Password: given.Credential, Realm: "duet",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		relayed.Close()
		client.Close()
		conn.Close()
	})
	t.Cleanup(end)
	return client, end
}

func overUDP(t *testing.T, given signaling.ICEServer) *turn.Client {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, _ := relayedBy(t, given, strings.TrimSuffix(strings.TrimPrefix(given.URLs[0], "turn:"), "?transport=udp"), conn)
	return client
}

// within waits for a condition that must come true in that time.
func within(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestTheRelaysOfAMemberWhoHangsUpEndWithinASecond(t *testing.T) {
	s, stop := startServer(t, nil)
	defer stop()
	annSocket, annJoined := join(t, s, "tea")
	bobSocket, bobJoined := join(t, s, "tea")
	defer annSocket.Close()
	defer bobSocket.Close()
	ann, bob := overUDP(t, annJoined.ICE.Servers[0]), overUDP(t, bobJoined.ICE.Servers[0])
	peer := &net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 53}
	if err := errors.Join(ann.CreatePermission(peer), bob.CreatePermission(peer)); err != nil {
		t.Fatal(err)
	}
	if err := annSocket.WriteJSON(map[string]string{"type": "leave"}); err != nil {
		t.Fatal(err)
	}
	within(t, time.Second, "Ann's allocation is gone", func() bool { return s.relay.Allocations() == 1 })
	if err := ann.CreatePermission(peer); err == nil || !strings.Contains(err.Error(), "437") {
		t.Errorf("Ann's next request: %v, want 437", err)
	}
	if err := bob.CreatePermission(peer); err != nil {
		t.Errorf("Bob's next request: %v", err)
	}
	// Who only loses the socket keeps the call for the grace time.
	if err := bobSocket.NetConn().Close(); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "Bob is away", func() bool { return s.signaling.Stats().Away == 1 })
	if err := bob.CreatePermission(peer); err != nil {
		t.Errorf("Bob's request without a socket: %v", err)
	}
}

func TestTheRelaysOfALostMemberEndAfterTheGraceTime(t *testing.T) {
	s, stop := startServer(t, func(cfg *config.Config) { cfg.Signaling.Grace = config.Duration(100 * time.Millisecond) })
	defer stop()
	ws, joined := join(t, s, "tea")
	overUDP(t, joined.ICE.Servers[0])
	if err := ws.NetConn().Close(); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "the allocation is gone", func() bool { return s.relay.Allocations() == 0 })
}

// A connection made under the old certificate goes on, the next one sees the new, and
// a pair that does not fit changes nothing.
func TestCertificatesAreReloaded(t *testing.T) {
	defer goleak.VerifyNone(t)
	first := pairIn(t.TempDir())
	pool := certify(t, first, "call.test")
	s, stop := startServer(t, func(c *config.Config) { c.TLS = first })
	defer stop()
	at := s.split.Addr().String()
	dialTLS := func(name string) (*tls.Conn, error) {
		return tls.Dial("tcp", at, &tls.Config{RootCAs: pool, ServerName: name})
	}
	conn, err := dialTLS("call.test")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	given := s.iceServers("ann").Servers[0]
	client, end := relayedBy(t, given, at, turn.NewSTUNConn(conn))
	defer end()

	next := s.cfg
	s.read = func() (config.Config, error) { return next, nil }
	next.TLS = pairIn(t.TempDir())
	if err := os.WriteFile(next.TLS.Cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	next.Turn.UserQuota = 5
	s.reload()
	if s.config().Turn.UserQuota == 5 || s.config().TLS.Cert != first.Cert {
		t.Error("half of a bad configuration was taken")
	}
	other := certify(t, next.TLS, "other.test")
	s.reload()
	if got := s.config(); got.Turn.UserQuota != 5 || got.TLS.Cert != next.TLS.Cert {
		t.Error("the configuration was not taken")
	}
	pool = other
	fresh, err := dialTLS("other.test")
	if err != nil {
		t.Fatalf("the new certificate is not in use: %v", err)
	}
	fresh.Close()
	if err := client.CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 53}); err != nil {
		t.Errorf("the connection from before: %v", err)
	}
	// TLS off needs a restart.
	next.TLS = config.TLS{Listen: first.Listen}
	next.Turn.UserQuota = 6
	s.reload()
	if got := s.config(); got.TLS.Cert == "" || got.Turn.UserQuota != 6 {
		t.Errorf("the certificate is %q, user_quota %d", got.TLS.Cert, got.Turn.UserQuota)
	}
}

func TestTheWebSideIsReloaded(t *testing.T) {
	s, stop := startServer(t, nil)
	defer stop()
	next := s.cfg
	next.HTTP.PublicURL = "https://call.example.org"
	next.HTTP.FrameAncestors = []string{"https://app.example.org"}
	next.HTTP.TrustedProxies = []config.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	next.Signaling.Capacity = 3
	s.read = func() (config.Config, error) { return next, nil }
	at := s.url()
	s.reload()
	if got := s.url(); got != "https://call.example.org" {
		t.Errorf("the server is at %s", got)
	}
	page := httptest.NewRecorder()
	s.routes().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/", nil))
	if got := page.Header().Get("Content-Security-Policy"); !strings.Contains(got, "frame-ancestors https://app.example.org;") {
		t.Errorf("the page's policy is %s", got)
	}
	s.current.Load().HTTP.PublicURL = at // for join
	ws, joined := join(t, s, "tea")
	defer ws.Close()
	if joined.Room.Capacity != 3 {
		t.Errorf("a room holds %d, want 3", joined.Room.Capacity)
	}
}

// restart are the keys that a reload only names. A new key belongs here or among the
// reloadable ones.
var restart = []string{
	"http.listen", "signaling.grace",
	"turn.enabled", "turn.realm", "turn.listening_ip", "turn.listening_port", "turn.alt_listening_ip", "turn.alt_listening_port", "turn.tcp", "turn.relay_ip", "turn.external_ip",
	"turn.min_port", "turn.max_port", "turn.stun_servers", "metrics.listen", "admin.listen", "turn.dtls", "turn.tcp_relay", "turn.tls_listening_port",
	"tls.listen", "tls.acme_domains", "tls.acme_email", "tls.acme_directory", "tls.acme_cache", "log.format", "process.pid_file",
	"cluster.nats_url", "cluster.secret", "cluster.nats_credentials", "cluster.nats_user", "cluster.nats_password", "cluster.nats_ca", "cluster.replicas", "cluster.bucket",
}

func TestEveryKeyIsReloadedOrNeedsARestart(t *testing.T) {
	for _, key := range config.Keys() {
		if slices.Contains(reloadable(), key) == slices.Contains(restart, key) {
			t.Errorf("%s: reloadable %t, needs a restart %t", key, slices.Contains(reloadable(), key), slices.Contains(restart, key))
		}
	}
	for _, key := range append(reloadable(), restart...) {
		if !slices.Contains(config.Keys(), key) {
			t.Errorf("there is no key %s", key)
		}
	}
}
