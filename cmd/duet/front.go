package main

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/duetcall/duet/relay"
)

const (
	proxyTimeout = 5 * time.Second // for a proxy to say whom it forwards
	maxProxied   = 512             // connections whose proxy has not, at once, on a port
)

// front stands before a TCP port and finds out who a connection comes from: its other
// end, or if that is a trusted proxy, the client of which the proxy tells by the PROXY
// protocol. A proxy need not: it may speak HTTP and tell by X-Forwarded-For. Of anybody
// else, nothing is read here: their header is just bytes that are no HTTP, TLS or STUN.
type front struct {
	trusted func() []netip.Prefix
	free    chan struct{}
	readers sync.WaitGroup
}

func newFront(trusted func() []netip.Prefix) *front {
	return &front{trusted: trusted, free: make(chan struct{}, maxProxied)}
}

// run accepts connections until ctx ends and passes them to next, which must not block.
// When it returns, next is not called any more.
func (f *front) run(ctx context.Context, listener net.Listener, next func(net.Conn)) {
	relay.AcceptEach(ctx, listener, func(conn net.Conn) { f.admit(ctx, conn, next) })
	f.readers.Wait()
}

// admit passes the connection to next, at once or, from a proxy, when it has told.
func (f *front) admit(ctx context.Context, conn net.Conn, next func(net.Conn)) {
	peer, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !contains(f.trusted(), peer.AddrPort().Addr()) {
		next(conn)
		return
	}
	select {
	case f.free <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	f.readers.Go(func() {
		defer func() { <-f.free }()
		if known := identify(ctx, conn); known != nil {
			next(known)
		}
	})
}

// identify reads what a proxy tells, or closes the connection.
func identify(ctx context.Context, conn net.Conn) net.Conn {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(proxyTimeout))
	told, held, err := readProxyHeader(conn)
	_ = conn.SetReadDeadline(time.Time{})
	if !stop() || err != nil {
		_ = conn.Close()
		return nil
	}
	known := &identified{Conn: conn, held: held, remote: conn.RemoteAddr(), local: conn.LocalAddr()}
	if told.client.IsValid() {
		known.remote = net.TCPAddrFromAddrPort(told.client)
		known.local = net.TCPAddrFromAddrPort(told.server)
	}
	return known
}

// identified is a connection of which a proxy told.
type identified struct {
	net.Conn
	held          []byte // read already
	remote, local net.Addr
}

func (c *identified) RemoteAddr() net.Addr { return c.remote }
func (c *identified) LocalAddr() net.Addr  { return c.local }

// NetConn is the connection with the proxy.
func (c *identified) NetConn() net.Conn { return c.Conn }

// Read gives first back what is read already.
func (c *identified) Read(b []byte) (int, error) {
	if len(c.held) > 0 {
		n := copy(b, c.held)
		c.held = c.held[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// inbox is a listener whose connections somebody else has accepted.
type inbox struct {
	addr  net.Addr
	close func() error
	conns chan net.Conn
	done  chan struct{}
}

func newInbox(accepting net.Listener) *inbox {
	return &inbox{addr: accepting.Addr(), close: accepting.Close, conns: make(chan net.Conn), done: make(chan struct{})}
}

// put waits until the connection is taken. It is closed if ctx ends first.
func (i *inbox) put(ctx context.Context, conn net.Conn) {
	select {
	case i.conns <- conn:
	case <-ctx.Done():
		_ = conn.Close()
	}
}

// end lets Accept return.
func (i *inbox) end() { close(i.done) }

// Accept returns the next connection.
func (i *inbox) Accept() (net.Conn, error) {
	select {
	case conn := <-i.conns:
		return conn, nil
	case <-i.done:
		return nil, net.ErrClosed
	}
}

// Close ends whoever accepts for this listener.
func (i *inbox) Close() error { return i.close() }

// Addr is the port's.
func (i *inbox) Addr() net.Addr { return i.addr }
