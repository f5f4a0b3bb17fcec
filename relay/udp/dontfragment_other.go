//go:build !linux

package udp

import (
	"errors"
	"net"
)

// CanForbidFragments says whether ForbidFragments works on this system.
const CanForbidFragments = false

// ForbidFragments returns errors.ErrUnsupported.
func ForbidFragments(*net.UDPConn) error { return errors.ErrUnsupported }
