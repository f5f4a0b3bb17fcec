package relay

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

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
	conn, err := tryDTLS(t, s, cert)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func tryDTLS(t *testing.T, s *Server, cert *tls.Certificate) (*dtls.Conn, error) {
	t.Helper()
	trusted := x509.NewCertPool()
	trusted.AddCert(cert.Leaf)
	socket := listenUDP(t, s.testDTLSAddr().Addr())
	conn, err := dtls.ClientWithOptions(socket, udpAddr(s.testDTLSAddr()), dtls.WithRootCAs(trusted), dtls.WithServerName("turn.test"))
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

var _ sync.Mutex
