package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/duetcall/duet/config"
)

const (
	// maxQueue bounds the events that wait. Each is some hundred bytes.
	maxQueue = 8192
	// maxBatch is how many go in one delivery.
	maxBatch = 100
	// giveUpAfter is how old an event may be when it is tried again.
	giveUpAfter = 5 * time.Minute
	// flushTimeout is how long what is left may take when Run's context has ended.
	flushTimeout = 3 * time.Second
	// firstPause and maxPause bound the time before a delivery is tried again. It doubles.
	firstPause, maxPause = 500 * time.Millisecond, 30 * time.Second
)

// Event is what is told of.
type Event struct {
	ID   string    `json:"id"`  // Send makes it
	Seq  uint64    `json:"seq"` // counts the events of this process; Send sets it
	Type string    `json:"type"`
	At   time.Time `json:"at"`
	Room Room      `json:"room"`
	// Member is whom it happened to. Nil: to the room.
	Member *Member `json:"member,omitempty"`
	Reason string  `json:"reason,omitempty"`

	queued time.Time
}

// Room is the room of an event.
type Room struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	Revision uint64 `json:"revision"`
	Members  int    `json:"members"`
}

// Member is the member of an event.
type Member struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Subject string `json:"sub,omitempty"`
	Host    bool   `json:"host,omitempty"`
}

// delivery is the body of one request.
type delivery struct {
	Server string  `json:"server"` // this process
	Events []Event `json:"events"`
}

// SenderStats counts what a Sender does.
type SenderStats struct {
	Queued    int    // events that wait, now
	Delivered uint64 // events
	Dropped   uint64 // events: the queue was full, or the receiver did not take them in time
	OK        uint64 // requests that were answered 2xx
	Failed    uint64 // requests that were not
}

// Sender sends events to a webhook. It is safe for concurrent use.
type Sender struct {
	client *client
	log    *slog.Logger
	server string

	wake chan struct{} // holds one token when there is an event, or another webhook

	mu    sync.Mutex // guards what follows
	cfg   config.Webhooks
	queue []Event
	seq   uint64
	full  bool // and that has been logged
	stats SenderStats
}

// NewSender returns a Sender. Nothing is sent before Run.
func NewSender(cfg config.Webhooks, log *slog.Logger) *Sender {
	return &Sender{client: newClient(), log: log, server: newID("srv_"), wake: make(chan struct{}, 1), cfg: cfg}
}

// Reload takes over another webhook, also for what waits.
func (s *Sender) Reload(cfg config.Webhooks) {
	s.mu.Lock()
	s.cfg = cfg
	s.mu.Unlock()
	s.poke()
}

// Stats returns the counters.
func (s *Sender) Stats() SenderStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Queued = len(s.queue)
	return stats
}

// Send queues an event, or drops it if there is no room. It never blocks.
func (s *Sender) Send(event Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.URL == "" || len(s.cfg.Events) > 0 && !slices.Contains(s.cfg.Events, event.Type) {
		return
	}
	s.seq++ // of those that are dropped as well: the receiver sees that some are missing
	if len(s.queue) >= maxQueue {
		s.stats.Dropped++
		if !s.full {
			s.log.Warn("events are dropped: the webhook is slower than what happens", "queued", len(s.queue))
		}
		s.full = true
		return
	}
	event.ID, event.Seq, event.queued = newID("evt_"), s.seq, time.Now()
	s.queue = append(s.queue, event)
	s.poke()
}

func (s *Sender) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends, and then for at most flushTimeout what is left.
func (s *Sender) Run(ctx context.Context) {
	defer s.client.close()
	flush, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(flushTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			end()
		case <-flush.Done():
		}
	})
	defer stop()
	for {
		batch := s.next(ctx)
		if batch == nil {
			return
		}
		s.deliver(ctx, flush, batch)
	}
}

// next waits for events and takes some. It returns nil when ctx has ended and none is left.
func (s *Sender) next(ctx context.Context) []Event {
	for {
		s.mu.Lock()
		n := min(len(s.queue), maxBatch)
		batch := slices.Clone(s.queue[:n])
		s.queue = slices.Delete(s.queue, 0, n)
		s.full = s.full && len(s.queue) > maxQueue/2
		s.mu.Unlock()
		if n > 0 {
			return batch
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			if s.Stats().Queued == 0 {
				return nil
			}
		}
	}
}

// deliver posts events until they are taken or too old, or once more if ctx has ended.
func (s *Sender) deliver(ctx, flush context.Context, batch []Event) {
	id := newID("msg_") // the same each time, so that its receiver can tell a repetition
	body, err := json.Marshal(delivery{s.server, batch})
	if err != nil {
		panic("webhook: " + err.Error()) // there is nothing in it that can fail
	}
	until := batch[0].queued.Add(giveUpAfter)
	for attempt := 0; ; attempt++ {
		last := ctx.Err() != nil
		to := s.target()
		if to.URL == "" {
			s.drop(batch, errors.New("there is no webhook any more"))
			return
		}
		_, err := s.client.post(flush, to.URL, to.Secret, id, body)
		if errors.Is(err, errUnread) { // it has taken them, whatever it says
			err = nil
		}
		if s.count(len(batch), err); err == nil {
			if attempt > 0 {
				s.log.Info("the webhook takes events again", "attempts", attempt+1)
			}
			return
		}
		pause := pauseAfter(attempt, err)
		if last || time.Now().Add(pause).After(until) {
			s.drop(batch, err)
			return
		}
		if attempt == 0 {
			s.log.Warn("the webhook does not take events, trying again", "error", err)
		}
		s.pause(ctx, pause, to)
	}
}

func (s *Sender) target() config.Webhooks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

func (s *Sender) count(events int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.stats.Failed++
		return
	}
	s.stats.OK++
	s.stats.Delivered += uint64(events)
}

func (s *Sender) drop(batch []Event, err error) {
	s.log.Warn("events are dropped: the webhook has not taken them", "events", len(batch), "first", batch[0].Seq, "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Dropped += uint64(len(batch))
}

// pauseAfter is how long to wait after so many attempts: twice as long each time, a half more or less, and
// at least as long as the receiver asks for.
func pauseAfter(attempt int, err error) time.Duration {
	pause := min(firstPause<<min(attempt, 16), maxPause)
	pause = pause/2 + rand.N(pause)
	if asked, ok := errors.AsType[*statusError](err); ok {
		pause = max(pause, min(asked.retryAfter, maxPause))
	}
	return pause
}

// pause waits, but not when there is another webhook than before, or when ctx ends.
func (s *Sender) pause(ctx context.Context, long time.Duration, before config.Webhooks) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-s.wake: // an event, or another webhook
			if now := s.target(); now.URL != before.URL || now.Secret != before.Secret {
				return
			}
		}
	}
}
