package config

import "testing"

func TestMistakesAboutTLSAreToldWithPlaceAndCure(t *testing.T) {
	const pair = "[tls]\ncert = 'a'\nkey = 'b'\n"
	for _, tt := range []struct{ name, text, want string }{
		{
			"files and ACME", pair + "acme_domains = ['call.example.org']",
			`turnserver.toml:4:16: tls.acme_domains: stands beside cert or key, but a certificate comes from one of them; keep the files or the domains`,
		},
		{
			"a wildcard", "[tls]\nacme_domains = ['*.example.org']",
			`turnserver.toml:2:17: tls.acme_domains[0]: "*.example.org" is not a name such as "call.example.org"; a wildcard needs a challenge by DNS, which Duet cannot answer: list each name, or give cert and key`,
		},
		{
			"an address", "[tls]\nacme_domains = ['192.0.2.1']",
			`turnserver.toml:2:17: tls.acme_domains[0]: "192.0.2.1" is not a name such as "call.example.org"; an address gets no certificate here, a name does`,
		},
		{
			"a name beyond ASCII", "[tls]\nacme_domains = ['büro.example.org']",
			`turnserver.toml:2:17: tls.acme_domains[0]: "büro.example.org" is not a name such as "call.example.org"; write it as DNS has it, "xn--…"`,
		},
		{
			"capitals", "[tls]\nacme_domains = ['Call.example.org']",
			`turnserver.toml:2:17: tls.acme_domains[0]: "Call.example.org" is not a name such as "call.example.org"; did you mean "call.example.org"?`,
		},
		{
			"no dot", "[tls]\nacme_domains = ['localhost']",
			`turnserver.toml:2:17: tls.acme_domains[0]: "localhost" is not a name such as "call.example.org"; a name that the whole world knows has a dot`,
		},
		{
			"a path", "[tls]\nacme_domains = ['../../etc.example']",
			`turnserver.toml:2:17: tls.acme_domains[0]: "../../etc.example" is not a name such as "call.example.org"`,
		},
		{
			"a name twice", "[tls]\nacme_domains = ['a.example', 'a.example']",
			`turnserver.toml:2:30: tls.acme_domains[1]: "a.example" is listed twice`,
		},
		{
			"no email", "[tls]\nacme_domains = ['a.example']\nacme_email = 'ann'",
			`turnserver.toml:3:14: tls.acme_email: "ann" is not an address such as "ann@example.org"`,
		},
		{
			"a directory without TLS", "[tls]\nacme_directory = 'http://ca.example/'",
			`turnserver.toml:2:18: tls.acme_directory: is not an https URL; Let's Encrypt's is "https://acme-v02.api.letsencrypt.org/directory"`,
		},
		{
			"page and TLS", pair + "listen = ':8080'",
			`turnserver.toml:4:10: tls.listen: http.listen (:8080) and tls.listen (:8080) cannot share a TCP port; give one of them another`,
		},
		{
			"page on the port of TLS, by default", "[http]\nlisten = '127.0.0.1:443'\n" + pair,
			`turnserver.toml:2:10: http.listen: http.listen (127.0.0.1:443) and tls.listen (:443) cannot share a TCP port; give one of them another`,
		},
		{
			"TURN over TCP and over TLS", pair + "[turn]\ntls_listening_port = 3478",
			`turnserver.toml:5:22: turn.tls_listening_port: turn.listening_port (:3478) and turn.tls_listening_port (:3478) cannot share a TCP port; give one of them another`,
		},
		{
			"TURN and the page", "[turn]\nlistening_port = 8080\nlistening_ip = ['192.0.2.1', '192.0.2.2']",
			`turnserver.toml:2:18: turn.listening_port: http.listen (:8080) and turn.listening_port (192.0.2.1:8080) cannot share a TCP port; give one of them another`,
		},
		{
			"a TLS port below any", "[turn]\ntls_listening_port = -1",
			`turnserver.toml:2:22: turn.tls_listening_port: -1 is out of range, must be 0 to 65535`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := loadText(tt.text, nil, nil); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestPortsThatDoNotMeetAreAllowed(t *testing.T) {
	const pair = "[tls]\ncert = 'a'\nkey = 'b'\n"
	for name, text := range map[string]string{
		"without TLS there is no TLS port": "[tls]\nlisten = ':8080'\n[turn]\ntls_listening_port = 3478",
		"TURN over UDP alone":              pair + "[turn]\ntcp = false\ntls_listening_port = 3478",
		"no relay":                         pair + "[turn]\nenabled = false\ntls_listening_port = 8080",
		"no TLS port of TURN's own":        pair + "[turn]\ntls_listening_port = 0",
		"another address":                  pair + "listen = '192.0.2.1:8080'\n[http]\nlisten = '192.0.2.2:8080'",
		"any free ports":                   pair + "listen = '127.0.0.1:0'\n[http]\nlisten = '127.0.0.1:0'",
		"names":                            "[tls]\nacme_domains = ['a.example', 'xn--bro-hoa.b-c.example']\nacme_email = 'ann+duet@example.org'",
		"another CA":                       "[tls]\nacme_domains = ['a.example']\nacme_directory = 'https://127.0.0.1:14000/dir'",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadText(text, nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
