package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duetcall/duet/signaling"
)

// leaseTime is how long a lease holds that is not renewed. NATS gives a time to live to a whole
// bucket, or to a key when it is made, but not to a key that is written again; hence a bucket of their own.
const leaseTime = 10 * time.Second

// maxLease bounds a lease in bytes.
const maxLease = 8 << 10

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
	mu   sync.Mutex
	seen map[string]peer
	// whole is since when this node has seen its own lease all the time: until it has done so for
	// the time of a lease, it may not have seen those of others that live.
	whole time.Time
}

type peer struct {
	lease Lease
	at    time.Time
}

// alive returns the leases that hold, in the order of the nodes' names.
func (c *Cluster) alive() (leases []Lease) {
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	for node, peer := range c.peers.seen {
		if time.Since(peer.at) > c.opts.leaseTime {
			delete(c.peers.seen, node)
			continue
		}
		leases = append(leases, peer.lease)
	}
	slices.SortFunc(leases, func(a, b Lease) int { return strings.Compare(a.Node, b.Node) })
	return leases
}

// Nodes implements [signaling.Cluster]. For as long as a lease holds after it came, or came back, a
// node does not know who is there: the others may be just as late.
func (c *Cluster) Nodes(context.Context) ([]string, error) {
	var nodes []string
	for _, lease := range c.alive() {
		nodes = append(nodes, lease.Node)
	}
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	if !slices.Contains(nodes, c.node) || time.Since(c.peers.whole) < c.opts.leaseTime {
		return nil, fmt.Errorf("%w: the other nodes are not known yet", signaling.ErrUnavailable)
	}
	return nodes, nil
}

// Others returns the leases of the other nodes that live, those with the fewest members first. Those that
// drain are left out.
func (c *Cluster) Others() []Lease {
	leases := slices.DeleteFunc(c.alive(), func(l Lease) bool { return l.Node == c.node || l.Draining })
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
	return nil
}

// leaseEvery is how often a lease is renewed.
func (c *Cluster) leaseEvery() time.Duration { return c.opts.leaseTime / 3 }

// keepLease renews the lease again and again.
func (c *Cluster) keepLease() {
	tick := time.NewTicker(c.leaseEvery())
	defer tick.Stop()
	kept := true
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.leaseEvery())
		err := c.renew(ctx)
		if err != nil { // NATS may have lost the buckets, with its disk
			_, _, _ = c.buckets(ctx) // the next renewal tells
		}
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

// watchLeases hears of the other nodes, and of this one.
func (c *Cluster) watchLeases() {
	for c.ctx.Err() == nil {
		if updates, stop, err := watchAll(c.ctx, c.lease); err == nil {
			c.hearLeases(updates)
			stop()
		}
		select {
		case <-c.ctx.Done():
		case <-time.After(c.leaseEvery() / 3):
		}
	}
}

// hearLeases returns when a watch has ended, or tells nothing any more: our own lease, at least,
// is there to be heard.
func (c *Cluster) hearLeases(updates <-chan jetstream.KeyValueEntry) {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(c.opts.leaseTime):
			return
		case entry, open := <-updates:
			if !open {
				return
			}
			if entry != nil {
				c.noteLease(entry)
			}
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
	lease, ok := decodeLease(entry.Key(), entry.Value())
	if !ok {
		return
	}
	now := time.Now()
	if known, ok := c.peers.seen[c.node]; lease.Node == c.node && (!ok || now.Sub(known.at) > c.opts.leaseTime) {
		c.peers.whole = now
	}
	c.peers.seen[lease.Node] = peer{lease, now}
}

// decodeLease reads what a node says of itself, if it is that.
func decodeLease(node string, value []byte) (lease Lease, ok bool) {
	ok = len(value) <= maxLease && json.Unmarshal(value, &lease) == nil && lease.Node == node
	return lease, ok
}
