package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// adminTimeout is how long the rooms of a cluster may take to be read.
const adminTimeout = 5 * time.Second

// adminHandler serves those who run the service.
func (s *server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range s.adminRoutes() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), adminTimeout)
			defer cancel()
			answerAdmin(w, handle, r.WithContext(ctx))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "not_found", "The admin API has no such path or method: see /v1/openapi.json.")
	})
	return forMachine(s.admin, s.withToken(mux))
}

// adminRoutes answer with what they return; openapi.json describes them. A nil answer is none.
func (s *server) adminRoutes() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"GET /v1/admin/rooms": func(r *http.Request) (any, error) {
			rooms, err := s.signaling.Rooms(r.Context())
			return map[string]any{"rooms": rooms}, err
		},
		"GET /v1/admin/rooms/{room}": func(r *http.Request) (any, error) {
			return s.signaling.Room(r.Context(), r.PathValue("room"))
		},
		"DELETE /v1/admin/rooms/{room}": func(r *http.Request) (any, error) {
			room := r.PathValue("room")
			err := s.signaling.End(room)
			if err == nil {
				s.log.Info("an operator has ended a room", "part", "admin", "room", room)
			}
			return nil, err
		},
		"DELETE /v1/admin/rooms/{room}/members/{member}": func(r *http.Request) (any, error) {
			room, member := r.PathValue("room"), r.PathValue("member")
			err := s.signaling.Kick(room, member)
			if err == nil {
				s.log.Info("an operator has put a member out", "part", "admin", "room", room, "member", member)
			}
			return nil, err
		},
	}
}

// withToken lets in who brings [admin] token.
func (s *server) withToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := bearer(r)
		if !ok || !opens(given, s.config().Admin.Token) {
			refuseBearer(w, "[admin] token")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answerAdmin(w http.ResponseWriter, handle func(*http.Request) (any, error), r *http.Request) {
	answer, err := handle(r)
	switch {
	case errors.Is(err, signaling.ErrNotFound):
		writeError(w, http.StatusNotFound, "not_found", "There is no such room or member now.")
	case err != nil:
		w.Header().Set("Retry-After", "2")
		writeError(w, http.StatusServiceUnavailable, "unavailable", "The nodes of this service do not reach each other right now.")
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// bearer is what a request brings to prove whose it is (RFC 6750 section 2.1).
func bearer(r *http.Request) (given string, ok bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// opens reports whether somebody has brought a secret. How long that takes tells nothing about it, and no
// secret is opened by nothing.
func opens(given string, secret config.Secret) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(secret.Reveal()))
	return secret != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// refuseBearer answers who has not brought what it takes.
func refuseBearer(w http.ResponseWriter, what string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="duet"`)
	writeError(w, http.StatusUnauthorized, "unauthenticated", "Send the header Authorization: Bearer, with "+what+".")
}

// writeError answers a program that asked for what it does not get.
func writeError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

// writeJSON answers a program. Nobody keeps the answer.
func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // who went away misses it
}
