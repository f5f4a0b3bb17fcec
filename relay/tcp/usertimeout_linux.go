package tcp

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SetUserTimeout ends a connection whose other end has acknowledged nothing for so
// long, be it data or keep-alive probes (RFC 5482). Without it, the system sends lost
// data again for a quarter of an hour.
func SetUserTimeout(conn *net.TCPConn, timeout time.Duration) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = os.NewSyscallError("setsockopt",
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds())))
	})
	if err != nil {
		return err
	}
	return failed
}
