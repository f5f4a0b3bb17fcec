package signaling

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
)

// How long a socket may take to join, and to be let in.
const (
	joinTimeout  = 5 * time.Second
	knockTimeout = 2 * time.Minute
)

// errNobodyOpens ends the wait of one who knocks.
var errNobodyOpens = errors.New("nobody opens")

// reader serves one socket, in the goroutine of its request: it owns everything
// here, and the seat that the socket has in a room.
type reader struct {
	server *Server
	conn   *conn
	limits config.Signaling // of the time when it was opened
	log    *slog.Logger

	session *session // nil until joined
	since   time.Time

	code int    // of the close frame, once it is known
	text string // why, for people
}

// run reads until the socket ends. If the member leaves, it gives the seat back before
// it closes the socket: who sees the close may join again at once.
func (r *reader) run() {
	r.code = websocket.CloseNormalClosure
	reason := r.read()
	if r.session == nil {
		r.server.joinedOrGone()
	} else {
		if r.conn.wasSlow() {
			reason = ReasonSlow
		}
		r.part(reason)
	}
	r.conn.close(r.code, r.text)
}

func (r *reader) read() Reason {
	ws := r.conn.ws
	ws.SetReadLimit(MaxMessageBytes)
	_ = ws.SetReadDeadline(time.Now().Add(joinTimeout))
	messages := newMessageLimit(r.limits)
	pong := ws.PingHandler()
	ws.SetPingHandler(func(payload string) error {
		if !messages.Allow() {
			return errFlood
		}
		return pong(payload)
	})
	ws.SetPongHandler(func(payload string) error {
		if !messages.Allow() {
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
	})
	for {
		kind, frame, err := ws.ReadMessage()
		if err != nil {
			return r.ended(err)
		}
		r.server.stats.messages.Add(1)
		if !messages.Allow() {
			return r.ended(errFlood)
		}
		if kind != websocket.TextMessage {
			return r.fail(badRequest("messages are text frames"))
		}
		if !utf8.Valid(frame) { // RFC 6455 section 8.1, which the library leaves to us
			return r.fail(refusal{CodeBadRequest, "Bad request: messages are UTF-8.", ActionStop, websocket.CloseInvalidFramePayloadData, 0})
		}
		in, err := Decode(frame)
		switch {
		case errors.Is(err, errUnknownType) && r.session != nil:
			r.tell(CodeUnknownType, "This server does not know that type of message.")
		case errors.Is(err, errUnknownType):
			return r.fail(badRequest("the first message must be join or resume"))
		case err != nil:
			return r.fail(badRequest(err.Error()))
		default:
			if reason, done := r.handle(in); done {
				return reason
			}
		}
		if r.session != nil {
			r.conn.heard()
		}
	}
}

// handle acts on one message and reports whether the socket's time is over.
func (r *reader) handle(in Inbound) (reason Reason, done bool) {
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
		ice := r.server.ice(r.session)
		r.session.send(Outbound{Type: TypeICE, ICE: &ice})
	case TypeLock, TypeKick, TypeEnd, TypeAdmit, TypeRefuse:
		if refused := r.server.act(r.session, in); refused != nil {
			r.tell(refused.code, refused.message)
		}
	case TypePing:
		r.conn.enqueue(encode(Outbound{Type: TypePong, Heard: &r.session.heard}), 0)
	case TypeLeave:
		r.session.returns = in.Return
		return ReasonLeft, true
	}
	return "", false
}

// signal passes a signal on, unread, to a member of the same room.
func (r *reader) signal(in Inbound) {
	m := r.session
	err := notHere()
	if in.To != m.id {
		err = r.server.deliver(m, in.To, Outbound{Type: TypeSignal, From: m.id, Description: in.Description, Candidates: in.Candidates})
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
		r.log.Info("member left", "reason", reason, "duration", duration)
	} else {
		r.log.Info("member lost its socket", "reason", reason, "duration", duration)
	}
}

// tell sends an error that leaves the socket open.
func (r *reader) tell(code Code, message string) {
	r.server.stats.refused[code].Add(1)
	r.session.send(Outbound{Type: TypeError, Code: code, Message: message, Action: ActionRetry})
}

// fail sends an error, after which run closes the socket.
func (r *reader) fail(why refusal) Reason {
	r.server.stats.refused[why.code].Add(1)
	out := Outbound{Type: TypeError, Code: why.code, Message: why.message, Action: why.action, RetryAfterMS: why.retryMS}
	if r.session != nil && r.session.holds(r.conn) {
		r.session.send(out)
	} else {
		r.conn.enqueue(encode(out), 0)
	}
	r.code, r.text = why.close, string(why.code)
	r.log.Debug("socket refused", "reason", why.code)
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

func badRequest(message string) refusal {
	return refusal{CodeBadRequest, "Bad request: " + message + ".", ActionStop, closeProtocol, 0}
}
