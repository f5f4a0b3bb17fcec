package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/turn/v4"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// startServer runs Duet on loopback until the returned function is called, which checks
// that it ends without an error.
func startServer(t *testing.T, change func(*config.Config)) (s *server, stop func()) {
	t.Helper()
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	cfg := config.Default()
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.Metrics.Listen = "127.0.0.1:0"
	cfg.Turn.ListeningIP = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	port, err := strconv.Atoi(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Turn.ListeningPort = port
	cfg.Turn.MinPort, cfg.Turn.MaxPort = 29100, 29200
	if change != nil {
		change(&cfg)
	}
	s, err = newServer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	return s, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func join(t *testing.T, s *server, room string) (*websocket.Conn, signaling.Outbound) {
	t.Helper()
	return joinRoom(t, "ws"+strings.TrimPrefix(s.url(), "http"), room, nil)
}

// joinRoom joins at "ws://host:port" or "wss://host:port".
func joinRoom(t *testing.T, server, room string, secure *tls.Config) (*websocket.Conn, signaling.Outbound) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{signaling.Protocol}, TLSClientConfig: secure}
	ws, resp, err := dialer.Dial(server+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if err := ws.WriteJSON(map[string]string{"type": "join", "room": room}); err != nil {
		t.Fatal(err)
	}
	var joined signaling.Outbound
	if err := ws.ReadJSON(&joined); err != nil {
		t.Fatal(err)
	}
	return ws, joined
}

func TestTheICEServersOfAMemberOpenAnAllocation(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, stop := startServer(t, nil)
	defer stop()
	ws, joined := join(t, s, "tea")
	defer ws.Close()
	if len(joined.ICE.Servers) != 1 || joined.ICE.Expires.Before(time.Now().Add(time.Hour)) {
		t.Fatalf("ice = %+v", joined.ICE)
	}
	given := joined.ICE.Servers[0]
	if !strings.Contains(given.Username, joined.Self.ID) {
		t.Errorf("username %q does not name the member %q", given.Username, joined.Self.ID)
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	address := strings.TrimSuffix(strings.TrimPrefix(given.URLs[0], "turn:"), "?transport=udp")
	opensAllocation(t, s.cfg.Turn, given, address, socket)
}

// opensAllocation checks that the credentials relay on one of the server's ports.
func opensAllocation(t *testing.T, cfg config.Turn, given signaling.ICEServer, address string, conn net.PacketConn) {
	t.Helper()
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address, TURNServerAddr: address, Conn: conn,
		Username: given.Username, Password: given.Credential, Realm: cfg.Realm,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	if port := relayed.LocalAddr().(*net.UDPAddr).Port; port < cfg.MinPort || port > cfg.MaxPort {
		t.Errorf("relayed port %d is outside the range", port)
	}
	if err := relayed.Close(); err != nil {
		t.Error(err)
	}
}

func TestWithoutTheRelayMembersGetNoICEServers(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, stop := startServer(t, func(cfg *config.Config) { cfg.Turn.Enabled = false })
	defer stop()
	ws, joined := join(t, s, "tea")
	defer ws.Close()
	if joined.ICE == nil || joined.ICE.Servers == nil || len(joined.ICE.Servers) != 0 || !joined.ICE.Expires.IsZero() {
		t.Errorf("ice = %+v, want an empty list", joined.ICE)
	}
}

func TestShutdownClosesSocketsWith1012AndLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, stop := startServer(t, nil)
	ws, _ := join(t, s, "tea")
	defer ws.Close()
	closed := make(chan error, 1)
	go func() {
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				closed <- err
				return
			}
		}
	}()
	stop()
	if err := <-closed; !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the socket ended with %v, want close 1012", err)
	}
	if resp, err := http.Get(s.url()); err == nil {
		_ = resp.Body.Close()
		t.Error("the page is still served")
	}
}

func TestThePublicURLIsWhatTheBannerSays(t *testing.T) {
	s, stop := startServer(t, func(cfg *config.Config) { cfg.HTTP.PublicURL = "https://call.example.org" })
	defer stop()
	var out strings.Builder
	s.banner("/etc/duet/turnserver.toml").print(&out)
	for _, want := range []string{"Call     https://call.example.org\n", "https://call.example.org/trickle\n", "Config   /etc/duet/turnserver.toml\n", "turn:127.0.0.1:", "Relay ports 29100-29200/udp"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, out.String())
		}
	}
}
