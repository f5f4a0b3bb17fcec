package main

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/cluster"
)

// startNATS runs a NATS server that wants a password, and returns its URL.
func startNATS(t *testing.T) string {
	t.Helper()
	options := &natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: t.TempDir(), JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 64 << 20,
		Username: "duet", Password: "tightly held",
	}
	s, err := natsserver.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	return "nats://" + s.Addr().String()
}

// clustered is the configuration of a node at a loopback address of its own.
func clustered(nats, address string) func(*config.Config) {
	return func(cfg *config.Config) {
		cfg.HTTP.Listen, cfg.Metrics.Listen = address+":0", address+":0"
		cfg.Turn.ListeningIP = []netip.Addr{netip.MustParseAddr(address)}
		cfg.Turn.StaticAuthSecret = "shared by all nodes"
		cfg.Cluster.NATSURL, cfg.Cluster.NATSUser, cfg.Cluster.NATSPassword = nats, "duet", "tightly held"
		cfg.Cluster.Secret, cfg.Cluster.Replicas = "0123456789abcdef0123456789abcdef", 1
	}
}

// startNodes runs servers that are one service, each at an address of its own.
func startNodes(t *testing.T, count int) []*server {
	t.Helper()
	nats := startNATS(t)
	var nodes []*server
	for i := range count {
		address := "127.0.0." + strconv.Itoa(i+1)
		s, stop := startServer(t, func(cfg *config.Config) {
			clustered(nats, address)(cfg)
			cfg.Turn.ListeningPort = freePortAt(t, address)
		})
		t.Cleanup(stop)
		nodes = append(nodes, s)
	}
	for _, s := range nodes {
		within(t, patience, "the nodes know each other, and the rooms", func() bool {
			_, err := s.cluster.Rooms(t.Context())
			return err == nil && len(s.cluster.Others()) == count-1
		})
	}
	return nodes
}

// freePortAt is a port that no outgoing connection gets by chance: those are from 32768 on.
func freePortAt(t *testing.T, address string) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.N(15_000)
		at := net.JoinHostPort(address, strconv.Itoa(port))
		l, err := net.Listen("tcp", at)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", at)
		_ = l.Close()
		if err == nil {
			_ = udp.Close()
			return port
		}
	}
	t.Fatalf("no port of %s is free", address)
	return 0
}

func TestMembersAreToldOfTheRelayOfASecondNodeAndItTakesTheirCredentials(t *testing.T) {
	nodes := startNodes(t, 2)
	ws, joined := join(t, nodes[0], "tea")
	defer ws.Close()
	given := joined.ICE.Servers[0]
	own, other := nodes[0].ownURLs(), nodes[1].ownURLs()
	if want := slices.Concat(own, other)[:min(len(own)+len(other), maxURLs)]; !slices.Equal(given.URLs, want) || len(own) == 0 || len(want) == len(own) {
		t.Fatalf("told of %q, want %q", given.URLs, want)
	}
	there := given
	there.URLs = given.URLs[len(own):]
	for _, server := range []signaling.ICEServer{given, there} {
		address := strings.TrimSuffix(strings.TrimPrefix(server.URLs[0], "turn:"), "?transport=udp")
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		relayedBy(t, server, address, conn)
	}
	for i, s := range nodes {
		if s.relay.Allocations() != 1 {
			t.Errorf("node %d has %d allocations", i, s.relay.Allocations())
		}
	}
	if err := ws.WriteJSON(map[string]string{"type": "leave"}); err != nil {
		t.Fatal(err)
	}
	within(t, time.Second, "who leaves is off both relays", func() bool {
		return nodes[0].relay.Allocations() == 0 && nodes[1].relay.Allocations() == 0
	})
}

func TestNobodyIsToldOfANodeThatDrains(t *testing.T) {
	nodes := startNodes(t, 2)
	ready := func(s *server) int {
		resp, err := http.Get(s.url() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := ready(nodes[1]); got != http.StatusOK {
		t.Errorf("readyz answers %d", got)
	}
	nodes[1].beginDrain(t.Context()).tick.Stop()
	within(t, patience, "the other node is told of no more", func() bool { return slices.Equal(nodes[0].relayURLs(), nodes[0].ownURLs()) })
	if got := nodes[1].relayURLs(); !slices.Equal(got, nodes[0].ownURLs()) {
		t.Errorf("members of the node that drains are told of %q", got)
	}
	if got := ready(nodes[1]); got != http.StatusServiceUnavailable {
		t.Errorf("readyz of the node that drains answers %d", got)
	}
	if got := ready(nodes[0]); got != http.StatusOK {
		t.Errorf("readyz of the other answers %d", got)
	}
}

func TestASessionOfOneServerResumesOnAnother(t *testing.T) {
	nodes := startNodes(t, 2)
	first, joined := join(t, nodes[0], "tea")
	defer first.Close()
	dialer := websocket.Dialer{Subprotocols: []string{signaling.Protocol}}
	second, resp, err := dialer.Dial("ws"+strings.TrimPrefix(nodes[1].url(), "http")+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = resp.Body.Close()
	if err := second.WriteJSON(map[string]any{"type": "resume", "session": joined.Session.ID, "key": joined.Session.Key, "seq": joined.Seq}); err != nil {
		t.Fatal(err)
	}
	var resumed signaling.Outbound
	if err := second.ReadJSON(&resumed); err != nil || resumed.Type != signaling.TypeResumed || *resumed.Lost {
		t.Fatalf("%+v, %v", resumed, err)
	}
	if want := nodes[1].relayURLs(); !slices.Equal(resumed.ICE.Servers[0].URLs, want) {
		t.Errorf("it is told of %q, want %q", resumed.ICE.Servers[0].URLs, want)
	}
}

func TestAServerThatDoesNotReachNATSSaysSoAndLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	cfg := config.Default()
	clustered("nats://127.0.0.1:"+freePort(t), "127.0.0.1")(&cfg)
	cfg.Turn.ListeningPort, _ = strconv.Atoi(freePort(t))
	began := time.Now()
	_, err := newServer(cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "[cluster] nats_url") || !strings.Contains(err.Error(), cfg.Cluster.NATSURL) || strings.Contains(err.Error(), "tightly") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("that took %v", took)
	}
}

func TestThePartnerIsTheNodeWithTheFewestMembersAndStaysWhileItMay(t *testing.T) {
	var p partner
	lease := func(node string, load int, urls ...string) cluster.Lease {
		return cluster.Lease{Node: node, Load: load, URLs: urls}
	}
	for _, row := range []struct {
		what   string
		others []cluster.Lease // those with the fewest members first
		want   string
	}{
		{"nobody is there", nil, ""},
		{"one has no relay", []cluster.Lease{lease("a", 0)}, ""},
		{"the one with the fewest members", []cluster.Lease{lease("b", 1, "turn:b"), lease("c", 2, "turn:c")}, "b"},
		{"now another has fewer", []cluster.Lease{lease("c", 2, "turn:c"), lease("b", 20, "turn:b")}, "b"},
		{"now it has many more", []cluster.Lease{lease("c", 2, "turn:c"), lease("b", 30, "turn:b")}, "c"},
		{"it is gone", []cluster.Lease{lease("b", 30, "turn:b")}, "b"},
	} {
		got, found := p.choose(row.others)
		if got.Node != row.want || found != (row.want != "") {
			t.Errorf("%s: %q", row.what, got.Node)
		}
	}
}
