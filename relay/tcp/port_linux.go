package tcp

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CanSharePort says whether Listen and Dial work on this system.
const CanSharePort = true

const (
	// buffer bounds what the kernel holds for one connection in each direction,
	// before and after somebody reads it.
	buffer = 256 << 10
	// userTimeout ends a connection whose other end has taken nothing for so long:
	// what we sent is not acknowledged, or its window stays closed (RFC 5482).
	userTimeout = 2 * time.Minute
)

// Listen binds a port that no other listener has, not even one that would share it,
// and then lets Dial share it. Every connection that it accepts has bounded buffers, and
// ends when its other end has taken nothing for two minutes.
func Listen(at netip.AddrPort) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: bounded}
	config.SetMultipathTCP(false)
	inner, err := config.Listen(context.Background(), network(at), at.String())
	if err != nil {
		return nil, err
	}
	listener := inner.(*net.TCPListener)
	raw, err := listener.SyscallConn()
	if err == nil {
		// Only now: before, another listener could have had the port already.
		err = set(raw, option{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}

// Dial connects from a port that Listen has bound to a peer. The connection is one as
// Listen's are.
func Dial(ctx context.Context, from, to netip.AddrPort) (*net.TCPConn, error) {
	dialer := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(from),
		Control: func(network, address string, raw syscall.RawConn) error {
			// The first for connections that linger, the second for the listener.
			shared := []option{{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}}
			if err := set(raw, shared...); err != nil {
				return err
			}
			return bounded(network, address, raw)
		},
	}
	dialer.SetMultipathTCP(false)
	conn, err := dialer.DialContext(ctx, network(from), to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// Bound gives an open connection the bounds that Listen and Dial give theirs.
func Bound(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return bounded("", "", raw)
}

// bounded must be set before the handshake for the buffer to bound the window.
func bounded(_, _ string, raw syscall.RawConn) error {
	return set(raw,
		option{unix.SOL_SOCKET, unix.SO_RCVBUF, buffer},
		option{unix.SOL_SOCKET, unix.SO_SNDBUF, buffer},
		option{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout / time.Millisecond)})
}

type option struct{ level, name, value int }

func set(raw syscall.RawConn, options ...option) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		for _, o := range options {
			if failed = unix.SetsockoptInt(int(fd), o.level, o.name, o.value); failed != nil {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", failed)
}

func network(at netip.AddrPort) string {
	if at.Addr().Is4() {
		return "tcp4"
	}
	return "tcp6"
}
