package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/duetcall/duet/config"
)

// fetchFrom asks as a page of that origin would, "" for a client that is no page.
func fetchFrom(t *testing.T, url, method, origin string, more ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func TestOnlyPagesOfAllowedOriginsMayReadWhatIsForPrograms(t *testing.T) {
	s, stop := startServer(t, func(cfg *config.Config) {
		cfg.HTTP.PublicURL = "https://call.example.org"
		cfg.HTTP.AllowedOrigins = []string{"https://app.example.org", "http://localhost:3000"}
	})
	defer stop()
	server := "http://" + s.listener.Addr().String()
	for _, row := range []struct {
		origin string
		want   string // of Access-Control-Allow-Origin
	}{
		{"https://app.example.org", "https://app.example.org"},
		{"http://localhost:3000", "http://localhost:3000"},
		{"https://call.example.org", "https://call.example.org"},
		{"https://app.example.org:444", ""},
		{"http://app.example.org", ""},
		{"https://app.example.org.evil.example", ""},
		{"https://evil.example", ""},
		{"null", ""},
		{"<script>", ""},
		{"", ""},
	} {
		for path := range crossOriginPaths {
			resp := fetchFrom(t, server+path, http.MethodGet, row.origin)
			checkCORS(t, path, row.origin, resp, row.want)
			resp = fetchFrom(t, server+path, http.MethodOptions, row.origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
			checkCORS(t, "preflight "+path, row.origin, resp, row.want)
			allowed := resp.StatusCode == http.StatusNoContent && strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "GET") &&
				strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization")
			if allowed != (row.want != "") || !allowed && resp.StatusCode != http.StatusForbidden {
				t.Errorf("preflight %s from %q: %s, %v", path, row.origin, resp.Status, resp.Header)
			}
		}
	}

	// Everything else is for our own pages alone, whoever is allowed here.
	for _, path := range []string{"/", "/trickle", "/v1/ws", "/metrics", "/v1/ice/", "/v1/admin/rooms"} {
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			checkCORS(t, path, "https://app.example.org", fetchFrom(t, server+path, method, "https://app.example.org"), "", "no Vary")
		}
	}

	// But the SDK is for everybody to import; it knows no secret.
	if got := fetchFrom(t, server+"/sdk/duet.js", http.MethodGet, "https://evil.example"); got.StatusCode != http.StatusOK || got.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("/sdk/duet.js: %s, %v", got.Status, got.Header)
	}

	// A reload changes who is allowed.
	next := s.cfg
	next.HTTP.AllowedOrigins = []string{"*"}
	s.read = func() (config.Config, error) { return next, nil }
	s.reload()
	checkCORS(t, "/v1/ice", "https://evil.example", fetchFrom(t, server+"/v1/ice", http.MethodGet, "https://evil.example"), "*")
}

func checkCORS(t *testing.T, what, origin string, resp *http.Response, want string, more ...string) {
	t.Helper()
	if got := resp.Header.Values("Access-Control-Allow-Origin"); strings.Join(got, "+") != want {
		t.Errorf("%s from %q: Access-Control-Allow-Origin %q, want %q", what, origin, got, want)
	}
	if got := slices.Contains(resp.Header.Values("Vary"), "Origin"); got == slices.Contains(more, "no Vary") {
		t.Errorf("%s from %q: Vary %q", what, origin, resp.Header.Values("Vary"))
	}
	if got, ok := resp.Header["Access-Control-Allow-Credentials"]; ok {
		t.Errorf("%s from %q: credentials are allowed: %q", what, origin, got)
	}
}
