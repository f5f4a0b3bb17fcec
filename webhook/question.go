package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/config"
)

// What bounds the ICE servers of an answer, which are told to a member and sealed in its keys.
const (
	maxICEURLs       = 4
	maxICEURL        = 256 // bytes
	maxICECredential = 512 // bytes, of a user name too: USERNAME has fewer than 509 (RFC 8489 section 14.3)
)

// Question is whether somebody may join a room.
type Question struct {
	Type    string     `json:"type"` // always "join"
	At      time.Time  `json:"at"`
	Room    string     `json:"room"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address,omitzero"`
	// Token is what the token says, which has been verified. Nil: there was none.
	Token *Token `json:"token,omitempty"`
}

// Token is what a token says of its bearer.
type Token struct {
	Subject string    `json:"sub,omitempty"`
	Room    string    `json:"room,omitempty"`
	Name    string    `json:"name,omitempty"`
	Role    string    `json:"role,omitempty"`
	Expires time.Time `json:"exp"` // RFC 3339
}

// Answer is on what terms.
type Answer struct {
	Allow bool
	// Name and Role ("host" or "guest") replace what the token says. Empty: that holds.
	Name, Role string
	// Reason is why not, for the person who asks.
	Reason     string
	ICEServers []ICEServer
}

// ICEServer is one RTCIceServer (WebRTC 1.0 section 4.2.4).
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username"`
	Credential string   `json:"credential"`
}

// AskerStats counts questions.
type AskerStats struct {
	Answered uint64 // with a yes or a no
	Failed   uint64 // without
}

// Asker asks whether somebody may join. It is safe for concurrent use.
type Asker struct {
	client           *client
	answered, failed atomic.Uint64
}

// NewAsker returns an Asker; Close ends its connections.
func NewAsker() *Asker { return &Asker{client: newClient()} }

// Close ends the connections that are kept for the next question.
func (a *Asker) Close() { a.client.close() }

// Stats returns the counters.
func (a *Asker) Stats() AskerStats { return AskerStats{a.answered.Load(), a.failed.Load()} }

// Ask posts a question to the webhook of cfg, and returns its answer: within five seconds, or an
// error.
func (a *Asker) Ask(ctx context.Context, cfg config.Auth, q Question) (Answer, error) {
	q.Type = "join"
	body, err := json.Marshal(q)
	if err != nil {
		return Answer{}, fmt.Errorf("writing the question: %w", err)
	}
	text, err := a.client.post(ctx, cfg.WebhookURL, cfg.WebhookSecret, newID("msg_"), body)
	var answer Answer
	if err == nil {
		answer, err = parseAnswer(text)
	}
	if err != nil {
		a.failed.Add(1)
		return Answer{}, err
	}
	a.answered.Add(1)
	return answer, nil
}

// parseAnswer reads an answer. Its errors never quote it.
func parseAnswer(text []byte) (Answer, error) {
	var wire struct {
		Allow      *bool       `json:"allow"`
		Name       string      `json:"name"`
		Role       string      `json:"role"`
		Reason     string      `json:"reason"`
		ICEServers []ICEServer `json:"ice_servers"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return Answer{}, errors.New("the answer is not the JSON object that it must be")
	}
	switch {
	case wire.Allow == nil:
		return Answer{}, errors.New(`the answer has no "allow": true or false`)
	case wire.Role != "" && wire.Role != "host" && wire.Role != "guest":
		return Answer{}, errors.New(`the answer's "role" is neither "host" nor "guest"`)
	}
	urls := 0
	for i, server := range wire.ICEServers {
		urls += len(server.URLs)
		if err := server.check(); err != nil {
			return Answer{}, fmt.Errorf("the answer's ice_servers[%d]: %w", i, err)
		}
	}
	if urls > maxICEURLs {
		return Answer{}, fmt.Errorf("the answer's ice_servers have more than %d URLs", maxICEURLs)
	}
	return Answer{*wire.Allow, wire.Name, wire.Role, wire.Reason, wire.ICEServers}, nil
}

// check says what is wrong with a server that no browser would take, or no more than a part of.
func (s ICEServer) check() error {
	if len(s.URLs) == 0 {
		return errors.New(`has no "urls", a list`)
	}
	if len(s.Username) > maxICECredential || len(s.Credential) > maxICECredential {
		return fmt.Errorf(`"username" or "credential" has more than %d bytes`, maxICECredential)
	}
	for _, text := range s.URLs {
		scheme, ok := iceScheme(text)
		switch {
		case !ok:
			return errors.New("a URL is not stun:host:port, turn:host:port?transport=udp or turns:host:port?transport=tcp")
		case scheme != "stun" && (s.Username == "" || s.Credential == ""):
			return errors.New(`turn: and turns: need "username" and "credential"`)
		}
	}
	return nil
}

// iceScheme returns the scheme of a URI of RFC 7064 or RFC 7065, and false for anything else.
func iceScheme(text string) (scheme string, ok bool) {
	if len(text) > maxICEURL {
		return "", false
	}
	scheme, rest, _ := strings.Cut(text, ":")
	if scheme != "stun" && scheme != "turn" && scheme != "turns" {
		return "", false
	}
	rest, query, asks := strings.Cut(rest, "?")
	if asks && (scheme == "stun" || query != "transport=udp" && query != "transport=tcp") {
		return "", false
	}
	at, err := url.Parse("//" + rest)
	if err != nil || at.Host != rest || at.Hostname() == "" || strings.HasSuffix(at.Host, ":") || !isHost(at.Hostname()) {
		return "", false
	}
	if port := at.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", false
		}
	}
	return scheme, true
}

// isHost reports whether host is an address or may be a name.
func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	return !strings.ContainsFunc(host, func(r rune) bool {
		return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
