package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"testing"
)

func TestWhoTakesGzipGetsTheSameInLess(t *testing.T) {
	for name, row := range map[string]struct {
		accept string
		gzip   bool
	}{
		"nothing said":    {"", false},
		"what browsers":   {"gzip, deflate, br, zstd", true},
		"with a weight":   {"br;q=1.0, gzip;q=0.8", true},
		"capitals":        {"GZIP", true},
		"not at all":      {"gzip;q=0, br", false},
		"not at all, too": {"gzip; q=0.0", false},
		"something else":  {"br, x-gzip2", false},
	} {
		t.Run(name, func(t *testing.T) {
			plain, err := io.ReadAll(get(t, http.MethodGet, "/app.css", nil).Body)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Accept-Encoding": {row.accept}}
			response := get(t, http.MethodGet, "/app.css", header)
			if got := response.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("Vary %q: a cache between would give the wrong one", got)
			}
			if got := response.Header.Get("Content-Encoding") == "gzip"; got != row.gzip {
				t.Fatalf("gzip: %t, want %t", got, row.gzip)
			}
			if !row.gzip {
				return
			}
			if got := response.Header.Get("Content-Type"); got != "text/css; charset=utf-8" {
				t.Errorf("Content-Type %q", got)
			}
			reader, err := gzip.NewReader(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(reader)
			if err != nil {
				t.Fatal(err)
			}
			if string(body) != string(plain) {
				t.Error("the body is another")
			}
			header.Set("If-None-Match", response.Header.Get("ETag"))
			if again := get(t, http.MethodGet, "/app.css", header); again.StatusCode != http.StatusNotModified {
				t.Errorf("status %d with the same ETag, want 304", again.StatusCode)
			}
			if other := get(t, http.MethodGet, "/app.css", http.Header{"If-None-Match": header["If-None-Match"]}); other.StatusCode != http.StatusOK {
				t.Errorf("status %d with the ETag of the gzip for who takes none, want 200", other.StatusCode)
			}
		})
	}
}
