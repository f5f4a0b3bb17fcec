package signaling

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// loggedText is what a server has logged.
type loggedText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *loggedText) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *loggedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestTheServerNeverParsesOrLogsSDP(t *testing.T) {
	const canary = "a=ice-pwd:canary"
	var logged loggedText
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.Level(math.MinInt)}))
	_, url := start(t, graceful(), Options{Log: log})
	ann, joined := seated(t, url, "tea", "Ann")
	bo, _ := seated(t, url, "tea", "Bo")
	ann.expectEvent(EventJoined, bo.id)

	// Whatever is in it, it arrives as it was.
	for _, sdp := range []string{canary, "v=0\r\n" + canary, "v=0 m=<b>" + canary, strings.Repeat(canary, 1500)} {
		bo.send(`{"type":"signal","to":%q,"description":{"type":"offer","sdp":%q},"candidates":[{"candidate":%[2]q}]}`, ann.id, sdp)
		var arrived struct{ SDP string }
		if err := json.Unmarshal(ann.expect(TypeSignal).Description, &arrived); err != nil || arrived.SDP != sdp {
			t.Errorf("%.60q arrives as %.60q (%v)", sdp, arrived.SDP, err)
		}
	}
	bo.send(`{"type":"signal","to":"m_nobody","description":{"type":"offer","sdp":%q}}`, canary)
	bo.expect(TypeError)
	bo.send(`{"type":"signals","description":{"type":"offer","sdp":%q}}`, canary)
	bo.expect(TypeError)

	// Also not what is replayed, nor what ends a socket or keeps one from a seat.
	ann.cut()
	bo.expectEvent(EventAway, ann.id)
	bo.send(`{"type":"signal","to":%q,"description":{"type":"offer","sdp":%q}}`, ann.id, canary)
	bo.quiet()
	ann, _ = ann.resume(t, url, joined.Session, 6, "")
	ann.expect(TypeSignal)
	bo.expectEvent(EventBack, ann.id)
	for what, frame := range map[string]string{
		"a frame cut short":  `{"type":"signal","to":"x","description":{"type":"offer","sdp":"` + canary,
		"another shape":      `{"type":"signal","to":"x","description":["` + canary + `"]}`,
		"two of one":         `{"type":"signal","to":"x","to":7,"description":{"sdp":"` + canary + `"}}`,
		"in place of a type": `{"type":"` + canary + `","seq":"` + canary + `"}`,
		"too big":            `{"type":"signal","description":{"sdp":"` + strings.Repeat(canary, 5000) + `"}}`,
		"a resume":           `{"type":"resume","session":"` + canary + `","key":"` + canary + `"}`,
	} {
		t.Run(what, func(t *testing.T) {
			c, _ := seated(t, url, what, "Cy")
			c.send("%s", frame)
			_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Time{})
			_, _ = readUntilClosed(c.ws)
			first := dial(t, url)
			first.send("%s", frame)
			_, _ = readUntilClosed(first.ws)
		})
	}
	if got := logged.String(); !strings.Contains(got, "member joined") || strings.Contains(got, "canary") {
		t.Errorf("logged:\n%.4000s", got)
	}
}
