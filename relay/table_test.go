package relay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// model is what routes must be, told as simply as it can be.
type model struct {
	permissions map[netip.Addr]time.Duration
	channels    map[uint16]netip.AddrPort
	bound       map[uint16]time.Duration
}

func (m *model) check(t *testing.T, r *routes, peers []netip.AddrPort, now time.Duration) {
	t.Helper()
	for _, peer := range peers {
		lapses, has := m.permissions[peer.Addr()]
		if want := has && now < lapses; r.permits(peer.Addr(), now) != want {
			t.Fatalf("at %s: permits(%s) is not %t", now, peer.Addr(), want)
		}
		want, bound := uint16(0), false
		for number, at := range m.channels {
			if at == peer && now < m.bound[number] {
				want, bound = number, true
			}
		}
		if number, ok := r.channel(peer, now); ok != bound || bound && number != want {
			t.Fatalf("at %s: channel(%s) = %#x, %t, want %#x, %t", now, peer, number, ok, want, bound)
		}
	}
	for number := uint16(0x4000); number < 0x4008; number++ {
		want, bound := m.channels[number], now < m.bound[number]
		if peer, ok := r.peer(number, now); ok != bound || bound && peer != want {
			t.Fatalf("at %s: peer(%#x) = %s, %t, want %s, %t", now, number, peer, ok, want, bound)
		}
	}
}

func TestRoutesAreWhatTheModelSays(t *testing.T) {
	var peers []netip.AddrPort
	for i := range 12 {
		peers = append(peers, netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 8, byte(i / 2)}), uint16(1+i%2)))
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := model{map[netip.Addr]time.Duration{}, map[uint16]netip.AddrPort{}, map[uint16]time.Duration{}}
		r, now := noRoutes, time.Duration(0)
		for range 300 {
			now += time.Duration(random.Int64N(int64(100 * time.Second)))
			before, old := r, *r
			switch random.IntN(3) {
			case 0:
				some := []netip.AddrPort{peers[random.IntN(12)], peers[random.IntN(12)]}
				r = r.permit(some, now)
				for _, peer := range some {
					m.permissions[peer.Addr()] = now + 300*time.Second
				}
			case 1:
				number, peer := uint16(0x4000+random.IntN(8)), peers[random.IntN(12)]
				// Whether it may be bound is the engine's to say (RFC 8656 section 12.2).
				at, bound := r.peer(number, now)
				other, has := r.channel(peer, now)
				if bound && at != peer || has && other != number {
					continue
				}
				r = r.bind(number, peer, now)
				for n, at := range m.channels {
					if at == peer {
						delete(m.channels, n)
						delete(m.bound, n)
					}
				}
				m.channels[number], m.bound[number] = peer, now+600*time.Second
				m.permissions[peer.Addr()] = now + 300*time.Second
			}
			m.check(t, r, peers, now)
			m.check(t, r, peers, now+299*time.Second)
			m.check(t, r, peers, now+300*time.Second)
			m.check(t, r, peers, now+600*time.Second)
			if fmt.Sprint(old) != fmt.Sprint(*before) {
				t.Fatal("routes in use were changed")
			}
			if len(r.permissions) > 6 || len(r.channels) > 8 {
				t.Fatalf("%d permissions, %d channels kept", len(r.permissions), len(r.channels))
			}
		}
	}
}

func TestRoutesHaveRoomForSoMany(t *testing.T) {
	r := noRoutes
	peer := func(n int) []netip.AddrPort {
		return []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 8, byte(n)}), 53)}
	}
	for n := range maxPermissions {
		if !r.admitsPeers(peer(n), maxPermissions, 0) || !r.admitsChannel(uint16(0x4000+n), maxChannels, 0) {
			t.Fatalf("no room for number %d", n)
		}
		r = r.bind(uint16(0x4000+n), peer(n)[0], 0)
	}
	if r.admitsPeers(peer(200), maxPermissions, 0) || r.admitsChannel(0x4100, maxChannels, 0) {
		t.Error("there is always room")
	}
	if !r.admitsPeers(append(peer(1), peer(2)...), maxPermissions, 0) || !r.admitsChannel(0x4001, maxChannels, 0) {
		t.Error("a refresh needs room")
	}
	if !r.admitsPeers(peer(200), maxPermissions, permissionLifetime) || !r.admitsChannel(0x4100, maxChannels, channelLifetime) {
		t.Error("what has lapsed takes room")
	}
}

// Many writers, and readers that never miss a client that stays.
func TestClientTableIsReadWhileItChanges(t *testing.T) {
	table := newClientTable()
	at := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 5000)
	}
	var staying []*allocation
	for n := range 100 {
		a := &allocation{client: at(n)}
		table.put(a)
		staying = append(staying, a)
	}
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a := staying[n%100]; table.find(a.client, a.dest) != a {
					t.Errorf("%s is lost", a.client)
					return
				}
			}
		})
	}
	for w := range 2 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 2))
			var mine []*allocation
			for range 5_000 {
				if len(mine) > 0 && random.IntN(2) == 0 {
					i := random.IntN(len(mine))
					a := mine[i]
					mine[i], mine = mine[len(mine)-1], mine[:len(mine)-1]
					table.drop(a)
					if table.find(a.client, a.dest) == a {
						t.Error("dropped and still there")
					}
					continue
				}
				a := &allocation{client: at(1000*(w+1) + random.IntN(900))}
				if table.find(a.client, a.dest) == nil {
					table.put(a)
					mine = append(mine, a)
				}
			}
			for _, a := range mine {
				table.drop(a)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if table.count != 100 {
		t.Errorf("%d left, want 100", table.count)
	}
}

func TestClientTableDropsOnlyTheOneItMeans(t *testing.T) {
	table := newClientTable()
	client := netip.MustParseAddrPort("8.8.8.8:53")
	first, second := &allocation{client: client}, &allocation{client: client}
	table.put(first)
	table.put(second)
	table.drop(first)
	if table.find(client, netip.Addr{}) != second || table.count != 1 {
		t.Error("the second went with the first")
	}
	table.drop(second)
	if table.find(client, netip.Addr{}) != nil || table.count != 0 {
		t.Error("the second is still there")
	}
}
