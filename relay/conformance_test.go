package relay

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// The answers of RFC 8489 and RFC 8656, as they look on the wire.

func TestBindingAnswers(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "", "")
	for _, row := range []struct {
		name    string
		setters []stun.Setter
		want    string // types and sizes of the attributes
	}{
		{"plain", nil, "0020:8"},
		{"with FINGERPRINT", []stun.Setter{stun.Fingerprint}, "0020:8 8028:4"},
		{"of an ICE agent", []stun.Setter{
			stun.NewUsername("a:b"), raw(stun.AttrPriority, 1, 2, 3, 4), raw(stun.AttrUseCandidate), stun.NewShortTermIntegrity("pw"),
		}, "0020:8"},
		{"with optional attributes", []stun.Setter{stun.NewSoftware("them"), raw(0xC057, 0, 0, 0, 1)}, "0020:8"},
		{"with CHANGE-REQUEST", []stun.Setter{raw(0x0003, 0, 0, 0, 6)}, "0009:21 000a:2"},
		{"with three unknown ones", []stun.Setter{raw(0x7001), raw(0x7002, 1), raw(0x7003)}, "0009:21 000a:6"},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := c.ask(append([]stun.Setter{stun.BindingRequest}, row.setters...)...)
			if got := shapeOf(answer); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if err := stun.Fingerprint.Check(answer); answer.Contains(stun.AttrFingerprint) && err != nil {
				t.Error(err)
			}
		})
	}
}

// shapeOf lists the attributes of a message, "0020:8 8028:4".
func shapeOf(m *stun.Message) string {
	var shape []string
	for _, a := range m.Attributes {
		shape = append(shape, fmt.Sprintf("%04x:%d", uint16(a.Type), a.Length))
	}
	return strings.Join(shape, " ")
}

func TestAllocateAnswers(t *testing.T) {
	cfg := testConfig()
	s := serve(t, cfg, Options{})
	for _, row := range []struct {
		name    string
		setters []stun.Setter
		want    int
	}{
		{"UDP", []stun.Setter{wantUDP}, 0},
		{"IPv4", []stun.Setter{wantUDP, raw(attrRequestedFamily, 1, 0, 0, 0)}, 0},
		{"DONT-FRAGMENT", []stun.Setter{wantUDP, raw(stun.AttrDontFragment)}, 0},
		{"EVEN-PORT", []stun.Setter{wantUDP, raw(stun.AttrEvenPort, 0x80)}, 0},
		{"no transport", nil, 400},
		{"TCP", []stun.Setter{raw(stun.AttrRequestedTransport, 6, 0, 0, 0)}, 442},
		{"IPv6, which this relay has not", []stun.Setter{wantUDP, raw(attrRequestedFamily, 2, 0, 0, 0)}, 440},
		{"a family that is none", []stun.Setter{wantUDP, raw(attrRequestedFamily, 9, 0, 0, 0)}, 440},
		{"unknown attribute", []stun.Setter{wantUDP, raw(0x7777)}, 420},
		{"unknown token", []stun.Setter{wantUDP, raw(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)}, 508},
		{"token and EVEN-PORT", []stun.Setter{wantUDP, raw(stun.AttrEvenPort, 0), raw(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)}, 400},
		{"token and family", []stun.Setter{wantUDP, raw(attrRequestedFamily, 1, 0, 0, 0), raw(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)}, 400},
		{"additional IPv6", []stun.Setter{wantUDP, raw(attrAdditionalFamily, 2, 0, 0, 0)}, 0},
		{"additional IPv4", []stun.Setter{wantUDP, raw(attrAdditionalFamily, 1, 0, 0, 0)}, 400},
		{"additional and requested family", []stun.Setter{wantUDP, raw(attrRequestedFamily, 1, 0, 0, 0), raw(attrAdditionalFamily, 2, 0, 0, 0)}, 400},
		{"additional family and a port pair", []stun.Setter{wantUDP, raw(stun.AttrEvenPort, 0x80), raw(attrAdditionalFamily, 2, 0, 0, 0)}, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dial(t, s, "ann", "pass")
			c.nonce = nil
			answer := c.do(stun.MethodAllocate, row.setters...)
			c.want(answer, row.want)
			if err := c.key.Check(answer); err != nil {
				t.Errorf("not signed: %v", err)
			}
			if err := stun.Fingerprint.Check(answer); err != nil {
				t.Errorf("the request had a FINGERPRINT: %v", err)
			}
			if row.want == 420 {
				if value, _ := answer.Get(stun.AttrUnknownAttributes); !bytes.Equal(value, []byte{0x77, 0x77}) {
					t.Errorf("UNKNOWN-ATTRIBUTES %x", value)
				}
			}
		})
	}
}

func TestAllocateTellsEverything(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	answer := c.do(stun.MethodAllocate, wantUDP, raw(attrAdditionalFamily, 2, 0, 0, 0))
	if got, want := shapeOf(answer), "0016:8 000d:4 0020:8 8001:32 0008:20 8028:4"; got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
	var relayed, mapped stun.XORMappedAddress
	if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil || relayed.Port < 20000 || relayed.Port > 20099 {
		t.Errorf("relayed %s: %v", relayed, err)
	}
	if err := mapped.GetFrom(answer); err != nil || mapped.String() != c.conn.LocalAddr().String() {
		t.Errorf("mapped %s: %v", mapped, err)
	}
	if value, _ := answer.Get(attrAddressErrorCode); !bytes.HasPrefix(value, []byte{familyIPv6, 0, 4, 40}) {
		t.Errorf("ADDRESS-ERROR-CODE %x", value)
	}
}

// A retransmission gets the same answer, byte for byte; another Allocate does not.
func TestRetransmittedAllocateIsTheSameAllocation(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c := dial(t, s, "ann", "pass")
	c.do(stun.MethodRefresh)
	request := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, c.signed(stun.MethodAllocate, wantUDP, raw(stun.AttrEvenPort, 0x80))...)...)
	first, second := c.exchange(request), c.exchange(request)
	if code(first) != 0 || !bytes.Equal(first.Raw, second.Raw) {
		t.Errorf("first %s\nthen %s", first, second)
	}
	c.want(c.do(stun.MethodAllocate, wantUDP), 437)
	if total := s.Stats().AllocationsTotal; total != 1 {
		t.Errorf("%d allocations", total)
	}
}

func TestLifetimesAreWithinTheConfigured(t *testing.T) {
	cfg := testConfig()
	cfg.MaxAllocateLifetime = config.Duration(20 * time.Minute)
	s := serve(t, cfg, Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	for asked, want := range map[uint32]uint32{1: 600, 600: 600, 1199: 1199, 1200: 1200, 1201: 1200, 3600: 1200, 1<<32 - 1: 1200} {
		if got := lifetimeOf(t, c.do(stun.MethodRefresh, seconds(asked))); got != want {
			t.Errorf("asked for %d s, got %d, want %d", asked, got, want)
		}
	}
}

func TestChannelNumbers(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	c, peer := dial(t, s, "ann", "pass"), dial(t, s, "bob", "word")
	c.allocate()
	at := peer.allocate()
	other := netip.AddrPortFrom(at.Addr(), at.Port()^1)
	for _, row := range []struct {
		number uint16
		peer   netip.AddrPort
		want   int
	}{
		{0x3FFF, at, 400},
		{0x8000, at, 400},
		{0xFFFF, at, 400},
		{0x4000, at, 0},
		{0x4000, at, 0},      // a refresh
		{0x4000, other, 400}, // bound to another peer
		{0x4001, at, 400},    // has another channel
		{0x7FFF, other, 0},   // RFC 5766 allowed those
	} {
		if got := code(c.do(methodChannelBind, channelNumber(row.number), toPeer(row.peer))); got != row.want {
			t.Errorf("channel %#x to %s got %d, want %d", row.number, row.peer, got, row.want)
		}
	}
	c.want(c.do(methodChannelBind, channelNumber(0x4005)), 400)
	c.want(c.do(methodChannelBind, toPeer(at)), 400)
	c.want(c.do(methodCreatePermission), 400)
}

func TestPermissionsAndChannelsAreCounted(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPermissions, cfg.MaxChannels = 3, 2
	s := serve(t, cfg, Options{})
	c := dial(t, s, "ann", "pass")
	c.allocate()
	peer := func(n byte) stun.Setter { return toPeer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 8, n}), 53)) }
	c.want(c.do(methodCreatePermission, peer(1), peer(2), peer(3), peer(1)), 0)
	c.want(c.do(methodCreatePermission, peer(4)), 508)
	c.want(c.do(methodChannelBind, channelNumber(0x4000), peer(1)), 0)
	c.want(c.do(methodChannelBind, channelNumber(0x4001), peer(2)), 0)
	c.want(c.do(methodChannelBind, channelNumber(0x4002), peer(3)), 508)
	c.want(c.do(methodChannelBind, channelNumber(0x4001), peer(2)), 0)
}

func TestSoftwareIsNamedIfConfigured(t *testing.T) {
	cfg := testConfig()
	cfg.Software = "Duet"
	s := serve(t, cfg, Options{})
	c := dial(t, s, "ann", "pass")
	challenge := c.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest))
	for _, answer := range []*stun.Message{challenge, c.ask(stun.BindingRequest), c.do(stun.MethodAllocate, wantUDP)} {
		if value, err := answer.Get(stun.AttrSoftware); err != nil || string(value) != "Duet" {
			t.Errorf("%s: SOFTWARE %q", answer.Type, value)
		}
	}
}

func TestDrainRefusesNewAllocationsOnly(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	old, late := dial(t, s, "ann", "pass"), dial(t, s, "ann", "pass")
	old.do(stun.MethodRefresh)
	request := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, old.signed(stun.MethodAllocate, wantUDP)...)...)
	old.want(old.exchange(request), 0)
	s.Drain()
	late.want(late.do(stun.MethodAllocate, wantUDP), 508)
	old.want(old.exchange(request), 0) // its answer was lost
	old.want(old.do(stun.MethodRefresh, seconds(700)), 0)
	old.want(old.do(methodCreatePermission, toPeer(netip.MustParseAddrPort("8.8.8.8:53"))), 0)
	if refused := s.Stats().Refused[RefusedDraining]; refused == 0 {
		t.Error("not counted")
	}
}
