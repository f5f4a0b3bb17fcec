package tcp

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSetUserTimeoutTellsTheSystem(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connection := conn.(*net.TCPConn)
	if err := SetUserTimeout(connection, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	raw, err := connection.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) })
	if err != nil || got != 30_000 {
		t.Errorf("the option is %d ms (%v), want 30000", got, err)
	}
}
