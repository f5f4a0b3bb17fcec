//go:build !linux

package udp

import (
	"errors"
	"net"
	"net/netip"
)

// Wide is a socket on all addresses of the machine that tells which of them a datagram
// was sent to. There is none on this system.
type Wide struct{}

// Widen returns errors.ErrUnsupported.
func Widen(*net.UDPConn) (*Wide, error) { return nil, errors.ErrUnsupported }

// Read returns errors.ErrUnsupported.
func (*Wide) Read([]byte) (int, netip.AddrPort, netip.Addr, error) {
	return 0, netip.AddrPort{}, netip.Addr{}, errors.ErrUnsupported
}

// WriteFrom returns errors.ErrUnsupported.
func (*Wide) WriteFrom([]byte, Source, netip.AddrPort) (int, error) { return 0, errors.ErrUnsupported }

// AppendSource returns nil.
func AppendSource(Source, netip.Addr) Source { return nil }
