package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/duetcall/duet/config"
)

// acmeStore is the directory of one CA below [tls] acme_cache: the key of our account
// there, and a file for each name with key and chain. What a CA for trials gave never
// stands in for what another gives.
type acmeStore struct{ dir string }

const accountFile = "account.key" // no name has such an ending: ".key" is no domain

// openACMEStore makes the directory, for our eyes only, and tries it: to find out that
// nothing can be kept when the CA has given a certificate is too late.
func openACMEStore(cfg config.TLS) (*acmeStore, error) {
	base, err := acmeCache(cfg.ACMECache)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(base, caName(cfg.ACMEDirectory))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for certificates: %w; set [tls] acme_cache to one that may be written", err)
	}
	trial, err := os.CreateTemp(dir, ".trial-*")
	if err != nil {
		return nil, fmt.Errorf("the directory for certificates: %w; set [tls] acme_cache to one that may be written", err)
	}
	return &acmeStore{dir}, errors.Join(trial.Close(), os.Remove(trial.Name()))
}

// acmeCache returns the directory to use where the configuration names none.
func acmeCache(configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	dir, err := stateDir()
	if err != nil {
		return "", fmt.Errorf("%w, or [tls] acme_cache", err)
	}
	return filepath.Join(dir, "acme"), nil
}

// caName turns the URL of a CA into the name of a directory.
func caName(directory string) string {
	name := directory
	if u, err := url.Parse(directory); err == nil {
		name = u.Host + u.Path
	}
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, "ca-"+name)
}

// accountKey returns the key of our account with the CA, a new one at first.
func (s *acmeStore) accountKey() (crypto.Signer, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, accountFile))
	if errors.Is(err, fs.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		text, err := encodePair(key, nil)
		if err != nil {
			return nil, err
		}
		return key, s.keep(accountFile, text)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key of the account: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("reading the key of the account: %s holds none", accountFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the account: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading the key of the account: %T cannot sign", key)
	}
	return signer, nil
}

// certificate returns what is kept for a name, nil if there is nothing.
func (s *acmeStore) certificate(name string, now time.Time) (*tls.Certificate, error) {
	text, err := os.ReadFile(s.pathOf(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parsePair(text, name, now)
}

// keep writes a file so that it is there whole or not at all.
func (s *acmeStore) keep(name string, text []byte) error {
	file, err := os.CreateTemp(s.dir, ".new-*") // for our eyes only
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), s.pathOf(name))
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// pathOf returns the file of a name, which has passed the validation of acme_domains.
func (s *acmeStore) pathOf(name string) string {
	if name == accountFile {
		return filepath.Join(s.dir, name)
	}
	return filepath.Join(s.dir, name+".pem")
}

// encodePair writes a key and its chain, if any, as one PEM file.
func encodePair(key *ecdsa.PrivateKey, chain []byte) ([]byte, error) {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), chain...), nil
}

// parsePair reads what encodePair wrote and checks that it can be used for a name.
func parsePair(text []byte, name string, now time.Time) (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, err
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, err
		}
	}
	switch {
	case now.After(cert.Leaf.NotAfter):
		return nil, fmt.Errorf("it expired at %v", cert.Leaf.NotAfter)
	case now.Before(cert.Leaf.NotBefore):
		return nil, fmt.Errorf("it begins at %v: is the clock right?", cert.Leaf.NotBefore)
	}
	if err := cert.Leaf.VerifyHostname(name); err != nil {
		return nil, err
	}
	return &cert, nil
}
