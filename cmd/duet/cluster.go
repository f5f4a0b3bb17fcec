package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/cluster"
)

// maxURLs is how many URLs of relays a member is told: with five, browsers warn that finding
// the way takes long.
const maxURLs = 4

// announceTimeout is how long the other nodes may take to hear that this one drains. They hear it
// anyway with the next lease.
const announceTimeout = time.Second

// openCluster makes this server one of several, if [cluster] says so.
func (s *server) openCluster(ctx context.Context) (err error) {
	cfg := s.cfg.Cluster
	if !cfg.On() {
		return nil
	}
	s.cluster, err = cluster.Open(ctx, cluster.Options{
		URL: cfg.NATSURL, Credentials: cfg.NATSCredentials, User: cfg.NATSUser, Password: string(cfg.NATSPassword), CA: cfg.NATSCA,
		Replicas: cfg.Replicas, Bucket: cfg.Bucket,
		Lease: s.lease,
		Log:   s.log.With("part", "cluster"),
	})
	if err != nil {
		return fmt.Errorf("[cluster] nats_url: %w", err)
	}
	return nil
}

// shared is what signaling shares with other nodes: nil for a server that is alone.
func (s *server) shared() signaling.Cluster {
	if s.cluster == nil {
		return nil
	}
	return s.cluster
}

// lease is what the other nodes hear of this one.
func (s *server) lease() cluster.Lease {
	lease := cluster.Lease{URLs: s.ownURLs(), Draining: s.draining.Load()}
	if signaling := s.serving.Load(); signaling != nil {
		lease.Load = int(signaling.Stats().Members)
	}
	return lease
}

// clusterSessionKey is the session key of all nodes.
func clusterSessionKey(secret string) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(secret), nil, "duet cluster sessions", signaling.KeySize)
}

// relayURLs are those that a member is told: of this node, and one of another, in case this one
// dies. A node that drains takes no new allocations; then only the other's.
func (s *server) relayURLs() []string {
	own := s.ownURLs()
	if s.cluster == nil {
		return own
	}
	lease, found := s.partner.choose(s.cluster.Others())
	switch {
	case !found:
		return own
	case s.draining.Load():
		return lease.URLs[:min(len(lease.URLs), maxURLs)]
	}
	own = own[:min(len(own), maxURLs-1)]
	return slices.Concat(own, lease.URLs[:min(len(lease.URLs), maxURLs-len(own))])
}

// announce tells the other nodes at once what the lease says.
func (s *server) announce(ctx context.Context) {
	if s.cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	if err := s.cluster.Announce(ctx); err != nil {
		s.log.Warn("the other nodes do not hear yet that this one drains", "error", err)
	}
}
