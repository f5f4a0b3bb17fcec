package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// event is what a frame from the server means to a member.
type event int

const (
	nothing event = iota
	joined        // it is in the room
	ready         // the other is in it, too
	offered       // the other's offer has come
	refused       // it may not, and is told so
	pinged        // the server asks whether it is there
)

// dialect is a protocol over WebSocket.
type dialect interface {
	// path and subprotocol are what is dialed.
	path() (path, subprotocol string)
	// greet is what a member says once the WebSocket is open.
	greet(m *member) string
	// hear reads a frame. It notes in m whom it speaks to, once the other is in the room, and returns
	// what is to be answered, if anything is.
	hear(m *member, frame []byte) (e event, answer string)
	// leave is what a member says that does not come back.
	leave() string
	// offer is a frame with a description for the other member.
	offer(m *member, description string) []byte
}

// duet is the protocol duet.v1 (docs/protocol.md).
type duet struct{}

func (duet) path() (path, subprotocol string) { return "/v1/ws", "duet.v1" }

func (duet) greet(m *member) string {
	return fmt.Sprintf(`{"type":"join","room":%q,"name":"Ann"}`, m.room)
}

func (duet) hear(m *member, frame []byte) (e event, answer string) {
	switch {
	case bytes.HasPrefix(frame, []byte(`{"type":"signal"`)):
		return offered, ""
	case bytes.HasPrefix(frame, []byte(`{"type":"joined"`)), bytes.HasPrefix(frame, []byte(`{"type":"member"`)):
		var in struct {
			Type, Event string
			Members     []struct{ ID string }
			Member      struct{ ID string }
		}
		if json.Unmarshal(frame, &in) != nil {
			return nothing, ""
		}
		if in.Type == "joined" {
			if len(in.Members) > 0 {
				m.other = in.Members[0].ID
			}
			return joined, ""
		}
		if in.Event == "joined" {
			m.other = in.Member.ID
			return ready, ""
		}
	case bytes.HasPrefix(frame, []byte(`{"type":"error"`)):
		return refused, ""
	}
	return nothing, ""
}

func (duet) leave() string { return `{"type":"leave"}` }

func (duet) offer(m *member, description string) []byte {
	return fmt.Appendf(nil, `{"type":"signal","to":%q,"description":%s}`, m.other, description)
}

// socketIO is Socket.IO's protocol 5 over Engine.IO's protocol 4, as far as the server of
// the tutorials uses it: a packet is a text frame that begins with its type, 0 open, 2 ping, 3 pong, 4 message,
// and a message with its own, 0 connect, 2 event.
type socketIO struct{}

func (socketIO) path() (path, subprotocol string) { return "/socket.io/?EIO=4&transport=websocket", "" }

func (socketIO) greet(*member) string { return "40" }

func (socketIO) hear(m *member, frame []byte) (e event, answer string) {
	switch {
	case bytes.HasPrefix(frame, []byte(`42["offer"`)):
		return offered, ""
	case string(frame) == "2":
		return pinged, "3"
	case bytes.HasPrefix(frame, []byte("40")): // connected, before which it may say nothing
		return nothing, fmt.Sprintf(`42["join",%q]`, m.room)
	case bytes.HasPrefix(frame, []byte(`42["joined"`)):
		if bytes.HasSuffix(frame, []byte(",2]")) {
			m.other = m.room
		}
		return joined, ""
	case bytes.HasPrefix(frame, []byte(`42["ready"`)):
		m.other = m.room
		return ready, ""
	case bytes.HasPrefix(frame, []byte("44")): // refused by the server
		return refused, ""
	}
	return nothing, ""
}

func (socketIO) leave() string { return "41" }

func (socketIO) offer(m *member, description string) []byte {
	return fmt.Appendf(nil, `42["offer",%q,%s]`, m.room, description)
}
