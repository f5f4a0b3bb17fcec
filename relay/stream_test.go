package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v3"
	"github.com/pion/turn/v4"
)

func serveTCP(t *testing.T) *Server {
	t.Helper()
	cfg := testConfig()
	cfg.TCP = true
	return serve(t, cfg, Options{})
}

func dialTCP(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.testAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// isClosed waits for the other side to close the connection.
func isClosed(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %v, want the connection closed", what, err)
	}
}

func TestMembersTalkOverTCPAndUDP(t *testing.T) {
	s := serveTCP(t)
	tcp := func(member string) *caller {
		return callOver(t, s, s.Credential(member), turn.NewSTUNConn(dialTCP(t, s)))
	}
	udp := call(t, s, s.Credential("udp"))
	a, b := tcp("ann"), tcp("bob")
	for _, pair := range [][2]*caller{{a, b}, {a, udp}} {
		permitEachOther(t, pair[0], pair[1])
		// Over TCP pion's client holds a message of 8 bytes back until more follows.
		exchangeSizes(t, pair[0], pair[1], 5, 7, 160, 1200, 1400)
	}
	if urls := s.URLs(); len(urls) != 2 || !strings.HasSuffix(urls[1], "?transport=tcp") {
		t.Errorf("URLs() = %v, want UDP and TCP", urls)
	}
}

func TestTheEndOfAConnectionIsTheEndOfItsAllocation(t *testing.T) {
	log := make(lines, 100)
	cfg := testConfig()
	cfg.TCP = true
	s := serve(t, cfg, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	conn := dialTCP(t, s)
	callOver(t, s, s.Credential("ann"), turn.NewSTUNConn(conn))
	if n := s.Stats().Allocations; n != 1 {
		t.Fatalf("%d allocations, want 1", n)
	}
	conn.Close()
	eventually(t, "the allocation is gone", func() bool {
		stats := s.Stats()
		return stats.Allocations == 0 && stats.PortsUsed == 0 && s.streams.count() == 0
	})
	if got := <-log; !strings.Contains(got, `reason=closed`) || !strings.Contains(got, "transport=tcp") {
		t.Errorf("the log says %s", got)
	}
}

// lines is a log that tests read line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestMessagesAreFoundHoweverTheStreamIsCut(t *testing.T) {
	s := serveTCP(t)
	conn := dialTCP(t, s)
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	twice := append(bytes.Clone(request), request...)
	for i := range twice { // one byte a segment, then three messages at once
		if _, err := conn.Write(twice[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Write(append(bytes.Clone(twice), request...)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	for range 5 {
		answer := make([]byte, headerSize)
		if _, err := io.ReadFull(conn, answer); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint16(answer); got != 0x0101 || !bytes.Equal(answer[8:], request[8:headerSize]) {
			t.Fatalf("answer %x", answer)
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(answer[2:]))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFramesThatWedgeOtherServersEndTheirConnectionAlone(t *testing.T) {
	s := serveTCP(t)
	a, b := pair(t, s)
	talk(t, a, b)
	for _, row := range []struct{ name, frame string }{
		{"ChannelData whose padded length wraps 16 bits", "4000fffc0000000000"},
		{"STUN header whose length wraps 16 bits", "0003ffec" + cookieAndID},
		{"longer than any honest message", "00034000" + cookieAndID},
		{"length that is no multiple of four", "00030001" + cookieAndID},
		{"no magic cookie", "0003000000000000" + strings.Repeat("00", 12)},
		{"ChannelData before any allocation", "40000004" + "61626364"},
		{"a TLS hello", "160301020001000001fc0303"},
		{"HTTP", "474554202f20485454502f312e310d0a0d0a"},
		{"RTP", "8060000000000000"},
	} {
		conn := dialTCP(t, s)
		if _, err := conn.Write(unhex(row.frame)); err != nil {
			t.Fatal(err)
		}
		isClosed(t, row.name, conn)
	}
	eventually(t, "all are counted and gone", func() bool {
		return s.Stats().Dropped[DropFrame] == 9 && s.streams.count() == 0
	})
	talk(t, a, b)
}

func TestASourceHasOnlySoManyConnections(t *testing.T) {
	s := serveTCP(t)
	var open []net.Conn
	for range maxStreamsPerSource {
		open = append(open, dialTCP(t, s))
	}
	eventually(t, "all are taken", func() bool { return s.streams.count() == maxStreamsPerSource })
	isClosed(t, "one too many", dialTCP(t, s))
	if n := s.Stats().Dropped[DropCrowded]; n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
	for _, conn := range open {
		conn.Close()
	}
	eventually(t, "all are gone", func() bool { return s.streams.count() == 0 })
	callOver(t, s, s.Credential("ann"), turn.NewSTUNConn(dialTCP(t, s)))
}

// onPipe is a stream whose other end the test holds. It must be made inside a bubble.
func onPipe(allocated bool) (s *stream, client net.Conn) {
	client, conn := net.Pipe()
	s = newStream(&Server{stats: &counters{}}, conn)
	s.allocated = func() bool { return allocated }
	return s, client
}

func TestAConnectionHasOnlySoLongForEverything(t *testing.T) {
	binding := "00010000" + cookieAndID
	for _, row := range []struct {
		name      string
		sent      string
		allocated bool
		messages  int
		want      time.Duration
	}{
		{"says nothing", "", false, 0, firstFrameTimeout},
		{"one byte", "00", false, 0, frameTimeout},
		{"half a header", "00010000" + "2112a442", false, 0, frameTimeout},
		{"half a message", "00010008" + cookieAndID + "80220004", false, 0, frameTimeout},
		{"idle after a message", binding, false, 1, idleTimeout},
		{"half a message after a message", binding + "0001", false, 1, frameTimeout},
		{"idle with an allocation", binding, true, 1, engineLifetime + frameTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, client := onPipe(row.allocated)
				written := make(chan struct{})
				go func() {
					defer close(written)
					_, _ = client.Write(unhex(row.sent))
				}()
				began := time.Now()
				buf := make([]byte, maxFrame)
				for messages := 0; ; messages++ {
					if _, _, err := s.ReadFromUDPAddrPort(buf); err != nil {
						if messages != row.messages || !errors.Is(err, net.ErrClosed) {
							t.Errorf("%d messages, then %v", messages, err)
						}
						break
					}
				}
				if took := time.Since(began); took != row.want {
					t.Errorf("ended after %v, want %v", took, row.want)
				}
				<-written
				if _, err := client.Write([]byte{0}); err == nil {
					t.Error("the connection is still open")
				}
			})
		})
	}
}

func TestWhoDoesNotReadLosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := onPipe(true)
		began := time.Now()
		if _, err := s.WriteToUDPAddrPort(make([]byte, 100), s.client); err == nil || time.Since(began) != writeTimeout {
			t.Errorf("the write ended after %v with %v", time.Since(began), err)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v, want EOF", err)
		}
	})
}

func TestChannelDataIsPaddedOnStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, client := onPipe(true)
		got := make(chan []byte)
		go func() {
			frame := make([]byte, 12)
			_, _ = io.ReadFull(client, frame)
			got <- frame
		}()
		n, err := s.WriteToUDPAddrPort(unhex("400000056162636465"), s.client)
		if frame := <-got; err != nil || n != 9 || !bytes.Equal(frame, unhex("400000056162636465000000")) {
			t.Errorf("wrote %d, %v: %x", n, err, frame)
		}
		_ = s.Close()
	})
}

// starved is a listener that fails as one does when the process has no file
// descriptor left, so many times, and then accepts.
type starved struct {
	failures int
	conn     net.Conn
	closed   chan struct{}
}

func (l *starved) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *starved) Close() error   { close(l.closed); return nil }
func (l *starved) Addr() net.Addr { return &net.TCPAddr{} }

func TestAListenerOutlivesWantOfFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := net.Pipe()
		defer other.Close()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		AcceptEach(ctx, &starved{failures: 9, conn: one, closed: make(chan struct{})}, func(conn net.Conn) {
			conn.Close()
			cancel()
		})
		// 10, 20, 40 … 640 ms, then a second each.
		if took := time.Since(began); took != 3270*time.Millisecond {
			t.Errorf("accepted after %v", took)
		}
	})
}

// FuzzStream: whatever a stranger sends, a stream ends, and what it calls a message
// is as long as it says.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{"00010000" + cookieAndID, "4000fffc0000000000", "0003ffec" + cookieAndID, "00010000" + cookieAndID + "40000001" + "61000000"} {
		f.Add(unhex(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		s := newStream(&Server{stats: &counters{}}, readOnly{bytes.NewReader(sent)})
		s.allocated = func() bool { return true }
		buf, read := make([]byte, maxFrame), 0
		for {
			n, _, err := s.ReadFromUDPAddrPort(buf)
			if err != nil {
				break
			}
			length := int(binary.BigEndian.Uint16(buf[2:]))
			if n%4 != 0 || n != headerSize+length && n != padded(4+length) || !bytes.Equal(buf[:n], sent[read:read+n]) {
				t.Fatalf("message %x", buf[:n])
			}
			read += n
		}
	})
}

// readOnly is a connection that ends after what it holds.
type readOnly struct{ *bytes.Reader }

func (readOnly) Write(b []byte) (int, error)      { return len(b), nil }
func (readOnly) Close() error                     { return nil }
func (readOnly) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (readOnly) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (readOnly) SetDeadline(time.Time) error      { return nil }
func (readOnly) SetReadDeadline(time.Time) error  { return nil }
func (readOnly) SetWriteDeadline(time.Time) error { return nil }

// Who has had its share of answers over TCP is not left waiting for one.
func TestAStrangerWhoIsIgnoredLosesItsConnection(t *testing.T) {
	for _, row := range []struct {
		name string
		ask  stun.MessageType
	}{
		{"challenges", stun.NewType(stun.MethodAllocate, stun.ClassRequest)},
		{"Binding", stun.BindingRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.TCP, cfg.ErrorRate, cfg.BindingRate = true, 3, 3
			s := serve(t, cfg, Options{})
			member := dialTCP(t, s)
			callOver(t, s, s.Credential("ann"), turn.NewSTUNConn(member))
			stranger := dialTCP(t, s)
			for range 20 {
				for _, conn := range []net.Conn{stranger, member} {
					if _, err := conn.Write(stun.MustBuild(stun.TransactionID, row.ask).Raw); err != nil && conn == member {
						t.Fatalf("the member's connection: %v", err)
					}
				}
			}
			isClosed(t, "ignored", stranger)
			if n := s.Stats().Allocations; n != 1 {
				t.Errorf("%d allocations, want the member's", n)
			}
		})
	}
}
