package relay

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/pion/stun/v3"
)

func TestDecodeSend(t *testing.T) {
	address := netip.MustParseAddrPort("8.0.2.0:3")
	peer := "0012 0008 0001 2111 2912a642"
	for _, row := range []struct {
		name, attributes string
		data             string
		drop             Drop
	}{
		{"peer and data", peer + "0013 0002 68690000", "hi", kept},
		{"data first", "0013 0002 68690000" + peer, "hi", kept},
		{"no bytes of data", peer + "0013 0000", "", kept},
		{"DONT-FRAGMENT", peer + "001a 0000 0013 0001 68000000", "h", kept},
		{"an optional attribute nobody knows", "c001 0003 01020300" + peer + "0013 0001 68000000", "h", kept},
		{"known and meaningless", "000d 0004 00000258" + peer + "0013 0001 68000000", "h", kept},
		{"first byte of the address set", "0012 0008 ff01 2111 2912a642 0013 0001 68000000", "h", kept},
		{"no data", peer, "", DropAttribute},
		{"no peer", "0013 0002 68690000", "", DropAttribute},
		{"two peers", peer + peer + "0013 0002 68690000", "", DropAttribute},
		{"two data", peer + "0013 0002 68690000 0013 0000", "", DropAttribute},
		{"peer of no length", "0012 0000 0013 0000", "", DropAttribute},
		{"IPv6 peer of IPv4 size", "0012 0008 0002 2111 2912a642 0013 0000", "", DropAttribute},
		{"unknown and required", peer + "0013 0000 7fff 0000", "", DropAttribute},
		{"attribute leaves the message", peer + "0013 0005 68690000", "", DropAttribute},
		{"wrong fingerprint", peer + "0013 0000 8028 0004 00000000", "", DropFingerprint},
		{"nothing", "", "", DropAttribute},
	} {
		t.Run(row.name, func(t *testing.T) {
			attributes := unhex(row.attributes)
			datagram := append(unhex("0016"), byte(len(attributes)>>8), byte(len(attributes)))
			datagram = append(append(datagram, unhex(cookieAndID)...), attributes...)
			got, data, drop := decodeSend(datagram)
			if drop != row.drop || string(data) != row.data || drop == kept && got != address {
				t.Errorf("got %s, %q, %q", got, data, drop)
			}
		})
	}
	for datagram, want := range map[string]Drop{
		"0016": DropNotSTUN,
		"0016 0000 00000000 000000000000000000000000": DropNotSTUN,
		"0016 0004" + cookieAndID:                     DropLength,
		"0016 0002" + cookieAndID + "0000":            DropLength,
	} {
		if _, _, drop := decodeSend(unhex(datagram)); drop != want {
			t.Errorf("%s: %s, want %s", datagram, drop, want)
		}
	}
}

func TestDecodeChannelData(t *testing.T) {
	for _, row := range []struct {
		datagram string
		number   uint16
		data     string
		drop     Drop
	}{
		{"4000 0002 6869", 0x4000, "hi", kept},
		{"4fff 0002 6869 0000", 0x4fff, "hi", kept},
		{"4001 0000", 0x4001, "", kept},
		{"4001 0001 6869 6869 6869", 0x4001, "h", kept},
		{"4001 0003 6869", 0, "", DropChannelData},
		{"4001 00", 0, "", DropChannelData},
		{"40ff fffc", 0, "", DropChannelData},
	} {
		number, data, drop := decodeChannelData(unhex(row.datagram))
		if number != row.number || string(data) != row.data || drop != row.drop {
			t.Errorf("%s: %#x, %q, %s", row.datagram, number, data, drop)
		}
	}
}

// What we write in place is what another codec reads.
func TestWrapData(t *testing.T) {
	buf := make([]byte, 1<<16)
	ids := make(map[[12]byte]bool)
	for _, peer := range []string{"8.8.4.4:53", "[2001:4860::1]:65535"} {
		peer := netip.MustParseAddrPort(peer)
		for _, size := range []int{0, 1, 2, 3, 4, 1200, maxPacket - 1} {
			for i := range buf {
				buf[i] = byte(i + size)
			}
			want := bytes.Clone(buf[headroom : headroom+size])
			packet := wrapData(buf, size, peer)
			m := &stun.Message{Raw: packet}
			if err := m.Decode(); err != nil {
				t.Fatal(err)
			}
			if m.Type.Method != stun.MethodData || m.Type.Class != stun.ClassIndication || len(packet)%4 != 0 {
				t.Errorf("%d bytes: %s, %d bytes", size, m.Type, len(packet))
			}
			if ids[m.TransactionID] {
				t.Error("a transaction id again")
			}
			ids[m.TransactionID] = true
			var from stun.XORMappedAddress
			if err := from.GetFromAs(m, stun.AttrXORPeerAddress); err != nil || from.String() != peer.String() {
				t.Errorf("from %s, %v, want %s", from, err, peer)
			}
			if data, err := m.Get(stun.AttrData); err != nil || !bytes.Equal(data, want) {
				t.Errorf("%d bytes of data, %v, want %d", len(data), err, size)
			}
			if number, data, drop := decodeChannelData(wrapChannelData(buf, size, 0x4abc)); number != 0x4abc || drop != kept || !bytes.Equal(data, want) {
				t.Errorf("ChannelData: %#x, %d bytes, %s", number, len(data), drop)
			}
		}
	}
}

// What the packet path accepts, it understands as the codec of others does.
func FuzzMedia(f *testing.F) {
	f.Add(unhex("0016 0014" + cookieAndID + "0012 0008 0001 2111 2912a642 0013 0002 68690000"))
	f.Add(unhex("0016 0020" + cookieAndID + "0012 0014 0002 2111 2112a4420000000000000000000000ff 0013 0004 61626364"))
	f.Add(unhex("4000 0002 6869 0000"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if !isMedia(datagram) {
			return
		}
		if datagram[0]>>6 == 1 {
			if _, data, drop := decodeChannelData(datagram); drop == kept && !bytes.HasPrefix(datagram[channelHeader:], data) {
				t.Error("data from elsewhere")
			}
			return
		}
		peer, data, drop := decodeSend(datagram)
		if drop != kept {
			return
		}
		m := &stun.Message{Raw: datagram}
		if err := m.Decode(); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		if want, err := m.Get(stun.AttrData); err != nil || !bytes.Equal(data, want) {
			t.Errorf("data %q, want %q, %v", data, want, err)
		}
		value, _ := m.Get(stun.AttrXORPeerAddress)
		value[0] = 0 // to be ignored, which that codec does not
		var address stun.XORMappedAddress
		if err := address.GetFromAs(m, stun.AttrXORPeerAddress); err != nil {
			t.Fatal(err)
		}
		if want, _ := netip.AddrFromSlice(address.IP); peer != netip.AddrPortFrom(want.Unmap(), uint16(address.Port)) {
			t.Errorf("peer %s, want %s", peer, address)
		}
	})
}
