package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// lines joins settings to a file that gives no reason for the usual warnings.
func lines(settings ...string) string {
	return strings.Join(settings, "\n") + "\n" + strings.Join([]string{
		"lt-cred-mech", "no-tcp",
		"denied-peer-ip=10.0.0.0-10.255.255.255", "denied-peer-ip=172.16.0.0-172.31.255.255", "denied-peer-ip=192.168.0.0-192.168.255.255",
		"denied-peer-ip=169.254.0.0-169.254.255.255", "denied-peer-ip=fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	}, "\n")
}

func TestValuesAreReadAsCoturnReadsThem(t *testing.T) {
	for _, tt := range []struct{ name, text, key, want string }{
		{"equals sign", "realm=a", "realm", "a"},
		{"blanks", "  realm \t = a b  ", "realm", "a b"},
		{"quotes", `realm="a b" `, "realm", "a b"},
		{"quote at one end", `realm="a`, "realm", "a"},
		{"single quotes are letters", `realm='a'`, "realm", "'a'"},
		{"a comment behind a text is text", "realm=a # b", "realm", "a # b"},
		{"a comment behind a number is none", "total-quota=5 # five", "total_quota", "5"},
		{"a comment behind an address is none", "relay-ip=192.0.2.1\t# eth0", "relay_ip", "[192.0.2.1]"},
		{"a semicolon behind a number", "total-quota=5;", "total_quota", "5"},
		{"the last one counts", "realm=a\nrealm=b", "realm", "b"},
		{"lists grow", "listening-ip=192.0.2.1\nlistening-ip=::1", "listening_ip", "[192.0.2.1 ::1]"},
		{"a flag alone", "verbose", "level", "debug"},
		{"a flag that is on", "verbose=1", "level", "debug"},
		{"a flag that is off", "verbose=0", "level", ""},
		{"a flag that says no", "Verbose no", "level", ""},
		{"a byte order mark", "\ufeffrealm=a", "realm", "a"},
		{"a password with colons", "user=ann:a:b", "user ann", "a:b"},
		{"the last password of a user", "user=ann:abcdefgh\nuser=ann:ijklmnop", "user ann", "ijklmnop"},
		{"a secret as it is", `static-auth-secret=a"\b=`, "static_auth_secret", `a"\b=`},
		{"a CIDR peer", "denied-peer-ip=203.0.113.0/24\nallowed-peer-ip=2001:db8::/32", "allowed_peer_ip", "[2001:db8::/32]"},
		{"a mapped peer", "allowed-peer-ip=::ffff:203.0.113.1-::ffff:203.0.113.9", "allowed_peer_ip", "[203.0.113.1-203.0.113.9]"},
		{"all mapped peers are not all peers", "denied-peer-ip=::ffff:0:0/96\nallowed-peer-ip=::ffff:0:0/96", "allowed_peer_ip", ""},
		{"external addresses", "external-ip=192.0.2.1/10.0.0.1\nexternal-ip=2001:db8::1", "external_ip", "192.0.2.1/10.0.0.1, 2001:db8::1"},
		{"the image's detection", "external-ip=$(detect-external-ip)", "external_ip", ""},
		{"unlimited", "user-quota=0", "user_quota", "0"},
		{"bytes a second", "max-bps=3000", "max_bps", "3000"},
		{"bytes a second of all", "bps-capacity=9000", "bps_capacity", "9000"},
		{"no TCP", "no-tcp", "tcp", "false"},
		{"no TCP, switched off", "no-tcp=0", "tcp", ""},
		{"a key", "user=ann:0xbc807ee29df3c9ffa736523fb2c4e8ee", "user ann", "0xbc807ee29df3c9ffa736523fb2c4e8ee"},
		{"how long a nonce holds", "stale-nonce=300", "stale_nonce", "5m"},
		{"that it does not hold for ever", "stale-nonce=0", "stale_nonce", ""},
		{"how long an allocation may live", "max-allocate-lifetime=1200", "max_allocate_lifetime", "20m"},
		{"but not for longer than an hour", "max-allocate-lifetime=86400", "max_allocate_lifetime", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, c := importText(t, tt.text)
			if got := show(c)[tt.key]; got != tt.want {
				t.Errorf("%s is %q, want %q", tt.key, got, tt.want)
			}
		})
	}
}

func TestSecretsRotate(t *testing.T) {
	const first, second, third = "first-of-several-secrets", "second-of-several-secrets", "third-of-several-secrets"
	imported, c := importText(t, lines("static-auth-secret="+first, "static-auth-secret="+second, "static-auth-secret="+first, "static-auth-secret="+third))
	if c.Turn.StaticAuthSecret != first || c.Turn.StaticAuthSecretPrevious != second {
		t.Errorf("got %v", show(c))
	}
	if len(imported.Warnings) != 1 || !strings.HasPrefix(imported.Warnings[0], "line 4: static-auth-secret is left out") {
		t.Errorf("got %q", imported.Warnings)
	}
}

// coturn authenticates no user when it has a secret; so a forgotten one must not be
// let in by the move.
func TestUsersThatCoturnRefusesStayOut(t *testing.T) {
	for _, secret := range []string{"static-auth-secret=hold-on-to-this-secret", "use-auth-secret", "use-auth-secret=0"} {
		imported, c := importText(t, lines("user=forgotten:password-of-old", secret))
		if len(c.Turn.Users) > 0 {
			t.Errorf("%s: got %v", secret, show(c))
		}
		if strings.Contains(imported.TOML, "password-of-old") {
			t.Errorf("%s: the password is in the output", secret)
		}
	}
}

func TestWhatWasUnsafeIsWarnedOf(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", lines("user=ann:correct horse", "user-quota=12"), ""},
		{"anybody", strings.ReplaceAll(lines(), "lt-cred-mech", "verbose"), "coturn lets anybody use such a relay"},
		{"no-auth", lines("user=ann:correct horse", "user-quota=12", "no-auth"), "line 3: no-auth let anybody"},
		{"no-auth off", lines("user=ann:correct horse", "user-quota=12", "no-auth=0"), ""},
		{"users in the database", lines("userdb=/var/lib/turn/turndb"), "the users are in coturn's database"},
		{"secret in the database", lines("use-auth-secret"), "the auth secret is in coturn's database"},
		{"shared user", lines("user=ann:correct horse"), "user-quota: coturn set no limit"},
		{"coturn's example", lines("static-auth-secret=north"), "line 1: static-auth-secret is an example that everybody knows"},
		{"a number", lines("static-auth-secret=123456"), "is an example that everybody knows"},
		{"placeholder", lines("static-auth-secret=${TURN_SECRET}-and-so-on"), "is a placeholder"},
		{"short secret", lines("static-auth-secret=Zx81Zx81Zx81Zx8"), "is shorter than 16 bytes"},
		{"repeated character", lines("static-auth-secret=xxxxxxxxxxxxxxxxx"), "is one character repeated"},
		{"empty secret", lines("static-auth-secret=", "static-auth-secret=hold-on-to-this-secret"), "line 1: static_auth_secret is left out"},
		{"second secret", lines("static-auth-secret=hold-on-to-this-secret", "static-auth-secret=mysecret"), "line 2: static-auth-secret is an example"},
		{"password is the name", lines("user=anneliese:anneliese", "user-quota=12"), "is the user's name"},
		{"hashed key", lines("user=ann:0xbc807ee29df3c9ffa736523fb2c4e8ee", "user=bob:correct horse", "user-quota=12"), ""},
		{"no key", lines("user=ann:0xbc807ee29df3c9ff", "user=bob:correct horse", "user-quota=12"), "line 1: user: is left out"},
		{"no password", lines("user=ann", "user=bob:correct horse", "user-quota=12"), "line 1: user: is not name:password"},
		{"loopback", lines("static-auth-secret=hold-on-to-this-secret", "allow-loopback-peers"), "line 2: allow-loopback-peers: "},
		{"loopback allowed", lines("static-auth-secret=hold-on-to-this-secret", "allowed-peer-ip=127.0.0.1"), "reach 127.0.0.1"},
		{"CIDR", lines("static-auth-secret=hold-on-to-this-secret", "denied-peer-ip=203.0.113.0/24"), "cannot read CIDR"},
		{"server-relay", lines("static-auth-secret=hold-on-to-this-secret", "server-relay"), "line 2: server-relay: "},
		{"cli", lines("static-auth-secret=hold-on-to-this-secret", "cli-password=qwerty"), "line 2: cli-password is a password that everybody knows"},
		{"cli off", lines("static-auth-secret=hold-on-to-this-secret", "cli-password=qwerty", "no-cli"), ""},
		{"neither on nor off", lines("static-auth-secret=hold-on-to-this-secret", "no-cli # no telnet"), ""},
		{"a flag with a strange value", lines("static-auth-secret=hold-on-to-this-secret", "no-cli=maybe"), "line 2: no-cli: its value is neither on nor off"},
		{"dashes", lines("static-auth-secret=hold-on-to-this-secret", "--no-cli"), "line 2: no-cli: coturn ignores a line that begins"},
		{"typo", lines("static-auth-secret=hold-on-to-this-secret", "no-tcp-really"), `line 2: no-tcp-really: .*did you mean "no-tcp-relay"?`},
		{"letter case", lines("static-auth-secret=hold-on-to-this-secret", "Realm=a"), `line 2: Realm: .*did you mean "realm"?`},
		{"underscore", lines("static-auth-secret=hold-on-to-this-secret", "min_port=50000"), `line 2: min_port: .*did you mean "min-port"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			imported, _ := importText(t, tt.text)
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if !slices.EqualFunc(imported.Warnings, want, says) {
				t.Errorf("got %q, want %q", imported.Warnings, want)
			}
		})
	}
}

func TestImpossibleValuesAreExplainedNotWritten(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       map[string]string
		comment    string
	}{
		{"empty realm", "realm=", map[string]string{}, "# Left out, from line 1: is empty, must be a name"},
		{"not a number", "min-port=many", map[string]string{}, "# min_port = many"},
		{"port too high", "listening-port=70000", map[string]string{}, "# listening_port = 70000"},
		{"listening port among the relay ports", "listening-port=50000", map[string]string{}, "# listening_port = 50000"},
		{
			"relay ports around the listening port", "listening-port=3480\nmin-port=1024\nmax-port=65535",
			map[string]string{"listening_port": "3480"},
			"# min_port = 1024",
		},
		{"both ends", "min-port=1024\nmax-port=60000", map[string]string{}, "# max_port = 60000"},
		{"turned round", "min-port=60000\nmax-port=50000", map[string]string{}, "# min_port = 60000"},
		{
			"then the listening port, too", "listening-port=60000\nmin-port=1024\nmax-port=64000", map[string]string{}, "# listening_port = 60000",
		},
		{"a second public address", "external-ip=192.0.2.1\nexternal-ip=192.0.2.2", map[string]string{"external_ip": "192.0.2.1"}, "# external_ip = 192.0.2.2"},
		{"two families", "external-ip=192.0.2.1/::1", map[string]string{}, "# external_ip = 192.0.2.1/::1"},
		{
			"a third relay address", "relay-ip=192.0.2.1\nrelay-ip=::1\nrelay-ip=192.0.2.2",
			map[string]string{"relay_ip": "[192.0.2.1 ::1]"},
			"# relay_ip = 192.0.2.2",
		},
		{"the same address twice", "listening-ip=192.0.2.1\nlistening-ip=192.0.2.1", map[string]string{"listening_ip": "[192.0.2.1]"}, "listed twice"},
		{"a wildcard to relay from", "relay-ip=0.0.0.0", map[string]string{}, "# relay_ip = 0.0.0.0"},
		{"a name of a host", "external-ip=turn.example.org", map[string]string{}, "# external_ip = turn.example.org"},
		{"bytes that are no text", "realm=\xff\xfe", map[string]string{}, "the value is not valid UTF-8"},
		{"a user without a name", "user=:correct horse", map[string]string{}, "the user's name is empty"},
		{"what duet config prints", "static-auth-secret=[redacted]", map[string]string{}, "only stands for the secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			imported, c := importText(t, tt.text)
			if got := show(c); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !strings.Contains(imported.TOML, tt.comment) {
				t.Errorf("%q is not in\n%s", tt.comment, imported.TOML)
			}
			if !slices.ContainsFunc(imported.Warnings, func(w string) bool { return strings.Contains(w, "left out") }) {
				t.Errorf("got %q", imported.Warnings)
			}
		})
	}
}

func TestWarningsHoldNoSecret(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"realm=x\n" + secret,
		"realm=x\n--" + secret,
		"static-auth-secret=" + secret,
		"static-auth-secret=" + secret + " # comment",
		"static-auth-secrte=" + secret,
		"static-auth-secret: " + secret,
		"user=" + secret,
		"user=:" + secret,
		"user=ann:" + secret + ";",
		"user=ann:0x" + secret,
		"user=ann:\xff" + secret,
		"cli-password=" + secret,
		"pkey-pwd=" + secret,
		`psql-userdb="host=a password=` + secret + `"`,
		"static-auth-secret=a\nstatic-auth-secret=b\nstatic-auth-secret=" + secret,
	} {
		imported, _ := importText(t, text+"\nverbose")
		if strings.Contains(strings.Join(imported.Warnings, "\n"), secret) {
			t.Errorf("%q: got %q", text, imported.Warnings)
		}
	}
}

func TestCommandLinesAreImportedToo(t *testing.T) {
	want := map[string]string{
		"realm": "example.org", "listening_port": "3479", "listening_ip": "[0.0.0.0]", "external_ip": "192.0.2.1",
		"user ann": "pass word", "level": "debug", "min_port": "50000",
	}
	for _, tt := range []struct{ name, command string }{
		{"long", `--listening-port=3479 --listening-ip=0.0.0.0 --external-ip=192.0.2.1 --realm=example.org --user="ann:pass word" --verbose --lt-cred-mech --min-port=50000`},
		{"long, with blanks", `--listening-port 3479 --listening-ip 0.0.0.0 --external-ip 192.0.2.1 --realm example.org --user 'ann:pass word' --verbose --min-port 50000`},
		{"short", `-n -a -f -p 3479 -L 0.0.0.0 -X 192.0.2.1 -r example.org -u ann:pass\ word -v --min-port=50000`},
		{"together", `-navp3479 -L0.0.0.0 -X192.0.2.1 -rexample.org "-uann:pass word" --min-port=50000`},
		{"turnserver", `/usr/bin/turnserver -v -p 3479 -L 0.0.0.0 -X 192.0.2.1 -r example.org -u "ann:pass word" --min-port=50000`},
		{"docker", "#!/bin/sh\n# don't stop\nsudo docker run -d --name coturn -v /etc/coturn:/etc/coturn -p 3478:3478 \\\n  coturn/coturn:4.6-alpine -v -p 3479 \\\n" +
			"  -L 0.0.0.0 -X 192.0.2.1 -r example.org -u 'ann:pass word' --min-port=50000\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			imported, err := ImportCoturnCommand(strings.NewReader(tt.command))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(loadImported(t, imported)); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v\n%s", got, want, imported.TOML)
			}
		})
	}
}

func TestMistakesInCommandLinesAreTold(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"unknown letter", "argument 2: coturn has no such option", []string{"-v", "-Z"}},
		{"unknown name", `argument 2: relam: .*did you mean "realm"?`, []string{"-v", "--relam=a"}},
		{"stray word", "argument 2: coturn has no such option", []string{"-v", "stray"}},
		{"no value", "argument 2: listening_port is left out", []string{"-v", "-p"}},
		{"no value for a name", "argument 2: realm is left out", []string{"-v", "--realm"}},
		{"a further file", "argument 2: -c: the settings of that file are not in here", []string{"-v", "-c", "/etc/turnserver.conf"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			imported, err := ImportCoturnArgs(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(imported.Warnings, func(w string) bool { return says(w, tt.want) }) {
				t.Errorf("got %q, want %q", imported.Warnings, tt.want)
			}
		})
	}
	if _, err := ImportCoturnCommand(strings.NewReader("-v 'open")); err == nil || err.Error() != "a quote is not closed" {
		t.Errorf("got %v", err)
	}
}
