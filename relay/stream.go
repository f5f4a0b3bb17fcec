package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// What a client may do with a connection, and for how long (RFC 8656 section 3.1
// leaves it to us).
const (
	// maxFrame is the longest message on a stream: more than any datagram that a
	// network would carry, and little enough for thousands of streams.
	maxFrame = 16 << 10
	// firstFrameTimeout is how long a connection may stay without a message.
	firstFrameTimeout = 10 * time.Second
	// frameTimeout is how long a message may take once it has begun.
	frameTimeout = 5 * time.Second
	// idleTimeout ends a connection that has no allocation; one that has may be as
	// silent as an allocation may live.
	idleTimeout = 2 * time.Minute
	// writeTimeout is how long a client may refuse to read.
	writeTimeout = 2 * time.Second
)

// stream is one client's TCP or TLS connection, in the form of a UDP socket that only
// this client sends to: one message for each read. Messages tell their own length;
// ChannelData is padded to a multiple of four bytes (RFC 8656 section 12.5). Any error
// ends it.
type stream struct {
	conn   net.Conn
	client netip.AddrPort
	server *Server
	in     *bufio.Reader
	// allocated reports whether an allocation depends on this connection.
	allocated func() bool
	first     bool // the next message is the first; the reader's
	ending    atomic.Bool

	mu  sync.Mutex // one writer at a time
	out []byte
}

var errFrame = errors.New("not a STUN message or ChannelData")

func newStream(server *Server, conn net.Conn) *stream {
	return &stream{
		conn:   conn,
		client: streamAddr(conn.RemoteAddr()),
		server: server,
		in:     bufio.NewReader(conn), // requests are small; a larger frame is read past it
		first:  true,
	}
}

// ReadFromUDPAddrPort reads the next message into b, which must hold maxFrame bytes.
func (s *stream) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, err := s.readFrame(b)
	if err != nil {
		if errors.Is(err, errFrame) {
			s.server.stats.drop(DropFrame)
		}
		_ = s.conn.Close()
		return 0, netip.AddrPort{}, net.ErrClosed
	}
	return n, s.client, nil
}

func (s *stream) readFrame(b []byte) (int, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(s.server.patience(s.first, s.allocated()))); err != nil {
		return 0, err
	}
	if s.ending.Load() { // after the deadline, which may have replaced end's
		return 0, net.ErrClosed
	}
	if _, err := s.in.Peek(1); err != nil {
		return 0, err
	}
	if err := s.conn.SetReadDeadline(time.Now().Add(frameTimeout)); err != nil {
		return 0, err
	}
	if s.ending.Load() {
		return 0, net.ErrClosed
	}
	size, err := s.nextSize()
	if err != nil {
		return 0, err
	}
	s.first = false
	return io.ReadFull(s.in, b[:size])
}

// patience is how long the next message of a connection may be in coming.
func (s *Server) patience(first, allocated bool) time.Duration {
	switch {
	case first:
		return firstFrameTimeout
	case allocated:
		return engineLifetime + frameTimeout // whatever max_allocate_lifetime was when it began
	default:
		return idleTimeout
	}
}

// nextSize reads just so much of a message as tells its length.
func (s *stream) nextSize() (int, error) {
	head, err := s.in.Peek(4)
	if err != nil {
		return 0, err
	}
	length := int(binary.BigEndian.Uint16(head[2:]))
	size := headerSize + length
	switch head[0] >> 6 {
	case 0:
		if head, err = s.in.Peek(8); err != nil {
			return 0, err
		}
		if binary.BigEndian.Uint32(head[4:]) != magicCookie || length%4 != 0 {
			return 0, errFrame
		}
	case 1:
		// Nobody has a channel before an allocation, so this is not the first message.
		if size = padded(4 + length); s.first {
			return 0, errFrame
		}
	default:
		return 0, errFrame
	}
	if size > maxFrame {
		return 0, errFrame
	}
	return size, nil
}

// WriteToUDPAddrPort writes one message, padded if it is ChannelData. Who does not read
// for writeTimeout loses the connection.
func (s *stream) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frame := b
	if missing := padded(len(b)) - len(b); missing > 0 {
		s.out = append(append(s.out[:0], b...), make([]byte, missing)...)
		frame = s.out
	}
	err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err == nil {
		_, err = s.conn.Write(frame)
	}
	if err != nil {
		_ = s.conn.Close() // what was written of the frame makes the rest unreadable
		return 0, err
	}
	return len(b), nil
}

// end has the reader close the connection. It does not block, as Close does when TLS
// has something to say to a client that does not read.
func (s *stream) end() {
	s.ending.Store(true)
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
}

// Close ends the connection.
func (s *stream) Close() error { return s.conn.Close() }

// streamAddr is the address at one end of a connection.
func streamAddr(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
