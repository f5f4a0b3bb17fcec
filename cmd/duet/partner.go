package main

import (
	"slices"
	"sync"

	"github.com/duetcall/duet/signaling/cluster"
)

// partner is the node whose relay members are told of beside our own: the one with the fewest
// members, and then the same one until it is gone, drains, or has many more than another: whoever has been
// told of it is told anew when it changes.
type partner struct {
	mu   sync.Mutex
	node string
}

// choose picks one of the others, those with the fewest members first. It reports false if none
// has a relay.
func (p *partner) choose(others []cluster.Lease) (cluster.Lease, bool) {
	others = slices.DeleteFunc(others, func(l cluster.Lease) bool { return len(l.URLs) == 0 })
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(others) == 0 {
		p.node = ""
		return cluster.Lease{}, false
	}
	best := others[0]
	i := slices.IndexFunc(others, func(l cluster.Lease) bool { return l.Node == p.node })
	if i >= 0 && others[i].Load <= 2*best.Load+20 {
		return others[i], true
	}
	p.node = best.Node
	return best, true
}
