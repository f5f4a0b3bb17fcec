package signaling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
)

// pipes is a listener whose connections are made in memory, so that synctest's clock
// rules over them.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// inMemory serves a Server on pipes and returns a dialed socket. It must run inside a
// synctest bubble.
func inMemory(t *testing.T) (*websocket.Conn, func()) {
	t.Helper()
	listener := newPipes()
	_, stop := serveInMemory(t, listener, testLimits, Options{})
	ws := dialInMemory(t, listener).ws
	return ws, func() {
		_ = ws.Close()
		stop()
	}
}

// dialInMemory opens a socket to the server behind the pipes.
func dialInMemory(t *testing.T, listener *pipes) *client {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{Protocol}, NetDialContext: listener.dial}
	ws, _, err := dialer.Dial("ws://duet/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, ws: ws}
}

// serveInMemory serves a Server on pipes until stop is called.
func serveInMemory(t *testing.T, listener *pipes, limits config.Signaling, opts Options) (s *Server, stop func()) {
	t.Helper()
	opts.Log = slog.New(slog.DiscardHandler)
	s = New(limits, opts)
	web := &http.Server{Handler: s}
	done := make(chan error, 1)
	go func() { done <- web.Serve(listener) }()
	return s, func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		_ = web.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	}
}

// readUntilClosed reads until the socket ends and says how long that took and why.
func readUntilClosed(ws *websocket.Conn) (time.Duration, error) {
	began := time.Now()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			return time.Since(began), err
		}
	}
}

func TestASocketHasFiveSecondsToJoinWhateverElseItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ws, stop := inMemory(t)
		defer stop()
		ws.SetPingHandler(func(string) error { return nil })
		pong := time.NewTicker(time.Second) // which buys no time
		closed, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for range 20 { // so that the test fails rather than lasts
				select {
				case <-pong.C:
					_ = ws.WriteControl(websocket.PongMessage, nil, time.Time{})
				case <-closed:
					return
				}
			}
		}()
		took, err := readUntilClosed(ws)
		close(closed)
		<-ended
		if took != joinTimeout || !websocket.IsCloseError(err, closeTimedOut) {
			t.Errorf("closed after %v with %v, want %v and 4408", took, err, joinTimeout)
		}
	})
}

func TestAMemberWhoAnswersPingsStaysAndOneWhoDoesNotGoes(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(*websocket.Conn) error
		stays  bool
	}{
		{"pongs, as every browser does by itself", func(ws *websocket.Conn) error { return ws.WriteControl(websocket.PongMessage, nil, time.Time{}) }, true},
		{"messages", func(ws *websocket.Conn) error {
			return ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"pong"}`))
		}, true},
		{"nothing", func(*websocket.Conn) error { return nil }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ws, stop := inMemory(t)
				defer stop()
				pings := 0
				ws.SetPingHandler(func(string) error {
					if pings++; row.stays && pings == 20 {
						return errStayed
					}
					return row.answer(ws)
				})
				if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"join","room":"tea"}`)); err != nil {
					t.Fatal(err)
				}
				took, err := readUntilClosed(ws)
				if row.stays != errors.Is(err, errStayed) {
					t.Errorf("after %v and %d pings: %v", took, pings, err)
				}
				if !row.stays && (took != silenceLimit || !websocket.IsCloseError(err, closeTimedOut)) {
					t.Errorf("closed after %v with %v, want %v and 4408", took, err, silenceLimit)
				}
				if want := int(took / pingEvery); pings < want-1 || pings > want {
					t.Errorf("%d pings in %v", pings, took)
				}
			})
		})
	}
}

var errStayed = errors.New("still there")

// Stacks are most of what a member who waits costs.
func TestMembersWhoWaitHoldOneGoroutineEach(t *testing.T) {
	const members = 20
	_, url := start(t, testLimits, Options{})
	before := runtime.NumGoroutine()
	for n := range members / 2 {
		pair(t, url, fmt.Sprint("tea ", n))
	}
	within(t, "a goroutine each", func() bool { return runtime.NumGoroutine() <= before+members })
}
