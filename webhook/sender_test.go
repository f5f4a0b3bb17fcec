package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duetcall/duet/config"
)

// sending runs a Sender until the test ends, or until stop has returned.
func sending(t *testing.T, cfg config.Webhooks) (s *Sender, stop func()) {
	t.Helper()
	cfg.Secret = testSecret
	s = NewSender(cfg, discard())
	return s, running(t, s)
}

func running(t *testing.T, s *Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

func ok(http.ResponseWriter, *http.Request, int) {}

// numbers are the seq of all events that were taken, in order; bodies are checked on the way.
func numbers(t *testing.T, requests []received) (seqs []uint64) {
	t.Helper()
	server := ""
	for _, r := range requests {
		var d delivery
		if err := json.Unmarshal([]byte(r.body), &d); err != nil || d.Server == "" || server != "" && server != d.Server || len(d.Events) == 0 || len(d.Events) > maxBatch {
			t.Fatalf("got %s, %v", r.body, err)
		}
		server = d.Server
		for _, e := range d.Events {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

// inOrder checks that these are 1, 2, 3 to n.
func inOrder(t *testing.T, seqs []uint64, n int) {
	t.Helper()
	for i, seq := range seqs {
		if seq != uint64(i+1) {
			t.Fatalf("number %d has seq %d", i+1, seq)
		}
	}
	if len(seqs) != n {
		t.Errorf("%d events, want %d", len(seqs), n)
	}
}

func TestEventsArriveInOrderInFewDeliveries(t *testing.T) {
	rec := receive(t, ok)
	s := NewSender(config.Webhooks{URL: rec.URL, Secret: testSecret}, discard())
	for n := range 1000 {
		s.Send(Event{Type: "member.joined", At: time.Unix(1e9, 0).UTC(), Room: Room{"tea", "b1", 7, 2}, Member: &Member{ID: fmt.Sprint(n), Name: "Ann", Subject: "u1", Host: true}})
	}
	running(t, s)
	within(t, "all are delivered", func() bool { return s.Stats().Delivered == 1000 })
	requests := rec.all()
	inOrder(t, numbers(t, requests), 1000)
	if len(requests) != 1000/maxBatch || len(rec.conns) != 1 {
		t.Errorf("%d deliveries over %d connections", len(requests), len(rec.conns))
	}
	if st := s.Stats(); st.OK != 10 || st.Failed != 0 || st.Dropped != 0 || st.Queued != 0 {
		t.Errorf("got %+v", st)
	}
	var first struct{ Events []json.RawMessage }
	_ = json.Unmarshal([]byte(requests[0].body), &first)
	want := `,"seq":1,"type":"member.joined","at":"2001-09-09T01:46:40Z","room":{"name":"tea","id":"b1","revision":7,"members":2},"member":{"id":"0","name":"Ann","sub":"u1","host":true}}`
	if got := string(first.Events[0]); !strings.HasPrefix(got, `{"id":"evt_`) || !strings.HasSuffix(got, want) {
		t.Errorf("got %s", got)
	}
}

func TestADeliveryIsRepeatedUnderItsIDUntilItIsTakenAndNothingOvertakesIt(t *testing.T) {
	rec := receive(t, func(w http.ResponseWriter, r *http.Request, n int) {
		switch n {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
		case 1:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	})
	s, _ := sending(t, config.Webhooks{URL: rec.URL})
	s.Send(Event{Type: "room.opened"})
	within(t, "it was refused once", func() bool { return s.Stats().Failed == 1 })
	s.Send(Event{Type: "room.closed"})
	within(t, "both are delivered", func() bool { return s.Stats().Delivered == 2 })
	requests := rec.all()
	if len(requests) != 4 || requests[0] != requests[1] || requests[1] != requests[2] || requests[3].id == requests[2].id {
		t.Errorf("got %+v", requests)
	}
	inOrder(t, numbers(t, requests[2:]), 2)
	if st := s.Stats(); st.Failed != 2 || st.OK != 2 || st.Dropped != 0 {
		t.Errorf("got %+v", st)
	}
}

func TestOnlyTheEventsThatAreAskedForAreSent(t *testing.T) {
	rec := receive(t, ok)
	s, stop := sending(t, config.Webhooks{URL: rec.URL, Events: []string{"member.left", "room.closed"}})
	for _, kind := range []string{"room.opened", "member.joined", "member.left", "room.closed"} {
		s.Send(Event{Type: kind})
	}
	stop()
	if st := s.Stats(); st.Delivered != 2 || st.Dropped != 0 {
		t.Errorf("got %+v", st)
	}
	none, stop := sending(t, config.Webhooks{})
	none.Send(Event{Type: "room.opened"})
	stop()
	if st := none.Stats(); st != (SenderStats{}) {
		t.Errorf("without a webhook: %+v", st)
	}
}

func TestAFullQueueDropsTheNewestAndTheReceiverSeesThatSomeAreMissing(t *testing.T) {
	rec := receive(t, ok)
	s := NewSender(config.Webhooks{URL: rec.URL, Secret: testSecret}, discard())
	for range maxQueue + 5 {
		s.Send(Event{Type: "room.opened"})
	}
	if st := s.Stats(); st.Queued != maxQueue || st.Dropped != 5 {
		t.Errorf("got %+v", st)
	}
	running(t, s)
	within(t, "the queue is empty", func() bool { return s.Stats().Delivered == maxQueue })
	s.Send(Event{Type: "room.closed"})
	within(t, "the last is delivered", func() bool { return s.Stats().Delivered == maxQueue+1 })
	seqs := numbers(t, rec.all())
	inOrder(t, seqs[:maxQueue], maxQueue)
	if last := seqs[maxQueue]; last != maxQueue+6 {
		t.Errorf("the last has seq %d", last)
	}
}

func TestEventsThatAreTooOldAreGivenUpAfterOneMoreAttempt(t *testing.T) {
	rec := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := NewSender(config.Webhooks{URL: rec.URL, Secret: testSecret}, discard())
	s.Send(Event{Type: "room.opened"})
	s.queue[0].queued = time.Now().Add(-giveUpAfter)
	running(t, s)
	within(t, "it is dropped", func() bool { return s.Stats().Dropped == 1 })
	s.Send(Event{Type: "room.closed"})
	within(t, "the next is delivered", func() bool { return s.Stats().Delivered == 1 })
	if seqs := numbers(t, rec.all()); len(seqs) != 2 || seqs[1] != 2 {
		t.Errorf("got %v", seqs)
	}
}

func TestTheEndSendsWhatIsLeftOnceAndWithinSeconds(t *testing.T) {
	for _, row := range []struct {
		name               string
		answer             func(w http.ResponseWriter, r *http.Request, n int)
		delivered, dropped uint64
		longest            time.Duration
	}{
		{"taken", ok, 250, 0, time.Second},
		{"refused", func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(500) }, 0, 250, time.Second},
		{"silent", func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }, 0, 250, flushTimeout + time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			rec := receive(t, row.answer)
			s := NewSender(config.Webhooks{URL: rec.URL, Secret: testSecret}, discard())
			for range 250 {
				s.Send(Event{Type: "room.opened"})
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			began := time.Now()
			s.Run(ctx)
			if took := time.Since(began); took > row.longest {
				t.Errorf("it took %v", took)
			}
			if st := s.Stats(); st.Delivered != row.delivered || st.Dropped != row.dropped || st.Queued != 0 {
				t.Errorf("got %+v", st)
			}
		})
	}
}

func TestAnotherWebhookTakesOverAtOnce(t *testing.T) {
	dead := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	alive := receive(t, ok)
	s, _ := sending(t, config.Webhooks{URL: dead.URL})
	s.Send(Event{Type: "room.opened"})
	within(t, "it was refused", func() bool { return s.Stats().Failed == 1 })
	s.Reload(config.Webhooks{URL: alive.URL, Secret: testSecret})
	within(t, "it is delivered", func() bool { return s.Stats().Delivered == 1 })
	if n := len(dead.all()); n != 1 {
		t.Errorf("the first webhook was asked %d times", n)
	}
	s.Reload(config.Webhooks{URL: dead.URL, Secret: testSecret})
	s.Send(Event{Type: "room.closed"})
	within(t, "it was refused", func() bool { return s.Stats().Failed == 2 })
	s.Reload(config.Webhooks{})
	within(t, "it is dropped", func() bool { return s.Stats().Dropped == 1 })
}

func TestPausesGrowAndHeedTheReceiver(t *testing.T) {
	for _, row := range []struct {
		attempt   int
		err       error
		low, high time.Duration
	}{
		{0, nil, 250 * time.Millisecond, 750 * time.Millisecond},
		{3, nil, 2 * time.Second, 6 * time.Second},
		{1000, nil, maxPause / 2, 3 * maxPause / 2},
		{0, &statusError{429, 20 * time.Second}, 20 * time.Second, 20 * time.Second},
		{0, &statusError{503, time.Hour}, maxPause, maxPause},
	} {
		seen := make(map[time.Duration]bool)
		for range 100 {
			pause := pauseAfter(row.attempt, row.err)
			if seen[pause] = true; pause < row.low || pause > row.high {
				t.Errorf("attempt %d, %v: %v", row.attempt, row.err, pause)
			}
		}
		if row.err == nil && len(seen) < 50 {
			t.Errorf("attempt %d: all wait alike", row.attempt)
		}
	}
}

func TestSendNeverBlocks(t *testing.T) {
	rec := receive(t, func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() })
	s, _ := sending(t, config.Webhooks{URL: rec.URL})
	began := time.Now()
	var each sync.WaitGroup
	for range 8 {
		each.Go(func() {
			for range maxQueue / 4 {
				s.Send(Event{Type: "room.opened"})
			}
		})
	}
	each.Wait()
	if took := time.Since(began); took > postTimeout/2 {
		t.Errorf("it took %v", took)
	}
	if st := s.Stats(); st.Queued > maxQueue || st.Dropped == 0 {
		t.Errorf("got %+v", st)
	}
}
