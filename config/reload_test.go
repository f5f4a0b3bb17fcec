package config

import (
	"reflect"
	"slices"
	"testing"
)

func TestEveryChangeIsNamedAndCanBeTakenOver(t *testing.T) {
	if keys := Changed(full(), full()); keys != nil {
		t.Errorf("nothing differs, yet %q", keys)
	}
	every := full()
	every.Cluster.NATSCredentials = "/etc/duet/nats.creds"
	every.TLS.ACMEDomains = withACME().TLS.ACMEDomains // beside cert, which only validation minds
	keys := Keys()
	if changed := Changed(Default(), every); !slices.Equal(changed, keys) || !slices.Contains(keys, "turn.users") {
		t.Errorf("every differs in every key: %q\nnamed: %q", keys, changed)
	}
	for _, key := range keys {
		mixed := Default().With(every, []string{key})
		if changed := Changed(Default(), mixed); !slices.Equal(changed, []string{key}) {
			t.Errorf("taking %s over changed %q", key, changed)
		}
	}
	if !reflect.DeepEqual(Default().With(every, keys), every) {
		t.Error("all keys together are not the whole")
	}
}

func TestAlternateServersAreAddresses(t *testing.T) {
	for text, hint := range map[string]string{
		"turn.example.org:3478": "",
		"192.0.2.7":             `did you mean "192.0.2.7:3478"?`,
		"2001:db8::7":           `did you mean "[2001:db8::7]:3478"?`,
		"[fe80::1%eth0]:1":      "",
	} {
		if _, got, ok := parseAddrPort(text); ok || got != hint {
			t.Errorf("%s: %t, %q, want %q", text, ok, got, hint)
		}
	}
	c := Default()
	for _, text := range []string{"0.0.0.0:1", "224.0.0.1:1", "192.0.2.7:0"} {
		server, _, ok := parseAddrPort(text)
		c.Turn.AlternateServer = append(c.Turn.AlternateServer[:0], server)
		if err := c.Validate(); !ok || err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}
