// Package relay is the STUN server and the TURN relay, for clients over UDP, TCP and
// TLS (RFC 8489, RFC 8656). A call whose two ends cannot reach each other reaches the relay, and the
// relay passes its packets on.
//
// # The life of a packet
//
// A client's datagram arrives on a listening socket (socket.go) and meets the gate
// (gate.go), which checks its shape: header, lengths, every attribute's size. What
// is malformed ends here, counted by reason (drop.go). Then it depends.
//
//   - ChannelData and Send indications go to the engine (pion/turn, engine.go),
//     which knows the allocation, the permission and the channel, and writes the
//     payload to the relay socket (allocation.go). There the peer policy has the
//     last word on each packet, port included.
//   - A request is checked against the credentials (auth.go) and, if it fits,
//     written anew with only what was understood of it (judge.go: canonical). The
//     engine checks the nonce, which is its own, and then asks whether to serve the
//     request (judge.go: judge): expiry, owner, attributes, peers. For a new
//     allocation, allocate.go takes quota, port and socket. What the engine answers
//     passes answer.go, which makes it what the RFCs ask for.
//   - A peer's packet arrives on the relay socket, meets the peer policy, and goes
//     through the engine to the client.
//
// # What the gate does not do yet
//
// The gate of this release checks shape; it does not limit rates. Requests that
// carry no credential, or one that does not fit, reach the engine, which decodes
// them and answers with a challenge. Nonces are the engine's: valid for an hour,
// and not bound to the client's address. Media passes through the engine, too.
//
// # Streams
//
// A client over TCP or TLS gets a shard, and an engine, of its own: stream.go makes
// one message of its connection look like one datagram, with a deadline for
// everything. streams.go bounds their number. Over TCP the relay accepts them
// itself (accept.go); over TLS whoever ends TLS hands them over, to ServeStream.
//
// # Addresses
//
// Behind 1:1 NAT a relayed address is public while the socket's is private. When
// two clients of the relay talk to each other, family.go turns one into the other
// on the way, because few NATs send back inside what came from inside. On a machine
// with several addresses of a family, name the one to use in listening_ip: a socket
// on all of them answers from the address that the system's routes prefer.
//
// # Who owns what
//
//   - Each shard has one reading goroutine, started by the engine in Run. It owns
//     the shard's pending request, and the permissions and channels that
//     allocations count. It ends when the socket is closed.
//   - Each allocation has one goroutine of the engine's, which reads the relay
//     socket. It ends in allocation.ReadFrom, never after: see there.
//   - The engine's timers close allocations from goroutines of their own. So
//     allocation.Close takes only leaf locks (port pool, quota, the shard's table), and
//     judge keeps requests away from an allocation that is about to expire.
//   - Counters are atomics, policy and credentials immutable.
//
// Run waits for the reading goroutines and for those of the allocations.
package relay
