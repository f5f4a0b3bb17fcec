package relay

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// discoveryConfig listens on two ports of two addresses.
func discoveryConfig() (cfg config.Turn, corners [8]netip.AddrPort) {
	cfg = testConfig()
	main, other := cfg.ListeningIP[0], ownLoopback()
	cfg.ListeningPort, cfg.AltListeningPort, cfg.AltListeningIP = 3478, 3479, []netip.Addr{other}
	corners[0] = netip.AddrPortFrom(main, 3478)
	corners[flagChangePort] = netip.AddrPortFrom(main, 3479)
	corners[flagChangeIP] = netip.AddrPortFrom(other, 3478)
	corners[flagChangeIP|flagChangePort] = netip.AddrPortFrom(other, 3479)
	return cfg, corners
}

func change(flags byte) stun.Setter { return raw(attrChangeRequest, 0, 0, 0, flags) }

// askFrom sends a Binding request from one socket and returns the answer that arrives at
// another, and whence.
func askFrom(t *testing.T, out, in *net.UDPConn, server netip.AddrPort, setters ...stun.Setter) (*stun.Message, netip.AddrPort) {
	t.Helper()
	request := stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, setters...)...)
	buf := make([]byte, 4096)
	for range 5 {
		if _, err := out.WriteToUDPAddrPort(request.Raw, server); err != nil {
			t.Fatal(err)
		}
		in.SetReadDeadline(time.Now().Add(patience / 5))
		for {
			n, from, err := in.ReadFromUDPAddrPort(buf)
			if err != nil {
				break
			}
			answer := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
			if answer.Decode() == nil && answer.TransactionID == request.TransactionID {
				return answer, netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			}
		}
	}
	t.Fatalf("no answer from %s", server)
	return nil, netip.AddrPort{}
}

// told reads RESPONSE-ORIGIN and OTHER-ADDRESS, "none" without.
func told(m *stun.Message) (origin, other string) {
	origin, other = "none", "none"
	var o stun.ResponseOrigin
	if o.GetFrom(m) == nil {
		origin = o.String()
	}
	var a stun.OtherAddress
	if a.GetFrom(m) == nil {
		other = a.String()
	}
	return origin, other
}

func TestAnswersComeFromTheCornerThatChangeRequestNames(t *testing.T) {
	cfg, corners := discoveryConfig()
	serve(t, cfg, Options{})
	client := listenUDP(t, mustAddr("127.0.0.1"))
	for _, asked := range []byte{0, 2, 4, 6} {
		for _, flags := range []byte{0, 2, 4, 6} {
			setters := []stun.Setter{change(flags)}
			if flags == 0 {
				setters = nil
			}
			answer, from := askFrom(t, client, client, corners[asked], setters...)
			origin, other := told(answer)
			var mapped stun.XORMappedAddress
			if err := mapped.GetFrom(answer); err != nil || mapped.String() != client.LocalAddr().String() {
				t.Errorf("%s, flags %d: mapped %s (%v)", corners[asked], flags, mapped, err)
			}
			var plain stun.MappedAddress
			if err := plain.GetFrom(answer); err != nil || plain.String() != mapped.String() {
				t.Errorf("%s, flags %d: MAPPED-ADDRESS %s (%v), want %s, too", corners[asked], flags, plain.String(), err, mapped)
			}
			want := corners[asked^flags]
			if from != want || origin != want.String() || other != corners[asked^6].String() {
				t.Errorf("%s, flags %d: from %s, RESPONSE-ORIGIN %s, OTHER-ADDRESS %s, want %s and %s", corners[asked], flags, from, origin, other, want, corners[asked^6])
			}
		}
	}
}

func TestDiscoveryWithoutASecondAddress(t *testing.T) {
	cfg, corners := discoveryConfig()
	cfg.AltListeningIP = nil
	serve(t, cfg, Options{})
	client := listenUDP(t, mustAddr("127.0.0.1"))
	answer, from := askFrom(t, client, client, corners[0], change(flagChangePort))
	if origin, other := told(answer); from != corners[2] || origin != from.String() || other != "none" {
		t.Errorf("from %s, RESPONSE-ORIGIN %s, OTHER-ADDRESS %s", from, origin, other)
	}
	for _, flags := range []byte{4, 6} {
		answer, from = askFrom(t, client, client, corners[0], change(flags))
		if got, _ := attribute(answer.Raw, attrUnknownAttributes); from != corners[0] || code(answer) != 420 || string(got) != "\x00\x03" {
			t.Errorf("flags %d: from %s, %d, unknown %x", flags, from, code(answer), got)
		}
	}
}

func TestDiscoveryIsUnknownWhereItIsNotConfigured(t *testing.T) {
	plain := serve(t, testConfig(), Options{})
	cfg, _ := discoveryConfig()
	cfg.TCP = true
	overTCP := serve(t, cfg, Options{})
	for name, c := range map[string]*wireClient{"UDP": dial(t, plain, "", ""), "TCP": {t: t, conn: dialTCP(t, overTCP)}} {
		for _, setter := range []stun.Setter{change(0), change(6), raw(attrPadding, 0, 0, 0, 0), raw(attrResponsePort, 5, 6, 0, 0)} {
			answer := c.ask(stun.BindingRequest, setter)
			if got, _ := attribute(answer.Raw, attrUnknownAttributes); code(answer) != 420 || len(got) != 2 {
				t.Errorf("%s, %v: %d, unknown %x", name, setter, code(answer), got)
			}
		}
		if origin, other := told(c.ask(stun.BindingRequest)); origin != "none" || other != "none" {
			t.Errorf("%s: RESPONSE-ORIGIN %s, OTHER-ADDRESS %s", name, origin, other)
		}
	}
}

func TestResponsePortIsHonoured(t *testing.T) {
	cfg, corners := discoveryConfig()
	serve(t, cfg, Options{})
	client, other := listenUDP(t, mustAddr("127.0.0.1")), listenUDP(t, mustAddr("127.0.0.1"))
	port := other.LocalAddr().(*net.UDPAddr).Port
	high, low := byte(port>>8), byte(port)
	for name, setters := range map[string][]stun.Setter{
		"4 bytes":             {raw(attrResponsePort, high, low, 0, 0)},
		"2 bytes":             {raw(attrResponsePort, high, low)},
		"with CHANGE-REQUEST": {raw(attrResponsePort, high, low, 0, 0), change(6)},
	} {
		answer, from := askFrom(t, client, other, corners[0], setters...)
		var mapped stun.XORMappedAddress
		if err := mapped.GetFrom(answer); err != nil || mapped.String() != client.LocalAddr().String() {
			t.Errorf("%s: mapped %s (%v)", name, mapped, err)
		}
		if want := corners[6*(len(setters)-1)]; from != want {
			t.Errorf("%s: from %s, want %s", name, from, want)
		}
	}
	for name, setters := range map[string][]stun.Setter{
		"port 0":                    {raw(attrResponsePort, 0, 0, 0, 0)},
		"with PADDING":              {raw(attrResponsePort, high, low, 0, 0), raw(attrPadding, 1, 2, 3, 4)},
		"8 bytes":                   {raw(attrResponsePort, high, low, 0, 0, 0, 0, 0, 0)},
		"CHANGE-REQUEST of 2 bytes": {raw(attrChangeRequest, 0, 6)},
	} {
		if answer, _ := askFrom(t, client, client, corners[0], setters...); code(answer) != 400 {
			t.Errorf("%s: %d, want 400", name, code(answer))
		}
	}
}

func TestPaddingDoesNotAmplify(t *testing.T) {
	cfg, corners := discoveryConfig()
	serve(t, cfg, Options{})
	client := listenUDP(t, mustAddr("127.0.0.1"))
	for _, size := range []int{0, 4, 999, 1500, 1900} {
		answer, _ := askFrom(t, client, client, corners[0], raw(attrPadding, make([]byte, size)...))
		got, ok := attribute(answer.Raw, attrPadding)
		if want := min(size, 1500); !ok || len(got) != want {
			t.Errorf("PADDING of %d (%t) for one of %d, want %d", len(got), ok, size, want)
		}
	}
}

func TestDiscoveryNamesExternalAddresses(t *testing.T) {
	pair := func(public string, private netip.Addr) config.ExternalIP {
		return config.ExternalIP{Public: mustAddr(public), Private: private}
	}
	for name, row := range map[string]struct {
		pairs         func(main, other netip.Addr) []config.ExternalIP
		origin, other string
	}{
		"pairs": {func(main, other netip.Addr) []config.ExternalIP {
			return []config.ExternalIP{pair("198.51.100.1", main), pair("198.51.100.2", other)}
		}, "198.51.100.1:3478", "198.51.100.2:3479"},
		"the partner's is not known": {func(main, _ netip.Addr) []config.ExternalIP {
			return []config.ExternalIP{pair("198.51.100.1", main)}
		}, "198.51.100.1:3478", "none"},
		"both are one outside": {func(main, other netip.Addr) []config.ExternalIP {
			return []config.ExternalIP{pair("198.51.100.1", main), pair("198.51.100.1", other)}
		}, "198.51.100.1:3478", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, corners := discoveryConfig()
			cfg.ExternalIP = config.ExternalIPs{Pairs: row.pairs(corners[0].Addr(), corners[4].Addr())}
			var log lockedBuffer
			s := serve(t, cfg, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			client := listenUDP(t, mustAddr("127.0.0.1"))
			answer, _ := askFrom(t, client, client, corners[0])
			if origin, other := told(answer); origin != row.origin || other != row.other {
				t.Errorf("RESPONSE-ORIGIN %s, OTHER-ADDRESS %s, want %s and %s", origin, other, row.origin, row.other)
			}
			if warned, want := strings.Contains(log.text(), "public/"+corners[4].Addr().String()), len(row.pairs(corners[0].Addr(), corners[4].Addr())) == 1; warned != want {
				t.Errorf("warned %t, want %t: %s", warned, want, log.text())
			}
			if urls := fmt.Sprint(s.URLs()); urls != "[turn:198.51.100.1:3478?transport=udp]" {
				t.Errorf("URLs %s", urls)
			}
		})
	}
}

func TestAnAlternateSocketIsOneLikeAllOthers(t *testing.T) {
	cfg, corners := discoveryConfig()
	serve(t, cfg, Options{})
	conn, err := net.DialUDP("udp", nil, udpAddr(corners[6]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &wireClient{t: t, conn: conn, user: "ann", password: "pass", key: stun.NewLongTermIntegrity("ann", testRealm, "pass")}
	if relayed := c.allocate(); relayed.Addr() != corners[0].Addr() {
		t.Errorf("relayed %s", relayed)
	}
}

func TestAlternateSocketsThatCannotBe(t *testing.T) {
	cfg, corners := discoveryConfig()
	taken, err := net.ListenUDP("udp", udpAddr(corners[6]))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := New(cfg, Options{}); err == nil || !strings.Contains(err.Error(), corners[6].String()+": address already in use; correct [turn] alt_listening_ip") {
		t.Errorf("%v", err)
	}
}

// newSquare is newGate for a server with alternates; all four sockets are out.
func newSquare(t *testing.T, change func(*config.Turn)) (*shard, *outbox) {
	t.Helper()
	gate, out := newGate(t, func(cfg *config.Turn) {
		*cfg, _ = discoveryConfig()
		if change != nil {
			change(cfg)
		}
	})
	for _, corner := range gate.square {
		if corner != nil {
			corner.socket = newSocket(out)
		}
	}
	return gate, out
}

// discoveries are what strangers can send of RFC 5780, and how many bytes coturn 4.6.1
// with two addresses answers to each.
func discoveries() []struct {
	name     string
	datagram []byte
	coturn   int
} {
	request := func(setters ...stun.Setter) []byte {
		return stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.BindingRequest}, setters...)...).Raw
	}
	return []struct {
		name     string
		datagram []byte
		coturn   int
	}{
		{"plain", request(), 92},
		{"change both", request(change(6)), 92},
		{"response port", request(raw(attrResponsePort, 0x80, 0, 0, 0)), 92},
		{"padding", request(raw(attrPadding, 0, 0, 0, 0)), 1596},
		{"longest padding", request(raw(attrPadding, make([]byte, 2024)...)), 1596},
	}
}

func TestDiscoveryAnswersAreNotLargerThanCoturnsAndAllocateNothing(t *testing.T) {
	gate, out := newSquare(t, nil)
	buf := make([]byte, maxRequest)
	for _, row := range discoveries() {
		*out = outbox{}
		admit := func() { gate.admit(buf, copy(buf, row.datagram), stranger) }
		admit()
		if out.packets != 1 || out.bytes > row.coturn {
			t.Errorf("%s: %d bytes out in %d packets; coturn sends %d", row.name, out.bytes, out.packets, row.coturn)
		}
		if allocs := testing.AllocsPerRun(1000, admit); allocs != 0 {
			t.Errorf("%s: %v allocations", row.name, allocs)
		}
	}
}

func TestBindingRateCountsAllCornersTogether(t *testing.T) {
	gate, out := newSquare(t, func(cfg *config.Turn) { cfg.BindingRate = 2 })
	buf := make([]byte, maxRequest)
	datagram := stun.MustBuild(stun.TransactionID, stun.BindingRequest, change(6)).Raw
	for _, corner := range gate.square {
		if corner != nil {
			corner.admit(buf, copy(buf, datagram), stranger)
		}
	}
	if dropped := gate.server.Stats().Dropped[DropRate]; out.packets != 2 || dropped != 2 {
		t.Errorf("%d answers, %d dropped, want 2 and 2", out.packets, dropped)
	}
}
