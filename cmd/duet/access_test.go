package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/jointoken"
)

const (
	tokenSecret   = "north-by-northwest-with-32-bytes"
	olderSecret   = "the-lady-vanishes-with-32-bytes!"
	webhookSecret = "rear-window-is-32-bytes-long-too"
	joinPatience  = 10 * time.Second
)

// enter joins with these fields and returns the first answer.
func enter(t *testing.T, s *server, fields map[string]any) (*websocket.Conn, signaling.Outbound) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{signaling.Protocol}}
	ws, resp, err := dialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { ws.Close() })
	fields["type"] = "join"
	if fields["room"] == nil {
		fields["room"] = "tea"
	}
	if err := ws.WriteJSON(fields); err != nil {
		t.Fatal(err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(joinPatience))
	var out signaling.Outbound
	if err := ws.ReadJSON(&out); err != nil {
		t.Fatal(err)
	}
	return ws, out
}

// minted is a token that holds for an hour, unless ttl says otherwise.
func minted(t *testing.T, secret string, c jointoken.Claims, ttl time.Duration) string {
	t.Helper()
	c.Expires = time.Now().Add(ttl)
	token, err := jointoken.Mint(config.Auth{TokenSecret: config.Secret(secret)}, c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAServerThatRequiresATokenIsClosedToAllElse(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	s, stop := startServer(t, func(c *config.Config) {
		c.Turn.Enabled = false
		c.Signaling.Auth = config.Auth{Required: true, TokenSecret: tokenSecret}
	})
	defer stop()
	s.access.log = slog.New(slog.NewTextHandler(&locked{&mu, &log}, nil))
	tea := jointoken.Claims{Room: "tea", Name: "Ann", Role: "guest"}
	good := minted(t, tokenSecret, tea, time.Hour)
	const invalid, expired = "The token is not valid. Ask for another link.", "The token has expired. Ask for another link."
	for _, row := range []struct {
		name    string
		fields  map[string]any
		code    signaling.Code
		message string
		logged  string
	}{
		{"nothing", map[string]any{}, signaling.CodeUnauthenticated, "Nobody joins here without a token. Open the link that you were given.", "no token"},
		{"a key", map[string]any{"key": "sesame", "create": true}, signaling.CodeUnauthenticated, "Nobody joins here without a token. Open the link that you were given.", "no token"},
		{"a knock", map[string]any{"knock": true}, signaling.CodeUnauthenticated, "Nobody joins here without a token. Open the link that you were given.", "no token"},
		{"an old key", map[string]any{"old_session": "m_x", "old_key": "c2VhbGVk"}, signaling.CodeUnauthenticated, "Nobody joins here without a token. Open the link that you were given.", "no token"},
		{"words", map[string]any{"token": "sesame"}, signaling.CodeUnauthenticated, invalid, "not a JSON Web Token"},
		{"a forged one", map[string]any{"token": minted(t, olderSecret, tea, time.Hour)}, signaling.CodeUnauthenticated, invalid, "the signature does not fit"},
		{"a forged one that has expired", map[string]any{"token": minted(t, olderSecret, tea, -time.Hour)}, signaling.CodeUnauthenticated, invalid, "the signature does not fit"},
		{"a forged one for another room", map[string]any{"room": "coffee", "token": minted(t, olderSecret, tea, time.Hour)}, signaling.CodeUnauthenticated, invalid, "the signature does not fit"},
		{"an expired one", map[string]any{"token": minted(t, tokenSecret, tea, -time.Hour)}, signaling.CodeUnauthenticated, expired, "expired"},
		{"one for another room", map[string]any{"room": "coffee", "token": good}, signaling.CodeForbidden, "The token is for another room.", "for another room"},
		{"a knock with a forged one", map[string]any{"knock": true, "token": good + "x"}, signaling.CodeUnauthenticated, invalid, "token"},
	} {
		mu.Lock()
		log.Reset()
		mu.Unlock()
		ws, got := enter(t, s, row.fields)
		if got.Code != row.code || got.Message != row.message || got.Action != signaling.ActionStop {
			t.Errorf("%s: got %+v", row.name, got)
		}
		want := map[signaling.Code]int{signaling.CodeUnauthenticated: 4401, signaling.CodeForbidden: 4403}[row.code]
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, want) {
			t.Errorf("%s: closed with %v", row.name, err)
		}
		mu.Lock()
		line := log.String()
		mu.Unlock()
		if !strings.Contains(line, row.logged) {
			t.Errorf("%s: logged %s", row.name, line)
		}
		if token, _ := row.fields["token"].(string); len(token) > 20 && strings.Contains(line, token[:20]) {
			t.Errorf("the token is in the log: %s", line)
		}
	}
	if st := s.signaling.Stats(); st.Joins != 0 || st.Rooms != 0 {
		t.Errorf("got %+v", st)
	}
	ws, joined := enter(t, s, map[string]any{"token": good, "name": "Mallory"})
	if joined.Self == nil || joined.Self.Name != "Ann" || joined.Self.Host {
		t.Fatalf("got %+v", joined)
	}
	_, host := enter(t, s, map[string]any{"token": minted(t, tokenSecret, jointoken.Claims{Role: "host"}, time.Hour), "name": "Bo"})
	if host.Self == nil || host.Self.Name != "Bo" || !host.Self.Host {
		t.Errorf("got %+v", host)
	}
	// Whoever is in the room resumes without a token, and one that has expired ends no call.
	_ = ws.NetConn().Close()
	within(t, patience, "Ann is away", func() bool { return s.signaling.Stats().Away == 1 })
	dialer := websocket.Dialer{Subprotocols: []string{signaling.Protocol}}
	again, resp, err := dialer.Dial("ws"+strings.TrimPrefix(s.url(), "http")+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	defer again.Close()
	var resumed signaling.Outbound
	_ = again.WriteJSON(map[string]any{"type": "resume", "session": joined.Session.ID, "key": joined.Session.Key, "seq": 1, "attempt": "a"})
	if err := again.ReadJSON(&resumed); err != nil || resumed.Type != signaling.TypeResumed {
		t.Errorf("got %+v, %v", resumed, err)
	}
}

// locked is a writer for several goroutines.
type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func TestWithoutRequiredATokenMayBeMissingButNotBad(t *testing.T) {
	s, stop := startServer(t, func(c *config.Config) {
		c.Turn.Enabled = false
		c.Signaling.Auth.TokenSecret = tokenSecret
	})
	defer stop()
	if _, got := enter(t, s, map[string]any{"name": "Ann"}); got.Type != signaling.TypeJoined || !got.Self.Host {
		t.Errorf("without a token: %+v", got)
	}
	if _, got := enter(t, s, map[string]any{"token": "x"}); got.Code != signaling.CodeUnauthenticated {
		t.Errorf("with a bad one: %+v", got)
	}
	open, stop := startServer(t, func(c *config.Config) { c.Turn.Enabled = false })
	defer stop()
	if _, got := enter(t, open, map[string]any{"token": "x"}); got.Type != signaling.TypeJoined {
		t.Errorf("where there are no keys: %+v", got)
	}
}

func TestKeysAreChangedByAReloadAndABadKeyFileChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	signer := func(seed byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)) }
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := func(kid string, key ed25519.PrivateKey) string {
		x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
		return fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}]}`, kid, x)
	}
	signed := func(kid string, key ed25519.PrivateKey) string {
		t.Helper()
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"room": "tea", "exp": time.Now().Add(time.Hour).Unix()})
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	write(set("a", signer(1)))
	s, stop := startServer(t, func(c *config.Config) {
		c.Turn.Enabled = false
		c.Signaling.Capacity = 6
		c.Signaling.Auth = config.Auth{Required: true, TokenSecret: olderSecret, JWKSFile: config.Path(path)}
	})
	defer stop()
	next := s.cfg
	s.read = func() (config.Config, error) { return next, nil }
	first, second := signed("a", signer(1)), signed("b", signer(2))
	older, newer := minted(t, olderSecret, jointoken.Claims{}, time.Hour), minted(t, tokenSecret, jointoken.Claims{}, time.Hour)
	check := func(when string, want map[string]bool) {
		t.Helper()
		for token, good := range want {
			ws, got := enter(t, s, map[string]any{"token": token})
			if (got.Type == signaling.TypeJoined) != good {
				t.Errorf("%s: want %t, got %+v", when, good, got)
			}
			_ = ws.WriteJSON(map[string]any{"type": "leave"})
		}
	}
	check("at first", map[string]bool{first: true, second: false, older: true, newer: false})

	var log bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	write("half a file")
	next.Signaling.Auth.TokenSecret = tokenSecret
	s.reload()
	check("after a bad file", map[string]bool{first: true, second: false, older: true, newer: false})
	if !strings.Contains(log.String(), "reload refused, nothing has changed") || !strings.Contains(log.String(), "is not a JWK set") {
		t.Errorf("logged %s", log.String())
	}

	write(set("b", signer(2)))
	next.Signaling.Auth.TokenSecretPrevious = olderSecret
	s.reload()
	check("after a good one", map[string]bool{first: false, second: true, older: true, newer: true})
	next.Signaling.Auth.TokenSecretPrevious = ""
	next.Signaling.Auth.Required = false
	s.reload()
	check("at the end", map[string]bool{older: false, newer: true, "": true})
}

// hook is a webhook that notes what it is sent.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	answer http.HandlerFunc
}

func newHook(t *testing.T, answer http.HandlerFunc) *hook {
	t.Helper()
	h := &hook{answer: answer}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.bodies = append(h.bodies, string(body))
		answer := h.answer
		h.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

// now has the hook answer like this from now on, and forget what it was sent.
func (h *hook) now(answer http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer, h.bodies = answer, nil
}

// sent is what it was sent.
func (h *hook) sent() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.bodies)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestTheWebhookDecidesWhoMayJoinAndItsSilenceIsNoYes(t *testing.T) {
	h := newHook(t, says(`{"allow":true}`))
	s, stop := startServer(t, func(c *config.Config) {
		c.Turn.Enabled = false
		c.Signaling.Capacity = 6
		c.Signaling.Auth = config.Auth{TokenSecret: tokenSecret, WebhookURL: h.URL, WebhookSecret: webhookSecret}
	})
	defer stop()
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		code   signaling.Code
		about  string // the message
	}{
		{"no", says(`{"allow":false,"reason":"Closed \u202eon Mondays.\n"}`), signaling.CodeForbidden, "Closed on Mondays."},
		{"no without a reason", says(`{"allow":false}`), signaling.CodeForbidden, "You may not join this room."},
		{"garbage", says("yes"), signaling.CodeUnavailable, "cannot find out right now"},
		{"huge", says(`{"allow":true}` + strings.Repeat(" ", 1<<20)), signaling.CodeUnavailable, "cannot find out right now"},
		{"error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, signaling.CodeUnavailable, "cannot find out right now"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) }, signaling.CodeUnavailable, "cannot find out right now"},
		{"silence", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, signaling.CodeUnavailable, "cannot find out right now"},
		{"a bad role", says(`{"allow":true,"role":"king"}`), signaling.CodeUnavailable, "cannot find out right now"},
	} {
		h.now(row.answer)
		_, got := enter(t, s, map[string]any{"name": "Ann"})
		if got.Code != row.code || !strings.Contains(got.Message, row.about) {
			t.Errorf("%s: got %+v", row.name, got)
		}
		if n := len(h.sent()); n != 1 {
			t.Errorf("%s: asked %d times", row.name, n)
		}
	}
	if n := s.signaling.Stats().Joins; n != 0 {
		t.Fatalf("%d have joined", n)
	}

	h.now(says(`{"allow":true,"role":"guest","ice_servers":[{"urls":["turn:192.0.2.9"],"username":"u","credential":"c"}]}`))
	token := minted(t, tokenSecret, jointoken.Claims{Name: "Ann", Role: "host", Subject: "u1"}, time.Hour)
	_, got := enter(t, s, map[string]any{"token": token})
	if got.Self == nil || got.Self.Name != "Ann" || got.Self.Host || len(got.ICE.Servers) != 1 || got.ICE.Servers[0].Username != "u" {
		t.Errorf("got %+v", got)
	}
	var asked map[string]any
	question := h.sent()[0]
	if err := json.Unmarshal([]byte(question), &asked); err != nil || asked["address"] != "127.0.0.1" || asked["token"].(map[string]any)["sub"] != "u1" || strings.Contains(question, token) {
		t.Errorf("asked %s, %v", question, err)
	}
	if _, got := enter(t, s, map[string]any{"token": token + "x"}); got.Code != signaling.CodeUnauthenticated || len(h.sent()) != 1 {
		t.Errorf("a bad token: %+v, and the webhook was asked %d times", got, len(h.sent()))
	}
	if q := s.access.asker.Stats(); q.Answered != 3 || q.Failed != 6 {
		t.Errorf("got %+v", q)
	}
}

func TestEventsReachTheWebhookUntilTheVeryEnd(t *testing.T) {
	h := newHook(t, func(http.ResponseWriter, *http.Request) {})
	s, stop := startServer(t, func(c *config.Config) {
		c.Turn.Enabled = false
		c.Signaling.Auth.TokenSecret = tokenSecret
		c.Webhooks = config.Webhooks{URL: h.URL, Secret: webhookSecret}
	})
	token := minted(t, tokenSecret, jointoken.Claims{Name: "Ann", Subject: "u1"}, time.Hour)
	ws, joined := enter(t, s, map[string]any{"token": token})
	if err := ws.WriteJSON(map[string]string{"type": "leave"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Fatal(err)
	}
	stop()
	var kinds []string
	for _, body := range h.sent() {
		var d struct {
			Events []struct {
				Type, Reason string
				Room         struct{ Name string }
				Member       *struct{ ID, Name, Sub string }
			}
		}
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Events {
			kinds = append(kinds, e.Type)
			if e.Room.Name != "tea" || e.Member != nil && (e.Member.ID != joined.Self.ID || e.Member.Name != "Ann" || e.Member.Sub != "u1") || e.Type == "member.left" && e.Reason != "left" {
				t.Errorf("got %s", body)
			}
		}
	}
	if want := []string{"room.opened", "member.joined", "member.left", "room.closed"}; !slices.Equal(kinds, want) {
		t.Errorf("got %v", kinds)
	}
}

func TestEveryEventHasItsPlaceInTheConfiguration(t *testing.T) {
	kinds := []signaling.RoomEventType{
		signaling.RoomOpened, signaling.RoomClosed, signaling.MemberJoined, signaling.MemberLeft, signaling.MemberAway, signaling.MemberBack,
	}
	for i, kind := range kinds {
		if config.EventTypes()[i] != string(kind) || len(config.EventTypes()) != len(kinds) {
			t.Errorf("%v are not %v", config.EventTypes(), kinds)
		}
	}
	if jointoken.MaxBytes != signaling.MaxTokenBytes {
		t.Error("a token may be longer on its way than where it is looked at, or the other way round")
	}
}

func TestStrangersCannotFloodTheLogWithRefusals(t *testing.T) {
	var log bytes.Buffer
	a, err := newAccess(config.Auth{Required: true, TokenSecret: tokenSecret}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer a.asker.Close()
	for range 1000 {
		if _, err := a.authorize(t.Context(), signaling.JoinRequest{Room: "tea"}); err == nil {
			t.Fatal("let in")
		}
	}
	if n := strings.Count(log.String(), "\n"); n < refusalBurst || n > refusalBurst+2*refusalsPerSecond {
		t.Errorf("%d lines", n)
	}
}
