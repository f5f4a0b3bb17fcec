package relay

import (
	"net"
	"time"
)

// link is an association's network, as the library sees it: the records that deliver let
// through, and the listener's socket. On the way out it keeps the library's question
// for a cookie from the client, which has answered ours, and counts on where our question
// left off: the first record of the server's flight has the number of the hello with
// the cookie (RFC 6347 section 4.2.1), the library's always has 1.
type link struct {
	association *association
	client      net.Addr
	out         []byte
}

// ReadFrom returns the next datagram.
func (l *link) ReadFrom(b []byte) (int, net.Addr, error) {
	a := l.association
	select {
	case d := <-a.in:
		n := copy(b, d.data)
		a.listener.server.inbound.put(d)
		return n, l.client, nil
	case <-a.done:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo sends a datagram to the client. The library calls it for one at a time.
func (l *link) WriteTo(b []byte, _ net.Addr) (int, error) {
	a := l.association
	if len(b) > recordHeader && b[0] == recordHandshake && recordEpoch(b) == 0 && b[recordHeader] == messageVerifyRequest {
		a.conn.expectCookie(a.cookie)
		return len(b), nil
	}
	if _, err := a.listener.socket.write(l.renumbered(b), a.from, a.client); err != nil {
		return 0, err
	}
	return len(b), nil
}

// renumbered returns the datagram with the numbers of its plain records shifted. Of
// those nothing is signed but the messages in them.
func (l *link) renumbered(b []byte) []byte {
	if l.association.shift == 0 || len(b) < recordHeader || recordEpoch(b) != 0 {
		return b // what is encrypted comes last
	}
	l.out = append(l.out[:0], b...)
	for rest := l.out; len(rest) >= recordHeader; {
		if recordEpoch(rest) == 0 {
			setRecordNumber(rest, recordNumber(rest)+l.association.shift)
		}
		rest = rest[min(recordHeader+int(rest[11])<<8+int(rest[12]), len(rest)):]
	}
	return l.out
}

// Close ends the association.
func (l *link) Close() error { return l.association.Close() }

// LocalAddr is the listener's.
func (l *link) LocalAddr() net.Addr { return l.association.listener.local }

// SetReadDeadline ends the association: the library interrupts its reader for nothing
// else. It keeps the deadlines of its users itself.
func (l *link) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		l.association.end()
	}
	return nil
}

// SetWriteDeadline does nothing: a UDP socket does not keep writers waiting.
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (l *link) SetDeadline(t time.Time) error { return l.SetReadDeadline(t) }
