// Package kill attacks the built binary as a hostile network would, while 20 calls
// run through it. It has tests only.
package kill

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long anything may take.
const patience = 20 * time.Second

// built is the binary that is attacked.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "duet-kill-")
	if err != nil {
		panic(err)
	}
	built = filepath.Join(dir, "duet")
	build := exec.Command("go", "build", "-o", built, "github.com/duetcall/duet/cmd/duet")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building duet:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

const (
	realm   = "duet"
	user    = "ann"
	word    = "pass"
	minPort = 31000
	maxPort = 31499
)

// duet is a running server.
type duet struct {
	pid                  int
	turn, secure, health string // addresses, "127.0.0.1:3478"; TURN has one for UDP and TCP
	trust                *tls.Config
	log                  *logBuffer
	ended                chan struct{} // closed when the process has ended
}

// start runs Duet with TURN over UDP, TCP and TLS until the test ends. files bounds its
// file descriptors; 0 leaves them as they are.
func start(t *testing.T, files int) *duet {
	t.Helper()
	dir := t.TempDir()
	turn, http, secure, metrics := freePort(t), freePort(t), freePort(t), freePort(t)
	pool := certify(t, dir)
	file := filepath.Join(dir, "turnserver.toml")
	write(t, file, fmt.Sprintf(`
[http]
listen = "127.0.0.1:%d"
[tls]
listen = "127.0.0.1:%d"
cert = %q
key = %q
[turn]
listening_ip = ["127.0.0.1"]
listening_port = %d
tls_listening_port = 0
min_port = %d
max_port = %d
users = { %s = %q }
static_auth_secret = "the secret"
[metrics]
listen = "127.0.0.1:%d"
[log]
format = "json"
`, http, secure, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), turn, minPort, maxPort, user, word, metrics))
	d := &duet{
		turn: loopback(turn), secure: loopback(secure), health: loopback(metrics),
		trust: &tls.Config{RootCAs: pool, ServerName: "call.test"},
		log:   &logBuffer{}, ended: make(chan struct{}),
	}
	command := exec.Command(built, "serve", "--config", file)
	if files > 0 {
		command = exec.Command("prlimit", fmt.Sprintf("--nofile=%d", files), built, "serve", "--config", file)
	}
	command.Env = append(os.Environ(), "GOGC=20", "STATE_DIRECTORY="+dir) // garbage is no leak
	command.Stdout, command.Stderr = io.Discard, d.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	d.pid = command.Process.Pid
	var status error
	go func() {
		status = command.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.ended:
		case <-time.After(patience):
			_ = command.Process.Kill()
			<-d.ended
			t.Error("duet did not end")
		}
		if status != nil || strings.Contains(d.log.String(), "DATA RACE") {
			t.Errorf("duet ended with %v:\n%s", status, d.log.tail())
		}
	})
	eventually(t, "duet listens", func() bool {
		conn, err := net.Dial("tcp", d.secure)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return d
}

// alive fails the test if the server has ended: restarts do not count as survival.
func (d *duet) alive(t *testing.T) {
	t.Helper()
	select {
	case <-d.ended:
		t.Fatalf("duet has ended:\n%s", d.log.tail())
	default:
	}
}

// level is what a server holds on to.
type level struct{ files, goroutines, heap int }

var series = regexp.MustCompile(`(?m)^(go_goroutines|process_open_fds|go_memstats_heap_inuse_bytes) (\S+)$`)

func (d *duet) level(t *testing.T) level {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + d.health + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, match := range series.FindAllStringSubmatch(string(body), -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		found[match[1]] = int(value)
	}
	if len(found) != 3 {
		t.Fatalf("/metrics lacks a series of the process: %v", found)
	}
	return level{found["process_open_fds"], found["go_goroutines"], found["go_memstats_heap_inuse_bytes"]}
}

// heapSlack is how much the heap may differ between two moments of the same load.
const heapSlack = 12 << 20

// returnsTo waits for the server to hold on to no more than before.
func (d *duet) returnsTo(t *testing.T, before level) {
	t.Helper()
	var now level
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		now = d.level(t)
		if now.files <= before.files && now.goroutines <= before.goroutines && now.heap <= before.heap+heapSlack {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("before the attack %+v, after it %+v", before, now)
		}
	}
}

// logBuffer keeps what the server writes.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBuffer) lines() int { return strings.Count(l.String(), "\n") }

func (l *logBuffer) tail() string {
	text := l.String()
	return text[max(0, len(text)-20_000):]
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePort returns a port that is free for UDP and TCP just now.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		conn, err := net.ListenPacket("udp", listener.Addr().String())
		_ = listener.Close()
		if err == nil {
			_ = conn.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// certify writes cert.pem and key.pem for call.test, and returns who trusts them.
func certify(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"call.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
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
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	parsed, err := x509.ParseCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
