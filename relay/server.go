package relay

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay/peerpolicy"
)

// Options are what the relay needs beside its section of the file.
type Options struct {
	// Log gets the relay's lines; nil discards them.
	Log *slog.Logger
	// Now is the clock that credentials are minted and checked by; nil is time.Now.
	Now func() time.Time
}

// Server is the relay: its sockets from New on, its packets while Run runs.
type Server struct {
	log *quietLog
	now func() time.Time
	// clock is the data plane's: the time since New.
	clock  func() time.Duration
	auth   *authenticator
	nonces *nonces
	limits *limits
	ttl    time.Duration
	policy *peerpolicy.Policy
	quota  *quota
	// What an allocation may have, and how long it may live without a Refresh.
	maxPermissions, maxChannels int
	maxLifetime                 time.Duration
	software                    string
	// reservations count in quota.
	reservations *reservations
	stats        *counters

	// What all allocations may move together, in each direction.
	capacityUp, capacityDown bucket
	maxBytesPerSecond        int64 // of one allocation, in each direction
	buffers                  packetBuffers

	families  []*family // IPv4 first
	addresses []Address
	shards    []*shard // of the UDP sockets
	listeners []net.Listener
	streams   *streams

	draining, stopping atomic.Bool
	// The engine's goroutines that read clients; allocations, until they are
	// closed and nobody reads them.
	readers, relays sync.WaitGroup
}

// New resolves the relay's addresses and binds its sockets. Its errors name the
// key to change. The sockets are closed when Run returns.
func New(cfg config.Turn, opts Options) (*Server, error) {
	if cfg.StaticAuthSecret == "" {
		cfg.StaticAuthSecret = randomSecret()
	}
	s := &Server{
		log:   newQuietLog(opts.Log),
		now:   opts.Now,
		auth:  newAuthenticator(cfg),
		ttl:   cfg.CredentialTTL.Std(),
		quota: newQuota(cfg.UserQuota, cfg.TotalQuota),
		stats: &counters{},

		limits:         newLimits(cfg),
		maxPermissions: cfg.MaxPermissions,
		maxChannels:    cfg.MaxChannels,
		maxLifetime:    min(cfg.MaxAllocateLifetime.Std(), engineLifetime),
		software:       cfg.Software,
	}
	s.nonces = newNonces(cfg.StaleNonce.Std(), s.auth.offersSHA256)
	s.maxBytesPerSecond = int64(cfg.MaxBytesPerSecond)
	s.capacityUp.bytesPerSecond = int64(cfg.TotalBytesPerSecond)
	s.capacityDown.bytesPerSecond = int64(cfg.TotalBytesPerSecond)
	began := time.Now()
	s.clock = func() time.Duration { return time.Since(began) }
	s.reservations = newReservations(s.quota)
	s.streams = newStreams()
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.open(cfg, inspect()); err != nil {
		s.closeSockets()
		return nil, err
	}
	return s, nil
}

func (s *Server) open(cfg config.Turn, m machine) error {
	if cfg.MinPort < 1 || cfg.MaxPort > 65535 || cfg.MinPort > cfg.MaxPort {
		return fmt.Errorf("relay ports %d to %d: want 1 <= min_port <= max_port <= 65535; correct [turn] min_port and max_port",
			cfg.MinPort, cfg.MaxPort)
	}
	addresses, err := resolve(cfg, m)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		family := newFamily(address, cfg.MinPort, cfg.MaxPort)
		if err := family.probe(); err != nil {
			return err
		}
		s.families = append(s.families, family)
	}
	if err := s.listen(cfg); err != nil {
		return err
	}
	if cfg.TCP {
		if err := s.listenTCP(); err != nil {
			return err
		}
	}
	for _, address := range addresses {
		s.addresses = append(s.addresses, s.withListener(address))
	}
	s.policy = peerpolicy.New(s.peerConfig(cfg, m))
	return nil
}

// peerConfig tells the peer policy who we are.
func (s *Server) peerConfig(cfg config.Turn, m machine) peerpolicy.Config {
	policy := peerpolicy.Config{
		Allowed: cfg.AllowedPeerIP,
		Denied:  cfg.DeniedPeerIP,
		MinPort: uint16(cfg.MinPort),
		MaxPort: uint16(cfg.MaxPort),
	}
	for _, address := range s.addresses {
		policy.Relayed = append(policy.Relayed, address.External)
		policy.Own = append(policy.Own, address.Relay)
		if address.lan.IsValid() {
			policy.LAN = append(policy.LAN, address.lan)
		}
	}
	for _, pair := range cfg.ExternalIP.Pairs {
		policy.Own = append(policy.Own, pair.Public.Unmap())
	}
	for _, shard := range s.shards {
		policy.Own = append(policy.Own, addrPort(shard.local).Addr())
	}
	for _, iface := range m.interfaces {
		policy.Own = append(policy.Own, iface.prefix.Addr())
	}
	return policy
}

// withListener finds the socket that clients of the address's family use: the
// one on the relay's address, one on all addresses, or any.
func (s *Server) withListener(address Address) Address {
	for _, shard := range s.shards {
		at := addrPort(shard.local)
		if at.Addr().Is4() != address.Relay.Is4() {
			continue
		}
		if at.Addr() == address.Relay || at.Addr().IsUnspecified() || !address.Listen.IsValid() {
			address.Listen = at
		}
	}
	return address
}

// Run serves until ctx ends. When it returns no socket is open, and no
// goroutine of the relay's is left.
func (s *Server) Run(ctx context.Context) error {
	defer func() {
		s.closeSockets()
		s.readers.Wait() // after them, no relay is added
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
	var acceptors sync.WaitGroup
	for _, listener := range s.listeners {
		acceptors.Go(func() {
			AcceptEach(ctx, listener, func(conn net.Conn) { s.ServeStream(conn, "tcp") })
		})
	}
	<-ctx.Done()
	acceptors.Wait()
	return nil
}

// start runs the engine on a shard; largest is the longest message it may carry.
func (s *Server) start(shard *shard, largest int) error {
	return startEngine(shard, largest+1, shard.hooks(), s.log.Logger)
}

// Drain refuses new allocations from now on, so that the server can be stopped when
// the running calls have ended. The answer is 508: the 300 of RFC 8489 section 14.8
// must name another server, and we know of none.
func (s *Server) Drain() { s.draining.Store(true) }

// Close gives back the sockets of a server that Run was never called on.
func (s *Server) Close() { s.closeSockets() }

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

// Credential mints a time-limited credential for a member, good for
// credential_ttl from now.
func (s *Server) Credential(member string) Credential {
	expires := s.now().Add(s.ttl).Truncate(time.Second)
	username, password := Mint(s.auth.secrets[0], member, expires)
	return Credential{Username: username, Password: password, Expires: expires}
}

// Addresses returns how the relay is reached, IPv4 first: at most one address
// per family, and the UDP URL for each is that of the same index in URLs.
func (s *Server) Addresses() []Address {
	var reached []Address
	for _, address := range s.addresses {
		if address.Listen.IsValid() {
			reached = append(reached, address)
		}
	}
	return reached
}

// URLs returns the TURN URLs for an RTCIceServer: UDP, IPv4 first, then one for TCP,
// if that is on. More would slow browsers down.
func (s *Server) URLs() []string {
	var urls []string
	for _, address := range s.Addresses() {
		urls = append(urls, turnURL(address.public(), "udp"))
	}
	if len(urls) > 0 && len(s.listeners) > 0 {
		urls = append(urls, turnURL(s.Addresses()[0].public(), "tcp"))
	}
	return urls
}

// public is where clients send to.
func (a Address) public() netip.AddrPort {
	host := a.Listen.Addr()
	if host.IsUnspecified() || host == a.Relay {
		host = a.External
	}
	return netip.AddrPortFrom(host, a.Listen.Port())
}

// family returns the relay of a REQUESTED-ADDRESS-FAMILY, or nil. Clients that
// do not ask get IPv4, or IPv6 where there is nothing else (RFC 8656 section 7.2).
func (s *Server) family(requested byte) *family {
	for _, f := range s.families {
		if requested == 0 || (requested == familyIPv4) == f.local.Is4() {
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
