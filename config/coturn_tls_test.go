package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTLSComesAlongOrIsExplained(t *testing.T) {
	const both = "cert=/etc/a.pem\npkey=/etc/b.pem\n"
	with := func(more ...string) map[string]string {
		want := map[string]string{"cert": "/etc/a.pem", "key": "/etc/b.pem"}
		for i := 0; i < len(more); i += 2 {
			want[more[i]] = more[i+1]
		}
		return want
	}
	for _, tt := range []struct {
		name, text string
		want       map[string]string // what differs from the defaults
		comment    string
		warning    string // "" is none
	}{
		{"coturn's port", both, with(), `If another server has this port, choose another. listen = ":443"`, ""},
		{"another port", both + "tls-listening-port=444 # firewalls", with("tls_listening_port", "444"), "# From line 3. tls_listening_port = 444", ""},
		{"the web's port", both + "tls-listening-port=443", with("tls_listening_port", "0"), "# From line 3. Port 443, which serves TURN over TLS beside the page: see [tls] listen. tls_listening_port = 0", ""},
		{"the last port", both + "tls-listening-port=1\ntls-listening-port=444", with("tls_listening_port", "444"), "line 3: tls-listening-port: line 4 replaces it", ""},
		{"the last certificate", "cert=/etc/old.pem\n" + both, with(), "line 1: cert: line 2 replaces it", ""},
		{"one address", both + "listening-ip=192.0.2.1", with("listening_ip", "[192.0.2.1]", "listen", "192.0.2.1:443"), "HTTPS", ""},
		{"one IPv6 address", both + "listening-ip=::1", with("listening_ip", "[::1]", "listen", "[::1]:443"), "HTTPS", ""},
		{"two addresses", both + "listening-ip=192.0.2.1\nlistening-ip=::1", with("listening_ip", "[192.0.2.1 ::1]"), "HTTPS", ""},
		{"no port", both + "tls-listening-port=tls", with(), "# tls_listening_port = tls", "line 3: tls_listening_port is left out: "},
		{"a high port", both + "tls-listening-port=65536", with(), "# tls_listening_port = 65536", "line 3: tls_listening_port is left out: "},
		{"plain TCP on the same port", both + "listening-port=5349", with("listening_port", "5349", "tcp", "false"), "# TLS has TCP port 5349", "cannot share port 5349"},
		{"UDP on the same port", both + "listening-port=5349\nno-tcp", with("listening_port", "5349", "tcp", "false"), "# From line 4. tcp = false", ""},
		{"plain TCP on the web's port", both + "listening-port=443", with("listening_port", "443", "listen", ":8443"), "which plain TURN has here", ""},
		{"TLS on the page's port", both + "tls-listening-port=8080", with("tls_listening_port", "8080", "listen", ":8081"), "# Port 8080, where Duet has its page", ""},
		{"TURN on the page's port", "listening-port=8080", map[string]string{"listening_port": "8080", "listen": ":8081"}, "# Port 8080, where Duet has its page", ""},
		{"UDP on the page's port", "listening-port=8080\nno-tcp", map[string]string{"listening_port": "8080", "tcp": "false"}, "", ""},
		{"relative", "cert=a.pem\npkey=/etc/b.pem", with("cert", "a.pem"), "# From line 1. coturn looked for it in its working directory", ""},
		{"template", "cert=${CERT}\npkey=/etc/b.pem", with("cert", "${CERT}"), "HTTPS", "line 1: cert: looks like a template"},
		{"no TLS", both + "no-tls", map[string]string{}, "line 1: cert=/etc/a.pem: line 3 switches TLS off", ""},
		{"no TLS, switched off", both + "no-tls=0", with(), "line 3: no-tls=0: is switched off", ""},
		{"cert alone", "cert=/etc/a.pem", map[string]string{}, "# cert = /etc/a.pem", "line 1: cert is left out: cert without key: TLS needs both"},
		{"key alone", "pkey=/etc/b.pem", map[string]string{}, "# key = /etc/b.pem", "line 1: key is left out: key without cert: TLS needs both"},
		{"port alone", "tls-listening-port=444", map[string]string{"tls_listening_port": "444"}, "", ""},
		{"encrypted key", both + "pkey-pwd=tell-nobody", map[string]string{}, "line 1: cert=/etc/a.pem: is of an encrypted key (line 3)", "line 3: cert and pkey are left out, because Duet reads no encrypted key; decrypt it"},
		{"bytes that are no text", "cert=\xff\npkey=/etc/b.pem", map[string]string{}, "", "not valid UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, plain := importText(t, lines("static-auth-secret=hold-on-to-this-secret", "no-tcp=0"))
			imported, c := importText(t, tt.text+"\n"+strings.Replace(lines("static-auth-secret=hold-on-to-this-secret"), "no-tcp\n", "", 1))
			got, usual := show(c), show(plain)
			delete(usual, "tcp") // lines has no-tcp, here it is left out
			maps.DeleteFunc(got, func(key, value string) bool { return usual[key] == value })
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
			if !strings.Contains(unwrapped(imported.TOML), unwrapped(tt.comment)) {
				t.Errorf("%q is not in\n%s", tt.comment, imported.TOML)
			}
			told := slices.ContainsFunc(imported.Warnings, func(w string) bool { return tt.warning != "" && says(w, tt.warning) })
			if told != (tt.warning != "") || !told && len(imported.Warnings) > 0 {
				t.Errorf("got %q, want %q", imported.Warnings, tt.warning)
			}
			if strings.Contains(imported.TOML, "tell-nobody") {
				t.Errorf("the password of the key is in\n%s", imported.TOML)
			}
		})
	}
}

// unwrapped undoes how comments are broken into lines.
func unwrapped(text string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(text), func(word string) bool { return word == "#" }), " ")
}

func TestWhatTLSDoesWithoutAKeyIsTold(t *testing.T) {
	for heading, settings := range map[string][]string{
		"# Holds without a key, because Duet always does so:": {
			"no-tls: there is no TLS without", "no-sslv2: Duet speaks TLS 1.2", "no-sslv3: Duet speaks", "no-tlsv1: Duet speaks", "no-tlsv1_1: Duet speaks",
		},
		"# Has no counterpart in Duet:": {
			"cipher-list=HIGH: Duet speaks", "dh-file=dh.pem: Duet speaks", "dh566: Duet speaks", "dh1066: Duet speaks", "dh2066: Duet speaks",
			"ec-curve-name=prime256v1: Duet speaks", "CA-file=ca.pem: Duet asks clients for no certificate", "raw-public-keys: browsers",
			"acme-redirect=http://192.0.2.1/: Duet redirects no", "pkey-pwd: Duet reads no encrypted key", "respond-http-unsupported: the TURN ports",
			"no-tlsv1_2: TLS 1.2 stays on", "tcp-proxy-port=5555: there is no port for it",
		},
	} {
		for _, want := range settings {
			setting, _, _ := strings.Cut(want, ": ")
			if setting == "pkey-pwd" {
				setting += "=tell-nobody"
			}
			imported, _ := importText(t, setting+"\nverbose")
			_, section, _ := strings.Cut(imported.TOML, heading+"\n")
			section, _, _ = strings.Cut(section, "\n\n")
			if !strings.HasPrefix(section, "#   line 1: "+want) {
				t.Errorf("%s: got\n%s\nwant, below %q, %q", setting, imported.TOML, heading, want)
			}
		}
	}
}
