package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
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
			behindProxies(func() []netip.Prefix { return trusted }, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })).ServeHTTP(nil, r)
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}
