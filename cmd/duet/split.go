package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
)

// What a connection to a TLS port may cost before it is known what it wants.
const (
	helloTimeout           = 10 * time.Second // for the handshake and the first byte
	maxHandshakes          = 512              // at once
	maxHandshakesPerSource = 64
)

// ALPN names of what shares the port (RFC 7301, RFC 7443).
const (
	alpnHTTP = "http/1.1"
	alpnTURN = "stun.turn"
)

// split is a TLS port. That of [tls] listen is for everything: TURN connections go to the
// relay, and all others to the http.Server that has web for its listener. What tells them
// apart is the protocol that the client names in the handshake, or else its first byte:
// 0 or 1 begins a STUN request, a letter HTTP. The ports of [turn] tls_listening_port are
// for TURN alone.
type split struct {
	inner net.Listener
	front *front
	tls   *tls.Config
	crowd *crowd
	turn  func(net.Conn) // nil without a relay
	web   *inbox         // nil if the port is for TURN alone
}

// newSplit makes the shared port of a listener; without web it is for TURN alone.
func newSplit(inner net.Listener, front *front, certs certificates, turn func(net.Conn), web bool) *split {
	s := &split{
		inner: inner,
		front: front,
		turn:  turn,
		crowd: newCrowd(maxHandshakes, maxHandshakesPerSource),
		tls: &tls.Config{
			MinVersion: tls.VersionTLS12,
			NextProtos: []string{alpnTURN},
			// For a name without a certificate it returns nil, which crypto/tls
			// answers with unrecognized_name.
			GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return certs.get(hello, time.Now()), nil
			},
		},
	}
	if web {
		s.web = newInbox(inner)
		s.tls.NextProtos = []string{alpnHTTP, alpnTURN}
	}
	return s
}

// run accepts until ctx ends, and returns when no handshake is left.
func (s *split) run(ctx context.Context) {
	var handshakes sync.WaitGroup
	s.front.run(ctx, s.inner, func(conn net.Conn) {
		leave, ok := s.crowd.enter(conn.RemoteAddr())
		if !ok {
			_ = conn.Close()
			return
		}
		handshakes.Go(func() {
			defer leave()
			s.greet(ctx, conn)
		})
	})
	handshakes.Wait()
	if s.web != nil {
		s.web.end()
	}
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
	protocol := conn.ConnectionState().NegotiatedProtocol
	turn := protocol == alpnTURN || s.web == nil
	if !turn && protocol != acmez.ACMETLS1Protocol {
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
	case protocol == acmez.ACMETLS1Protocol: // the handshake was all that the CA wants
		_ = conn.Close()
	case !turn:
		s.web.put(ctx, greeted)
	case s.turn != nil:
		s.turn(greeted)
	default:
		_ = conn.Close()
	}
}

// Close gives back the port of a split that does not run.
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
