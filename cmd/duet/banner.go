package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/duetcall/duet/signaling/cluster"
)

// banner is what a person sees after the start: where to go and how this server is
// reached.
type banner struct{ rows [][2]string }

func (b *banner) add(label, format string, args ...any) {
	b.rows = append(b.rows, [2]string{label, fmt.Sprintf(format, args...)})
}

func (b *banner) print(w io.Writer) {
	fmt.Fprintf(w, "\nDuet %s\n\n", version)
	for _, row := range b.rows {
		fmt.Fprintf(w, "  %-8s %s\n", row[0], row[1])
	}
	fmt.Fprintln(w)
}

// banner describes the server. path is the configuration file, empty for defaults.
func (s *server) banner(path string) *banner {
	b := new(banner)
	url := s.url()
	b.add("Call", "%s", url)
	b.add("Test", "%s/trickle", url)
	if strings.HasPrefix(url, "http://") {
		b.add("", "Browsers give the camera to localhost and https only: set [tls] acme_domains, or")
		b.add("", "cert and key, or put a TLS proxy in front, before you invite somebody from elsewhere.")
	}
	if s.acme != nil {
		b.add("TLS", "certificates from %s, kept in %s", s.cfg.TLS.ACMEDirectory, s.acme.store.dir)
		if !s.certified() {
			b.add("", "The first is being asked for: the log says what comes of it. Until then there is no TLS.")
		}
	}
	s.describeRelay(b)
	if s.cluster != nil {
		b.add("Cluster", "node %s, by NATS at %s", s.cluster.Node(), cluster.Redacted(s.cfg.Cluster.NATSURL))
	}
	if s.admin != nil {
		b.add("Admin", "http://%s/v1/admin/rooms", s.admin.Addr())
	}
	if s.metrics != nil {
		b.add("Metrics", "http://%s/metrics", s.metrics.Addr())
	}
	if path == "" {
		b.add("Config", "defaults: no turnserver.toml here or in /etc/duet")
	} else {
		b.add("Config", "%s", path)
	}
	return b
}

// alsoOnTLS says what a TLS port has beside TURN, or where else TURN is.
func (s *server) alsoOnTLS(port int) string {
	switch own := s.cfg.Turn.TLSListeningPort; {
	case port != portOfListener(s.split):
		return ""
	case len(s.turnTLS) > 0:
		return fmt.Sprintf(", on the port of the page; on port %d, too", own)
	}
	return ", on the port of the page"
}

func (s *server) describeRelay(b *banner) {
	if s.relay == nil {
		b.add("TURN", "off ([turn] enabled = false): calls connect directly or not at all")
		return
	}
	label := "TURN"
	for i, address := range s.relay.Addresses() {
		b.add(label, "%s (%s)", s.relay.URLs()[i], address.How)
		if address.Warning != "" {
			b.add("", "But %s.", address.Warning)
		}
		label = ""
	}
	if s.cfg.Turn.TCP {
		b.add("", "The same over TCP.")
	}
	if s.cfg.Turn.DTLS {
		b.add("", "The same over DTLS on port %d/udp, for clients other than browsers.", s.cfg.Turn.TLSListeningPort)
	}
	if host, port := s.turnsHost(); host != "" {
		b.add("", "turns:%s:%d (TLS%s)", host, port, s.alsoOnTLS(port))
	} else if s.split != nil {
		b.add("", "Nobody is told of TURN over TLS: the certificate has no name, and [http] public_url is not set.")
	}
	b.add("", "Relay ports %d-%d/udp.", s.cfg.Turn.MinPort, s.cfg.Turn.MaxPort)
	if s.cfg.Turn.StaticAuthSecret == "" {
		b.add("", "Credentials are of a secret made for this run: set [turn] static_auth_secret to mint them elsewhere.")
	}
}
