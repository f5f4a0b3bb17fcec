package config

import (
	"bytes"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestExampleIsTheDefault(t *testing.T) {
	c, err := loadText(example, nil, nil)
	if err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("got %+v, %v\nwant %+v", c, err, Default())
	}
}

func TestExampleIsTheFileAtTheRoot(t *testing.T) {
	root, err := os.ReadFile("../turnserver.toml")
	if err != nil || string(root) != example {
		t.Errorf("turnserver.toml and config/example.toml differ (%v): cp config/example.toml turnserver.toml", err)
	}
}

func TestExampleHasEveryKeyWithAComment(t *testing.T) {
	c := Default()
	for _, e := range newSchema(&c).entries {
		line := `\n` + e.name + ` = `
		if e.inFile {
			line = `\n# ` + e.name + ` = `
		}
		section := regexp.MustCompile(`(?s)\n\[` + regexp.QuoteMeta(e.section) + `\]\n.*?(\n\n|\z)`).FindString(example)
		if !regexp.MustCompile(line).MatchString(section) {
			t.Errorf("%s is not in its section of config/example.toml", e.key())
		}
		if e.key() != "turn.max_port" && !regexp.MustCompile(`\n# [^\n]*`+line).MatchString(section) {
			t.Errorf("%s has no comment above it in config/example.toml", e.key())
		}
	}
}

// long is a secret that may sign, standIn what stands for secrets that were written.
const (
	long    = hidden + "-and-as-long-as-a-key-must-be"
	standIn = "stand-in-that-is-as-long-as-a-key-must-be"
)

// full and withACME are configurations that together differ from Default in every key.
func full() Config {
	addr := netip.MustParseAddr
	return Config{
		HTTP: HTTP{
			Listen: "[::1]:80", PublicURL: "https://call.example.org", AllowedOrigins: []string{"*", "https://a.example"},
			FrameAncestors: []string{"https://a.example"},
			TrustedProxies: []Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		},
		Signaling: Signaling{
			Capacity: 6, Grace: Duration(90 * time.Second), MaxRooms: 1, MaxMembers: 6,
			MessageRate: 1, MessageBurst: 2, ByteRate: 1 << 16, ConnectRate: 3, SocketsPerAddress: 4, FailedKeys: 5,
			Auth: Auth{
				Required: true, TokenSecret: long, TokenSecretPrevious: long, JWKSFile: "/etc/duet/keys.json",
				Issuer: "app \"é\"", Audience: "duet", WebhookURL: "https://app.example.org/join?x=1", WebhookSecret: long,
			},
		},
		Webhooks: Webhooks{URL: "http://127.0.0.1:8000/", Secret: long, Events: []string{"room.opened", "member.left"}},
		Turn: Turn{
			Realm:          "a \"b\" \\ é",
			ListeningIP:    []netip.Addr{addr("10.0.0.1"), addr("::1")},
			ListeningPort:  443,
			AltListeningIP: []netip.Addr{addr("10.0.0.9")}, AltListeningPort: 446,
			RelayIP: []netip.Addr{addr("10.0.0.1")},
			ExternalIP: ExternalIPs{Pairs: []ExternalIP{
				{Public: addr("192.0.2.1"), Private: addr("10.0.0.1")},
				{Public: addr("2001:db8::1")},
				{Name: "turn.example.org", Private: addr("10.0.0.2")},
				{Public: addr("192.0.2.9"), Private: addr("10.0.0.9")},
			}},
			STUNServers: []STUNServer{{"stun.example.org", 3478}, {"2001:db8::2", 19302}},
			MinPort:     1000, MaxPort: 2000,
			TLSListeningPort: 444, DTLS: true,
			Users:            map[string]Secret{"ann": hidden, "b \"é\" \u200b.": hidden},
			StaticAuthSecret: hidden, StaticAuthSecretPrevious: hidden,
			CredentialTTL: Duration(time.Hour + time.Millisecond), UserQuota: 1, TotalQuota: 2, MaxBytesPerSecond: 3, TotalBytesPerSecond: 4,
			StaleNonce: Duration(time.Minute), MaxAllocateLifetime: Duration(20 * time.Minute), MaxPermissions: 1, MaxChannels: 2,
			ErrorRate: 3, BindingRate: 4, TCPRelay: true, Software: "s \"é\"",
			AlternateServer: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:3478"), netip.MustParseAddrPort("[2001:db8::7]:1")},
			DrainTimeout:    Duration(time.Minute),
			DeniedPeerIP:    []IPRange{{addr("10.0.0.1"), addr("10.0.0.9")}, {addr("10.0.0.0"), addr("10.255.255.255")}},
			AllowedPeerIP:   []IPRange{{addr("::"), addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}, {addr("::1"), addr("::1")}},
		},
		TLS: TLS{
			Listen: "192.0.2.1:8443", Cert: "/etc/duet/cert.pem", Key: "/etc/duet/key.pem",
			ACMEEmail: "ann@example.org", ACMEDirectory: "https://ca.example/directory", ACMECache: "/var/lib/duet",
		},
		Cluster: Cluster{
			NATSURL: "nats://10.0.0.1:4222,tls://nats.example.org", Secret: Secret(strings.Repeat("s", 32)),
			NATSUser: "duet", NATSPassword: hidden, NATSCA: "/etc/duet/ca.pem", Replicas: 5, Bucket: "calls",
		},
		API:     API{Keys: map[string]Secret{"app": long, "other-app.2": long + "!"}},
		Admin:   Admin{Listen: "192.0.2.1:9000", Token: long},
		Metrics: Metrics{Listen: ""},
		Log:     Log{Level: "debug", Format: "json"},
		Process: Process{PIDFile: "/run/duet/duet.pid"},
	}
}

func withACME() Config {
	c := full()
	c.TLS.Cert, c.TLS.Key = "", ""
	c.Cluster.NATSUser, c.Cluster.NATSPassword, c.Cluster.NATSCredentials = "", "", "/etc/duet/nats.creds"
	c.TLS.ACMEDomains = []string{"call.example.org", "turn.example.org"}
	return c
}

func TestWriteReadsBackAsTheSameConfiguration(t *testing.T) {
	none := Default()
	none.Turn.ExternalIP = ExternalIPs{}
	for name, c := range map[string]Config{"default": Default(), "full": full(), "ACME": withACME(), "no external_ip": none} {
		t.Run(name, func(t *testing.T) { checkRoundTrip(t, c) })
	}
	fields, others, defaults := newSchema(new(full())), newSchema(new(withACME())), newSchema(new(Default()))
	for i, e := range fields.entries {
		initial := defaults.entries[i].target.Interface()
		if reflect.DeepEqual(e.target.Interface(), initial) && reflect.DeepEqual(others.entries[i].target.Interface(), initial) {
			t.Errorf("%s of full is the default: the test proves nothing for it", e.key())
		}
	}
}

// checkRoundTrip writes c and loads what was written, with stand-ins for the secrets.
func checkRoundTrip(t *testing.T, c Config) {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, c); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(out.String(), redacted, standIn)
	got, err := loadText(text, nil, nil)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	if want := withStandIns(c); !reflect.DeepEqual(withStandIns(got), want) {
		t.Errorf("got\n%+v\nwant\n%+v\nfrom\n%s", got, want, text)
	}
}

func withStandIns(c Config) Config {
	for _, secrets := range []*map[string]Secret{&c.Turn.Users, &c.API.Keys} {
		*secrets = maps.Clone(*secrets)
		for name := range *secrets {
			(*secrets)[name] = standIn
		}
	}
	for _, s := range []*Secret{
		&c.Turn.StaticAuthSecret, &c.Turn.StaticAuthSecretPrevious, &c.Webhooks.Secret,
		&c.Signaling.Auth.TokenSecret, &c.Signaling.Auth.TokenSecretPrevious, &c.Signaling.Auth.WebhookSecret,
		&c.Cluster.Secret, &c.Cluster.NATSPassword, &c.Admin.Token,
	} {
		if *s != "" {
			*s = standIn
		}
	}
	return c
}

func TestIPRangeContains(t *testing.T) {
	for _, tt := range []struct {
		text, addr string
		want       bool
	}{
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/8", "::ffff:10.1.1.1", true},
		{"::ffff:10.0.0.0/104", "10.1.1.1", true},
		{"10.0.0.2-10.0.1.1", "10.0.1.1", true},
		{"10.0.0.2-10.0.1.1", "10.0.1.2", false},
		{"::/0", "10.0.0.1", false},
		{"::/0", "ffff::", true},
		{"fd00::1", "fd00::1", true},
	} {
		r, _, ok := parseRange(tt.text)
		if !ok || r.Contains(netip.MustParseAddr(tt.addr)) != tt.want {
			t.Errorf("%s contains %s: %t, want %t", tt.text, tt.addr, !tt.want, tt.want)
		}
	}
}
