package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay"
)

const shopKey = "the-key-of-the-shop-that-has-one"

// startShop serves with a key for /v1/ice. The function asks with it, unless a header says otherwise.
func startShop(t *testing.T) (s *server, ask func(method, path string, header ...string) *http.Response) {
	t.Helper()
	s, stop := startServer(t, func(cfg *config.Config) {
		cfg.API.Keys = map[string]config.Secret{"shop": shopKey, "other": "another-key-of-thirty-two-letters"}
	})
	t.Cleanup(stop)
	return s, func(method, path string, header ...string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, s.url()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+shopKey)
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
}

// read returns the JSON of an answer with that status.
func read[T any](t *testing.T, resp *http.Response, status int) (answer T) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != status {
		t.Fatalf("got %s %s (%v), want %d", resp.Status, body, err, status)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("it may be kept: %q", got)
	}
	return answer
}

// refusal is an answer of ours that is an error.
type refusal struct {
	Error struct{ Code, Message string }
}

func TestAnotherAppGetsCredentialsThatOpenTheRelay(t *testing.T) {
	s, ask := startShop(t)
	plain := read[iceAnswer](t, ask("GET", "/v1/ice"), http.StatusOK)
	given := plain.ICEServers[0]
	expires, name, _ := strings.Cut(given.Username, ":")
	if at, err := strconv.ParseInt(expires, 10, 64); err != nil || at != plain.Expires.Unix() || !strings.HasPrefix(name, "shop-") {
		t.Errorf("the credential is for %q, it ends at %v", given.Username, plain.Expires)
	}
	if want := int64(s.cfg.Turn.CredentialTTL.Std().Seconds()); plain.TTL < want-2 || plain.TTL > want {
		t.Errorf("it is good for %d s, want %d", plain.TTL, want)
	}
	if other := read[iceAnswer](t, ask("GET", "/v1/ice"), http.StatusOK).ICEServers[0]; other.Username == given.Username {
		t.Error("two who ask share a quota")
	}
	opens := func(what, username, password string) {
		t.Helper()
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := given
		server.Username, server.Credential = username, password
		_, end := relayedBy(t, server, strings.TrimSuffix(strings.TrimPrefix(given.URLs[0], "turn:"), "?transport=udp"), conn)
		if s.relay.Allocations() != 1 {
			t.Errorf("%s opens %d allocations", what, s.relay.Allocations())
		}
		end()
		within(t, patience, "it is closed", func() bool { return s.relay.Allocations() == 0 })
	}
	opens("what /v1/ice gives", given.Username, given.Credential)

	for _, resp := range []*http.Response{
		ask("GET", "/v1/ice?service=turn&username=ann&ttl=3600"),
		ask("POST", "/v1/ice?service=turn&username=ann&ttl=3600"),
		ask("GET", "/v1/ice?service=turn&username=ann&ttl=3600&key="+shopKey, "Authorization", ""),
	} {
		rest := read[restAnswer](t, resp, http.StatusOK)
		if _, name, _ := strings.Cut(rest.Username, ":"); name != "ann" || rest.TTL < 3598 || rest.TTL > 3600 || len(rest.URIs) == 0 || rest.URIs[0] != given.URLs[0] {
			t.Errorf("got %+v", rest)
		}
		opens("what the REST API gives", rest.Username, rest.Password)
	}
	if got := s.measure().ice["ok"]; got != 5 {
		t.Errorf("%d are counted", got)
	}
}

func TestACredentialIsForNoLongerThanTheServerAllows(t *testing.T) {
	_, ask := startShop(t)
	for ttl, want := range map[string]int64{"1": 60, "61": 61, "43200": 43_200, "43201": 43_200, "2147483647": 43_200} {
		if got := read[iceAnswer](t, ask("GET", "/v1/ice?ttl="+ttl), http.StatusOK); got.TTL < want-2 || got.TTL > want || time.Until(got.Expires) > time.Duration(want)*time.Second {
			t.Errorf("ttl=%s is good for %d s until %v, want %d", ttl, got.TTL, got.Expires, want)
		}
	}
}

func TestWrongParametersOfICEAreNamed(t *testing.T) {
	_, ask := startShop(t)
	for query, want := range map[string]string{
		"ttl=soon":                                "ttl",
		"ttl=-1":                                  "ttl",
		"ttl=99999999999999":                      "ttl",
		"username=" + strings.Repeat("a", 65):     "username",
		"username=" + url.QueryEscape("a:b"):      "username",
		"username=" + url.QueryEscape("a\nb"):     "username",
		"username=" + url.QueryEscape("a\u202eb"): "username",
		"username=%ff":                            "username",
		"username=m_5cVn0yJ3Zt0":                  "m_",
		"username=%zz":                            "form",
	} {
		if got := read[refusal](t, ask("GET", "/v1/ice?"+query), http.StatusBadRequest); got.Error.Code != "bad_request" || !strings.Contains(got.Error.Message, want) {
			t.Errorf("%s: %+v", query, got)
		}
	}
}

func TestICEIsForThoseWithAKeyAndGuessingEnds(t *testing.T) {
	s, ask := startShop(t)
	for _, header := range []string{"", "Bearer ", "Bearer wrong", "Basic " + shopKey, "Bearer " + shopKey + "x", "Bearer another-key-of-thirty-two-letter"} {
		resp := ask("GET", "/v1/ice", "Authorization", header)
		if got := read[refusal](t, resp, http.StatusUnauthorized); got.Error.Code != "unauthenticated" || resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%q: %+v", header, got)
		}
	}
	read[iceAnswer](t, ask("GET", "/v1/ice", "Authorization", "Bearer another-key-of-thirty-two-letters"), http.StatusOK)
	for range wrongKeys - 6 {
		read[refusal](t, ask("GET", "/v1/ice?key=wrong", "Authorization", ""), http.StatusUnauthorized)
	}
	resp := ask("GET", "/v1/ice")
	if got := read[refusal](t, resp, http.StatusTooManyRequests); got.Error.Code != "rate_limited" {
		t.Errorf("got %+v", got)
	}
	if wait, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || wait < 1 || wait > int(wrongKeysIn.Seconds())/wrongKeys {
		t.Errorf("it says to wait %q", resp.Header.Get("Retry-After"))
	}
	if got := s.measure().ice; got["wrong_key"] != wrongKeys || got["limited"] != 1 || got["ok"] != 1 {
		t.Errorf("counted are %v", got)
	}
}

func TestICEIsClosedWithoutKeysAndWhileNothingIsToBeHad(t *testing.T) {
	s, ask := startShop(t)
	next := s.cfg
	next.API.Keys = nil
	s.read = func() (config.Config, error) { return next, nil }
	s.reload()
	if got := read[refusal](t, ask("GET", "/v1/ice"), http.StatusForbidden); got.Error.Code != "closed" || !strings.Contains(got.Error.Message, "[api] keys") {
		t.Errorf("without keys: %+v", got)
	}
	next.API.Keys = map[string]config.Secret{"new": shopKey}
	s.reload()
	read[iceAnswer](t, ask("GET", "/v1/ice"), http.StatusOK)
	s.beginDrain(t.Context()).tick.Stop()
	resp := ask("GET", "/v1/ice")
	if got := read[refusal](t, resp, http.StatusServiceUnavailable); got.Error.Code != "unavailable" || resp.Header.Get("Retry-After") == "" {
		t.Errorf("while it drains: %+v", got)
	}

	off, stop := startServer(t, func(cfg *config.Config) {
		cfg.Turn.Enabled = false
		cfg.API.Keys = map[string]config.Secret{"shop": shopKey}
	})
	defer stop()
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, off.url()+"/v1/ice", nil)
	request.Header.Set("Authorization", "Bearer "+shopKey)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := read[refusal](t, resp, http.StatusNotFound); got.Error.Code != "no_relay" {
		t.Errorf("without a relay: %+v", got)
	}
}

func TestAnExpiredCredentialOfICEOpensNothing(t *testing.T) {
	d := startProcess(t, "static_auth_secret = \"north\"", "[api]\nkeys = { shop = \""+shopKey+"\" }")
	resp, err := http.Get("http://" + d.http + "/v1/ice?username=ann&key=" + shopKey)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	given := read[iceAnswer](t, resp, http.StatusOK).ICEServers[0]
	d.accepted(given.Username, given.Credential)
	// The same secret mints what has expired a second ago.
	username, password := relay.Mint("north", "ann", time.Now().Add(-time.Second))
	d.refused(username, password, "401")
	same, _ := relay.Mint("north", "ann", time.Now().Add(12*time.Hour))
	if _, name, _ := strings.Cut(given.Username, ":"); !strings.HasSuffix(same, ":"+name) {
		t.Errorf("the credential is for %q", given.Username)
	}
}
