package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// importText imports a text and loads what came out, as a user would.
func importText(t *testing.T, text string) (Imported, Config) {
	t.Helper()
	imported, err := ImportCoturn(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return imported, loadImported(t, imported)
}

func loadImported(t *testing.T, imported Imported) Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "turnserver.toml")
	writeFile(t, path, imported.TOML)
	c, err := Load(path, nil)
	if err != nil {
		t.Fatalf("the output does not load: %v\n%s", err, imported.TOML)
	}
	return c
}

func readTestdata(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "coturn", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// show lists what differs from the defaults, secrets too.
func show(c Config) map[string]string {
	defaults := Default()
	original, all := newSchema(&defaults), make(map[string]string)
	for i, e := range newSchema(&c).entries {
		if e.inFile || reflect.DeepEqual(e.target.Interface(), original.entries[i].target.Interface()) {
			continue
		}
		all[e.name] = sprint(e.target.Interface())
		if users, ok := e.target.Interface().(map[string]Secret); ok {
			delete(all, e.name)
			for name, password := range users {
				all["user "+name] = password.Reveal()
			}
		} else if secret, ok := e.target.Interface().(Secret); ok {
			all[e.name] = secret.Reveal()
		}
	}
	return all
}

func TestGuidesOfOtherProductsAreImported(t *testing.T) {
	for _, tt := range []struct {
		file     string
		want     map[string]string
		warnings []string // words of each, in order
		summary  string
	}{
		{
			"synapse.conf",
			map[string]string{
				"realm": "turn.matrix.example.org", "static_auth_secret": "t8vQ2mYcRk1xZpLw9sHd4uEa7nGb0fJi",
				"external_ip": "192.0.2.10/10.0.0.1", "total_quota": "1200", "allowed_peer_ip": "[10.0.0.1]",
				"denied_peer_ip": "[10.0.0.0/8 192.168.0.0/16 172.16.0.0/12 0.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 " +
					"198.51.100.0/24 240.0.0.0/4 ::1 64:ff9b::/96 fc00::/7 fe80::/10]",
				"cert": "/etc/letsencrypt/live/turn.matrix.example.org/fullchain.pem",
				"key":  "/etc/letsencrypt/live/turn.matrix.example.org/privkey.pem",
			},
			nil,
			"26 0",
		},
		{
			"nextcloud.conf",
			map[string]string{"realm": "cloud.example.org", "listening_port": "443", "static_auth_secret": "<yourChosen/GeneratedSecret>"},
			[]string{"private addresses", "line 5: static-auth-secret is a placeholder"},
			"8 1",
		},
		{
			"jitsi.conf",
			map[string]string{
				"realm": "meet.example.org", "static_auth_secret": "Hq6TnEw3bVd0LxPz",
				"denied_peer_ip": "[10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7]", "tcp": "false",
				"cert": "/etc/jitsi/meet/meet.example.org.crt", "key": "/etc/jitsi/meet/meet.example.org.key",
			},
			nil,
			"19 4",
		},
		{
			"bigbluebutton.conf",
			map[string]string{
				"realm": "bbb.example.org", "static_auth_secret": "c2b6f0b5a9d14f0e8c3a7d61", "min_port": "32769", "level": "debug",
				"listening_ip": "[192.0.2.20 2001:db8::20]", "relay_ip": "[192.0.2.20 2001:db8::20]",
				"denied_peer_ip": "[127.0.0.0/8]", "allowed_peer_ip": "[192.168.10.0/24]",
				"cert": "/etc/turnserver/fullchain.pem", "key": "/etc/turnserver/privkey.pem", "tls_listening_port": "0", // [tls] listen has 443
			},
			[]string{"those that allowed_peer_ip does not name"},
			"23 6",
		},
		{
			"default.conf",
			map[string]string{},
			[]string{"coturn lets anybody use such a relay", "private addresses"},
			"3 1",
		},
		{
			"oddities.conf",
			map[string]string{
				"realm": "talk example org", "listening_port": "3480", "level": "debug", "user_quota": "0", "total_quota": "100",
				"user ann": "correct horse battery", "user bob": "0xbc807ee29df3c9ffa736523fb2c4e8ee", "user carl": `a:b#"c\ # d`, "relay_ip": "[192.0.2.1]", "allowed_peer_ip": "[0.0.0.0/0]",
				"max_bps": "375000",
			},
			[]string{
				"private addresses", "reach 127.0.0.1", "reach 169.254.169.254", "line 8: the password of user ann", "line 10: user: ",
				"line 14: min_port", "line 15: max_port", `line 16: listning-ip: .*"listening-ip"`, "line 18: relay_ip", "line 19: external_ip",
				"line 20: no-multicast-peers", "line 21: denied_peer_ip", "line 23: rest-api-separator", "line 24: cli-password",
			},
			"15 10",
		},
	} {
		t.Run(tt.file, func(t *testing.T) {
			imported, c := importText(t, readTestdata(t, tt.file))
			if got := show(c); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
			if !slices.EqualFunc(imported.Warnings, tt.warnings, says) {
				t.Errorf("warnings:\n%s\nwant %q", strings.Join(imported.Warnings, "\n"), tt.warnings)
			}
			if got := fmt.Sprint(imported.Mapped, imported.Unmapped); got != tt.summary {
				t.Errorf("mapped and unmapped: %s, want %s", got, tt.summary)
			}
		})
	}
}

// says reports whether a text holds words, in which ".*" stands for anything.
func says(text, words string) bool {
	for word := range strings.SplitSeq(words, ".*") {
		_, rest, ok := strings.Cut(text, word)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}

func TestTheOutputReadsAsIfSomebodyHadWrittenIt(t *testing.T) {
	imported, _ := importText(t, readTestdata(t, "synapse.conf"))
	if want := readTestdata(t, "synapse.toml"); imported.TOML != want {
		t.Errorf("got\n%s\nwant\n%s", imported.TOML, want)
	}
}

func TestEverySettingIsAccountedFor(t *testing.T) {
	for _, name := range []string{"synapse.conf", "nextcloud.conf", "jitsi.conf", "bigbluebutton.conf", "oddities.conf"} {
		text := readTestdata(t, name)
		imported, _ := importText(t, text)
		place := 0
		for line := range strings.Lines(text) {
			place++
			told := strings.Contains(imported.TOML, fmt.Sprintf("line %d:", place)) ||
				strings.Contains(imported.TOML, fmt.Sprintf("line %d.\n", place)) ||
				strings.Contains(imported.TOML, fmt.Sprintf("# line %d\n", place))
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !told {
				t.Errorf("%s:%d: %s is not in the output", name, place, line)
			}
		}
	}
}

// options.txt holds the long options of coturn 4.6, from its man page and --help.
func TestEveryOptionOfCoturnHasARow(t *testing.T) {
	table := coturnOptions()
	for name := range strings.FieldsSeq(readTestdata(t, "options.txt")) {
		if table.named(name) == nil {
			t.Errorf("%s has no row", name)
		}
	}
}

func TestRowsOfTheTableAreSound(t *testing.T) {
	c, letters, names := Default(), make(map[byte]bool), make(map[string]bool)
	s := newSchema(&c)
	for _, o := range coturnOptions() {
		if names[o.name] || o.letter != 0 && letters[o.letter] {
			t.Errorf("%s: the name or the letter is taken", o.name)
		}
		names[o.name], letters[o.letter] = true, true
		if _, ok := s.find(o.key); o.key != "" && !ok {
			t.Errorf("%s: there is no key %s", o.name, o.key)
		}
		if isMapped := o.key != "" || o.take != nil; isMapped != (o.fate == mapped) || isMapped != (o.why == "") {
			t.Errorf("%s: is either mapped or has a fate and a why", o.name)
		}
		if o.valued && o.free {
			t.Errorf("%s: a flag takes no value", o.name)
		}
	}
}

func TestUnusableInputIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"another kind of file", "[turn]\nrealms = 5\n", "holds no option of coturn; is it a turnserver.conf?"},
		{"binary", "realm=x\n\x00\x01", "is not a text file"},
		{"too big", strings.Repeat("#\n", maxCoturn/2+1), "is larger than 1024 KiB"},
		{"too many settings", strings.Repeat("verbose\n", maxCoturnSettings+1), "holds more than 10000 settings"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ImportCoturn(strings.NewReader(tt.text)); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func FuzzCoturn(f *testing.F) {
	for _, name := range []string{"synapse.conf", "nextcloud.conf", "jitsi.conf", "bigbluebutton.conf", "oddities.conf"} {
		data, err := os.ReadFile(filepath.Join("testdata", "coturn", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("cert=a.pem\npkey=/b.pem\ntls-listening-port=3478\nlistening-ip=::1%eth0\npkey-pwd=\nno-tcp=0")
	f.Add("cert=/a.pem\npkey=/b.pem\ntls-listening-port=8080\nlistening-port=443")
	f.Add("docker run --name coturn coturn/coturn -n -avL1.2.3.4 --user 'a:b' -X '$(detect-external-ip)' \"-p\" 1\\\n2")
	f.Fuzz(func(t *testing.T, text string) {
		inFile, err1 := ImportCoturn(strings.NewReader(text))
		asCommand, err2 := ImportCoturnCommand(strings.NewReader(text))
		for _, imported := range []Imported{inFile, asCommand} {
			if _, err := load("", imported.TOML, nil, nil); err != nil {
				t.Errorf("the output does not load: %v\n%s", err, imported.TOML)
			}
		}
		for _, err := range []error{err1, err2} {
			if err != nil && strings.HasPrefix(err.Error(), "cannot make") {
				t.Error(err)
			}
		}
	})
}
