// Package turn proves the relay with other people's clients: coturn's own, aiortc and
// libnice, against the duet binary, on two machines with a wire between them.
//
// A machine is a network namespace with a thread in it (machine_test.go). Duet runs on
// one of the two (duet_test.go); clients and peers run on the other. Everything that
// passes Duet's machine is captured (capture_test.go) and read by a codec of its own
// (wire_test.go). For a client that says all went well may have done something
// else than it was asked: uclient ends with status 0 also where a server ignores what it
// asks for. So each test believes three witnesses only together: what the client
// counted, what was on the wire, and what Duet's log says.
//
// coturn's clients are in uclient_test.go (one row is one call), refused_test.go and
// stun_test.go; the others, each with a script in testdata, in calls_test.go.
package turn
