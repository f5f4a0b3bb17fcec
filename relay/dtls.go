package relay

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay/udp"
)

// How many handshakes there may be at once: in all, and from one source. That source is
// where it says it is.
const (
	maxHandshakes          = 1024
	maxHandshakesPerSource = 16
	handshakeTimeout       = 10 * time.Second
)

// dtlsListener is a UDP socket for clients over DTLS (RFC 7350). It tells the datagrams
// of one association from those of another, and answers strangers itself: nothing is kept
// of a client before its hello has come with a cookie that only its address was sent.
type dtlsListener struct {
	server  *Server
	socket  *socket
	local   *net.UDPAddr
	cookies *cookies // the reader's
	out     []byte   // the reader's

	mu           sync.Mutex // a leaf
	associations map[endpoints]*association
}

// endpoints are a client and the address of ours that it sends to, see socket.
type endpoints struct {
	client netip.AddrPort
	dest   netip.Addr
}

// listenDTLS binds UDP beside each UDP socket, on the same address and another port.
func (s *Server) listenDTLS(cfg config.Turn, opts Options) (err error) {
	if s.handshakes, err = newHandshakes(opts.Certificate, s.log.Logger); err != nil {
		return err
	}
	for _, shard := range s.shards {
		at := netip.AddrPortFrom(addrPort(shard.local).Addr(), uint16(cfg.TLSListeningPort))
		network := "udp6"
		if at.Addr().Is4() {
			network = "udp4"
		}
		conn, err := net.ListenUDP(network, udpAddr(at))
		if err != nil {
			return fmt.Errorf("binding UDP %s for DTLS: %w; set [turn] tls_listening_port to a free port, or dtls to false", at, cause(err))
		}
		// Best effort: the system's limit holds.
		_ = conn.SetReadBuffer(listenBuffer)
		_ = conn.SetWriteBuffer(listenBuffer)
		listener := &dtlsListener{
			server:       s,
			socket:       newSocket(conn),
			local:        conn.LocalAddr().(*net.UDPAddr),
			cookies:      newCookies(),
			associations: make(map[endpoints]*association),
		}
		listener.socket.widen(conn, s.log.Logger)
		s.dtls = append(s.dtls, listener)
	}
	return nil
}

// read serves until the socket is closed.
func (l *dtlsListener) read() {
	buf := make([]byte, maxDatagram)
	for {
		n, client, err := l.socket.read(buf)
		if err != nil {
			return
		}
		if drop := l.receive(buf[:n], client); drop != kept {
			l.server.stats.drop(drop)
		}
	}
}

func (l *dtlsListener) receive(datagram []byte, client netip.AddrPort) Drop {
	a := l.find(endpoints{client, l.socket.dest})
	switch {
	case isHello(datagram):
		return l.greet(datagram, client, a)
	case a == nil:
		return DropRecord
	default:
		return a.deliver(datagram)
	}
}

// greet answers a ClientHello, or begins the handshake if it has a cookie of ours. A
// client that has an association may have been restarted, and proves as any other that it
// is there (RFC 6347 section 4.2.8).
func (l *dtlsListener) greet(datagram []byte, client netip.AddrPort, a *association) Drop {
	var h hello
	if !h.parse(datagram) {
		return DropHello
	}
	if len(h.cookie) == 0 || h.outdated {
		return l.answer(&h, client)
	}
	// Both count from 0, and this is the second hello at least.
	if h.message != 1 || h.record == 0 {
		return DropHello
	}
	if !l.cookies.check(&h, client, l.server.now()) {
		return DropCookie
	}
	switch {
	case a == nil:
	case a.random != h.random():
		a.end()
	case a.established.Load():
		return DropHello // a replay, or very late
	default:
		return a.deliver(datagram)
	}
	return l.begin(&h, datagram, client)
}

// answer asks for a cookie, or says that DTLS 1.0 is over (RFC 8996). Strangers get so
// many of these answers a second, and together not more, as they get challenges.
func (l *dtlsListener) answer(h *hello, client netip.AddrPort) Drop {
	limits := l.server.settings.Load().limits
	if drop := limits.answer(limits.errors, client.Addr(), time.Now()); drop != kept {
		return drop
	}
	drop := kept
	if h.outdated {
		l.out, drop = h.appendOutdated(l.out[:0]), DropHello
	} else {
		cookie := l.cookies.issue(h, client, l.server.now())
		l.out = h.appendVerifyRequest(l.out[:0], cookie[:])
	}
	if _, err := l.socket.write(l.out, udp.AppendSource(nil, l.socket.dest), client); err != nil {
		return DropSend
	}
	return drop
}

// begin makes an association of a client that is where it says it is. Handshakes cost
// time, so those that come to nothing are limited as wrong passwords are.
func (l *dtlsListener) begin(h *hello, datagram []byte, client netip.AddrPort) Drop {
	source := sourceOf(client.Addr())
	if !l.server.settings.Load().limits.proofs.Take(client.Addr(), time.Now()) {
		return DropRate
	}
	if !l.server.halfOpen.enter(source) {
		return DropCrowded
	}
	a := newAssociation(l, client, h)
	if !l.server.streams.add(a.shard, source, &l.server.readers) {
		l.server.halfOpen.leave(source)
		return DropCrowded
	}
	a.shard.ended = func() {
		l.remove(a)
		l.server.streams.remove(a.shard, source)
		l.server.readers.Done()
	}
	l.mu.Lock()
	l.associations[endpoints{client, a.dest}] = a
	l.mu.Unlock()
	// In this order: the handshake is told of the first hello before the second.
	a.deliver(h.appendFirst(nil))
	a.deliver(datagram)
	go a.shakeHands(source)
	return kept
}

func (l *dtlsListener) find(ends endpoints) *association {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.associations[ends]
}

// remove forgets a, but not an association that has taken its place.
func (l *dtlsListener) remove(a *association) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ends := (endpoints{a.client, a.dest}); l.associations[ends] == a {
		delete(l.associations, ends)
	}
}

// halfOpen counts handshakes. Its lock is a leaf.
type halfOpen struct {
	mu      sync.Mutex
	total   int
	sources map[netip.Prefix]int
}

func newHalfOpen() *halfOpen { return &halfOpen{sources: make(map[netip.Prefix]int)} }

// enter counts one more, unless there are too many.
func (h *halfOpen) enter(source netip.Prefix) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.total >= maxHandshakes || h.sources[source] >= maxHandshakesPerSource {
		return false
	}
	h.total++
	h.sources[source]++
	return true
}

func (h *halfOpen) leave(source netip.Prefix) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	if h.sources[source]--; h.sources[source] == 0 {
		delete(h.sources, source)
	}
}
