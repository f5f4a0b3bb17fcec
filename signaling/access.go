package signaling

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Origins decides which web pages may open a socket. A page of another site would
// otherwise be able to act in the name of whoever looks at it.
type Origins struct {
	// Public is the origin that people open, "https://call.example.org". Empty:
	// whatever host the request names is taken for our own.
	Public string
	// Allowed are further origins; "*" is every origin.
	Allowed []string
}

// Check returns nil for a request from our own page, from an allowed origin, or from
// a client that is no browser and sends no Origin (RFC 6455 section 10.2).
func (o Origins) Check(r *http.Request) error {
	header, sent := r.Header["Origin"]
	if !sent {
		return nil
	}
	origin, err := url.Parse(strings.Join(header, " "))
	if err != nil || origin.Host == "" {
		origin = &url.URL{} // "null", or nonsense: only "*" lets it in
	}
	for _, allowed := range o.Allowed {
		if allowed == "*" || sameOrigin(origin, allowed) {
			return nil
		}
	}
	if o.Public != "" && sameOrigin(origin, o.Public) {
		return nil
	}
	// A name that an attacker points at this server has equal Origin and Host too,
	// so once the public name is known only hosts that no DNS answer can fake are
	// taken on trust.
	if origin.Host != "" && strings.EqualFold(origin.Host, r.Host) && (o.Public == "" || isLiteral(origin.Hostname())) {
		return nil
	}
	return fmt.Errorf("pages of this origin may not open /v1/ws; the operator can add it to [http] allowed_origins")
}

// sameOrigin compares scheme, host and port, with the default ports filled in.
func sameOrigin(a *url.URL, text string) bool {
	b, err := url.Parse(text)
	return err == nil && a.Host != "" && strings.EqualFold(a.Scheme, b.Scheme) &&
		strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if u.Port() != "" {
		return u.Port()
	}
	return map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
}

func isLiteral(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost")
}
