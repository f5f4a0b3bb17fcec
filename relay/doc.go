// Package relay is the STUN server and the TURN relay, for clients over UDP, TCP and
// TLS (RFC 8489, RFC 8656). A call whose two ends cannot reach each other reaches the relay, and the
// relay passes its packets on.
//
// # The life of a packet
//
// A client's datagram arrives on a listening socket (socket.go), where its shard
// (shard.go) tells media from everything else.
//
// Media never leaves the data plane:
//
//   - A client's ChannelData or Send indication is decoded (media.go) and finds its
//     allocation by the 5-tuple (clients.go), and there its channel or its permission
//     (table.go). The peer policy has the last word on each packet, port included.
//     Then come max_bps and bps_capacity (shape.go), and the relay socket (forward.go).
//   - A peer's packet is read from the relay socket by a goroutine of the allocation's.
//     It needs a permission, passes policy and limits, gets its header written in front
//     of it, where there is room for it, and goes to the client (deliver.go).
//
// What goes no further is counted by reason (drop.go) and never logged. For a packet,
// nothing is allocated and no lock taken; tests hold that.
//
// The rest meets the gate (gate.go), which checks its shape: header, lengths, every
// attribute's size. A request is checked against the credentials (auth.go) and, if it
// fits, written anew with only what was understood of it (judge.go: canonical). The
// engine (pion/turn, engine.go) checks the nonce, which is its own, and then asks
// whether to serve the request (judge.go: judge): expiry, owner, attributes, peers. For
// a new allocation, allocate.go takes quota, port and socket. What the engine answers
// passes answer.go, which makes it what the RFCs ask for.
//
// # Where the table comes from
//
// The engine owns allocations, permissions and channels, and the data plane follows
// what it grants. An allocation is in the table from the moment the engine asks for
// its socket until the engine closes that. Permissions and channels come from requests
// that we judged and the engine answered with success (allocation.grant), on the
// goroutine that reads requests and before the client hears of it: the engine's
// EventHandler reports no refresh. Nor does it say the truth about ends: when a
// refresh meets the timer, it drops what it has just refreshed. So they lapse by our
// own clock, 300 s and 600 s after the last grant, at once and without a timer.
//
// A permission covers what peers send and what Send indications carry; ChannelData
// needs the channel alone (RFC 8656 section 12.6).
//
// # What the gate does not do yet
//
// The gate of this release checks shape; it does not limit rates. Requests that
// carry no credential, or one that does not fit, reach the engine, which decodes
// them and answers with a challenge. Nonces are the engine's: valid for an hour,
// and not bound to the client's address.
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
//   - Each shard has one reading goroutine, started by the engine in Run. It relays
//     what clients send, owns the pending request, and writes permissions and channels.
//     It ends when the socket is closed.
//   - Each allocation has a goroutine that reads the relay socket (readPeers), from
//     relayOn until the socket is closed. The engine's goroutine for the same waits in
//     allocation.ReadFrom, and ends there: see there.
//   - The engine's timers close allocations from goroutines of their own. So
//     allocation.Close takes only leaf locks (port pool, quota, the shard's table), and
//     judge keeps requests away from an allocation that is about to expire.
//   - Counters are atomics, policy and credentials immutable.
//
// Run waits for the reading goroutines and for those of the allocations.
package relay
