package cluster

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait in these tests.
const patience = time.Minute

// natsServers are real NATS servers in this process, that keep rooms together.
type natsServers struct {
	t       *testing.T
	running []*server.Server
	options []*server.Options
}

// startNATS runs one server, or a cluster of three.
func startNATS(t *testing.T, count int, change ...func(*server.Options)) *natsServers {
	t.Helper()
	n := &natsServers{t: t}
	var routes []string
	for range count {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", freePort(t)))
	}
	for i := range count {
		options := &server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: freePort(t), NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 256 << 20,
		}
		if count > 1 {
			route, _ := url.Parse(routes[i])
			options.Cluster = server.ClusterOpts{Name: "duet", Host: "127.0.0.1", Port: portOf(route), NoAdvertise: true}
			options.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}
		for _, change := range change {
			change(options)
		}
		n.options = append(n.options, options)
		n.running = append(n.running, nil)
		n.start(i)
	}
	t.Cleanup(func() {
		for i := range n.running {
			n.stop(i)
		}
	})
	n.settle()
	return n
}

func (n *natsServers) start(i int) {
	n.t.Helper()
	s, err := server.NewServer(n.options[i].Clone())
	if err != nil {
		n.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		n.t.Fatal("NATS does not start")
	}
	n.running[i] = s
}

func (n *natsServers) stop(i int) {
	if s := n.running[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		n.running[i] = nil
	}
}

// settle waits until the servers have a leader, and none of them lags behind.
func (n *natsServers) settle() {
	n.t.Helper()
	within(n.t, "NATS has a leader", func() bool {
		leader := len(n.running) == 1
		for _, s := range n.running {
			if s != nil && s.Healthz(nil).Status != "ok" {
				return false
			}
			leader = leader || s != nil && s.JetStreamIsLeader()
		}
		return leader
	})
}

// url is that of all servers, the i-th first.
func (n *natsServers) url(i int) string {
	var urls []string
	for k := range n.options {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.options[(i+k)%len(n.options)].Port))
	}
	return strings.Join(urls, ",")
}

// open lets a node in.
func (n *natsServers) open(i int, opts Options) *Cluster {
	n.t.Helper()
	c, err := Open(n.t.Context(), n.fill(i, opts))
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// fill completes the options of a node whose first server is the i-th.
func (n *natsServers) fill(i int, opts Options) Options {
	if opts.URL == "" {
		opts.URL = n.url(i)
	}
	opts.Replicas, opts.Log, opts.leaseTime = len(n.options), slog.New(slog.DiscardHandler), 2*time.Second
	return opts
}

// within waits for what comes by itself.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// freePort is one that nobody gets by chance: those are from 32768 on.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.N(22_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func portOf(u *url.URL) (port int) {
	_, _ = fmt.Sscan(u.Port(), &port)
	return port
}

// wire is a way to a server that can be cut.
type wire struct {
	t        *testing.T
	from, to string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	copies   sync.WaitGroup
}

// newWire leads to a server by another port, until the test ends.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	w := &wire{t: t, from: fmt.Sprintf("127.0.0.1:%d", freePort(t)), to: to}
	w.mend()
	t.Cleanup(w.cut)
	return w
}

// mend lets connections through.
func (w *wire) mend() {
	w.t.Helper()
	listener, err := net.Listen("tcp", w.from)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.listener = listener
	w.mu.Unlock()
	w.copies.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.to)
			if err != nil {
				near.Close()
				continue
			}
			w.mu.Lock()
			if w.listener != listener { // cut meanwhile
				near.Close()
				far.Close()
			}
			w.conns = append(w.conns, near, far)
			w.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				w.copies.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
}

// cut ends all connections and lets none through.
func (w *wire) cut() {
	w.mu.Lock()
	if w.listener != nil {
		w.listener.Close()
	}
	w.listener = nil
	for _, conn := range w.conns {
		conn.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.copies.Wait()
}
