package client

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/signaling"
)

// What may wait to be heard, as much as the server keeps for us, and when it is asked what it has
// heard.
const (
	maxUnheard      = 256
	maxUnheardBytes = 1 << 20
	askEvery        = 64
	writeTimeout    = 10 * time.Second
)

// link is our side's way to the server: the socket, while there is one, and the signals that it may not have
// heard.
type link struct {
	mu      sync.Mutex // held while something is written: signals keep their order
	ws      *websocket.Conn
	unheard [][]byte
	bytes   int
	heard   uint64 // how many signals of the session came before those
	leaving bool

	space chan struct{} // has a token when there may be room again
}

// signal keeps a signal until it is heard, and sends it. It reports false if too much waits.
func (l *link) signal(frame []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unheard) >= maxUnheard || l.bytes+len(frame) > maxUnheardBytes {
		return false
	}
	l.unheard = append(l.unheard, frame)
	l.bytes += len(frame)
	_ = l.write(frame)
	if len(l.unheard)%askEvery == 0 {
		_ = l.write([]byte(`{"type":"ping"}`))
	}
	return true
}

// ask sends what makes sense only now.
func (l *link) ask(fields map[string]any) error {
	frame, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ws == nil {
		return ErrAway
	}
	return l.write(frame)
}

// leave says that we leave.
func (l *link) leave() error {
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	return l.ask(map[string]any{"type": signaling.TypeLeave})
}

func (l *link) isLeaving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaving
}

// write writes a frame if there is a socket. One that fails is closed: whoever reads from it notices. l.mu must
// be held.
func (l *link) write(frame []byte) error {
	if l.ws == nil {
		return nil
	}
	_ = l.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	err := l.ws.WriteMessage(websocket.TextMessage, frame)
	if err != nil {
		_ = l.ws.Close()
	}
	return err
}

// open takes a socket into use, and sends what was not heard.
func (l *link) open(ws *websocket.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ws = ws
	for _, frame := range l.unheard {
		_ = l.write(frame)
	}
}

// close is the end of the socket.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ws = nil
}

// hears forgets what the server has heard, of the session's signals. Nil: it does not know, and is told anew what
// there is to say.
func (l *link) hears(count *uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if count == nil {
		l.unheard, l.bytes, l.heard = nil, 0, 0
	} else {
		for l.heard < *count && len(l.unheard) > 0 {
			l.bytes -= len(l.unheard[0])
			l.unheard = l.unheard[1:]
			l.heard++
		}
	}
	select {
	case l.space <- struct{}{}:
	default:
	}
}
