package signaling

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
)

// readBuffer is what each socket holds to read the head of a message. The rest goes straight into a
// buffer that they share.
const readBuffer = 256

// closeTryAgain is 1013, "try again later" (IANA WebSocket close codes).
const closeTryAgain = websocket.CloseTryAgainLater

// Options are what the server needs from the rest of the process.
type Options struct {
	// ICEServers mints the ICE servers of one member. Nil: none are handed out.
	ICEServers func(memberID string) ICE
	// Left is told of each member who has left for good, once: at once of those who
	// said so, after the grace time of those whose socket was lost. It must not block.
	// Shutdown is no departure. In a cluster every node is told, and of some twice. Nil: nobody is told.
	Left func(memberID string)
	// Authorize decides whether somebody may join, and on what terms. Its error is a *Denied, or
	// anything else if nobody can know now. It is called by several goroutines at once, without
	// a lock, and has until ctx ends: some seconds. Resumes are not asked about. Nil: everybody may join.
	Authorize func(ctx context.Context, req JoinRequest) (Grant, error)
	// Events is told what happens in rooms: what this process has done, in that order if it is
	// alone. In a cluster the order is that of RoomEvent.Revision. It must not block. Nil: nobody is told.
	Events func(RoomEvent)
	// Origins decides which web pages may open a socket.
	Origins Origins
	// SessionKey seals the keys that sessions are resumed with, KeySize bytes: with
	// the same one, the next process lets those of this one in. Nil: a random one.
	SessionKey []byte
	// Cluster is what the nodes of a service share. Nil: this process is alone.
	Cluster Cluster
	// Log receives one line for each member who comes or goes. Nil: slog.Default().
	Log *slog.Logger
}

// Server is the signaling server: the http.Handler of /v1/ws.
type Server struct {
	opts     Options
	upgrader websocket.Upgrader
	origins  atomic.Pointer[Origins]
	door     atomic.Pointer[door]
	registry *registry
	store    Store
	cluster  Cluster // the store, or nil for a process alone
	earlier  *earlier
	sealer   sealer
	grace    time.Duration // that a seat outlives its socket
	stats    *counters
	replayed atomic.Int64 // bytes kept for resumes
	buffers  sync.Pool    // *bytes.Buffer, for a message that is being heard or said

	authorizer *authorizer
	reporting  sync.Mutex // held while the store of a process alone changes, and Events is told

	ctx        context.Context // ends with the server
	end        context.CancelFunc
	background sync.WaitGroup // what a cluster needs, and refreshing
	refreshing sync.Once      // begins with the first credentials that expire

	readers sync.WaitGroup // one for each socket
	graces  sync.WaitGroup // one for each session that is away

	mu       sync.Mutex // guards what follows; comes before no other lock
	conns    map[*conn]bool
	unjoined int
	closed   bool // to newcomers
	moving   bool // and other nodes get our members, see Drain
	draining bool // and everybody is sent away
}

// New returns a server that is ready to serve.
func New(cfg config.Signaling, opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.ICEServers == nil {
		opts.ICEServers = func(string) ICE { return ICE{Servers: []ICEServer{}} }
	}
	s := &Server{
		opts:     opts,
		registry: newRegistry(cfg),
		store:    NewMemory(),
		earlier:  newEarlier(cfg.Grace.Std()),
		sealer:   newSealer(opts.SessionKey),
		grace:    cfg.Grace.Std(),
		stats:    newCounters(),
		conns:    make(map[*conn]bool),
		upgrader: websocket.Upgrader{
			HandshakeTimeout: writeTimeout,
			Subprotocols:     []string{Protocol},
			ReadBufferSize:   readBuffer,
			WriteBufferPool:  new(sync.Pool),
			CheckOrigin:      func(*http.Request) bool { return true }, // checked before, with words
		},
	}
	s.buffers.New = func() any { return new(bytes.Buffer) }
	s.origins.Store(&opts.Origins)
	s.door.Store(newDoor(cfg, nil))
	s.ctx, s.end = context.WithCancel(context.Background()) // Shutdown ends it
	s.authorizer = newAuthorizer(s.ctx, opts.Authorize)
	if opts.Cluster != nil {
		s.store, s.cluster = opts.Cluster, opts.Cluster
		s.earlier = &earlier{} // the nodes know what there is
		s.belong()
	}
	return s
}

// node is this process, in the rooms. A process alone has no name.
func (s *Server) node() string {
	if s.cluster == nil {
		return ""
	}
	return s.cluster.Node()
}

// storeTimeout is how long a change of a room may take.
const storeTimeout = 3 * time.Second

// update changes a room and returns what it is then.
func (s *Server) update(room string, change func(*Room) error) (Room, error) {
	ctx, cancel := context.WithTimeout(s.ctx, storeTimeout)
	defer cancel()
	if s.opts.Events != nil && s.cluster == nil {
		s.reporting.Lock()
		defer s.reporting.Unlock()
	}
	before, after, err := s.store.Update(ctx, room, change)
	if err == nil {
		s.report(before, after)
	}
	return after, err
}

// refusalOf is what a client is told of an error.
func refusalOf(err error) *refusal {
	if known, ok := errors.AsType[*refusal](err); ok {
		return known
	}
	return &refusal{CodeUnavailable, "The servers of this service do not reach each other right now. Try again in a moment.", ActionRejoin, closeTryAgain, unavailableRetry.Milliseconds()}
}

// unavailableRetry is when a client may ask again for what could not be done.
const unavailableRetry = 2 * time.Second

// Reload takes over new limits, but for the grace time, and new origins. Rooms that are
// open keep their capacity and sockets their rates, and nobody has to leave.
func (s *Server) Reload(limits config.Signaling, origins Origins) {
	s.registry.limit(limits)
	s.door.Store(newDoor(limits, s.door.Load()))
	s.origins.Store(&origins)
}

// ServeHTTP upgrades the request and serves its socket until it ends.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "This is the signaling endpoint of Duet: connect with a WebSocket and the subprotocol "+Protocol+".", http.StatusUpgradeRequired)
		return
	}
	if err := s.origins.Load().Check(r); err != nil {
		s.stats.origins.Add(1)
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	if !slices.Contains(websocket.Subprotocols(r), Protocol) {
		http.Error(w, "Offer the WebSocket subprotocol "+Protocol+".", http.StatusBadRequest)
		return
	}
	from := AddressOf(r)
	leave, refused := s.enter(from)
	if refused != nil {
		refused.answer(w)
		return
	}
	limits := &s.door.Load().limits
	r.Header.Set("Sec-WebSocket-Protocol", Protocol) // or the socket keeps the whole text of the headers
	ws, err := s.upgrader.Upgrade(meter(w, *limits), r, nil)
	if err != nil { // answered by the upgrader
		s.joinedOrGone()
		leave()
		return
	}
	c := newConn(ws, from, &s.buffers)
	s.track(c)
	// The request ends here, and all that it holds: a member that says nothing shall cost little.
	reader := &reader{
		server: s, conn: c, address: strings.Clone(r.RemoteAddr), leave: leave,
		messages: newMessageLimit(*limits),
	}
	go reader.run() //nolint:contextcheck // a member's life is not its request's
}

// admit counts a socket that is about to be upgraded, unless there are too many or the
// server ends. One that drains lets in who resumes, if no other node can.
func (s *Server) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || s.moving || s.unjoined >= maxUnjoined {
		return false
	}
	s.unjoined++
	s.readers.Add(1)
	return true
}

// joinedOrGone makes room for the next socket that has not joined.
func (s *Server) joinedOrGone() {
	s.mu.Lock()
	s.unjoined--
	s.mu.Unlock()
}

func (s *Server) track(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	if s.draining || s.moving { // it slipped in between admit and here
		goAway(c, returnSpread)
	}
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Shutdown asks every member to come back in a moment and closes every socket with
// 1012. It returns when the last is gone, or with ctx's error after cutting those
// that are left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed, s.draining = true, true
	s.authorizer.end() // who waits to be let in is sent away
	spread := s.comebackSpread()
	for c := range s.conns {
		goAway(c, spread)
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() { // ends once the sockets have, which the cut below makes sure of
		defer close(done)
		s.readers.Wait()
	}()
	defer s.background.Wait()
	defer s.end()
	defer s.forgetAway() //nolint:contextcheck // it waits for nothing
	select {
	case <-done:
		s.awaitHandovers(ctx)
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	left := len(s.conns)
	for c := range s.conns {
		_ = c.ws.NetConn().Close()
	}
	s.mu.Unlock()
	<-done
	return fmt.Errorf("cutting %d sockets: %w", left, ctx.Err())
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}
