package relay

import "sync"

// quota counts allocations, from before their port is taken to after their
// socket is closed.
type quota struct {
	mu             sync.Mutex
	perUser, total int // 0 is unlimited
	users          map[user]int
	count          int
}

func newQuota(perUser, total int) *quota {
	return &quota{perUser: perUser, total: total, users: make(map[user]int)}
}

// limit sets the quotas from now on. Who holds more keeps it.
func (q *quota) limit(perUser, total int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.perUser, q.total = perUser, total
}

// take counts one more allocation of u, or says which quota is used up.
func (q *quota) take(u user) Refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.perUser > 0 && q.users[u] >= q.perUser:
		return RefusedUserQuota
	case q.total > 0 && q.count >= q.total:
		return RefusedTotalQuota
	}
	q.users[u]++
	q.count++
	return accepted
}

// release undoes one take.
func (q *quota) release(u user) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	if q.users[u]--; q.users[u] == 0 {
		delete(q.users, u)
	}
}
