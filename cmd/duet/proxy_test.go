package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
)

func TestTheClientIsTheRightmostAddressThatNoTrustedProxyHas(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, row := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "198.51.100.7:1234", nil, "198.51.100.7:1234"},
		{"stranger who says he is somebody else", "198.51.100.7:1234", []string{"192.0.2.1"}, "198.51.100.7:1234"},
		{"proxy", "10.0.0.1:1234", []string{"198.51.100.7"}, "198.51.100.7:0"},
		{"proxy without a header", "10.0.0.1:1234", nil, "10.0.0.1:0"},
		{"client wrote a header itself", "10.0.0.1:1234", []string{"192.0.2.1, 198.51.100.7"}, "198.51.100.7:0"},
		{"client wrote a trusted address", "10.0.0.1:1234", []string{"10.9.9.9, 198.51.100.7"}, "198.51.100.7:0"},
		{"two proxies", "10.0.0.1:1234", []string{"192.0.2.1, 198.51.100.7, 10.0.0.2"}, "198.51.100.7:0"},
		{"two headers", "10.0.0.1:1234", []string{"192.0.2.1", "198.51.100.7"}, "198.51.100.7:0"},
		{"only proxies", "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		{"garbage in front", "10.0.0.1:1234", []string{"<script>, 198.51.100.7"}, "198.51.100.7:0"},
		{"garbage last", "10.0.0.1:1234", []string{"198.51.100.7, unknown"}, "10.0.0.1:0"},
		{"with port", "10.0.0.1:1234", []string{"198.51.100.7:5555"}, "198.51.100.7:0"},
		{"IPv6", "10.0.0.1:1234", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		{"IPv6 in brackets with port", "10.0.0.1:1234", []string{"[2001:db8::7]:5555"}, "[2001:db8::7]:0"},
		{"IPv6 proxy", "[fd00::1]:1234", []string{"198.51.100.7"}, "198.51.100.7:0"},
		{"IPv4-mapped proxy", "[::ffff:10.0.0.1]:1234", []string{"::ffff:198.51.100.7"}, "198.51.100.7:0"},
		{"zone", "10.0.0.1:1234", []string{"fe80::1%eth0"}, "[fe80::1]:0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = row.peer
			for _, f := range row.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			var got string
			behindProxies(func() []netip.Prefix { return trusted }, func(netip.Addr) {}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).ServeHTTP(nil, r)
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

// Behind a proxy that nobody trusts all clients are one, which looks like a server that
// refuses people at random.
func TestAProxyThatIsNotTrustedIsToldOfOnce(t *testing.T) {
	for _, row := range []struct {
		name, peer, forwarded string
		want                  []string
	}{
		{"on this machine", "127.0.0.1:5", "198.51.100.7", []string{"127.0.0.1"}},
		{"in this network", "[::ffff:10.0.0.1]:5", "198.51.100.7", []string{"10.0.0.1"}},
		{"trusted", "10.9.0.1:5", "198.51.100.7", nil},
		{"no proxy", "10.0.0.1:5", "", nil},
		{"a stranger who pretends", "198.51.100.7:5", "192.0.2.1", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var told []string
			trusted := func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")} }
			handler := behindProxies(trusted, func(peer netip.Addr) { told = append(told, peer.String()) }, http.NotFoundHandler())
			for range 3 {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.RemoteAddr = row.peer
				if row.forwarded != "" {
					r.Header.Set("X-Forwarded-For", row.forwarded)
				}
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
			if !slices.Equal(told, row.want) {
				t.Errorf("told of %v, want %v", told, row.want)
			}
		})
	}
}
