// Package relay is the STUN server and the TURN relay, for clients over UDP, TCP, TLS
// and DTLS (RFC 8489, RFC 8656, RFC 7350, and RFC 6062 if configured). A call whose two
// ends cannot reach each other reaches the relay, and the relay passes its packets on.
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
//     It needs a channel or a permission, passes policy and limits, gets its header
//     written in front of it, where there is room for it, and goes to the client
//     (deliver.go).
//
// What goes no further is counted by reason (drop.go) and never logged. For a packet,
// nothing is allocated and no lock taken; tests hold that.
//
// The rest meets the gate, which answers every stranger itself and passes the engine
// (pion/turn, engine.go) not one byte of theirs (exchange.go is the way through it):
//
//   - gate.go and attribute.go check the shape: header, lengths, each attribute's size.
//   - A Binding request is answered on the spot (binding.go).
//     With a second port or address it may ask for the answer from there (discovery.go).
//   - Any other must be signed (auth.go): with a nonce of ours (nonce.go) and the key
//     of a user that we know (credential.go). judge.go then says whether to serve it:
//     expiry, owner, attributes, peers.
//   - What passes is written anew from what was understood of it, and signed with a
//     key that only gate and engine know (login.go). For a new allocation, the engine
//     has allocate.go take quota, port and socket.
//   - The engine's answer becomes the client's in answer.go, signed as the request was.
//     Refusals are written there, too, with every code of the RFCs (drop.go).
//
// # What strangers cost
//
// Nothing that outlives their datagram. Nonces are stateless and bound to the client's
// address and port. Per IPv4 address or IPv6 /64 there are error_rate and
// binding_rate answers a second, and a budget for all together; then silence (limit.go).
// Its tables have a fixed size, and sources may share a bucket. Neither an allocation
// nor a proven credential waits for these limits, so that no flood ends a call. A
// refusal allocates no memory, and no answer is larger than coturn's.
//
// An unknown user and a wrong password get the same answer, after the same work.
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
// needs the channel alone (RFC 8656 section 12.6), and so does what comes back from the
// channel's peer (deliver.go says why).
//
// # What the gate does not do
//
//   - Clients may choose SHA-256 keys (RFC 8489 section 9.2), unless a static user is
//     given by the MD5 key alone. USERHASH is understood for static users but not asked
//     for: the name of a time-limited credential cannot be found by its hash.
//   - An allocation has one relayed address: ADDITIONAL-ADDRESS-FAMILY is answered with
//     ADDRESS-ERROR-CODE 440 (RFC 8656 section 7.2).
//   - DONT-FRAGMENT in an Allocate forbids fragments of everything that allocation
//     sends; in a Send indication alone it changes nothing. Systems other than Linux
//     answer 420.
//   - A draining server answers 508, unless it knows a server of the client's address
//     family to name in a 300 (drain.go).
//
// # Streams
//
// A client over TCP or TLS gets a shard, and an engine, of its own: stream.go makes
// one message of its connection look like one datagram, with a deadline for
// everything. streams.go bounds their number. Over TCP the relay accepts them
// itself (accept.go), and Options.Admit may look at them first, to learn whom a proxy
// forwards; over TLS whoever ends TLS hands them over, to ServeStream.
//
// # DTLS
//
// pion/dtls (handshake.go) remembers a client from its first hello on. So dtls.go stands
// in front of it, one goroutine for each socket: it answers hellos itself, with a cookie
// that it need not remember (hello.go, cookie.go), and only a hello that brings such a
// cookie makes an association, of which there are so many in all and from one source. To
// the library link.go is the network: it lets through what a client may send at that
// point, and little of it before the handshake is done. From then on an association is
// to the relay what a stream is: a shard and an engine of its own (association.go).
//
// # TCP to peers
//
// With tcp_relay, a client over TCP or TLS may have a TCP allocation (RFC 6062). To the
// engine it is one like all others, whose lifetime and permissions it owns; what would
// be the relay socket is a listener (tcprelay.go), and no packet ever comes from it.
//
//   - Connect is answered when the peer has answered; requests go on meanwhile. It
//     needs no permission, as the client names the peer, but the policy allows it or not.
//   - A peer that connects needs a permission and passes the policy, or is cut off at
//     once. The client hears of it in a ConnectionAttempt.
//   - ConnectionBind makes a client's new connection the other half (dataconn.go). It may
//     bear the nonce of the control connection, as clients do.
//
// Both halves are read 16 KiB at a time, and only when the other has taken what came
// before: who reads slowly slows the sender. What waits is with the kernel, 256 KiB
// for each socket and direction. When one half ends, the other may say what it has left,
// with pauses of two minutes at most. peerconns.go knows all connections, for their
// number, their ids and their end, which is that of the allocation at the latest.
//
// Outgoing connections share the listener's port, which no other listener can have
// (relay/tcp). Elsewhere than on Linux that is not to be had, and tcp_relay is an error.
//
// # Addresses
//
// Behind 1:1 NAT a relayed address is public while the socket's is private. When
// two clients of the relay talk to each other, family.go turns one into the other
// on the way, because few NATs send back inside what came from inside.
//
// A socket on all addresses of the machine hears with each datagram which of them it was
// sent to (relay/udp); from there go the answer and the media of its allocation, and it
// is part of the 5-tuple (RFC 8656 section 3.2). The system would choose the address
// that its routes prefer, and NATs drop what comes from there. On systems other than
// Linux it does: there, name the addresses in listening_ip.
//
// external.go settles the external address by what the file, the machine (machine.go),
// STUN servers (stunclient.go) and DNS say of it; hearsay.go weighs what others say.
// follow.go looks again and again, and standing.go publishes what changed as one
// immutable snapshot. An allocation keeps the mapping that it was made with, and both its
// addresses stay ours as long as it lives: its client has told its peers.
//
// # What changes while it runs
//
// What Reload replaces is one immutable snapshot, settings.go; a request keeps the one
// that it began with. The operator's part of the peer policy goes from there into
// standing.go. Every packet meets the policy of its moment: what was judged by another
// is judged anew. An allocation keeps the credentials that it was made with, so
// that its client can refresh it though its user is gone.
//
// Revoke (revoke.go) ends a member's allocations. It wakes the shard's reader, which
// alone talks to the engine, to ask the engine for the end: were the relay socket closed
// from outside, the engine would keep the 5-tuple until its timer fires, and might then
// delete the next allocation on it. A connection is closed, with all that is on it.
//
// # Who owns what
//
//   - Each shard has one reading goroutine, started by the engine in Run. It relays
//     what clients send, owns the pending request, and writes permissions and channels.
//     It ends when the socket is closed.
//   - Each DTLS socket has a goroutine that hands datagrams out to associations. Each
//     association has one that shakes hands, and two of the library's until it is closed.
//   - Each allocation has a goroutine that reads the relay socket (readPeers), from
//     relayOn until the socket is closed. The engine's goroutine for the same waits in
//     allocation.ReadFrom, and ends there: see there.
//   - A connection with a peer has a goroutine from beginning to end (peerConn.serve): it
//     connects, or tells the client of the peer, waits for the ConnectionBind, and
//     carries what the peer sends. What the client sends is carried by the reader of the
//     client's connection, which is a shard's.
//   - The engine's timers close allocations from goroutines of their own. So
//     allocation.Close takes only leaf locks (port pool, quota, revocations, the shard's
//     table), and judge keeps requests away from an allocation that is about to expire.
//   - Run itself follows the relay's addresses (follower). It and Reload write standing,
//     which packets and requests read through an atomic pointer.
//   - Counters are atomics, settings immutable.
//
// Run waits for the reading goroutines, for handshakes and for those of the allocations
// and of the connections with peers.
package relay
