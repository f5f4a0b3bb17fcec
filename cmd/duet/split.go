package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/duetcall/duet/relay"
)

// What a connection to the TLS port may cost before it is known what it wants.
const (
	helloTimeout  = 10 * time.Second // for the handshake and the first byte
	maxHandshakes = 512              // at once
)

// ALPN names of what shares the port (RFC 7301, RFC 7443).
const (
	alpnHTTP = "http/1.1"
	alpnTURN = "stun.turn"
)

// split is the one port for everything: a TLS listener that gives TURN connections to
// the relay and is, for http.Server, the listener of all others. What tells them
// apart is the protocol that the client names in the handshake, or else its first
// byte: 0 or 1 begins a STUN request, a letter HTTP.
type split struct {
	inner net.Listener
	tls   *tls.Config
	turn  func(net.Conn) // nil without a relay

	web  chan net.Conn
	done chan struct{}
}

func newSplit(inner net.Listener, cert *certificate, turn func(net.Conn)) *split {
	return &split{
		inner: inner,
		turn:  turn,
		web:   make(chan net.Conn),
		done:  make(chan struct{}),
		tls: &tls.Config{
			MinVersion: tls.VersionTLS12,
			NextProtos: []string{alpnHTTP, alpnTURN},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return cert.get(time.Now()), nil
			},
		},
	}
}

// run accepts until ctx ends, and returns when no handshake is left.
func (s *split) run(ctx context.Context) {
	defer close(s.done)
	var handshakes sync.WaitGroup
	defer handshakes.Wait()
	free := make(chan struct{}, maxHandshakes)
	relay.AcceptEach(ctx, s.inner, func(conn net.Conn) {
		select {
		case free <- struct{}{}:
		default:
			_ = conn.Close()
			return
		}
		handshakes.Go(func() {
			defer func() { <-free }()
			s.greet(ctx, conn)
		})
	})
}

// greet finds out what the client wants and passes the connection on.
func (s *split) greet(ctx context.Context, raw net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	conn := tls.Server(raw, s.tls)
	_ = conn.SetDeadline(time.Now().Add(helloTimeout))
	if conn.HandshakeContext(ctx) != nil {
		stop()
		_ = raw.Close()
		return
	}
	greeted := &greeted{Conn: conn}
	turn := conn.ConnectionState().NegotiatedProtocol == alpnTURN
	if !turn {
		if _, err := conn.Read(greeted.first[:]); err != nil {
			stop()
			_ = conn.Close()
			return
		}
		greeted.held = 1
		turn = greeted.first[0] <= 1
	}
	_ = conn.SetDeadline(time.Time{})
	if !stop() {
		return // closed
	}
	switch {
	case !turn:
		select {
		case s.web <- greeted:
		case <-ctx.Done():
			_ = conn.Close()
		}
	case s.turn != nil:
		s.turn(greeted)
	default:
		_ = conn.Close()
	}
}

// Accept returns the next connection that is not TURN.
func (s *split) Accept() (net.Conn, error) {
	select {
	case conn := <-s.web:
		return conn, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close ends run.
func (s *split) Close() error { return s.inner.Close() }

// Addr is the port's.
func (s *split) Addr() net.Addr { return s.inner.Addr() }

// greeted is a connection whose first byte has been looked at.
type greeted struct {
	*tls.Conn
	first [1]byte
	held  int
}

// Read gives the first byte back.
func (g *greeted) Read(b []byte) (int, error) {
	if g.held > 0 && len(b) > 0 {
		g.held = 0
		b[0] = g.first[0]
		return 1, nil
	}
	return g.Conn.Read(b)
}
