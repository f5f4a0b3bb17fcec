package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// The layout of a control message: length (a word), level, type, data.
const (
	cmsgLevel = syscall.SizeofCmsghdr - 8
	cmsgType  = syscall.SizeofCmsghdr - 4
)

// Wide is a socket on all addresses of the machine that tells which of them a datagram
// was sent to, so that the answer can leave from there.
type Wide struct {
	conn *net.UDPConn
	oob  [64]byte // the reader's; more than an address takes
}

// Widen makes the socket, which must be bound to the unspecified address, tell
// (IP_PKTINFO, RFC 3542 section 6.1 for IPv6).
func Widen(conn *net.UDPConn) (*Wide, error) {
	level, option := syscall.IPPROTO_IP, syscall.IP_PKTINFO
	if conn.LocalAddr().(*net.UDPAddr).IP.To4() == nil {
		level, option = syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO
	}
	if err := setOption(conn, level, option, 1); err != nil {
		return nil, err
	}
	return &Wide{conn: conn}, nil
}

// Read returns the next datagram, who sent it, and to which address, the zero Addr for a
// multicast one. It is for one goroutine.
func (w *Wide) Read(b []byte) (n int, from netip.AddrPort, to netip.Addr, err error) {
	n, oobn, _, from, err := w.conn.ReadMsgUDPAddrPort(b, w.oob[:])
	if err != nil {
		return 0, netip.AddrPort{}, netip.Addr{}, err
	}
	return n, from, destination(w.oob[:oobn]), nil
}

// WriteFrom sends a datagram that leaves from where AppendSource says. Any number of
// goroutines may write.
func (w *Wide) WriteFrom(b []byte, source Source, to netip.AddrPort) (int, error) {
	n, _, err := w.conn.WriteMsgUDPAddrPort(b, source, to)
	return n, err
}

// destination reads the only control message that Widen asks for.
func destination(oob []byte) netip.Addr {
	if len(oob) < syscall.SizeofCmsghdr {
		return netip.Addr{}
	}
	level, kind := binary.NativeEndian.Uint32(oob[cmsgLevel:]), binary.NativeEndian.Uint32(oob[cmsgType:])
	var addr netip.Addr
	switch data := oob[syscall.CmsgLen(0):]; {
	case level == syscall.IPPROTO_IP && kind == syscall.IP_PKTINFO && len(data) >= syscall.SizeofInet4Pktinfo:
		addr = netip.AddrFrom4([4]byte(data[4:])) // ipi_spec_dst, behind the interface
	case level == syscall.IPPROTO_IPV6 && kind == syscall.IPV6_PKTINFO && len(data) >= syscall.SizeofInet6Pktinfo:
		addr = netip.AddrFrom16([16]byte(data))
	}
	if addr.IsUnspecified() || addr.IsMulticast() {
		return netip.Addr{}
	}
	return addr
}

// AppendSource appends what makes a datagram leave from an address of this machine. The
// interface is left to the routes, as it is without. The zero Addr has no source: the
// system chooses.
func AppendSource(source Source, addr netip.Addr) Source {
	level, kind, size := syscall.IPPROTO_IP, syscall.IP_PKTINFO, syscall.SizeofInet4Pktinfo
	switch {
	case !addr.IsValid():
		return nil
	case addr.Is6():
		level, kind, size = syscall.IPPROTO_IPV6, syscall.IPV6_PKTINFO, syscall.SizeofInet6Pktinfo
	}
	var message [64]byte
	if cmsgLevel == 8 {
		binary.NativeEndian.PutUint64(message[:], uint64(syscall.CmsgLen(size)))
	} else {
		binary.NativeEndian.PutUint32(message[:], uint32(syscall.CmsgLen(size)))
	}
	binary.NativeEndian.PutUint32(message[cmsgLevel:], uint32(level))
	binary.NativeEndian.PutUint32(message[cmsgType:], uint32(kind))
	data := message[syscall.CmsgLen(0):]
	if addr.Is6() {
		octets := addr.As16()
		copy(data, octets[:])
	} else {
		octets := addr.As4()
		copy(data[4:], octets[:])
	}
	return append(source, message[:syscall.CmsgSpace(size)]...)
}

// setOption sets a socket option.
func setOption(conn *net.UDPConn, level, option, value int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), level, option, value))
	})
	if err != nil {
		return err
	}
	return failed
}
