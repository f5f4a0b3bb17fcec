package signaling

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/duetcall/duet/addrlimit"
	"github.com/duetcall/duet/config"
)

// maxUnjoined bounds the sockets that have not joined a room yet, so that strangers
// who only connect cannot use up what members need.
const maxUnjoined = 1024

// failuresWithin is the time in which an address may try limits.FailedKeys wrong keys.
const failuresWithin = 30 * time.Minute

// byteBurst is what a socket may send at once whatever its rate: it fits in a queue, so that
// one member's burst alone never makes another slow.
const byteBurst = 512 << 10

// What a client is told of when to come back: to a server that is full, and after a flood.
const (
	crowdedRetry  = 5 * time.Second
	fullRetry     = 5 * time.Second
	floodRetry    = time.Second
	maxRetryAfter = time.Hour
)

// errFlood ends a socket that sends more than it may.
var errFlood = errors.New("more messages or bytes than the limits allow")

// door bounds what an address may do before it is a member: how many sockets it opens and has, and
// how many wrong keys it tries. It never changes; a reload makes another one.
type door struct {
	limits   config.Signaling
	connects *addrlimit.Rate
	failures *addrlimit.Rate
	sockets  *addrlimit.Count // the same for all doors of a server
}

// newDoor makes the door for these limits, which goes on where the one before was, nil for
// the first.
func newDoor(limits config.Signaling, before *door) *door {
	d := &door{limits: limits}
	if before == nil {
		d.sockets = addrlimit.NewCount(addrlimit.Size)
	} else {
		d.connects, d.failures, d.sockets = before.connects, before.failures, before.sockets
	}
	if before == nil || before.limits.ConnectRate != limits.ConnectRate {
		d.connects = addrlimit.NewRate(limits.ConnectRate, time.Second, addrlimit.Size)
	}
	if before == nil || before.limits.FailedKeys != limits.FailedKeys {
		d.failures = addrlimit.NewRate(limits.FailedKeys, failuresWithin, addrlimit.Size)
	}
	return d
}

// shed is a refusal before the upgrade: a browser's script sees no more of it than that the
// connection failed, and tries again; the words are for who looks closer.
type shed struct {
	counted *atomic.Uint64
	words   string
	retry   time.Duration
}

func (s *shed) answer(w http.ResponseWriter) {
	s.counted.Add(1)
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(s.retry.Seconds()))))
	http.Error(w, fmt.Sprintf("%s Try again in %s.", s.words, inWords(s.retry)), http.StatusServiceUnavailable)
}

// enter counts a socket that is about to be upgraded until leave is called, unless its address
// or the server has too many, or the server ends.
func (s *Server) enter(from netip.Addr) (leave func(), refused *shed) {
	d, now := s.door.Load(), time.Now()
	if !d.connects.Take(from, now) {
		return nil, &shed{&s.stats.connectRate, "Your network opens too many connections.", max(time.Second, d.connects.Wait(from, now))}
	}
	if !d.sockets.Enter(from, d.limits.SocketsPerAddress) {
		return nil, &shed{&s.stats.socketsPerAddress, "Your network has too many connections to this server.", crowdedRetry}
	}
	if !s.admit() {
		d.sockets.Leave(from)
		return nil, &shed{&s.stats.crowded, "The server is busy or restarting.", crowdedRetry}
	}
	return func() {
		d.sockets.Leave(from)
		s.readers.Done()
	}, nil
}

// AddressOf is where a request comes from, as cmd/duet has found out behind its trusted
// proxies. What has no address shares one.
func AddressOf(r *http.Request) netip.Addr {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	return from.Addr().Unmap()
}

// tryKey says why a key that came from there may not be looked at now, or nil: then it counts as a
// wrong one until goodKey is called.
func (s *Server) tryKey(from netip.Addr) *refusal {
	failures, now := s.door.Load().failures, time.Now()
	if failures.Take(from, now) {
		return nil
	}
	s.stats.delayedKeys.Add(1)
	wait := max(time.Second, failures.Wait(from, now))
	return &refusal{
		CodeRateLimited, "Too many wrong keys came from your network. Try again in " + inWords(wait) + ".",
		ActionRejoin, closeRateLimited, wait.Milliseconds(),
	}
}

// goodKey takes back that a key was tried: it was good.
func (s *Server) goodKey(from netip.Addr) { s.door.Load().failures.Give(from) }

// inWords is a time for people.
func inWords(d time.Duration) string {
	seconds := int(math.Ceil(min(d, maxRetryAfter).Seconds()))
	switch {
	case seconds == 1:
		return "a second"
	case seconds < 60:
		return fmt.Sprintf("%d seconds", seconds)
	case seconds == 60:
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", (seconds+59)/60)
}

// newMessageLimit bounds the messages of a socket.
func newMessageLimit(limits config.Signaling) *rate.Limiter {
	if limits.MessageRate == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(limits.MessageRate), limits.MessageBurst)
}

// metered is the connection under a socket. It counts the bytes that come, whatever they are to
// WebSocket: endless fragments and pings are not free.
type metered struct {
	net.Conn
	bytes *rate.Limiter
}

// Read implements [net.Conn]. Its error is errFlood when too many bytes come.
func (m *metered) Read(b []byte) (int, error) {
	n, err := readNow(m.Conn, b)
	if n > 0 && !m.bytes.AllowN(time.Now(), n) {
		return 0, errFlood
	}
	return n, err
}

// meter has the upgrade of a request give a metered connection.
func meter(w http.ResponseWriter, limits config.Signaling) http.ResponseWriter {
	if limits.ByteRate == 0 {
		return w
	}
	burst := min(max(2*limits.ByteRate, 2*MaxMessageBytes), byteBurst)
	return &hijacker{w, rate.NewLimiter(rate.Limit(limits.ByteRate), burst)}
}

// hijacker is a ResponseWriter whose connection is metered.
type hijacker struct {
	http.ResponseWriter
	bytes *rate.Limiter
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &metered{conn, h.bytes}, buffered, nil
}

// drain reads what a peer still sends that has broken the protocol, until it has heard why.
func drain(conn net.Conn) {
	if m, ok := conn.(*metered); ok {
		conn = m.Conn
	}
	_, _ = io.Copy(io.Discard, conn) // ends at the read deadline
}
