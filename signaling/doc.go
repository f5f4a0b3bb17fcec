// Package signaling is the room-based signaling server of Duet: it lets the members
// of a room exchange session descriptions and candidates over the protocol duet.v1,
// which docs/protocol.md describes.
//
// # The life of a message
//
// A request for /v1/ws arrives in Server.ServeHTTP (server.go), which checks its
// origin (access.go) and what its address may do (limit.go), and upgrades it. The request ends there; from
// then on a goroutine of its own is the socket's reader (reader.go): it decodes each frame (decode.go; signal.go
// what nearly all of them are), acts on it and hands what others must hear to their session
// (session.go), which numbers it, keeps it for a resume (replay.go) and gives it
// to its socket (conn.go). What the kernel takes at once is written there and then (now.go). Everything else goes into the
// socket's queue, and while that is not empty another goroutine is the socket's writer, which alone writes
// data frames then. The reader closes the socket and waits for the last writer; Server.Shutdown waits
// for the readers. Drain only lets nobody in any more, and moves the members to other nodes (drain.go).
//
// A member that waits costs its reader's goroutine and small stack, and no buffer: those for a
// message belong to all sockets.
//
// # The life of a room
//
// A room is a value (store.go), and what may happen to it are pure functions of it (room.go,
// act.go): a join (join.go), a resume (resume.go), a departure change the value in the Store,
// and nothing else. What members are told follows from the difference between
// the state that they know and the new one (view.go), so it does not matter who changed it, or where. A
// process alone keeps the rooms in memory. In a cluster the nodes share a store; then a node
// also hears of what the others do, and looks after the members of those that are gone (node.go),
// and a message goes to the node that has the session (deliver.go).
//
// Before a join Options.Authorize is asked whether it may be, and on what terms (authorize.go). After each change
// Options.Events is told what it was (events.go), by the node that made it. A member who has left for good is
// reported to Options.Left, which ends what else the process holds for it.
//
// # The life of a session
//
// A session outlives its sockets. When one is lost its member is away, until another
// socket brings the session's key (ticket.go, resume.go) or the grace time is over. The
// key is sealed and holds all that a session is, so that a process that was killed and
// started again lets everybody back in (earlier.go). In a cluster the session goes to whatever node the
// new socket comes to, with what is kept for it.
//
// # Locks
//
// A message takes effect, and a session changes its socket, while session.acting is held:
// nothing from an old socket comes after something from the new one. It is held during what
// the store and other nodes do, which has a deadline. Then the order is
// registry, view, session, conn; none of them is held during I/O. A view tells its members
// while it is locked, so that all members see the same order of events and joined is always the first message. A
// queue never blocks: a member whose queue is full loses its socket.
package signaling
