package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen binds the TCP address that the named key gives; network is "tcp", or "tcp4" or
// "tcp6" for one family alone.
func listen(network, address, key string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("binding TCP %s: address already in use; end the other server, or set %s", address, key)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("binding TCP %s: permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, or set %s", address, key)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("binding TCP %s: not an address of this machine; correct %s", address, key)
	case err != nil:
		return nil, fmt.Errorf("binding TCP %s (%s): %w", address, key, err)
	}
	return listener, nil
}
