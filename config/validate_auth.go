package config

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// minKey is the least of a secret that signs, in bytes: HS256 asks for as many as the hash
// has (RFC 7518 section 3.2), and who has a token can try keys at leisure.
const minKey = 32

// WebhookSecretPrefix begins a secret whose key is written in base64, as Standard Webhooks
// does; minHookKey is the least that it allows, in bytes.
const (
	WebhookSecretPrefix = "whsec_"
	minHookKey          = 24
)

func (f *findings) auth(a Auth) {
	const required = "signaling.auth.required"
	if a.Required && !a.Keys() {
		f.add("required, but there is no key to check a token with", "set token_secret (`openssl rand -base64 33` makes one) or jwks_file", required)
	}
	f.signingKey("signaling.auth.token_secret", a.TokenSecret)
	f.signingKey("signaling.auth.token_secret_previous", a.TokenSecretPrevious)
	f.hook("signaling.auth.webhook_url", a.WebhookURL, "signaling.auth.webhook_secret", a.WebhookSecret)
}

func (f *findings) webhooks(w Webhooks) {
	f.hook("webhooks.url", w.URL, "webhooks.secret", w.Secret)
	for i, event := range w.Events {
		at := elementKey("webhooks.events", i)
		switch {
		case !slices.Contains(EventTypes(), event):
			f.oneOf(at, event, EventTypes()...)
		case slices.Contains(w.Events[:i], event):
			f.add(quote(event)+" is listed twice", "", at)
		}
	}
}

// hook checks whom a webhook goes to, and that it is signed. The URL is shown only when it
// holds no password.
func (f *findings) hook(key, address, secretKey string, secret Secret) {
	f.signingKey(secretKey, secret)
	if encoded, ok := strings.CutPrefix(secret.Reveal(), WebhookSecretPrefix); ok {
		if key, err := base64.StdEncoding.DecodeString(encoded); err != nil || len(key) < minHookKey {
			f.add(fmt.Sprintf("begins with %q, but not with %d bytes or more in base64 behind it", WebhookSecretPrefix, minHookKey), "", secretKey)
		}
	}
	if address == "" {
		return
	}
	const wanted = `an http or https URL such as "https://app.example.org/duet"`
	u, err := url.Parse(address)
	switch {
	case err == nil && u.User != nil:
		f.add("holds a user name or password, must be "+wanted, "the signature says who asks", key)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !validHost(u.Hostname()) || !validPort(u) || u.Fragment != "":
		f.add("is not "+wanted, "", key) // what does not parse may hold a password as well
	case secret == "":
		f.add("a webhook without a secret: its receiver could not tell it from a forgery", fmt.Sprintf("set %s", secretKey[len(parent(secretKey))+1:]), key)
	}
}

// signingKey is a secret that nobody finds by trying.
func (f *findings) signingKey(key string, s Secret) {
	f.secret(key, s)
	if n := len(s); n > 0 && n < minKey && s != redacted {
		f.add(fmt.Sprintf("has %d bytes, must have at least %d: who has seen a signature can try short ones", n, minKey), "`openssl rand -base64 33` makes one", key)
	}
}
