package signaling

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
)

// connOf is the server's end of a member's socket.
func connOf(t *testing.T, s *Server, id string) *conn {
	t.Helper()
	m := s.registry.find(id)
	if m == nil {
		t.Fatalf("nobody is %s", id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn
}

func (c *conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing
}

func TestAFrameThatTheKernelTakesNeedsNoGoroutine(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	_, bo := pair(t, url, "tea")
	c := connOf(t, s, bo.id)
	within(t, "nothing is written", func() bool { return !c.busy() })
	for n := range 100 {
		c.enqueue([]byte(`{"type":"pong"}`), 0)
		if c.busy() {
			t.Fatalf("frame %d has a writer", n)
		}
		bo.expect(TypePong)
	}
}

func TestFramesThatTheKernelTakesInPartsArriveWholeAndInOrder(t *testing.T) {
	s, url := start(t, testLimits, Options{})
	ann, bo := pair(t, url, "tea")
	c := connOf(t, s, bo.id)
	if err := c.ws.NetConn().(*metered).Conn.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	const n, size = 8, 40 << 10 // the kernel cuts at 64 KiB or so
	sdp := func(i int) string { return strings.Repeat(fmt.Sprintf("%04d", i), size/4) }
	for i := range n {
		ann.send(`{"type":"signal","to":%q,"description":{"type":"offer","sdp":%q}}`, bo.id, sdp(i))
	}
	ann.send(`{"type":"ping"}`)
	ann.expect(TypePong) // so all are on their way
	if !c.busy() {
		t.Fatal("the kernel took everything at once")
	}
	for i := range n {
		var offer struct{ SDP string }
		if err := json.Unmarshal(bo.expect(TypeSignal).Description, &offer); err != nil || offer.SDP != sdp(i) {
			t.Fatalf("offer %d: %.40s… (%v)", i, offer.SDP, err)
		}
	}
	within(t, "nothing is left", func() bool { return !c.busy() })
	c.enqueue([]byte(`{"type":"pong"}`), 0)
	bo.expect(TypePong)
}

func TestAFrameTellsItsLengthInTheShortestWay(t *testing.T) {
	for _, row := range []struct{ length, header int }{{0, 2}, {125, 2}, {126, 4}, {1<<16 - 1, 4}, {1 << 16, 10}} {
		payload := strings.Repeat("x", row.length)
		frame := appendTextFrame(nil, []byte(payload))
		opcode, got, err := (&bare{t: t, in: bufio.NewReader(bytes.NewReader(frame))}).read()
		if err != nil || opcode != opText || got != payload || len(frame) != row.header+row.length {
			t.Errorf("%d bytes: opcode %x, %d bytes in a frame of %d (%v)", row.length, opcode, len(got), len(frame), err)
		}
	}
}
