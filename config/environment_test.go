package config

import (
	"fmt"
	"testing"
)

func sprint(v any) string { return fmt.Sprint(v) }

func TestEnvironmentBeatsTheFile(t *testing.T) {
	c, err := loadText("[turn]\nrealm = 'file'\nmin_port = 50000\ndenied_peer_ip = ['10.0.0.1']", []string{
		"PATH=/bin",
		"DUET_HTTP_LISTEN=127.0.0.1:80",
		"DUET_HTTP_TRUSTED_PROXIES=10.0.0.1, 192.168.0.0/16",
		"DUET_SIGNALING_GRACE=10s",
		"DUET_TURN_ENABLED=false",
		"DUET_TURN_REALM=environment",
		"DUET_TURN_MAX_PORT=60000",
		"DUET_TURN_EXTERNAL_IP=192.0.2.1/10.0.0.1,2001:db8::1",
		"DUET_TURN_DENIED_PEER_IP=",
		"DUET_TURN_USERS=ann=p=1, bob=p2",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  string
		got  any
		want string
	}{
		{"listen", c.HTTP.Listen, "127.0.0.1:80"},
		{"a list", c.HTTP.TrustedProxies, "[10.0.0.1/32 192.168.0.0/16]"},
		{"grace", c.Signaling.Grace, "10s"},
		{"enabled", c.Turn.Enabled, "false"},
		{"realm", c.Turn.Realm, "environment"},
		{"min_port, from the file", c.Turn.MinPort, "50000"},
		{"max_port", c.Turn.MaxPort, "60000"},
		{"external_ip", c.Turn.ExternalIP, "192.0.2.1/10.0.0.1, 2001:db8::1"},
		{"an empty variable", c.Turn.DeniedPeerIP, "[10.0.0.1]"},
		{"ann", c.Turn.Users["ann"].Reveal(), "p=1"},
		{"bob", c.Turn.Users["bob"].Reveal(), "p2"},
	} {
		if got := sprint(tt.got); got != tt.want {
			t.Errorf("%s is %s, want %s", tt.key, got, tt.want)
		}
	}
}

func TestMistakesInTheEnvironmentNameTheVariable(t *testing.T) {
	for _, tt := range []struct{ name, variable, want string }{
		{"mistyped", "DUET_TURN_RELAM=x", `DUET_TURN_RELAM: unknown variable; did you mean "DUET_TURN_REALM"?`},
		{"no section", "DUET_REALM=x", `DUET_REALM: unknown variable; did you mean "DUET_TURN_REALM"?`},
		{"wrong section", "DUET_HTTP_REALM=x", `DUET_HTTP_REALM: unknown variable; did you mean "DUET_TURN_REALM"?`},
		{"nothing near", "DUET_COLOUR=x", `DUET_COLOUR: unknown variable`},
		{"control characters", "DUET_\x1b[31m=x", `DUET_\x1b[31m: unknown variable`},
		{"number", "DUET_TURN_MIN_PORT=abc", `DUET_TURN_MIN_PORT: turn.min_port: the string "abc" is not a whole number`},
		{"boolean", "DUET_TURN_ENABLED=yes", `DUET_TURN_ENABLED: turn.enabled: the string "yes" is not true or false; write true without quotes`},
		{"element", "DUET_TURN_RELAY_IP=10.0.0.1,x", `DUET_TURN_RELAY_IP: turn.relay_ip[1]: "x" is not an IP address`},
		{"range", "DUET_TURN_MAX_PORT=0", `DUET_TURN_MAX_PORT: turn.max_port: 0 is out of range, must be 1 to 65535
DUET_TURN_MAX_PORT: turn.max_port: min_port 49152 is above max_port 0`},
		{"not UTF-8", "DUET_TURN_REALM=\xff", `DUET_TURN_REALM: turn.realm: the value is not valid UTF-8`},
		{"user without a password", "DUET_TURN_USERS=ann", `DUET_TURN_USERS: turn.users.ann: the password is empty`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := loadText("", []string{tt.variable}, nil); err == nil || err.Error() != tt.want {
				t.Errorf("got\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func TestVariablesOfServiceLinksAreNotMistakes(t *testing.T) {
	links := []string{
		"DUET_SERVICE_HOST=10.96.0.7", "DUET_SERVICE_PORT=80", "DUET_SERVICE_PORT_HTTP=80",
		"DUET_PORT=tcp://10.96.0.7:80", "DUET_PORT_80_TCP=tcp://10.96.0.7:80", "DUET_PORT_80_TCP_ADDR=10.96.0.7",
		"DUET_TURN_SERVICE_HOST=10.96.0.8", "DUET_TURN_PORT=udp://10.96.0.8:3478", "DUET_TURN_PORT_3478_UDP_PROTO=udp",
	}
	if _, err := loadText("", links, nil); err != nil {
		t.Error(err)
	}
	if _, err := loadText("", []string{"DUET_TURN_PORT=3478"}, nil); err == nil {
		t.Error("DUET_TURN_PORT=3478 was passed over in silence")
	}
}

func TestEveryKeyHasAVariableOfItsOwn(t *testing.T) {
	c := Default()
	seen := make(map[string]string)
	for _, e := range newSchema(&c).entries {
		if other, twice := seen[e.variable()]; twice {
			t.Errorf("%s is the variable of %s and of %s", e.variable(), other, e.key())
		}
		seen[e.variable()] = e.key()
	}
}
