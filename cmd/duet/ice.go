package main

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/duetcall/duet/addrlimit"
	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

// What /v1/ice gives and takes.
const (
	minCredentialTTL = time.Minute
	maxICEUser       = 64 // bytes
	maxICEForm       = 4 << 10
	drainRetry       = "5" // seconds

	// A network may send that many wrong keys in that time; then also the right one has to wait.
	wrongKeys   = 10
	wrongKeysIn = 30 * time.Minute
)

// iceAPI gives other apps the way to our relay.
type iceAPI struct {
	failures *addrlimit.Rate

	given, wrong, limited atomic.Uint64
}

func newICEAPI() *iceAPI {
	return &iceAPI{failures: addrlimit.NewRate(wrongKeys, wrongKeysIn, addrlimit.Size)}
}

// stats are the requests so far, by what became of them.
func (a *iceAPI) stats() map[string]uint64 {
	return map[string]uint64{"ok": a.given.Load(), "wrong_key": a.wrong.Load(), "limited": a.limited.Load()}
}

// iceAnswer is the ordinary answer of /v1/ice: iceServers as RTCPeerConnection takes them.
type iceAnswer struct {
	ICEServers []signaling.ICEServer `json:"iceServers"`
	// TTL is how long the credential is good for, in seconds.
	TTL     int64     `json:"ttl"`
	Expires time.Time `json:"expires"`
}

// restAnswer is that of "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest).
type restAnswer struct {
	Username string   `json:"username"`
	Password string   `json:"password"`
	TTL      int64    `json:"ttl"`
	URIs     []string `json:"uris"`
}

// serveICE answers /v1/ice.
func (s *server) serveICE(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxICEForm)
	if err := r.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, "bad_request", "The parameters are no form of at most 4 KiB.")
		return
	}
	app, ok := s.appOf(w, r)
	if !ok {
		return
	}
	user, ttl, problem := iceParameters(r, app)
	if problem != "" {
		writeError(w, http.StatusBadRequest, "bad_request", problem)
		return
	}
	urls := s.relayURLs()
	switch {
	case s.relay == nil:
		writeError(w, http.StatusNotFound, "no_relay", "This server has no relay ([turn] enabled is false).")
		return
	case s.draining.Load() && slices.Equal(urls, s.ownURLs()): // no other node takes newcomers
		w.Header().Set("Retry-After", drainRetry)
		writeError(w, http.StatusServiceUnavailable, "unavailable", "This server is about to end.")
		return
	}
	credential := s.relay.CredentialFor(user, ttl)
	seconds := int64(math.Round(time.Until(credential.Expires).Seconds()))
	s.ice.given.Add(1)
	if r.Form.Get("service") == "turn" {
		writeJSON(w, http.StatusOK, restAnswer{credential.Username, credential.Password, seconds, urls})
		return
	}
	writeJSON(w, http.StatusOK, iceAnswer{
		ICEServers: []signaling.ICEServer{{URLs: urls, Username: credential.Username, Credential: credential.Password}},
		TTL:        seconds, Expires: credential.Expires.UTC(),
	})
}

// appOf finds out whose key a request brings, or answers it.
func (s *server) appOf(w http.ResponseWriter, r *http.Request) (app string, ok bool) {
	keys := s.config().API.Keys
	if len(keys) == 0 {
		writeError(w, http.StatusForbidden, "closed", "Nobody may ask here: the operator writes keys into [api] keys.")
		return "", false
	}
	from, now := signaling.AddressOf(r), time.Now()
	if wait := s.ice.failures.Wait(from, now); wait > 0 {
		s.ice.limited.Add(1)
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		writeError(w, http.StatusTooManyRequests, "rate_limited", "Too many wrong keys came from your network.")
		return "", false
	}
	given, ok := bearer(r)
	if !ok {
		given = r.Form.Get("key") // as the draft has it
	}
	if app, ok = whose(keys, given); ok {
		return app, true
	}
	s.ice.failures.Take(from, now)
	s.ice.wrong.Add(1)
	refuseBearer(w, "a key of [api] keys")
	return "", false
}

// whose returns the name of the key. All are looked at, so the time tells nothing about any of them.
func whose(keys map[string]config.Secret, given string) (name string, ok bool) {
	for _, candidate := range slices.Sorted(maps.Keys(keys)) {
		if opens(given, keys[candidate]) {
			name, ok = candidate, true
		}
	}
	return name, ok
}

// iceParameters are for whom the credential is and for how long. problem is for who asks.
func iceParameters(r *http.Request, app string) (user string, ttl time.Duration, problem string) {
	user = r.Form.Get("username")
	switch {
	case user == "":
		// Quotas are for each user: strangers to each other must not share one.
		var b [9]byte
		rand.Read(b[:])
		user = app + "-" + base64.RawURLEncoding.EncodeToString(b[:])
	case len(user) > maxICEUser, !utf8.ValidString(user), user != signaling.CleanName(user), strings.Contains(user, ":"):
		return "", 0, `username has at most 64 bytes, no ":", and no control characters or spaces around it.`
	case strings.HasPrefix(user, "m_"):
		return "", 0, `username cannot begin with "m_": so do the members of rooms.`
	}
	if text := r.Form.Get("ttl"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds <= 0 {
			return "", 0, "ttl is a number of seconds."
		}
		ttl = max(time.Duration(seconds)*time.Second, minCredentialTTL)
	}
	return user, ttl, ""
}
