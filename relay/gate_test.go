package relay

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/relay/peerpolicy"
)

func newTestPolicy(relayed netip.Addr) *peerpolicy.Policy {
	return peerpolicy.New(peerpolicy.Config{Relayed: []netip.Addr{relayed}, MinPort: 20000, MaxPort: 20099})
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	cookieAndID = "2112a442 000102030405060708090a0b"
	someValue4  = "00000000"
)

func TestGate(t *testing.T) {
	for _, row := range []struct {
		name, datagram string
		want           Drop
	}{
		{"empty", "", DropNotSTUN},
		{"binding", "0001 0000" + cookieAndID, kept},
		{"no cookie (RFC 3489)", "0001 0000 00000000 000102030405060708090a0b", DropNotSTUN},
		{"first bits 10", "8001 0000" + cookieAndID, DropNotSTUN},
		{"header cut", "0001 0000 2112a442 0001", DropNotSTUN},
		{"length 0xffec", "0001 ffec" + cookieAndID, DropLength},
		{"length short of the datagram", "0001 0000" + cookieAndID + someValue4, DropLength},
		{"length not a multiple of four", "0001 0003" + cookieAndID + "000000", DropLength},
		{"response", "0101 0000" + cookieAndID, DropMethod},
		{"binding indication", "0011 0000" + cookieAndID, DropMethod},
		{"ConnectionAttempt", "001c 0000" + cookieAndID, DropMethod},
		{"Connect indication", "001a 0000" + cookieAndID, DropMethod},
		{"CONNECTION-ID of 3 bytes", "000b 0008" + cookieAndID + "002a 0003 00000000", DropAttribute},
		{"CONNECTION-ID of 8 bytes", "000b 000c" + cookieAndID + "002a 0008 0000000000000000", DropAttribute},
		{"attribute longer than the message", "0003 0008" + cookieAndID + "8022 0008 00000000", DropAttribute},
		{"attribute header cut", "0003 0004" + cookieAndID + "8022 0001", DropAttribute},
		{"peer of length 0", "0008 0004" + cookieAndID + "0012 0000", DropAttribute},
		{"peer of length 8 that says IPv6", "0008 000c" + cookieAndID + "0012 0008 0002 0000 00000000", DropAttribute},
		{"peer of family 0", "0008 000c" + cookieAndID + "0012 0008 0000 0000 00000000", DropAttribute},
		{"peer", "0008 000c" + cookieAndID + "0012 0008 0001 0000 00000000", kept},
		{"17 peers", "0008 00cc" + cookieAndID + strings.Repeat("0012 0008 0001 0000 00000000", 17), DropAttribute},
		{"16 peers", "0008 00c0" + cookieAndID + strings.Repeat("0012 0008 0001 0000 00000000", 16), kept},
		{"lifetime of 2 bytes", "0004 0008" + cookieAndID + "000d 0002 0000 0000", DropAttribute},
		{"transport of 1 byte", "0003 0008" + cookieAndID + "0019 0001 11000000", DropAttribute},
		{"even port of 4 bytes", "0003 0008" + cookieAndID + "0018 0004 80000000", DropAttribute},
		{"token of 4 bytes", "0003 0008" + cookieAndID + "0022 0004 80000000", DropAttribute},
		{"nonce of 129 bytes", "0003 0088" + cookieAndID + "0015 0081" + strings.Repeat("00", 132), DropAttribute},
		{"integrity of 4 bytes", "0003 0008" + cookieAndID + "0008 0004" + someValue4, DropAttribute},
		{"wrong fingerprint", "0001 0008" + cookieAndID + "8028 0004" + someValue4, DropFingerprint},
		{"huge request", "0003 0800" + cookieAndID + "8022 07fc" + strings.Repeat("00", 2044), DropTooLong},
		{"channel data", "4000 0004 01020304", DropNotSTUN},
		{"Data indication", "0017 0000" + cookieAndID, DropMethod},
		{"Allocate indication", "0013 0000" + cookieAndID, DropMethod},
		{"short SHA-256 integrity", "0003 0010" + cookieAndID + "001c 000c" + strings.Repeat("00", 12), DropAttribute},
		{"truncated SHA-256 integrity", "0003 0014" + cookieAndID + "001c 0010" + strings.Repeat("00", 16), kept},
		{"userhash of 20 bytes", "0003 0018" + cookieAndID + "001e 0014" + strings.Repeat("00", 20), DropAttribute},
		{"password algorithm of 2 bytes", "0003 0008" + cookieAndID + "001d 0002 00010000", DropAttribute},
		{"additional family of 1 byte", "0003 0008" + cookieAndID + "8000 0001 02000000", DropAttribute},
		{"CHANGE-REQUEST of 3 bytes", "0001 0008" + cookieAndID + "0003 0003 00000600", DropAttribute},
		{"RESPONSE-PORT of 8 bytes", "0001 000c" + cookieAndID + "0027 0008 0d960000 00000000", DropAttribute},
		{"RESPONSE-PORT of 2 bytes", "0001 0008" + cookieAndID + "0027 0002 0d960000", kept},
		{"don't fragment with a value", "0003 0008" + cookieAndID + "001a 0004 00000000", DropAttribute},
	} {
		t.Run(row.name, func(t *testing.T) {
			var r request
			if got := r.decode(unhex(row.datagram)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestGateCutsWhatFollowsIntegrity(t *testing.T) {
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest),
		seconds(600), stun.NewUsername("ann"), stun.NewLongTermIntegrity("ann", testRealm, "pass"))
	m.Add(stun.AttrLifetime, []byte{0, 0, 0, 0})
	m.Add(stun.AttrXORPeerAddress, []byte{0, 1, 0, 0, 0, 0, 0, 0})
	if err := stun.Fingerprint.AddTo(m); err != nil {
		t.Fatal(err)
	}
	var e exchange
	if drop := e.decode(m.Raw); drop != kept {
		t.Fatalf("dropped: %s", drop)
	}
	if e.lifetime != 600 || e.peerCount != 0 || !e.signedWith(longTermKey("ann", testRealm, "pass")) {
		t.Errorf("lifetime %d, %d peers", e.lifetime, e.peerCount)
	}
}

func TestOnlyTheFirstOfAKindCounts(t *testing.T) {
	var r request
	drop := r.decode(unhex("0003 0030" + cookieAndID + "000d 0004 00000258 000d 0004 00000000" +
		"0019 0004 11000000 0019 0004 06000000 8000 0004 02000000 8000 0004 01000000"))
	if drop != kept || r.lifetime != 600 || r.transport != transportUDP || r.additional != familyIPv6 {
		t.Errorf("dropped: %q, lifetime %d, transport %d, additional family %d", drop, r.lifetime, r.transport, r.additional)
	}
}

func longTermKey(username, realm, password string) []byte {
	return stun.NewLongTermIntegrity(username, realm, password)
}

// Whatever the gate lets through, pion's decoder must accept, and see as we do.
func FuzzGate(f *testing.F) {
	key := stun.NewLongTermIntegrity("ann", testRealm, "pass")
	for _, seed := range [][]stun.Setter{
		{stun.BindingRequest, stun.Fingerprint},
		{stun.BindingRequest, raw(attrChangeRequest, 0, 0, 0, 6), raw(attrResponsePort, 0xd, 0x96), raw(attrPadding, 1, 2, 3)},
		{stun.NewType(stun.MethodAllocate, stun.ClassRequest), raw(attrChangeRequest, 0, 6), raw(attrPadding), stun.NewUsername("ann"), key},
		{stun.NewType(stun.MethodAllocate, stun.ClassRequest), wantUDP, raw(stun.AttrEvenPort, 0x80)},
		{stun.NewType(methodCreatePermission, stun.ClassRequest), toPeer(netip.MustParseAddrPort("8.8.8.8:53")), stun.NewUsername("ann"), key, stun.Fingerprint},
		{stun.NewType(methodChannelBind, stun.ClassRequest), channelNumber(0x4000), toPeer(netip.MustParseAddrPort("[2001:4860::8888]:53")), key, seconds(0)},
		{stun.NewType(methodConnect, stun.ClassRequest), toPeer(netip.MustParseAddrPort("8.8.8.8:53")), stun.NewUsername("ann"), key},
		{stun.NewType(methodConnectionBind, stun.ClassRequest), raw(attrConnectionID, 1, 2, 3, 4), stun.NewUsername("ann"), key, stun.Fingerprint},
		{stun.NewType(stun.MethodAllocate, stun.ClassRequest), raw(attrPasswordAlgorithms, algorithmOffer...), key, integritySHA256{key, 32}},
	} {
		f.Add(stun.MustBuild(append([]stun.Setter{stun.TransactionID}, seed...)...).Raw)
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		original := slices.Clone(datagram)
		e := exchange{login: newEngineLogin()}
		if drop := e.decode(datagram); drop != kept {
			if !slices.Equal(original, datagram) {
				t.Fatalf("dropped (%s) and changed", drop)
			}
			return
		}
		size := headerSize + int(binary.BigEndian.Uint16(datagram[2:]))
		if size > len(datagram) {
			t.Fatal("the length field does not fit")
		}
		m := &stun.Message{Raw: slices.Clone(datagram[:size])}
		if err := m.Decode(); err != nil {
			t.Fatalf("pion refuses: %v", err)
		}
		if e.method == methodBinding {
			return
		}
		// What goes to the engine in its place says the same, to us and to pion.
		rewritten := e.canonical(nil, time.Hour)
		m = &stun.Message{Raw: slices.Clone(rewritten)}
		if err := m.Decode(); err != nil {
			t.Fatalf("pion refuses our form: %v", err)
		}
		if err := stun.MessageIntegrity(e.login.key[:]).Check(m); err != nil {
			t.Fatalf("our signature: %v", err)
		}
		if peers := pionPeers(t, m); !slices.Equal(peers, e.peers[:e.peerCount]) {
			t.Fatalf("we see peers %v, pion %v", e.peers[:e.peerCount], peers)
		}
		var again request
		if drop := again.decode(rewritten); drop != kept || again.peerCount != e.peerCount {
			t.Fatalf("our own form is dropped: %s", drop)
		}
	})
}

func pionPeers(t *testing.T, m *stun.Message) (peers []netip.AddrPort) {
	m.ForEach(stun.AttrXORPeerAddress, func(m *stun.Message) error {
		var peer stun.XORMappedAddress
		if err := peer.GetFromAs(m, stun.AttrXORPeerAddress); err != nil {
			t.Fatalf("pion refuses a peer: %v", err)
		}
		addr, _ := netip.AddrFromSlice(peer.IP)
		peers = append(peers, netip.AddrPortFrom(addr.Unmap(), uint16(peer.Port)))
		return nil
	})
	return peers
}
