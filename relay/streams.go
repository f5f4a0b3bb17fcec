package relay

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/duetcall/duet/relay/tcp"
)

// How many connections there may be: in all, and from one source, which is an IPv4
// address or an IPv6 /64. A household or an office behind one address fits.
const (
	maxStreams          = 4096
	maxStreamsPerSource = 128
)

// unackedTimeout is how long a client may acknowledge nothing, as one that has lost its
// network does.
const unackedTimeout = 30 * time.Second

// sendBuffer bounds what the kernel holds for a client that does not read.
const sendBuffer = 256 << 10

// streams knows every connection, so that their number is bounded and all of them
// can be ended. Its lock is a leaf.
type streams struct {
	mu      sync.Mutex
	shards  map[*shard]bool
	sources map[netip.Prefix]int
	closed  bool
	past    flow // of connections that have ended
}

func newStreams() *streams {
	return &streams{shards: make(map[*shard]bool), sources: make(map[netip.Prefix]int)}
}

// add counts a connection in, before it costs anything, unless there are too many.
func (s *streams) add(shard *shard, source netip.Prefix, readers *sync.WaitGroup) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.shards) >= maxStreams || s.sources[source] >= maxStreamsPerSource {
		return false
	}
	s.shards[shard] = true
	s.sources[source]++
	readers.Add(1) // under the lock: none is added once close has returned
	return true
}

func (s *streams) remove(shard *shard, source netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.shards, shard)
	moved, _ := shard.measure()
	s.past.add(moved)
	if s.sources[source]--; s.sources[source] == 0 {
		delete(s.sources, source)
	}
}

// close ends every connection, and lets no other begin.
func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for shard := range s.shards {
		_ = shard.socket.conn.Close()
	}
}

// count returns how many connections there are.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.shards)
}

// measure returns what connections have moved, past ones too, and what the allocations of
// those that are open have now.
func (s *streams) measure() (flow, holdings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, held := s.past, holdings{}
	for shard := range s.shards {
		moved, more := shard.measure()
		sum.add(moved)
		held.add(more)
	}
	return sum, held
}

// sourceOf is what strangers are told apart by: the /32 of an IPv4 address, the /64
// of an IPv6 one.
func sourceOf(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, _ := addr.WithZone("").Prefix(bits)
	return prefix
}

// ServeStream takes over a connection on which a client speaks TURN, and returns at
// once. transport is "tcp" or "tls", for the log. The connection ends with its
// client, or with Run.
func (s *Server) ServeStream(conn net.Conn, transport string) {
	stream := newStream(s, conn)
	source := sourceOf(stream.client.Addr())
	local := streamAddr(conn.LocalAddr())
	shard := newShard(s, stream, udpAddr(local), transport)
	stream.allocated = func() bool { return shard.find(stream.client) != nil }
	shard.ended = func() {
		s.streams.remove(shard, source)
		s.readers.Done()
	}
	if !stream.client.IsValid() || !local.IsValid() || !s.streams.add(shard, source, &s.readers) {
		s.stats.drop(DropCrowded)
		_ = conn.Close()
		return
	}
	tune(conn)
	if err := s.start(shard, maxFrame); err != nil {
		shard.ended()
		_ = conn.Close()
		s.log.Debug("engine", "reason", err)
	}
}

// tune keeps a dead or silent client from holding on to memory of the kernel's.
func tune(conn net.Conn) {
	if connection := tcpConn(conn); connection != nil {
		_ = connection.SetWriteBuffer(sendBuffer)
		_ = tcp.SetUserTimeout(connection, unackedTimeout)
		_ = connection.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
	}
}

// tcpConn returns the TCP connection that conn is, or is based on, or nil.
func tcpConn(conn net.Conn) *net.TCPConn {
	for { // below TLS, below what a proxy forwards
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	connection, _ := conn.(*net.TCPConn)
	return connection
}

// listenTCP binds TCP beside each UDP socket, on the same address and port.
func (s *Server) listenTCP() error {
	for _, shard := range s.shards {
		at := addrPort(shard.local)
		network := "tcp6"
		if at.Addr().Is4() {
			network = "tcp4"
		}
		listener, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(at))
		if err != nil {
			return fmt.Errorf("binding TCP %s: %w; %s", at, cause(err), bindHint(err))
		}
		s.listeners = append(s.listeners, listener)
	}
	return nil
}
