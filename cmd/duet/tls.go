package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/duetcall/duet/config"
)

// certificateCheck is how often, at most, a handshake looks whether the files have changed.
const certificateCheck = 10 * time.Second

// certificate is the key pair of [tls], read again when its files change: whoever
// renews it need not tell us. A new pair that does not work leaves the old one in use.
type certificate struct {
	cfg config.TLS
	log *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]stamp
	checked time.Time
}

// stamp is what tells one version of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

func loadCertificate(cfg config.TLS, log *slog.Logger) (*certificate, error) {
	c := &certificate{cfg: cfg, log: log, checked: time.Now(), stamp: stampOf(cfg)}
	var err error
	if c.current, err = readPair(cfg); err != nil {
		return nil, fmt.Errorf("[tls] cert and key: %w", err)
	}
	return c, nil
}

func readPair(cfg config.TLS) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	return &pair, err
}

// stampOf looks at both files; one that cannot be read has no stamp.
func stampOf(cfg config.TLS) (stamps [2]stamp) {
	for i, name := range []string{cfg.Cert, cfg.Key} {
		if info, err := os.Stat(name); err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// reload reads the files that cfg names, and has them used from now on. An error
// leaves the old ones in use.
func (c *certificate) reload(cfg config.TLS) error {
	found := stampOf(cfg)
	pair, err := readPair(cfg)
	if err != nil {
		return fmt.Errorf("[tls] cert and key: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg, c.stamp, c.checked, c.current = cfg, found, time.Now(), pair
	return nil
}

// get is the certificate for a handshake at that time.
func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < certificateCheck {
		return c.current
	}
	c.checked = now
	found := stampOf(c.cfg)
	if found == c.stamp {
		return c.current
	}
	c.stamp = found // a broken pair is told once
	pair, err := readPair(c.cfg)
	if err != nil {
		c.log.Error("the new certificate does not work, the old one stays in use", "error", err, "expires", c.current.Leaf.NotAfter)
		return c.current
	}
	c.current = pair
	c.log.Info("certificate read again", "expires", pair.Leaf.NotAfter)
	return c.current
}

// certificate is the one for a handshake that begins now. TLS must be on.
func (s *server) certificate() *tls.Certificate { return s.cert.get(time.Now()) }

// name is a host that the certificate is for, empty if it names none.
func (c *certificate) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range c.current.Leaf.DNSNames {
		if name[0] != '*' {
			return name
		}
	}
	return ""
}
