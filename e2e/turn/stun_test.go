//go:build linux

package turn

import (
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

var reflexive = regexp.MustCompile(`UDP reflexive addr: (\S+):(\d+)`)

func TestStunclientLearnsItsAddress(t *testing.T) {
	for name, addrs := range map[string][2]netip.Addr{"IPv4": {server4, client4}, "IPv6": {server6, client6}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			d := l.serve(t)
			out, ok := l.client.run(t, nil, "turnutils_stunclient", addrs[0].String())
			d.stop(t)
			said := reflexive.FindStringSubmatch(out)
			if !ok || said == nil || said[1] != addrs[1].String() {
				t.Fatalf("stunclient did not learn %s:\n%s", addrs[1], out)
			}
			packets, came := l.wire.packets(t), false
			for _, p := range packets {
				came = came || p.from.String() == net.JoinHostPort(said[1], said[2]) && p.to == netip.AddrPortFrom(addrs[0], plainPort)
			}
			w := read(packets)
			if !came || w.count(true, bindingRequest) == 0 || w.count(false, bindingSuccess) == 0 {
				t.Errorf("no Binding from %s and back on the wire", net.JoinHostPort(said[1], said[2]))
			}
		})
	}
}

// With a second address, clients find out what their NAT does (RFC 5780). There is none
// here: every answer, from wherever it is asked for, must arrive.
func TestNATBehaviourIsDiscovered(t *testing.T) {
	const primary, other = "192.168.77.10:3478", "192.168.77.11:3479"
	for _, row := range []struct {
		tool, flags string
		says        []string
		from        []string // answers on the wire
	}{
		{"turnutils_stunclient", "-f", []string{"Other addr: : " + other, "RFC 5780 response 3"}, []string{primary, other}},
		{
			"turnutils_natdiscovery", "-m -f",
			[]string{"Other addr: : " + other, "Endpoint Independent Mapping!", "Endpoint Independent Filtering!"},
			[]string{primary, "192.168.77.11:3478", other},
		},
	} {
		t.Run(row.tool, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.server.ip(t, "address add 192.168.77.11/24 dev lan\n")
			d := l.serve(t, `listening_ip = ["192.168.77.10"]`, `alt_listening_ip = ["192.168.77.11"]`, "alt_listening_port = 3479")
			out, ok := l.client.run(t, nil, row.tool, append(strings.Fields(row.flags), server4.String())...)
			d.stop(t)
			for _, want := range row.says {
				if !ok || !strings.Contains(out, want) {
					t.Errorf("%s does not say %q:\n%s", row.tool, want, out)
				}
			}
			answered := make(map[string]int)
			for _, p := range l.wire.packets(t) {
				if p.to.Addr() == client4 && kindOf(p.payload) == bindingSuccess {
					answered[p.from.String()]++
				}
			}
			for _, from := range row.from {
				if answered[from] == 0 {
					t.Errorf("answers came from %v, want some from %s", answered, from)
				}
			}
		})
	}
}
