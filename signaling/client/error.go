package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/signaling"
)

// What ends a session, or keeps a message from being sent.
var (
	// ErrLeft is the end by Leave or Close.
	ErrLeft = errors.New("the session was left")
	// ErrAway: the connection is lost, and what was asked makes sense only now.
	ErrAway = errors.New("there is no connection now")
)

// Error is why the server has ended a session, or let nobody in. Errors of one code are equal for
// errors.Is: errors.Is(err, &client.Error{Code: signaling.CodeRoomFull}).
type Error struct {
	// Code is the server's, or one of those below.
	Code signaling.Code
	// Message is for people.
	Message string
	// Close is the code of the close frame, 0 without one.
	Close int
	// Action is what the server advises. This package has followed it.
	Action signaling.Action

	retry time.Duration
	cause error
}

// Codes that are not in the server's errors: what a close frame or a failed connection says.
const (
	CodeKicked      signaling.Code = "kicked"
	CodeEnded       signaling.Code = "ended"
	CodeReplaced    signaling.Code = "replaced" // another socket has resumed the session
	CodeUnreachable signaling.Code = "unreachable"
)

func (e *Error) Error() string {
	text := string(e.Code)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.cause != nil {
		text += fmt.Sprintf(" (%v)", e.cause)
	}
	return text
}

// Is reports whether target is an Error of the same code.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

func (e *Error) Unwrap() error { return e.cause }

// endings are close codes after which nobody comes back by itself.
var endings = map[int]signaling.Code{4404: CodeEnded, 4409: CodeReplaced, 4460: CodeKicked}

// why says why a socket is over: in the server's words, if it gave any.
func why(err error, failure *signaling.Outbound, goaway *signaling.Outbound) *Error {
	var closed *websocket.CloseError
	code := 0
	if errors.As(err, &closed) {
		code = closed.Code
	}
	switch ending, ends := endings[code]; {
	case failure != nil:
		return &Error{Code: failure.Code, Message: failure.Message, Close: code, Action: failure.Action, retry: time.Duration(failure.RetryAfterMS) * time.Millisecond}
	case ends:
		return &Error{Code: ending, Close: code, Action: signaling.ActionStop}
	case goaway != nil && goaway.Reason == signaling.ReasonDrain:
		return &Error{Code: signaling.CodeUnavailable, Close: code, Action: signaling.ActionRejoin, retry: time.Duration(goaway.ReconnectInMS) * time.Millisecond}
	case goaway != nil: // the close frame was lost
		return &Error{Code: signaling.Code(goaway.Reason), Action: signaling.ActionStop}
	}
	return &Error{Code: CodeUnreachable, Close: code, Action: signaling.ActionRejoin, cause: err}
}
