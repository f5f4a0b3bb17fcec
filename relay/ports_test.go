package relay

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestWholePortRangeServesExactly(t *testing.T) {
	cfg := testConfig()
	cfg.MinPort, cfg.MaxPort = 20001, 20020
	s := serve(t, cfg, Options{})
	seen := map[uint16]*wireClient{}
	for range 20 {
		c := dial(t, s, "ann", "pass")
		at := c.allocate()
		if seen[at.Port()] != nil || at.Port() < 20001 || at.Port() > 20020 {
			t.Fatalf("port %d is out of range or given twice", at.Port())
		}
		seen[at.Port()] = c
	}
	late := dial(t, s, "bob", "word")
	late.want(late.do(stun.MethodAllocate, wantUDP), 508)
	seen[20007].want(seen[20007].do(stun.MethodRefresh, seconds(0)), 0)
	if at := late.allocate(); at.Port() != 20007 {
		t.Errorf("got port %d, only 20007 is free", at.Port())
	}
	if used := s.Stats().PortsUsed; used != 20 {
		t.Errorf("PortsUsed = %d", used)
	}
}

func TestPortsOfOtherProgramsAreSkipped(t *testing.T) {
	cfg := testConfig()
	cfg.MinPort, cfg.MaxPort = 20000, 20003
	var others []*net.UDPConn
	for _, port := range []uint16{20000, 20002} {
		conn, err := net.ListenUDP("udp4", udpAddr(netip.AddrPortFrom(cfg.RelayIP[0], port)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		others = append(others, conn)
	}
	s := serve(t, cfg, Options{})
	for range 2 {
		if at := dial(t, s, "ann", "pass").allocate(); at.Port()%2 == 0 {
			t.Fatalf("got port %d of another program", at.Port())
		}
	}
	c := dial(t, s, "ann", "pass")
	c.want(c.do(stun.MethodAllocate, wantUDP), 508)
	others[1].Close()
	eventually(t, "the other program's port is used once it is free", func() bool {
		return code(c.do(stun.MethodAllocate, wantUDP)) == 0
	})
}

func TestEvenPort(t *testing.T) {
	cfg := testConfig()
	cfg.MinPort, cfg.MaxPort = 20000, 20005
	cfg.UserQuota = 4
	s := serve(t, cfg, Options{})
	even, reserve := raw(stun.AttrEvenPort, 0), raw(stun.AttrEvenPort, 0x80)
	for range 3 {
		c := dial(t, s, "ann", "pass")
		answer := c.do(stun.MethodAllocate, wantUDP, even)
		c.want(answer, 0)
		var at stun.XORMappedAddress
		at.GetFromAs(answer, stun.AttrXORRelayedAddress)
		if at.Port%2 != 0 {
			t.Errorf("port %d is odd", at.Port)
		}
		if answer.Contains(stun.AttrReservationToken) {
			t.Error("a reservation that nobody asked for")
		}
	}
	c := dial(t, s, "ann", "pass")
	c.want(c.do(stun.MethodAllocate, wantUDP, even), 508) // three odd ones are left
	c.want(c.do(stun.MethodAllocate, wantUDP, reserve), 508)
	c.want(c.do(stun.MethodAllocate, wantUDP, raw(stun.AttrReservationToken, make([]byte, 8)...)), 508)
	c.want(c.do(stun.MethodAllocate, wantUDP, even, raw(stun.AttrReservationToken, make([]byte, 8)...)), 400)
	c.allocate()
	over := dial(t, s, "ann", "pass")
	over.want(over.do(stun.MethodAllocate, wantUDP, even), 486)
	if used := s.Stats().PortsUsed; used != 4 {
		t.Errorf("%d ports in use, want 4", used)
	}
}

func TestPortPoolModel(t *testing.T) {
	for _, size := range []int{1, 2, 3, 10, 100} {
		p := newPortPool(1000, 1000+size-1)
		held := map[uint16]bool{}
		justFreed := uint16(0)
		for range 5_000 {
			if rand.IntN(2) == 0 && len(held) > 0 {
				for port := range held {
					delete(held, port)
					p.put(port)
					justFreed = port
					break
				}
			} else {
				even := rand.IntN(4) == 0
				evensFree := 0
				for port := 1000; port < 1000+size; port++ {
					if !held[uint16(port)] && port%2 == 0 {
						evensFree++
					}
				}
				var got uint16
				err := p.take(even, time.Time{}, func(port uint16) error { got = port; return nil })
				possible := len(held) < size && (!even || evensFree > 0)
				switch {
				case (err == nil) != possible:
					t.Fatalf("size %d, %d held, even %t: err %v", size, len(held), even, err)
				case err != nil:
				case held[got] || got < 1000 || int(got) >= 1000+size || even && got%2 != 0:
					t.Fatalf("got port %d", got)
				case got == justFreed && evensFree > 1 && size-len(held)-evensFree > 1:
					t.Fatalf("port %d was given again at once", got)
				default:
					held[got] = true
				}
			}
			if used, total := p.usage(); used != len(held) || total != size {
				t.Fatalf("usage() = %d of %d, want %d of %d", used, total, len(held), size)
			}
		}
	}
}

func TestPortOrderIsRandom(t *testing.T) {
	first := map[uint16]int{}
	for range 4_000 {
		p := newPortPool(1000, 1003)
		p.take(false, time.Time{}, func(port uint16) error { first[port]++; return nil })
	}
	// The last of each half never comes first: it counts as just freed.
	if len(first) < 2 || first[1000] < 1_500 || first[1001] < 1_500 {
		t.Errorf("first ports: %v", first)
	}
}
