package signaling

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// What bounds the question whether somebody may join.
const (
	// authorizeTimeout is how long it may take to answer it.
	authorizeTimeout = 6 * time.Second
	// maxAuthorizing is how many may wait for the answer at once.
	maxAuthorizing = 64
	// maxExtraICE bounds Grant.ICEServers.
	maxExtraICE = 4
)

// JoinRequest is what is known of somebody who wants to join a room.
type JoinRequest struct {
	Room, Name string // cleaned
	// Token is what the client has brought, up to MaxTokenBytes. It must never be logged.
	Token string
	// Client is the address that it comes from, invalid if that is not known.
	Client netip.Addr
}

// Role is what a member is from the beginning.
type Role string

// The roles of a grant.
const (
	RoleNone  Role = ""      // the first of a room is its host, as if nobody had been asked
	RoleHost  Role = "host"  // it is a host, whoever else is
	RoleGuest Role = "guest" // it never becomes one
)

// Grant is on what terms somebody may join.
type Grant struct {
	// Name replaces the one that the client has given. Empty: that one holds.
	Name string
	Role Role
	// Subject is who the member is for those who let it in. It is told to Options.Events
	// and to no member.
	Subject string
	// ICEServers are handed out beside our own, the first maxExtraICE of them.
	ICEServers []ICEServer
}

// Denied is the error of an Options.Authorize that does not let somebody in.
type Denied struct {
	// Code is CodeUnauthenticated or CodeForbidden.
	Code Code
	// Message is for the person who is not let in.
	Message string
}

func (d *Denied) Error() string { return string(d.Code) + ": " + d.Message }

// authorizer asks Options.Authorize, of a bounded number of people at once.
type authorizer struct {
	ask   func(context.Context, JoinRequest) (Grant, error) // nil: everybody may join
	slots chan struct{}
	ctx   context.Context // ends with the last moment in which anybody may join
	end   context.CancelFunc
}

// terms are those on which somebody joins.
type terms struct {
	Grant
	// returns: it has not been asked, because it has the key of a seat, which it must take over.
	returns bool
}

func newAuthorizer(ctx context.Context, ask func(context.Context, JoinRequest) (Grant, error)) *authorizer {
	a := &authorizer{ask: ask, slots: make(chan struct{}, maxAuthorizing)}
	a.ctx, a.end = context.WithCancel(ctx)
	return a
}

// authorize says on what terms the sender of a join may do so. It may take authorizeTimeout. Whoever
// brings the key of a seat that is still there was let in when it got that seat.
func (s *Server) authorize(in Inbound, client netip.Addr) (terms, *refusal) {
	a := s.authorizer
	switch {
	case s.isClosed():
		return terms{}, restarting()
	case a.ask == nil:
		return terms{}, nil
	}
	if t, _ := s.former(in); t != nil && s.opens(t) {
		return terms{Grant{ICEServers: t.Extra}, true}, nil
	}
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		return terms{}, unknown("Too many people want to join at once.")
	}
	ctx, cancel := context.WithTimeout(a.ctx, authorizeTimeout)
	defer cancel()
	grant, err := a.ask(ctx, JoinRequest{Room: in.Room, Name: in.Name, Token: in.Token, Client: client})
	if denied, ok := errors.AsType[*Denied](err); ok {
		return terms{}, denied.refusal()
	}
	switch {
	case err != nil && s.isDraining():
		return terms{}, restarting()
	case err != nil:
		return terms{}, unknown("The server cannot find out right now whether you may join.")
	}
	grant.Name = truncate(CleanName(grant.Name), MaxNameRunes)
	grant.ICEServers = slices.Clone(grant.ICEServers[:min(len(grant.ICEServers), maxExtraICE)])
	return terms{Grant: grant}, nil
}

// opens reports whether the ticket still opens a seat of its room.
func (s *Server) opens(t *ticket) bool {
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	room, err := s.store.Room(ctx, t.Room)
	seat := room.Seat(t.Session)
	return err == nil && seat != nil && seat.Keys.accept(*t, "") // of a copy: the key is not used up
}

func (d *Denied) refusal() *refusal {
	if d.Code == CodeUnauthenticated {
		return &refusal{d.Code, d.Message, ActionStop, closeUnauthenticated, 0}
	}
	return &refusal{CodeForbidden, d.Message, ActionStop, closeForbidden, 0}
}

// unknown is what those are told of whom it is not known whether they may join: never that they may.
func unknown(why string) *refusal {
	return &refusal{CodeUnavailable, why + " Try again in a moment.", ActionRejoin, closeTryAgain, unavailableRetry.Milliseconds()}
}

// ice is what a member is told to reach others by: our servers, and those of its grant.
func (s *Server) ice(m *session) ICE {
	ice := s.mint(m)
	ice.Servers = slices.Concat(ice.Servers, m.extra)
	if ice.Servers == nil {
		ice.Servers = []ICEServer{}
	}
	return ice
}
