package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/duetcall/duet/config"
)

// challengePath is below which a CA looks for what it asked for (RFC 8555 section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// challenges are what a CA asked us to show, so that it sees that the name is ours: by
// HTTP or in a TLS handshake (RFC 8737). There is one at a time.
type challenges struct {
	mu    sync.RWMutex
	texts map[string]string           // by path
	certs map[string]*tls.Certificate // by name
}

func newChallenges() *challenges {
	return &challenges{texts: make(map[string]string), certs: make(map[string]*tls.Certificate)}
}

// solvers returns which challenges to meet. A CA comes to port 443 and port 80. If only
// one of them is ours, so is only one challenge, for failures are counted; if none is,
// something forwards them to us, and both are tried.
func (c *challenges) solvers(cfg config.Config) map[string]acmez.Solver {
	all := map[string]acmez.Solver{
		acme.ChallengeTypeTLSALPN01: tlsChallenge{c},
		acme.ChallengeTypeHTTP01:    httpChallenge{c},
	}
	secure, plain := portOf(cfg.TLS.Listen) == "443", portOf(cfg.HTTP.Listen) == "80"
	switch {
	case secure && !plain:
		delete(all, acme.ChallengeTypeHTTP01)
	case plain && !secure:
		delete(all, acme.ChallengeTypeTLSALPN01)
	}
	return all
}

// certificate returns the one that a CA wants to see for a name, or nil.
func (c *challenges) certificate(name string) *tls.Certificate {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.certs[name]
}

// ServeHTTP shows a CA what it asked for.
func (c *challenges) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.RLock()
	text, ok := c.texts[r.URL.Path]
	c.mu.RUnlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// httpChallenge is the HTTP-01 challenge.
type httpChallenge struct{ *challenges }

func (c httpChallenge) Present(_ context.Context, asked acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts[asked.HTTP01ResourcePath()] = asked.KeyAuthorization
	return nil
}

func (c httpChallenge) CleanUp(_ context.Context, asked acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.texts, asked.HTTP01ResourcePath())
	return nil
}

// tlsChallenge is the TLS-ALPN-01 challenge.
type tlsChallenge struct{ *challenges }

func (c tlsChallenge) Present(_ context.Context, asked acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(asked)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.certs[asked.Identifier.Value] = cert
	return nil
}

func (c tlsChallenge) CleanUp(_ context.Context, asked acme.Challenge) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.certs, asked.Identifier.Value)
	return nil
}
