package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/duetcall/duet/config"
)

// How often a CA is asked. Let's Encrypt allows five failures an hour for a name.
const (
	firstRetry  = time.Minute // doubled with each failure
	lastRetry   = 6 * time.Hour
	acmeTimeout = 10 * time.Minute // for one certificate
	callTimeout = 30 * time.Second // for one request to the CA
)

// acmeCertificates are the certificates of [tls] acme_domains. They are obtained and
// renewed by run, one at a time, in the background: handshakes take what there is, and
// never make anybody ask the CA.
type acmeCertificates struct {
	cfg        config.TLS
	log        *slog.Logger
	store      *acmeStore
	challenges *challenges
	solvers    map[string]acmez.Solver
	domains    []*acmeDomain // in the order of the file
}

// acmeDomain is one name and its certificate.
type acmeDomain struct {
	name    string
	current atomic.Pointer[tls.Certificate]
	// When to ask the CA next, and how often it has failed since it did not; run's.
	due      time.Time
	failures int
}

// openACME reads what is there from an earlier run.
func openACME(cfg config.Config, log *slog.Logger) (*acmeCertificates, error) {
	store, err := openACMEStore(cfg.TLS)
	if err != nil {
		return nil, err
	}
	a := &acmeCertificates{cfg: cfg.TLS, log: log, store: store, challenges: newChallenges()}
	a.solvers = a.challenges.solvers(cfg)
	now := time.Now()
	for _, name := range cfg.TLS.ACMEDomains {
		domain := &acmeDomain{name: name, due: now}
		cert, err := store.certificate(name, now)
		if err != nil {
			log.Warn("the certificate kept for a name is of no use, a new one will be obtained", "domain", name, "error", err)
		}
		if cert != nil {
			domain.take(cert)
			log.Info("certificate found", "domain", name, "expires", cert.Leaf.NotAfter, "renewal", domain.due)
		}
		a.domains = append(a.domains, domain)
	}
	return a, nil
}

// take makes a certificate the one in use. It is renewed when a third of its life is
// left, as the CAs ask.
func (d *acmeDomain) take(cert *tls.Certificate) {
	d.current.Store(cert)
	d.failures = 0
	d.due = cert.Leaf.NotAfter.Add(-cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore) / 3)
}

// get is the certificate of the name that the client gives, or of the first domain that
// has one if it gives none. A CA that looks for its challenge gets that.
func (a *acmeCertificates) get(hello *tls.ClientHelloInfo, _ time.Time) *tls.Certificate {
	if hello == nil || hello.ServerName == "" {
		for _, domain := range a.domains {
			if cert := domain.current.Load(); cert != nil {
				return cert
			}
		}
		return nil
	}
	name := strings.ToLower(hello.ServerName)
	if slices.Equal(hello.SupportedProtos, []string{acmez.ACMETLS1Protocol}) {
		return a.challenges.certificate(name)
	}
	for _, domain := range a.domains {
		if domain.name == name {
			return domain.current.Load()
		}
	}
	return nil
}

func (a *acmeCertificates) name(wanted string) string {
	if slices.Contains(a.cfg.ACMEDomains, wanted) {
		return wanted
	}
	return a.cfg.ACMEDomains[0]
}

// run asks the CA for what is missing or due until ctx ends.
func (a *acmeCertificates) run(ctx context.Context) {
	for {
		next := slices.MinFunc(a.domains, func(a, b *acmeDomain) int { return a.due.Compare(b.due) })
		if !sleepUntil(ctx, next.due) {
			return
		}
		a.renew(ctx, next)
	}
}

// sleepUntil reports false if ctx ends first. It looks at the clock every hour: a timer
// stands still while a machine is suspended.
func sleepUntil(ctx context.Context, at time.Time) bool {
	for {
		timer := time.NewTimer(min(time.Until(at.Round(0)), time.Hour))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		if !time.Now().Before(at) {
			return true
		}
	}
}

// unreached are the ways in which a CA says that it did not find what it asked for.
var unreached = []string{acme.ProblemTypeConnection, acme.ProblemTypeDNS, acme.ProblemTypeTLS, acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse}

// renew asks for one certificate and says what came of it.
func (a *acmeCertificates) renew(ctx context.Context, domain *acmeDomain) {
	a.log.Info("asking for a certificate", "domain", domain.name, "ca", a.cfg.ACMEDirectory)
	cert, err := a.obtain(ctx, domain.name)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		domain.due = time.Now().Add(retryIn(domain.failures))
		domain.failures++
		fields := []any{"domain", domain.name, "error", err, "next_try", domain.due}
		if old := domain.current.Load(); old != nil {
			fields = append(fields, "expires", old.Leaf.NotAfter)
		}
		if problem, ok := errors.AsType[acme.Problem](err); ok && slices.Contains(unreached, problem.Type) {
			fields = append(fields, "hint", "the name must lead to this server, and the CA must reach port 443 ([tls] listen) or 80 ([http] listen) there")
		}
		a.log.Error("no certificate", fields...)
		return
	}
	domain.take(cert)
	if soonest := time.Now().Add(firstRetry); domain.due.Before(soonest) {
		domain.due = soonest // whatever times the CA writes into it
	}
	a.log.Info("certificate obtained", "domain", domain.name, "expires", cert.Leaf.NotAfter, "renewal", domain.due)
}

// retryIn is how long to wait after one more failure than those in a row before.
func retryIn(failures int) time.Duration {
	wait := firstRetry
	for range failures {
		if wait *= 2; wait >= lastRetry {
			return lastRetry
		}
	}
	return wait
}

// obtain gets a certificate from the CA and keeps it.
func (a *acmeCertificates) obtain(ctx context.Context, name string) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, acmeTimeout)
	defer cancel()
	web := &http.Client{Timeout: callTimeout, Transport: http.DefaultTransport.(*http.Transport).Clone()}
	defer web.CloseIdleConnections()
	client := &acmez.Client{
		Client:           &acme.Client{Directory: a.cfg.ACMEDirectory, HTTPClient: web, UserAgent: "duet/" + version, Logger: a.log},
		ChallengeSolvers: a.solvers,
	}
	accountKey, err := a.store.accountKey()
	if err != nil {
		return nil, err
	}
	account := acme.Account{PrivateKey: accountKey, TermsOfServiceAgreed: true}
	if a.cfg.ACMEEmail != "" {
		account.Contact = []string{"mailto:" + a.cfg.ACMEEmail}
	}
	// For a key that the CA knows, this returns the account (RFC 8555 section 7.3.1).
	if account, err = client.NewAccount(ctx, account); err != nil {
		return nil, fmt.Errorf("opening an account: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	chains, err := client.ObtainCertificateForSANs(ctx, account, key, []string{name})
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the CA sent no certificate")
	}
	pair, err := encodePair(key, chains[0].ChainPEM)
	if err != nil {
		return nil, err
	}
	cert, err := parsePair(pair, name, time.Now())
	if err != nil {
		return nil, fmt.Errorf("the certificate that the CA sent: %w", err)
	}
	if err := a.store.keep(name, pair); err != nil {
		a.log.Error("the certificate cannot be kept: after a restart the CA is asked again", "domain", name, "error", err)
	}
	return cert, nil
}

// portOf returns the port of a configured "host:port".
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
