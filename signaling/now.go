package signaling

import (
	"bytes"
	"encoding/binary"
	"net"

	"github.com/gorilla/websocket"
)

// Nearly always the kernel has room for a frame. To start a goroutine that writes it costs
// as much as writing it, so whoever has the frame writes it, and waits for nothing. What the kernel does not take
// goes the way of the queue, and so does everything for TLS and on systems other than Linux.

// theRest is the kind of what the writer writes as it is: the end of a frame.
const theRest = -1

// tcpOf returns the connection under a socket, nil if it is more than TCP.
func tcpOf(conn net.Conn) *net.TCPConn {
	if m, ok := conn.(*metered); ok {
		conn = m.Conn
	}
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}

// writeNow writes a text frame, as far as the kernel takes it at once, and reports false if nothing is written. The
// writer writes the rest. c.mu must be held.
func (c *conn) writeNow(payload []byte, seq uint64) bool {
	tcp := tcpOf(c.ws.NetConn())
	if tcp == nil || c.writing {
		return false
	}
	buffer := c.buffers.Get().(*bytes.Buffer)
	defer func() {
		buffer.Reset()
		c.buffers.Put(buffer)
	}()
	buffer.Write(appendTextFrame(buffer.AvailableBuffer(), payload))
	n := tryWrite(tcp, buffer.Bytes())
	if n <= 0 {
		return false // if the connection is broken, the writer finds out
	}
	c.written = max(c.written, seq)
	if n < buffer.Len() {
		c.rest = bytes.Clone(buffer.Bytes()[n:])
		c.poke()
	}
	return true
}

// appendTextFrame writes a message as one frame of a server (RFC 6455 section 5.2).
func appendTextFrame(to, payload []byte) []byte {
	const fin = 1 << 7
	to = append(to, fin|websocket.TextMessage)
	switch n := len(payload); {
	case n < 126:
		to = append(to, byte(n))
	case n < 1<<16:
		to = binary.BigEndian.AppendUint16(append(to, 126), uint16(n))
	default:
		to = binary.BigEndian.AppendUint64(append(to, 127), uint64(n))
	}
	return append(to, payload...)
}
