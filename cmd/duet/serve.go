package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay"
	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/cluster"
	"github.com/duetcall/duet/web"
	"github.com/duetcall/duet/webhook"
)

// shutdownTimeout is how long shutting down may take.
const shutdownTimeout = 5 * time.Second

const serveHelp = configHelp + `

Serves the web client and signaling on [http] listen and STUN/TURN on [turn]
listening_port until SIGTERM or SIGINT; then it asks every member to come back,
closes every socket and ends. A second signal ends it at once. SIGHUP has it read its
configuration anew (duet help reload), SIGUSR1 has it end when its calls have ended
(duet help drain).`

func runServe(ctx context.Context, env environment, args []string) error {
	set, file := flags("serve")
	if err := parse(env, set, args); err != nil {
		return err
	}
	cfg, path, err := load(env, *file)
	if err != nil {
		return err
	}
	orders, stopOrders := watchSignals()
	defer stopOrders()
	level := new(slog.LevelVar)
	srv, err := newServer(cfg, newLogger(env.err, cfg.Log, level)) //nolint:contextcheck // what the relay asks others ends by itself, in seconds
	if err != nil {
		return err
	}
	srv.orders, srv.level, srv.terminal = orders, level, terminalOf(env.err)
	srv.read = func() (config.Config, error) {
		if path == "" { // there may be a file by now
			cfg, _, err := load(env, "")
			return cfg, err
		}
		return config.Load(path, env.vars)
	}
	if cfg.Process.PIDFile != "" {
		file, err := writePIDFile(cfg.Process.PIDFile)
		if err != nil {
			return errors.Join(err, srv.close()) //nolint:contextcheck // giving up a lease ends by itself, in a second
		}
		defer func() { _ = file.remove() }() // the lock is what counts
	}
	srv.banner(path).print(env.out)
	return srv.run(ctx)
}

// server is the whole of Duet, bound to its ports and ready to run.
type server struct {
	cfg       config.Config // as of the start; config has what reloads have changed
	log       *slog.Logger
	listener  net.Listener
	front     *front            // of listener
	certs     certificates      // nil without [tls]
	acme      *acmeCertificates // nil without acme_domains
	split     *split            // nil without [tls]
	turnTLS   []*split          // of tls_listening_port
	turnFront *front            // of the relay's TCP ports
	metrics   net.Listener      // nil without metrics
	admin     net.Listener      // nil without a token
	access    *access
	events    *webhook.Sender
	ice       *iceAPI
	signaling *signaling.Server
	relay     *relay.Server // nil when [turn] enabled is false

	cluster  *cluster.Cluster                 // nil without [cluster]
	partner  partner                          // of it
	serving  atomic.Pointer[signaling.Server] // signaling, once it is there: leases begin before
	draining atomic.Bool

	current atomic.Pointer[config.Config]
	// What an operator may ask for while the server runs, see operate: read is the
	// configuration as it is then, level that of log, terminal where we were started.
	orders   <-chan os.Signal
	read     func() (config.Config, error)
	level    *slog.LevelVar
	terminal *os.File
}

// config is the configuration in effect.
func (s *server) config() *config.Config { return s.current.Load() }

// newServer binds every port, so that what cannot work fails before anything runs.
func newServer(cfg config.Config, log *slog.Logger) (*server, error) {
	s := &server{cfg: cfg, log: log, level: new(slog.LevelVar), ice: newICEAPI()}
	s.current.Store(&cfg)
	s.front, s.turnFront = s.newFront(), s.newFront()
	s.events = webhook.NewSender(cfg.Webhooks, log.With("part", "webhook"))
	var err error
	if s.access, err = newAccess(cfg.Signaling.Auth, log.With("part", "access")); err != nil {
		return nil, err
	}
	if s.listener, err = listen("tcp", cfg.HTTP.Listen, "[http] listen"); err != nil {
		return nil, err
	}
	if cfg.Turn.Enabled {
		if s.relay, err = relay.New(cfg.Turn, relay.Options{Log: log.With("part", "relay"), Certificate: s.certificate, Admit: s.turnFront.admit}); err != nil {
			return nil, errors.Join(err, s.listener.Close())
		}
	}
	if cfg.TLS.On() {
		if err := s.openTLS(); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	if err := s.openAside(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.openCluster(context.Background()); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.signaling = signaling.New(cfg.Signaling, signaling.Options{
		ICEServers: s.iceServers,
		Left:       s.left,
		Authorize:  s.access.authorize,
		Events:     s.happened,
		SessionKey: s.sessionKey(),
		Origins:    origins(cfg.HTTP),
		Cluster:    s.shared(),
		Log:        log.With("part", "signaling"),
	})
	s.serving.Store(s.signaling)
	return s, nil
}

// newFront makes what stands before one of our TCP ports.
func (s *server) newFront() *front { return newFront(s.trustedProxies) }

func (s *server) trustedProxies() []netip.Prefix { return s.config().HTTP.TrustedProxies }

// close undoes newServer before run.
func (s *server) close() error {
	if s.relay != nil {
		s.relay.Close()
	}
	if s.cluster != nil {
		s.cluster.Close()
	}
	err := s.listener.Close()
	if s.split != nil {
		err = errors.Join(err, s.split.Close())
	}
	for _, port := range s.turnTLS {
		err = errors.Join(err, port.Close())
	}
	for _, listener := range []net.Listener{s.metrics, s.admin} {
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
	}
	return err
}

// iceServers mints what a member needs to reach the relay. A TURN URL implies STUN:
// browsers ask the same address for a Binding.
func (s *server) iceServers(member string) signaling.ICE {
	if s.relay == nil {
		return signaling.ICE{Servers: []signaling.ICEServer{}}
	}
	cred := s.relay.Credential(member)
	return signaling.ICE{
		Servers: []signaling.ICEServer{{URLs: s.relayURLs(), Username: cred.Username, Credential: cred.Password}},
		Expires: cred.Expires.UTC().Truncate(time.Second),
	}
}

// ownURLs are those of this server's relay.
func (s *server) ownURLs() []string {
	if s.relay == nil {
		return nil
	}
	urls := s.relay.URLs()
	if host, port := s.turnsHost(); host != "" && s.certified() {
		urls = append(urls, fmt.Sprintf("turns:%s:%d?transport=tcp", host, port))
	}
	return urls
}

// left ends what a member who is gone for good holds of the relay.
func (s *server) left(member string) {
	if s.relay != nil {
		s.relay.Revoke(member)
	}
}

// routes is everything that HTTP clients can reach.
func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/ws", s.signaling)
	for pattern, handle := range s.programRoutes() {
		mux.HandleFunc(pattern, handle)
	}
	mux.Handle("/", web.Handler(func() []string { return s.config().HTTP.FrameAncestors }))
	return behindProxies(s.trustedProxies, s.forgottenProxy, s.crossOrigin(mux))
}

// programRoutes are for programs; openapi.json describes them.
func (s *server) programRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /v1/ice":          s.serveICE,
		"POST /v1/ice":         s.serveICE,
		"GET /v1/openapi.json": serveOpenAPI,
		"GET /healthz":         s.healthz,
		"GET /readyz":          s.readyz,
	}
}

func (s *server) forgottenProxy(peer netip.Addr) {
	s.log.Warn("a request was forwarded by an address that trusted_proxies does not name: all that come from there share the limits of one client", "client", peer.String())
}

// run serves until ctx ends or a part fails. The parts end in the order in which they
// depend on each other: sockets are told to come back, then HTTP ends, and the
// relay that carries the calls is the last.
func (s *server) run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	relayCtx, stopRelay := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRelay()
	eventsCtx, stopEvents := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEvents()
	routes := s.routes()
	web, secure, metrics, admin := s.httpServer(s.plainRoutes(routes)), s.httpServer(routes), s.httpServer(nil), s.httpServer(nil)
	inbox := newInbox(s.listener)
	parts, ctx := errgroup.WithContext(ctx)
	part := func(run func(context.Context)) {
		parts.Go(func() error {
			run(ctx)
			return nil
		})
	}
	part(func(ctx context.Context) {
		s.front.run(ctx, s.listener, func(conn net.Conn) { inbox.put(ctx, conn) })
		inbox.end()
	})
	parts.Go(func() error { return serveHTTP(web, inbox) })
	if s.split != nil {
		part(s.split.run)
		parts.Go(func() error { return serveHTTP(secure, s.split.web) })
	}
	for _, port := range s.turnTLS {
		part(port.run)
	}
	if s.acme != nil {
		part(s.acme.run)
	}
	if s.metrics != nil {
		metrics.Handler = s.metricsHandler()
		parts.Go(func() error { return serveHTTP(metrics, s.metrics) })
	}
	if s.admin != nil {
		admin.Handler = s.adminHandler() //nolint:contextcheck // what an operator has begun is finished
		parts.Go(func() error { return serveHTTP(admin, s.admin) })
	}
	if s.relay != nil {
		parts.Go(func() error {
			defer s.turnFront.readers.Wait()
			if err := s.relay.Run(relayCtx); err != nil {
				return fmt.Errorf("relaying: %w", err)
			}
			return nil
		})
	}
	parts.Go(func() error {
		s.events.Run(eventsCtx)
		return nil
	})
	parts.Go(func() error {
		s.operate(ctx, end)
		return nil
	})
	parts.Go(func() error {
		<-ctx.Done()
		defer stopRelay()
		s.log.Info("shutting down")
		s.draining.Store(true)
		s.announce(context.WithoutCancel(ctx))
		if s.relay != nil {
			s.relay.Drain()
		}
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := s.signaling.Shutdown(deadline); err != nil {
			s.log.Warn("closing sockets", "error", err)
		}
		stopEvents() // what is left is sent meanwhile
		s.access.asker.Close()
		if s.cluster != nil {
			s.cluster.Close() //nolint:contextcheck // it ends by itself, in a second
		}
		return errors.Join(s.shutHTTP(deadline, web), s.shutHTTP(deadline, secure), s.shutHTTP(deadline, metrics), s.shutHTTP(deadline, admin))
	})
	return parts.Wait()
}
