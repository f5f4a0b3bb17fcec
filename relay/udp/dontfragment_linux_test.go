package udp

import (
	"net"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestForbidFragmentsTellsTheSystem(t *testing.T) {
	for _, row := range []struct {
		network, addr       string
		level, option, want int
	}{
		{"udp4", "127.0.0.1:0", syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_DO},
		{"udp6", "[::1]:0", syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, syscall.IPV6_PMTUDISC_DO},
	} {
		t.Run(row.network, func(t *testing.T) {
			packets, err := net.ListenPacket(row.network, row.addr)
			if err != nil {
				t.Skipf("no %s here: %v", row.network, err)
			}
			defer packets.Close()
			conn := packets.(*net.UDPConn)
			if err := ForbidFragments(conn); err != nil {
				t.Fatal(err)
			}
			raw, err := conn.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var got int
			raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), row.level, row.option) })
			if err != nil || got != row.want {
				t.Errorf("the option is %d (%v), want %d", got, err, row.want)
			}
		})
	}
}
