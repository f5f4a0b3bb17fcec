//go:build linux

package turn

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Each session of uclient sends so many packets of so many bytes, one in 5 ms.
const (
	packets     = 20
	packetSize  = 200
	packetEvery = "5"
)

// method is how a client sends through the relay.
type method string

const (
	channels method = "ChannelData"
	sends    method = "Send indications"
	streams  method = "data connections"
)

// call is one run of turnutils_uclient, and what it must have been. With "-e" the peer
// is another machine; with "-y" clients are each other's peers, on two relayed addresses.
type call struct {
	name    string
	flags   string
	carrier string // all packets from clients, as wire.carriers has it
	// encrypted is the transport as Duet's log has it, where the carrier does not say.
	encrypted string
	relayed   int // 4 or 6
	method    method
	sessions  int    // that send
	turn      string // more keys of [turn]
	check     func(t *testing.T, w wire)
}

// Keys of [turn] that are off by default.
const (
	dtls     = "dtls = true"
	tcpRelay = "tcp_relay = true"
)

var calls = []call{
	{name: "UDP, channels", flags: "-y -c", carrier: "udp4 3478", relayed: 4, method: channels, sessions: 2},
	{name: "UDP, Send", flags: "-y -c -s", carrier: "udp4 3478", relayed: 4, method: sends, sessions: 2},
	{name: "UDP, channels, a peer", flags: "-c -e 192.168.77.20", carrier: "udp4 3478", relayed: 4, method: channels, sessions: 1},
	{name: "UDP, Send, a peer", flags: "-c -s -e 192.168.77.20", carrier: "udp4 3478", relayed: 4, method: sends, sessions: 1},
	{name: "UDP, channels padded as over TCP", flags: "-y -c -D", carrier: "udp4 3478", relayed: 4, method: channels, sessions: 2},
	{name: "UDP, RTP and RTCP on a reserved pair of ports", flags: "-e 192.168.77.20", carrier: "udp4 3478", relayed: 4, method: channels, sessions: 2, check: pairOfPorts},
	{name: "UDP, time-limited credentials", flags: "-y -c -W " + secret, carrier: "udp4 3478", relayed: 4, method: channels, sessions: 2},
	{name: "UDP, eight at once", flags: "-y -c -m 8", carrier: "udp4 3478", relayed: 4, method: channels, sessions: 8},
	{name: "UDP, DONT-FRAGMENT, channels", flags: "-y -c -g", carrier: "udp4 3478", relayed: 4, method: channels, sessions: 2, check: dontFragmentAsked},
	{name: "UDP, DONT-FRAGMENT, Send", flags: "-c -s -g -e 192.168.77.20", carrier: "udp4 3478", relayed: 4, method: sends, sessions: 1, check: dontFragmentAsked},
	{name: "UDP, IPv4 relay asked for", flags: "-c -X -e 192.168.77.20", carrier: "udp4 3478", relayed: 4, method: channels, sessions: 1, check: familyAsked},
	{name: "UDP, IPv6 relay", flags: "-c -x -e fd77::20", carrier: "udp4 3478", relayed: 6, method: channels, sessions: 1, check: familyAsked},
	{name: "UDP, IPv6 relay, Send", flags: "-c -s -x -e fd77::20", carrier: "udp4 3478", relayed: 6, method: sends, sessions: 1, check: familyAsked},
	{name: "UDP over IPv6, IPv6 relay", flags: "-y -c -x", carrier: "udp6 3478", relayed: 6, method: channels, sessions: 2},
	{name: "UDP over IPv6, IPv6 relay, Send, a peer", flags: "-c -s -x -e fd77::20", carrier: "udp6 3478", relayed: 6, method: sends, sessions: 1},
	{name: "UDP over IPv6, IPv4 relay", flags: "-c -X -e 192.168.77.20", carrier: "udp6 3478", relayed: 4, method: channels, sessions: 1},

	{name: "TCP, channels", flags: "-t -y -c", carrier: "tcp4 3478", relayed: 4, method: channels, sessions: 2},
	{name: "TCP, Send", flags: "-t -y -c -s", carrier: "tcp4 3478", relayed: 4, method: sends, sessions: 2},
	{name: "TCP, channels, a peer", flags: "-t -c -e 192.168.77.20", carrier: "tcp4 3478", relayed: 4, method: channels, sessions: 1},
	{name: "TCP, Send, a peer", flags: "-t -c -s -e 192.168.77.20", carrier: "tcp4 3478", relayed: 4, method: sends, sessions: 1},
	{name: "TCP over IPv6, IPv6 relay", flags: "-t -c -x -e fd77::20", carrier: "tcp6 3478", relayed: 6, method: channels, sessions: 1},
	{name: "TCP over IPv6, IPv6 relay, Send", flags: "-t -y -c -s -x", carrier: "tcp6 3478", relayed: 6, method: sends, sessions: 2},

	{name: "TLS on the port of the page, channels", flags: "-t -S -c -e 192.168.77.20", carrier: "tcp4 443", encrypted: "tls", relayed: 4, method: channels, sessions: 1},
	{name: "TLS on the port of the page, Send", flags: "-t -S -c -s -e 192.168.77.20", carrier: "tcp4 443", encrypted: "tls", relayed: 4, method: sends, sessions: 1},
	{name: "TLS on its own port, channels", flags: "-t -S -c -e 192.168.77.20", carrier: "tcp4 5349", encrypted: "tls", relayed: 4, method: channels, sessions: 1},
	{name: "TLS on the port of the page, client to client", flags: "-t -S -y -c", carrier: "tcp4 443", encrypted: "tls", relayed: 4, method: channels, sessions: 2},
	{name: "DTLS, channels", flags: "-S -y -c", carrier: "udp4 5349", encrypted: "dtls", relayed: 4, method: channels, sessions: 2, turn: dtls},
	{name: "DTLS, Send, a peer", flags: "-S -c -s -e 192.168.77.20", carrier: "udp4 5349", encrypted: "dtls", relayed: 4, method: sends, sessions: 1, turn: dtls},
	{name: "DTLS over IPv6, IPv6 relay", flags: "-S -c -x -e fd77::20", carrier: "udp6 5349", encrypted: "dtls", relayed: 6, method: channels, sessions: 1, turn: dtls},
	{name: "RFC 6062, TCP relayed", flags: "-T", carrier: "tcp4 3478", relayed: 4, method: streams, sessions: 2, turn: tcpRelay},
	{name: "RFC 6062, TCP relayed, over IPv6", flags: "-T -x", carrier: "tcp6 3478", relayed: 6, method: streams, sessions: 2, turn: tcpRelay},
	{name: "RFC 6062, TCP relayed, over TLS", flags: "-T -S", carrier: "tcp4 443", encrypted: "tls", relayed: 4, method: streams, sessions: 2, turn: tcpRelay},
	{name: "TLS on the port of the page, over IPv6", flags: "-t -S -c -x -e fd77::20", carrier: "tcp6 443", encrypted: "tls", relayed: 6, method: channels, sessions: 1},
}

func TestCoturnsClientLosesNothing(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.echo(t)
			d := l.serve(t, c.turn)
			sent, received, out := l.uclient(t, d, c)
			all, log := d.stop(t)
			w := read(l.wire.packets(t))
			defer func() {
				if t.Failed() {
					t.Logf("uclient printed:\n%s\nduet logged:\n%s", tail(out), log)
				}
			}()
			if want := packets * c.sessions; sent != want || received != want {
				t.Errorf("uclient sent %d packets and received %d, want %d", sent, received, want)
			}
			c.checkCarrier(t, w)
			c.checkMethod(t, w)
			c.checkPeers(t, w)
			c.checkLog(t, all)
			if c.check != nil {
				c.check(t, w)
			}
		})
	}
}

// uclient runs turnutils_uclient and returns what it counted, both 0 unless it says
// that nothing was lost or dropped.
func (l *lab) uclient(t *testing.T, d *duet, c call) (sent, received int, out string) {
	t.Helper()
	server := server4
	if strings.Contains(c.carrier, "6 ") {
		server = server6
	}
	_, port, _ := strings.Cut(c.carrier, " ")
	args := []string{"-v", "-p", port, "-u", user, "-n", strconv.Itoa(packets), "-l", strconv.Itoa(packetSize), "-z", packetEvery}
	if !strings.Contains(c.flags, "-W") {
		args = append(args, "-w", password)
	}
	if c.encrypted != "" {
		args = append(args, "-E", d.ca) // verify the certificate
	}
	args = append(args, strings.Fields(c.flags)...)
	out, ok := l.client.run(t, nil, "turnutils_uclient", append(args, server.String())...)
	counts := uclientCounts.FindStringSubmatch(out)
	if !ok || counts == nil {
		return 0, 0, out
	}
	sent, _ = strconv.Atoi(counts[1])
	received, _ = strconv.Atoi(counts[2])
	return sent, received, out
}

// uclientCounts is the sum that uclient prints at its end.
var uclientCounts = regexp.MustCompile(`start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\n(?:.*\n)*.*Total lost packets 0 \(.*total send dropped 0 `)

// checkCarrier: no packet came any other way.
func (c call) checkCarrier(t *testing.T, w wire) {
	t.Helper()
	if len(w.carriers) != 1 || w.carriers[c.carrier] == 0 {
		t.Errorf("clients came by %v, want only %s", w.carriers, c.carrier)
	}
	if plain := len(w.messages); c.encrypted != "" && plain > 0 {
		t.Errorf("%d messages in the clear, want none over %s", plain, c.encrypted)
	}
}

// checkMethod: each packet went up, and came down, as it should.
func (c call) checkMethod(t *testing.T, w wire) {
	t.Helper()
	want, none := packets*c.sessions, 0
	if c.encrypted != "" {
		if got := w.recordsBy(c.method); got != want {
			t.Errorf("%d encrypted records of the size of %s, want %d: %v", got, c.method, want, w.records)
		}
		return
	}
	if c.method == streams {
		if want *= packetSize; w.streamUp != want || w.streamDown != want || w.streamBetween != want || w.count(true, channelData)+w.count(true, sendIndication) > 0 {
			t.Errorf("%d bytes up and %d down on data connections, %d between relayed addresses, want %d; and by ChannelData or Send %d packets, want none",
				w.streamUp, w.streamDown, w.streamBetween, want, w.count(true, channelData)+w.count(true, sendIndication))
		}
		return
	}
	up, down, notUp, notDown := channelData, channelData, sendIndication, dataIndication
	if c.method == sends {
		up, down, notUp, notDown = notUp, notDown, up, down
	}
	got := [...]int{w.count(true, up), w.count(false, down), w.count(true, notUp), w.count(false, notDown), w.count(true, unknownMessage), w.count(false, unknownMessage)}
	if got != [...]int{want, want, none, none, none, none} {
		t.Errorf("%d and %d packets by %s, %d and %d otherwise, %d and %d unknown; want %d and %d, and no others",
			got[0], got[1], c.method, got[2], got[3], got[4], got[5], want, want)
	}
}

// recordsBy counts the encrypted records that have the size of one packet by that
// method: no header on a data connection, one of 4 bytes for ChannelData, of 36 (IPv4)
// or 48 (IPv6) for a Send indication, and 16 to 31 for the cipher.
func (w *wire) recordsBy(m method) (n int) {
	for _, size := range w.records {
		switch overhead := size - packetSize; {
		case m == streams && overhead >= 16 && overhead < 32,
			m == channels && overhead >= 4+16 && overhead < 36+16,
			m == sends && overhead >= 36+16 && overhead < 48+32:
			n++
		}
	}
	return n
}

// checkPeers: packets to and from a peer on another machine passed its wire.
func (c call) checkPeers(t *testing.T, w wire) {
	t.Helper()
	want := 0
	if strings.Contains(c.flags, "-e ") {
		want = packets * c.sessions
	}
	if len(w.toPeers) != want || len(w.fromPeers) != want {
		t.Errorf("%d packets to peers and %d from them, want %d", len(w.toPeers), len(w.fromPeers), want)
	}
	for _, p := range w.toPeers {
		if is6 := p.to.Addr().Is6(); is6 != (c.relayed == 6) || len(p.payload) != packetSize {
			t.Fatalf("%d bytes to %s, want %d and IPv%d", len(p.payload), p.to, packetSize, c.relayed)
		}
	}
}

// checkLog: Duet relayed as much each way as uclient counted, from relayed addresses
// of the family that was asked for.
func (c call) checkLog(t *testing.T, all []ended) {
	t.Helper()
	transport := c.encrypted
	if transport == "" {
		transport = c.carrier[:3]
	}
	up, down := 0, 0
	for _, a := range all {
		up, down = up+a.BytesFromClient, down+a.BytesFromPeers
		if a.Transport != transport || a.Relayed.Addr().Is6() != (c.relayed == 6) || a.User != user {
			t.Errorf("allocation of %s over %s at %s, want %s over %s on IPv%d", a.User, a.Transport, a.Relayed, user, transport, c.relayed)
		}
	}
	if want := packets * c.sessions * packetSize; up != want || down != want {
		t.Errorf("duet counted %d bytes up and %d down, want %d", up, down, want)
	}
}

// dontFragmentAsked: uclient asked for it and was given an allocation, not 420.
func dontFragmentAsked(t *testing.T, w wire) {
	t.Helper()
	if asked, refused := w.with(allocateRequest, attrDontFragment), w.errors(allocateError, 420); asked == 0 || refused != 0 {
		t.Errorf("%d Allocate requests with DONT-FRAGMENT, %d refused; want some, and none refused", asked, refused)
	}
}

func familyAsked(t *testing.T, w wire) {
	t.Helper()
	if asked := w.with(allocateRequest, attrRequestedAddressFamily); asked == 0 {
		t.Error("no Allocate request with REQUESTED-ADDRESS-FAMILY")
	}
}

// pairOfPorts: EVEN-PORT gave an even port, and the token that came with it the next.
func pairOfPorts(t *testing.T, w wire) {
	t.Helper()
	claims, evens, claimed := make(map[string]bool), make(map[uint16]bool), 0
	for _, m := range w.messages {
		_, token := m.attribute(attrReservationToken)
		switch port := m.relayedPort(); {
		case m.kind == allocateRequest && token:
			claims[m.transaction()] = true
		case m.kind == allocateSuccess && token:
			evens[port] = true
			if port%2 != 0 {
				t.Errorf("EVEN-PORT gave port %d", port)
			}
		case m.kind == allocateSuccess && claims[m.transaction()]:
			claimed++
			if !evens[port-1] {
				t.Errorf("a reservation gave port %d, want the one after an even port: %v", port, evens)
			}
		}
	}
	if w.with(allocateRequest, attrEvenPort) == 0 || len(evens) == 0 || claimed == 0 {
		t.Errorf("%d requests with EVEN-PORT, %d even ports, %d reservations claimed; want some of each",
			w.with(allocateRequest, attrEvenPort), len(evens), claimed)
	}
}

// tail is the end of what a client printed, which says how it ended.
func tail(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
