package relay

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay/peerpolicy"
)

// loggedGate is a gate without limits on strangers, and what it writes.
func loggedGate(t *testing.T) (*shard, *bytes.Buffer) {
	t.Helper()
	gate, _ := newGate(t, func(cfg *config.Turn) { cfg.ErrorRate, cfg.BindingRate = 0, 0 })
	gate.server.settings.Load().limits = &limits{}
	var log bytes.Buffer // one goroutine writes it, the test's
	gate.server.log = newQuietLog(slog.New(slog.NewTextHandler(&log, nil)))
	return gate, &log
}

func (s *shard) give(client netip.AddrPort, datagram []byte) {
	s.admit(bytes.Clone(datagram), len(datagram), client)
}

// login is an Allocate that shows a credential, with a nonce of ours unless it shall be none.
func login(gate *shard, client netip.AddrPort, username, password string, foreign bool, more ...stun.Setter) []byte {
	var h hasher
	nonce := "made up"
	if !foreign {
		nonce = string(gate.server.settings.Load().nonces.issue(nil, &h, client, gate.server.now()))
	}
	all := []stun.Setter{stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)}
	all = append(all, more...)
	return stun.MustBuild(append(all, stun.NewUsername(username), stun.NewRealm(testRealm), stun.NewNonce(nonce),
		stun.NewLongTermIntegrity(username, testRealm, password))...).Raw
}

func elsewhere(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 4000)
}

// Whatever comes, from however many sources, and whatever they call themselves.
func TestNobodyFloodsTheLog(t *testing.T) {
	gate, log := loggedGate(t)
	const flood = 2000
	unsigned := strangers(t, gate)
	began := time.Now()
	for n := range flood {
		for _, row := range unsigned[:12] {
			gate.give(elsewhere(n), row.datagram)
		}
		gate.give(elsewhere(n), login(gate, elsewhere(n), "canary", "x", true, wantUDP))
		gate.give(elsewhere(n), login(gate, elsewhere(n), "canary", "guessed", false, wantUDP))
		gate.give(elsewhere(n), login(gate, elsewhere(n), "1800000000:canary", "guessed", false, wantUDP))
		gate.give(elsewhere(n), login(gate, elsewhere(n), "ann", "pass", false))                           // 400
		gate.give(elsewhere(n), login(gate, elsewhere(n), "ann", "pass", false, wantUDP, raw(0x7770)))     // 420
		gate.give(elsewhere(n), login(gate, elsewhere(n), "ann", "pass", false, raw(0x0019, 6, 0, 0, 0)))  // 442
		gate.server.log.peerRefused(elsewhere(n), user{}, elsewhere(n), peerpolicy.Rule("denied_peer_ip")) // 403
		gate.server.log.refused(elsewhere(n), user{}, RefusedUserQuota)
	}
	elapsed := time.Since(began)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if most := refusalLinesBurst + int(elapsed.Seconds()*refusalLines) + 1; len(lines) > most {
		t.Errorf("%d lines in %s, want at most %d", len(lines), elapsed, most)
	}
	perSecond := make(map[string]int)
	for _, line := range lines {
		perSecond[line[:len("time=2006-01-02T15:04:05")]]++
	}
	for second, n := range perSecond {
		if n > 20 {
			t.Errorf("%d lines at %s", n, second)
		}
	}
	if strings.Contains(log.String(), "canary") {
		t.Error("the log repeats what a stranger said")
	}
	t.Logf("%d lines about %d requests in %s", len(lines), flood*20, elapsed)
}

// omitted adds up what lines of a kind say was left out.
func omitted(log, kind string) (lines, left int) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, kind) {
			lines++
			n := 0
			if _, after, ok := strings.Cut(line, "omitted="); ok {
				fmt.Sscan(after, &n)
			}
			left += n
		}
	}
	return lines, left
}

// Who guesses passwords is found, whatever others do and whatever else they do themselves.
func TestNothingHidesWhoGuessesPasswords(t *testing.T) {
	gate, log := loggedGate(t)
	guesser, loud, n := stranger, elsewhere(1), 1
	failures := gate.server.log.classes[RefusedCredential].sources
	for failures.Meet(loud.Addr(), guesser.Addr()) {
		n++
		loud = elsewhere(n)
	}
	line := regexp.MustCompile(`msg="authentication failed" client=` + regexp.QuoteMeta(guesser.String()) + ` user="" code=401 reason=credential`)
	eventually(t, "the guesser has a line", func() bool {
		for range 200 {
			n++
			gate.give(elsewhere(n), login(gate, elsewhere(n), "ann", "pass", false))
			gate.server.log.refused(elsewhere(n), user{}, RefusedUserQuota)
			gate.server.log.peerRefused(elsewhere(n), user{}, stranger, peerpolicy.Rule("denied_peer_ip"))
			gate.give(guesser, login(gate, guesser, "ann", "pass", false)) // malformed
			gate.give(loud, login(gate, loud, "ann", "guessed", false, wantUDP))
		}
		gate.give(guesser, login(gate, guesser, "ann", "guessed", false, wantUDP))
		return line.MatchString(log.String())
	})
}

// Each kind of refusal is told at once, even while another is all over the place, and how
// many were left out is told with the next of that kind.
func TestNoRefusalHidesAnother(t *testing.T) {
	_, log := loggedGate(t)
	quiet := newQuietLog(slog.New(slog.NewTextHandler(log, nil)))
	sources := quiet.classes[RefusedUserQuota].sources
	for n, sent := 1, 0; sent < 1000; n++ {
		if !sources.Meet(elsewhere(n).Addr(), stranger.Addr()) {
			quiet.refused(elsewhere(n), user{}, RefusedNoPort)
			sent++
		}
	}
	quiet.refused(stranger, user{name: "ann"}, RefusedUserQuota)
	if lines, _ := omitted(log.String(), "code=508 reason=no_port"); lines != 1 {
		t.Errorf("%d lines about full ports, want 1", lines)
	}
	if lines, left := omitted(log.String(), "user=ann code=486 reason=user_quota"); lines != 1 || left != 0 {
		t.Errorf("%d lines about the quota, which say that %d are missing", lines, left)
	}
	quiet.classes[RefusedNoPort].all.SetLimit(1e9) // time has passed
	quiet.refused(stranger, user{}, RefusedNoPort)
	if lines, left := omitted(log.String(), "reason=no_port"); lines+left != 1001 {
		t.Errorf("%d lines, %d left out, want 1001 together", lines, left)
	}
}

func TestAgedNoncesAreNoNews(t *testing.T) {
	gate, log := loggedGate(t)
	gate.give(stranger, login(gate, stranger, "ann", "pass", true, wantUDP))
	gate.server.log.refused(stranger, user{name: "ann"}, RefusedStaleNonce)
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

// An allocation has one line at its end. Who makes and ends them for sport does not hide others.
func TestTheEndOfAnAllocationIsOneLine(t *testing.T) {
	log := make(lines, 2*endLinesBurst)
	cfg := testConfig()
	cfg.UserQuota = 0
	s := serve(t, cfg, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	a, b := pair(t, s)
	talk(t, a, b)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-log
	want := regexp.MustCompile(`level=INFO msg="allocation ended" client=127\.\d+\.\d+\.\d+:\d+ relayed=` + regexp.QuoteMeta(a.LocalAddr().String()) +
		` user=ann transport=udp family=ipv4 duration=\S+s bytes_from_client=([1-9]\d{3}) bytes_from_peers=([1-9]\d{3}) reason=released\n$`)
	if !want.MatchString(got) {
		t.Errorf("logged: %s", got)
	}
	began := time.Now()
	const sport = 300
	player := dial(t, s, "bob", "word")
	for range sport {
		player.allocate()
		player.want(player.do(stun.MethodRefresh, seconds(0)), 0)
	}
	eventually(t, "all are over", func() bool { return s.Stats().Ended[EndReleased] == sport+1 })
	// The caller's own line was about the same machine.
	if most := 20 + int(time.Since(began).Seconds()*sourceLines) + 1; len(log) > most || len(log) < 15 {
		t.Errorf("%d lines about %d allocations, want at most %d", len(log), sport, most)
	}
}

// A peer without permission is counted, and never a line.
func TestUnsolicitedPacketsWriteNothing(t *testing.T) {
	log := make(lines, 100)
	s := serve(t, testConfig(), Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	c := dial(t, s, "ann", "pass")
	relayed := c.allocate()
	flood := listenUDP(t, ownLoopback())
	const packets = 10_000
	for n := range packets {
		if _, err := flood.WriteToUDPAddrPort([]byte("unsolicited"), relayed); err != nil {
			t.Fatal(err)
		}
		if n%100 == 0 { // keep the kernel's queue from overflowing
			want := uint64(n)
			eventually(t, "they are counted", func() bool { return s.Stats().Dropped[DropUnsolicited] >= want*9/10 })
		}
	}
	c.want(c.do(stun.MethodRefresh, seconds(600)), 0)
	if len(log) > 0 {
		t.Errorf("logged: %s", <-log)
	}
}

// In fields of a line is nothing that looks like the end of one.
func TestAMembersNameIsOneField(t *testing.T) {
	_, log := loggedGate(t)
	quiet := newQuietLog(slog.New(slog.NewTextHandler(log, nil)))
	quiet.refused(stranger, user{name: "x\nlevel=INFO msg=\"authentication failed\" client=203.0.113.1:5"}, RefusedTooMany)
	got := slices.Collect(strings.Lines(log.String()))
	if len(got) != 1 || strings.Contains(got[0], `msg="authentication failed"`) {
		t.Errorf("%d lines: %q", len(got), got)
	}
}
