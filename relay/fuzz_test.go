package relay

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/pion/stun/v3"
)

// Whatever arrives, from strangers or signed by a member with an allocation, the
// relay goes on answering: gate, engine and data path together.
func FuzzRelay(f *testing.F) {
	cfg := testConfig()
	cfg.Users, cfg.TCP, cfg.TCPRelay = nil, true, true
	cfg.AltListeningIP, cfg.AltListeningPort = []netip.Addr{ownLoopback()}, 3479
	s, err := New(cfg, Options{})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done })

	for _, method := range []uint16{methodAllocate, methodRefresh, methodSend, methodCreatePermission, methodChannelBind, methodConnect, methodConnectionBind} {
		f.Add(true, method, unhex("0012 0008 0001 0000 00000000 002a 0004 00000001 0019 0004 06000000"))
		f.Add(false, method, unhex("0012 0008 0001 0000 00000000 000c 0004 40000000 0019 0004 11000000"))
		f.Add(false, method, unhex("000d 0004 00000000 0018 0001 80000000 0013 0003 01020300 8022 0000"))
	}
	f.Add(false, uint16(methodBinding), unhex("0003 0004 00000006 0026 0005 0000000000000000"))
	f.Add(false, uint16(methodBinding), unhex("0003 0004 00000002 0027 0004 13890000"))
	f.Add(false, uint16(0x4000), []byte("data"))
	f.Fuzz(func(t *testing.T, relaysTCP bool, kind uint16, attributes []byte) {
		if len(attributes) > 4096 {
			return
		}
		cred := s.Credential("ann")
		if relaysTCP {
			askTCPRelay(t, dialStream(t, s, cred.Username, cred.Password), kind, attributes)
			return
		}
		c := dial(t, s, cred.Username, cred.Password)
		at := c.allocate()
		c.do(methodChannelBind, channelNumber(0x4000), toPeer(at))

		header := binary.BigEndian.AppendUint16(nil, kind)
		header = binary.BigEndian.AppendUint16(header, uint16(len(attributes)))
		c.write(append(header, attributes...)) // ChannelData, perhaps

		c.write(c.fuzzed(kind, attributes, false))
		c.write(c.fuzzed(kind, attributes, true))
		if got := code(c.ask(stun.BindingRequest)); got != 0 {
			t.Fatalf("Binding got %d", got)
		}
		c.do(stun.MethodRefresh, seconds(0))
	})
}

// askTCPRelay asks anything of a TCP allocation, as long as it looks like a message.
func askTCPRelay(t *testing.T, c *wireClient, kind uint16, attributes []byte) {
	defer c.conn.(*net.TCPConn).SetLinger(0)
	if kind&0xC000 != 0 || len(attributes)%4 != 0 {
		return
	}
	c.allocateTCP()
	c.write(c.fuzzed(kind, attributes, false))
	c.write(c.fuzzed(kind, attributes, true))
	if got := code(c.ask(stun.BindingRequest)); got != 0 {
		t.Fatalf("Binding got %d", got)
	}
}

// fuzzed is a message, signed if that can be.
func (c *wireClient) fuzzed(kind uint16, attributes []byte, signed bool) []byte {
	m := stun.New()
	m.WriteHeader()
	binary.BigEndian.PutUint16(m.Raw, kind)
	m.Raw = append(m.Raw, attributes...)
	binary.BigEndian.PutUint16(m.Raw[2:], uint16(len(attributes)))
	if signed && m.Decode() == nil {
		for _, setter := range c.signed(0)[1:] {
			if setter.AddTo(m) != nil {
				break // pion signs nothing behind a FINGERPRINT
			}
		}
	}
	return m.Raw
}
