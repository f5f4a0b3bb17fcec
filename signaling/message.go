package signaling

import (
	"encoding/json"
	"time"
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
