//go:build unix

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/duetcall/duet/signaling"
)

// guest is a member that comes back as the SDK does: with its waits, spread a quarter
// each way, from an address of its own.
type guest struct {
	from    net.Addr
	ws      *websocket.Conn
	session signaling.SessionInfo
	other   string // id of the other member
}

// tries are the waits before each attempt.
var tries = []time.Duration{0, 300 * time.Millisecond, 1200 * time.Millisecond, 2700 * time.Millisecond, 4800 * time.Millisecond, 7 * time.Second}

func (g *guest) dial(server string) error {
	dialer := websocket.Dialer{
		Subprotocols: []string{signaling.Protocol}, HandshakeTimeout: patience,
		NetDialContext: (&net.Dialer{LocalAddr: g.from}).DialContext,
	}
	ws, resp, err := dialer.Dial("ws://"+server+"/v1/ws", nil)
	if err != nil {
		return err
	}
	g.ws = ws
	return resp.Body.Close()
}

// ask sends the first message of a socket and reads the answer.
func (g *guest) ask(first any) (answer signaling.Outbound, err error) {
	_ = g.ws.SetReadDeadline(time.Now().Add(patience))
	return answer, errors.Join(g.ws.WriteJSON(first), g.ws.ReadJSON(&answer))
}

func (g *guest) join(server, room string) error {
	if err := g.dial(server); err != nil {
		return err
	}
	joined, err := g.ask(map[string]any{"type": "join", "room": room})
	if err != nil || joined.Session == nil {
		return fmt.Errorf("joining: %+v, %w", joined, err)
	}
	g.session = *joined.Session
	for _, other := range *joined.Members {
		g.other = other.ID
	}
	return nil
}

// comeBack waits for the end of the socket and resumes.
func (g *guest) comeBack(server string) error {
	_ = g.ws.SetReadDeadline(time.Time{})
	for {
		if _, _, err := g.ws.ReadMessage(); err != nil {
			break
		}
	}
	_ = g.ws.Close()
	var last error
	for _, wait := range tries { // real waits: how fast all are back is what is measured
		time.Sleep(time.Duration(float64(wait) * (0.75 + rand.Float64()/2)))
		if last = g.dial(server); last != nil {
			continue
		}
		resumed, err := g.ask(map[string]any{"type": "resume", "session": g.session.ID, "key": g.session.Key, "seq": 1, "attempt": "the first"})
		if err == nil && resumed.Type == signaling.TypeResumed && resumed.Self.ID == g.session.ID {
			return nil
		}
		last = fmt.Errorf("resuming: %+v, %w", resumed, err)
		_ = g.ws.Close()
	}
	return last
}

func TestAThousandMembersAreBackInTheirRoomsSecondsAfterAKill(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	d := startProcess(t, annAndBob)
	guests := make([]*guest, 1000)
	for n := range guests {
		guests[n] = &guest{from: &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/2>>8), byte(n/2))}}
		if err := guests[n].join(d.http, fmt.Sprint("room ", n/2)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = guests[n].ws.Close() })
	}

	took := make([]time.Duration, len(guests))
	var back errgroup.Group
	d.kill()
	killed := time.Now()
	for n, g := range guests {
		back.Go(func() error {
			err := g.comeBack(d.http)
			took[n] = time.Since(killed)
			return err
		})
	}
	d.start()
	if err := back.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(took)
	t.Logf("back: 50 %% after %v, 95 %% after %v, all after %v", took[500], took[950], took[999])
	if took[950] > 5*time.Second || took[999] > 10*time.Second {
		t.Errorf("95 %% were back after %v, all after %v", took[950], took[999])
	}

	// Each sees the same other as before.
	for n := 1; n < len(guests); n += 2 {
		g := guests[n]
		if err := g.ws.WriteJSON(map[string]any{"type": "signal", "to": g.other, "candidates": []any{nil}}); err != nil {
			t.Fatal(err)
		}
		hearer := guests[n-1]
		for got := (signaling.Outbound{}); got.From != g.session.ID; {
			got = signaling.Outbound{}
			_ = hearer.ws.SetReadDeadline(time.Now().Add(patience))
			if err := hearer.ws.ReadJSON(&got); err != nil {
				t.Fatal(err)
			}
		}
	}
}
