package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loadText loads a text as turnserver.toml, with secret files from a map.
func loadText(text string, environ []string, files map[string]string) (Config, error) {
	return load("turnserver.toml", text, environ, func(path string, limit int) ([]byte, error) {
		content, ok := files[path]
		if !ok {
			return nil, errors.New("no such file or directory")
		}
		return []byte(content), nil
	})
}

func TestEveryMistakeIsToldWithPlaceAndCure(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{
			"unknown key", "[turn]\nenabled = true\n  min_prot = 5000",
			`turnserver.toml:3:3: turn.min_prot: unknown key; did you mean "min_port"?`,
		},
		{
			"certificate without key", "[tls]\ncert = '/etc/duet/cert.pem'",
			`turnserver.toml:2:8: tls.cert: cert without key: TLS needs both`,
		},
		{
			"DTLS without certificate", "[turn]\ndtls = true",
			`turnserver.toml:2:8: turn.dtls: dtls without a certificate; set [tls] cert and key, or acme_domains, or dtls to false`,
		},
		{
			"DTLS without port", "[turn]\ndtls = true\ntls_listening_port = 0\n[tls]\ncert = 'c'\nkey = 'k'",
			`turnserver.toml:2:8: turn.dtls: dtls without a port: tls_listening_port is 0; set it to 5349, or dtls to false`,
		},
		{
			"DTLS on the port of UDP", "[turn]\ndtls = true\ntls_listening_port = 3478\ntcp = false\n[tls]\ncert = 'c'\nkey = 'k'",
			`turnserver.toml:3:22: turn.tls_listening_port: dtls on tls_listening_port 3478, which is listening_port, too; choose another, 5349 is usual`,
		},
		{
			"DTLS among the relay ports", "[turn]\ndtls = true\ntls_listening_port = 50000\n[tls]\ncert = 'c'\nkey = 'k'",
			`turnserver.toml:3:22: turn.tls_listening_port: tls_listening_port 50000 is among the relay ports, 49152 to 65535; choose one outside`,
		},
		{
			"link-local address", "[turn]\nlistening_ip = ['10.0.0.1', 'fe80::1']",
			`turnserver.toml:2:29: turn.listening_ip[1]: "fe80::1" is a link-local address, which holds on one network interface and which clients cannot be told; name another address of the interface`,
		},
		{
			"multicast address", "[turn]\nlistening_ip = ['224.0.0.1']",
			`turnserver.toml:2:17: turn.listening_ip[0]: "224.0.0.1" is not an address of this machine`,
		},
		{
			"alternate address without a port", "[turn]\nlistening_ip = ['10.0.0.1']\nalt_listening_ip = ['10.0.0.2']",
			`turnserver.toml:3:20: turn.alt_listening_ip: alt_listening_ip without a second port: alt_listening_port is 0; set it, 3479 is usual, or leave alt_listening_ip out`,
		},
		{
			"alternate address without an address", "[turn]\nalt_listening_port = 3479\nalt_listening_ip = ['10.0.0.2']",
			`turnserver.toml:3:20: turn.alt_listening_ip: alt_listening_ip without listening_ip; name the addresses in listening_ip that these are the partners of`,
		},
		{
			"alternate address beside all", "[turn]\nalt_listening_port = 3479\nlistening_ip = ['0.0.0.0']\nalt_listening_ip = ['10.0.0.2']",
			`turnserver.toml:4:20: turn.alt_listening_ip: alt_listening_ip beside a listening_ip that is every address of a family; name single addresses in listening_ip`,
		},
		{
			"alternate address that listens", "[turn]\nalt_listening_port = 3479\nlistening_ip = ['10.0.0.1', '10.0.0.3']\nalt_listening_ip = ['10.0.0.2', '10.0.0.3']",
			`turnserver.toml:4:33: turn.alt_listening_ip[1]: "10.0.0.3" is in listening_ip, too; a partner must be another address`,
		},
		{
			"alternate address of another family", "[turn]\nalt_listening_port = 3479\nlistening_ip = ['10.0.0.1']\nalt_listening_ip = ['::1']",
			`turnserver.toml:4:21: turn.alt_listening_ip[0]: "::1" has no partner: listening_ip names fewer IPv6 addresses; each is the partner of one, in the same order`,
		},
		{
			"alternate address that is none", "[turn]\nalt_listening_port = 3479\nlistening_ip = ['10.0.0.1']\nalt_listening_ip = ['0.0.0.0']",
			`turnserver.toml:4:21: turn.alt_listening_ip[0]: "0.0.0.0" is not an address of this machine`,
		},
		{
			"alternate port that is the port", "[turn]\nalt_listening_port = 3478",
			`turnserver.toml:2:22: turn.alt_listening_port: alt_listening_port 3478 is listening_port, too; choose another`,
		},
		{
			"alternate port out of range", "[turn]\nalt_listening_port = -1",
			`turnserver.toml:2:22: turn.alt_listening_port: -1 is out of range, must be 0 to 65535`,
		},
		{
			"alternate port among the relay ports", "[turn]\nalt_listening_port = 50000",
			`turnserver.toml:2:22: turn.alt_listening_port: alt_listening_port 50000 is among the relay ports, 49152 to 65535; choose one outside`,
		},
		{
			"alternate port of DTLS", "[turn]\ndtls = true\nalt_listening_port = 5349\n[tls]\ncert = 'c'\nkey = 'k'",
			`turnserver.toml:3:22: turn.alt_listening_port: alt_listening_port 5349 is tls_listening_port, too, where dtls listens; choose another`,
		},
		{
			"one public address for both partners", "[turn]\nalt_listening_port = 3479\nlistening_ip = ['10.0.0.1']\nalt_listening_ip = ['10.0.0.2']\nexternal_ip = '192.0.2.1'",
			`turnserver.toml:4:21: turn.alt_listening_ip[0]: "10.0.0.2" has the same external_ip as its partner, "192.0.2.1"; write "public/private" for each, one of them "public/10.0.0.2"`,
		},
		{
			"no public address for the partner", "[turn]\nalt_listening_port = 3479\nlistening_ip = ['10.0.0.1']\nalt_listening_ip = ['10.0.0.2']\nexternal_ip = '192.0.2.1/10.0.0.1'",
			`turnserver.toml:4:21: turn.alt_listening_ip[0]: external_ip does not say what the world sees in place of "10.0.0.2"; add "public/10.0.0.2"`,
		},
		{
			"a name for the partner", "[turn]\nalt_listening_port = 3479\nlistening_ip = ['10.0.0.1']\nalt_listening_ip = ['10.0.0.2']\nexternal_ip = ['192.0.2.1/10.0.0.1', 'dns:a.example/10.0.0.2']",
			`turnserver.toml:4:21: turn.alt_listening_ip[0]: "dns:a.example/10.0.0.2": names are not looked up for alt_listening_ip; write "public/10.0.0.2"`,
		},
		{
			"key without certificate", "[tls]\nkey = '/etc/duet/key.pem'",
			`turnserver.toml:2:7: tls.key: key without cert: TLS needs both`,
		},
		{
			"TLS on no port", "[tls]\ncert = 'a'\nkey = 'b'\nlisten = '443'",
			`turnserver.toml:4:10: tls.listen: "443" is not an address to listen on, "host:port" or ":port"; did you mean ":443"?`,
		},
		{
			"unknown key, nothing near", "[turn]\nzzz = 1",
			`turnserver.toml:2:1: turn.zzz: unknown key`,
		},
		{
			"key as coturn writes it", "[turn]\nmin-port = 1",
			`turnserver.toml:2:1: turn.min-port: unknown key; did you mean "min_port"?`,
		},
		{
			"key in another letter case", "[turn]\nRealm = 'x'",
			`turnserver.toml:2:1: turn.Realm: unknown key; did you mean "realm"?`,
		},
		{
			"key in the wrong section", "[http]\nrealm = 'x'",
			`turnserver.toml:2:1: http.realm: unknown key; belongs in [turn]`,
		},
		{
			"key outside any section", "realm = 'x'",
			`turnserver.toml:1:1: realm: unknown key; belongs in [turn]`,
		},
		{
			"mistyped key outside any section", "relam = 'x'",
			`turnserver.toml:1:1: relam: unknown key; did you mean "realm" in [turn]?`,
		},
		{
			"unknown section", "[http]\n\n[trun]\nrealm = 'x'",
			`turnserver.toml:3:2: trun: unknown section; did you mean "turn"?`,
		},
		{
			"section inside a section", "[turn.http]\nlisten = ':1'",
			`turnserver.toml:1:7: turn.http: unknown section`,
		},
		{
			"section that is a value", "turn = 5",
			`turnserver.toml:1:8: turn: the number 5 is not a table; write [turn] once, and its keys below it`,
		},
		{
			"section that is a list", "[[turn]]\n[[turn]]",
			`turnserver.toml:1:3: turn: a list is not a table; write [turn] once, and its keys below it`,
		},
		{
			"string for a number", "[turn]\nmin_port = \"49152\"",
			`turnserver.toml:2:12: turn.min_port: the string "49152" is not a whole number; write 49152 without quotes`,
		},
		{
			"fraction for a number", "[turn]\nmin_port = 1.5",
			`turnserver.toml:2:12: turn.min_port: the number 1.5 is not a whole number`,
		},
		{
			"string for a boolean", "turn.enabled = 'yes'",
			`turnserver.toml:1:16: turn.enabled: the string "yes" is not true or false; write true without quotes`,
		},
		{
			"number for a string", "[turn]\nrealm = 5",
			`turnserver.toml:2:9: turn.realm: the number 5 is not a string; write "5"`,
		},
		{
			"string for a list", "[http]\nallowed_origins = 'https://a'",
			`turnserver.toml:2:19: http.allowed_origins: the string "https://a" is not a list; write ["https://a"]`,
		},
		{
			"number in a list of strings", "[http]\nallowed_origins = [\n  # ours\n  'https://a', 7,\n]",
			`turnserver.toml:4:16: http.allowed_origins[1]: the number 7 is not a string; write "7"`,
		},
		{
			"list for users", "[turn]\nusers = ['ann']",
			`turnserver.toml:2:9: turn.users: a list is not a table of names and passwords`,
		},
		{
			"date for a string", "[log]\nlevel = 2020-01-02",
			`turnserver.toml:2:9: log.level: a date is not a string`,
		},
		{
			"number for a duration", "[signaling]\ngrace = 45",
			`turnserver.toml:2:9: signaling.grace: the number 45 is not a duration such as "45s" or "12h"; did you mean "45s"?`,
		},
		{
			"duration without a unit", "[signaling]\ngrace = '45'",
			`turnserver.toml:2:9: signaling.grace: "45" is not a duration such as "45s" or "12h"; did you mean "45s"?`,
		},
		{
			"duration in days", "[turn]\ncredential_ttl = '2d'",
			`turnserver.toml:2:18: turn.credential_ttl: "2d" is not a duration such as "45s" or "12h"; did you mean "48h"?`,
		},
		{
			"duration in unknown units", "[signaling]\ngrace = '1 fortnight'",
			`turnserver.toml:2:9: signaling.grace: "1 fortnight" is not a duration such as "45s" or "12h"; the units are h, m, s and ms`,
		},
		{
			"negative duration", "[signaling]\ngrace = '-1s'",
			`turnserver.toml:2:9: signaling.grace: "-1s" is too short, must be at least "0s"`,
		},
		{
			"credentials that never hold", "[turn]\ncredential_ttl = '0s'",
			`turnserver.toml:2:18: turn.credential_ttl: "0s" is too short, must be at least "1s"`,
		},
		{
			"port out of range", "[turn]\nlistening_port = 70000",
			`turnserver.toml:2:18: turn.listening_port: 70000 is out of range, must be 1 to 65535`,
		},
		{
			"min above max", "[turn]\nmax_port = 60000\nmin_port = 60001",
			`turnserver.toml:3:12: turn.min_port: min_port 60001 is above max_port 60000`,
		},
		{
			"max below the default of min", "[turn]\nmax_port = 4000",
			`turnserver.toml:2:12: turn.max_port: min_port 49152 is above max_port 4000`,
		},
		{
			"listening port among the relay ports", "[turn]\nmin_port = 3000",
			`turnserver.toml:2:12: turn.min_port: listening_port 3478 is among the relay ports, 3000 to 65535; choose one outside`,
		},
		{
			"TCP relays that nobody can ask for", "[turn]\ntcp = false\ntcp_relay = true",
			`turnserver.toml:3:13: turn.tcp_relay: tcp_relay is on, but serves clients that come over TCP or TLS only; set tcp = true, or cert and key in [tls]`,
		},
		{
			"room too big", "[signaling]\ncapacity = 7",
			`turnserver.toml:2:12: signaling.capacity: 7 is out of range, must be 2 to 6`,
		},
		{
			"no rooms", "[signaling]\nmax_rooms = 0",
			`turnserver.toml:2:13: signaling.max_rooms: 0 is out of range, must be at least 1`,
		},
		{
			"no members", "[signaling]\nmax_members = 1",
			`turnserver.toml:2:15: signaling.max_members: 1 is out of range, must be at least 2`,
		},
		{
			"a byte rate that no message fits in", "[signaling]\nbyte_rate = 65535",
			`turnserver.toml:2:13: signaling.byte_rate: 65535 is out of range, must be at least 65536`,
		},
		{
			"a burst that fills a queue", "[signaling]\nmessage_burst = 257",
			`turnserver.toml:2:17: signaling.message_burst: 257 is out of range, must be 1 to 256`,
		},
		{
			"negative number of sockets", "[signaling]\nsockets_per_address = -1",
			`turnserver.toml:2:23: signaling.sockets_per_address: -1 is out of range, must be at least 0`,
		},
		{
			"negative quota", "[turn]\nuser_quota = -1",
			`turnserver.toml:2:14: turn.user_quota: -1 is out of range, must be at least 0`,
		},
		{
			"negative rate", "[turn]\nmax_bps = -1",
			`turnserver.toml:2:11: turn.max_bps: -1 is out of range, must be at least 0`,
		},
		{
			"negative capacity", "[turn]\nbps_capacity = -1",
			`turnserver.toml:2:16: turn.bps_capacity: -1 is out of range, must be at least 0`,
		},
		{
			"address", "[turn]\nlistening_ip = ['10.0.0.1', 'eth0']",
			`turnserver.toml:2:29: turn.listening_ip[1]: "eth0" is not an IP address`,
		},
		{
			"address twice", "[turn]\nlistening_ip = ['10.0.0.1', '::ffff:10.0.0.1']",
			`turnserver.toml:2:29: turn.listening_ip[1]: "10.0.0.1" is listed twice`,
		},
		{
			"address with a zone", "[turn]\nrelay_ip = ['fe80::1%eth0']",
			`turnserver.toml:2:13: turn.relay_ip[0]: "fe80::1%eth0" is not an IP address; clients cannot be told a zone: name an address without one, not a link-local one`,
		},
		{
			"two relay addresses of a family", "[turn]\nrelay_ip = ['10.0.0.1', '::1', '10.0.0.2']",
			`turnserver.toml:2:32: turn.relay_ip[2]: "10.0.0.2" is one more IPv4 address beside "10.0.0.1"; give at most one of each family`,
		},
		{
			"every address and one of them", "[turn]\nlistening_ip = ['10.0.0.1', '0.0.0.0', '::']",
			`turnserver.toml:2:17: turn.listening_ip[0]: "10.0.0.1" is one of the addresses that "0.0.0.0" stands for; write one or the other`,
		},
		{
			"relay on every address", "[turn]\nrelay_ip = ['0.0.0.0']",
			`turnserver.toml:2:13: turn.relay_ip[0]: "0.0.0.0" is not an address of this machine`,
		},
		{
			"external address", "[turn]\nexternal_ip = 'example.org'",
			`turnserver.toml:2:15: turn.external_ip: "example.org" is not "auto", an IP address, "public/private", "dns:name" or a list of these; did you mean "dns:example.org"?`,
		},
		{
			"auto mistyped", "[turn]\nexternal_ip = 'Auto'",
			`turnserver.toml:2:15: turn.external_ip: "Auto" is not "auto", an IP address, "public/private", "dns:name" or a list of these; did you mean "auto"?`,
		},
		{
			"auto among addresses", "[turn]\nexternal_ip = ['auto', '192.0.2.1']",
			`turnserver.toml:2:15: turn.external_ip: "auto" stands alone, here it is listed with addresses; write "auto" or the addresses`,
		},
		{
			"pair of two families", "[turn]\nexternal_ip = ['192.0.2.1/fd00::1']",
			`turnserver.toml:2:16: turn.external_ip[0]: "192.0.2.1/fd00::1" pairs IPv4 with IPv6; both must be of one family`,
		},
		{
			"two public addresses for one", "[turn]\nexternal_ip = ['192.0.2.1', '2001:db8::1', '192.0.2.2']",
			`turnserver.toml:2:44: turn.external_ip[2]: "192.0.2.2" is a second public address for the same local ones; write "public/private" to say which is which`,
		},
		{
			"external address that is none", "[turn]\nexternal_ip = ['0.0.0.0']",
			`turnserver.toml:2:16: turn.external_ip[0]: "0.0.0.0" cannot be the address of a relay`,
		},
		{
			"number for an external address", "[turn]\nexternal_ip = ['192.0.2.1', 4]",
			`turnserver.toml:2:29: turn.external_ip[1]: the number 4 is not "auto", an IP address, "public/private", "dns:name" or a list of these; write "4"`,
		},
		{
			"external name that is none", "[turn]\nexternal_ip = 'dns:192.0.2.1'",
			`turnserver.toml:2:15: turn.external_ip: "dns:192.0.2.1" is not "auto", an IP address, "public/private", "dns:name" or a list of these`,
		},
		{
			"name beside an address", "[turn]\nexternal_ip = ['dns:example.org', '2001:db8::1']",
			`turnserver.toml:2:35: turn.external_ip[1]: "2001:db8::1" is a second public address for the same local ones; write "public/private" to say which is which`,
		},
		{
			"STUN server of another kind", "[turn]\nstun_servers = ['stuns:stun.example.org:5349']",
			`turnserver.toml:2:17: turn.stun_servers[0]: "stuns:stun.example.org:5349" is not a STUN server, "host:port"`,
		},
		{
			"STUN server on no port", "[turn]\nstun_servers = ['stun:example.org:0']",
			`turnserver.toml:2:17: turn.stun_servers[0]: "stun:example.org:0" is not a STUN server, "host:port"`,
		},
		{
			"STUN server twice", "[turn]\nstun_servers = ['example.org', 'stun:example.org:3478']",
			`turnserver.toml:2:32: turn.stun_servers[1]: "example.org:3478" is listed twice`,
		},
		{
			"prefix too long", "[turn]\ndenied_peer_ip = ['10.0.0.0/33']",
			`turnserver.toml:2:19: turn.denied_peer_ip[0]: "10.0.0.0/33" is not an IP address, a CIDR prefix or "first-last"`,
		},
		{
			"prefix with host bits", "[http]\ntrusted_proxies = ['10.1.2.3/8']",
			`turnserver.toml:2:20: http.trusted_proxies[0]: "10.1.2.3/8" is not an IP address or a CIDR prefix; did you mean "10.0.0.0/8" or "10.1.2.3"?`,
		},
		{
			"range backwards", "[turn]\nallowed_peer_ip = ['10.0.0.9-10.0.0.1']",
			`turnserver.toml:2:20: turn.allowed_peer_ip[0]: "10.0.0.9-10.0.0.1" is not an IP address, a CIDR prefix or "first-last"; did you mean "10.0.0.1-10.0.0.9"?`,
		},
		{
			"range of two families", "[turn]\nallowed_peer_ip = ['10.0.0.9-::1']",
			`turnserver.toml:2:20: turn.allowed_peer_ip[0]: "10.0.0.9-::1" is not an IP address, a CIDR prefix or "first-last"; both ends must be of one family`,
		},
		{
			"range of nonsense", "[turn]\nallowed_peer_ip = ['a-b']",
			`turnserver.toml:2:20: turn.allowed_peer_ip[0]: "a-b" is not an IP address, a CIDR prefix or "first-last"`,
		},
		{
			"log level", "[log]\nlevel = 'warning'",
			`turnserver.toml:2:9: log.level: "warning" is not debug, info, warn or error`,
		},
		{
			"log level mistyped", "[log]\nlevel = 'INFO'",
			`turnserver.toml:2:9: log.level: "INFO" is not debug, info, warn or error; did you mean "info"?`,
		},
		{
			"log format", "[log]\nformat = 'jsn'",
			`turnserver.toml:2:10: log.format: "jsn" is not auto, text or json; did you mean "json"?`,
		},
		{
			"listen without a host", "[http]\nlisten = '8080'",
			`turnserver.toml:2:10: http.listen: "8080" is not an address to listen on, "host:port" or ":port"; did you mean ":8080"?`,
		},
		{
			"listen without a port", "[http]\nlisten = '::1'",
			`turnserver.toml:2:10: http.listen: "::1" is not an address to listen on, "host:port" or ":port"; did you mean "[::1]:8080"?`,
		},
		{
			"listen on a URL", "[http]\nlisten = 'http://localhost:80/'",
			`turnserver.toml:2:10: http.listen: "http://localhost:80/" is not an address to listen on, "host:port" or ":port"; did you mean "localhost:80"?`,
		},
		{
			"listen on a port too high", "[http]\nlisten = ':80800'",
			`turnserver.toml:2:10: http.listen: ":80800" is not an address to listen on, "host:port" or ":port"; the port is a number up to 65535`,
		},
		{
			"public_url with a path", "[http]\npublic_url = 'https://a.example/call'",
			`turnserver.toml:2:14: http.public_url: "https://a.example/call" is not an origin such as "https://call.example.org"; did you mean "https://a.example"?`,
		},
		{
			"public_url without a scheme", "[http]\npublic_url = 'a.example'",
			`turnserver.toml:2:14: http.public_url: "a.example" is not an origin such as "https://call.example.org"; did you mean "https://a.example"?`,
		},
		{
			"public_url of another scheme", "[http]\npublic_url = 'wss://a.example'",
			`turnserver.toml:2:14: http.public_url: "wss://a.example" is not an origin such as "https://call.example.org"`,
		},
		{
			"origin with a slash", "[http]\nallowed_origins = ['*', 'https://a.example/']",
			`turnserver.toml:2:25: http.allowed_origins[1]: "https://a.example/" is not an origin such as "https://call.example.org"; did you mean "https://a.example"?`,
		},
		{
			"origin with a wildcard", "[http]\nallowed_origins = ['https://*.example']",
			`turnserver.toml:2:20: http.allowed_origins[0]: "https://*.example" is not an origin such as "https://call.example.org"`,
		},
		{
			"any site in frames", "[http]\nframe_ancestors = ['*']",
			`turnserver.toml:2:20: http.frame_ancestors[0]: "*" is not an origin such as "https://call.example.org"`,
		},
		{
			"empty realm", "[turn]\nrealm = ''",
			`turnserver.toml:2:9: turn.realm: is empty, must be a name such as "example.org"`,
		},
		{
			"long software", "[turn]\nsoftware = '" + strings.Repeat("s", 128) + "'",
			`turnserver.toml:2:12: turn.software: has more than 127 characters`,
		},
		{
			"an allocation lifetime that the engine has not", "[turn]\nmax_allocate_lifetime = '2h'",
			`turnserver.toml:2:25: turn.max_allocate_lifetime: "2h" is too long, must be at most "1h"`,
		},
		{
			"no permission", "[turn]\nmax_permissions = 0",
			`turnserver.toml:2:19: turn.max_permissions: 0 is out of range, must be 1 to 1024`,
		},
		{
			"long realm", "[turn]\nrealm = '" + strings.Repeat("r", 128) + "'",
			`turnserver.toml:2:9: turn.realm: "` + strings.Repeat("r", 48) + `…" has more than 127 characters`,
		},
		{
			"realm with a control character", "[turn]\nrealm = \"a\\nb\"",
			`turnserver.toml:2:9: turn.realm: "a\nb" holds control characters`,
		},
		{
			"user with a colon", "[turn.users]\n'1:ann' = 'pass'",
			`turnserver.toml:2:11: turn.users."1:ann": a user's name cannot hold ":", which marks a time-limited credential`,
		},
		{
			"user without a name", "[turn]\nusers = { ann = 'a', '' = 'pass' }",
			`turnserver.toml:2:27: turn.users."": the user's name is empty`,
		},
		{
			"user with a long name", "[turn.users]\n" + strings.Repeat("u", 509) + " = 'pass'",
			`turnserver.toml:2:513: turn.users.` + strings.Repeat("u", 37) + `…: the user's name has more than 508 bytes`,
		},
		{
			"user with a control character", "[turn.users]\n\"a\\u0001\" = 'pass'",
			`turnserver.toml:2:13: turn.users."a\u0001": the user's name holds control characters`,
		},
		{
			"user without a password", "[turn.users]\nann = ''",
			`turnserver.toml:2:7: turn.users.ann: the password is empty`,
		},
		{
			"secret that is a number", "[turn]\nstatic_auth_secret = 12345",
			`turnserver.toml:2:22: turn.static_auth_secret: a number is not a string; write it in quotes`,
		},
		{
			"secret from the output of duet config", "[turn]\nstatic_auth_secret = '[redacted]'",
			`turnserver.toml:2:22: turn.static_auth_secret: "[redacted]" only stands for the secret in the output of duet config; write the secret itself`,
		},
		{
			"value of any length", "[log]\nlevel = '" + strings.Repeat("é", 5000) + "'",
			`turnserver.toml:2:9: log.level: "` + strings.Repeat("é", 48) + `…" is not debug, info, warn or error`,
		},
		{
			"byte order mark and CRLF", "\ufeff# comment\r\n[turn]\r\nmin_prot = 1\r\n",
			`turnserver.toml:3:1: turn.min_prot: unknown key; did you mean "min_port"?`,
		},
		{
			"syntax", "[turn]\nenabled = ture\n",
			`turnserver.toml:2:11: turn.enabled: expected value but found "ture" instead`,
		},
		{
			"syntax: end of file", "[turn]\nrealm = 'x",
			`turnserver.toml:2:10: turn.realm: unexpected EOF; expected "'"`,
		},
		{
			"syntax: section twice", "[turn]\n[turn]\n",
			`turnserver.toml:2:2: Key 'turn' has already been defined`,
		},
		{
			"not UTF-8", "[log]\nlevel = '\xff'",
			`turnserver.toml:2:10: not UTF-8; save the file as UTF-8`,
		},
		{
			"UTF-16", "\xff\xfe[\x00l\x00o\x00g\x00]\x00",
			`turnserver.toml:1:1: not UTF-8; save the file as UTF-8`,
		},
		{
			"nested too deeply", "a = " + strings.Repeat("[", 1000),
			`turnserver.toml:1:347: the key is too long or nested too deeply`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := loadText(tt.text, nil, nil)
			if err == nil {
				t.Fatalf("no error, want\n%s", tt.want)
			}
			if got := err.Error(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if !reflect.DeepEqual(c, Config{}) {
				t.Error("a configuration was returned beside the problems")
			}
		})
	}
}

func TestAllMistakesAreToldAtOnceInTheOrderOfTheFile(t *testing.T) {
	_, err := loadText(`
[turn]
min_port = "x"  # so that nothing is said about min_port and max_port together
max_port = 5
relam = "y"
denied_peer_ip = ["bad", "10.0.0.1", "worse"]

[logg]
[http]
listen = "nowhere"
`, []string{"DUET_TURN_RELAM=x", "DUET_LOG_LEVEL=loud"}, nil)
	want := `turnserver.toml:3:12: turn.min_port: the string "x" is not a whole number
turnserver.toml:5:1: turn.relam: unknown key; did you mean "realm"?
turnserver.toml:6:19: turn.denied_peer_ip[0]: "bad" is not an IP address, a CIDR prefix or "first-last"
turnserver.toml:6:38: turn.denied_peer_ip[2]: "worse" is not an IP address, a CIDR prefix or "first-last"
turnserver.toml:8:2: logg: unknown section; did you mean "log"?
turnserver.toml:10:10: http.listen: "nowhere" is not an address to listen on, "host:port" or ":port"
DUET_LOG_LEVEL: log.level: "loud" is not debug, info, warn or error
DUET_TURN_RELAM: unknown variable; did you mean "DUET_TURN_REALM"?`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 8 {
		t.Errorf("the error is %T of %d, want Problems of 8", err, len(problems))
	}
}

func TestAFileOfAnotherKindIsNotToldInFull(t *testing.T) {
	_, err := loadText("[turn]\ndenied_peer_ip = ["+strings.Repeat("'x', ", 1000)+"]", nil, nil)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != maxProblems+1 || problems[maxProblems].Error() != "and 900 more" {
		t.Errorf("%d problems, the last of them %v", len(problems), problems[len(problems)-1])
	}
}

func TestLoadReadsEveryKindOfValue(t *testing.T) {
	c, err := loadText(`
http = { listen = "[::1]:0", public_url = "http://192.0.2.7:8080" }
signaling.grace = """1h30m"""

[turn]
enabled = false
listening_ip = ["10.0.0.1", '::ffff:10.0.0.2']
external_ip = ["192.0.2.1/10.0.0.1", "2001:db8::1", "dns:turn.example.org/10.0.0.2"]
stun_servers = ["stun.example.org:19302", "stun:stun.example.net", "[2001:db8::2]:3479", "2001:db8::3"]
denied_peer_ip = ["10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", "::ffff:172.16.0.0/108", "fd00::/8"]
[turn.users]
ann = "pass"
"Bob \u00e9" = 'word'
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  string
		got  any
		want string
	}{
		{"listen", c.HTTP.Listen, `[::1]:0`},
		{"public_url", c.HTTP.PublicURL, `http://192.0.2.7:8080`},
		{"grace", c.Signaling.Grace, `1h30m`},
		{"enabled", c.Turn.Enabled, `false`},
		{"listening_ip", c.Turn.ListeningIP, `[10.0.0.1 10.0.0.2]`},
		{"external_ip", c.Turn.ExternalIP, `192.0.2.1/10.0.0.1, 2001:db8::1, dns:turn.example.org/10.0.0.2`},
		{"stun_servers", c.Turn.STUNServers, `[stun.example.org:19302 stun.example.net:3478 [2001:db8::2]:3479 [2001:db8::3]:3478]`},
		{"denied_peer_ip", c.Turn.DeniedPeerIP, `[10.0.0.1 10.0.0.0/8 10.0.0.1-10.0.0.9 172.16.0.0/12 fd00::/8]`},
		{"ann", c.Turn.Users["ann"].Reveal(), `pass`},
		{"bob", c.Turn.Users["Bob é"].Reveal(), `word`},
		{"realm", c.Turn.Realm, `duet`},
	} {
		if got := sprint(tt.got); got != tt.want {
			t.Errorf("%s is %s, want %s", tt.key, got, tt.want)
		}
	}
}

func TestNoFileMeansDefaults(t *testing.T) {
	c, err := Load("", nil)
	if err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := Default().Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

func TestValidateNamesTheKeyOfAConfigurationMadeInCode(t *testing.T) {
	c := Default()
	c.Signaling.Capacity = 1
	const want = "signaling.capacity: 1 is out of range, must be 2 to 6"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.toml")
	writeFile(t, big, strings.Repeat("#", maxFile+1))
	for _, tt := range []struct{ name, path, want string }{
		{"directory", dir, dir + ": is a directory, must be a file"},
		{"missing", dir + "/none", dir + "/none: no such file or directory"},
		{"too big", big, big + ": is larger than 1024 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Load(tt.path, nil); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestFindTakesTheExplicitFileThenTheUsualOnes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	etc := filepath.Join(dir, "etc.toml")
	check := func(explicit, want string) {
		t.Helper()
		if got, err := find(explicit, "turnserver.toml", etc); got != want || err != nil {
			t.Errorf("find(%q) = %q, %v, want %q", explicit, got, err, want)
		}
	}
	check("", "")
	writeFile(t, etc, "")
	check("", etc)
	writeFile(t, "turnserver.toml", "")
	check("", "turnserver.toml")
	writeFile(t, "mine.toml", "")
	check("mine.toml", "mine.toml")

	_, err := Find("none.toml")
	const want = "none.toml: no such file or directory; --config must name a file that exists"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got, err := Find(""); got != "turnserver.toml" || err != nil {
		t.Errorf("Find = %q, %v", got, err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
