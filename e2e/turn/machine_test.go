//go:build linux

package turn

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// The two machines' addresses. Private ones, as at home: the relay allows its own
// subnet as peers.
var (
	server4, client4 = netip.MustParseAddr("192.168.77.10"), netip.MustParseAddr("192.168.77.20")
	server6, client6 = netip.MustParseAddr("fd77::10"), netip.MustParseAddr("fd77::20")
)

// clientTimeout bounds one run of a client. They need some 5 s each.
const clientTimeout = "60"

// machine is a thread in a network namespace of its own. What is started or opened on
// that thread is on that machine.
type machine struct {
	work   chan func()
	thread int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m, ready := &machine{work: make(chan func())}, make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		m.thread = syscall.Gettid()
		ready <- err
		for do := range m.work {
			do()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	t.Cleanup(func() { close(m.work) })
	return m
}

// do runs f on this machine.
func (m *machine) do(f func()) {
	done := make(chan struct{})
	m.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// start starts a command on this machine. It dies with the test at the latest.
func (m *machine) start(cmd *exec.Cmd) (err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.do(func() { err = cmd.Start() })
	return err
}

// run runs a client to its end and returns what it printed, and whether it ended well.
func (m *machine) run(t *testing.T, env []string, name string, args ...string) (out string, ok bool) {
	t.Helper()
	var printed strings.Builder
	cmd := exec.CommandContext(context.Background(), "timeout", append([]string{"-k", "5", clientTimeout, name}, args...)...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := m.start(cmd); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	return printed.String(), err == nil
}

// ip configures this machine, one command a line.
func (m *machine) ip(t *testing.T, format string, args ...any) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(format, args...))
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := m.start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("ip: %v\n%s", err, printed.String())
	}
}

// lab is Duet's machine and the clients', and the wire between them.
type lab struct {
	server, client *machine
	wire           *capture
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{server: newMachine(t), client: newMachine(t)}
	const home = "link set lo up\nlink set lan up\naddress add %s/24 dev lan\naddress add %s/64 dev lan nodad\n" +
		"route add default via 192.168.77.1\nroute add default via fd77::1\n"
	l.server.ip(t, "link add lan type veth peer name lan netns %d\n", l.client.thread)
	l.server.ip(t, home, server4, server6)
	l.client.ip(t, home, client4, client6)
	l.wire = newCapture(t, l.server)
	return l
}

// echoPort and the next are where peers are: uclient's RTP and RTCP.
const echoPort = 3480

// echo answers from the clients' machine what is sent to it, as turnutils_peer does.
func (l *lab) echo(t *testing.T) {
	t.Helper()
	for _, addr := range []netip.Addr{client4, client6} {
		for port := range uint16(2) {
			at := netip.AddrPortFrom(addr, echoPort+port)
			var peer *net.UDPConn
			var err error
			l.client.do(func() { peer, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)) })
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for buf := make([]byte, 1<<16); ; {
					n, from, err := peer.ReadFromUDPAddrPort(buf)
					if err != nil {
						return
					}
					peer.WriteToUDPAddrPort(buf[:n], from)
				}
			}()
			t.Cleanup(func() {
				peer.Close()
				<-ended
			})
		}
	}
}
