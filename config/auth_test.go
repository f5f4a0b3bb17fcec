package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestMistakesAboutWhoMayJoinAreToldWithTheirCure(t *testing.T) {
	key := strings.Repeat("k", 32)
	for _, tt := range []struct{ name, text, want string }{
		{
			"required without a key", "[signaling.auth]\nrequired = true",
			"turnserver.toml:2:12: signaling.auth.required: required, but there is no key to check a token with; set token_secret (`openssl rand -base64 33` makes one) or jwks_file",
		},
		{
			"a webhook is no key", "[signaling.auth]\nrequired = true\nwebhook_url = 'https://a.example'\nwebhook_secret = '" + key + "'",
			"turnserver.toml:2:12: signaling.auth.required: required, but there is no key to check a token with; set token_secret (`openssl rand -base64 33` makes one) or jwks_file",
		},
		{
			"short secrets", "[signaling.auth]\ntoken_secret = '" + key[1:] + "'\n[webhooks]\nsecret = 'x'",
			"turnserver.toml:2:16: signaling.auth.token_secret: has 31 bytes, must have at least 32: who has seen a signature can try short ones; `openssl rand -base64 33` makes one\n" +
				"turnserver.toml:4:10: webhooks.secret: has 1 bytes, must have at least 32: who has seen a signature can try short ones; `openssl rand -base64 33` makes one",
		},
		{
			"webhook without a secret", "[signaling.auth]\nwebhook_url = 'https://a.example/x'\n[webhooks]\nurl = 'https://a.example/y'",
			"turnserver.toml:2:15: signaling.auth.webhook_url: a webhook without a secret: its receiver could not tell it from a forgery; set webhook_secret\n" +
				"turnserver.toml:4:7: webhooks.url: a webhook without a secret: its receiver could not tell it from a forgery; set secret",
		},
		{
			"webhook of another scheme", "webhooks.url = 'ftp://a.example'",
			`turnserver.toml:1:16: webhooks.url: is not an http or https URL such as "https://app.example.org/duet"`,
		},
		{
			"webhook secret of another form", "webhooks.secret = 'whsec_not-in-base64-but-long-enough'",
			`turnserver.toml:1:19: webhooks.secret: begins with "whsec_", but not with 24 bytes or more in base64 behind it`,
		},
		{
			"event", "webhooks.events = ['member.left', 'member.join', 'member.left']",
			`turnserver.toml:1:35: webhooks.events[1]: "member.join" is not room.opened, room.closed, member.joined, member.left, member.away or member.back; did you mean "member.joined"?
turnserver.toml:1:50: webhooks.events[2]: "member.left" is listed twice`,
		},
		{
			"mistyped key of a table in a table", "[signaling.auth]\n requird = true",
			`turnserver.toml:2:2: signaling.auth.requird: unknown key; did you mean "required"?`,
		},
		{
			"mistyped table in a table", "[signaling.auht]\nx = 1",
			`turnserver.toml:1:12: signaling.auht: unknown section; did you mean "auth"?`,
		},
		{
			"table at the top", "[auth]\nrequired = true",
			`turnserver.toml:1:2: auth: unknown section; did you mean [signaling.auth]?`,
		},
		{
			"key of the inner table in the outer one", "[signaling]\nrequired = true\ngrace = '1m'",
			`turnserver.toml:2:1: signaling.required: unknown key; belongs in [signaling.auth]`,
		},
		{
			"key of the outer table in the inner one", "[signaling.auth]\ngrace = '1m'",
			`turnserver.toml:2:1: signaling.auth.grace: unknown key; belongs in [signaling]`,
		},
		{
			"a value for the table", "[signaling]\nauth = true",
			`turnserver.toml:2:8: signaling.auth: the value true is not a table; write [signaling.auth] once, and its keys below it`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := loadText(tt.text, nil, nil); err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
	for _, tt := range []struct{ variable, want string }{
		{"DUET_AUTH_REQUIRED=true", `DUET_AUTH_REQUIRED: unknown variable; did you mean "DUET_SIGNALING_AUTH_REQUIRED"?`},
		{"DUET_SIGNALING_REQUIRED=true", `DUET_SIGNALING_REQUIRED: unknown variable; did you mean "DUET_SIGNALING_AUTH_REQUIRED"?`},
		{"DUET_SIGNALING_AUTH_REQUIRD=true", `DUET_SIGNALING_AUTH_REQUIRD: unknown variable; did you mean "DUET_SIGNALING_AUTH_REQUIRED"?`},
		{"DUET_SIGNALING_AUTH_REQUIRED=yes", `DUET_SIGNALING_AUTH_REQUIRED: signaling.auth.required: the string "yes" is not true or false; write true without quotes`},
	} {
		if _, err := loadText("", []string{tt.variable}, nil); err == nil || err.Error() != tt.want {
			t.Errorf("got\n%v\nwant\n%s", err, tt.want)
		}
	}
}

func TestATableInATableIsReadFromEverySource(t *testing.T) {
	key := strings.Repeat("k", 32)
	c, err := loadText("signaling = { capacity = 3, auth = { required = true, token_secret_file = 'key' } }", []string{
		"DUET_SIGNALING_AUTH_AUDIENCE=duet", "DUET_WEBHOOKS_EVENTS=member.left, room.closed",
	}, map[string]string{"key": key})
	if a := c.Signaling.Auth; err != nil || !a.Required || a.TokenSecret.Reveal() != key || a.Audience != "duet" || len(c.Webhooks.Events) != 2 {
		t.Errorf("got %+v, %v", c.Signaling, err)
	}
}

func TestAPathStartsAtTheDirectoryOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "duet.toml")
	for _, row := range []struct{ written, want string }{
		{"keys.json", filepath.Join(dir, "keys.json")},
		{"/etc/keys.json", "/etc/keys.json"},
		{"", ""},
	} {
		writeFile(t, path, "[signaling.auth]\njwks_file = '"+row.written+"'\n")
		if c, err := Load(path, nil); err != nil || c.Signaling.Auth.JWKSFile.String() != row.want {
			t.Errorf("%q leads to %q, %v", row.written, c.Signaling.Auth.JWKSFile, err)
		}
	}
	if c, err := Load(path, []string{"DUET_SIGNALING_AUTH_JWKS_FILE=keys.json"}); err != nil || c.Signaling.Auth.JWKSFile != "keys.json" {
		t.Errorf("the variable's leads to %q, %v", c.Signaling.Auth.JWKSFile, err)
	}
}
