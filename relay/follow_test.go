package relay

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duetcall/duet/config"
)

// world is what a follower finds out about, and the log it writes. Time is synctest's.
type world struct {
	*follower
	machine machine
	names   map[string]resolution
	sees    string // what STUN servers see; empty: they are silent
	asked   int    // how often each was
	log     bytes.Buffer
	at      []Address // as published last

	// turn passes all that from the test to the follower; synctest.Wait passes it back.
	turn sync.Mutex
}

func (w *world) take() { w.turn.Lock(); w.turn.Unlock() } //nolint:staticcheck // an empty section on purpose

func newWorld(t *testing.T, cfg config.Turn) *world {
	t.Helper()
	w := &world{
		machine: machine{
			interfaces: []ifaceAddr{{"lo", netip.MustParsePrefix("127.0.0.1/8"), true}, {"eth0", netip.MustParsePrefix("10.0.0.5/24"), false}},
			route4:     mustAddr("10.0.0.5"),
		},
		names: make(map[string]resolution),
	}
	w.follower = newFollower(cfg, slog.New(slog.NewTextHandler(&w.log, nil)))
	w.inspect = func() machine { w.take(); return w.machine }
	w.usable = func(netip.Addr) error { return nil }
	w.lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		w.take()
		return w.names[host].addrs, w.names[host].err
	}
	w.ask = func(_ context.Context, _ netip.Addr, servers []config.STUNServer, _ lookupFunc) []stunAnswer {
		w.take()
		w.asked++
		answers := make([]stunAnswer, len(servers))
		for i, server := range servers {
			answers[i] = stunAnswer{server: server, err: errSilent}
			if w.sees != "" {
				answers[i] = stunAnswer{server: server, mapped: netip.AddrPortFrom(mustAddr(w.sees), 5), localPort: 5}
			}
		}
		return answers
	}
	return w
}

// begin starts following until the test ends.
func (w *world) begin(t *testing.T) {
	t.Helper()
	if _, err := w.start(); err != nil {
		t.Fatal(err)
	}
	w.at = w.addresses()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx, func(addresses []Address, _ machine) { w.take(); w.at = addresses })
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// after lets time pass, and returns what was logged meanwhile.
func (w *world) after(d time.Duration) (lines []string) {
	synctest.Wait()
	w.log.Reset()
	w.take()
	time.Sleep(d)
	synctest.Wait()
	if text := strings.TrimSpace(w.log.String()); text != "" {
		lines = strings.Split(text, "\n")
	}
	return lines
}

// wantLine checks that one line was logged, and what it says.
func wantLine(t *testing.T, lines []string, parts ...string) {
	t.Helper()
	if len(lines) != 1 {
		t.Errorf("%d lines, want one:\n%s", len(lines), strings.Join(lines, "\n"))
		return
	}
	for _, part := range parts {
		if !strings.Contains(lines[0], part) {
			t.Errorf("%s\nlacks %s", lines[0], part)
		}
	}
}

func (w *world) want(t *testing.T, external, how, warning string) {
	t.Helper()
	if got := w.at[0]; got.External != mustAddr(external) || got.How != how || got.Warning != warning {
		t.Errorf("%s (%s) %q\nwant %s (%s) %q", got.External, got.How, got.Warning, external, how, warning)
	}
}

func named(name string) config.ExternalIPs {
	return config.ExternalIPs{Pairs: []config.ExternalIP{{Name: name}}}
}

func ips(list ...string) (r resolution) {
	for _, s := range list {
		r.addrs = append(r.addrs, mustAddr(s))
	}
	return r
}

func notFound() resolution {
	return resolution{err: &net.DNSError{Err: "no such host", Name: "turn.example.org", IsNotFound: true}}
}

var oneServer = []config.STUNServer{{Host: "stun.example.org", Port: 3478}}

func TestNameIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const how = "the address of turn.example.org, relaying from 10.0.0.5"
		w := newWorld(t, config.Turn{ExternalIP: named("turn.example.org")})
		w.names["turn.example.org"] = ips("9.9.9.9", "2a00::1")
		w.begin(t)
		w.want(t, "9.9.9.9", how, "")

		w.names["turn.example.org"] = ips("8.8.8.8", "9.9.9.9")
		if lines := w.after(5 * recheckInterval); lines != nil {
			t.Errorf("the address is still listed, but: %q", lines)
		}
		w.want(t, "9.9.9.9", how, "")

		w.names["turn.example.org"] = ips("8.8.8.8", "7.7.7.7")
		wantLine(t, w.after(recheckInterval), "INFO", "external address changed", "from=9.9.9.9", "to=8.8.8.8", `how="`+how+`"`)
		w.want(t, "8.8.8.8", how, "")

		w.names["turn.example.org"] = notFound()
		wantLine(t, w.after(10*recheckInterval), "WARN", "can't resolve turn.example.org (no such name); keeping 8.8.8.8")
		w.want(t, "8.8.8.8", how, "can't resolve turn.example.org (no such name); keeping 8.8.8.8")

		w.names["turn.example.org"] = ips("8.8.8.8")
		wantLine(t, w.after(10*recheckInterval), "INFO", "well again", "external=8.8.8.8")
	})
}

func TestNameUnknownAtTheStartIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Turn{ExternalIP: named("turn.example.org")})
		w.names["turn.example.org"] = notFound()
		w.begin(t)
		w.want(t, "10.0.0.5", "the address of eth0, the default route", "can't resolve turn.example.org (no such name); using 10.0.0.5 until that changes")
		if w.at[0].lan.IsValid() {
			t.Error("a name that fails opens the local network")
		}
		w.names["turn.example.org"] = ips("9.9.9.9")
		wantLine(t, w.after(recheckInterval), "from=10.0.0.5", "to=9.9.9.9")
	})
}

func TestNamesThatAreNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct{ addr, warning string }{
			{"127.0.1.1", "turn.example.org is 127.0.1.1, which is not how others reach this machine (see /etc/hosts); using 10.0.0.5 until that changes"},
			{"0.0.0.0", "turn.example.org is 0.0.0.0, which is not how others reach this machine (see /etc/hosts); using 10.0.0.5 until that changes"},
			{"224.0.0.1", "turn.example.org is 224.0.0.1, which is not how others reach this machine (see /etc/hosts); using 10.0.0.5 until that changes"},
			{"2a00::1", "turn.example.org has no IPv4 address; using 10.0.0.5 until that changes"},
		} {
			w := newWorld(t, config.Turn{ExternalIP: named("turn.example.org")})
			w.names["turn.example.org"] = ips(row.addr)
			if _, err := w.start(); err != nil {
				t.Fatal(err)
			}
			w.at = w.addresses()
			w.want(t, "10.0.0.5", "the address of eth0, the default route", row.warning)
		}
		private := newWorld(t, config.Turn{ExternalIP: named("turn.example.org")})
		private.names["turn.example.org"] = ips("192.168.1.1")
		if _, err := private.start(); err != nil {
			t.Fatal(err)
		}
		if at := private.addresses()[0]; at.External != mustAddr("192.168.1.1") || !strings.Contains(at.Warning, "people outside this network can't reach 192.168.1.1") {
			t.Errorf("%+v", at)
		}
	})
}

func TestNameGivesEachFamilyItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Turn{ExternalIP: named("turn.example.org")})
		w.machine.interfaces = append(w.machine.interfaces, ifaceAddr{"eth0", netip.MustParsePrefix("2a00:1::9/64"), false})
		w.machine.route6 = mustAddr("2a00:1::9")
		w.names["turn.example.org"] = ips("9.9.9.9")
		w.begin(t)
		if len(w.at) != 2 || w.at[0].External != mustAddr("9.9.9.9") || w.at[1].External != mustAddr("2a00:1::9") || w.at[1].Warning != "" {
			t.Fatalf("%+v", w.at)
		}
		w.names["turn.example.org"] = ips("9.9.9.9", "2a00:1::10")
		wantLine(t, w.after(recheckInterval), "from=2a00:1::9", "to=2a00:1::10")
		w.names["turn.example.org"] = ips("9.9.9.9")
		wantLine(t, w.after(recheckInterval), "turn.example.org has no IPv6 address; keeping 2a00:1::10")
	})
}

func TestNameOfOneLocalAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Turn{ExternalIP: config.ExternalIPs{Pairs: []config.ExternalIP{{Name: "turn.example.org", Private: mustAddr("10.0.0.7")}}}})
		w.names["turn.example.org"] = ips("9.9.9.9")
		w.begin(t)
		if got := w.at[0]; got.Relay != mustAddr("10.0.0.7") || got.External != mustAddr("9.9.9.9") {
			t.Errorf("%+v", got)
		}
	})
}

func TestAutoTakesWhatSTUNServersSee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Turn{ExternalIP: config.ExternalIPs{Auto: true}, STUNServers: oneServer})
		w.begin(t)
		w.want(t, "10.0.0.5", "the address of eth0, the default route", "stun.example.org does not answer; using 10.0.0.5 until that changes")
		if w.at[0].lan.IsValid() {
			t.Error("a silent server opens the local network")
		}

		w.sees = "9.9.9.9"
		wantLine(t, w.after(recheckInterval), "INFO", "from=10.0.0.5", "to=9.9.9.9", `how="the answer of stun.example.org from 10.0.0.5"`)
		w.want(t, "9.9.9.9", "the answer of stun.example.org from 10.0.0.5", "")

		asked := w.asked
		if lines := w.after(10 * stunInterval); lines != nil || w.asked > asked+10 {
			t.Errorf("%q, asked %d times in %s", lines, w.asked-asked, 10*stunInterval)
		}
		w.sees = "8.8.8.8"
		wantLine(t, w.after(stunInterval), "from=9.9.9.9", "to=8.8.8.8")
		w.sees = ""
		wantLine(t, w.after(10*stunInterval), "WARN", "stun.example.org does not answer; keeping 8.8.8.8")
	})
}

func TestNobodyIsAskedUnlessTheOperatorSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public := machine{interfaces: []ifaceAddr{{"eth0", netip.MustParsePrefix("9.9.9.1/24"), false}}, route4: mustAddr("9.9.9.1")}
		for name, row := range map[string]struct {
			cfg     config.Turn
			machine machine
		}{
			"no servers":           {config.Turn{ExternalIP: config.ExternalIPs{Auto: true}}, machine{}},
			"a public address":     {config.Turn{ExternalIP: config.ExternalIPs{Auto: true}, STUNServers: oneServer}, public},
			"the relay's own only": {config.Turn{STUNServers: oneServer}, machine{}},
		} {
			w := newWorld(t, row.cfg)
			if row.machine.interfaces != nil {
				w.machine = row.machine
			}
			w.begin(t)
			w.after(10 * stunInterval)
			if w.asked > 0 {
				t.Errorf("%s: asked %d times", name, w.asked)
			}
		}
	})
}

func TestAddressSetByHandIsCheckedByServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const how = "set in external_ip, relaying from 10.0.0.5"
		w := newWorld(t, config.Turn{ExternalIP: config.ExternalIPs{Pairs: []config.ExternalIP{{Public: mustAddr("9.9.9.9")}}}, STUNServers: oneServer})
		w.sees = "8.8.8.8"
		w.begin(t)
		w.want(t, "9.9.9.9", how, "external_ip says 9.9.9.9, but stun.example.org sees 8.8.8.8: correct external_ip")
		w.sees = "9.9.9.9"
		wantLine(t, w.after(stunInterval), "well again")
		w.want(t, "9.9.9.9", how, "")
	})
	synctest.Test(t, func(t *testing.T) { // in a time of its own: the other goes on following
		old := newWorld(t, config.Turn{ExternalIP: named("turn.example.org"), STUNServers: oneServer})
		old.names["turn.example.org"], old.sees = ips("9.9.9.9"), "8.8.8.8"
		old.begin(t)
		old.want(t, "9.9.9.9", "the address of turn.example.org, relaying from 10.0.0.5", "turn.example.org is 9.9.9.9, but stun.example.org sees 8.8.8.8: is its record old?")
		old.names["turn.example.org"] = notFound()
		old.after(recheckInterval)
		old.want(t, "9.9.9.9", "the address of turn.example.org, relaying from 10.0.0.5", "can't resolve turn.example.org (no such name); keeping 9.9.9.9")
	})
}

func TestNATThatChangesPortsIsWarnedAbout(t *testing.T) {
	at := place{choice: choice{addr: mustAddr("10.0.0.5"), source: sourceMachine}}
	got := at.describe(config.Turn{}, heard{}, heard{addr: mustAddr("9.9.9.9"), from: "stun.example.org", remapped: true})
	if !strings.Contains(got.Warning, "changes port numbers") || !strings.Contains(got.Warning, "10.0.0.5") {
		t.Errorf("%+v", got)
	}
}

func TestMachineThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Turn{ExternalIP: config.ExternalIPs{Auto: true}, STUNServers: oneServer})
		w.sees = "9.9.9.9"
		w.begin(t)
		here := w.machine

		w.machine = machine{interfaces: here.interfaces[:1]}
		wantLine(t, w.after(3*recheckInterval), "WARN", "the network is down: 10.0.0.5 was the last address to relay on")
		w.machine = machine{}
		if lines := w.after(3 * recheckInterval); lines != nil {
			t.Errorf("%q", lines)
		}
		w.machine = here
		wantLine(t, w.after(recheckInterval), "well again", "external=9.9.9.9")

		// Another router: its NAT is asked at once.
		w.sees = "8.8.8.8"
		w.machine = machine{
			interfaces: append(slices.Clone(here.interfaces), ifaceAddr{"wlan0", netip.MustParsePrefix("192.168.1.7/24"), false}),
			route4:     mustAddr("192.168.1.7"),
		}
		wantLine(t, w.after(recheckInterval), "from=9.9.9.9", "to=8.8.8.8", "relay=192.168.1.7", "from 192.168.1.7")
		if w.at[0].Relay != mustAddr("192.168.1.7") {
			t.Errorf("%+v", w.at[0])
		}
		// An address that does not work is none.
		w.usable = func(netip.Addr) error { return errNoPort }
		w.machine = here
		wantLine(t, w.after(recheckInterval), "WARN", errNoPort.Error())
		if w.at[0].Relay != mustAddr("192.168.1.7") {
			t.Errorf("%+v", w.at[0])
		}
	})
}

// A service may be started before the network is.
func TestNetworkThatComesUpLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config.Turn{ExternalIP: config.ExternalIPs{Auto: true}})
		up := w.machine
		w.machine = machine{interfaces: up.interfaces[:1]}
		w.begin(t)
		w.want(t, "127.0.0.1", "loopback, nothing else is up", "only loopback is up: calls work on this machine only")
		w.machine = up
		wantLine(t, w.after(recheckInterval), "from=127.0.0.1", "to=10.0.0.5")
		if !w.at[0].lan.IsValid() {
			t.Error("a relay for the local network only does not reach it")
		}
	})
}
