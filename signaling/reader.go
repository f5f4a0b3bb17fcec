package signaling

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"
)

// How long a socket may take to join, and to be let in.
const (
	joinTimeout  = 5 * time.Second
	knockTimeout = 2 * time.Minute
)

// errNobodyOpens ends the wait of one who knocks.
var errNobodyOpens = errors.New("nobody opens")

// reader serves one socket, in one goroutine after the other: it owns everything
// here, and the seat that the socket has in a room.
type reader struct {
	server  *Server
	conn    *conn
	address string // of the client, as the log names it
	leave   func() // the door, when the socket is gone

	session *session // nil until joined
	since   time.Time

	messages *rate.Limiter

	code int    // of the close frame, once it is known
	text string // why, for people
}

// log is for what happens to the socket. It is made when it is needed: most sockets wait.
func (r *reader) log() *slog.Logger {
	log := r.server.opts.Log.With("client", r.address)
	if r.session != nil {
		log = log.With("member", r.session.id)
	}
	return log
}

// run serves the socket until its member is seated, which takes most of the stack that it ever
// needs. A member that waits shall not hold that, so another goroutine goes on.
func (r *reader) run() {
	defer r.survive()
	r.code = websocket.CloseNormalClosure
	ws := r.conn.ws
	ws.SetReadLimit(MaxMessageBytes)
	_ = ws.SetReadDeadline(time.Now().Add(joinTimeout))
	ws.SetPongHandler(r.acknowledged)
	ws.SetPingHandler(func(payload string) error {
		if !r.messages.Allow() {
			return errFlood
		}
		r.conn.answer(payload)
		return nil
	})
	ws.SetCloseHandler(func(code int, _ string) error { // which over answers, with the same code
		r.code = code
		return nil
	})
	for r.session == nil {
		if reason, done := r.next(); done {
			r.over(reason)
			return
		}
	}
	go r.stay()
}

// stay serves the socket of a member until it ends.
func (r *reader) stay() {
	defer r.survive()
	for {
		r.conn.heard()
		if reason, done := r.next(); done {
			r.over(reason)
			return
		}
	}
}

// survive keeps a mistake of ours, which one socket has met, from ending the whole process.
func (r *reader) survive() {
	mistake := recover()
	if mistake == nil {
		return
	}
	r.log().Error("panic", "error", mistake, "stack", string(debug.Stack()))
	r.over(r.fail(refusal{CodeInternal, "The server has made a mistake. Try again.", ActionRejoin, websocket.CloseInternalServerErr, 0}))
}

// over is the end of the socket. If the member leaves, it gives the seat back before
// the socket is closed: who sees the close may join again at once.
func (r *reader) over(reason Reason) {
	defer r.leave()
	defer r.server.forget(r.conn)
	if r.session == nil {
		r.server.joinedOrGone()
	} else {
		if r.conn.wasSlow() {
			reason = ReasonSlow
		}
		r.part(reason)
	}
	r.conn.close(r.code, r.text)
	r.conn.finish()
}

// acknowledged takes a pong, whose payload says what the client has.
func (r *reader) acknowledged(payload string) error {
	if !r.messages.Allow() {
		return errFlood
	}
	if r.session == nil { // a pong does not buy time to join
		return nil
	}
	if r.session.waiting() && time.Since(r.since) > knockTimeout {
		return errNobodyOpens
	}
	r.conn.heard()
	if seq, err := strconv.ParseUint(payload, 10, 64); err == nil && r.session.holds(r.conn) {
		r.session.acknowledge(seq)
	}
	return nil
}

// next waits for a message and acts on it, and reports whether the socket's time is over.
func (r *reader) next() (reason Reason, done bool) {
	kind, body, err := r.conn.ws.NextReader()
	if err != nil {
		return r.ended(err), true
	}
	return r.take(kind, body)
}

// take reads one message into a buffer that sockets share, because most of them wait, and acts on it.
func (r *reader) take(kind int, body io.Reader) (reason Reason, done bool) {
	buffer := r.server.buffers.Get().(*bytes.Buffer)
	defer func() {
		buffer.Reset()
		r.server.buffers.Put(buffer)
	}()
	if _, err := buffer.ReadFrom(body); err != nil {
		return r.ended(err), true
	}
	frame := buffer.Bytes()
	r.server.stats.messages.Add(1)
	if !r.messages.Allow() {
		return r.ended(errFlood), true
	}
	if kind != websocket.TextMessage {
		return r.fail(badRequest("messages are text frames")), true
	}
	if !utf8.Valid(frame) { // RFC 6455 section 8.1, which the library leaves to us
		return r.fail(notText()), true
	}
	in, err := Decode(frame)
	if err != nil {
		return r.misread(err)
	}
	return r.handle(&in)
}

// misread answers what is no message of ours.
func (r *reader) misread(err error) (reason Reason, done bool) {
	switch {
	case errors.Is(err, errUnknownType) && r.session != nil:
		r.tell(CodeUnknownType, "This server does not know that type of message.")
		return "", false
	case errors.Is(err, errUnknownType):
		return r.fail(badRequest("the first message must be join or resume")), true
	}
	return r.fail(badRequest(err.Error())), true
}

// handle acts on one message and reports whether the socket's time is over.
func (r *reader) handle(in *Inbound) (reason Reason, done bool) {
	first := in.Type == TypeJoin || in.Type == TypeResume
	switch {
	case r.session == nil && !first:
		return r.fail(badRequest("the first message must be join or resume")), true
	case r.session == nil && in.Type == TypeJoin:
		return ReasonError, !r.join(in)
	case r.session == nil:
		return ReasonError, !r.resume(in)
	}
	r.session.acting.Lock()
	defer r.session.acting.Unlock()
	if !r.session.holds(r.conn) { // another socket has taken over
		return ReasonLost, true
	}
	if r.session.waiting() && in.Type != TypePing && in.Type != TypePong && in.Type != TypeLeave {
		return r.fail(badRequest("wait until you are let in")), true
	}
	switch in.Type {
	case TypeJoin, TypeResume:
		return r.fail(badRequest("this socket has joined already")), true
	case TypeSignal:
		r.session.heard++
		r.signal(in)
	case TypeICE:
		r.renew()
	case TypeLock, TypeKick, TypeEnd, TypeAdmit, TypeRefuse:
		if refused := r.server.act(r.session, in); refused != nil {
			r.tell(refused.code, refused.message)
		}
	case TypePing:
		r.conn.enqueue(encode(&Outbound{Type: TypePong, Heard: &r.session.heard}), 0)
	case TypeLeave:
		r.session.returns = in.Return
		return ReasonLeft, true
	}
	return "", false
}

// renew sends new ICE servers.
func (r *reader) renew() {
	ice := r.server.ice(r.session)
	r.session.send(&Outbound{Type: TypeICE, ICE: &ice})
}

// signal passes a signal on, unread, to a member of the same room.
func (r *reader) signal(in *Inbound) {
	m := r.session
	err := notHere()
	if in.To != m.id {
		err = r.server.deliver(m, in.To, &Outbound{Type: TypeSignal, From: m.id, Description: in.Description, Candidates: in.Candidates})
	}
	if err != nil {
		refused := refusalOf(err)
		r.tell(refused.code, refused.message)
		return
	}
	r.server.stats.signals.Add(1)
}

// part ends the socket's time in the room.
func (r *reader) part(reason Reason) {
	left := r.server.part(r.session, r.conn, reason)
	duration := time.Since(r.since).Round(time.Millisecond).String()
	if left {
		r.log().Info("member left", "reason", reason, "duration", duration)
	} else {
		r.log().Info("member lost its socket", "reason", reason, "duration", duration)
	}
}

// tell sends an error that leaves the socket open.
func (r *reader) tell(code Code, message string) {
	r.server.stats.refused[code].Add(1)
	r.session.send(&Outbound{Type: TypeError, Code: code, Message: message, Action: ActionRetry})
}

// fail sends an error, after which run closes the socket.
func (r *reader) fail(why refusal) Reason {
	r.server.stats.refused[why.code].Add(1)
	out := &Outbound{Type: TypeError, Code: why.code, Message: why.message, Action: why.action, RetryAfterMS: why.retryMS}
	if r.session != nil && r.session.holds(r.conn) {
		r.session.send(out)
	} else {
		r.conn.enqueue(encode(out), 0)
	}
	r.code, r.text = why.close, string(why.code)
	r.log().Debug("socket refused", "reason", why.code)
	return ReasonError
}

// ended says why the socket ended.
func (r *reader) ended(err error) Reason {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, errFlood):
		return r.fail(refusal{CodeRateLimited, "More messages or bytes than one connection may send.", ActionRejoin, closeRateLimited, floodRetry.Milliseconds()})
	case errors.Is(err, errNobodyOpens):
		return r.fail(refusal{CodeForbidden, "Nobody inside has answered.", ActionStop, closeForbidden, 0})
	case ok && timeout.Timeout() && r.session == nil:
		r.code, r.text = closeTimedOut, "no join in time"
	case ok && timeout.Timeout():
		r.code, r.text = closeTimedOut, "no pong in time"
	case errors.Is(err, websocket.ErrReadLimit): // gorilla has sent the close frame
		r.code, r.text = websocket.CloseMessageTooBig, "too large"
		return ReasonError
	}
	return ReasonLost
}

func notText() refusal {
	return refusal{CodeBadRequest, "Bad request: messages are UTF-8.", ActionStop, websocket.CloseInvalidFramePayloadData, 0}
}

func badRequest(message string) refusal {
	return refusal{CodeBadRequest, "Bad request: " + message + ".", ActionStop, closeProtocol, 0}
}
