package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, at string) *net.TCPListener {
	t.Helper()
	listener, err := Listen(netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func addr(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// dial connects from the port of one listener to another, and returns both ends.
func dial(t *testing.T, from, to *net.TCPListener) (out, in *net.TCPConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := Dial(ctx, addr(from.Addr()), addr(to.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	if in, err = to.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return out, in
}

func TestListenerAndConnectionsShareOnePort(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			if probe, err := net.Listen("tcp", at); err != nil {
				t.Skipf("no such address here: %v", err)
			} else {
				probe.Close()
			}
			relay, one, two, three := listen(t, at), listen(t, at), listen(t, at), listen(t, at)
			for _, peer := range []*net.TCPListener{one, two} {
				_, in := dial(t, relay, peer)
				if addr(in.RemoteAddr()) != addr(relay.Addr()) {
					t.Errorf("the peer sees %s, want %s", in.RemoteAddr(), relay.Addr())
				}
			}
			dial(t, three, relay) // and it still accepts
		})
	}
}

func TestAPortHasOneListener(t *testing.T) {
	first := listen(t, "127.0.0.1:0")
	other := listen(t, "127.0.0.1:0")
	dial(t, first, other)
	if second, err := Listen(addr(first.Addr())); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listened twice: %v, %v", second, err)
	}
}

// A port is used again although connections of its last listener are not quite over.
func TestAPortCanBeListenedOnAgainAtOnce(t *testing.T) {
	first, other, third := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	out, in := dial(t, first, other)
	dial(t, first, third)
	dial(t, listen(t, "127.0.0.1:0"), first)
	out.Close() // waits in TIME_WAIT; the others stay open
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Fatal(err)
	}
	in.Close()
	first.Close()
	listen(t, addr(first.Addr()).String())
}

func TestConnectionsAreBounded(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	out, in := dial(t, a, b)
	plain, err := net.Dial("tcp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := Bound(plain.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]*net.TCPConn{"dialed": out, "accepted": in, "bound later": plain.(*net.TCPConn)} {
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			timeout, _ := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
			size, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
			if timeout != 120_000 || size > 2*buffer { // the kernel doubles it
				t.Errorf("%s: TCP_USER_TIMEOUT %d ms, SO_RCVBUF %d", name, timeout, size)
			}
		})
	}
}
