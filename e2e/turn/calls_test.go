//go:build linux

package turn

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// side is one peer of a call, as the scripts in testdata report it.
type side struct {
	Candidates []string
	Heard      []string
	Frames     int
	State      string
}

type twoSides struct{ Ann, Bob side }

// relayedCall runs a script of testdata and checks that what both sides heard came
// through Duet and over nothing but the carrier.
func relayedCall(t *testing.T, carrier, transport string, args func(d *duet) (env, args []string)) (both twoSides, w wire) {
	t.Helper()
	l := newLab(t)
	d := l.serve(t)
	env, command := args(d)
	out, ok := l.client.run(t, env, python, command...)
	all, log := d.stop(t)
	w = read(l.wire.packets(t))
	defer func() {
		if t.Failed() {
			t.Logf("the client printed:\n%s\nduet logged:\n%s", tail(out), log)
		}
	}()
	report := strings.SplitAfter(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(report[len(report)-1]), &both); err != nil || !ok {
		t.Fatalf("the client failed: %v", err)
	}
	for _, s := range []side{both.Ann, both.Bob} {
		if len(s.Candidates) != 1 || !strings.HasPrefix(s.Candidates[0], "relay") {
			t.Errorf("candidates %v, want relayed ones only", s.Candidates)
		}
	}
	if len(w.carriers) != 1 || w.carriers[carrier] == 0 {
		t.Errorf("the client came by %v, want only %s", w.carriers, carrier)
	}
	used := 0
	for _, a := range all {
		if a.Transport != transport || a.User != user {
			t.Errorf("allocation of %s over %s, want %s over %s", a.User, a.Transport, user, transport)
		}
		if a.BytesFromClient > 0 && a.BytesFromPeers > 0 {
			used++
		}
	}
	if used < 2 {
		t.Errorf("%d allocations relayed both ways, want each side's", used)
	}
	if plain := len(w.messages); transport == "tls" && plain > 0 {
		t.Errorf("%d messages in the clear, want none over TLS", plain)
	}
	return both, w
}

func TestAiortcCallsThroughTheRelay(t *testing.T) {
	for _, row := range []struct{ url, carrier, transport string }{
		{"turn:192.168.77.10:3478?transport=udp", "udp4 3478", "udp"},
		{"turn:192.168.77.10:3478?transport=tcp", "tcp4 3478", "tcp"},
		{"turns:192.168.77.10:443?transport=tcp", "tcp4 443", "tls"},
	} {
		t.Run(row.transport, func(t *testing.T) {
			t.Parallel()
			both, w := relayedCall(t, row.carrier, row.transport, func(d *duet) (env, args []string) {
				return []string{"SSL_CERT_FILE=" + d.ca}, []string{"testdata/call_aiortc.py", row.url, user, password}
			})
			// aioice binds channels and sends nothing otherwise.
			if up, down := w.count(true, channelData), w.count(false, channelData); row.transport != "tls" && (up == 0 || down == 0) {
				t.Errorf("%d ChannelData messages up and %d down, want some of each", up, down)
			}
			for name, pair := range map[string][2]side{"ann": {both.Ann, both.Bob}, "bob": {both.Bob, both.Ann}} {
				var want []string
				for n := range 10 {
					want = append(want, fmt.Sprintf("%s says %d", name, n))
				}
				if heard := pair[1].Heard; !slices.Equal(heard, want) {
					t.Errorf("of %s the other heard %q, want %q", name, heard, want)
				}
				if pair[0].Frames < 25 || pair[0].State != "connected" {
					t.Errorf("%s has %d audio frames and is %s, want 25 and connected", name, pair[0].Frames, pair[0].State)
				}
			}
		})
	}
}

func TestAiortcRefusesACertificateThatNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	d := l.serve(t)
	out, ok := l.client.run(t, nil, python, "testdata/call_aiortc.py", "turns:192.168.77.10:443?transport=tcp", user, password)
	if all, _ := d.stop(t); ok || !strings.Contains(out, "CERTIFICATE_VERIFY_FAILED") || len(all) > 0 {
		t.Errorf("%d allocations, want none, for the certificate:\n%s", len(all), tail(out))
	}
}

// libnice has no TLS: what it calls TLS is TURN over plain TCP, but for the dialects of
// old messengers. So it is held to TCP, on the plain port.
func TestLibniceCallsThroughTheRelay(t *testing.T) {
	for _, row := range []struct{ relay, carrier, transport string }{
		{"UDP", "udp4 3478", "udp"},
		{"TCP", "tcp4 3478", "tcp"},
		{"TLS", "tcp4 3478", "tcp"},
	} {
		t.Run(row.relay, func(t *testing.T) {
			t.Parallel()
			both, _ := relayedCall(t, row.carrier, row.transport, func(*duet) (env, args []string) {
				return nil, []string{"testdata/call_libnice.py", server4.String(), strconv.Itoa(plainPort), row.relay, user, password}
			})
			for name, heard := range map[string][]string{"ann": both.Bob.Heard, "bob": both.Ann.Heard} {
				if other := slices.IndexFunc(heard, func(s string) bool { return s != name+" says hello" }); len(heard) < 20 || other >= 0 {
					t.Errorf("of %s the other heard %q, want 20 hellos", name, heard)
				}
			}
		})
	}
}
