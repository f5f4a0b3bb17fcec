package signaling

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"
)

// What bounds the parts of a room that strangers can fill.
const (
	maxKnocks = 8
	maxGone   = 16 // more than leave at once when a room is ended
)

// entrant is somebody who wants a seat.
type entrant struct {
	seat  Seat   // as it will be, but for what the room decides
	key   []byte // of the room, hashed. Nil: none was given
	make  bool   // the room, if there is none
	knock bool   // at a locked room
	// before is the key of a session whose seat this one takes over.
	before *ticket
	must   bool // take it over: nobody has allowed it anything else
}

// enter gives e a seat, or lets it knock, or says why not. What a wrong key is told is what
// is told where there is no room at all.
func (r *Room) enter(e entrant, capacity int, born string) error {
	returns := r.giveUp(&e)
	switch {
	case e.must && !returns: // it was there a moment ago
		return expired()
	case len(r.Seats) == 0 && !returns:
		if e.key != nil && !e.make {
			return badKey()
		}
		*r = Room{Name: r.Name, Revision: r.Revision, Born: born, Capacity: capacity, Key: e.key, Gone: r.Gone}
	case !returns && !r.opens(e.key):
		return badKey()
	case len(r.Seats) >= r.Capacity:
		return full(r)
	case r.Locked && !returns && !e.knock:
		return &refusal{CodeRoomLocked, "The room is locked. Ask to come in.", ActionStop, closeForbidden, 0}
	case r.Locked && !returns:
		if len(r.Knocks) >= maxKnocks {
			return &refusal{CodeRoomLocked, "Too many people wait to come in. Try again later.", ActionStop, closeForbidden, 0}
		}
		r.Knocks = append(r.Knocks, Knock{ID: e.seat.ID, Name: e.seat.Name, Subject: e.seat.Subject, Guest: e.seat.Guest, Host: e.seat.Host, Node: e.seat.Node})
		return nil
	}
	r.sit(e.seat)
	return nil
}

// giveUp takes the seat of the session that e was before, and reports whether it had one.
func (r *Room) giveUp(e *entrant) bool {
	if e.before == nil {
		return false
	}
	seat := r.Seat(e.before.Session)
	if seat == nil || !seat.Keys.accept(*e.before, "") {
		return false
	}
	if e.must {
		e.seat.Name, e.seat.Host, e.seat.Guest, e.seat.Subject = seat.Name, seat.Host, seat.Guest, seat.Subject
	} else {
		e.seat.Host = e.seat.Host || seat.Host && !e.seat.Guest
	}
	r.leave(e.before.Session, ReasonLeft)
	return true
}

// opens reports whether a key, hashed, opens the room: none opens those that have none.
func (r *Room) opens(key []byte) bool {
	return len(key) == len(r.Key) && subtle.ConstantTimeCompare(key, r.Key) == 1
}

// sit gives a newcomer the last seat. The first of a room is its host, unless a token says
// otherwise.
func (r *Room) sit(seat Seat) {
	r.Arrived++
	seat.Order = r.Arrived
	r.Seats = append(r.Seats, seat)
	r.succeed()
}

// succeed makes the one who has been here longest a host if there is none, before one who is away.
func (r *Room) succeed() {
	var next *Seat
	for i := range r.Seats {
		seat := &r.Seats[i]
		if seat.Host {
			return
		}
		if !seat.Guest && (next == nil || next.Away != "" && seat.Away == "") {
			next = seat
		}
	}
	if next != nil {
		next.Host = true
	}
}

// restore gives a session of an earlier process its seat again. What was locked or keyed is
// so again; nobody who slipped in since shares it.
func (r *Room) restore(t ticket, capacity int) error {
	if len(r.Seats) == 0 {
		*r = Room{Name: r.Name, Revision: r.Revision, Born: t.Born, Capacity: capacity, Key: t.RoomKey, Locked: t.Locked}
	}
	at, taken := slices.BinarySearchFunc(r.Seats, t.Order, func(o Seat, order uint64) int { return cmp.Compare(o.Order, order) })
	closed := len(t.RoomKey) > 0 || t.Locked
	switch {
	case closed && r.Born != t.Born:
		return expired()
	case len(r.Seats) >= r.Capacity, taken:
		return full(r)
	}
	r.Arrived = max(r.Arrived, t.Order)
	r.Seats = slices.Insert(r.Seats, at, Seat{
		ID: t.Session, Name: t.Name, Subject: t.Subject, Order: t.Order, Host: t.Host, Guest: t.Guest,
		Keys: Keys{Generation: t.Generation, Secret: t.Secret}, Restored: true,
	})
	return nil
}

// leave takes a member out, or somebody who knocks, and reports whether it was there.
func (r *Room) leave(id string, reason Reason) bool {
	before := len(r.Seats) + len(r.Knocks)
	r.Seats = slices.DeleteFunc(r.Seats, func(s Seat) bool { return s.ID == id })
	r.Knocks = slices.DeleteFunc(r.Knocks, func(k Knock) bool { return k.ID == id })
	if len(r.Seats)+len(r.Knocks) == before {
		return false
	}
	r.went(id, reason)
	r.succeed()
	if len(r.Seats) == 0 { // nobody is left who could open
		r.end(ReasonEnded)
	}
	return true
}

// end takes everybody out.
func (r *Room) end(reason Reason) {
	for _, s := range r.Seats {
		r.went(s.ID, reason)
	}
	for _, k := range r.Knocks {
		r.went(k.ID, reason)
	}
	r.Seats, r.Knocks = nil, nil
}

func (r *Room) went(id string, reason Reason) {
	r.Gone = append(r.Gone, Departure{id, reason})
	if over := len(r.Gone) - maxGone; over > 0 {
		r.Gone = slices.Delete(r.Gone, 0, over)
	}
}

// why is the reason for which somebody went.
func (r *Room) why(id string) Reason {
	for _, gone := range slices.Backward(r.Gone) {
		if gone.ID == id {
			return gone.Reason
		}
	}
	if len(r.Seats) == 0 {
		return ReasonEnded
	}
	return ReasonLost // it is too long ago
}

// admit lets in somebody who knocks.
func (r *Room) admit(id string) error {
	i := r.knock(id)
	switch {
	case i < 0:
		return notHere()
	case len(r.Seats) >= r.Capacity:
		return full(r)
	}
	k := r.Knocks[i]
	r.Knocks = slices.Delete(r.Knocks, i, i+1)
	r.sit(Seat{ID: k.ID, Name: k.Name, Subject: k.Subject, Host: k.Host, Guest: k.Guest, Node: k.Node, Keys: newKeys()})
	return nil
}

// knock is where somebody stands among those who knock, -1 for one who does not.
func (r *Room) knock(id string) int {
	return slices.IndexFunc(r.Knocks, func(k Knock) bool { return k.ID == id })
}

// part notes that a member has no socket any more.
func (r *Room) part(id, node string, why Reason) bool {
	seat := r.Seat(id)
	if seat == nil || seat.Node != node || seat.Away != "" {
		return false
	}
	seat.Away, seat.Since = why, time.Now().UTC()
	return true
}

func full(r *Room) error {
	return &refusal{CodeRoomFull, fmt.Sprintf("%q holds %d people and all of them are here.", r.Name, r.Capacity), ActionStop, closeForbidden, 0}
}

func badKey() error {
	return &refusal{CodeBadKey, "The key is wrong, or nobody has opened this room yet.", ActionStop, closeForbidden, 0}
}

func notHere() error {
	return &refusal{CodeMemberNotFound, "That member is not in this room.", ActionRetry, 0, 0}
}
