//go:build linux

package turn

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// A second address of Duet's machine, of each family.
var second4, second6 = netip.MustParseAddr("192.168.77.11"), netip.MustParseAddr("fd77::11")

func newLabWithSecondAddresses(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	l.server.ip(t, "address add %s/24 dev lan\naddress add %s/64 dev lan nodad\n", second4, second6)
	return l
}

// Over IPv6, too, coturn's client finds that there is no NAT, and misses nothing in the
// answers (RFC 5780).
func TestNatdiscoveryFindsNoNATOverIPv6(t *testing.T) {
	t.Parallel()
	l := newLabWithSecondAddresses(t)
	d := l.serve(t, fmt.Sprintf("listening_ip = [%q, %q]\nalt_listening_ip = [%q, %q]\nalt_listening_port = 3479", server4, server6, second4, second6))
	for flag, want := range map[string]string{
		"-m": "No NAT! (Endpoint Independent Mapping)",
		"-f": "NAT with Endpoint Independent Filtering!",
	} {
		out, ok := l.client.run(t, nil, "turnutils_natdiscovery", flag, "-L", client6.String(), "-l", "5000", server6.String())
		if !ok || !strings.Contains(out, want) || strings.Contains(out, "timeout") || strings.Contains(out, "Not received") {
			t.Errorf("natdiscovery %s does not find %q, or misses something:\n%s", flag, want, tail(out))
		}
	}
	d.stop(t)
}

// Duet listens on all addresses, and the system would answer from the first.
func TestStunclientIsAnsweredByTheAddressItAsks(t *testing.T) {
	t.Parallel()
	l := newLabWithSecondAddresses(t)
	d := l.serve(t)
	for _, at := range []netip.Addr{server4, second4, server6, second6} {
		if out, ok := l.client.run(t, nil, "turnutils_stunclient", at.String()); !ok || !reflexive.MatchString(out) {
			t.Errorf("stunclient did not learn its address from %s:\n%s", at, out)
		}
	}
	d.stop(t)
	answers := make(map[netip.Addr]int)
	for _, p := range l.wire.packets(t) {
		if p.from.Port() == plainPort {
			answers[p.from.Addr()]++
		}
	}
	for _, at := range []netip.Addr{server4, second4, server6, second6} {
		if answers[at] == 0 {
			t.Errorf("nothing came from %s: %v", at, answers)
		}
	}
}
