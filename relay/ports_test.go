package relay

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
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
	even := raw(stun.AttrEvenPort, 0)
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
	c.want(c.do(stun.MethodAllocate, wantUDP, even, raw(stun.AttrReservationToken, make([]byte, 8)...)), 400)
	c.allocate()
	over := dial(t, s, "ann", "pass")
	over.want(over.do(stun.MethodAllocate, wantUDP, even), 486)
	if used := s.Stats().PortsUsed; used != 4 {
		t.Errorf("%d ports in use, want 4", used)
	}
}

func TestReservation(t *testing.T) {
	cfg := testConfig()
	cfg.MinPort, cfg.MaxPort = 20001, 20004 // 20002 and 20003 are the only pair
	cfg.UserQuota = 3
	s := serve(t, cfg, Options{})
	reserve := raw(stun.AttrEvenPort, 0x80)
	first, second, thief := dial(t, s, "ann", "pass"), dial(t, s, "ann", "pass"), dial(t, s, "bob", "word")
	m := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, stun.NewType(stun.MethodAllocate, stun.ClassRequest))...)
	if err := first.nonce.GetFrom(first.exchange(m)); err != nil {
		t.Fatal(err)
	}
	m = stun.MustBuild(append([]stun.Setter{stun.TransactionID}, first.signed(stun.MethodAllocate, wantUDP, reserve)...)...)
	answer := first.exchange(m)
	first.want(answer, 0)
	if err := first.key.Check(answer); err != nil {
		t.Error(err)
	}
	value, err := answer.Get(stun.AttrReservationToken)
	if err != nil || len(value) != 8 {
		t.Fatalf("RESERVATION-TOKEN: %v, %v", value, err)
	}
	if again, _ := first.exchange(m).Get(stun.AttrReservationToken); !slices.Equal(again, value) {
		t.Errorf("a retransmission got token %x, not %x", again, value)
	}
	if used := s.Stats().PortsUsed; used != 2 {
		t.Errorf("%d ports in use, want the pair", used)
	}
	second.want(second.do(stun.MethodAllocate, wantUDP, reserve), 486) // two more would be four
	thief.want(thief.do(stun.MethodAllocate, wantUDP, reserve), 508)
	thief.want(thief.do(stun.MethodAllocate, wantUDP, raw(stun.AttrReservationToken, value...)), 508)
	thief.want(thief.do(stun.MethodAllocate, wantUDP, raw(stun.AttrReservationToken, make([]byte, 8)...)), 508)
	if at := second.allocate(raw(stun.AttrReservationToken, value...)); at.Port() != 20003 {
		t.Errorf("the reserved port is %d", at.Port())
	}
	thief.want(thief.do(stun.MethodAllocate, wantUDP, raw(stun.AttrReservationToken, value...)), 508)
	if held := s.Stats().Allocations; held != 2 {
		t.Errorf("%d allocations, want 2", held)
	}
}

func TestReservationsExpireAndAreBounded(t *testing.T) {
	q, f := newQuota(0, 0), &family{ports: newPortPool(20000, 20199)}
	r := newReservations(q)
	now := time.Now()
	ann := user{name: "ann"}
	for range maxReservations {
		if refusal := r.admit(ann); refusal != accepted {
			t.Fatal(refusal)
		}
		var port uint16
		if err := f.ports.take(anyPort, now, func(p uint16) error { port = p; return nil }); err != nil {
			t.Fatal(err)
		}
		r.keep(reservation{ann, f, port, now.Add(reservationLifetime)})
	}
	if refusal := r.admit(ann); refusal != RefusedReservation {
		t.Errorf("one too many: %s", refusal)
	}
	r.sweep(now.Add(reservationLifetime))
	if n := q.count; n != maxReservations {
		t.Errorf("%d are left before their time, want all", n)
	}
	r.sweep(now.Add(reservationLifetime + 1))
	if used, _ := f.ports.usage(); used != 0 || q.count != 0 {
		t.Errorf("%d ports and %d of the quota are left", used, q.count)
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
				wish := portWish(rand.IntN(3))
				evens, pairs := 0, 0
				for port := 1000; port < 1000+size; port += 2 {
					if !held[uint16(port)] {
						evens++
						if port+1 < 1000+size && !held[uint16(port+1)] {
							pairs++
						}
					}
				}
				possible := []int{size - len(held), evens, pairs}[wish] > 0
				var got []uint16
				err := p.take(wish, time.Time{}, func(port uint16) error { got = append(got, port); return nil })
				if (err == nil) != possible || err == nil && wish == portPair && (len(got) != 2 || got[0] != got[1]+1) {
					t.Fatalf("size %d, %d held, wish %d: %v, %v", size, len(held), wish, got, err)
				}
				for _, port := range got {
					if held[port] || port < 1000 || int(port) >= 1000+size || wish == evenPort && port%2 != 0 {
						t.Fatalf("got port %d", port)
					}
					if port == justFreed && wish != portPair && evens > 1 && size-len(held)-evens > 1 {
						t.Fatalf("port %d was given again at once", port)
					}
					held[port] = true
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
		p.take(anyPort, time.Time{}, func(port uint16) error { first[port]++; return nil })
	}
	// The last of each half never comes first: it counts as just freed.
	if len(first) < 2 || first[1000] < 1_500 || first[1001] < 1_500 {
		t.Errorf("first ports: %v", first)
	}
}
