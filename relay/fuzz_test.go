package relay

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/pion/stun/v3"
)

// Whatever arrives, from strangers or signed by a member with an allocation, the
// relay goes on answering: gate, engine and data path together.
func FuzzRelay(f *testing.F) {
	cfg := testConfig()
	cfg.Users = nil
	s, err := New(cfg, Options{})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done })

	for _, method := range []uint16{methodAllocate, methodRefresh, methodSend, methodCreatePermission, methodChannelBind} {
		f.Add(method, unhex("0012 0008 0001 0000 00000000 000c 0004 40000000 0019 0004 11000000"))
		f.Add(method, unhex("000d 0004 00000000 0018 0001 80000000 0013 0003 01020300 8022 0000"))
	}
	f.Add(uint16(0x4000), []byte("data"))
	f.Fuzz(func(t *testing.T, kind uint16, attributes []byte) {
		if len(attributes) > 4096 {
			return
		}
		cred := s.Credential("ann")
		c := dial(t, s, cred.Username, cred.Password)
		at := c.allocate()
		c.do(methodChannelBind, channelNumber(0x4000), toPeer(at))

		header := binary.BigEndian.AppendUint16(nil, kind)
		header = binary.BigEndian.AppendUint16(header, uint16(len(attributes)))
		c.write(append(header, attributes...)) // ChannelData, perhaps

		m := stun.New()
		m.WriteHeader()
		binary.BigEndian.PutUint16(m.Raw, kind)
		m.Raw = append(m.Raw, attributes...)
		binary.BigEndian.PutUint16(m.Raw[2:], uint16(len(attributes)))
		c.write(m.Raw)
		if m.Decode() == nil {
			for _, setter := range c.signed(0)[1:] {
				if setter.AddTo(m) != nil {
					break // pion signs nothing behind a FINGERPRINT
				}
			}
			c.write(m.Raw)
		}
		if got := code(c.ask(stun.BindingRequest)); got != 0 {
			t.Fatalf("Binding got %d", got)
		}
		c.do(stun.MethodRefresh, seconds(0))
	})
}
