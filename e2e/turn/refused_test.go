//go:build linux

package turn

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// refusals are runs that must be refused: calls prove little where anyone may call anyone.
var refusals = []struct {
	name, flags string
	user, word  string
	kind, code  int
}{
	{"wrong password", "-y -c", user, "looking-glass", allocateError, 401},
	{"unknown user", "-y -c", "bob", password, allocateError, 401},
	{"relay over TCP not offered", "-T", user, password, allocateError, 442},
	{"channel to the server itself", "-c -e 192.168.77.10", user, password, channelBindError, 403},
	{"channel to the server's loopback", "-c -e 127.0.0.1", user, password, channelBindError, 403},
	{"permission for the server's loopback", "-c -s -e 127.0.0.1", user, password, createPermissionError, 403},
}

func TestCoturnsClientIsRefused(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			d := l.serve(t)
			out, _ := l.client.run(t, nil, "turnutils_uclient", append(strings.Fields(r.flags), "-u", r.user, "-w", r.word, "-n", "3", server4.String())...)
			all, _ := d.stop(t)
			w := read(l.wire.packets(t))
			if w.errors(r.kind, r.code) == 0 || w.count(true, channelData)+w.count(true, sendIndication) > 0 {
				t.Errorf("no error %d, or packets to relay in spite of it:\n%s", r.code, tail(out))
			}
			if r.kind == allocateError && len(all) > 0 {
				t.Errorf("allocations %v, want none", all)
			}
		})
	}
}

// Behind a link too narrow for the packets, fragments reach the peer; and nothing does,
// for a client that asked for no fragments.
func TestDontFragmentHoldsOnANarrowLink(t *testing.T) {
	for name, flags := range map[string][]string{"with": {"-g"}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			const far = "192.168.77.30"
			l.client.ip(t, "address add %s/24 dev lan\n", far)
			l.server.ip(t, "route add %s dev lan mtu lock 1000\n", far)
			d := l.serve(t)
			out, _ := l.client.run(t, nil, "turnutils_uclient", append(flags, "-c", "-s", "-u", user, "-w", password,
				"-n", strconv.Itoa(packets), "-l", "1200", "-e", far, server4.String())...)
			d.stop(t)
			captured := l.wire.packets(t)
			w, reached := read(captured), 0
			for _, p := range captured {
				if relayedAt(p.from) && p.to.Addr().String() == far {
					reached++
				}
			}
			asked, want := w.with(sendIndication, attrDontFragment), packets
			if flags != nil {
				want = 0
			}
			if sent := w.count(true, sendIndication); sent != packets || asked != packets-want || reached != want {
				t.Errorf("%d Send indications, %d with DONT-FRAGMENT, of which %d reached the peer; want %d, %d and %d\n%s",
					sent, asked, reached, packets, packets-want, want, tail(out))
			}
		})
	}
}

func TestForbiddenSendReachesNobody(t *testing.T) {
	for name, flags := range map[string]string{
		"without permission": "-I -e 192.168.77.20",
		// A permission covers all ports, those of the relay included, and so is given:
		// others are told apart packet by packet.
		"to the server itself": "-e 192.168.77.10",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.echo(t)
			d := l.serve(t)
			out, _ := l.client.run(t, nil, "turnutils_uclient", append(strings.Fields(flags), "-c", "-s", "-u", user, "-w", password,
				"-n", strconv.Itoa(packets), server4.String())...)
			d.stop(t)
			captured := l.wire.packets(t)
			w, reached := read(captured), 0
			for _, p := range captured {
				if relayedAt(p.from) {
					reached++
				}
			}
			if sent := w.count(true, sendIndication); sent != packets || reached > 0 {
				t.Errorf("%d Send indications, and %d packets from the relay; want %d and none\n%s", sent, reached, packets, tail(out))
			}
			if lost := fmt.Sprintf("Total lost packets %d ", packets); !strings.Contains(out, lost) {
				t.Errorf("uclient does not say %q:\n%s", lost, tail(out))
			}
		})
	}
}
