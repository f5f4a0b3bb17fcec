package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v3"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

// The client that a proxy tells of is who the relay talks to, by TCP and by TLS.
func TestTheRelaySeesWhomAProxyForwards(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		t.Run(fmt.Sprintf("trusted %v", trusted), func(t *testing.T) {
			defer goleak.VerifyNone(t)
			s, client, stop := startBehindProxy(t, trusted)
			defer stop()
			plain := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.cfg.Turn.ListeningPort))
			for _, port := range []struct {
				name, at string
				secure   bool
			}{
				{"TCP", plain, false},
				{"shared port", s.split.Addr().String(), true},
				{"TURN over TLS", s.turnTLS[0].Addr().String(), true},
			} {
				for _, row := range []struct{ name, header, want string }{
					{"IPv4", proxyFor("198.51.100.7:12345", "192.0.2.1:443", "\x04\x00\x01x"), "198.51.100.7:12345"},
					{"IPv6", proxyFor("[2001:db8::7]:12345", "[2001:db8::1]:443", ""), "[2001:db8::7]:12345"},
					{"LOCAL", proxyHeader(proxyLocal, 0, ""), "the connection's own"},
					{"no header", "", "the connection's own"},
				} {
					conn, err := net.Dial("tcp", port.at)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					_ = conn.SetDeadline(time.Now().Add(helloTimeout))
					if row.want == "the connection's own" {
						row.want = conn.LocalAddr().String()
					}
					got, err := mappedThrough(conn, row.header, port.secure, client)
					switch refused := !trusted && row.header != ""; {
					case refused && err == nil:
						t.Errorf("%s, %s: a stranger's header was read: mapped to %s", port.name, row.name, got)
					case refused && errors.Is(err, os.ErrDeadlineExceeded):
						t.Errorf("%s, %s: a stranger's header left the connection open", port.name, row.name)
					case !refused && (err != nil || got != row.want):
						t.Errorf("%s, %s: mapped to %s, %v, want %s", port.name, row.name, got, err, row.want)
					}
				}
			}
		})
	}
}

func trustLoopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }

// startBehindProxy runs Duet with TLS; loopback, where the tests come from, is a trusted
// proxy or not.
func startBehindProxy(t *testing.T, trusted bool) (s *server, client *tls.Config, stop func()) {
	t.Helper()
	cfg := pairIn(t.TempDir())
	pool := certify(t, cfg, "call.test")
	port, err := strconv.Atoi(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	s, stop = startServer(t, func(c *config.Config) {
		c.TLS, c.Turn.TLSListeningPort = cfg, port
		c.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		if trusted {
			c.HTTP.TrustedProxies = append(c.HTTP.TrustedProxies, netip.MustParsePrefix("127.0.0.0/8"))
		}
	})
	return s, &tls.Config{RootCAs: pool, ServerName: "call.test"}, stop
}

// mappedThrough sends a header and then, with or without TLS, a Binding request, and
// returns the address that the answer tells.
func mappedThrough(conn net.Conn, header string, secure bool, client *tls.Config) (string, error) {
	if _, err := io.WriteString(conn, header); err != nil {
		return "", err
	}
	if secure {
		conn = tls.Client(conn, client)
	}
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	if _, err := conn.Write(request.Raw); err != nil {
		return "", err
	}
	answer := &stun.Message{Raw: make([]byte, 0, 1500)}
	if _, err := answer.ReadFrom(conn); err != nil {
		return "", err
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(answer); err != nil {
		return "", err
	}
	addr, _ := netip.AddrFromSlice(mapped.IP)
	return netip.AddrPortFrom(addr.Unmap(), uint16(mapped.Port)).String(), nil
}

// A page without TLS shows who the server takes its client for: all but proxies are sent to
// HTTPS.
func TestThePageSeesWhomAProxyForwards(t *testing.T) {
	for _, row := range []struct {
		name, header string
		trusted      bool
		want         int
	}{
		{"the proxy itself", "", true, http.StatusOK},
		{"LOCAL", proxyHeader(proxyLocal, 0, ""), true, http.StatusOK},
		{"a client", proxyFor("198.51.100.7:12345", "192.0.2.1:80", ""), true, http.StatusPermanentRedirect},
		{"another proxy", proxyFor("10.0.0.1:12345", "192.0.2.1:80", ""), true, http.StatusOK},
		{"a stranger", "", false, http.StatusPermanentRedirect},
		{"a stranger who says to be a proxy", proxyFor("10.0.0.1:12345", "192.0.2.1:80", ""), false, http.StatusBadRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			s, _, stop := startBehindProxy(t, row.trusted)
			defer stop()
			conn, err := net.Dial("tcp", s.listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(helloTimeout))
			if _, err := io.WriteString(conn, row.header+"GET / HTTP/1.1\r\nHost: call.test\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != row.want {
				t.Errorf("%s, want %d", resp.Status, row.want)
			}
		})
	}
}

// What signaling is told is what http.Server makes of the connection's address.
func TestHTTPSSeesWhomAProxyForwards(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg := pairIn(t.TempDir())
	client := &tls.Config{RootCAs: certify(t, cfg, "call.test"), ServerName: "call.test"}
	certs, err := loadCertificate(cfg, discard())
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	split := newSplit(inner, newFront(trustLoopback), certs, nil, true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		split.run(ctx)
	}()
	seen := make(chan string, 1)
	web := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.RemoteAddr })}
	served := make(chan error, 1)
	go func() { served <- web.Serve(split.web) }()

	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, proxyFor("[2001:db8::7]:12345", "[2001:db8::1]:443", "")); err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, client)
	if _, err := io.WriteString(secure, "GET / HTTP/1.1\r\nHost: call.test\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "[2001:db8::7]:12345" {
		t.Errorf("the handler sees %s", got)
	}
	_ = secure.Close()
	cancel()
	<-ended
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	_ = web.Close()
}

func TestAProxyHasOnlySoLongToTell(t *testing.T) {
	for name, sent := range map[string]string{
		"nothing": "", "half a signature": proxySignature[:5], "half a header": proxySignature + "\x21",
		"half an address": proxyFor("198.51.100.7:12345", "192.0.2.1:443", "")[:20],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				proxy, conn := net.Pipe()
				written := make(chan struct{})
				go func() {
					defer close(written)
					_, _ = io.WriteString(proxy, sent)
				}()
				began := time.Now()
				if known := identify(t.Context(), conn); known != nil || time.Since(began) != proxyTimeout {
					t.Errorf("%v after %v", known, time.Since(began))
				}
				<-written
				if _, err := proxy.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the proxy reads %v, want EOF", err)
				}
			})
		})
	}
}

func TestProxiesThatTellNothingHaveOnlySoMuchRoom(t *testing.T) {
	defer goleak.VerifyNone(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(trustLoopback)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.run(ctx, listener, func(conn net.Conn) { t.Error("passed on"); _ = conn.Close() })
	}()
	var conns []net.Conn
	for range maxProxied + 1 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	last := conns[maxProxied]
	_ = last.SetReadDeadline(time.Now().Add(proxyTimeout / 2))
	if _, err := last.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many: %v, want it closed at once", err)
	}
	cancel() // nobody waits for the rest
	<-ended
	for _, conn := range conns[:maxProxied] {
		_ = conn.SetReadDeadline(time.Now().Add(proxyTimeout))
		if _, err := conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Fatalf("at the end: %v, want it closed", err)
		}
	}
}
