// Package signaling is the room-based signaling server of Duet: it lets the members
// of a room exchange session descriptions and candidates over the protocol duet.v1,
// which docs/protocol.md describes.
//
// # The life of a message
//
// A request for /v1/ws arrives in Server.ServeHTTP (server.go), which checks its
// origin (access.go) and upgrades it. From then on the goroutine of the request is
// the socket's reader (reader.go): it decodes each frame (message.go), acts on it
// (registry.go, room.go) and hands what others must hear to their session
// (session.go), which numbers it, keeps it for a resume (replay.go) and puts it into the
// queue of its socket (conn.go). Each socket has one other goroutine, its writer, which alone writes
// data frames. The reader ends the writer and waits for it; Server.Shutdown waits
// for the readers. Drain only lets nobody in any more.
//
// A member who has left for good is reported to Options.Left (departures.go), which
// ends what else the process holds for it.
//
// # The life of a session
//
// A session outlives its sockets. When one is lost its member is away, until another
// socket brings the session's key (ticket.go, resume.go) or the grace time is over. The
// key is sealed and holds all that a session is, so that a process that was killed and
// started again lets everybody back in.
//
// # Locks
//
// A message takes effect, and a session changes its socket, while session.acting is held:
// nothing from an old socket comes after something from the new one. Then the order is
// registry, room, session, conn; none is held during I/O. A join or a leave
// enqueues what it has to say while it holds the room's lock, so that all members
// see the same order of events and joined is always the first message. A
// queue never blocks: a member whose queue is full loses its socket.
package signaling
