package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static
var static embed.FS

// contentTypes are the types of the files that may stand in static/. They are
// written down here because mime.TypeByExtension asks the machine's own table,
// and a module with the wrong type does not run.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".png":  "image/png",

	".webmanifest": "application/manifest+json",
}

// pages are the HTML files that have an address of their own.
var pages = map[string]string{
	"index.html":   "/",
	"trickle.html": "/trickle",
}

// notFound is the page for every other address.
const notFound = "404.html"

// contentSecurityPolicy lets a page load this origin's own files and talk to this
// origin. 'self' covers wss: of the same host (CSP3 section 6.7.2.8). The one Trusted
// Type is the address of the worker (ui/install.js).
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; " +
	"img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; " +
	"manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; " + noFrames + "; " +
	"require-trusted-types-for 'script'; trusted-types duet-worker"

// noFrames keeps every site from showing a page in a frame.
const noFrames = "frame-ancestors 'none'"

// permissionsPolicy gives the pages what a call needs and nothing else.
const permissionsPolicy = "camera=(self), microphone=(self), display-capture=(self), " +
	"screen-wake-lock=(self), clipboard-write=(self), autoplay=(self), fullscreen=(self), " +
	"geolocation=(), payment=(), usb=()"

// file is one embedded file, ready to be sent.
type file struct {
	content     []byte
	gzip        []byte // nil where it is not smaller
	contentType string
	etag        string
	// shared files may be imported by pages of other origins.
	shared bool
	// framed is the call page, which the configuration may let others frame.
	framed bool
}

// Handler serves the pages and the SDK: GET and HEAD only, but for POST /qr; every other address is
// answered with a page that says so. Pages of frameAncestors, which are origins, may show the
// call page in a frame.
func Handler(frameAncestors func() []string) http.Handler {
	files, missing := loaded()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		if r.Method == http.MethodPost && r.URL.Path == "/qr" {
			serveQR(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD are possible here.", http.StatusMethodNotAllowed)
			return
		}
		if found, ok := files[r.URL.Path]; ok {
			if ancestors := frameAncestors(); found.framed && len(ancestors) > 0 {
				allowed := "frame-ancestors " + strings.Join(ancestors, " ")
				w.Header().Set("Content-Security-Policy", strings.Replace(contentSecurityPolicy, noFrames, allowed, 1))
			}
			found.serve(w, r)
			return
		}
		missing.serveNotFound(w, r)
	})
}

// loaded is what the binary holds, compressed once however many servers there are.
var loaded = sync.OnceValues(func() (files map[string]file, missing file) { return load(static) })

// load reads the embedded tree into a map from URL path to file. The tree is part
// of the binary: what is wrong with it is a mistake of ours, found by any test.
func load(tree fs.FS) (files map[string]file, missing file) {
	files = make(map[string]file)
	err := fs.WalkDir(tree, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("%s: no content type for %q files", name, path.Ext(name))
		}
		relative := strings.TrimPrefix(name, "static/")
		one := file{
			content:     content,
			contentType: contentType,
			shared:      strings.HasPrefix(relative, "sdk/") || strings.HasPrefix(relative, "embed/"),
			framed:      relative == "index.html",
		}
		switch address, isPage := pages[relative]; {
		case relative == notFound:
			missing = one
		case isPage:
			files[address] = one
		default:
			files["/"+relative] = one
		}
		return nil
	})
	if err != nil {
		panic("web: " + err.Error())
	}
	for _, address := range pages {
		page := files[address]
		page.content = withPreloads(page.content, files)
		files[address] = page
	}
	for address, one := range files {
		sum := sha256.Sum256(one.content)
		one.etag = hex.EncodeToString(sum[:16])
		one.gzip = gzipped(one.content)
		files[address] = one
	}
	return files, missing
}

// setHeaders sets what every answer has, whatever its status.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Permissions-Policy", permissionsPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // kept, and asked about each time: the ETag answers
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Vary", "Accept-Encoding")
	content, tag := f.content, f.etag
	if f.gzip != nil && takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		content, tag = f.gzip, tag+"-gzip"
	}
	h.Set("ETag", `"`+tag+`"`)
	if f.shared {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	// It answers If-None-Match by the ETag, and HEAD; without a time there is no Last-Modified.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (f file) serveNotFound(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.contentType)
	w.WriteHeader(http.StatusNotFound)
	if r.Method == http.MethodGet {
		_, _ = w.Write(f.content) // the client may be gone; there is nobody to tell
	}
}
