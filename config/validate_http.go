package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

func (f *findings) http(h HTTP) {
	f.listen("http.listen", h.Listen)
	if h.PublicURL != "" {
		f.origin("http.public_url", h.PublicURL)
	}
	for i, origin := range h.AllowedOrigins {
		if origin != "*" {
			f.origin(elementKey("http.allowed_origins", i), origin)
		}
	}
	for i, origin := range h.FrameAncestors {
		f.origin(elementKey("http.frame_ancestors", i), origin)
	}
}

// listen checks "host:port". Port 0 takes a free one.
func (f *findings) listen(key, address string) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && isPort(port) && validHost(host) {
		return
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://"), "/")
	hint := ""
	switch addr, addrErr := netip.ParseAddr(bare); {
	case addrErr == nil:
		hint = fmt.Sprintf("did you mean %q?", netip.AddrPortFrom(addr, 8080))
	case isPort(bare):
		hint = fmt.Sprintf("did you mean %q?", ":"+bare)
	case bare != address:
		hint = fmt.Sprintf("did you mean %s?", quote(bare))
	case err == nil && !isPort(port):
		hint = fmt.Sprintf("the port is a number up to %d", maxPort)
	}
	f.add(quote(address)+` is not an address to listen on, "host:port" or ":port"`, hint, key)
}

// origin checks an http(s) origin. Its value is shown only when it holds no password.
func (f *findings) origin(key, origin string) {
	const wanted = `an origin such as "https://call.example.org"`
	if strings.Contains(origin, "@") {
		f.add("holds a user name or password, must be "+wanted, "", key)
		return
	}
	u, err := url.Parse(origin)
	scheme := err == nil && (u.Scheme == "http" || u.Scheme == "https")
	if scheme && u.String() == u.Scheme+"://"+u.Host && validHost(u.Hostname()) && u.Hostname() != "" && validPort(u) {
		return
	}
	hint := ""
	switch {
	case scheme && u.Host != "" && validHost(u.Hostname()) && validPort(u):
		hint = fmt.Sprintf("did you mean %s?", quote(u.Scheme+"://"+u.Host))
	case !strings.Contains(origin, "://") && validHost(origin) && origin != "":
		hint = fmt.Sprintf("did you mean %s?", quote("https://"+origin))
	}
	f.add(quote(origin)+" is not "+wanted, hint, key)
}

// validPort reports whether u has a port that can be, or none.
func validPort(u *url.URL) bool {
	return isPort(u.Port()) || u.Port() == "" && !strings.HasSuffix(u.Host, ":")
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// validHost reports whether host is empty, an address or may be a name.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
