package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/duetcall/duet/signaling"
)

// setupTimeout is how long NATS may take to let a node in, and connectTimeout how long it may take
// to be there: it may have been started at the same time.
const (
	setupTimeout   = 20 * time.Second
	connectTimeout = 5 * time.Second
)

// Options say where the other nodes are and what this one tells them.
type Options struct {
	// URL is that of one NATS server or, with commas between, of several.
	URL string
	// Credentials is the file of a NATS user's credentials. Empty: what the URL says.
	Credentials string
	// User and Password are those of NATS. Empty: what the URL says.
	User, Password string
	// Replicas is on how many NATS servers the rooms are kept, 1, 3 or 5.
	Replicas int
	// Bucket is the beginning of the buckets' and subjects' names: nodes with the same one
	// serve the same rooms. Empty: "duet".
	Bucket string
	// Lease says how this node is now. Its Node is filled in. Nil: nothing is said.
	Lease func() Lease
	// CA is a file with the certificates that those of NATS are checked with. Empty: the system's.
	CA string
	// Log receives what happens to the connection. Nil: slog.Default().
	Log *slog.Logger

	leaseTime time.Duration // shorter in tests
}

// Cluster is one node's membership: a [signaling.Cluster].
type Cluster struct {
	opts  Options
	node  string
	conn  *nats.Conn
	js    jetstream.JetStream
	rooms jetstream.KeyValue
	lease jetstream.KeyValue
	stats counters
	turns *turns

	mirror mirror
	peers  peers

	reconnected chan struct{} // holds one token after the connection was lost
	ctx         context.Context
	end         context.CancelFunc
	parts       sync.WaitGroup
}

// counters count what a node has met.
type counters struct {
	calls, served, failedCalls, conflicts, unavailable atomic.Uint64
}

// Stats is a snapshot of what a node has met.
type Stats struct {
	Nodes       int    // that live, this one among them
	Calls       uint64 // requests to other nodes
	FailedCalls uint64 // of them those without an answer
	Served      uint64 // requests of other nodes
	Conflicts   uint64 // changes of a room that began again because another was faster
	Unavailable uint64 // changes and reads of a room that NATS did not answer in time
}

// Open joins the cluster: it connects, makes the buckets if there are none, and keeps a
// lease until Close. It fails if NATS does not let the node in within 20 s; from then on a
// connection that is lost is made again, for ever.
func Open(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Bucket == "" {
		opts.Bucket = "duet"
	}
	if opts.Lease == nil {
		opts.Lease = func() Lease { return Lease{} }
	}
	if opts.leaseTime == 0 {
		opts.leaseTime = leaseTime
	}
	c := &Cluster{
		opts: opts, node: newName(), turns: newTurns(), reconnected: make(chan struct{}, 1),
		mirror: mirror{rooms: make(map[string]signaling.Room)}, peers: peers{seen: make(map[string]peer)},
	}
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return nil, fmt.Errorf("connecting to NATS at %s: %w", Redacted(opts.URL), err)
	}
	var err error
	if c.rooms, c.lease, err = c.buckets(ctx); err != nil {
		c.conn.Close()
		return nil, fmt.Errorf("NATS at %s lets this node keep no rooms (does it run with JetStream, and on as many servers as replicas says?): %w", Redacted(opts.URL), err)
	}
	c.ctx, c.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := c.renew(ctx); err != nil {
		c.end()
		c.conn.Close()
		return nil, fmt.Errorf("keeping a lease in NATS at %s: %w", Redacted(opts.URL), err)
	}
	c.parts.Go(c.keepLease)
	c.parts.Go(c.watchLeases)
	return c, nil
}

func (c *Cluster) connect(ctx context.Context) (err error) {
	lost := func(_ *nats.Conn, err error) {
		if err != nil {
			c.opts.Log.Warn("the connection to NATS is lost", "error", err)
		}
	}
	again := func(conn *nats.Conn) {
		c.opts.Log.Info("connected to NATS again", "server", Redacted(conn.ConnectedUrl()))
		select {
		case c.reconnected <- struct{}{}:
		default:
		}
	}
	options := []nats.Option{
		nats.Name("duet " + c.node), nats.Timeout(connectTimeout), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.IgnoreAuthErrorAbort(), // a password that is wrong may be right again
		nats.ReconnectBufSize(-1),   // what cannot be sent now is an error now
		nats.DisconnectErrHandler(lost), nats.ReconnectHandler(again),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.opts.Log.Warn("NATS", "error", err) }),
	}
	if c.opts.Credentials != "" {
		options = append(options, nats.UserCredentials(c.opts.Credentials))
	}
	if c.opts.User != "" {
		options = append(options, nats.UserInfo(c.opts.User, c.opts.Password))
	}
	if c.opts.CA != "" {
		options = append(options, nats.RootCAs(c.opts.CA))
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	err = whileStarting(ctx, func() (err error) {
		c.conn, err = nats.Connect(c.opts.URL, options...)
		return err
	})
	if err == nil {
		c.js, err = jetstream.New(c.conn)
	}
	return err
}

// buckets makes the buckets that do not exist, which several nodes may do at once. What exists stays as
// its operator wants it.
func (c *Cluster) buckets(ctx context.Context) (rooms, lease jetstream.KeyValue, err error) {
	if rooms, err = c.bucket(ctx, jetstream.StreamConfig{
		Name:        c.opts.Bucket + "-rooms",
		Description: "rooms and seats of duet",
		AllowMsgTTL: true,
		// Revisions grow on in a bucket that is made because NATS has lost the one before.
		FirstSeq: uint64(time.Now().UnixMilli()), //nolint:gosec // it is after 1970
	}); err != nil {
		return nil, nil, err
	}
	lease, err = c.bucket(ctx, jetstream.StreamConfig{
		Name:        c.opts.Bucket + "-nodes",
		Description: "nodes of duet that live",
		MaxAge:      c.opts.leaseTime,
		Duplicates:  c.opts.leaseTime,
	})
	return rooms, lease, err
}

// bucket opens or makes a key-value bucket, whose reads are answered by the server that leads: the
// answer of another may be older than what was written.
func (c *Cluster) bucket(ctx context.Context, stream jetstream.StreamConfig) (jetstream.KeyValue, error) {
	name := stream.Name
	stream.Name, stream.Subjects = "KV_"+name, []string{"$KV." + name + ".>"}
	stream.Storage = jetstream.FileStorage // a server that restarts forgets buckets in memory
	stream.Replicas, stream.MaxMsgsPerSubject, stream.Discard = max(c.opts.Replicas, 1), 1, jetstream.DiscardNew
	stream.MaxMsgs, stream.MaxBytes, stream.MaxMsgSize, stream.MaxConsumers = -1, -1, -1, -1
	stream.AllowRollup, stream.DenyDelete = true, true
	var bucket jetstream.KeyValue
	err := whileStarting(ctx, func() (err error) {
		bucket, err = c.openOrMake(ctx, name, stream)
		return err
	})
	return bucket, err
}

func (c *Cluster) openOrMake(ctx context.Context, name string, stream jetstream.StreamConfig) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout) // while there is no leader nobody answers
	defer cancel()
	bucket, err := c.js.KeyValue(ctx, name)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return bucket, err
	}
	if _, err := c.js.CreateStream(ctx, stream); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil, err
	}
	return c.js.KeyValue(ctx, name)
}

// askTimeout is how long NATS may take to answer one question about buckets.
const askTimeout = 2 * time.Second

// whileStarting tries again, until ctx ends, what a NATS that has just been started cannot do yet.
func whileStarting(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil || !isStarting(err) {
			return err
		}
		select {
		case <-time.After(startingRetry):
		case <-ctx.Done():
			return err
		}
	}
}

// startingRetry is how often a NATS that has just been started is asked whether it is ready.
const startingRetry = 200 * time.Millisecond

// insufficientPeers is JSClusterNoPeersErrF of NATS: fewer servers than replicas are there.
const insufficientPeers = 10005

// isStarting reports whether an error goes away by itself once all servers of NATS are there.
func isStarting(err error) bool {
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return false
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.Code == 503 || api.ErrorCode == insufficientPeers
	}
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrBucketNotFound) // another node is just making it
}

// Close gives up the lease, so that the others know at once, and disconnects.
func (c *Cluster) Close() {
	c.end()
	c.parts.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.lease.Delete(ctx, c.node) // otherwise it ends by itself
	c.conn.Close()
}

// Node implements [signaling.Cluster].
func (c *Cluster) Node() string { return c.node }

// Connected reports whether there is a connection to NATS now.
func (c *Cluster) Connected() bool { return c.conn.IsConnected() }

// Stats returns what the node has met so far.
func (c *Cluster) Stats() Stats {
	nodes := c.alive()
	return Stats{
		Nodes: len(nodes), Calls: c.stats.calls.Load(), FailedCalls: c.stats.failedCalls.Load(), Served: c.stats.served.Load(),
		Conflicts: c.stats.conflicts.Load(), Unavailable: c.stats.unavailable.Load(),
	}
}

// unavailable wraps what NATS says when it cannot do its part.
func (c *Cluster) unavailable(err error) error {
	c.stats.unavailable.Add(1)
	return fmt.Errorf("%w: %w", signaling.ErrUnavailable, err)
}

// newName names a process: 64 random bits.
func newName() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Redacted is a list of URLs without the secrets in it, for people.
func Redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, text := range list {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil {
			list[i] = "(no URL)"
			continue
		}
		u.User = nil
		list[i] = u.String()
	}
	return strings.Join(list, ",")
}
