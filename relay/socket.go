package relay

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/duetcall/duet/relay/udp"
)

// Back-off after repeated read errors.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = time.Second
)

// What we ask the kernel to queue for us: on listening sockets a second of a few
// calls' video, on relay sockets a second of one's. Its defaults hold 90 large packets,
// which a busy machine loses now and then. It gives what net.core.rmem_max lets it, and
// takes memory only for what waits.
const (
	listenBuffer = 4 << 20
	relayBuffer  = 1 << 20
)

// udpConn is the part of *net.UDPConn that packets pass through.
type udpConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error)
	Close() error
}

// socket is a UDP socket whose reads outlive the errors that systems report on
// them: a peer's ICMP (ECONNREFUSED), memory that ran short (ENOBUFS, ENOMEM).
// One goroutine reads; any number write.
type socket struct {
	conn   udpConn
	closed chan struct{}
	// failures counts read errors in a row; it belongs to the reader.
	failures int

	// A socket on all addresses is wide, where the system can do that. dest is the
	// address that the last datagram was sent to; it belongs to the reader, and is the zero
	// Addr without wide.
	wide *udp.Wide
	dest netip.Addr
}

func newSocket(conn udpConn) *socket {
	return &socket{conn: conn, closed: make(chan struct{})}
}

// widen has answers leave from the address that was asked, if conn is bound to all. The
// system would send them from the one that its routes prefer, and neither clients nor
// NATs know that one.
func (s *socket) widen(conn *net.UDPConn, log *slog.Logger) {
	if !conn.LocalAddr().(*net.UDPAddr).IP.IsUnspecified() {
		return
	}
	wide, err := udp.Widen(conn)
	if err != nil {
		log.Debug("answers leave from the address that routes prefer", "reason", err)
		return
	}
	s.wide = wide
}

// errWoken is what read returns after wake.
var errWoken = errors.New("woken")

// wake makes the reader return errWoken, at once. A client's connection ends instead.
func (s *socket) wake() {
	switch conn := s.conn.(type) {
	case *stream:
		conn.end()
	case interface{ SetReadDeadline(time.Time) error }:
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	default:
		_ = conn.Close()
	}
}

// woken undoes wake. What wake's caller had left for the reader before is seen after it.
func (s *socket) woken() error {
	if conn, ok := s.conn.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = conn.SetReadDeadline(time.Time{})
	}
	return errWoken
}

// read returns the next datagram. The only errors are net.ErrClosed and errWoken.
func (s *socket) read(buf []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := s.next(buf)
		if err == nil {
			s.failures = 0
			return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, netip.AddrPort{}, s.woken()
		}
		if errors.Is(err, net.ErrClosed) || !s.pause() {
			return 0, netip.AddrPort{}, net.ErrClosed
		}
	}
}

func (s *socket) next(buf []byte) (n int, from netip.AddrPort, err error) {
	if s.wide == nil {
		return s.conn.ReadFromUDPAddrPort(buf)
	}
	n, from, s.dest, err = s.wide.Read(buf)
	return n, from, err
}

// write sends a datagram from an address of ours, nil if there is one only.
func (s *socket) write(packet []byte, from udp.Source, to netip.AddrPort) (int, error) {
	if from == nil {
		return s.conn.WriteToUDPAddrPort(packet, to)
	}
	return s.wide.WriteFrom(packet, from, to)
}

// pause lets a lone error pass at once and waits longer and longer on
// repeated ones. It reports false once the socket is closed.
func (s *socket) pause() bool {
	s.failures++
	if s.failures == 1 {
		return true
	}
	wait := maxBackoff
	if doublings := s.failures - 2; doublings < 7 {
		wait = min(minBackoff<<doublings, maxBackoff)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	}
}

// close ends the reader. It must be called once.
func (s *socket) close() {
	close(s.closed)
	_ = s.conn.Close() // nothing is buffered that could be lost
}

// udpAddr is an address in the form that the engine wants. IPv4 addresses have four bytes.
func udpAddr(addr netip.AddrPort) *net.UDPAddr { return net.UDPAddrFromAddrPort(addr) }

// addrPort undoes udpAddr, for addresses that the engine made itself too. It
// returns the zero AddrPort for anything that is not a UDP address.
func addrPort(addr net.Addr) netip.AddrPort {
	u, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := u.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
