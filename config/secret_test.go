package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsComeFromFiles(t *testing.T) {
	files := map[string]string{
		"secret":     "from the file\n",
		"/run/other": "from another",
		"users":      "# people\nann:pass:word\r\n\n bob : p \n",
	}
	for _, tt := range []struct {
		name, text, want string
		environ          []string
	}{
		{"beside the configuration", "turn.static_auth_secret_file = 'secret'", "from the file", nil},
		{"absolute", "turn.static_auth_secret_file = '/run/other'", "from another", nil},
		{"environment names the file", "", "from another", []string{"DUET_TURN_STATIC_AUTH_SECRET_FILE=/run/other"}},
		{"environment's file beats the secret", "turn.static_auth_secret = 'x'", "from another", []string{"DUET_TURN_STATIC_AUTH_SECRET_FILE=/run/other"}},
		{"environment's secret beats the file", "turn.static_auth_secret_file = 'gone'", "y", []string{"DUET_TURN_STATIC_AUTH_SECRET=y"}},
		{"no file named", "turn.static_auth_secret_file = ''", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := loadText(tt.text, tt.environ, files)
			if got := c.Turn.StaticAuthSecret.Reveal(); got != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	c, err := loadText("turn.users_file = 'users'", nil, files)
	if err != nil || len(c.Turn.Users) != 2 || c.Turn.Users["ann"] != "pass:word" || c.Turn.Users[" bob "] != " p " {
		t.Errorf("users are %d, %v", len(c.Turn.Users), err)
	}
}

func TestSecretFilesStartAtTheDirectoryOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), "s3cret\n")
	path := filepath.Join(dir, "duet.toml")
	writeFile(t, path, "[turn]\nstatic_auth_secret_previous_file = 'secret'\n")
	c, err := Load(path, nil)
	if err != nil || c.Turn.StaticAuthSecretPrevious.Reveal() != "s3cret" {
		t.Error(err)
	}
	writeFile(t, filepath.Join(dir, "secret"), strings.Repeat("s", maxSecretFile+1))
	want := fmt.Sprintf("%s:2:36: turn.static_auth_secret_previous_file: %s: is larger than 4 KiB", path, quote(filepath.Join(dir, "secret")))
	if _, err := Load(path, nil); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestMistakesInSecretFiles(t *testing.T) {
	files := map[string]string{
		"empty": " \n", "lines": "a\nb\n", "redacted": "[redacted]",
		"users": "ann:a\nhunter2\nann:b\n\xff:x\n:p\nbob:\n",
	}
	for _, tt := range []struct{ name, text, want string }{
		{
			"missing", "turn.static_auth_secret_file = 'none'",
			`turnserver.toml:1:32: turn.static_auth_secret_file: "none": no such file or directory`,
		},
		{
			"not a path", "turn.static_auth_secret_file = 5",
			`turnserver.toml:1:32: turn.static_auth_secret_file: the number 5 is not a string; write "5"`,
		},
		{
			"empty", "turn.static_auth_secret_file = 'empty'",
			`turnserver.toml:1:32: turn.static_auth_secret_file: "empty": is empty, must hold the secret`,
		},
		{
			"several lines", "turn.static_auth_secret_file = 'lines'",
			`turnserver.toml:1:32: turn.static_auth_secret_file: "lines": has several lines, must hold the secret on one`,
		},
		{
			"redacted", "turn.static_auth_secret_file = 'redacted'",
			`turnserver.toml:1:32: turn.static_auth_secret: "[redacted]" only stands for the secret in the output of duet config; write the secret itself`,
		},
		{
			"both", "turn.static_auth_secret = 'x'\nturn.static_auth_secret_file = 'lines'",
			`turnserver.toml:2:32: turn.static_auth_secret_file: given together with turn.static_auth_secret; keep one of them`,
		},
		{
			"users", "turn.users_file = 'users'",
			`turnserver.toml:1:19: turn.users."": the user's name is empty
turnserver.toml:1:19: turn.users.bob: the password is empty
users:2:1: the line is not name:password
users:3:1: the user is named on an earlier line already
users:4:1: the line is not valid UTF-8`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := loadText(tt.text, nil, files); err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// hidden is the secret of the tests below; no output may hold it.
const hidden = "hunter2"

func TestNoProblemHoldsASecret(t *testing.T) {
	for _, text := range []string{
		"turn.static_auth_secret = hunter2",
		"turn.static_auth_secret = \"hunter2\nhunter2\"",
		"turn.static_auth_secret = \"hunter2\\u12\"",
		"turn.static_auth_secret = 'hunter2' hunter2",
		"turn.static_auth_secret = 'hunter2'\nturn.static_auth_secret = 'hunter2'",
		"turn.static_auth_secret = ['hunter2']",
		"turn.static_auth_secret = { hunter2 = 'hunter2' }\nturn.static_auth_secret_file='x'",
		"turn.static_auth_secrt = hunter2",
		"turn.static_auth_secrt = 'hunter2'",
		"static_auth_secret = hunter2",
		"[turn.users]\nann = hunter2",
		"[turn.users]\nann = ['hunter2']",
		"[turn.users]\n'a:b' = 'hunter2'",
		"turn.users = { ann = hunter2 }",
		"turn.users = 'hunter2'",
		"turn.users = ['hunter2']",
		"signaling.auth.token_secret = 'hunter2'",
		"signaling.auth.token_secret = hunter2",
		"[signaling.auth]\nwebhook_url = 'https://ann:hunter2@example.org'",
		"[signaling.auth]\nwebhook_url = 'ann:hunter2@ nowhere'",
		"[signaling.auth]\ntoken_secrt = 'hunter2'",
		"[webhooks]\nsecret = 'hunter2'",
		"http.public_url = 'https://ann:hunter2@example.org'",
		"http.public_url = 'ann:hunter2@ nowhere'",
		"http.allowed_origins = ['https://ann:hunter2@example.org/']",
	} {
		_, err := loadText(text, nil, nil)
		if err == nil || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s\ngives: %v", text, err)
		}
	}
	for _, variable := range []string{"DUET_TURN_STATIC_AUTH_SECRET=" + hidden + "\xff", "DUET_SECRET=" + hidden, "DUET_SIGNALING_AUTH_TOKEN_SECRET=" + hidden, "DUET_TURN_USERS=:=" + hidden} {
		_, err := loadText("", []string{variable}, nil)
		if err == nil || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s\ngives: %v", variable, err)
		}
	}
}

func TestSecretsHideFromEveryPrinter(t *testing.T) {
	c := Default()
	c.Turn.StaticAuthSecret, c.Turn.StaticAuthSecretPrevious = hidden, hidden
	c.Turn.Users = map[string]Secret{"ann": hidden}
	c.Signaling.Auth.TokenSecret, c.Signaling.Auth.TokenSecretPrevious, c.Signaling.Auth.WebhookSecret = hidden, hidden, hidden
	c.Webhooks.Secret = hidden
	var out bytes.Buffer
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, format+"\n", c)
		fmt.Fprintf(&out, format+"\n", c.Turn.StaticAuthSecret)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("configuration", "config", c, "turn", c.Turn, "secret", c.Turn.StaticAuthSecret, "users", c.Turn.Users)
	}
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	if err := Write(&out, c); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%d", []byte(hidden))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%s is in\n%s", form, out.String())
		}
	}
}
