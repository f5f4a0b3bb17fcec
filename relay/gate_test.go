package relay

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

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
		{"three bytes", "000100", DropNotSTUN},
		{"binding", "0001 0000" + cookieAndID, kept},
		{"no cookie (RFC 3489)", "0001 0000 00000000 000102030405060708090a0b", DropNotSTUN},
		{"first bits 10", "8001 0000" + cookieAndID, DropNotSTUN},
		{"header cut", "0001 0000 2112a442 0001", DropNotSTUN},
		{"length 0xffec", "0001 ffec" + cookieAndID, DropLength},
		{"length short of the datagram", "0001 0000" + cookieAndID + someValue4, DropLength},
		{"length not a multiple of four", "0001 0003" + cookieAndID + "000000", DropLength},
		{"response", "0101 0000" + cookieAndID, DropMethod},
		{"binding indication", "0011 0000" + cookieAndID, DropMethod},
		{"Connect", "000a 0000" + cookieAndID, DropMethod},
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
		{"Send without peer", "0016 0008" + cookieAndID + "0013 0004" + someValue4, DropAttribute},
		{"Send with an unknown attribute", "0016 0010" + cookieAndID + "0012 0008 0001 0000 00000000 001a 0000", DropAttribute},
		{"huge request", "0003 0800" + cookieAndID + "8022 07fc" + strings.Repeat("00", 2044), DropTooLong},
		{"channel data", "4000 0004 01020304", kept},
		{"channel data, padded", "4000 0003 01020300", kept},
		{"channel data, empty", "4000 0000", kept},
		{"channel data, too long", "4000 fffc 01020304 05", DropChannelData},
		{"channel data with a tail", "4000 0001 0000000000000000", DropChannelData},
		{"channel 0x8000", "8000 0000", DropNotSTUN},
	} {
		t.Run(row.name, func(t *testing.T) {
			var r request
			if _, got := r.decode(unhex(row.datagram)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestGateCutsWhatFollowsIntegrity(t *testing.T) {
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest),
		seconds(600), stun.NewUsername("ann"), stun.NewLongTermIntegrity("ann", testRealm, "pass"))
	honest := slices.Clone(m.Raw)
	m.Add(stun.AttrLifetime, []byte{0, 0, 0, 0})
	m.Add(stun.AttrXORPeerAddress, []byte{0, 1, 0, 0, 0, 0, 0, 0})
	if err := stun.Fingerprint.AddTo(m); err != nil {
		t.Fatal(err)
	}
	var r request
	size, drop := r.decode(m.Raw)
	if drop != kept || size != len(honest) || !slices.Equal(m.Raw[:size], honest) {
		t.Fatalf("size %d, drop %q, want the %d bytes up to MESSAGE-INTEGRITY", size, drop, len(honest))
	}
	if r.lifetime != 600 || r.peerCount != 0 || !r.signedWith(longTermKey("ann", testRealm, "pass")) {
		t.Errorf("lifetime %d, %d peers", r.lifetime, r.peerCount)
	}
}

// The sample request with long-term authentication of RFC 5769 section 2.4.
func TestRFC5769LongTermVector(t *testing.T) {
	datagram := unhex("000100602112a44278ad3433c6ad72c029da412e" +
		"00060012e3839ee38388e383aae38383e382afe382b90000" +
		"0015001c662f2f3439396b39353464364f4c33346f4c3946535476793634734100" + "")
	datagram = datagram[:len(datagram)-1]
	datagram = append(datagram, unhex("0014000b6578616d706c652e6f726700"+
		"00080014f67024656dd64a3e02b8e0712e85c9a28ca89666")...)
	var r request
	if _, drop := r.decode(datagram); drop != kept {
		t.Fatalf("dropped: %s", drop)
	}
	if !r.signedWith(longTermKey("\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9", "example.org", "TheMatrIX")) {
		t.Error("MESSAGE-INTEGRITY does not fit")
	}
}

// Whatever the gate lets through, pion's decoder must accept, and see as we do.
func FuzzGate(f *testing.F) {
	key := stun.NewLongTermIntegrity("ann", testRealm, "pass")
	for _, seed := range [][]stun.Setter{
		{stun.BindingRequest, stun.Fingerprint},
		{stun.NewType(stun.MethodAllocate, stun.ClassRequest), wantUDP, raw(stun.AttrEvenPort, 0x80)},
		{stun.NewType(methodCreatePermission, stun.ClassRequest), toPeer(netip.MustParseAddrPort("8.8.8.8:53")), stun.NewUsername("ann"), key, stun.Fingerprint},
		{stun.NewType(methodChannelBind, stun.ClassRequest), channelNumber(0x4000), toPeer(netip.MustParseAddrPort("[2001:4860::8888]:53")), key, seconds(0)},
		{stun.NewType(stun.MethodSend, stun.ClassIndication), toPeer(netip.MustParseAddrPort("8.8.8.8:53")), raw(stun.AttrData, 1, 2, 3)},
	} {
		f.Add(stun.MustBuild(append([]stun.Setter{stun.TransactionID}, seed...)...).Raw)
	}
	f.Add([]byte{0x40, 0, 0, 1, 7, 0, 0, 0})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		original := slices.Clone(datagram)
		var r request
		size, drop := r.decode(datagram)
		if drop != kept {
			if size != 0 || !slices.Equal(original, datagram) {
				t.Fatalf("dropped (%s) and changed", drop)
			}
			return
		}
		if r.channelData {
			return
		}
		if int(binary.BigEndian.Uint16(datagram[2:]))+headerSize != size {
			t.Fatal("the length field does not fit")
		}
		m := &stun.Message{Raw: datagram[:size]}
		if err := m.Decode(); err != nil {
			t.Fatalf("pion refuses: %v", err)
		}
		if r.method == methodBinding {
			return
		}
		if r.class == classIndication {
			if peers := pionPeers(t, m); !slices.Equal(peers[:1], r.peers[:1]) {
				t.Fatalf("we see peer %v, pion %v", r.peers[0], peers[0])
			}
			return
		}
		// What goes to the engine in its place says the same, to us and to pion.
		rewritten := r.canonical(nil, key)
		m = &stun.Message{Raw: slices.Clone(rewritten)}
		if err := m.Decode(); err != nil {
			t.Fatalf("pion refuses our form: %v", err)
		}
		if err := key.Check(m); err != nil {
			t.Fatalf("our signature: %v", err)
		}
		if peers := pionPeers(t, m); !slices.Equal(peers, r.peers[:r.peerCount]) {
			t.Fatalf("we see peers %v, pion %v", r.peers[:r.peerCount], peers)
		}
		var again request
		if _, drop := again.decode(rewritten); drop != kept && !(drop == DropAttribute && r.transport == 0) {
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
