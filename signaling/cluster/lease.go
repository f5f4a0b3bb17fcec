package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duetcall/duet/signaling"
)

// A lease ends by itself when it is not renewed. NATS gives a time to live to a whole
// bucket, or to a key when it is made, but not to a key that is written again; hence a bucket of their own.
const (
	leaseTime  = 10 * time.Second
	leaseEvery = 3 * time.Second
)

// Lease is what a node says of itself.
type Lease struct {
	Node string `json:"node"`
	// URLs are those of its relay.
	URLs []string `json:"urls,omitempty"`
	// Load is how many members it has.
	Load int `json:"load"`
	// Draining: nobody is to go there any more.
	Draining bool `json:"draining,omitempty"`
}

// peers are the nodes whose leases this one has seen.
type peers struct {
	mu      sync.Mutex
	seen    map[string]peer
	renewed time.Time // when this node's own lease was last renewed
}

type peer struct {
	lease Lease
	at    time.Time
}

// alive returns the leases that hold, in the order of the nodes' names.
func (p *peers) alive() (leases []Lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for node, peer := range p.seen {
		if time.Since(peer.at) > leaseTime {
			delete(p.seen, node)
			continue
		}
		leases = append(leases, peer.lease)
	}
	slices.SortFunc(leases, func(a, b Lease) int { return strings.Compare(a.Node, b.Node) })
	return leases
}

// Nodes implements [signaling.Cluster].
func (c *Cluster) Nodes(context.Context) ([]string, error) {
	c.peers.mu.Lock()
	cut := time.Since(c.peers.renewed) > leaseTime
	c.peers.mu.Unlock()
	if cut { // we may be what is gone
		return nil, signaling.ErrUnavailable
	}
	nodes := []string{c.node}
	for _, lease := range c.peers.alive() {
		if lease.Node != c.node {
			nodes = append(nodes, lease.Node)
		}
	}
	return nodes, nil
}

// Others returns the leases of the other nodes that live, those with the fewest members first. Those that
// drain are left out.
func (c *Cluster) Others() []Lease {
	leases := slices.DeleteFunc(c.peers.alive(), func(l Lease) bool { return l.Node == c.node || l.Draining })
	slices.SortStableFunc(leases, func(a, b Lease) int { return a.Load - b.Load })
	return leases
}

// Announce renews the lease now: what it says has changed.
func (c *Cluster) Announce(ctx context.Context) error { return c.renew(ctx) }

func (c *Cluster) renew(ctx context.Context) error {
	lease := c.opts.Lease()
	lease.Node = c.node
	value, err := json.Marshal(lease)
	if err != nil {
		return err
	}
	if _, err := c.lease.Put(ctx, c.node, value); err != nil {
		return c.unavailable(err)
	}
	c.peers.mu.Lock()
	c.peers.renewed = time.Now()
	c.peers.mu.Unlock()
	return nil
}

func (c *Cluster) keepLease() {
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	kept := true
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(c.ctx, leaseEvery)
		err := c.renew(ctx)
		cancel()
		if kept != (err == nil) && c.ctx.Err() == nil {
			kept = err == nil
			if kept {
				c.opts.Log.Info("this node belongs to the cluster again")
			} else {
				c.opts.Log.Error("this node is cut off from the cluster: nobody can join or leave until NATS has a majority again", "error", err)
			}
		}
	}
}

// watchLeases hears of the other nodes.
func (c *Cluster) watchLeases() {
	for {
		watcher, err := c.lease.WatchAll(c.ctx)
		if err == nil {
			for entry := range watcher.Updates() {
				if entry != nil {
					c.noteLease(entry)
				}
			}
			_ = watcher.Stop()
		}
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(leaseEvery / 3):
		}
	}
}

func (c *Cluster) noteLease(entry jetstream.KeyValueEntry) {
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	if entry.Operation() != jetstream.KeyValuePut {
		delete(c.peers.seen, entry.Key())
		return
	}
	var lease Lease
	if json.Unmarshal(entry.Value(), &lease) != nil || lease.Node != entry.Key() {
		return
	}
	if c.peers.seen == nil {
		c.peers.seen = make(map[string]peer)
	}
	c.peers.seen[lease.Node] = peer{lease, time.Now()}
}
