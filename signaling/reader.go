package signaling

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"
)

// What one socket may send. A browser that trickles sends some tens of messages for a
// whole call. The bursts fit in a queue (conn.go), so that nobody can fill the
// queue of a member who reads.
const (
	joinTimeout       = 5 * time.Second
	messagesPerSecond = 50
	messageBurst      = 200
	bytesPerSecond    = 256 << 10
	byteBurst         = 512 << 10
)

// reader serves one socket, in the goroutine of its request: it owns everything
// here, and the seat that the socket has in a room.
type reader struct {
	server *Server
	conn   *conn
	log    *slog.Logger

	session *session // nil until joined
	room    *room
	since   time.Time

	code int    // of the close frame, once it is known
	text string // why, for people
}

// run reads until the socket ends. It gives the seat back before it closes the
// socket: who sees the close may join again at once.
func (r *reader) run() {
	r.code = websocket.CloseNormalClosure
	reason := r.read()
	if r.session == nil {
		r.server.joinedOrGone()
	} else {
		if r.conn.wasSlow() {
			reason = ReasonSlow
		}
		r.leave(reason)
	}
	r.conn.close(r.code, r.text)
}

func (r *reader) read() Reason {
	ws := r.conn.ws
	ws.SetReadLimit(MaxMessageBytes)
	_ = ws.SetReadDeadline(time.Now().Add(joinTimeout))
	ws.SetPongHandler(func(string) error {
		if r.session != nil { // a pong does not buy time to join
			r.conn.heard()
		}
		return nil
	})
	messages := rate.NewLimiter(messagesPerSecond, messageBurst)
	bytes := rate.NewLimiter(bytesPerSecond, byteBurst)
	for {
		kind, frame, err := ws.ReadMessage()
		if err != nil {
			return r.ended(err)
		}
		r.server.stats.messages.Add(1)
		now := time.Now()
		if !messages.AllowN(now, 1) || !bytes.AllowN(now, len(frame)) {
			return r.fail(refusal{CodeRateLimited, fmt.Sprintf("More than %d messages or %d KiB a second.", messagesPerSecond, bytesPerSecond>>10), ActionRejoin, closeRateLimited})
		}
		if kind != websocket.TextMessage {
			return r.fail(badRequest("messages are text frames"))
		}
		in, err := Decode(frame)
		switch {
		case errors.Is(err, errUnknownType) && r.session != nil:
			r.tell(CodeUnknownType, "This server does not know that type of message.")
		case errors.Is(err, errUnknownType):
			return r.fail(badRequest("the first message must be join"))
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
	if (in.Type == TypeJoin) == (r.session != nil) {
		if r.session != nil {
			return r.fail(badRequest("this socket has joined already")), true
		}
		return r.fail(badRequest("the first message must be join")), true
	}
	switch in.Type {
	case TypeJoin:
		return ReasonError, !r.join(in)
	case TypeSignal:
		r.signal(in)
	case TypeICE:
		ice := r.server.opts.ICEServers(r.session.id)
		r.session.send(Outbound{Type: TypeICE, ICE: &ice})
	case TypePing:
		r.conn.enqueue(encode(Outbound{Type: TypePong}))
	case TypeLeave:
		return ReasonLeft, true
	}
	return "", false
}

// join seats the socket's member and tells it, then everyone else in the room.
func (r *reader) join(in Inbound) bool {
	s := newSession(in.Name, r.conn, &r.server.stats.slow)
	ice := r.server.opts.ICEServers(s.id)
	var refused *refusal
	if r.server.isClosed() {
		refused = &refusal{CodeUnavailable, "The server is restarting.", ActionRejoin, websocket.CloseServiceRestart}
	} else {
		refused = r.server.registry.join(in.Room, s, func(rm *room) {
			others := rm.others(s)
			members := make([]Member, len(others))
			for i, o := range others {
				members[i] = view(s, o)
			}
			s.send(Outbound{
				Type: TypeJoined, Self: &Self{ID: s.id, Name: s.name},
				Room: &RoomInfo{Name: rm.name, Capacity: rm.capacity}, Members: &members, ICE: &ice,
				Limits: &Limits{MessageBytes: MaxMessageBytes, QueueMessages: queueMessages, QueueBytes: queueBytes},
			})
			for _, o := range others {
				seen := view(o, s)
				o.send(Outbound{Type: TypeMember, Event: EventJoined, Member: &seen})
			}
			r.room = rm
		})
	}
	if refused != nil {
		r.fail(*refused)
		return false
	}
	r.session, r.since = s, time.Now()
	r.log = r.log.With("member", s.id)
	r.server.joinedOrGone()
	r.server.stats.joins.Add(1)
	r.log.Info("member joined")
	return true
}

// signal passes a signal on, unread, to a member of the same room.
func (r *reader) signal(in Inbound) {
	r.room.mu.Lock()
	to := r.room.find(in.To)
	r.room.mu.Unlock()
	if to == nil || to == r.session {
		r.tell(CodeMemberNotFound, "That member is not in this room.")
		return
	}
	r.server.stats.signals.Add(1)
	to.send(Outbound{Type: TypeSignal, From: r.session.id, Description: in.Description, Candidates: in.Candidates})
}

// leave gives the seat back and tells the others, unless all are being sent away.
func (r *reader) leave(reason Reason) {
	s := r.session
	r.server.registry.leave(r.room, s, func() {
		if r.server.isDraining() {
			return
		}
		for _, o := range r.room.members {
			seen := view(o, s)
			o.send(Outbound{Type: TypeMember, Event: EventLeft, Member: &seen, Reason: reason})
		}
	})
	r.server.left.tell(s.id, reason)
	r.log.Info("member left", "reason", reason, "duration", time.Since(r.since).Round(time.Millisecond).String())
}

// tell sends an error that leaves the socket open.
func (r *reader) tell(code Code, message string) {
	r.server.stats.refused[code].Add(1)
	r.session.send(Outbound{Type: TypeError, Code: code, Message: message, Action: ActionRetry})
}

// fail sends an error, after which run closes the socket.
func (r *reader) fail(why refusal) Reason {
	r.server.stats.refused[why.code].Add(1)
	out := Outbound{Type: TypeError, Code: why.code, Message: why.message, Action: why.action}
	if r.session != nil {
		r.session.send(out)
	} else {
		r.conn.enqueue(encode(out))
	}
	r.code, r.text = why.close, string(why.code)
	r.log.Debug("socket refused", "reason", why.code)
	return ReasonError
}

// ended says why the socket ended.
func (r *reader) ended(err error) Reason {
	timeout, ok := errors.AsType[net.Error](err)
	switch {
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
	return refusal{CodeBadRequest, "Bad request: " + message + ".", ActionStop, closeProtocol}
}
