package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// How long an HTTP connection may take over what it owes.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 30 * time.Second
	idleTimeout    = time.Minute
	maxHeaderBytes = 16 << 10
)

func (s *server) httpServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.With("part", "http").Handler(), slog.LevelDebug),
	}
}

func serveHTTP(web *http.Server, listener net.Listener) error {
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}

// shutHTTP waits for requests in progress until ctx ends, then cuts them.
func (s *server) shutHTTP(ctx context.Context, web *http.Server) error {
	// The end of serving closes the shared port, too; whoever comes second finds it closed.
	if err := web.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Warn("closing HTTP connections", "error", err)
		return web.Close()
	}
	return nil
}

// plainRoutes is what is served without TLS: everything, unless there is TLS.
func (s *server) plainRoutes(routes http.Handler) http.Handler {
	if s.split == nil {
		return routes
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.toHTTPS(routes))
	if s.acme != nil {
		mux.Handle(challengePath, s.acme.challenges)
	}
	return mux
}

// toHTTPS sends whoever comes without TLS to the page that has it, because browsers
// give no camera without. A trusted proxy ends TLS itself and is served; so is everybody
// until there is a certificate.
func (s *server) toHTTPS(routes http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil && contains(s.trustedProxies(), peer.Addr()) || !s.certified() {
			routes.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, s.url()+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}

// tlsHost is the name and port of the TLS port as clients know it; the name is that of
// public_url, if the certificate is for it, else one of the certificate's. It is empty if
// there is neither, or no TLS.
func (s *server) tlsHost() (host string, port int) {
	if s.split == nil {
		return "", 0
	}
	wanted, _ := s.publicHost()
	return s.certs.name(wanted), portOfListener(s.split)
}

// publicHost is the name and port of an https public_url.
func (s *server) publicHost() (host string, port int) {
	public, err := url.Parse(s.config().HTTP.PublicURL)
	if err != nil || public.Scheme != "https" {
		return "", 0
	}
	if port, err = strconv.Atoi(public.Port()); err != nil {
		port = 443
	}
	return public.Hostname(), port
}

// turnsHost is where clients find TURN over TLS: at the port of the page, which gets
// through more firewalls. If only this machine reaches that, it is at TURN's own port, or
// at public_url, of which something forwards TCP to us.
func (s *server) turnsHost() (host string, port int) {
	host, port = s.tlsHost()
	isLocal := func(split *split) bool { return split.Addr().(*net.TCPAddr).IP.IsLoopback() }
	if s.split == nil || !isLocal(s.split) {
		return host, port
	}
	for _, own := range s.turnTLS {
		if !isLocal(own) {
			return host, portOfListener(own)
		}
	}
	if public, forwarded := s.publicHost(); public == host && host != "" {
		return host, forwarded
	}
	return host, port
}

func portOfListener(s *split) int { return s.Addr().(*net.TCPAddr).Port }

// url is where a person at this machine, or anybody once it has a name, opens the page.
func (s *server) url() string {
	if public := s.config().HTTP.PublicURL; public != "" {
		return public
	}
	if host, port := s.tlsHost(); host != "" {
		if port == 443 {
			return "https://" + host
		}
		return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	bound := s.listener.Addr().(*net.TCPAddr).AddrPort()
	host := bound.Addr().Unmap()
	if host.IsUnspecified() || host == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || host == netip.IPv6Loopback() {
		return fmt.Sprintf("http://localhost:%d", bound.Port())
	}
	return "http://" + netip.AddrPortFrom(host, bound.Port()).String()
}
