package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// seenAs is one connection and what it says of who it comes from.
type seenAs struct {
	peer      string // the address of this machine that it comes from
	proxy     string // a header of the PROXY protocol
	forwarded string // X-Forwarded-For
}

// open opens a socket, and returns the status of the answer if it is refused.
func (f seenAs) open(t *testing.T, s *server) (refused int) {
	t.Helper()
	dialer := websocket.Dialer{
		Subprotocols: []string{signaling.Protocol}, HandshakeTimeout: patience,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(f.peer)}}).DialContext(ctx, network, address)
			if err == nil {
				_, err = io.WriteString(conn, f.proxy)
			}
			return conn, err
		},
	}
	header := http.Header{}
	if f.forwarded != "" {
		header.Set("X-Forwarded-For", f.forwarded)
	}
	ws, resp, err := dialer.DialContext(t.Context(), "ws://"+s.listener.Addr().String()+"/v1/ws", header)
	if err == nil {
		go func() { // until the server closes it
			for err == nil {
				_, _, err = ws.NextReader()
			}
			_ = ws.Close()
		}()
		return 0
	}
	if resp == nil {
		t.Fatalf("%+v: %v", f, err)
	}
	return resp.StatusCode
}

// Which connections are one address's, in signaling, through all that stands before it: a second
// one of the same is refused here.
func TestSignalingLimitsTheTrueClient(t *testing.T) {
	told := func(client string) string { return proxyFor(client, "192.0.2.1:80", "") }
	for _, row := range []struct {
		name    string
		trusted []string
		first   seenAs
		second  seenAs
		same    bool
	}{
		{"no proxy", nil, seenAs{peer: "127.0.0.1"}, seenAs{peer: "127.0.0.1"}, true},
		{"no proxy, two clients", nil, seenAs{peer: "127.0.0.1"}, seenAs{peer: "127.0.0.2"}, false},
		{"spoofed header", nil, seenAs{peer: "127.0.0.1"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7"}, true},
		{"two spoofed headers", nil, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.8"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7"}, true},
		{"somebody else's address spoofed", nil, seenAs{peer: "127.0.0.1"}, seenAs{peer: "127.0.0.2", forwarded: "127.0.0.1"}, false},
		{"untrusted beside a proxy", []string{"127.0.0.9/32"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.8"}, true},

		{"proxy, two clients", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.8"}, false},
		{"proxy, one client", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7:99"}, true},
		{"client behind a proxy adds headers", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "1.1.1.1, 198.51.100.7"}, seenAs{peer: "127.0.0.1", forwarded: "127.0.0.1, 2.2.2.2, 198.51.100.7"}, true},
		{"two proxies", []string{"127.0.0.0/8"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7, 127.0.0.2"}, seenAs{peer: "127.0.0.3", forwarded: "9.9.9.9, 198.51.100.7, 127.0.0.4, 127.0.0.2"}, true},
		{"client in front of two proxies pretends to be a third", []string{"127.0.0.0/8"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.8, 198.51.100.7, 127.0.0.2"}, true},
		{"the outer proxy is not trusted", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7, 127.0.0.2"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.8, 127.0.0.2"}, true},

		{"IPv6, one /64", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "2001:db8::1"}, seenAs{peer: "127.0.0.1", forwarded: "[2001:db8::ffff:1:2:3]:5"}, true},
		{"IPv6, two /64", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "2001:db8::1"}, seenAs{peer: "127.0.0.1", forwarded: "2001:db8:0:1::1"}, false},
		{"IPv4 in IPv6", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7"}, seenAs{peer: "127.0.0.1", forwarded: "::ffff:198.51.100.7"}, true},
		{"two IPv4 in IPv6 are not of one /64", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "::ffff:198.51.100.8"}, seenAs{peer: "127.0.0.1", forwarded: "::ffff:198.51.100.7"}, false},

		{"PROXY, two clients", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", proxy: told("198.51.100.7:1")}, seenAs{peer: "127.0.0.1", proxy: told("198.51.100.8:1")}, false},
		{"PROXY, one client", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", proxy: told("198.51.100.7:1")}, seenAs{peer: "127.0.0.1", proxy: told("198.51.100.7:2")}, true},
		{"PROXY, spoofed header", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", proxy: told("198.51.100.7:1")}, seenAs{peer: "127.0.0.1", proxy: told("198.51.100.7:2"), forwarded: "198.51.100.8"}, true},
		{"PROXY, IPv6, one /64", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", proxy: proxyFor("[2001:db8::7]:1", "[2001:db8::1]:80", "")}, seenAs{peer: "127.0.0.1", proxy: proxyFor("[2001:db8::8]:1", "[2001:db8::1]:80", "")}, true},
		{"PROXY of an HTTP proxy", []string{"127.0.0.1/32", "10.0.0.0/8"}, seenAs{peer: "127.0.0.1", proxy: told("10.0.0.1:1"), forwarded: "198.51.100.7"}, seenAs{peer: "127.0.0.1", proxy: told("10.0.0.2:1"), forwarded: "198.51.100.7"}, true},
		{"a proxy that tells nothing", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1"}, seenAs{peer: "127.0.0.1"}, true},
		{"a proxy that tells nonsense", []string{"127.0.0.1/32"}, seenAs{peer: "127.0.0.1", forwarded: "unknown"}, seenAs{peer: "127.0.0.1", forwarded: "198.51.100.7, _hidden"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			s, stop := startServer(t, func(cfg *config.Config) {
				cfg.Signaling.SocketsPerAddress = 1
				for _, prefix := range row.trusted {
					cfg.HTTP.TrustedProxies = append(cfg.HTTP.TrustedProxies, netip.MustParsePrefix(prefix))
				}
			})
			defer stop()
			if got := row.first.open(t, s); got != 0 {
				t.Fatalf("the first is refused: %d", got)
			}
			if got := row.second.open(t, s); (got == http.StatusServiceUnavailable) != row.same {
				t.Errorf("the second: %d, want a refusal: %t", got, row.same)
			}
		})
	}
}

// What a person or a proxy gets to read who is refused.
func TestARefusalBeforeTheUpgradeSaysWhenToComeBack(t *testing.T) {
	s, stop := startServer(t, func(cfg *config.Config) { cfg.Signaling.SocketsPerAddress = 1 })
	defer stop()
	seenAs{peer: "127.0.0.1"}.open(t, s)
	resp := fetchFrom(t, fmt.Sprintf("http://%s/v1/ws", s.listener.Addr()), http.MethodGet, "",
		"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol", signaling.Protocol)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "5" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
	within(t, time.Second, "counted", func() bool { return s.signaling.Stats().SocketsPerAddress == 1 })
}
