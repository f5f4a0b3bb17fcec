package relay

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

func TestUserQuotaCountsTheMemberNotTheCredential(t *testing.T) {
	cfg := testConfig()
	cfg.UserQuota = 2
	s := serve(t, cfg, Options{})
	cat := func(minutes int) *wireClient {
		name, password := Mint(testSecret, "cat", time.Now().Add(time.Duration(minutes)*time.Minute))
		return dial(t, s, name, password)
	}
	first, second, third := cat(1), cat(2), cat(3)
	first.allocate()
	second.allocate()
	third.want(third.do(stun.MethodAllocate, wantUDP), 486)
	// A static user of the same name is somebody else.
	ann := dial(t, s, "ann", "pass")
	ann.allocate()
	// What is given back can be had again.
	first.want(first.do(stun.MethodRefresh, seconds(0)), 0)
	third.allocate()
	if got := s.Stats().Refused[RefusedUserQuota]; got != 1 {
		t.Errorf("refused %d times, want 1", got)
	}
}

func TestTotalQuota(t *testing.T) {
	cfg := testConfig()
	cfg.TotalQuota = 3
	s := serve(t, cfg, Options{})
	for range 3 {
		dial(t, s, "ann", "pass").allocate()
	}
	c := dial(t, s, "bob", "word")
	c.want(c.do(stun.MethodAllocate, wantUDP), 486)
}

// Quotas, ports and the count of allocations must come out right whatever
// succeeds, fails and ends at the same time.
func TestQuotaIsExactUnderRaces(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPort = cfg.MinPort + 5 // fewer than total_quota: allocations fail behind the quota
	cfg.UserQuota, cfg.TotalQuota = 3, 8
	cfg.Users = map[string]config.Secret{"ann": "pass", "bob": "pass", "cat": "pass"}
	s := serve(t, cfg, Options{})
	var clients []*wireClient
	for i := range 12 {
		clients = append(clients, dial(t, s, []string{"ann", "bob", "cat"}[i%3], "pass"))
	}
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			for range 60 {
				if code(c.do(stun.MethodAllocate, wantUDP)) == 0 && rand.IntN(4) > 0 {
					c.do(stun.MethodRefresh, seconds(0))
				}
				if n := s.Stats().Allocations; n > 8 {
					t.Errorf("%d allocations, quota is 8", n)
				}
			}
			c.do(stun.MethodRefresh, seconds(0))
		})
	}
	wg.Wait()
	if stats := s.Stats(); stats.Allocations != 0 || stats.PortsUsed != 0 {
		t.Errorf("%d allocations and %d ports are left", stats.Allocations, stats.PortsUsed)
	}
	if len(s.quota.users) != 0 || s.quota.count != 0 {
		t.Errorf("users left in the quota: %v", s.quota.users)
	}
}

func TestQuotaModel(t *testing.T) {
	q := newQuota(3, 7)
	users := []user{{name: "a"}, {name: "b"}, {name: "a", minted: true}}
	model := map[user]int{}
	total := 0
	for range 10_000 {
		u := users[rand.IntN(len(users))]
		if rand.IntN(2) == 0 && model[u] > 0 {
			q.release(u)
			model[u]--
			total--
			continue
		}
		want := accepted
		switch {
		case model[u] == 3:
			want = RefusedUserQuota
		case total == 7:
			want = RefusedTotalQuota
		}
		if got := q.take(u); got != want {
			t.Fatalf("take with %d of the user and %d in all: %s, want %s", model[u], total, got, want)
		}
		if want == accepted {
			model[u]++
			total++
		}
	}
}
