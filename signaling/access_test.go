package signaling

import (
	"net/http/httptest"
	"testing"
)

func TestWhichPagesMayOpenASocket(t *testing.T) {
	const none = "-" // no Origin header
	for _, row := range []struct {
		name, public string
		allowed      []string
		host, origin string
		want         bool
	}{
		{"no browser", "", nil, "call.example.org", none, true},
		{"no browser, public name known", "https://call.example.org", nil, "10.0.0.5", none, true},
		{"own page", "", nil, "call.example.org", "https://call.example.org", true},
		{"own page behind a proxy that ends TLS", "", nil, "call.example.org", "https://call.example.org", true},
		{"own page on a port", "", nil, "localhost:8080", "http://localhost:8080", true},
		{"own page, case", "", nil, "Call.Example.org", "https://call.example.ORG", true},
		{"another port", "", nil, "localhost:8080", "http://localhost:9090", false},
		{"another site", "", nil, "call.example.org", "https://evil.example", false},
		{"sub-domain", "", nil, "example.org", "https://evil.example.org", false},
		{"suffix", "", nil, "example.org", "https://notexample.org", false},
		{"null", "", nil, "call.example.org", "null", false},
		{"empty", "", nil, "call.example.org", "", false},
		{"nonsense", "", nil, "call.example.org", "::::", false},
		{"file", "", nil, "call.example.org", "file://", false},
		{"name in the path", "", nil, "call.example.org", "https://evil.example/call.example.org", false},
		{"name as user", "", nil, "call.example.org", "https://call.example.org@evil.example", false},
		{"public name", "https://call.example.org", nil, "10.0.0.5:8080", "https://call.example.org", true},
		{"public name, default port", "https://call.example.org", nil, "10.0.0.5:8080", "https://call.example.org:443", true},
		{"public name, other scheme", "https://call.example.org", nil, "10.0.0.5:8080", "http://call.example.org", false},
		{"DNS rebinding, public name known", "https://call.example.org", nil, "evil.example:8080", "http://evil.example:8080", false},
		{"by address though the public name is known", "https://call.example.org", nil, "10.0.0.5:8080", "http://10.0.0.5:8080", true},
		{"by IPv6 address", "https://call.example.org", nil, "[fd00::1]:8080", "http://[fd00::1]:8080", true},
		{"localhost though the public name is known", "https://call.example.org", nil, "localhost:8080", "http://localhost:8080", true},
		{"allowed", "", []string{"https://app.example.org"}, "call.example.org", "https://app.example.org", true},
		{"allowed, other port", "", []string{"https://app.example.org"}, "call.example.org", "https://app.example.org:8443", false},
		{"allowed, other scheme", "", []string{"https://app.example.org"}, "call.example.org", "http://app.example.org", false},
		{"everyone", "", []string{"*"}, "call.example.org", "https://evil.example", true},
		{"everyone, null", "", []string{"*"}, "call.example.org", "null", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/v1/ws", nil)
			r.Host = row.host
			if row.origin != none {
				r.Header.Set("Origin", row.origin)
			}
			err := Origins{Public: row.public, Allowed: row.allowed}.Check(r)
			if (err == nil) != row.want {
				t.Errorf("Check = %v, want let in: %v", err, row.want)
			}
		})
	}
	r := httptest.NewRequest("GET", "/v1/ws", nil)
	r.Host = "call.example.org"
	r.Header["Origin"] = []string{"https://call.example.org", "https://evil.example"}
	if (Origins{}).Check(r) == nil {
		t.Error("two Origin headers were let in")
	}
}
