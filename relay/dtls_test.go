package relay

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

const testTLSPort = 5349

// certificateOf makes a certificate that vouches for itself.
func certificateOf(t *testing.T, key crypto.Signer) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"turn.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// dtlsConfig is testConfig with DTLS.
func dtlsConfig() config.Turn {
	cfg := testConfig()
	cfg.DTLS, cfg.TLSListeningPort = true, testTLSPort
	return cfg
}

// serveDTLS returns a relay with DTLS and its certificate.
func serveDTLS(t *testing.T) (*Server, *tls.Certificate) {
	t.Helper()
	cert := certificateOf(t, ecdsaKey(t))
	return serve(t, dtlsConfig(), Options{Certificate: func() *tls.Certificate { return cert }}), cert
}

func (s *Server) testDTLSAddr() netip.AddrPort { return addrPort(s.dtls[0].local) }

// dialDTLS connects as a client that trusts the certificate alone.
func dialDTLS(t *testing.T, s *Server, cert *tls.Certificate) *dtls.Conn {
	t.Helper()
	return shake(t, s, cert, listenUDP(t, s.testDTLSAddr().Addr()))
}

// shake is dialDTLS over a socket that the test has opened.
func shake(t *testing.T, s *Server, cert *tls.Certificate, socket net.PacketConn) *dtls.Conn {
	t.Helper()
	conn, err := tryDTLS(t, s, cert, socket)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func tryDTLS(t *testing.T, s *Server, cert *tls.Certificate, socket net.PacketConn) (*dtls.Conn, error) {
	t.Helper()
	return tryDTLSAt(t, s.testDTLSAddr(), cert, socket)
}

func tryDTLSAt(t *testing.T, at netip.AddrPort, cert *tls.Certificate, socket net.PacketConn) (*dtls.Conn, error) {
	t.Helper()
	trusted := x509.NewCertPool()
	trusted.AddCert(cert.Leaf)
	conn, err := dtls.ClientWithOptions(socket, udpAddr(at), dtls.WithRootCAs(trusted), dtls.WithServerName("turn.test"), dtls.WithFlightInterval(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return conn, conn.HandshakeContext(ctx)
}

// onDTLS is a connection in the form that pion's TURN client wants.
type onDTLS struct {
	*dtls.Conn
	to net.Addr
}

func (c onDTLS) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := c.Read(b)
	return n, c.to, err
}
func (c onDTLS) WriteTo(b []byte, _ net.Addr) (int, error) { return c.Write(b) }

// callOverDTLS allocates for a member. pion's client sends to the UDP port's address.
func callOverDTLS(t *testing.T, s *Server, cert *tls.Certificate, member string) *caller {
	t.Helper()
	return callOver(t, s, s.Credential(member), onDTLS{dialDTLS(t, s, cert), udpAddr(s.testAddr())})
}

func TestMembersTalkOverDTLSAndUDP(t *testing.T) {
	for _, row := range []struct {
		name string
		key  func(*testing.T) crypto.Signer
	}{{"ECDSA", ecdsaKey}, {"RSA", rsaKey}} {
		t.Run(row.name, func(t *testing.T) {
			cert := certificateOf(t, row.key(t))
			s := serve(t, dtlsConfig(), Options{Certificate: func() *tls.Certificate { return cert }})
			a, b := callOverDTLS(t, s, cert, "ann"), callOverDTLS(t, s, cert, "bob")
			udp := call(t, s, s.Credential("udp"))
			for _, pair := range [][2]*caller{{a, b}, {a, udp}, {udp, b}} {
				permitEachOther(t, pair[0], pair[1])
				exchangeSizes(t, pair[0], pair[1], 1, 5, 160, 1200, 1500)
			}
		})
	}
}

// A client that is OpenSSL's, with each kind of key.
func TestOpenSSLTalksDTLS(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal(err) // .ci/deps
	}
	for _, key := range []crypto.Signer{ecdsaKey(t), rsaKey(t)} {
		cert := certificateOf(t, key)
		s := serve(t, dtlsConfig(), Options{Certificate: func() *tls.Certificate { return cert }})
		trusted := filepath.Join(t.TempDir(), "cert.pem")
		if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
			t.Fatal(err)
		}
		client := exec.CommandContext(t.Context(), openssl, "s_client", "-dtls1_2", "-quiet", "-no_ign_eof", "-connect", s.testDTLSAddr().String(),
			"-CAfile", trusted, "-verify_return_error")
		request, err := client.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		answers, err := client.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		ask := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
		answer := make([]byte, 32)
		for range 3 {
			if _, err := request.Write(ask); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(answers, answer); err != nil {
				t.Fatal(err)
			}
			if binary.BigEndian.Uint16(answer) != 0x0101 || !bytes.Equal(answer[8:20], ask[8:20]) {
				t.Errorf("answer %x", answer)
			}
		}
		request.Close()
		_ = client.Wait() // its status tells of its input
		eventually(t, "its goodbye is heard", func() bool { return s.streams.count() == 0 })
	}
}

func TestEachDTLSHandshakeHasTheCertificateOfItsTime(t *testing.T) {
	var current atomic.Pointer[tls.Certificate]
	first, renewed := certificateOf(t, ecdsaKey(t)), certificateOf(t, rsaKey(t))
	current.Store(first)
	s := serve(t, dtlsConfig(), Options{Certificate: current.Load})
	dialDTLS(t, s, first)
	current.Store(renewed)
	dialDTLS(t, s, renewed)
	if _, err := tryDTLS(t, s, first, listenUDP(t, s.testDTLSAddr().Addr())); err == nil {
		t.Error("the old certificate is still in use")
	}
	eventually(t, "the client's refusal is counted", func() bool { return s.Stats().Dropped[DropHandshake] == 1 })
}

func TestDTLSNeedsACertificateAndAPort(t *testing.T) {
	if s, err := New(dtlsConfig(), Options{}); err == nil || !strings.Contains(err.Error(), "[tls] cert and key") {
		if err == nil {
			s.Close()
		}
		t.Errorf("without a certificate: %v", err)
	}
	cfg := dtlsConfig()
	taken, err := net.ListenUDP("udp", udpAddr(netip.AddrPortFrom(cfg.ListeningIP[0], testTLSPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if s, err := New(cfg, Options{Certificate: func() *tls.Certificate { return nil }}); err == nil || !strings.Contains(err.Error(), "tls_listening_port") {
		if err == nil {
			s.Close()
		}
		t.Errorf("with the port taken: %v", err)
	}
}

// An update of pion/dtls may move what expectCookie writes to; it must not go unnoticed.
func TestTheLibraryKeepsItsCookieWhereWeLookForIt(t *testing.T) {
	if !knowsCookie() {
		t.Fatal(errOtherDTLS)
	}
}

func TestBrowsersAreNotToldOfDTLS(t *testing.T) {
	s, _ := serveDTLS(t)
	if urls := s.URLs(); len(urls) != 1 || !strings.HasPrefix(urls[0], "turn:") {
		t.Errorf("URLs() = %v", urls)
	}
}

// With associations the log says how they end, and what they moved is counted.
func TestTheEndOfAnAssociationIsTheEndOfItsAllocation(t *testing.T) {
	log := make(lines, 100)
	cert := certificateOf(t, ecdsaKey(t))
	s := serve(t, dtlsConfig(), Options{
		Log:         slog.New(slog.NewTextHandler(log, nil)),
		Certificate: func() *tls.Certificate { return cert },
	})
	conn := dialDTLS(t, s, cert)
	callOver(t, s, s.Credential("ann"), onDTLS{conn, udpAddr(s.testAddr())})
	conn.Close()
	eventually(t, "the allocation is gone", func() bool {
		stats := s.Stats()
		return stats.Allocations == 0 && stats.PortsUsed == 0 && s.streams.count() == 0 && stats.FromClients.Packets >= 2
	})
	if got := <-log; !strings.Contains(got, `reason=closed`) || !strings.Contains(got, "transport=dtls") {
		t.Errorf("the log says %s", got)
	}
}
