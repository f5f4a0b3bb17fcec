//go:build linux

package turn

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// IP protocol numbers, and what else a capture needs.
const (
	protoTCP, protoUDP = 6, 17
	captureBuffer      = 64 << 20
	allProtocols       = 0x0300 // ETH_P_ALL, in network order
)

// capture holds what passes a machine's interfaces, loopback included. The kernel's
// queue is the recording: nothing is read before the end.
type capture struct{ socket int }

// packet is a UDP or TCP packet.
type packet struct {
	protocol     int
	from, to     netip.AddrPort
	dontFragment bool
	sequence     uint32 // TCP
	payload      []byte
}

func newCapture(t *testing.T, m *machine) *capture {
	t.Helper()
	c := &capture{}
	var err error
	m.do(func() {
		c.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, allProtocols)
	})
	if err == nil {
		t.Cleanup(func() { unix.Close(c.socket) })
		// In a user namespace the system's limit holds.
		if unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer) != nil {
			err = unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_RCVBUF, captureBuffer)
		}
	}
	if err != nil {
		t.Fatalf("capturing packets: %v", err)
	}
	return c
}

// packets returns what has passed so far.
func (c *capture) packets(t *testing.T) (all []packet) {
	t.Helper()
	for buf := make([]byte, 1<<17); ; {
		n, from, err := unix.Recvfrom(c.socket, buf, unix.MSG_TRUNC)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		link := from.(*unix.SockaddrLinklayer)
		if link.Hatype == unix.ARPHRD_LOOPBACK && link.Pkttype == unix.PACKET_OUTGOING {
			continue // it comes in as well
		}
		if p, ok := decodePacket(buf[:min(n, len(buf))]); ok {
			p.payload = append([]byte(nil), p.payload...)
			all = append(all, p)
		}
	}
	if lost := c.lost(t); lost > 0 {
		t.Fatalf("the capture missed %d packets: what it did not see proves nothing", lost)
	}
	return all
}

// lost returns how many packets the queue had no room for.
func (c *capture) lost(t *testing.T) uint32 {
	t.Helper()
	stats, err := unix.GetsockoptTpacketStats(c.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.Fatal(err)
	}
	return stats.Drops
}

// decodePacket reads an IPv4 or IPv6 packet as the interfaces see it.
func decodePacket(raw []byte) (p packet, ok bool) {
	if len(raw) < 20 {
		return p, false
	}
	var from, to netip.Addr
	var rest []byte
	switch raw[0] >> 4 {
	case 4:
		header, size := int(raw[0]&0xf)*4, int(binary.BigEndian.Uint16(raw[2:]))
		if fragment := binary.BigEndian.Uint16(raw[6:]); fragment&0x1fff != 0 || size > len(raw) || size < header {
			return p, false
		}
		p.protocol, p.dontFragment = int(raw[9]), raw[6]&0x40 != 0
		from, to = netip.AddrFrom4([4]byte(raw[12:16])), netip.AddrFrom4([4]byte(raw[16:20]))
		rest = raw[header:size]
	case 6:
		if len(raw) < 40 {
			return p, false
		}
		p.protocol, p.dontFragment = int(raw[6]), true // no router fragments IPv6
		from, to = netip.AddrFrom16([16]byte(raw[8:24])), netip.AddrFrom16([16]byte(raw[24:40]))
		rest = raw[40:min(len(raw), 40+int(binary.BigEndian.Uint16(raw[4:])))]
	}
	header := 8
	if p.protocol == protoTCP && len(rest) >= 20 {
		p.sequence, header = binary.BigEndian.Uint32(rest[4:]), int(rest[12]>>4)*4
	}
	if p.protocol != protoTCP && p.protocol != protoUDP || len(rest) < header {
		return p, false
	}
	p.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(rest))
	p.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(rest[2:]))
	p.payload = rest[header:]
	return p, true
}
