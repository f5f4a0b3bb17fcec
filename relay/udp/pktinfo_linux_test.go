package udp

import (
	"bytes"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

func TestAnswersLeaveFromTheAddressThatWasAsked(t *testing.T) {
	for _, row := range []struct{ network, all, server, client string }{
		{"udp4", "0.0.0.0:0", "127.0.0.2", "127.0.0.3:0"},
		{"udp4", "0.0.0.0:0", "127.0.0.1", "127.0.0.1:0"},
		{"udp6", "[::]:0", "::1", "[::1]:0"},
	} {
		t.Run(row.server, func(t *testing.T) {
			open := func(at string) *net.UDPConn {
				conn, err := net.ListenUDP(row.network, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
				if err != nil {
					t.Skipf("no %s here: %v", row.network, err)
				}
				t.Cleanup(func() { conn.Close() })
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				return conn
			}
			server, client := open(row.all), open(row.client)
			wide, err := Widen(server)
			if err != nil {
				t.Fatal(err)
			}
			at := netip.AddrPortFrom(netip.MustParseAddr(row.server), uint16(server.LocalAddr().(*net.UDPAddr).Port))
			if _, err := client.WriteToUDPAddrPort([]byte("hello"), at); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, from, to, err := wide.Read(buf)
			if err != nil || string(buf[:n]) != "hello" || to != at.Addr() || from != client.LocalAddr().(*net.UDPAddr).AddrPort() {
				t.Fatalf("%q from %s to %s (%v)", buf[:n], from, to, err)
			}
			if _, err := wide.WriteFrom([]byte("back"), AppendSource(nil, to), from); err != nil {
				t.Fatal(err)
			}
			n, whence, err := client.ReadFromUDPAddrPort(buf)
			if err != nil || string(buf[:n]) != "back" || whence != at {
				t.Errorf("%q from %s (%v), want it from %s", buf[:n], whence, err, at)
			}
		})
	}
}

func TestAnAddressSurvivesItsSystemsForm(t *testing.T) {
	for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
		source := AppendSource(nil, netip.MustParseAddr(addr))
		if addr == "192.0.2.1" && !bytes.Contains(source, []byte{0, 0, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0}) {
			t.Errorf("%x is not a struct in_pktinfo", source)
		}
		messages, err := syscall.ParseSocketControlMessage(source)
		if err != nil || len(messages) != 1 {
			t.Fatalf("%d messages (%v)", len(messages), err)
		}
		if got := destination(source); got.String() != addr {
			t.Errorf("%s became %s", addr, got)
		}
	}
	if got := AppendSource(nil, netip.Addr{}); got != nil {
		t.Errorf("the zero Addr became %x", got)
	}
	for _, odd := range [][]byte{nil, make([]byte, 3), make([]byte, 16), AppendSource(nil, netip.MustParseAddr("ff02::1")), AppendSource(nil, netip.MustParseAddr("192.0.2.1"))[:20]} {
		if got := destination(odd); got.IsValid() {
			t.Errorf("%x became %s", odd, got)
		}
	}
}
