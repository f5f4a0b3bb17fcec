//go:build !linux

package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// CanSharePort says whether Listen and Dial work on this system.
const CanSharePort = false

// Listen returns errors.ErrUnsupported.
func Listen(netip.AddrPort) (*net.TCPListener, error) { return nil, errors.ErrUnsupported }

// Dial returns errors.ErrUnsupported.
func Dial(context.Context, netip.AddrPort, netip.AddrPort) (*net.TCPConn, error) {
	return nil, errors.ErrUnsupported
}

// Bound returns errors.ErrUnsupported.
func Bound(*net.TCPConn) error { return errors.ErrUnsupported }
