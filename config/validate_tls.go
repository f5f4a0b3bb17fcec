package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

const (
	maxACMEDomains = 100
	maxDomain      = 253 // characters of a name (RFC 1035 section 2.3.4)
	maxLabel       = 63
)

func (f *findings) tls(t TLS) {
	if t.On() {
		f.listen("tls.listen", t.Listen)
	}
	switch {
	case t.ACME() && (t.Cert != "" || t.Key != ""):
		f.add("stands beside cert or key, but a certificate comes from one of them", "keep the files or the domains", "tls.acme_domains", "tls.cert", "tls.key")
	case t.Cert != "" && t.Key == "":
		f.add("cert without key: TLS needs both", "", "tls.cert", "tls.key")
	case t.Key != "" && t.Cert == "":
		f.add("key without cert: TLS needs both", "", "tls.key", "tls.cert")
	}
	f.acme(t)
}

// dtls checks what DTLS needs of the rest. Its port is UDP, as the relay's are.
func (f *findings) dtls(c Config) {
	t := c.Turn
	if !t.DTLS {
		return
	}
	if !c.TLS.On() {
		f.add("dtls without a certificate", "set [tls] cert and key, or acme_domains, or dtls to false", "turn.dtls", "tls.cert")
	}
	switch port := t.TLSListeningPort; {
	case port == 0:
		f.add("dtls without a port: tls_listening_port is 0", "set it to 5349, or dtls to false", "turn.dtls", "turn.tls_listening_port")
	case port == t.ListeningPort && !t.TCP: // else it is told of TCP
		f.add(fmt.Sprintf("dtls on tls_listening_port %d, which is listening_port, too", port), "choose another, 5349 is usual", "turn.tls_listening_port", "turn.listening_port", "turn.dtls")
	case t.MinPort <= port && port <= t.MaxPort:
		f.add(fmt.Sprintf("tls_listening_port %d is among the relay ports, %d to %d", port, t.MinPort, t.MaxPort),
			"choose one outside", "turn.tls_listening_port", "turn.min_port", "turn.max_port")
	}
}

func (f *findings) acme(t TLS) {
	const domains = "tls.acme_domains"
	if len(t.ACMEDomains) > maxACMEDomains {
		f.add(fmt.Sprintf("lists %d names, more than %d", len(t.ACMEDomains), maxACMEDomains), "", domains)
	}
	seen := make(map[string]bool)
	for i, name := range t.ACMEDomains {
		if seen[name] {
			f.add(quote(name)+" is listed twice", "", elementKey(domains, i))
		}
		seen[name] = true
		f.domain(elementKey(domains, i), name)
	}
	if t.ACMEEmail != "" && !isEmail(t.ACMEEmail) {
		f.add(quote(t.ACMEEmail)+` is not an address such as "ann@example.org"`, "", "tls.acme_email")
	}
	u, err := url.Parse(t.ACMEDirectory)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || !validHost(u.Hostname()) || u.Port() != "" && !isPort(u.Port()) {
		f.add("is not an https URL", `Let's Encrypt's is "https://acme-v02.api.letsencrypt.org/directory"`, "tls.acme_directory")
	}
}

// domain checks a name that a CA gives certificates for, as it is written in them.
func (f *findings) domain(key, name string) {
	hint := ""
	_, notAddr := netip.ParseAddr(name)
	labels := strings.Split(name, ".")
	switch {
	case strings.HasPrefix(name, "*."):
		hint = "a wildcard needs a challenge by DNS, which Duet cannot answer: list each name, or give cert and key"
	case notAddr == nil:
		hint = "an address gets no certificate here, a name does"
	case strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }):
		hint = `write it as DNS has it, "xn--…"`
	case name != strings.ToLower(name):
		hint = fmt.Sprintf("did you mean %s?", quote(strings.ToLower(name)))
	case len(labels) < 2:
		hint = "a name that the whole world knows has a dot"
	case len(name) <= maxDomain && validLabels(labels):
		return
	}
	f.add(quote(name)+` is not a name such as "call.example.org"`, hint, key)
}

func validLabels(labels []string) bool {
	for _, label := range labels {
		bad := func(r rune) bool { return r != '-' && !('a' <= r && r <= 'z') && !('0' <= r && r <= '9') }
		if label == "" || len(label) > maxLabel || strings.ContainsFunc(label, bad) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// isEmail reports whether an address may be one: the CA knows better.
func isEmail(address string) bool {
	user, host, ok := strings.Cut(address, "@")
	return ok && user != "" && validLabels(strings.Split(strings.ToLower(host), ".")) &&
		!strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r > unicode.MaxASCII || r == ',' || r == '?' })
}
