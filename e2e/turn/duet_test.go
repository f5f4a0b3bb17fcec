//go:build linux

package turn

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who calls, where.
const (
	user, password, realm = "ann", "wonderland", "duet.test"
	secret                = "a-secret-of-two-apps"
	plainPort, tlsPort    = 3478, 443
	// Relay ports, so that packets to and from them are known for what they are.
	firstRelay, lastRelay = 50000, 50999
)

// settings are Duet's on every lab.
const settings = `
[http]
listen = "127.0.0.1:8080"
[turn]
realm = "` + realm + `"
users = { ` + user + ` = "` + password + `" }
static_auth_secret = "` + secret + `"
relay_ip = ["192.168.77.10", "fd77::10"]
min_port = 50000
max_port = 50999
%s
[tls]
listen = ":443"
cert = %q
key = %q
[log]
format = "json"
`

// duet is the binary under test, running.
type duet struct {
	cmd *exec.Cmd
	log bytes.Buffer
	// ca is the file of the certificate to trust.
	ca string
}

// serve starts Duet on its machine, with more keys of [turn], and returns once every
// port is bound.
func (l *lab) serve(t *testing.T, more ...string) *duet {
	t.Helper()
	dir := t.TempDir()
	d := &duet{ca: filepath.Join(dir, "cert.pem")}
	key, file := filepath.Join(dir, "key.pem"), filepath.Join(dir, "turnserver.toml")
	certify(t, d.ca, key)
	writeFile(t, file, fmt.Appendf(nil, settings, strings.Join(more, "\n"), d.ca, key))
	d.cmd = exec.Command(program, "serve", "--config", file)
	d.cmd.Env = []string{} // nothing but the file configures it
	d.cmd.Stderr = &d.log
	banner, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.server.start(d.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.cmd.Process.Kill() })
	said := bufio.NewScanner(banner)
	for said.Scan() {
		if strings.HasPrefix(strings.TrimSpace(said.Text()), "Config") { // the banner's last line
			return d
		}
	}
	d.cmd.Wait()
	t.Fatalf("duet does not start:\n%s", d.log.String())
	return nil
}

// ended is what Duet's log says of an allocation.
type ended struct {
	Msg, Transport, Reason, User string
	Client, Relayed              netip.AddrPort
	BytesFromClient              int `json:"bytes_from_client"`
	BytesFromPeers               int `json:"bytes_from_peers"`
}

// stop ends Duet, as an operator would, and returns its allocations and its log.
func (d *duet) stop(t *testing.T) (all []ended, log string) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("duet ended with %v", err)
	}
	log = d.log.String()
	for line := range strings.Lines(log) {
		var entry ended
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("log line %q: %v", line, err)
		}
		if entry.Msg == "allocation ended" {
			all = append(all, entry)
		}
	}
	return all, log
}

// certify writes a certificate for Duet's addresses that vouches for itself.
func certify(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{realm},
		IPAddresses: []net.IP{server4.AsSlice(), server6.AsSlice()},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
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
	writeFile(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	writeFile(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
