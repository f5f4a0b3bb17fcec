package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	joinTimeout  = 10 * time.Second // after which a member that was told nothing counts as hung
	sendTimeout  = 10 * time.Second
	leaveTimeout = 2 * time.Second
)

// errRefused is an explicit no of the server: an HTTP status, an error message or a close code.
var errRefused = errors.New("refused")

// member is one participant, with one socket. Its fields belong to the goroutine that joins it
// and reads, but for those with a word.
type member struct {
	fleet *fleet
	room  string
	other string        // whom it speaks to, as the server names it; empty until the other is here
	ready chan struct{} // closed when the other is here
	offer []byte        // the frame that its sender stamps and sends, once ready is closed

	ws      *websocket.Conn
	writing sync.Mutex
}

// join opens a socket and takes a place in the room.
func (m *member) join(ctx context.Context, from net.IP) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	server := m.fleet.server
	dialer := websocket.Dialer{
		NetDialContext:  (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext,
		ReadBufferSize:  4 << 10,
		WriteBufferPool: m.fleet.buffers,
	}
	path, subprotocol := server.speaks.path()
	if subprotocol != "" {
		dialer.Subprotocols = []string{subprotocol}
	}
	ws, answer, err := dialer.DialContext(ctx, "ws://"+server.address+path, nil)
	if answer != nil {
		_ = answer.Body.Close()
	}
	if errors.Is(err, websocket.ErrBadHandshake) && answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: HTTP %d", errRefused, answer.StatusCode)
	}
	if err != nil {
		return err
	}
	ws.SetPingHandler(m.pong)
	m.ws = ws
	if err := m.enter(ctx); err != nil {
		_ = ws.Close()
		return err
	}
	return nil
}

// enter says what a member says first and reads on until it is in.
func (m *member) enter(ctx context.Context) error {
	if err := m.write([]byte(m.fleet.server.speaks.greet(m))); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	_ = m.ws.SetReadDeadline(deadline)
	for {
		_, frame, err := m.ws.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != websocket.CloseAbnormalClosure {
			return fmt.Errorf("%w: close %d", errRefused, closed.Code)
		}
		if err != nil {
			return err
		}
		switch m.hear(frame) {
		case joined:
			return m.ws.SetReadDeadline(time.Time{})
		case refused:
			return fmt.Errorf("%w: %s", errRefused, frame)
		}
	}
}

// read is the member's reader: it hears what comes until the socket ends.
func (m *member) read() {
	for {
		_, frame, err := m.ws.ReadMessage()
		if err != nil {
			m.fleet.ended(err)
			return
		}
		m.hear(frame)
	}
}

func (m *member) hear(frame []byte) event {
	e, answer := m.fleet.server.speaks.hear(m, frame)
	if answer != "" {
		if err := m.write([]byte(answer)); err != nil {
			m.fleet.ended(err)
		}
	}
	switch e {
	case offered:
		m.fleet.arrived(frame)
	case pinged:
		m.fleet.pings.Add(1)
	}
	if (e == ready || e == joined) && m.other != "" && m.offer == nil {
		m.offer = m.fleet.server.speaks.offer(m, m.fleet.description)
		close(m.ready)
	}
	return e
}

// send sends an offer as of that time.
func (m *member) send(now time.Time) error {
	if err := stamp(m.offer, now); err != nil {
		return err
	}
	return m.write(m.offer)
}

func (m *member) write(frame []byte) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	_ = m.ws.SetWriteDeadline(time.Now().Add(sendTimeout))
	return m.ws.WriteMessage(websocket.TextMessage, frame)
}

// pong answers a ping of the WebSocket.
func (m *member) pong(payload string) error {
	m.fleet.pings.Add(1)
	return m.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(sendTimeout))
}

// leave says goodbye; the reader ends when the server has closed the socket, or soon.
func (m *member) leave() {
	_ = m.write([]byte(m.fleet.server.speaks.leave()))
	soon := time.Now().Add(leaveTimeout)
	_ = m.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), soon)
	_ = m.ws.SetReadDeadline(soon)
}
