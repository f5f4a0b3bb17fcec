package web_test

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/duetcall/duet/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".png":  "image/png",

	".webmanifest": "application/manifest+json",
}

// nobody may frame the pages.
func nobody() []string { return nil }

// addresses maps each file of static/ to where it is served.
func addresses(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := fs.WalkDir(os.DirFS("static"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		switch name {
		case "index.html":
			found[name] = "/"
		case "trickle.html":
			found[name] = "/trickle"
		case "404.html":
			found[name] = "/nothing-here"
		default:
			found[name] = "/" + name
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func get(t *testing.T, method, target string, header http.Header) *http.Response {
	t.Helper()
	request := httptest.NewRequest(method, "http://duet.example/", nil)
	request.URL.Path = target
	for name, values := range header {
		request.Header[name] = values
	}
	recorder := httptest.NewRecorder()
	web.Handler(nobody).ServeHTTP(recorder, request)
	return recorder.Result()
}

func TestEveryFileIsServedAsWhatItIs(t *testing.T) {
	for name, address := range addresses(t) {
		t.Run(name, func(t *testing.T) {
			response := get(t, http.MethodGet, address, nil)
			want := http.StatusOK
			if name == "404.html" {
				want = http.StatusNotFound
			}
			if response.StatusCode != want {
				t.Fatalf("GET %s: status %d, want %d", address, response.StatusCode, want)
			}
			if got := response.Header.Get("Content-Type"); got != types[path.Ext(name)] {
				t.Errorf("Content-Type %q, want %q", got, types[path.Ext(name)])
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			onDisk, err := os.ReadFile(path.Join("static", name))
			if err != nil {
				t.Fatal(err)
			}
			if preloads.ReplaceAllString(string(body), "") != string(onDisk) {
				t.Error("the body is not the file")
			}
		})
	}
}

func TestEveryAnswerIsStrict(t *testing.T) {
	answers := map[string]*http.Response{
		"a page":         get(t, http.MethodGet, "/", nil),
		"a module":       get(t, http.MethodGet, "/ui/main.js", nil),
		"nothing":        get(t, http.MethodGet, "/nothing", nil),
		"a wrong method": get(t, http.MethodPost, "/", nil),
	}
	for name, response := range answers {
		t.Run(name, func(t *testing.T) {
			policy := response.Header.Get("Content-Security-Policy")
			for _, directive := range []string{
				"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
				"media-src 'self' blob:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
			} {
				if !strings.Contains(policy+";", directive+";") {
					t.Errorf("the policy lacks %q: %s", directive, policy)
				}
			}
			if strings.Contains(policy, "unsafe") {
				t.Errorf("the policy is not strict: %s", policy)
			}
			for header, want := range map[string]string{
				"X-Content-Type-Options": "nosniff",
				"Referrer-Policy":        "no-referrer",
				"Cache-Control":          "no-cache",
			} {
				if got := response.Header.Get(header); got != want && name != "a wrong method" {
					t.Errorf("%s %q, want %q", header, got, want)
				}
			}
			permissions := response.Header.Get("Permissions-Policy")
			for _, feature := range []string{"camera=(self)", "microphone=(self)", "display-capture=(self)"} {
				if !strings.Contains(permissions, feature) {
					t.Errorf("Permissions-Policy lacks %q: %s", feature, permissions)
				}
			}
		})
	}
}

func TestOnlyTheCallPageIsFramedAndOnlyByTheOriginsOfTheConfiguration(t *testing.T) {
	handler := web.Handler(func() []string { return []string{"https://a.example", "https://b.example:8443"} })
	for address, want := range map[string]string{
		"/":           "frame-ancestors https://a.example https://b.example:8443;",
		"/trickle":    "frame-ancestors 'none';",
		"/ui/main.js": "frame-ancestors 'none';",
		"/nothing":    "frame-ancestors 'none';",
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, address, nil))
		policy := recorder.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, want) || strings.Count(policy, "frame-ancestors") != 1 {
			t.Errorf("%s: the policy is %s, want %s", address, policy, want)
		}
	}
}

func TestOnlyTheSDKIsForOtherOrigins(t *testing.T) {
	for name, address := range addresses(t) {
		response := get(t, http.MethodGet, address, nil)
		wantOrigin, wantPolicy := "", "same-origin"
		if strings.HasPrefix(name, "sdk/") || strings.HasPrefix(name, "embed/") {
			wantOrigin, wantPolicy = "*", "cross-origin"
		}
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != wantOrigin {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", address, got, wantOrigin)
		}
		if got := response.Header.Get("Cross-Origin-Resource-Policy"); got != wantPolicy {
			t.Errorf("%s: Cross-Origin-Resource-Policy %q, want %q", address, got, wantPolicy)
		}
	}
}

func TestAnUnchangedFileIsNotSentAgain(t *testing.T) {
	first := get(t, http.MethodGet, "/app.css", nil)
	etag := first.Header.Get("ETag")
	if etag == "" {
		t.Fatal("no ETag")
	}
	second := get(t, http.MethodGet, "/app.css", http.Header{"If-None-Match": {etag}})
	if second.StatusCode != http.StatusNotModified {
		t.Errorf("status %d with the same ETag, want 304", second.StatusCode)
	}
	other := get(t, http.MethodGet, "/home.css", http.Header{"If-None-Match": {etag}})
	if other.StatusCode != http.StatusOK {
		t.Errorf("status %d with another file's ETag, want 200", other.StatusCode)
	}
}

func TestOnlyGETAndHEAD(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		response := get(t, method, "/", nil)
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, response.StatusCode, response.Header.Get("Allow"))
		}
	}
	for address, want := range map[string]int{"/": http.StatusOK, "/nothing": http.StatusNotFound} {
		response := get(t, http.MethodHead, address, nil)
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != want || len(body) != 0 {
			t.Errorf("HEAD %s: status %d with %d bytes, want %d with none", address, response.StatusCode, len(body), want)
		}
	}
}

func TestNoPathLeavesTheTree(t *testing.T) {
	for _, target := range []string{
		"/../web.go", "/sdk/../../web.go", "/..%2fweb.go", "/static/index.html", "/sdk", "/sdk/", "/ui/", "//app.css",
		"/./app.css", "/sdk/../app.css", "/index.html", "/trickle.html", "/404.html", "/app.css/", "/\x00", `/..\web.go`, "",
	} {
		if response := get(t, http.MethodGet, target, nil); response.StatusCode != http.StatusNotFound {
			t.Errorf("GET %q: status %d, want 404", target, response.StatusCode)
		}
	}
}

// inline finds what the policy would refuse to run.
var inline = map[string]*regexp.Regexp{
	"an inline script":      regexp.MustCompile(`(?is)<script\b[^>]*>\s*[^<\s]`),
	"a script without src":  regexp.MustCompile(`(?i)<script\b(?:[^>]*\ssrc=)?[^>]*>`),
	"a style element":       regexp.MustCompile(`(?i)<style\b`),
	"a style attribute":     regexp.MustCompile(`(?i)<[^>]+\sstyle\s*=`),
	"an event handler":      regexp.MustCompile(`(?i)<[^>]+\son[a-z]+\s*=`),
	"a javascript: address": regexp.MustCompile(`(?i)javascript:`),
	"another origin's file": regexp.MustCompile(`(?i)\s(?:src|href)\s*=\s*["']?(?:https?:)?//`),
}

func TestNoHTMLHoldsCode(t *testing.T) {
	for name := range addresses(t) {
		if path.Ext(name) != ".html" {
			continue
		}
		content, err := os.ReadFile(path.Join("static", name))
		if err != nil {
			t.Fatal(err)
		}
		for what, pattern := range inline {
			for _, match := range pattern.FindAllString(string(content), -1) {
				if what == "a script without src" && strings.Contains(match, " src=") {
					continue
				}
				t.Errorf("%s has %s: %.80s", name, what, match)
			}
		}
	}
}
