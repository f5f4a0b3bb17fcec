package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay"
)

// scrape returns the value of each series, named as in the exposition format.
func scrape(t *testing.T, s *server) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + s.metrics.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", resp.Status, body, err)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && line[0] != '#' {
			if values[name], err = strconv.ParseFloat(value, 64); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
	}
	return values
}

func TestEverySeriesIsDocumentedAndWellNamed(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, real []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(duet_\\w+)` \\|([^|]*)\\|").FindAllStringSubmatch(string(docs), -1) {
		documented = append(documented, row[1]+" "+strings.Trim(strings.ReplaceAll(row[2], "`", ""), " "))
	}
	for _, s := range allSeries() {
		real = append(real, s.name+" "+strings.Join(s.labels, ", "))
	}
	if !slices.Equal(documented, real) {
		t.Errorf("documented %q\nreal %q", documented, real)
	}

	registry := prometheus.NewRegistry()
	s, stop := startServer(t, nil)
	defer stop()
	registry.MustRegister(newCollector(s.measure))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

// The tables of reasons in docs/metrics.md are those of the relay.
func TestEveryReasonIsDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	s, stop := startServer(t, nil)
	defer stop()
	stats := s.relay.Stats()
	for heading, real := range map[string][]string{
		"Refusals": names(stats.Refused, func(r relay.Refusal) string { return fmt.Sprintf("%s %d", r, r.Code()) }),
		"Drops":    names(stats.Dropped, relay.Drop.String),
		"Ends":     names(stats.Ended, relay.End.String),
	} {
		_, section, _ := strings.Cut(string(docs), "### "+heading+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		var documented []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(?: (\\d+) \\|)?").FindAllStringSubmatch(section, -1) {
			documented = append(documented, strings.TrimSpace(row[1]+" "+row[2]))
		}
		if !slices.Equal(documented, real) {
			t.Errorf("%s: documented %q\nreal %q", heading, documented, real)
		}
	}
}

// names returns those of the keys of counts, in order.
func names[K cmp.Ordered](counts map[K]uint64, name func(K) string) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, name(key))
	}
	return all
}

func TestEveryReasonIsThereFromTheStart(t *testing.T) {
	s, stop := startServer(t, nil)
	defer stop()
	values := scrape(t, s)
	for _, want := range []string{
		`duet_relay_refusals_total{code="401",reason="credential"}`, `duet_relay_refusals_total{code="486",reason="user_quota"}`,
		`duet_relay_drops_total{reason="unsolicited"}`, `duet_relay_active_allocations{family="ipv6",transport="tls"}`,
		`duet_relay_allocations_ended_total{reason="closed"}`, `duet_signaling_errors_total{code="room_full"}`, "go_goroutines", "process_open_fds",
	} {
		if _, ok := values[want]; !ok {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestCountersCountLiveAndNeverGoDown(t *testing.T) {
	s, stop := startServer(t, nil)
	defer stop()
	username, password := relay.Mint(s.cfg.Turn.StaticAuthSecret, "ann", time.Now().Add(time.Hour))
	if s.cfg.Turn.StaticAuthSecret == "" {
		cred := s.relay.Credential("ann")
		username, password = cred.Username, cred.Password
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.cfg.Turn.ListeningPort))
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: address, TURNServerAddr: address, Conn: conn, Username: username, Password: password, Realm: s.cfg.Turn.Realm,
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
	const live, total = `duet_relay_active_allocations{family="ipv4",transport="udp"}`, `duet_relay_allocations_total{family="ipv4",transport="udp"}`
	during := scrape(t, s)
	if during[live] != 1 || during[total] != 1 || during[`duet_relay_ports_used{family="ipv4"}`] != 1 || during[`duet_relay_bytes_total{direction="from_clients"}`] == 0 {
		t.Errorf("while the allocation lives: %v, %v, bytes %v", during[live], during[total], during[`duet_relay_bytes_total{direction="from_clients"}`])
	}
	if err := relayed.Close(); err != nil {
		t.Fatal(err)
	}
	after := scrape(t, s)
	for deadline := time.Now().Add(5 * time.Second); after[live] != 0 && time.Now().Before(deadline); {
		after = scrape(t, s)
	}
	if after[live] != 0 || after[total] != 1 {
		t.Errorf("after its end: %v, %v", after[live], after[total])
	}
	for name := range maps.Keys(during) {
		if strings.HasPrefix(name, "duet_") && strings.Contains(name, "_total") && after[name] < during[name] {
			t.Errorf("%s went from %v to %v", name, during[name], after[name])
		}
	}
}

func TestNoWebPageReadsTheMetrics(t *testing.T) {
	s, stop := startServer(t, nil)
	defer stop()
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost": http.StatusOK, "localhost:9641": http.StatusOK, "[::1]:9641": http.StatusOK, "[::1]": http.StatusOK,
		"evil.example": http.StatusForbidden, "evil.example:9641": http.StatusForbidden, "127.0.0.1.evil.example": http.StatusForbidden,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.metrics.Addr().String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %q got %d, want %d", host, resp.StatusCode, want)
		}
	}
}

func TestATakenDefaultPortCostsTheMetricsAlone(t *testing.T) {
	taken, err := net.Listen("tcp", config.Default().Metrics.Listen)
	if err == nil {
		defer taken.Close()
	}
	s, stop := startServer(t, func(cfg *config.Config) { cfg.Metrics = config.Default().Metrics })
	defer stop()
	if s.metrics != nil {
		t.Error("bound all the same")
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	cfg := s.cfg
	cfg.HTTP.Listen, cfg.Turn.Enabled, cfg.Metrics.Listen = "127.0.0.1:0", false, other.Addr().String()
	if _, err := newServer(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "[metrics] listen") {
		t.Errorf("a port that was asked for: %v", err)
	}
}

// What docs/metrics.md gives to fail2ban finds who guessed a password, in both formats.
func TestTheFilterForFail2banFindsWhoGuesses(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var filters []*regexp.Regexp
	for _, line := range regexp.MustCompile(`(?m)^ {4}(?:failregex =| {11}) (.*<HOST>.*)$`).FindAllStringSubmatch(string(docs), -1) {
		filters = append(filters, regexp.MustCompile(strings.ReplaceAll(line[1], "<HOST>", `\[?(?P<host>[0-9a-f.:]+?)\]?`)))
	}
	if len(filters) != 2 {
		t.Fatalf("%d filters in the docs", len(filters))
	}
	for i, format := range []string{"text", "json"} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(format+" "+host, func(t *testing.T) {
				log := guess(t, format, netip.MustParseAddr(host))
				found := 0
				for line := range strings.Lines(log) {
					match := filters[i].FindStringSubmatch(line)
					if match != nil && match[1] != host {
						t.Errorf("found %q in %s", match[1], line)
					}
					if (match != nil) != strings.Contains(line, "authentication failed") {
						t.Errorf("found: %t, in %s", match != nil, line)
					}
					if match != nil {
						found++
					}
				}
				if found == 0 || strings.Contains(log, "canary") {
					t.Errorf("%d lines found in\n%s", found, log)
				}
			})
		}
	}
}

// guess tries a wrong password and an unknown name, then knocks with a credential that is
// merely over, and returns the relay's log.
func guess(t *testing.T, format string, at netip.Addr) string {
	t.Helper()
	probe, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
	if err != nil {
		t.Skipf("no %s here", at)
	}
	port := probe.LocalAddr().(*net.UDPAddr).Port
	_ = probe.Close()
	var log lockedBuffer
	cfg := config.Default().Turn
	cfg.ListeningIP, cfg.RelayIP = []netip.Addr{at}, []netip.Addr{at}
	cfg.ListeningPort, cfg.TCP = port, false
	cfg.Users = map[string]config.Secret{"ann": "pass"}
	cfg.StaticAuthSecret = "secret"
	r, err := relay.New(cfg, relay.Options{Log: newLogger(&log, config.Log{Level: "info", Format: format}, new(slog.LevelVar)).With("part", "relay")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	expired, password := relay.Mint("secret", "bob", time.Now().Add(-time.Hour))
	for _, login := range [][2]string{{"ann", "guess"}, {"canary", "guess"}, {expired, password}} {
		knock(t, netip.AddrPortFrom(at, uint16(port)), cfg.Realm, login[0], login[1])
	}
	return log.String()
}

// knock fails to log in. (pion's client does so over IPv4 alone.)
func knock(t *testing.T, at netip.AddrPort, realm, username, password string) {
	t.Helper()
	conn, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, err := stun.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ask := func(setters ...stun.Setter) (answer stun.Message) {
		t.Helper()
		all := append([]stun.Setter{stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)}, setters...)
		err := client.Do(stun.MustBuild(all...), func(e stun.Event) {
			if e.Error != nil {
				t.Error(e.Error)
				return
			}
			if err := e.Message.CloneTo(&answer); err != nil {
				t.Error(err)
			}
		})
		if err != nil || answer.Type.Class != stun.ClassErrorResponse {
			t.Fatalf("%s: %v, %v", username, answer, err)
		}
		return answer
	}
	challenge := ask()
	var nonce stun.Nonce
	if err := nonce.GetFrom(&challenge); err != nil {
		t.Fatal(err)
	}
	const udp = "\x11\x00\x00\x00"
	ask(stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte(udp)}, stun.NewUsername(username),
		stun.NewRealm(realm), nonce, stun.NewLongTermIntegrity(username, realm, password))
}

// What a scrape costs beside relay.Stats, which has a benchmark of its own.
func BenchmarkScrape(b *testing.B) {
	cfg := config.Default()
	cfg.HTTP.Listen, cfg.Metrics.Listen, cfg.Turn.Enabled = "127.0.0.1:0", "127.0.0.1:0", false
	s, err := newServer(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.close() }()
	handler := s.metricsHandler()
	request := httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil)
	b.ReportAllocs()
	for b.Loop() {
		answer := httptest.NewRecorder()
		if handler.ServeHTTP(answer, request); answer.Code != http.StatusOK {
			b.Fatal(answer.Code)
		}
	}
}

// lockedBuffer is a buffer that a server's goroutines write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
