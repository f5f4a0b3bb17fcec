package relay

import (
	"maps"
	"slices"
	"time"

	"github.com/duetcall/duet/config"
)

// settings are what a reload replaces, all at once. They are immutable: a request is
// judged by those that it met first, a packet by the current ones.
type settings struct {
	auth   *authenticator
	nonces *nonces
	limits *limits
	// allowed and denied are the operator's part of the peer policy.
	allowed, denied []config.IPRange
	// ttl is how long the credentials that we mint are good.
	ttl time.Duration
	// What an allocation may have, and how long it may live without a Refresh.
	maxPermissions, maxChannels int
	maxLifetime                 time.Duration
	maxBytesPerSecond           int64 // of a new allocation, in each direction
	software                    string
	alternates                  alternates

	errorRate, bindingRate int // what limits were made of
}

// newSettings makes settings of cfg. What before has and cfg does not change is taken
// over: nonces that clients hold stay good, sources stay limited. before may be nil.
func (s *Server) newSettings(cfg config.Turn, before *settings) *settings {
	next := &settings{
		auth:              s.newAuthenticator(cfg, before),
		allowed:           cfg.AllowedPeerIP,
		denied:            cfg.DeniedPeerIP,
		ttl:               cfg.CredentialTTL.Std(),
		maxPermissions:    cfg.MaxPermissions,
		maxChannels:       cfg.MaxChannels,
		maxLifetime:       min(cfg.MaxAllocateLifetime.Std(), engineLifetime),
		maxBytesPerSecond: int64(cfg.MaxBytesPerSecond),
		software:          cfg.Software,
		alternates:        newAlternates(cfg.AlternateServer),
		errorRate:         cfg.ErrorRate,
		bindingRate:       cfg.BindingRate,
	}
	if before == nil {
		next.nonces = newNonces(cfg.StaleNonce.Std(), next.auth.offersSHA256)
		next.limits = newLimits(cfg)
		return next
	}
	next.nonces = before.nonces.with(cfg.StaleNonce.Std(), next.auth.offersSHA256)
	next.limits = before.limits
	if next.errorRate != before.errorRate || next.bindingRate != before.bindingRate {
		next.limits = newLimits(cfg)
	}
	return next
}

// newAuthenticator keeps the one there is if it knows the same credentials:
// allocations hold on to theirs. A secret of our own making is accepted for as long
// as the process runs.
func (s *Server) newAuthenticator(cfg config.Turn, before *settings) *authenticator {
	if cfg.StaticAuthSecret == "" {
		if s.generated == "" {
			s.generated = randomSecret()
		}
		cfg.StaticAuthSecret = s.generated
	}
	secrets := []config.Secret{cfg.StaticAuthSecret, cfg.StaticAuthSecretPrevious}
	if s.generated != cfg.StaticAuthSecret {
		secrets = append(secrets, s.generated)
	}
	secrets = slices.DeleteFunc(secrets, func(secret config.Secret) bool { return secret == "" })
	if before != nil && maps.Equal(before.auth.users, cfg.Users) && slices.Equal(before.auth.secrets, secrets) &&
		before.auth.horizon == horizon(cfg) {
		return before.auth
	}
	return newAuthenticator(cfg, secrets)
}

// Reload takes over what cfg says of users, secrets, peers, limits and lifetimes, all
// at once; allocations live on. max_bps is that of allocations made from now on,
// bps_capacity and the peer policy hold for all.
//
// An allocation goes on under the credentials that it was made with, though the user
// is gone or has another password. Sockets, addresses, ports and the realm stay as
// New made them, whatever cfg says.
//
// cfg must be valid, as config.Load has made sure of.
func (s *Server) Reload(cfg config.Turn) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	cfg.Realm = s.realm
	next := s.newSettings(cfg, s.settings.Load())
	s.quota.limit(cfg.UserQuota, cfg.TotalQuota)
	s.capacityUp.limit(int64(cfg.TotalBytesPerSecond))
	s.capacityDown.limit(int64(cfg.TotalBytesPerSecond))
	s.revoked.remember(next.ttl)
	s.settings.Store(next)
	s.judgeAnew()
}
