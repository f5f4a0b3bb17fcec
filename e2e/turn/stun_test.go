//go:build linux

package turn

import (
	"net"
	"net/netip"
	"regexp"
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
