// Package client is a member of a room in Go: for bots, gateways, load and tests.
//
// It speaks duet.v1 (docs/protocol.md) and knows nothing of media: what signals carry is its user's. A
// lost connection is its own business: it resumes the session, and what was said meanwhile in either
// direction arrives once and in order.
//
// Join starts a session, and one goroutine that ends with it: call Leave or Close, and read on with Next until it
// fails. Everything here is safe for concurrent use.
package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/duetcall/duet/signaling"
)

// maxWaiting is how many of the server's messages wait for Next. Who does not read on is a slow
// reader, for the server, too: it loses its socket in the end, and later resumes.
const maxWaiting = 256

// Options say who joins what.
type Options struct {
	// Room is its name, 1 to 64 characters.
	Room string
	// Name is what others call this member. It may be empty.
	Name string
	// Key opens the room. With Create, a new room gets it.
	Key    string
	Create bool
	// Knock waits, where the room is locked, until somebody inside opens.
	Knock bool
	// Token lets in where the server asks for one.
	Token string
	// Header goes with each handshake.
	Header http.Header
	// TLS is for wss URLs. Nil: the system's certificates.
	TLS *tls.Config
	// Dial opens TCP connections. Nil: as net.Dialer does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Session is a member of a room, over all the sockets that it has, one after the other. A member who comes back too
// late is a new one: Next returns another joined then.
type Session struct {
	url    string
	opts   Options
	events chan signaling.Outbound
	end    context.CancelFunc
	done   chan struct{} // closed when run has returned; then err says why
	err    error

	mu      sync.Mutex // guards what the server has said
	self    signaling.Self
	room    signaling.RoomInfo
	members []signaling.Member
	ice     signaling.ICE

	out link
}

// Join joins a room at the "ws" or "wss" URL of a server's /v1/ws, and returns once the member has a seat. ctx bounds the
// joining alone. Where a server cannot be reached, or says to try again, that is done a few times.
// Refusals are of type *Error.
func Join(ctx context.Context, address string, opts Options) (*Session, error) {
	if u, err := url.Parse(address); err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a WebSocket such as wss://call.example.org/v1/ws", address)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s := &Session{
		url: address, opts: opts, end: end,
		events: make(chan signaling.Outbound, maxWaiting), done: make(chan struct{}),
	}
	s.out.space = make(chan struct{}, 1)
	joined := make(chan struct{})
	go s.run(life, joined)
	select {
	case <-joined:
		return s, nil
	case <-s.done:
		return nil, s.err
	case <-ctx.Done():
		end()
		<-s.done
		return nil, fmt.Errorf("joining %q: %w", opts.Room, ctx.Err())
	}
}

// Self is this member, as the server names it.
func (s *Session) Self() signaling.Self {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.self
}

// Room is what this member may know of its room.
func (s *Session) Room() signaling.RoomInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.room
	room.Knocks = slices.Clone(room.Knocks)
	return room
}

// Members are the others in the room, in the order in which they came.
func (s *Session) Members() []signaling.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.members)
}

// ICE is the way to the relay, with the newest credentials.
func (s *Session) ICE() signaling.ICE {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ice
}

// Next returns the next message, in the server's order: member, signal, room, knock, ice and resync as they come; error where
// the server refuses what was asked; resumed after an interruption; joined when the session was over and this is a new
// member. What Self, Members and the like return is then at least as new. When there are no more,
// the error says why: ErrLeft after Leave or Close, else an *Error.
func (s *Session) Next(ctx context.Context) (signaling.Outbound, error) {
	select {
	case event, open := <-s.events:
		if !open {
			return signaling.Outbound{}, s.err
		}
		return event, nil
	case <-ctx.Done():
		return signaling.Outbound{}, ctx.Err()
	}
}

// Signal sends a description, candidates or both to another member: an RTCSessionDescriptionInit and
// RTCIceCandidateInits (nil: there are no more), or what marshals to such. It waits while 256 signals or 1 MiB of them have not been
// heard; while the connection is lost they are kept. An error that says otherwise is ctx's, or that of the end.
func (s *Session) Signal(ctx context.Context, to string, description any, candidates ...any) error {
	fields := map[string]any{"type": signaling.TypeSignal, "to": to}
	if description != nil {
		fields["description"] = description
	}
	if len(candidates) > 0 {
		fields["candidates"] = candidates
	}
	frame, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("encoding a signal: %w", err)
	}
	if len(frame) > signaling.MaxMessageBytes {
		return fmt.Errorf("a signal of %d bytes is longer than %d", len(frame), signaling.MaxMessageBytes)
	}
	for {
		select {
		case <-s.done:
			return s.err
		default:
		}
		if s.out.signal(frame) {
			return nil
		}
		select {
		case <-s.out.space:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return s.err
		}
	}
}

// Lock locks the room, or opens it again. Like the following it is for hosts, fails with ErrAway while the connection is
// lost, and what the server says to it comes by Next.
func (s *Session) Lock(locked bool) error {
	return s.out.ask(map[string]any{"type": signaling.TypeLock, "locked": locked})
}

// Kick puts a member out.
func (s *Session) Kick(member string) error {
	return s.out.ask(map[string]any{"type": signaling.TypeKick, "to": member})
}

// End ends the room for everybody in it.
func (s *Session) End() error { return s.out.ask(map[string]any{"type": signaling.TypeEnd}) }

// Admit lets in somebody who knocks. Every member may.
func (s *Session) Admit(id string) error {
	return s.out.ask(map[string]any{"type": signaling.TypeAdmit, "id": id})
}

// Refuse sends away somebody who knocks. Every member may.
func (s *Session) Refuse(id string) error {
	return s.out.ask(map[string]any{"type": signaling.TypeRefuse, "id": id})
}

// RenewICE asks for new credentials, which come by Next. The server sends them by itself before they
// expire.
func (s *Session) RenewICE() error { return s.out.ask(map[string]any{"type": signaling.TypeICE}) }

// Leave gives the seat back and returns when the session is over, or with ctx's error: then it is, too, and
// the seat is kept for the grace time.
func (s *Session) Leave(ctx context.Context) error {
	err := s.out.leave()
	if err == nil {
		select {
		case <-s.done:
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.Close()
	if errors.Is(err, ErrAway) { // nobody is there to be told
		return nil
	}
	return err
}

// Close ends the session without a word: the seat is kept for the grace time, as after a lost connection.
func (s *Session) Close() {
	s.end()
	<-s.done
}
