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

// conn is one WebSocket: a bounded queue and the goroutine that alone writes it out.
type conn struct {
	ws   *websocket.Conn
	from netip.Addr    // of the client
	wake chan struct{} // holds one token when there is something to do
	done chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	queue   []queued
	bytes   int
	primed  int    // frames that prime has queued and the writer has not taken
	closing []byte // the close frame's payload, once closing
	slow    bool
	ended   bool // the writer has; the read deadline is final
}

func newConn(ws *websocket.Conn, from netip.Addr) *conn {
	return &conn{ws: ws, from: from, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// enqueue queues a frame for the writer and reports false if it was the one that
// the queue had no room for, whereupon the socket is on its way out. A frame for a
// socket that is closing is dropped.
func (c *conn) enqueue(frame []byte, seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return true
	}
	if len(c.queue)-c.primed >= queueMessages || c.bytes+len(frame) > queueBytes {
		c.slow = true
		c.queue, c.bytes = nil, 0
		c.closing = websocket.FormatCloseMessage(closeTimedOut, "too slow a reader")
		// The writer may be stuck in a write that the peer does not take.
		_ = c.ws.NetConn().SetWriteDeadline(time.Now().Add(closeTimeout))
		c.poke()
		return false
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

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take hands over all that is queued.
func (c *conn) take() (frames []queued, closing []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames, c.queue, c.bytes, c.primed = c.queue, nil, 0, 0
	return frames, c.closing
}

// write is the writer: it ends when the socket fails or has been closed, and leaves
// a reader that still reads closeTimeout to hear the peer's own close frame.
func (c *conn) write() {
	defer close(c.done)
	defer c.end()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var written uint64 // seq of the last frame of the session
	for {
		select {
		case <-c.wake:
		case <-ping.C:
			// The pong repeats the payload: whatever came before has arrived.
			if c.ws.WriteControl(websocket.PingMessage, strconv.AppendUint(nil, written, 10), time.Now().Add(writeTimeout)) != nil {
				return
			}
			continue
		}
		frames, closing := c.take()
		timeout := writeTimeout
		if closing != nil {
			timeout = closeTimeout
		}
		for _, frame := range frames {
			_ = c.ws.SetWriteDeadline(time.Now().Add(timeout))
			if c.ws.WriteMessage(websocket.TextMessage, frame.frame) != nil {
				return
			}
			written = max(written, frame.seq)
		}
		if closing != nil {
			_ = c.ws.WriteControl(websocket.CloseMessage, closing, time.Now().Add(closeTimeout))
			return
		}
	}
}

// end leaves whoever reads the time that a close handshake takes.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	_ = c.ws.SetReadDeadline(time.Now().Add(closeTimeout))
}

// heard puts off the read deadline: the peer is alive.
func (c *conn) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		_ = c.ws.SetReadDeadline(time.Now().Add(silenceLimit))
	}
}

// finish waits for the writer of a closed conn and then for the peer's close frame:
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
