package webhook

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait in these tests.
const patience = 10 * time.Second

const testSecret = "a secret of our own, 32 bytes long"

// received is one request as its receiver sees it.
type received struct {
	id, body string
}

// receiver is a webhook: it checks the signature of all that comes and answers with answer.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	requests []received
	conns    map[string]bool
}

// receive serves a webhook until the test ends. n counts the requests from 0.
func receive(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) *receiver {
	t.Helper()
	rec := &receiver{t: t, conns: make(map[string]bool)}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading: %v", err)
		}
		rec.check(r, body)
		rec.mu.Lock()
		n := len(rec.requests)
		rec.requests = append(rec.requests, received{r.Header.Get("webhook-id"), string(body)})
		rec.conns[r.RemoteAddr] = true
		rec.mu.Unlock()
		answer(w, r, n)
	}))
	t.Cleanup(rec.Close)
	return rec
}

// check is what docs/webhooks.md asks of a receiver.
func (rec *receiver) check(r *http.Request, body []byte) {
	timestamp := r.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		rec.t.Errorf("the timestamp is %q", timestamp)
	}
	if got, want := r.Header.Get("webhook-signature"), "v1,"+signature(testSecret, r.Header.Get("webhook-id"), timestamp, body); got != want {
		rec.t.Errorf("the signature is %q, want %q", got, want)
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		rec.t.Errorf("got %s with %s", r.Method, r.Header.Get("Content-Type"))
	}
}

// all returns what has come.
func (rec *receiver) all() []received {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]received(nil), rec.requests...)
}

// within waits for a condition that comes true by itself.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-tick.C
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// testdata/signed.json begins with the example of Standard Webhooks itself; the second row was
// made with openssl. web/test/webhooks.test.js holds the code of docs/webhooks.md against the same.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	text, err := os.ReadFile("testdata/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Secret, ID, Timestamp, Body, Signature string }
	if err := json.Unmarshal(text, &rows); err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	for _, row := range rows {
		seconds, _ := strconv.ParseInt(row.Timestamp, 10, 64)
		header := make(http.Header)
		sign(header, config.Secret(row.Secret), row.ID, time.Unix(seconds, 0), []byte(row.Body))
		if header.Get("webhook-id") != row.ID || header.Get("webhook-timestamp") != row.Timestamp || header.Get("webhook-signature") != row.Signature {
			t.Errorf("got %v, want %s", header, row.Signature)
		}
	}
}
