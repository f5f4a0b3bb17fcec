package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/duetcall/duet/config"
)

// socketTo is a client's socket, without DTLS.
func socketTo(t *testing.T, s *Server) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, udpAddr(s.testDTLSAddr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// secondHello asks for a cookie and returns the hello that has it.
func secondHello(t *testing.T, conn *net.UDPConn) []byte {
	t.Helper()
	first := unhex(opensslHello)
	rand.Read(first[27:59])
	return mustParse(t, first).again(cookieIn(t, exchangeUDP(t, conn, first)))
}

func exchangeUDP(t *testing.T, conn *net.UDPConn, datagram []byte) []byte {
	t.Helper()
	if _, err := conn.Write(datagram); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	conn.SetReadDeadline(time.Now().Add(patience))
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func (s *Server) halfOpenNow() int {
	s.halfOpen.mu.Lock()
	defer s.halfOpen.mu.Unlock()
	return s.halfOpen.total
}

// begin starts a handshake that goes no further than the server's flight.
func begin(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	if flight := exchangeUDP(t, conn, secondHello(t, conn)); flight[0] != 22 || flight[13] != 2 {
		t.Fatalf("no ServerHello: %x", flight)
	}
}

func TestASourceHasOnlySoManyHandshakes(t *testing.T) {
	s, cert := serveDTLS(t)
	for range maxHandshakesPerSource {
		begin(t, socketTo(t, s))
	}
	conn := socketTo(t, s)
	hello := secondHello(t, conn)
	if _, err := conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one too many", func() bool { return s.Stats().Dropped[DropCrowded] == 1 })
	expectNothing(t, conn)
	if n := s.halfOpenNow(); n != maxHandshakesPerSource {
		t.Errorf("%d handshakes, want %d", n, maxHandshakesPerSource)
	}
	if n := s.streams.count(); n != maxHandshakesPerSource {
		t.Errorf("%d associations, want %d", n, maxHandshakesPerSource)
	}
	// A client at another address does not notice.
	shake(t, s, cert, listenUDP(t, ownLoopback()))
}

// A hello that was seen on the way makes nothing when it comes again, and ends nothing.
func TestAReplayedHelloChangesNothing(t *testing.T) {
	s, _ := serveDTLS(t)
	conn := socketTo(t, s)
	hello := secondHello(t, conn)
	exchangeUDP(t, conn, hello)
	for range 20 {
		if _, err := conn.Write(hello); err != nil {
			t.Fatal(err)
		}
	}
	other := socketTo(t, s)
	if _, err := other.Write(hello); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is refused from another port", func() bool { return s.Stats().Dropped[DropCookie] == 1 })
	if n := s.streams.count(); n != 1 || s.halfOpenNow() != 1 {
		t.Errorf("%d associations, %d handshakes, want 1", n, s.halfOpenNow())
	}
	expectNothing(t, other)
}

func TestAClientThatStartsAnewReplacesItself(t *testing.T) {
	s, cert := serveDTLS(t)
	socket := listenUDP(t, s.testDTLSAddr().Addr())
	callOver(t, s, s.Credential("ann"), onDTLS{shake(t, s, cert, socket), udpAddr(s.testAddr())})
	at := socket.LocalAddr().(*net.UDPAddr)
	socket.Close() // without a goodbye
	socket, err := net.ListenUDP("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	again := callOver(t, s, s.Credential("ann"), onDTLS{shake(t, s, cert, socket), udpAddr(s.testAddr())})
	eventually(t, "the first is gone", func() bool { return s.streams.count() == 1 && s.Stats().Allocations == 1 })
	b := callOverDTLS(t, s, cert, "bob")
	permitEachOther(t, again, b)
	talk(t, again, b)
}

// newDTLSGate is a listener without network: datagrams in, answers counted.
func newDTLSGate(t *testing.T, change func(*config.Turn)) (*dtlsListener, *outbox, *tls.Certificate) {
	t.Helper()
	cfg := dtlsConfig()
	if change != nil {
		change(&cfg)
	}
	cert := certificateOf(t, ecdsaKey(t))
	s, err := New(cfg, Options{Certificate: func() *tls.Certificate { return cert }})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.streams = newStreams() // that other was told to end
	t.Cleanup(func() {
		s.streams.close()
		s.readers.Wait()
	})
	l, out := s.dtls[0], &outbox{}
	l.socket = newSocket(out)
	return l, out, cert
}

func spoofed(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 5000)
}

func TestTenThousandHellosWithoutACookieLeaveNothing(t *testing.T) {
	l, out, _ := newDTLSGate(t, nil)
	var before, after runtime.MemStats
	goroutines, datagrams := runtime.NumGoroutine(), [][]byte{
		unhex(opensslHello), unhex(oldHello), mustParse(t, unhex(opensslHello)).again(make([]byte, cookieSize)),
		unhex(opensslHello)[:200], []byte("garbage"), unhex("17fefd0001000000000000001000000000000000000000000000000000"),
	}
	flood := func() {
		for n := range 10_000 {
			for _, datagram := range datagrams {
				if drop := l.receive(datagram, spoofed(n)); drop != kept {
					l.server.stats.drop(drop)
				}
			}
		}
	}
	l.receive(datagrams[0], stranger) // buffers that are made once
	out.packets = 0
	runtime.GC()
	runtime.ReadMemStats(&before)
	flood()
	runtime.ReadMemStats(&after)
	if got := after.Mallocs - before.Mallocs; got > 100 {
		t.Errorf("%d pieces of memory for 60,000 datagrams", got)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if len(l.associations) != 0 || l.server.halfOpen.total != 0 || l.server.streams.count() != 0 {
		t.Error("strangers are remembered")
	}
	if out.packets != 20_000 {
		t.Errorf("%d answers, want one for each first hello", out.packets)
	}
	stats := l.server.Stats()
	if stats.Dropped[DropHello] != 20_000 || stats.Dropped[DropCookie] != 10_000 || stats.Dropped[DropRecord] != 20_000 {
		t.Errorf("counted %v", stats.Dropped)
	}
}

func TestHellosAreAnsweredAsRarelyAsOtherStrangers(t *testing.T) {
	l, out, _ := newDTLSGate(t, func(cfg *config.Turn) { cfg.ErrorRate = 10 })
	began := time.Now()
	for range 1000 {
		l.receive(unhex(opensslHello), stranger)
		l.receive(unhex(oldHello), stranger)
	}
	if most := 10 + int(time.Since(began).Seconds()*10) + 1; out.packets < 10 || out.packets > most {
		t.Errorf("%d answers, want 10 to %d", out.packets, most)
	}
}

// The records of the server go on where the client's hello left off, also when that was
// not its second (RFC 6347 section 4.2.1): the client would take them for repeated ones.
// And who did not hear the end of the handshake is told again.
func TestWhatIsLostOfAHandshakeIsMadeGood(t *testing.T) {
	s, cert := serveDTLS(t)
	lossy := &lossySocket{UDPConn: listenUDP(t, s.testDTLSAddr().Addr()), questions: 3, ends: 2}
	a := callOver(t, s, s.Credential("ann"), onDTLS{shake(t, s, cert, lossy), udpAddr(s.testAddr())})
	b := callOverDTLS(t, s, cert, "bob")
	permitEachOther(t, a, b)
	talk(t, a, b)
	if lossy.questions != -1 || lossy.ends != -1 || lossy.number != 4 {
		t.Errorf("lost all but %d and %d; the ServerHello's record has number %d, want that of the fifth hello",
			lossy.questions, lossy.ends, lossy.number)
	}
}

// lossySocket is a client's that loses some questions for the cookie, and then some last
// flights of the server.
type lossySocket struct {
	*net.UDPConn
	questions, ends int    // to lose, -1 when one has passed
	number          uint64 // of the ServerHello's record
}

func (l *lossySocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := l.UDPConn.ReadFrom(b)
		switch {
		case err != nil:
		case b[0] == recordHandshake && b[13] == messageVerifyRequest:
			if l.questions--; l.questions >= 0 {
				continue
			}
		case b[0] == recordHandshake && recordEpoch(b) == 0 && b[13] == 2:
			l.number = recordNumber(b)
		case b[0] == recordChangeCipher:
			if l.ends--; l.ends >= 0 {
				continue
			}
		}
		return n, from, err
	}
}

// Whoever knows where a client and the server are can write to each in the other's name.
func TestWhatIsNotEncryptedDoesNotDisturbACall(t *testing.T) {
	s, cert := serveDTLS(t)
	socket := listenUDP(t, s.testDTLSAddr().Addr())
	a := callOver(t, s, s.Credential("ann"), onDTLS{shake(t, s, cert, socket), udpAddr(s.testAddr())})
	b := callOverDTLS(t, s, cert, "bob")
	permitEachOther(t, a, b)
	talk(t, a, b)
	forged := [][]byte{
		unhex("15feff0000000000000063 0002 0228"),                                                 // fatal alert
		unhex("15fefd0000000000000064 0002 0100"),                                                 // goodbye
		unhex("14fefd0000000000000065 0001 01"),                                                   // change of cipher
		unhex("63fefd0000000000000066 0001 01"),                                                   // unknown kind
		unhex("17fefd0000000000000067 0004 00000000"),                                             // data, not encrypted
		unhex("16fefd0000000000000068 000c 100000000002000000000000"),                             // client key exchange
		unhex("16fefd0001000000000069 0018" + "000102030405060708090a0b0c0d0e0f1011121314151617"), // Finished, of no key
		unhex("17fefd00010000000000ff 0020" + "00000000000000000000000000000000000000000000000000000000000000ff"),
		unhex("17fefd00010000000000ff ffff 00"),
		unhex("17fefd000200000000000000020000"),
		unhex(opensslHello), unhex(oldHello), unhex(opensslHello)[:100],
		{0},
		{},
	}
	for range 50 {
		for _, datagram := range forged {
			if _, err := socket.WriteToUDPAddrPort(datagram, s.testDTLSAddr()); err != nil {
				t.Fatal(err)
			}
		}
		long := make([]byte, 9000)
		rand.Read(long)
		if _, err := socket.WriteToUDPAddrPort(long, s.testDTLSAddr()); err != nil {
			t.Fatal(err)
		}
	}
	talk(t, a, b)
	if dropped := s.Stats().Dropped; dropped[DropRecord] == 0 || dropped[DropTooLong] == 0 {
		t.Errorf("counted %v", dropped)
	}
}

// bubbled is a client's socket in a bubble of time, without network.
type bubbled struct {
	net.PacketConn // none
	listener       *dtlsListener
	in             chan []byte
	closed         chan struct{}
}

func (b *bubbled) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case d := <-b.in:
		return copy(p, d), udpAddr(stranger), nil
	case <-b.closed:
		return 0, nil, net.ErrClosed
	}
}

func (b *bubbled) WriteTo(p []byte, _ net.Addr) (int, error) {
	b.listener.receive(p, stranger)
	return len(p), nil
}

func (b *bubbled) Close() error                     { close(b.closed); return nil }
func (b *bubbled) LocalAddr() net.Addr              { return udpAddr(stranger) }
func (b *bubbled) SetReadDeadline(time.Time) error  { return nil }
func (b *bubbled) SetWriteDeadline(time.Time) error { return nil }

// bubbledServer is the other end.
type bubbledServer struct{ client *bubbled }

func (bubbledServer) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, net.ErrClosed
}

func (s bubbledServer) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	select {
	case s.client.in <- bytes.Clone(b):
	default:
	}
	return len(b), nil
}
func (bubbledServer) Close() error { return nil }

func TestAnAssociationHasOnlySoLongForEverything(t *testing.T) {
	for _, row := range []struct {
		name  string
		shake bool
		says  string
		want  time.Duration
	}{
		{"never ends its handshake", false, "", handshakeTimeout},
		{"says nothing", true, "", firstFrameTimeout},
		{"falls silent", true, "00010000" + cookieAndID, idleTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, out, _ := newDTLSGate(t, nil)
				client := &bubbled{listener: l, in: make(chan []byte, 100), closed: make(chan struct{})}
				began := time.Now()
				if row.shake {
					l.socket = newSocket(bubbledServer{client})
					conn, err := dtls.ClientWithOptions(client, l.local, dtls.WithInsecureSkipVerify(true))
					if err != nil {
						t.Fatal(err)
					}
					if err := conn.HandshakeContext(context.Background()); err != nil {
						t.Fatal(err)
					}
					if row.says != "" {
						conn.Write(unhex(row.says))
					}
					conn.Read(make([]byte, 100)) // the answer, if there is one, or the goodbye
					if row.says != "" {
						conn.Read(make([]byte, 100))
					}
					conn.Close()
				} else {
					first := mustParse(t, unhex(opensslHello))
					cookie := l.cookies.issue(first, stranger, time.Now())
					l.receive(first.again(cookie[:]), stranger)
				}
				l.server.readers.Wait()
				if took := time.Since(began); took != row.want {
					t.Errorf("ended after %v, want %v", took, row.want)
				}
				if len(l.associations) != 0 || l.server.halfOpen.total != 0 || l.server.streams.count() != 0 {
					t.Error("it is remembered")
				}
				if failed := l.server.Stats().Dropped[DropHandshake]; (failed == 1) == row.shake {
					t.Errorf("%d handshakes failed", failed)
				}
				// The flight, and again after 1, 3 and 7 seconds.
				if !row.shake && out.packets != 4 {
					t.Errorf("%d datagrams for one hello", out.packets)
				}
			})
		})
	}
}

// A packet of media costs us no memory; what the library takes is its own.
func TestDeliveringARecordTakesNoMemory(t *testing.T) {
	l, _, _ := newDTLSGate(t, nil)
	a := newAssociation(l, stranger, mustParse(t, mustParse(t, unhex(opensslHello)).again(make([]byte, cookieSize))))
	a.established.Store(true)
	l.associations[endpoints{client: stranger}] = a
	record := append(unhex("17fefd0001000000000001 0400"), make([]byte, 1024)...)
	network, buf := &link{association: a, client: udpAddr(stranger)}, make([]byte, maxRecords)
	if n := testing.AllocsPerRun(1000, func() {
		if drop := l.receive(record, stranger); drop != kept {
			t.Fatal(drop)
		}
		if n, _, err := network.ReadFrom(buf); n != len(record) || err != nil {
			t.Fatal(n, err)
		}
		if _, err := network.WriteTo(record, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v pieces of memory", n)
	}
	for range inboundQueue + 1 {
		if drop := l.receive(record, stranger); drop != kept && drop != DropQueue {
			t.Fatal(drop)
		}
	}
	if drop := l.receive(record, stranger); drop != DropQueue {
		t.Errorf("a full queue answers %v", drop)
	}
}
