package signaling

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"sync"
	"sync/atomic"
)

// session is a member of a room: what the server knows of it, and the socket
// through which it is reached. Its id and name never change; order is set once, by
// room.add.
type session struct {
	id    string
	name  string
	order uint64

	mu   sync.Mutex // guards seq, and keeps the queue in the order of seq
	seq  uint64
	conn *conn

	slow *atomic.Uint64 // the server's counter of queues that overflowed
}

func newSession(name string, c *conn, slow *atomic.Uint64) *session {
	return &session{id: newID(), name: name, conn: c, slow: slow}
}

// newID names a member: 96 random bits, so that ids cannot be guessed across rooms.
func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return "m_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// send stamps out with the session's next seq and queues it. It never blocks.
func (s *session) send(out Outbound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	out.Seq = s.seq
	if !s.conn.enqueue(encode(out)) {
		s.slow.Add(1)
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
