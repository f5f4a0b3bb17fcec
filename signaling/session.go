package signaling

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
)

// session is a member of a room across the sockets through which it is reached, one
// after the other. Its id and name never change; order and room are set once, by
// room.add.
type session struct {
	id    string
	name  string
	order uint64
	room  *room

	// acting is held while a message of the member's takes effect and while its socket
	// changes: nothing that an old socket brought takes effect after a new one took
	// over. It comes before the registry's lock.
	acting sync.Mutex
	heard  uint64 // signals of the member's that took effect

	mu     sync.Mutex // guards what follows, and keeps replay and queue in the same order
	replay replay
	keys   Keys
	conn   *conn // nil while away
	gone   bool  // it has left
	// restored: it was made anew from its key, and nobody has it yet.
	restored bool
	// graceTimer ends a session that stays away; absences tells one time from the next.
	graceTimer *time.Timer
	absences   uint64

	slow *atomic.Uint64 // the server's counter of queues that overflowed
}

func (s *Server) newSession(id, name string, c *conn) *session {
	return &session{id: id, name: name, conn: c, keys: newKeys(), replay: replay{total: &s.replayed}, slow: &s.stats.slow}
}

// newID names a member: 96 random bits, so that ids cannot be guessed across rooms.
func newID() string {
	var b [12]byte
	rand.Read(b[:])
	return "m_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// send stamps out with the session's next seq, queues it, and keeps it until the client
// has it. It never blocks.
func (s *session) send(out Outbound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return
	}
	out.Seq = s.replay.last + 1
	frame := encode(out)
	s.replay.add(frame)
	if s.conn != nil && !s.conn.enqueue(frame, out.Seq) {
		s.slow.Add(1)
	}
}

// holds reports whether c is the session's socket.
func (s *session) holds(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == c
}

// away reports whether the session has no socket.
func (s *session) away() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn == nil
}

// acknowledge forgets what the client is known to have.
func (s *session) acknowledge(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replay.acknowledge(seq)
}

// end forgets everything that is kept for a resume. Nothing is sent to the session
// from now on.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	s.replay.clear()
}

// issue seals the key of the next resume. s.mu must be held, or s known to nobody else.
func (s *session) issue(with sealer, grace time.Duration) *SessionInfo {
	return &SessionInfo{
		ID: s.id, Grace: int(grace / time.Second),
		Key: with.seal(ticket{
			Session: s.id, Room: s.room.name, Name: s.name, Order: s.order,
			Generation: s.keys.Generation, Secret: s.keys.Secret,
		}),
	}
}

// encode writes a message as one frame.
func encode(out Outbound) []byte {
	frame, err := json.Marshal(out)
	if err != nil {
		// Only a RawMessage can make Marshal fail, and Decode has checked those.
		panic("signaling: encoding " + string(out.Type) + ": " + err.Error())
	}
	return frame
}
