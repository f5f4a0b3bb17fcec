package relay

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

func TestUnboundConnectionsEndInTime(t *testing.T) {
	s, err := New(tcpConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.peerConns.bindTimeout = 50 * time.Millisecond
	run(t, s)
	c := dialStream(t, s, "ann", "pass")
	relayed := c.allocateTCP()
	listener, at := tcpPeer(t)
	id := c.connect(at)
	isClosed(t, "the peer", accept(t, listener))
	late := dialStream(t, s, "ann", "pass")
	late.want(late.do(methodConnectionBind, connectionID(id)), 400)
	c.want(c.do(methodCreatePermission, toPeer(dialingPeer)), 0)
	peer := dialRelayed(t, relayed)
	c.attempt()
	isClosed(t, "the peer that came by itself", peer)
	noPeerConns(t, s)
}

func TestTheEndOfATCPAllocationEndsItsConnections(t *testing.T) {
	for name, end := range map[string]func(c *wireClient){
		"released":       func(c *wireClient) { c.want(c.do(stun.MethodRefresh, seconds(0)), 0) },
		"control closed": func(c *wireClient) { c.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, tcpConfig(), Options{})
			c := dialStream(t, s, "ann", "pass")
			relayed := c.allocateTCP()
			client, peer := connected(t, s, c)
			conveys(t, client, peer, "hello")
			listener, at := tcpPeer(t)
			c.connect(at)
			unbound := accept(t, listener)
			end(c)
			isClosed(t, "the client's data connection", client)
			isClosed(t, "the peer", peer)
			isClosed(t, "the peer that nobody has bound", unbound)
			noPeerConns(t, s)
			eventually(t, "the relayed address listens no more", func() bool {
				conn, err := net.Dial("tcp4", relayed.String())
				if err == nil {
					conn.Close()
				}
				return err != nil
			})
			if name == "released" { // the next allocation on the same connection is another
				c.allocateTCP()
				client, peer := connected(t, s, c)
				conveys(t, client, peer, "hello again")
			}
		})
	}
}

func TestTheEndOfOneSideEndsTheOther(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	client, peer := connected(t, s, c)
	client.Close()
	isClosed(t, "the peer", peer)
	peer.Close()
	client, peer = connected(t, s, c)
	peer.SetLinger(0)
	peer.Close()
	isClosed(t, "the client", client)
	noPeerConns(t, s)
	eventually(t, "only the control connection is left", func() bool { return s.streams.count() == 1 })
}

func TestASilentHalfConnectionEnds(t *testing.T) {
	s, err := New(tcpConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.peerConns.halfClosedTimeout = 50 * time.Millisecond
	run(t, s)
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	for _, end := range []string{"client", "peer"} {
		client, peer := connected(t, s, c)
		conveys(t, client, peer, "hello")
		from, to := client, net.Conn(peer)
		if end == "peer" {
			from, to = to, from
		}
		from.(*net.TCPConn).CloseWrite()
		isClosed(t, "the other side", to)
		isClosed(t, "the side that ended", from)
		noPeerConns(t, s)
	}
}

// A client may have its own relayed address for a peer: it gets back what it sends.
func TestAClientConnectsToItself(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	relayed := c.allocateTCP()
	client := c.bind(s, c.connect(relayed))
	conveys(t, client, client, "echo")
	client.Close()
	noPeerConns(t, s)
}

func TestHalfAConnectionMayEndFirst(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	client, peer := connected(t, s, c)
	if _, err := io.WriteString(client, "question"); err != nil {
		t.Fatal(err)
	}
	client.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(peer); err != nil || string(got) != "question" {
		t.Fatalf("the peer got %q, %v", got, err)
	}
	if _, err := io.WriteString(peer, "answer"); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if got, err := io.ReadAll(client); err != nil || string(got) != "answer" {
		t.Errorf("the client got %q, %v", got, err)
	}
	noPeerConns(t, s)
}

// What comes in one segment with the ConnectionBind is data already.
func TestNothingBehindAConnectionBindIsLost(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	listener, at := tcpPeer(t)
	id := c.connect(at)
	data := dialStream(t, s, "ann", "pass")
	data.nonce = c.nonce
	m := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, data.signed(methodConnectionBind, connectionID(id))...)...)
	text := string(bytes.Repeat([]byte("impatient "), 1000))
	data.write(append(bytes.Clone(m.Raw), text...))
	data.want(data.answerTo(m), 0)
	arrives(t, accept(t, listener), text)
}

// Who does not read makes the other side wait, for longer than control connections
// would be kept, and loses nothing.
func TestASlowReaderSlowsTheSender(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	client, peer := connected(t, s, c)
	for name, way := range map[string]struct{ from, to net.Conn }{"to the client": {peer, client}, "to the peer": {client, peer}} {
		t.Run(name, func(t *testing.T) {
			const most = 64 << 20
			sent := make([]byte, most)
			rand.Read(sent)
			way.from.SetWriteDeadline(time.Now().Add(writeTimeout + time.Second))
			n, err := way.from.Write(sent)
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("wrote %d of %d bytes that nobody reads: %v", n, most, err)
			}
			way.from.SetWriteDeadline(time.Time{})
			rest := make(chan error, 1)
			go func() {
				_, err := way.from.Write(sent[n : n+1<<20])
				rest <- err
			}()
			got := make([]byte, n+1<<20)
			way.to.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, sent[:len(got)]) {
				t.Errorf("not what was sent: %v", err)
			}
			if err := <-rest; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMaxBPSDelaysStreams(t *testing.T) {
	cfg := tcpConfig()
	cfg.MaxBytesPerSecond = 200_000
	s := serve(t, cfg, Options{})
	c := dialStream(t, s, "ann", "pass")
	c.allocateTCP()
	client, peer := connected(t, s, c)
	for _, way := range [][2]net.Conn{{client, peer}, {peer, client}} {
		began := time.Now()
		text := string(make([]byte, 300_000))
		done := make(chan error, 1)
		go func() {
			_, err := io.WriteString(way[0], text)
			done <- err
		}()
		arrives(t, way[1], text)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// A quarter of a second, and one read, may pass at once.
		if took := time.Since(began); took < time.Second {
			t.Errorf("took %v", took)
		}
	}
	eventually(t, "all bytes are counted, and none dropped", func() bool {
		stats := s.Stats()
		return stats.Dropped[DropMaxBPS] == 0 && stats.ToPeers.Bytes == 300_000 && stats.FromPeers.Bytes == 300_000
	})
}

// Connects, binds and ends meet in every order, and leave nothing.
func TestEndsMeetBeginnings(t *testing.T) {
	s := serve(t, tcpConfig(), Options{})
	listener, at := tcpPeer(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	before := openFiles(t)
	var members sync.WaitGroup
	for range 4 {
		members.Go(func() {
			for range 25 {
				c := dialStream(t, s, "ann", "pass")
				c.allocateTCP()
				connect := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, c.signed(methodConnect, toPeer(at))...)...)
				c.write(connect.Raw)
				c.write(stun.MustBuild(append([]stun.Setter{stun.TransactionID}, c.signed(stun.MethodRefresh, seconds(0))...)...).Raw)
				if answer := c.answerTo(connect); answer != nil && code(answer) == 0 {
					id, _ := answer.Get(attrConnectionID)
					data, _ := c.askToBind(s, id)
					data.conn.Close()
				}
				c.conn.Close()
			}
		})
	}
	members.Wait()
	noPeerConns(t, s)
	eventually(t, "every connection is closed", func() bool {
		return s.streams.count() == 0 && s.Stats().PortsUsed == 0 && openFiles(t) <= before
	})
}

func TestStreamsLeaveRoomForPackets(t *testing.T) {
	var b bucket
	b.limit(100_000)
	now := time.Hour
	for b.delay(10_000, now) == 0 {
	}
	wait := b.delay(10_000, now)
	if wait <= 0 || wait > 200*time.Millisecond {
		t.Errorf("a stream waits %v", wait)
	}
	for range 2 {
		if !b.take(10_000, now) {
			t.Error("a packet found no room")
		}
	}
	if b.delay(10_000, now+wait) == 0 {
		t.Error("the stream did not wait for the packets")
	}
	if unlimited := (&bucket{}).delay(1<<20, now); unlimited != 0 {
		t.Errorf("unlimited waits %v", unlimited)
	}
}
