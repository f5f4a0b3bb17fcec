package main

import (
	"fmt"
	"io"
	"strings"
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
		b.add("", "Browsers give the camera to localhost and https only: set [tls] cert and key,")
		b.add("", "or put a TLS proxy in front, before you invite somebody from elsewhere.")
	}
	s.describeRelay(b)
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
	if host, port := s.tlsHost(); host != "" {
		b.add("", "turns:%s:%d (TLS, on the port of the page)", host, port)
	} else if s.split != nil {
		b.add("", "Nobody is told of TURN over TLS: the certificate has no name, and [http] public_url is not set.")
	}
	b.add("", "Relay ports %d-%d/udp.", s.cfg.Turn.MinPort, s.cfg.Turn.MaxPort)
	if s.cfg.Turn.StaticAuthSecret == "" {
		b.add("", "Credentials are of a secret made for this run: set [turn] static_auth_secret to mint them elsewhere.")
	}
}
