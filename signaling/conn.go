package signaling

import (
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// What one socket may hold and how long it may take. The queue is larger than the
// burst that one member may send, so that a peer's burst alone never makes a
// reading member slow.
const (
	queueMessages = 256
	queueBytes    = 1 << 20
	queuePongs    = 16
	pingEvery     = 15 * time.Second
	silenceLimit  = 45 * time.Second
	writeTimeout  = 10 * time.Second
	closeTimeout  = time.Second
)

// Close codes of duet.v1, beside those of RFC 6455.
const (
	closeProtocol        = 4400
	closeUnauthenticated = 4401
	closeForbidden       = 4403
	closeRoomGone        = 4404
	closeTimedOut        = 4408
	closeReplaced        = 4409
	closeExpired         = 4410
	closeRateLimited     = 4429
	closeKicked          = 4460
)

// queued is a frame on its way to the writer, with its seq in the session, if any.
type queued struct {
	frame []byte
	seq   uint64
}

// conn is one WebSocket. A frame that the kernel takes at once is written by whoever has it (now.go). For
// all else there is a bounded queue, and while there is something in it, the goroutine that alone writes then.
type conn struct {
	ws      *websocket.Conn
	from    netip.Addr    // of the client
	buffers *sync.Pool    // *bytes.Buffer, the server's
	done    chan struct{} // closed when nothing is written any more

	mu      sync.Mutex
	rest    []byte   // of a frame that the kernel has taken a part of
	queue   []queued // nil when idle
	bytes   int
	primed  int         // how many of queue are what prime has queued
	written uint64      // seq of the last frame of the session that the writer has taken
	pinger  *time.Timer // for the next ping
	ping    bool        // it is due
	pongs   []string    // the payloads of the peer's newest pings, until they are answered
	closing []byte      // the close frame's payload, once closing
	writing bool        // there is a writer
	slow    bool
	ended   bool // nothing is written any more; the read deadline is final
}

func newConn(ws *websocket.Conn, from netip.Addr, buffers *sync.Pool) *conn {
	c := &conn{ws: ws, from: from, buffers: buffers, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pinger = time.AfterFunc(pingEvery, c.pingNow)
	return c
}

// enqueue queues a frame for the writer and reports false if it was the one that
// the queue had no room for, whereupon the socket is on its way out. A frame for a
// socket that is closing is dropped.
func (c *conn) enqueue(frame []byte, seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil || c.ended {
		return true
	}
	if len(c.queue)-c.primed >= queueMessages || c.bytes+len(frame) > queueBytes {
		c.slow = true
		c.queue, c.bytes, c.primed = nil, 0, 0
		c.closing = websocket.FormatCloseMessage(closeTimedOut, "too slow a reader")
		// The writer may be stuck in a write that the peer does not take.
		_ = c.ws.NetConn().SetWriteDeadline(time.Now().Add(closeTimeout))
		c.poke()
		return false
	}
	if c.writeNow(frame, seq) {
		return true
	}
	c.queue = append(c.queue, queued{frame, seq})
	c.bytes += len(frame)
	c.poke()
	return true
}

// prime queues what a session that resumes must hear first: the frame that says so, and
// what it has missed, of which the last has that seq. They take nobody's room in the queue.
func (c *conn) prime(first []byte, missed [][]byte, last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, queued{frame: first})
	for i, frame := range missed {
		c.queue = append(c.queue, queued{frame, last - uint64(len(missed)-1-i)})
	}
	c.primed = len(c.queue)
	c.poke()
}

// close ends the socket after what is queued now, with a close code and a reason
// for people. Only the first close counts.
func (c *conn) close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing == nil {
		c.closing = websocket.FormatCloseMessage(code, reason)
		c.poke()
	}
}

// wasSlow reports whether the socket is closing because its queue was full.
func (c *conn) wasSlow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slow
}

// answer has the peer's ping answered, unless it sends so many that there are newer ones which are
// not answered yet: those are enough (RFC 6455 section 5.5.3).
func (c *conn) answer(payload string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pongs) == queuePongs {
		c.pongs = c.pongs[1:]
	}
	c.pongs = append(c.pongs, payload)
	c.poke()
}

// pingNow has a ping written, and the next in pingEvery.
func (c *conn) pingNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ping = true
	c.pinger.Reset(pingEvery)
	c.poke()
}

// poke starts a writer, unless there is one. c.mu must be held.
func (c *conn) poke() {
	if !c.writing && !c.ended {
		c.writing = true
		go c.write() // finish waits for the last
	}
}

// write is the writer: it ends when there is nothing to write. When the socket fails or has
// been closed it is the last.
func (c *conn) write() {
	for {
		kind, payload, timeout := c.next()
		if kind == 0 {
			return
		}
		var err error
		if kind == theRest {
			_ = c.ws.NetConn().SetWriteDeadline(time.Now().Add(timeout))
			_, err = c.ws.NetConn().Write(payload)
		} else {
			_ = c.ws.SetWriteDeadline(time.Now().Add(timeout))
			err = c.ws.WriteMessage(kind, payload)
		}
		if err != nil || kind == websocket.CloseMessage {
			c.end()
			return
		}
	}
}

// next is what the writer writes next, of which kind, and how long that may take. Kind 0: nothing, and
// the writer ends.
func (c *conn) next() (kind int, payload []byte, timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	timeout = writeTimeout
	if c.closing != nil {
		timeout = closeTimeout
	}
	switch {
	case c.rest != nil:
		payload, c.rest = c.rest, nil
		return theRest, payload, timeout
	case len(c.pongs) > 0:
		payload = []byte(c.pongs[0])
		c.pongs = c.pongs[1:]
		return websocket.PongMessage, payload, timeout
	case c.ping && c.closing == nil:
		c.ping = false
		// The pong repeats the payload: whatever came before has arrived.
		return websocket.PingMessage, strconv.AppendUint(nil, c.written, 10), timeout
	case len(c.queue) > 0:
		head := c.queue[0]
		c.queue[0] = queued{}
		c.queue = c.queue[1:]
		if c.primed > 0 {
			c.primed--
		} else {
			c.bytes -= len(head.frame)
		}
		c.written = max(c.written, head.seq)
		return websocket.TextMessage, head.frame, timeout
	case c.closing != nil:
		return websocket.CloseMessage, c.closing, timeout
	}
	c.queue, c.pongs = nil, nil
	c.writing = false
	return 0, nil, 0
}

// end leaves whoever reads the time that a close handshake takes.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.queue = nil
	c.pinger.Stop()
	_ = c.ws.SetReadDeadline(time.Now().Add(closeTimeout))
	close(c.done)
}

// heard puts off the read deadline: the peer is alive.
func (c *conn) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = c.ws.SetReadDeadline(time.Now().Add(silenceLimit))
	}
}

// finish waits for the last writer of a closed conn and then for the peer's close frame:
// a socket closed with unread bytes would be reset, and the peer would never read why.
func (c *conn) finish() {
	<-c.done
	for {
		_, _, err := c.ws.NextReader()
		if err == nil {
			continue
		}
		if _, ok := errors.AsType[*websocket.CloseError](err); !ok {
			drain(c.ws.NetConn())
		}
		break
	}
	_ = c.ws.Close()
}
