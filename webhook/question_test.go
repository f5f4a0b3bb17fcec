package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/duetcall/duet/config"
)

func ask(t *testing.T, url string) (Answer, AskerStats, error) {
	t.Helper()
	a := NewAsker()
	defer a.Close()
	answer, err := a.Ask(t.Context(), config.Auth{WebhookURL: url, WebhookSecret: testSecret}, Question{
		At: time.Unix(1e9, 0).UTC(), Room: "tea", Name: "Ann", Address: netip.MustParseAddr("192.0.2.1"),
		Token: &Token{Subject: "u1", Role: "guest", Expires: time.Unix(2e9, 0).UTC()},
	})
	return answer, a.Stats(), err
}

func TestAQuestionSaysWhoWantsToJoinAndTheAnswerCounts(t *testing.T) {
	reply := ""
	rec := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) { _, _ = io.WriteString(w, reply) })
	for text, want := range map[string]Answer{
		`{"allow":true}`:                     {Allow: true},
		`{"allow":false,"reason":"Not you"}`: {Reason: "Not you"},
		`{"allow":true,"name":"A","role":"host","more":1,"ice_servers":[{"urls":["turn:a.example:3478?transport=udp","turns:[2001:db8::1]:5349?transport=tcp"],"username":"u","credential":"c"},{"urls":["stun:192.0.2.1"]}]}`: {
			Allow: true, Name: "A", Role: "host",
			ICEServers: []ICEServer{
				{URLs: []string{"turn:a.example:3478?transport=udp", "turns:[2001:db8::1]:5349?transport=tcp"}, Username: "u", Credential: "c"},
				{URLs: []string{"stun:192.0.2.1"}},
			},
		},
	} {
		reply = text
		got, stats, err := ask(t, rec.URL)
		if err != nil || !reflect.DeepEqual(got, want) || stats.Answered != 1 || stats.Failed != 0 {
			t.Errorf("%s: got %+v, %+v, %v", text, got, stats, err)
		}
	}
	want := `{"type":"join","at":"2001-09-09T01:46:40Z","room":"tea","name":"Ann","address":"192.0.2.1","token":{"sub":"u1","role":"guest","exp":"2033-05-18T03:33:20Z"}}`
	if got := rec.all()[0]; got.body != want || !strings.HasPrefix(got.id, "msg_") || got.id == rec.all()[1].id {
		t.Errorf("asked %+v\nwant %s", got, want)
	}
}

func TestWhatIsNoProperAnswerIsNeverAYes(t *testing.T) {
	yes := `{"allow":true}`
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, row := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"status 500", text(500, yes), "answered with status 500"},
		{"status 404", text(404, yes), "answered with status 404"},
		{"empty", text(200, ""), "the answer is not the JSON object that it must be"},
		{"no content", text(204, ""), "the answer is not the JSON object that it must be"},
		{"words", text(200, "secret words"), "the answer is not the JSON object that it must be"},
		{"two objects", text(200, yes+yes), "the answer is not the JSON object that it must be"},
		{"true", text(200, "true"), "the answer is not the JSON object that it must be"},
		{"null", text(200, "null"), `the answer has no "allow": true or false`},
		{"allow missing", text(200, `{"role":"host"}`), `the answer has no "allow": true or false`},
		{"allow null", text(200, `{"allow":null}`), `the answer has no "allow": true or false`},
		{"allow a string", text(200, `{"allow":"true"}`), "the answer is not the JSON object that it must be"},
		{"allow 1", text(200, `{"allow":1}`), "the answer is not the JSON object that it must be"},
		{"role", text(200, `{"allow":true,"role":"admin"}`), `the answer's "role" is neither "host" nor "guest"`},
		{"a huge body", text(200, yes+strings.Repeat(" ", maxAnswer)), "the answer cannot be read: it is longer than 64 KiB"},
		{"a huge header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
			_, _ = io.WriteString(w, yes)
		}, "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 16384 bytes; aborted"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, yes)
		}, "the answer cannot be read: unexpected EOF"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/yes", http.StatusTemporaryRedirect)
		}, "answered with status 307: redirects are not followed"},
		{"http: as ICE", text(200, `{"allow":true,"ice_servers":[{"urls":["http://a.example"]}]}`), "the answer's ice_servers[0]: a URL is not stun:host:port, turn:host:port?transport=udp or turns:host:port?transport=tcp"},
		{"ICE without URLs", text(200, `{"allow":true,"ice_servers":[{"username":"u"}]}`), `the answer's ice_servers[0]: has no "urls", a list`},
		{"ICE with one URL as a string", text(200, `{"allow":true,"ice_servers":[{"urls":"stun:a"}]}`), "the answer is not the JSON object that it must be"},
		{"TURN without a password", text(200, `{"allow":true,"ice_servers":[{"urls":["stun:a"]},{"urls":["turn:a"],"username":"u"}]}`), `the answer's ice_servers[1]: turn: and turns: need "username" and "credential"`},
		{"five URLs", text(200, `{"allow":true,"ice_servers":[{"urls":["stun:a","stun:b","stun:c"]},{"urls":["stun:d","stun:e"]}]}`), "the answer's ice_servers have more than 4 URLs"},
		{"long password", text(200, `{"allow":true,"ice_servers":[{"urls":["turn:a"],"username":"u","credential":"`+strings.Repeat("c", 513)+`"}]}`), `the answer's ice_servers[0]: "username" or "credential" has more than 512 bytes`},
	} {
		t.Run(row.name, func(t *testing.T) {
			rec := receive(t, func(w http.ResponseWriter, r *http.Request, n int) {
				if n > 0 {
					t.Errorf("asked again, at %s", r.URL)
				}
				row.answer(w, r)
			})
			answer, stats, err := ask(t, rec.URL)
			if err == nil || err.Error() != row.want || answer.Allow || stats.Failed != 1 || stats.Answered != 0 {
				t.Errorf("got %+v, %+v, %v\nwant %s", answer, stats, err, row.want)
			}
		})
	}
}

// A receiver that answers byte by byte, or never, costs five seconds and no more.
func TestASlowAnswerIsNoneAfterFiveSeconds(t *testing.T) {
	for name, drip := range map[string]string{"silent": "", "byte by byte": " "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := receive(t, func(w http.ResponseWriter, r *http.Request, _ int) {
				tick := time.NewTicker(100 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						if drip != "" {
							_, _ = io.WriteString(w, drip)
							w.(http.Flusher).Flush()
						}
					case <-r.Context().Done():
						return
					}
				}
			})
			began := time.Now()
			if answer, _, err := ask(t, rec.URL); err == nil || answer.Allow {
				t.Errorf("got %+v, %v", answer, err)
			}
			if took := time.Since(began); took < postTimeout-time.Second || took > postTimeout+2*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestAQuestionEndsWithItsContextAndNamesNoURL(t *testing.T) {
	rec := receive(t, func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	a := NewAsker()
	defer a.Close()
	_, err := a.Ask(ctx, config.Auth{WebhookURL: rec.URL + "/?token=hunter2", WebhookSecret: testSecret}, Question{})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("got %v", err)
	}
	rec.Close()
	_, err = a.Ask(t.Context(), config.Auth{WebhookURL: rec.URL + "/?token=hunter2", WebhookSecret: testSecret}, Question{})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	rec := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n%2 == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = fmt.Fprint(w, `{"allow":true}`)
	})
	a := NewAsker()
	defer a.Close()
	for range 10 {
		_, _ = a.Ask(t.Context(), config.Auth{WebhookURL: rec.URL, WebhookSecret: testSecret}, Question{})
	}
	if len(rec.all()) != 10 || len(rec.conns) != 1 {
		t.Errorf("%d requests over %d connections", len(rec.all()), len(rec.conns))
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"allow":true,"ice_servers":[{"urls":["turn:a.example:3478?transport=udp"],"username":"u","credential":"c"}]}`))
	f.Add([]byte(`{"allow":false,"reason":"no"}`))
	f.Add([]byte(`{"allow":true,"ice_servers":[{"urls":["stun:[::1]:1","stun:[fe80::1%25x]","turns:a:"]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		answer, err := parseAnswer(text)
		if err != nil {
			if answer.Allow {
				t.Error("an error that is a yes")
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Errorf("taken, but %v", err)
		}
		urls := 0
		for _, server := range answer.ICEServers {
			for _, u := range server.URLs {
				urls++
				if strings.ContainsAny(u, " /@#\n\x00") || !strings.HasPrefix(u, "stun:") && !strings.HasPrefix(u, "turn:") && !strings.HasPrefix(u, "turns:") {
					t.Errorf("taken: %q", u)
				}
			}
		}
		if urls > maxICEURLs {
			t.Errorf("%d URLs", urls)
		}
	})
}
