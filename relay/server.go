package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay/tcp"
)

// Options are what the relay needs beside its section of the file.
type Options struct {
	// Log gets the relay's lines; nil discards them.
	Log *slog.Logger
	// Now is the clock that credentials are minted and checked by; nil is time.Now.
	Now func() time.Time
	// Certificate returns the certificate for a handshake that begins now; [turn] dtls
	// needs it.
	Certificate func() *tls.Certificate
	// Admit, unless nil, gets every connection over TCP first, and passes it on to serve when
	// it knows whom it comes from: it may be a proxy's. It must not block.
	Admit func(ctx context.Context, conn net.Conn, serve func(net.Conn))

	follower func(*follower) // for tests: another world
}

// Server is the relay: its sockets from New on, its packets while Run runs.
type Server struct {
	log *quietLog
	now func() time.Time
	// clock is the data plane's: the time since New.
	clock func() time.Duration
	// settings are what Reload replaces; the realm stays.
	settings  atomic.Pointer[settings]
	realm     string
	generated config.Secret // the secret that we made ourselves, if we had to
	reloading sync.Mutex    // one reload at a time; guards generated

	quota *quota
	// relaysTCP: peers may be reached over TCP, too (RFC 6062).
	relaysTCP bool
	peerConns *peerConns
	// reservations count in quota.
	reservations *reservations
	revoked      *revocations
	stats        *counters

	// What all allocations may move together, in each direction.
	capacityUp, capacityDown bucket
	buffers                  packetBuffers

	families []*family // IPv4 first
	follower *follower // New's, then Run's
	standing atomic.Pointer[standing]
	// publishing is held by who replaces standing: Run's follower, or Reload.
	publishing sync.Mutex
	shards     []*shard // of the UDP sockets
	pairs      []config.ExternalIP
	listeners  []net.Listener
	streams    *streams
	admit      func(ctx context.Context, conn net.Conn, serve func(net.Conn))

	dtls       []*dtlsListener
	handshakes *handshakes // nil without DTLS
	halfOpen   *halfOpen
	inbound    inboundBuffers

	draining, stopping atomic.Bool
	// The engine's goroutines that read clients; allocations, until they are
	// closed and nobody reads them.
	readers, relays sync.WaitGroup
}

// New finds the relay's addresses, which takes three seconds at most, and binds its
// sockets. Its errors name the key to change. The sockets are closed when Run returns.
func New(cfg config.Turn, opts Options) (*Server, error) {
	s := &Server{
		log:       newQuietLog(opts.Log),
		now:       opts.Now,
		realm:     cfg.Realm,
		quota:     newQuota(cfg.UserQuota, cfg.TotalQuota),
		stats:     newCounters(),
		relaysTCP: cfg.TCPRelay,
		pairs:     cfg.ExternalIP.Pairs,
	}
	s.capacityUp.limit(int64(cfg.TotalBytesPerSecond))
	s.capacityDown.limit(int64(cfg.TotalBytesPerSecond))
	began := time.Now()
	s.clock = func() time.Duration { return time.Since(began) }
	s.reservations = newReservations(s.quota)
	s.revoked = newRevocations(cfg.CredentialTTL.Std())
	s.settings.Store(s.newSettings(cfg, nil))
	s.streams = newStreams()
	s.halfOpen = newHalfOpen()
	s.peerConns = newPeerConns()
	s.admit = opts.Admit
	if s.admit == nil {
		s.admit = func(_ context.Context, conn net.Conn, serve func(net.Conn)) { serve(conn) }
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.follower = newFollower(cfg, s.log.Logger)
	if opts.follower != nil {
		opts.follower(s.follower)
	}
	if err := s.open(cfg, opts); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(cfg config.Turn, opts Options) error {
	if cfg.MinPort < 1 || cfg.MaxPort > 65535 || cfg.MinPort > cfg.MaxPort {
		return fmt.Errorf("relay ports %d to %d: want 1 <= min_port <= max_port <= 65535; correct [turn] min_port and max_port",
			cfg.MinPort, cfg.MaxPort)
	}
	if cfg.TCPRelay && !tcp.CanSharePort {
		return errors.New("relaying TCP works on Linux only; set [turn] tcp_relay = false")
	}
	m, err := s.follower.start()
	if err != nil {
		return err
	}
	for _, at := range s.follower.followed {
		s.families = append(s.families, newFamily(at.addr.Is4(), cfg.MinPort, cfg.MaxPort))
	}
	if err := s.listen(cfg); err != nil {
		return err
	}
	if cfg.TCP {
		if err := s.listenTCP(); err != nil {
			return err
		}
	}
	if cfg.DTLS {
		if err := s.listenDTLS(cfg, opts); err != nil {
			return err
		}
	}
	if err := s.listenAlternates(cfg); err != nil {
		return err
	}
	s.publish(cfg, s.follower.addresses(), m)
	s.warnOfAlternates(cfg)
	return nil
}

// Run serves until ctx ends. When it returns no socket is open, and no
// goroutine of the relay's is left.
func (s *Server) Run(ctx context.Context) error {
	var demultiplexers sync.WaitGroup
	defer func() {
		s.closeSockets()
		s.readers.Wait() // after them, no relay is added
		s.closeDTLS()    // now, for associations say goodbye
		demultiplexers.Wait()
		s.relays.Wait()
		s.reservations.sweep(time.Time{})
	}()
	for _, shard := range s.shards {
		s.readers.Add(1)
		if err := s.start(shard, maxDatagram); err != nil {
			s.readers.Done()
			return fmt.Errorf("starting the TURN engine on %s: %w", shard.local, err)
		}
	}
	for _, listener := range s.dtls {
		demultiplexers.Go(listener.read)
	}
	serve := func(conn net.Conn) { s.ServeStream(conn, "tcp") }
	var acceptors sync.WaitGroup
	for _, listener := range s.listeners {
		acceptors.Go(func() {
			AcceptEach(ctx, listener, func(conn net.Conn) { s.admit(ctx, conn, serve) })
		})
	}
	s.follower.run(ctx, func(addresses []Address, m machine) { s.publish(s.follower.cfg, addresses, m) })
	acceptors.Wait()
	return nil
}

// start runs the engine on a shard; largest is the longest message it may carry.
func (s *Server) start(shard *shard, largest int) error {
	return startEngine(shard, largest+1, shard.hooks(), s.log.Logger)
}

// Close gives back the sockets of a server that Run was never called on.
func (s *Server) Close() {
	s.closeSockets()
	s.closeDTLS()
}

func (s *Server) closeSockets() {
	s.stopping.Store(true)
	for _, shard := range s.shards {
		shard.socket.close()
	}
	for _, listener := range s.listeners {
		_ = listener.Close()
	}
	s.streams.close()
}

func (s *Server) closeDTLS() {
	for _, listener := range s.dtls {
		listener.socket.close()
	}
}

// Credential mints a time-limited credential for a user, good for
// credential_ttl from now.
func (s *Server) Credential(user string) Credential { return s.CredentialFor(user, 0) }

// CredentialFor is Credential, for a shorter time. ttl 0, or more than credential_ttl: for that.
func (s *Server) CredentialFor(user string, ttl time.Duration) Credential {
	settings := s.settings.Load()
	if ttl <= 0 || ttl > settings.ttl {
		ttl = settings.ttl
	}
	expires := s.now().Add(ttl).Truncate(time.Second)
	username, password := Mint(settings.auth.secrets[0], user, expires)
	return Credential{Username: username, Password: password, Expires: expires}
}

// family returns the relay of a REQUESTED-ADDRESS-FAMILY, or nil. Clients that
// do not ask get IPv4, or IPv6 where there is nothing else (RFC 8656 section 7.2).
func (s *Server) family(requested byte) *family {
	for _, f := range s.families {
		if requested == 0 || (requested == familyIPv4) == f.v4 {
			return f
		}
	}
	return nil
}

func randomSecret() config.Secret {
	secret := make([]byte, 32)
	rand.Read(secret)
	return config.Secret(base64.RawStdEncoding.EncodeToString(secret))
}
