package signaling

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Protocol is the WebSocket subprotocol that this package speaks.
const Protocol = "duet.v1"

// MaxMessageBytes is the longest message that a member may send.
const MaxMessageBytes = 64 << 10

// MaxNameRunes bounds room and member names after cleaning.
const MaxNameRunes = 64

// maxCandidates bounds the candidates in one signal. Browsers trickle a few at a
// time; the message size would otherwise allow thousands of empty objects.
const maxCandidates = 256

// maxAttempt bounds "attempt" of a resume, in bytes.
const maxAttempt = 64

// maxKey bounds the key of a room, in bytes.
const maxKey = 256

// MaxTokenBytes bounds the token of a join.
const MaxTokenBytes = 8 << 10

// maxReturn bounds how long a seat is kept for one who has left and may come back.
const maxReturn = 10 * time.Second

// maxSeq is the largest seq that every client can count to (2⁵³-1).
const maxSeq = 1<<53 - 1

// Type names a message of the protocol.
type Type string

// The messages of duet.v1, as docs/protocol.md describes them.
const (
	TypeJoin    Type = "join"
	TypeJoined  Type = "joined"
	TypeResume  Type = "resume"
	TypeResumed Type = "resumed"
	TypeResync  Type = "resync"
	TypeSignal  Type = "signal"
	TypeMember  Type = "member"
	TypeICE     Type = "ice"
	TypeLeave   Type = "leave"
	TypeGoaway  Type = "goaway"
	TypeError   Type = "error"
	TypePing    Type = "ping"
	TypePong    Type = "pong"

	TypeLock     Type = "lock"
	TypeKick     Type = "kick"
	TypeEnd      Type = "end"
	TypeAdmit    Type = "admit"
	TypeRefuse   Type = "refuse"
	TypeRoom     Type = "room"
	TypeKnock    Type = "knock"
	TypeKnocking Type = "knocking"
)

// ICEServer is one RTCIceServer (WebRTC 1.0 section 4.2.4).
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// ICE is what a member needs to build its RTCConfiguration.
type ICE struct {
	Servers []ICEServer `json:"servers"`
	// Expires is when the credentials stop opening new allocations.
	Expires time.Time `json:"expires,omitzero"`
}

// Self is the receiver itself, as the server names it.
type Self struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Host: it may lock, kick and end.
	Host bool `json:"host,omitempty"`
}

// Member is another member of the receiver's room.
type Member struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Polite is this member's role in its pair with the receiver, who has the
	// opposite one. Whoever came first is impolite, and calls.
	Polite bool `json:"polite"`
	// Away: its socket is lost, and its seat is kept for the grace time.
	Away bool `json:"away,omitempty"`
	Host bool `json:"host,omitempty"`
}

// Knocker is somebody who waits to be let in.
type Knocker struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// SessionInfo is what a client needs to resume.
type SessionInfo struct {
	ID string `json:"id"`
	// Key is good for one resume.
	Key string `json:"key"`
	// Grace is how many seconds the seat is kept.
	Grace int `json:"grace"`
}

// RoomInfo is what a member may know about its room.
type RoomInfo struct {
	Name     string `json:"name"`
	Capacity int    `json:"capacity"`
	// Locked: nobody gets in whom no member admits.
	Locked bool      `json:"locked,omitempty"`
	Knocks []Knocker `json:"knocks,omitempty"`
}

// Limits are the bounds that a client does well to keep.
type Limits struct {
	MessageBytes  int `json:"message_bytes"`
	QueueMessages int `json:"queue_messages"`
	QueueBytes    int `json:"queue_bytes"`
}

// Inbound is a message from a member, checked. Only the fields of its type are set.
type Inbound struct {
	Type Type

	// join
	Room, Name, Token  string
	Create, Knock      bool
	OldSession, OldKey string

	// join, of the room; resume, of the session
	Key string

	// resume
	Session, Attempt string
	Seq              uint64

	// leave: how long the seat is kept for a page that is loaded again
	Return time.Duration

	// lock
	Locked bool

	// admit, refuse: who knocks
	ID string

	// kick, and signal. Description and Candidates are passed on as they came: the server
	// checks that they are an object and an array of objects and nulls, and
	// reads no further. They may refer to the frame that they came in.
	To          string
	Description json.RawMessage
	Candidates  json.RawMessage
}

// Event is what happened to a member, for TypeMember.
type Event string

// The events of a member.
const (
	EventJoined Event = "joined"
	EventLeft   Event = "left"
	EventAway   Event = "away"
	EventBack   Event = "back"
	EventHost   Event = "host"  // it is a host now
	EventAsked  Event = "asked" // of a knock
	EventGone   Event = "gone"  // of a knock: admitted, refused, or it went away
)

// Reason is why a member left or a socket was closed.
type Reason string

// The reasons of a leave.
const (
	ReasonLeft  Reason = "left"
	ReasonLost  Reason = "lost"
	ReasonSlow  Reason = "slow"
	ReasonError Reason = "error"
	ReasonDrain Reason = "drain" // of a goaway

	ReasonKicked  Reason = "kicked"
	ReasonEnded   Reason = "ended"
	ReasonRefused Reason = "refused" // of a knock

	// reasonMoved: another node has the session.
	reasonMoved Reason = "moved"
)

// Code says what an error message is about.
type Code string

// The error codes of duet.v1 that this server gives.
const (
	CodeBadRequest      Code = "bad_request"
	CodeUnknownType     Code = "unknown_type"
	CodeMemberNotFound  Code = "member_not_found"
	CodeRateLimited     Code = "rate_limited"
	CodeRoomFull        Code = "room_full"
	CodeRoomLocked      Code = "room_locked"
	CodeBadKey          Code = "bad_key"
	CodeUnauthenticated Code = "unauthenticated"
	CodeForbidden       Code = "forbidden"
	CodeSessionExpired  Code = "session_expired"
	CodeCapacity        Code = "capacity"
	CodeUnavailable     Code = "unavailable"
	CodeInternal        Code = "internal"
)

// Action is what a client should do after an error.
type Action string

// The actions of an error message.
const (
	ActionStop   Action = "stop"
	ActionRejoin Action = "rejoin"
	ActionRetry  Action = "retry"
)

// Outbound is a message to a member. Seq is stamped when it is queued.
type Outbound struct {
	Type Type   `json:"type"`
	Seq  uint64 `json:"seq,omitempty"`

	// joined, resumed, room
	Self    *Self        `json:"self,omitempty"`
	Room    *RoomInfo    `json:"room,omitempty"`
	Members *[]Member    `json:"members,omitempty"`
	Limits  *Limits      `json:"limits,omitempty"`
	Session *SessionInfo `json:"session,omitempty"`

	// resumed
	Lost     *bool `json:"lost,omitempty"`
	Restored bool  `json:"restored,omitempty"`

	// resumed, pong: how many of the session's signals have been heard.
	Heard *uint64 `json:"heard,omitempty"`

	// resync
	With    string `json:"with,omitempty"`
	Offerer string `json:"offerer,omitempty"`

	// joined, resumed, ice
	ICE *ICE `json:"ice,omitempty"`

	// member, knock
	Event  Event    `json:"event,omitempty"`
	Member *Member  `json:"member,omitempty"`
	Knock  *Knocker `json:"knock,omitempty"`

	// member, goaway
	Reason Reason `json:"reason,omitempty"`

	// signal
	From        string          `json:"from,omitempty"`
	Description json.RawMessage `json:"description,omitempty"`
	Candidates  json.RawMessage `json:"candidates,omitempty"`

	// goaway
	ReconnectInMS int64 `json:"reconnect_in_ms,omitempty"`

	// error
	Code         Code   `json:"code,omitempty"`
	Message      string `json:"message,omitempty"`
	Action       Action `json:"action,omitempty"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// errUnknownType is returned by Decode for a well-formed message of a type that
// this server does not know. It does not end the socket.
var errUnknownType = errors.New("unknown type")

// Decode reads one text frame. Its errors are written for the person at the other
// end and never quote what came in.
func Decode(frame []byte) (Inbound, error) {
	if len(frame) > MaxMessageBytes {
		return Inbound{}, fmt.Errorf("the message is longer than %d bytes", MaxMessageBytes)
	}
	if !utf8.Valid(frame) {
		return Inbound{}, errors.New("the message is not UTF-8")
	}
	if in, ok := decodeSignal(frame); ok {
		return in, nil
	}
	return decodeAny(frame)
}

// decodeAny reads any message.
func decodeAny(frame []byte) (Inbound, error) {
	var wire struct {
		Type        string          `json:"type"`
		Room        string          `json:"room"`
		Create      bool            `json:"create"`
		Knock       bool            `json:"knock"`
		OldSession  string          `json:"old_session"`
		OldKey      string          `json:"old_key"`
		Token       string          `json:"token"`
		Locked      *bool           `json:"locked"`
		ID          string          `json:"id"`
		Session     string          `json:"session"`
		Key         string          `json:"key"`
		Attempt     string          `json:"attempt"`
		ReturnMS    int64           `json:"return_ms"`
		Seq         uint64          `json:"seq"`
		Name        string          `json:"name"`
		To          string          `json:"to"`
		Description json.RawMessage `json:"description"`
		Candidates  json.RawMessage `json:"candidates"`
	}
	if err := json.Unmarshal(frame, &wire); err != nil {
		return Inbound{}, describe(err)
	}
	if t := bytes.TrimLeft(frame, " \t\r\n"); t[0] != '{' { // null and nothing else gets here
		return Inbound{}, errors.New("the message is not a JSON object")
	}
	in := Inbound{Type: Type(wire.Type)}
	switch in.Type {
	case TypeJoin:
		in.Room, in.Name = CleanName(wire.Room), truncate(CleanName(wire.Name), MaxNameRunes)
		in.Key, in.Create, in.Knock = wire.Key, wire.Create, wire.Knock
		in.OldSession, in.OldKey, in.Token = wire.OldSession, wire.OldKey, wire.Token
		return in, in.checkJoin()
	case TypeResume:
		in.Session, in.Key, in.Attempt, in.Seq = wire.Session, wire.Key, wire.Attempt, wire.Seq
		return in, in.checkResume()
	case TypeSignal:
		in.To, in.Description, in.Candidates = wire.To, wire.Description, wire.Candidates
		return in, in.checkSignal()
	case TypeLock:
		if wire.Locked == nil {
			return Inbound{}, errors.New(`lock needs "locked"`)
		}
		in.Locked = *wire.Locked
	case TypeKick:
		if in.To = wire.To; in.To == "" {
			return Inbound{}, errors.New(`kick needs "to"`)
		}
	case TypeAdmit, TypeRefuse:
		if in.ID = wire.ID; in.ID == "" {
			return Inbound{}, fmt.Errorf(`%s needs "id"`, in.Type)
		}
	case TypeLeave:
		in.Return = time.Duration(min(max(0, wire.ReturnMS), maxReturn.Milliseconds())) * time.Millisecond
	case TypeICE, TypePing, TypePong, TypeEnd:
	case "":
		return Inbound{}, errors.New(`the message has no "type"`)
	default:
		return Inbound{}, errUnknownType
	}
	return in, nil
}

// checkJoin checks what a member calls the room and itself, and the sizes of the room's key and
// of the token.
func (in *Inbound) checkJoin() error {
	switch {
	case in.Room == "":
		return errors.New("join needs a room: 1 to 64 visible characters")
	case utf8.RuneCountInString(in.Room) > MaxNameRunes:
		return fmt.Errorf("the room's name is longer than %d characters", MaxNameRunes)
	case len(in.Key) > maxKey:
		return fmt.Errorf("the key is longer than %d bytes", maxKey)
	case len(in.Token) > MaxTokenBytes:
		return fmt.Errorf("the token is longer than %d bytes", MaxTokenBytes)
	}
	return nil
}

// checkResume checks sizes; what the key says is for the server that made it.
func (in *Inbound) checkResume() error {
	switch {
	case in.Session == "" || in.Key == "":
		return errors.New("resume needs a session and its key")
	case len(in.Attempt) > maxAttempt:
		return fmt.Errorf("attempt is longer than %d bytes", maxAttempt)
	case in.Seq > maxSeq:
		return errors.New("seq is out of range")
	}
	return nil
}

// checkSignal checks the shape of a signal, not what is in it.
func (in *Inbound) checkSignal() error {
	if in.To == "" {
		return errors.New(`signal needs "to"`)
	}
	if string(in.Description) == "null" {
		in.Description = nil
	}
	if string(in.Candidates) == "null" {
		in.Candidates = nil
	}
	if in.Description == nil && in.Candidates == nil {
		return errors.New("signal needs a description or candidates")
	}
	if in.Description != nil && in.Description[0] != '{' {
		return errors.New("description is not an object")
	}
	if in.Candidates == nil {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(in.Candidates, &list); err != nil {
		return errors.New("candidates is not an array")
	}
	if len(list) > maxCandidates {
		return fmt.Errorf("more than %d candidates in one signal", maxCandidates)
	}
	for _, c := range list {
		if c[0] != '{' && string(c) != "null" {
			return errors.New("a candidate is neither an object nor null")
		}
	}
	return nil
}

// describe turns an error of encoding/json into words that quote no input.
func describe(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return fmt.Errorf("%q has the wrong type: %s instead of %s", wrong.Field, wrong.Value, wrong.Type)
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return errors.New("the message is not a JSON object")
	}
	return errors.New("the message is not JSON")
}

// CleanName removes control and bidirectional-override characters, which could make
// one name look like another, and the white space around a name.
func CleanName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	return strings.TrimSpace(clean)
}

// truncate cuts s to at most n runes.
func truncate(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
