package cluster

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// address is one server of a cluster, and where it is reached.
type address struct {
	*signaling.Server
	url string
}

func alone(t *testing.T, n *natsServers) address {
	t.Helper()
	c := n.open(0, Options{})
	t.Cleanup(c.Close)
	s := signaling.New(config.Signaling{Capacity: 2, MaxRooms: 100, MaxMembers: 100, Grace: config.Duration(30 * time.Second)},
		signaling.Options{Cluster: c, SessionKey: make([]byte, signaling.KeySize), Log: slog.New(slog.DiscardHandler)})
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		web.Close()
	})
	return address{s, "ws" + strings.TrimPrefix(web.URL, "http")}
}

// mover is a client that follows goaway to another node.
type mover struct {
	ws      *websocket.Conn
	session signaling.SessionInfo
	seq     uint64
}

// ask opens a socket and sends its first message.
func (m *mover) ask(server address, first any) (answer signaling.Outbound, err error) {
	ws, resp, err := (&websocket.Dialer{Subprotocols: []string{signaling.Protocol}}).Dial(server.url, nil)
	if err != nil {
		if resp != nil {
			err = fmt.Errorf("%s: %w", resp.Status, err)
		}
		return answer, err
	}
	m.ws = ws
	if err := ws.WriteJSON(first); err != nil {
		return answer, err
	}
	answer, err = m.next()
	if answer.Session != nil {
		m.session = *answer.Session
	}
	return answer, err
}

func (m *mover) next() (got signaling.Outbound, err error) {
	_ = m.ws.SetReadDeadline(time.Now().Add(patience))
	err = m.ws.ReadJSON(&got)
	m.seq = max(m.seq, got.Seq)
	return got, err
}

// until reads on to the first message of that type.
func (m *mover) until(want signaling.Type) (got signaling.Outbound, err error) {
	for err == nil && got.Type != want {
		got, err = m.next()
	}
	return got, err
}

func TestADrainMovesMembersToAnotherNodeOneAfterTheOther(t *testing.T) {
	const rooms, window = 10, 2 * time.Second
	n := startNATS(t, 1)
	first, second := alone(t, n), alone(t, n)
	members := make([]*mover, 2*rooms)
	for i := range members {
		members[i] = new(mover)
		if got, err := members[i].ask(first, map[string]any{"type": "join", "room": fmt.Sprint("room ", i/2)}); err != nil || got.Type != signaling.TypeJoined {
			t.Fatalf("joining: %+v, %v", got, err)
		}
		t.Cleanup(func() { _ = members[i].ws.Close() })
	}

	began := time.Now()
	asked, moved := make([]time.Duration, len(members)), make(chan error, len(members))
	first.Drain(window)
	for i, m := range members {
		go func() { // sends one result
			got, err := m.until(signaling.TypeGoaway)
			asked[i] = time.Since(began)
			if err != nil || got.Reason != signaling.ReasonDrain || got.ReconnectInMS < 300 || got.ReconnectInMS > 1300 {
				moved <- fmt.Errorf("%+v, %w", got, err)
				return
			}
			_, _ = m.next() // the close
			_ = m.ws.Close()
			resumed, err := m.ask(second, map[string]any{"type": "resume", "session": m.session.ID, "key": m.session.Key, "seq": m.seq})
			if err != nil || resumed.Type != signaling.TypeResumed || *resumed.Lost {
				moved <- fmt.Errorf("resuming: %+v, %w", resumed, err)
				return
			}
			moved <- nil
		}()
	}
	if _, err := new(mover).ask(first, map[string]any{}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(http.StatusServiceUnavailable)) {
		t.Errorf("a newcomer at the node that drains: %v, want 503", err)
	}
	for range members {
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
	}
	// They were asked evenly: neither all at the beginning nor all at the end.
	early, latest := 0, time.Duration(0)
	for _, at := range asked {
		latest = max(latest, at)
		if at < window/2 {
			early++
		}
	}
	if early < len(members)/4 || early > 3*len(members)/4 || latest > window+time.Second {
		t.Errorf("%d of %d were asked in the first half of %v, the last after %v", early, len(members), window, latest)
	}
	within(t, "the node has nobody left", func() bool { return first.Drained() && first.Stats().Members == 0 })
	if got := second.Stats(); got.Members != int64(len(members)) || got.Away != 0 {
		t.Errorf("the other node: %+v", got)
	}

	// It is the same call.
	if err := members[0].ws.WriteJSON(map[string]any{"type": "signal", "to": members[1].session.ID, "candidates": []any{nil}}); err != nil {
		t.Fatal(err)
	}
	if got, err := members[1].until(signaling.TypeSignal); err != nil || got.From != members[0].session.ID {
		t.Errorf("got %+v, %v", got, err)
	}
}

// The last node that is left sends nobody away.
func TestANodeAloneKeepsItsMembersWhileItDrains(t *testing.T) {
	only := alone(t, startNATS(t, 1))
	ann := new(mover)
	if _, err := ann.ask(only, map[string]any{"type": "join", "room": "tea"}); err != nil {
		t.Fatal(err)
	}
	defer ann.ws.Close()
	only.Drain(0)
	if !only.Drained() {
		t.Error("it waits for somebody to go away")
	}
	if err := ann.ws.WriteJSON(map[string]any{"type": "ping"}); err != nil {
		t.Fatal(err)
	}
	if got, err := ann.next(); err != nil || got.Type != signaling.TypePong {
		t.Errorf("got %+v, %v", got, err)
	}
}
