package main

import (
	"io"
	"net/http"
)

// healthz says that this process answers.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok\n")
}

// readyz says whether newcomers are to be sent here. That NATS has no majority is the same on all
// nodes, and no reason to send people nowhere.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	why := ""
	switch {
	case s.draining.Load():
		why = "this server drains"
	case s.cluster != nil && !s.cluster.Connected():
		why = "this node does not reach NATS"
	}
	if why != "" {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	s.healthz(w, r)
}
