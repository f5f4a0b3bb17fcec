package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v4"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

// certify writes a certificate for name that vouches for itself, and returns who trusts it.
func certify(t *testing.T, cfg config.TLS, name string) *x509.CertPool {
	t.Helper()
	return certifyUntil(t, cfg, name, time.Now().Add(time.Hour))
}

// certifyUntil writes one that began an hour ago.
func certifyUntil(t *testing.T, cfg config.TLS, name string, end time.Time) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, cfg.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	writeFile(t, cfg.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return pool
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func pairIn(dir string) config.TLS {
	return config.TLS{Listen: "127.0.0.1:0", Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
}

// startTLS runs Duet with TLS for call.test and returns how its clients connect.
func startTLS(t *testing.T) (s *server, client *tls.Config, stop func()) {
	t.Helper()
	cfg := pairIn(t.TempDir())
	pool := certify(t, cfg, "call.test")
	port, err := strconv.Atoi(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	s, stop = startServer(t, func(c *config.Config) { c.TLS, c.Turn.TLSListeningPort = cfg, port })
	return s, &tls.Config{RootCAs: pool, ServerName: "call.test"}, stop
}

func TestOnePortServesHTTPSAndWebSocketsAndTURN(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, client, stop := startTLS(t)
	defer stop()
	at := s.split.Addr().String()

	transport := &http.Transport{TLSClientConfig: client, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get("https://" + at + "/trickle")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(page, []byte("trickle")) {
		t.Errorf("GET /trickle: %s, %v", resp.Status, err)
	}

	ws, joined := joinRoom(t, "wss://"+at, "tea", client)
	defer ws.Close()
	given := joined.ICE.Servers[0]
	port := s.split.Addr().(*net.TCPAddr).Port
	if want := "turns:call.test:" + strconv.Itoa(port) + "?transport=tcp"; given.URLs[len(given.URLs)-1] != want {
		t.Errorf("URLs = %v, want %s among them", given.URLs, want)
	}

	for _, row := range []struct {
		name string
		alpn []string
	}{{"told by the first byte", nil}, {"told by ALPN", []string{alpnTURN}}} {
		t.Run(row.name, func(t *testing.T) {
			config := client.Clone()
			config.NextProtos = row.alpn
			conn, err := tls.Dial("tcp", at, config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			opensAllocation(t, s.cfg.Turn, given, at, turn.NewSTUNConn(conn))
		})
	}
}

func TestTheTLSPortOutlivesWhatIsNotTLS(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, client, stop := startTLS(t)
	defer stop()
	at := s.split.Addr().String()
	for _, row := range []struct{ name, sent string }{
		{"HTTP", "GET / HTTP/1.1\r\n\r\n"},
		{"TURN without TLS", "\x00\x03\x00\x00\x21\x12\xa4\x42aaaaaaaaaaaa"},
		{"broken hello", "\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff"},
	} {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(helloTimeout))
		if _, err := conn.Write([]byte(row.sent)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v, want the connection closed", row.name, err)
		}
		_ = conn.Close()
	}
	conn, err := tls.Dial("tcp", at, client)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// URLs lead to the port that gets through, among those that others reach.
func TestTheURLForTURNOverTLSIsOneThatClientsReach(t *testing.T) {
	at := func(address string) *split {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return &split{inner: addressed{tcp}}
	}
	for _, tt := range []struct{ name, shared, own, public, want string }{
		{"the page's port", "0.0.0.0:443", "0.0.0.0:5349", "", "call.test:443"},
		{"the page's port, wherever", "192.0.2.1:8443", "192.0.2.1:5349", "https://call.test", "call.test:8443"},
		{"the page is for this machine", "127.0.0.1:8443", "192.0.2.1:5349", "https://call.test", "call.test:5349"},
		{"all is forwarded", "127.0.0.1:8443", "127.0.0.1:5349", "https://call.test", "call.test:443"},
		{"all is forwarded, from another port", "127.0.0.1:8443", "127.0.0.1:5349", "https://call.test:444", "call.test:444"},
		{"nothing is public", "127.0.0.1:8443", "127.0.0.1:5349", "", "call.test:8443"},
		{"the page's name is another's", "127.0.0.1:8443", "127.0.0.1:5349", "https://page.test", "call.test:8443"},
	} {
		certs := &acmeCertificates{cfg: config.TLS{ACMEDomains: []string{"call.test"}}}
		s := &server{certs: certs, split: at(tt.shared), turnTLS: []*split{at(tt.own)}}
		s.current.Store(&s.cfg)
		s.config().HTTP.PublicURL = tt.public
		host, port := s.turnsHost()
		if got := net.JoinHostPort(host, strconv.Itoa(port)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// addressed is a listener that has only an address.
type addressed struct{ addr net.Addr }

func (a addressed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (a addressed) Close() error              { return nil }
func (a addressed) Addr() net.Addr            { return a.addr }

func TestNothingOlderThanTLS12IsSpoken(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, client, stop := startTLS(t)
	defer stop()
	for name, at := range map[string]string{"page": s.split.Addr().String(), "TURN": s.turnTLS[0].Addr().String()} {
		for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
			config := client.Clone()
			config.MinVersion, config.MaxVersion = version, version
			conn, err := tls.Dial("tcp", at, config)
			if (err == nil) != want || !want && !strings.Contains(err.Error(), "remote error: tls: protocol version not supported") {
				t.Errorf("%s: %s: %v", name, tls.VersionName(version), err)
			}
			if err == nil {
				_ = conn.Close()
			}
		}
	}
}

func TestTheTLSPortOfTURNIsForTURNAlone(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, client, stop := startTLS(t)
	defer stop()
	at := s.turnTLS[0].Addr().String()
	ws, joined := joinRoom(t, "wss://"+s.split.Addr().String(), "tea", client)
	defer ws.Close()
	given := joined.ICE.Servers[0]
	if len(given.URLs) > 4 || slices.ContainsFunc(given.URLs, func(url string) bool { return strings.Contains(url, ":"+strconv.Itoa(s.cfg.Turn.TLSListeningPort)) }) {
		t.Errorf("URLs = %v, want the shared port alone among at most four", given.URLs)
	}
	for _, alpn := range [][]string{nil, {alpnTURN}} {
		config := client.Clone()
		config.NextProtos = alpn
		conn, err := tls.Dial("tcp", at, config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		opensAllocation(t, s.cfg.Turn, given, at, turn.NewSTUNConn(conn))
	}
	conn, err := tls.Dial("tcp", at, client)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(helloTimeout))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: call.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") || len(answer) > 0 {
		t.Errorf("HTTP got %q, %v, want the connection closed", answer, err)
	}
}

// Whoever only begins handshakes has no room for them but a source's share.
func TestASourceHasOnlySoManyHandshakes(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, client, stop := startTLS(t)
	defer stop()
	for _, port := range []*split{s.split, s.turnTLS[0]} {
		at := port.Addr().String()
		var silent []net.Conn
		for range maxHandshakesPerSource + 1 {
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			silent = append(silent, conn)
		}
		last := silent[maxHandshakesPerSource]
		_ = last.SetReadDeadline(time.Now().Add(helloTimeout / 2))
		if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one too many: %v, want it closed at once", err)
		}
		_ = silent[0].Close()
		patient, cancel := context.WithTimeout(t.Context(), helloTimeout/2)
		defer cancel()
		for {
			conn, err := (&tls.Dialer{Config: client}).DialContext(patient, "tcp", at)
			if err == nil {
				_ = conn.Close()
				break
			}
			if patient.Err() != nil {
				t.Fatalf("there is room again, but: %v", err)
			}
		}
		for _, conn := range silent {
			_ = conn.Close()
		}
	}
}

func TestWithTLSPlainHTTPPointsToIt(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, _, stop := startTLS(t)
	defer stop()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get("http://" + s.listener.Addr().String() + "/?policy=relay")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	want := "https://call.test:" + strconv.Itoa(s.split.Addr().(*net.TCPAddr).Port) + "/?policy=relay"
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusPermanentRedirect || got != want {
		t.Errorf("%s to %q, want %q", resp.Status, got, want)
	}
}

func TestARenewedCertificateIsNoticedAndABrokenOneIsNot(t *testing.T) {
	cfg := pairIn(t.TempDir())
	certify(t, cfg, "old.test")
	var log bytes.Buffer
	cert, err := loadCertificate(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, step := range []struct {
		name   string
		change func()
		want   string
		logged string
	}{
		{"nothing changed", func() {}, "old.test", ""},
		{"a new pair", func() { certify(t, cfg, "longer-name.test") }, "longer-name.test", "certificate read again"},
		{"half a pair", func() { writeFile(t, cfg.Key, []byte("not a key")) }, "longer-name.test", "the old one stays in use"},
		{"told once", func() {}, "longer-name.test", ""},
		{"whole again", func() { certify(t, cfg, "old.test") }, "old.test", "certificate read again"},
	} {
		t.Run(step.name, func(t *testing.T) {
			log.Reset()
			step.change()
			now = now.Add(certificateCheck)
			got := cert.get(nil, now)
			if name := got.Leaf.DNSNames[0]; name != step.want {
				t.Errorf("certificate of %s, want %s", name, step.want)
			}
			if (step.logged == "") != (log.Len() == 0) || !strings.Contains(log.String(), step.logged) {
				t.Errorf("logged %q, want %q", log.String(), step.logged)
			}
		})
	}
	_, err = loadCertificate(pairIn(t.TempDir()), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "[tls] cert and key: ") {
		t.Errorf("without files: %v", err)
	}
}

func TestACertificateThatIsNotThereLeavesNothingBound(t *testing.T) {
	defer goleak.VerifyNone(t)
	cfg := config.Default()
	cfg.HTTP.Listen = "127.0.0.1:0"
	cfg.Turn.ListeningIP = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	port, err := strconv.Atoi(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Turn.ListeningPort = port
	cfg.TLS = pairIn(t.TempDir())
	if _, err := newServer(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "[tls] cert and key: ") {
		t.Fatalf("newServer: %v", err)
	}
	again, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("the relay's port is still taken: %v", err)
	}
	_ = again.Close()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
