package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"

	"github.com/duetcall/duet/config"
)

// certificates are what TLS ports show.
type certificates interface {
	// get returns the certificate for a handshake at that time, the usual one if
	// hello is nil or names nobody, and nil if there is none.
	get(hello *tls.ClientHelloInfo, now time.Time) *tls.Certificate
	// name returns a host that a certificate is for: the wanted one, if it can be, else
	// another, and "" if no certificate names one.
	name(wanted string) string
}

// certificate returns the usual certificate, nil if there is none yet. TLS must be on.
func (s *server) certificate() *tls.Certificate { return s.certs.get(nil, time.Now()) }

// certified reports whether there is a certificate for the name that we tell clients. TLS
// must be on.
func (s *server) certified() bool {
	host, _ := s.tlsHost()
	return s.certs.get(&tls.ClientHelloInfo{ServerName: host}, time.Now()) != nil
}

// openTLS makes the certificates and binds the ports that need them.
func (s *server) openTLS() error {
	log := s.log.With("part", "tls")
	var err error
	if s.cfg.TLS.ACME() {
		s.acme, err = openACME(s.cfg, log)
		s.certs = s.acme
	} else {
		s.certs, err = loadCertificate(s.cfg.TLS, log)
	}
	if err != nil {
		return err
	}
	var turn func(net.Conn)
	if s.relay != nil {
		turn = func(conn net.Conn) { s.relay.ServeStream(conn, "tls") }
	}
	inner, err := listen("tcp", s.cfg.TLS.Listen, "[tls] listen")
	if err != nil {
		return err
	}
	s.split = newSplit(inner, s.newFront(), s.certs, turn, true)
	if s.acme != nil {
		s.split.tls.NextProtos = append(s.split.tls.NextProtos, acmez.ACMETLS1Protocol)
	}
	if turn == nil || s.cfg.Turn.TLSListeningPort == 0 {
		return nil
	}
	for _, at := range turnAddresses(s.cfg.Turn) {
		inner, err := listen(at.network, at.address, "[turn] tls_listening_port")
		if err != nil {
			return err
		}
		s.turnTLS = append(s.turnTLS, newSplit(inner, s.newFront(), s.certs, turn, false))
	}
	return nil
}

// turnAddress is where to listen for TURN over TLS.
type turnAddress struct{ network, address string }

func turnAddresses(cfg config.Turn) []turnAddress {
	port := strconv.Itoa(cfg.TLSListeningPort)
	if len(cfg.ListeningIP) == 0 {
		return []turnAddress{{"tcp", ":" + port}}
	}
	all := make([]turnAddress, 0, len(cfg.ListeningIP))
	for _, addr := range cfg.ListeningIP {
		network := "tcp6"
		if addr.Unmap().Is4() {
			network = "tcp4"
		}
		all = append(all, turnAddress{network, net.JoinHostPort(addr.Unmap().String(), port)})
	}
	return all
}

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

// get is the certificate for a handshake at that time, whatever name the client gives.
func (c *certificate) get(_ *tls.ClientHelloInfo, now time.Time) *tls.Certificate {
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

// name is a host that the certificate is for. One that names nobody is taken to be for
// whoever is wanted.
func (c *certificate) name(wanted string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.current.Leaf.DNSNames
	if wanted != "" && (len(names) == 0 || c.current.Leaf.VerifyHostname(wanted) == nil) {
		return wanted
	}
	for _, name := range names {
		if name[0] != '*' {
			return name
		}
	}
	return wanted
}
