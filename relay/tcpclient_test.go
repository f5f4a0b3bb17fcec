package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v3"
	"github.com/pion/turn/v4"
)

// pionTCP is a TCP allocation as pion's client makes it.
func pionTCP(t *testing.T, s *Server, member string) (*turn.Client, interface {
	net.Listener
	Dial(network, address string) (net.Conn, error)
},
) {
	t.Helper()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	cred := s.Credential(member)
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: s.testAddr().String(), TURNServerAddr: s.testAddr().String(),
		Username: cred.Username, Password: cred.Password, Realm: testRealm,
		Conn: turn.NewSTUNConn(dialTCP(t, s)), LoggerFactory: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	allocation, err := client.AllocateTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { allocation.Close() })
	return client, allocation
}

func TestPionsClientsTalkOverTCPAllocations(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	_, ann := pionTCP(t, s, "ann")
	bobs, bob := pionTCP(t, s, "bob")
	if err := bobs.CreatePermission(ann.Addr()); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := bob.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	left, err := ann.Dial("tcp4", bob.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	right := <-accepted
	if right == nil {
		t.FailNow()
	}
	defer right.Close()
	if right.RemoteAddr().String() != ann.Addr().String() {
		t.Errorf("bob sees %s, want %s", right.RemoteAddr(), ann.Addr())
	}
	conveys(t, left, right, "ann to bob")
	conveys(t, right, left, "bob to ann")
}

func TestDataConnectionsMayUseTLS(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	serving := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	go func() {
		defer close(done)
		AcceptEach(ctx, listener, func(conn net.Conn) { s.ServeStream(tls.Server(conn, serving), "tls") })
	}()
	t.Cleanup(func() { cancel(); <-done })
	dialTLS := func() *wireClient {
		c := dialStream(t, s, "ann", "pass")
		c.conn.Close()
		conn, err := tls.Dial("tcp4", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		c.conn = conn
		return c
	}
	c := dialTLS()
	relayed := c.allocateTCP()

	peers, at := tcpPeer(t)
	id := c.connect(at)
	data := dialTLS()
	data.want(data.do(methodConnectionBind, connectionID(id)), 0)
	peer := accept(t, peers)
	conveys(t, data.conn, peer, "question")
	data.conn.(*tls.Conn).CloseWrite()
	if got, err := io.ReadAll(peer); err != nil || len(got) != 0 {
		t.Errorf("the peer got %q, %v", got, err)
	}
	conveys(t, peer, data.conn, "answer")
	peer.Close()
	if got, err := io.ReadAll(data.conn); err != nil || len(got) != 0 {
		t.Errorf("the client got %q, %v", got, err)
	}
	noPeerConns(t, s)

	// A client that does not read cannot delay the end of its allocation.
	c.want(c.do(methodCreatePermission, toPeer(dialingPeer)), 0)
	flood := dialRelayed(t, relayed)
	id, _ = c.attempt()
	stuck := dialTLS()
	stuck.want(stuck.do(methodConnectionBind, connectionID(id)), 0)
	flood.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = flood.Write(make([]byte, 64<<20))
	began := time.Now()
	c.want(c.do(stun.MethodRefresh, seconds(0)), 0)
	if took := time.Since(began); took > time.Second {
		t.Errorf("Refresh took %v", took)
	}
	eventually(t, "the peer is cut off", func() bool {
		flood.SetWriteDeadline(time.Now().Add(time.Second))
		_, err := flood.Write([]byte{0})
		return err != nil
	})
}

// certificate is one that nobody vouches for.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}
