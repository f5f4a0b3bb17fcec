package signaling

import (
	"io"
	"net"
	"os"
	"syscall"
)

// readNow is conn.Read, for less of TCP: see sysRead.
func readNow(conn net.Conn, b []byte) (n int, err error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok || len(b) == 0 {
		return conn.Read(b)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed syscall.Errno
	err = raw.Read(func(fd uintptr) bool { // false: call again when there is something
		n, failed = sysRead(fd, b)
		return failed != syscall.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case failed != 0:
		return 0, os.NewSyscallError("read", failed)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// tryWrite writes what the kernel takes at once and returns how much that was. It does not wait for others who write,
// as Write of the connection would: the kernel lets one write after the other.
func tryWrite(tcp *net.TCPConn, b []byte) (n int) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { n, _ = sysWrite(fd, b) })
	return n
}
