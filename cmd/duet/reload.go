package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// reloadable are the keys that a reload changes while calls run. All others are
// compared, and named if they need a restart.
func reloadable() []string {
	return []string{
		"http.public_url", "http.allowed_origins", "http.frame_ancestors", "http.trusted_proxies",
		"signaling.capacity", "signaling.max_rooms", "signaling.max_members",
		"signaling.auth.required", "signaling.auth.token_secret", "signaling.auth.token_secret_previous",
		"signaling.auth.jwks_file", "signaling.auth.issuer", "signaling.auth.audience",
		"signaling.auth.webhook_url", "signaling.auth.webhook_secret",
		"webhooks.url", "webhooks.secret", "webhooks.events",
		"signaling.message_rate", "signaling.message_burst", "signaling.byte_rate",
		"signaling.connect_rate", "signaling.sockets_per_address", "signaling.failed_keys",
		"turn.users", "turn.static_auth_secret", "turn.static_auth_secret_previous", "turn.credential_ttl",
		"turn.user_quota", "turn.total_quota", "turn.stale_nonce", "turn.max_allocate_lifetime",
		"turn.max_permissions", "turn.max_channels", "turn.error_rate", "turn.binding_rate", "turn.software",
		"turn.max_bps", "turn.bps_capacity", "turn.alternate_server", "turn.drain_timeout",
		"turn.denied_peer_ip", "turn.allowed_peer_ip",
		"tls.cert", "tls.key",
		"api.keys", "admin.token",
		"log.level",
	}
}

// splitChanges tells the keys that differ and can be taken over from those that need a
// restart.
func splitChanges(running, next config.Config) (now, restart []string) {
	can := reloadable()
	for _, key := range config.Changed(running, next) {
		switch {
		case (key == "tls.cert" || key == "tls.key") && (running.TLS.Cert == "" || next.TLS.Cert == ""):
			restart = append(restart, key) // TLS begins or ends, and with it a port, or ACME does
		case key == "admin.token" && running.Admin.On() != next.Admin.On():
			restart = append(restart, key) // a port begins or ends
		case slices.Contains(can, key):
			now = append(now, key)
		default:
			restart = append(restart, key)
		}
	}
	return now, restart
}

// reload reads the configuration anew and takes over what can be taken over. All of
// the new state is made before any of it is used: a configuration that does not work
// changes nothing.
func (s *server) reload() {
	next, err := s.read()
	if err != nil {
		s.refuseReload(err)
		return
	}
	running := *s.config()
	changed, restart := splitChanges(running, next)
	running = running.With(next, changed)
	rules, err := newAccessRules(running.Signaling.Auth)
	if err != nil {
		s.refuseReload(err)
		return
	}
	if files, ok := s.certs.(*certificate); ok {
		if err := files.reload(running.TLS); err != nil {
			s.refuseReload(err)
			return
		}
	}
	if s.relay != nil {
		s.relay.Reload(running.Turn)
	}
	s.access.rules.Store(rules)
	s.events.Reload(running.Webhooks)
	s.signaling.Reload(running.Signaling, origins(running.HTTP))
	s.current.Store(&running)
	level := logLevel(running.Log)
	s.level.Set(min(level, s.level.Level())) // what came of it is told in either case
	s.log.Info("configuration reloaded", "changed", strings.Join(changed, ", "))
	if len(restart) > 0 {
		s.log.Warn("some keys have changed that need a restart", "keys", strings.Join(restart, ", "))
	}
	s.level.Set(level)
}

// refuseReload says all that is wrong, as the start would.
func (s *server) refuseReload(err error) {
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, problem := range problems {
			s.log.Error("configuration", "error", problem.Error())
		}
		s.log.Error("reload refused, nothing has changed", "problems", len(problems))
		return
	}
	s.log.Error("reload refused, nothing has changed", "error", err)
}

func origins(cfg config.HTTP) signaling.Origins {
	return signaling.Origins{Public: cfg.PublicURL, Allowed: cfg.AllowedOrigins}
}
