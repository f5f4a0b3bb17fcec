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
