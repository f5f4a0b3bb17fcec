package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/duetcall/duet/config"
)

// openAside binds the ports that are for those who run the service.
func (s *server) openAside() (err error) {
	defaults := config.Default()
	if listen := s.cfg.Metrics.Listen; listen != "" {
		if s.metrics, err = s.listenAside(listen, defaults.Metrics.Listen, "[metrics] listen", "there are no metrics"); err != nil {
			return err
		}
	}
	if s.cfg.Admin.On() {
		s.admin, err = s.listenAside(s.cfg.Admin.Listen, defaults.Admin.Listen, "[admin] listen", "the admin API is off")
	}
	return err
}

// listenAside binds one. That the port which nobody chose is taken is no reason not to make calls.
func (s *server) listenAside(address, unchosen, key, missing string) (net.Listener, error) {
	listener, err := listen("tcp", address, key)
	if err != nil && address == unchosen {
		s.log.Warn(missing, "error", err) //nolint:sloglint // one of two
		return nil, nil                   //nolint:nilnil // it goes without
	}
	return listener, err
}

// forMachine lets a handler serve what comes to a listener. On loopback that are programs of this machine, and
// not the pages of others that its browsers show.
func forMachine(listener net.Listener, handler http.Handler) http.Handler {
	if at, ok := listener.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
		return forLiteralHosts(handler)
	}
	return handler
}

// forLiteralHosts refuses requests for a name: a web page whose name suddenly means this
// machine (DNS rebinding) could read them otherwise.
func forLiteralHosts(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
			http.Error(w, "Ask for this by an IP address, or as localhost.", http.StatusForbidden)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
