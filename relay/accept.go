package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// SourceOf is what strangers are told apart by: the /32 of an IPv4 address, the /64 of
// an IPv6 one.
func SourceOf(addr netip.Addr) netip.Prefix { return sourceOf(addr) }

// AcceptEach hands every connection to handle, which must not block, until ctx ends or
// the listener is closed. What Accept reports when the system runs short of file
// descriptors or memory is waited out, 10 ms to 1 s at a time: the listener outlives it.
func AcceptEach(ctx context.Context, listener net.Listener, handle func(net.Conn)) {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	wait := minBackoff
	for {
		conn, err := listener.Accept()
		if err == nil {
			wait = minBackoff
			handle(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, maxBackoff)
	}
}
