package signaling

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// session is a member of a room across the sockets through which it is reached, one
// after the other. Its id and view never change.
type session struct {
	id   string
	view *view
	// extra are the ICE servers of its grant, beside our own. Nobody changes them.
	extra []ICEServer

	// acting is held while a message of the member's takes effect and while its socket
	// changes: nothing that an old socket brought takes effect after a new one took
	// over. It comes before all other locks, and is held during what the store does.
	acting sync.Mutex
	heard  uint64 // signals of the member's that took effect
	// returns is how long a seat is kept for one who has said that it leaves.
	returns time.Duration

	// Guarded by view.mu.
	since   uint64        // revision of the room in which it got its seat; 0: not yet
	told    bool          // that it has a seat: from then on it hears what changes
	welcome *ICE          // what a newcomer is told with joined; nil for one that resumes
	ready   chan struct{} // closed once told; nil for a newcomer, who is told with the room

	mu     sync.Mutex // guards what follows, and keeps replay and queue in the same order
	replay replay
	conn   *conn     // nil while away
	waits  bool      // it knocks
	fresh  freshness // of what it was told last of the relay
	gone   bool      // it has left
	// anew: it was made from its key, and nobody knows what it has heard.
	anew bool
	// graceTimer ends a session that stays away; absences tells one time from the next.
	graceTimer *time.Timer
	absences   uint64

	slow *atomic.Uint64 // the server's counter of queues that overflowed
}

func (s *Server) newSession(id string) *session {
	return &session{id: id, replay: replay{total: &s.replayed}, slow: &s.stats.slow}
}

// newID names a member: 96 random bits, so that ids cannot be guessed across rooms.
func newID() string { return "m_" + random(12) }

// random returns that many random bytes in text that fits anywhere.
func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// send stamps out with the session's next seq, queues it, and keeps it until the client
// has it. It never blocks, and reports false if the session is over.
func (m *session) send(out *Outbound) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return false
	}
	out.Seq = m.replay.last + 1
	frame := encode(out)
	if out.Type == TypeJoined {
		m.replay.last++ // nobody resumes without it: the key is in it
	} else {
		m.replay.add(frame)
	}
	if m.conn != nil && !m.conn.enqueue(frame, out.Seq) {
		m.slow.Add(1)
	}
	return true
}

// holds reports whether c is the session's socket.
func (m *session) holds(c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn == c
}

// connected reports whether the session has a socket.
func (m *session) connected() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn != nil
}

// acknowledge forgets what the client is known to have.
func (m *session) acknowledge(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replay.acknowledge(seq)
}

// wait tells one who knocks, once, that it has to wait.
func (m *session) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waits || m.conn == nil {
		return
	}
	m.waits = true
	m.conn.enqueue(encode(&Outbound{Type: TypeKnocking}), 0)
}

// waiting reports whether the session has no seat yet: it knocks.
func (m *session) waiting() bool {
	m.view.mu.Lock()
	defer m.view.mu.Unlock()
	return !m.told
}

// detach takes c from the session, and leaves it open.
func (m *session) detach(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == c {
		m.conn = nil
	}
}

// displace closes the socket of a session that another node has now.
func (m *session) displace() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		m.conn.close(closeReplaced, "another socket has resumed this session")
	}
}

// end forgets everything that is kept for a resume, and closes the socket with the words that
// the reason asks for, if there is one. Nothing is sent to the session from now on.
func (m *session) end(reason Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	m.replay.clear()
	c := m.conn
	m.conn = nil
	if c == nil {
		return
	}
	switch reason {
	case ReasonKicked:
		c.enqueue(encode(&Outbound{Type: TypeGoaway, Reason: reason}), 0)
		c.close(closeKicked, "somebody in the room ended your visit")
	case ReasonEnded:
		c.enqueue(encode(&Outbound{Type: TypeGoaway, Reason: reason}), 0)
		c.close(closeRoomGone, "the room has been closed")
	case ReasonRefused:
		c.enqueue(encode(&Outbound{Type: TypeError, Code: CodeForbidden, Message: "The people inside did not let you in.", Action: ActionStop}), 0)
		c.close(closeForbidden, string(CodeForbidden))
	case ReasonDrain:
		c.close(websocket.CloseServiceRestart, "the server is restarting")
	case ReasonLost: // the others believed so: this node was cut off from them
		c.enqueue(encode(&Outbound{Type: TypeError, Code: CodeSessionExpired, Message: expired().message, Action: ActionRejoin}), 0)
		c.close(closeExpired, string(CodeSessionExpired))
	default: // its seat is another's now
		c.close(closeReplaced, "another socket has taken this seat")
	}
}

// issue seals the key of the session's next resume.
func (s *Server) issue(m *session, room Room) *SessionInfo {
	seat := room.Seat(m.id)
	return &SessionInfo{
		ID: m.id, Grace: int(s.grace / time.Second),
		Key: s.sealer.seal(ticket{
			Session: m.id, Room: room.Name, Name: seat.Name, Order: seat.Order, Host: seat.Host, Guest: seat.Guest, Subject: seat.Subject, Extra: m.extra,
			Born: room.Born, RoomKey: room.Key, Locked: room.Locked,
			Generation: seat.Keys.Generation, Secret: seat.Keys.Secret,
		}),
	}
}

// encode writes a message as one frame.
func encode(out *Outbound) []byte {
	if out.Type == TypeSignal {
		return appendSignal(make([]byte, 0, len(out.Description)+len(out.Candidates)+128), out)
	}
	frame, err := json.Marshal(*out) // a copy: signals stay on the stack
	if err != nil {
		// Only a RawMessage can make Marshal fail, and Decode has checked those.
		panic("signaling: encoding " + string(out.Type) + ": " + err.Error())
	}
	return frame
}
