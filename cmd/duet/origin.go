package main

import (
	"net/http"
	"slices"
)

// crossOriginPaths are what pages of other origins may fetch, and the methods; /v1/ws has a check of its own,
// and every origin may import the modules in /sdk/.
var crossOriginPaths = map[string]string{
	"/v1/ice":          "GET, POST",
	"/v1/openapi.json": "GET",
}

// preflightAge is how many seconds a browser may remember an answer to OPTIONS: little, because a
// reload may change it.
const preflightAge = "600"

// crossOrigin lets pages of [http] allowed_origins read what crossOriginPaths names (the CORS protocol of the
// Fetch standard, section 3.2). They send no cookies or the like, and we have none:
// credentials are never allowed, only the Authorization that a page writes itself.
func (s *server) crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		methods, shared := crossOriginPaths[r.URL.Path]
		if !shared {
			next.ServeHTTP(w, r)
			return
		}
		header := w.Header()
		header.Add("Vary", "Origin")
		allowed := r.Header.Get("Origin") != "" && origins(s.config().HTTP).Check(r) == nil
		if allowed {
			origin := r.Header.Get("Origin")
			if slices.Contains(s.config().HTTP.AllowedOrigins, "*") {
				origin = "*"
			}
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Expose-Headers", "Retry-After")
			header.Set("Cross-Origin-Resource-Policy", "cross-origin")
		}
		switch preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""; {
		case preflight && allowed:
			header.Set("Access-Control-Allow-Methods", methods)
			header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			header.Set("Access-Control-Max-Age", preflightAge)
			w.WriteHeader(http.StatusNoContent)
		case preflight:
			http.Error(w, "Pages of this origin may not ask here; the operator can add it to [http] allowed_origins.", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
