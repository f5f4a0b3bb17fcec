package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen binds the port of the web client and of signaling.
func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("binding TCP %s: address already in use; end the other server, or set [http] listen", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("binding TCP %s: permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, or set [http] listen", address)
	case err != nil:
		return nil, fmt.Errorf("binding TCP %s ([http] listen): %w", address, err)
	}
	return listener, nil
}
