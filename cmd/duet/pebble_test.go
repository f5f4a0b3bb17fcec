package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/duetcall/duet/config"
)

// patience is how long a test waits for what another process does: long enough for the
// second try at a certificate, a minute after one that a busy machine has spoilt.
const patience = 150 * time.Second

// pebble is Let's Encrypt's ACME server for tests, on loopback. It validates by
// connecting, as a real CA does, but to the ports that it is told.
type pebble struct {
	directory string // its URL
	trust     string // the file that vouches for its URL
	root      *x509.CertPool
	log       *logLines
}

// startPebble runs a CA that looks for HTTP-01 and TLS-ALPN-01 at these ports of
// loopback, whatever the name.
func startPebble(t *testing.T, httpPort, tlsPort int) *pebble {
	t.Helper()
	binary, err := exec.Command("go", "tool", "-modfile=../../tools.mod", "-n", "pebble").Output()
	if err != nil {
		t.Fatalf("building pebble: %v", err)
	}
	dir := t.TempDir()
	pair := pairIn(dir)
	pool := certify(t, pair, "localhost")
	listen, manage := "localhost:"+freePort(t), "localhost:"+freePort(t)
	cfg, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage,
		"certificate": pair.Cert, "privateKey": pair.Key, "httpPort": httpPort, "tlsPort": tlsPort,
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	writeFile(t, file, cfg)
	p := &pebble{directory: "https://" + listen + "/dir", trust: pair.Cert, log: new(logLines)}
	cmd := exec.Command(strings.TrimSpace(string(binary)), "-config", file, "-dnsserver", nameserver(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p.root = x509.NewCertPool()
	if !p.root.AppendCertsFromPEM(eventuallyGet(t, "https://"+manage+"/roots/0", &tls.Config{RootCAs: pool})) {
		t.Fatal("pebble has no root")
	}
	eventuallyGet(t, p.directory, &tls.Config{RootCAs: pool})
	return p
}

// eventuallyGet gets a page from a server that has just been started.
func eventuallyGet(t *testing.T, url string, secure *tls.Config) []byte {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}, Timeout: patience}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		resp, err := client.Get(url)
		if err == nil {
			page, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s, %v", url, resp.Status, err)
			}
			return page
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", url, err)
		}
	}
}

// nameserver answers, over TCP, that every name has the address 127.0.0.1.
func nameserver(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answering.Go(func() { answerQueries(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		answering.Wait()
	})
	return listener.Addr().String()
}

func answerQueries(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		answer, err := resolve(query)
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func resolve(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired},
		Questions: []dnsmessage.Question{question},
	}
	if question.Type == dnsmessage.TypeA {
		answer.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	return answer.Pack()
}

// process is Duet as its users run it.
type process struct {
	cmd *exec.Cmd
	log *logLines
}

// trusting runs Duet with a configuration; trust is a file of CAs for SSL_CERT_FILE.
func trusting(t *testing.T, cfg config.Config, trust string) *process {
	t.Helper()
	var text bytes.Buffer
	if err := config.Write(&text, cfg); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "turnserver.toml")
	writeFile(t, file, bytes.Replace(text.Bytes(), []byte("[redacted]"), []byte(cfg.Turn.StaticAuthSecret.Reveal()), 1))
	p := &process{exec.Command("duet", "--config", file), new(logLines)}
	p.cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+trust)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// stop ends Duet as systemd does, and checks that it ends well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("duet: %v\n%s", err, p.log)
	}
}

// logLines is a log that tests wait for.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed when there is more
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(b)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logLines) count(words string) int { return strings.Count(l.String(), words) }

// await waits for so many lines that hold the words and returns the last of them.
func (l *logLines) await(t *testing.T, lines int, words string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		l.mu.Lock()
		if l.more == nil {
			l.more = make(chan struct{})
		}
		text, more := l.text.String(), l.more
		l.mu.Unlock()
		seen, scanner := 0, bufio.NewScanner(strings.NewReader(text))
		for scanner.Scan() {
			if strings.Contains(scanner.Text(), words) {
				if seen++; seen == lines {
					return scanner.Text()
				}
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("%q is not %d times in the log:\n%s", words, lines, text)
		}
	}
}

// acmeConfig is a configuration on loopback that asks a CA for two names.
func acmeConfig(t *testing.T) (cfg config.Config, page, secure, turn string) {
	t.Helper()
	port := func() (int, string) {
		text := freePort(t)
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n, "127.0.0.1:" + text
	}
	cfg = config.Default()
	cfg.Log.Format = "json"
	_, page = port()
	_, secure = port()
	cfg.HTTP.Listen, cfg.TLS.Listen = page, secure
	cfg.Turn.ListeningIP = append(cfg.Turn.ListeningIP, loopback())
	cfg.Turn.ListeningPort, _ = port()
	cfg.Turn.TLSListeningPort, turn = port()
	cfg.Turn.MinPort, cfg.Turn.MaxPort = 29100, 29200
	cfg.Turn.StaticAuthSecret = "north-by-northwest"
	cfg.TLS.ACMEDomains = []string{"call.duet.test", "turn.duet.test"}
	cfg.TLS.ACMEEmail = "ann@duet.test"
	cfg.TLS.ACMECache = filepath.Join(t.TempDir(), "cache")
	return cfg, page, secure, turn
}

func (p *pebble) String() string { return fmt.Sprintf("pebble at %s:\n%s", p.directory, p.log) }
