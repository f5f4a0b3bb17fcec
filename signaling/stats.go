package signaling

import "sync/atomic"

// Stats is a snapshot of what the server does and has refused.
type Stats struct {
	Sockets, Rooms, Members int64 // now

	Joins       uint64 // members ever seated
	Messages    uint64 // messages from members
	Signals     uint64 // signals passed on
	SlowReaders uint64 // sockets closed because their queue was full

	Away        int64  // members without a socket, now
	Resumed     uint64 // sockets that took a session over without a loss
	Lossy       uint64 // those whose member had missed more than was kept
	Restored    uint64 // those of sessions that this process had not seen before
	ForgedKeys  uint64 // resumes with a key that this server has not made
	UsedKeys    uint64 // resumes with a key that was good once
	ReplayBytes int64  // kept for resumes, now

	Refused map[Code]uint64 // errors sent, by code
	Origins uint64          // upgrades refused for their origin
	Crowded uint64          // upgrades refused because too many sockets had not joined yet

	ConnectRate       uint64 // upgrades refused because their address opens too many
	SocketsPerAddress uint64 // upgrades refused because their address has too many
	WrongKeys         uint64 // joins with a key that does not open the room
	DelayedKeys       uint64 // keys not looked at: too many wrong ones came from there
}

// counters is the live form of Stats.
type counters struct {
	joins, messages, signals, slow, origins, crowded atomic.Uint64

	resumed, lossy, restored, forgedKeys, usedKeys atomic.Uint64

	connectRate, socketsPerAddress, wrongKeys, delayedKeys atomic.Uint64

	refused map[Code]*atomic.Uint64 // every code, made once
}

func newCounters() *counters {
	c := &counters{refused: make(map[Code]*atomic.Uint64)}
	for _, code := range []Code{CodeBadRequest, CodeUnknownType, CodeMemberNotFound, CodeRateLimited, CodeRoomFull, CodeRoomLocked, CodeBadKey, CodeForbidden, CodeUnauthenticated, CodeSessionExpired, CodeCapacity, CodeUnavailable, CodeInternal} {
		c.refused[code] = new(atomic.Uint64)
	}
	return c
}

// Stats returns a snapshot of the server's counters.
func (s *Server) Stats() Stats {
	rooms, members := s.registry.size()
	s.mu.Lock()
	sockets := len(s.conns)
	s.mu.Unlock()
	refused := make(map[Code]uint64, len(s.stats.refused))
	for code, n := range s.stats.refused {
		refused[code] = n.Load()
	}
	return Stats{
		Sockets: int64(sockets), Rooms: int64(rooms), Members: int64(members),
		Joins: s.stats.joins.Load(), Messages: s.stats.messages.Load(), Signals: s.stats.signals.Load(),
		SlowReaders: s.stats.slow.Load(), Refused: refused,
		Away: s.away(), Resumed: s.stats.resumed.Load(), Lossy: s.stats.lossy.Load(), Restored: s.stats.restored.Load(),
		ForgedKeys: s.stats.forgedKeys.Load(), UsedKeys: s.stats.usedKeys.Load(),
		ReplayBytes: s.replayed.Load(),
		Origins:     s.stats.origins.Load(), Crowded: s.stats.crowded.Load(),
		ConnectRate: s.stats.connectRate.Load(), SocketsPerAddress: s.stats.socketsPerAddress.Load(),
		WrongKeys: s.stats.wrongKeys.Load(), DelayedKeys: s.stats.delayedKeys.Load(),
	}
}

// away is how many members have no socket.
func (s *Server) away() (away int64) {
	for _, m := range s.registry.all() {
		m.mu.Lock()
		if m.conn == nil && !m.gone {
			away++
		}
		m.mu.Unlock()
	}
	return away
}
