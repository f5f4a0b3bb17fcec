package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/signaling"
)

// delays are before each attempt to come back; the last one repeats. Who was never in gives up
// after the last, who was goes on for giveUpAfter.
var delays = []time.Duration{
	0, 300 * time.Millisecond, 1200 * time.Millisecond, 2700 * time.Millisecond, 4800 * time.Millisecond, 7 * time.Second,
}

const (
	giveUpAfter  = 5 * time.Minute
	openTimeout  = 10 * time.Second
	knockTimeout = 3 * time.Minute  // longer than the server lets anybody wait
	silenceLimit = 45 * time.Second // the server pings every 15 s
	// lastMoment is what of the grace time is too short for one more attempt.
	lastMoment = time.Second
)

// ticket is what resumes a session.
type ticket struct {
	signaling.SessionInfo
	seq     uint64 // of the last message that we have seen
	attempt string // names one resume: asking again after a lost answer is no second use of the key
}

// runner is the session's goroutine.
type runner struct {
	*Session
	ticket *ticket // nil: we join
	joined chan struct{}
	in     bool // we were in the room once

	attempts    int
	interrupted time.Time // since when; zero: it is not
}

// run keeps the session until it is over.
func (s *Session) run(ctx context.Context, joined chan struct{}) {
	defer close(s.done)
	defer close(s.events)
	r := &runner{Session: s, joined: joined}
	for {
		why := r.visit(ctx)
		s.out.close()
		switch {
		case ctx.Err() != nil, s.out.isLeaving():
			s.err = ErrLeft
			return
		case why.Action == signaling.ActionStop, r.exhausted():
			s.err = why
			return
		}
		timer := time.NewTimer(r.delay(why))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// exhausted reports whether there were attempts enough.
func (r *runner) exhausted() bool {
	if r.interrupted.IsZero() {
		r.interrupted = time.Now()
	}
	if r.in {
		return time.Since(r.interrupted) > giveUpAfter
	}
	return r.attempts >= len(delays)
}

// delay is how long to wait: what the server has asked for, else the table's entry, a quarter more or less. While
// our seat is kept, nothing takes more than half of the time that it still has.
func (r *runner) delay(why *Error) time.Duration {
	listed := delays[min(r.attempts, len(delays)-1)]
	r.attempts++
	if why.retry > 0 {
		return min(why.retry, giveUpAfter)
	}
	spread := listed*3/4 + mathrand.N(listed/2+1)
	if r.ticket != nil {
		if left := time.Duration(r.ticket.Grace)*time.Second - time.Since(r.interrupted); left > lastMoment {
			return min(spread, left/2)
		}
	}
	return spread
}

// visit is one socket, and returns why it is over.
func (r *runner) visit(ctx context.Context) *Error {
	ws, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = ws.Close() })()
	defer func() { _ = ws.Close() }()
	ws.SetReadLimit(signaling.MaxMessageBytes + 4<<10) // ours, with what the server adds
	first, _ := json.Marshal(r.greeting())             // strings and numbers
	_ = ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := ws.WriteMessage(websocket.TextMessage, first); err != nil {
		return why(err, nil, nil)
	}
	_ = ws.SetReadDeadline(time.Now().Add(openTimeout))
	ws.SetPingHandler(func(payload string) error {
		r.alive(ws)
		_ = ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeTimeout)) // reading notices a socket that is broken
		return nil
	})
	return r.read(ctx, ws)
}

func (r *runner) dial(ctx context.Context) (*websocket.Conn, *Error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	dialer := websocket.Dialer{Subprotocols: []string{signaling.Protocol}, TLSClientConfig: r.opts.TLS, NetDialContext: r.opts.Dial, Proxy: http.ProxyFromEnvironment}
	ws, resp, err := dialer.DialContext(ctx, r.url, r.opts.Header)
	if err == nil {
		_ = resp.Body.Close()
		return ws, nil
	}
	refused := &Error{Code: CodeUnreachable, Action: signaling.ActionRejoin, cause: err}
	if resp == nil {
		return nil, refused
	}
	_ = resp.Body.Close()
	refused.Message = "answered with HTTP " + resp.Status
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests:
		refused.Code = signaling.CodeUnavailable
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= int(giveUpAfter.Seconds()) {
			refused.retry = time.Duration(seconds) * time.Second
		}
	case resp.StatusCode < http.StatusInternalServerError:
		refused.Action = signaling.ActionStop // this is no server of ours, or wants nobody from here
	}
	return nil, refused
}

// greeting is the first message of a socket.
func (r *runner) greeting() map[string]any {
	if r.ticket != nil {
		return map[string]any{"type": signaling.TypeResume, "session": r.ticket.ID, "key": r.ticket.Key, "seq": r.ticket.seq, "attempt": r.ticket.attempt}
	}
	join := map[string]any{"type": signaling.TypeJoin, "room": r.opts.Room, "name": r.opts.Name}
	for field, value := range map[string]string{"key": r.opts.Key, "token": r.opts.Token} {
		if value != "" {
			join[field] = value
		}
	}
	for field, value := range map[string]bool{"create": r.opts.Create, "knock": r.opts.Knock} {
		if value {
			join[field] = value
		}
	}
	return join
}

// alive puts off the end of a socket on which something came.
func (r *runner) alive(ws *websocket.Conn) {
	if r.interrupted.IsZero() && r.in {
		_ = ws.SetReadDeadline(time.Now().Add(silenceLimit))
	}
}

// read takes the server's messages until the socket is over.
func (r *runner) read(ctx context.Context, ws *websocket.Conn) *Error {
	var failure, goaway *signaling.Outbound
	entered := false
	for {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			if failure != nil && failure.Code == signaling.CodeSessionExpired {
				r.ticket = nil // we join, as another member
			}
			return why(err, failure, goaway)
		}
		var in signaling.Outbound
		if err := decode(frame, &in); err != nil {
			return &Error{Code: signaling.CodeBadRequest, Message: "the server says what is no message", Action: signaling.ActionStop, cause: err}
		}
		r.alive(ws)
		switch in.Type {
		case signaling.TypeGoaway:
			goaway = &in
			continue
		case signaling.TypePing:
			_ = r.out.ask(map[string]any{"type": signaling.TypePong})
			continue
		case signaling.TypePong:
			if in.Heard != nil {
				r.out.hears(in.Heard)
			}
			continue
		case signaling.TypeKnocking:
			_ = ws.SetReadDeadline(time.Now().Add(knockTimeout))
			continue
		case signaling.TypeError:
			if !entered || in.Action != signaling.ActionRetry {
				failure = &in
				continue
			}
		}
		if !entered {
			first := !r.in
			if err := r.enter(ws, &in); err != nil {
				return err
			}
			entered = true
			if first { // Join tells it
				continue
			}
		} else if !r.sees(in.Seq) {
			continue
		}
		r.note(&in)
		select {
		case r.events <- in:
		case <-ctx.Done():
			return &Error{cause: ctx.Err()}
		}
	}
}

// decode reads a message of the server, of whom nothing is taken for granted.
func decode(frame []byte, in *signaling.Outbound) error {
	if err := json.Unmarshal(frame, in); err != nil {
		return err
	}
	if in.Type == signaling.TypeMember && in.Member == nil || in.Type == signaling.TypeKnock && in.Knock == nil {
		return fmt.Errorf("%q says of nobody", in.Type)
	}
	return nil
}

// enter takes the answer to our first message.
func (r *runner) enter(ws *websocket.Conn, in *signaling.Outbound) *Error {
	resuming := r.ticket != nil
	if in.Session == nil || resuming != (in.Type == signaling.TypeResumed) || !resuming && in.Type != signaling.TypeJoined {
		return &Error{Code: signaling.CodeBadRequest, Message: fmt.Sprintf("the server answers with %q", in.Type), Action: signaling.ActionStop}
	}
	seq := in.Seq
	if resuming {
		r.out.hears(in.Heard)
		if in.Lost == nil || !*in.Lost {
			seq = r.ticket.seq
		}
	} else {
		r.out.hears(nil)
	}
	r.ticket = &ticket{*in.Session, seq, rand.Text()}
	r.attempts, r.interrupted = 0, time.Time{}
	first := !r.in
	r.in = true
	r.alive(ws)
	r.out.open(ws)
	if first {
		r.note(in)
		close(r.joined)
	}
	return nil
}

// sees reports whether a message is new.
func (r *runner) sees(seq uint64) bool {
	if seq == 0 {
		return true
	}
	if seq <= r.ticket.seq {
		return false
	}
	r.ticket.seq = seq
	return true
}

// note takes over what a message says of the room.
func (r *runner) note(in *signaling.Outbound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.Self != nil {
		r.self = *in.Self
	}
	if in.Room != nil {
		r.room = *in.Room
	}
	if in.Members != nil {
		r.members = slices.Clone(*in.Members)
	}
	if in.ICE != nil {
		r.ice = *in.ICE
	}
	if in.Session != nil && r.ticket != nil {
		r.ticket.SessionInfo = *in.Session
	}
	switch in.Type {
	case signaling.TypeMember:
		r.noteMember(in)
	case signaling.TypeKnock:
		r.room.Knocks = slices.DeleteFunc(slices.Clone(r.room.Knocks), func(k signaling.Knocker) bool { return k.ID == in.Knock.ID })
		if in.Event == signaling.EventAsked {
			r.room.Knocks = append(r.room.Knocks, *in.Knock)
		}
	}
}

func (r *runner) noteMember(in *signaling.Outbound) {
	at := slices.IndexFunc(r.members, func(m signaling.Member) bool { return m.ID == in.Member.ID })
	switch {
	case at < 0 && in.Event != signaling.EventLeft:
		r.members = append(r.members, *in.Member)
	case at >= 0 && in.Event == signaling.EventLeft:
		r.members = slices.Delete(r.members, at, at+1)
	case at >= 0:
		r.members[at] = *in.Member
	}
}
