//go:build !linux

package tcp

import (
	"errors"
	"net"
	"time"
)

// SetUserTimeout returns errors.ErrUnsupported.
func SetUserTimeout(*net.TCPConn, time.Duration) error { return errors.ErrUnsupported }
