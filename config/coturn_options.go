package config

import "slices"

// coturnOption is one option of coturn and what becomes of it here. When Duet gets a
// key for one, its row gets the key.
type coturnOption struct {
	name   string
	letter byte // of the short form, 0 for none
	// valued: the option takes a value; the others are flags, or may do without.
	valued bool
	// free: a flag whose value, if any, does not switch it on or off.
	free bool
	// private: the value may hold a secret, or a name that is nobody's business.
	private bool
	fate    fate
	// key is our key that the value goes to as it is.
	key string
	// take is for a value that does not go to a key as it is.
	take func(*coturnImport, coturnSetting)
	// why says what the setting meets here. It completes "line 3: name=value: …".
	why string
	// warn: why is worth reading before the first start.
	warn bool
	// absent says what differs here when coturn's configuration does not have it.
	absent string
}

// fate is what becomes of a setting that has no key here.
type fate int

const (
	mapped fate = iota // by key or take
	always             // Duet does so, whatever is written
	later              // not in this release
	never              // has nothing to act on, or is not wanted
)

const (
	goTLS    = "Duet speaks TLS 1.2 and 1.3 with the ciphers that Go holds safe"
	noDB     = "Duet reads no database: write users or a static_auth_secret here, or name their *_file"
	noCLI    = "Duet has no command line to connect to"
	noWeb    = "Duet has no such page"
	service  = "this is for whatever starts Duet, systemd or a container"
	logging  = "Duet logs to standard error, which systemd or the container keeps; see [log]"
	meters   = "metrics are always there, at [metrics] listen"
	oneNode  = "Duet sends clients to another server only while it drains, see alternate_server; else list several servers in the client's iceServers"
	discover = "NAT discovery (RFC 5780) is on with alt_listening_ip and alt_listening_port, and off without"
	older    = "Duet answers binding requests of RFC 5389 and newer, none older"
	fixed    = "this time is fixed by RFC 8656, as coturn advises"
	ipFamily = "IPv4 is allocated unless the client asks for IPv6, as RFC 8656 has it"
)

// coturnTable is every option that coturn knows.
type coturnTable []coturnOption

// coturnOptions returns the options of coturn 4.6, those of other releases that are in
// people's files, and the two that only its command line has, by their letters.
func coturnOptions() coturnTable {
	return coturnTable{
		// Where to listen and to relay.
		{name: "listening-ip", letter: 'L', valued: true, key: "turn.listening_ip"},
		{name: "listening-port", letter: 'p', valued: true, key: "turn.listening_port"},
		{name: "relay-ip", letter: 'E', valued: true, key: "turn.relay_ip"},
		{name: "external-ip", letter: 'X', valued: true, take: (*coturnImport).takeExternal},
		{name: "min-port", valued: true, key: "turn.min_port"},
		{name: "max-port", valued: true, key: "turn.max_port"},
		{name: "listening-device", letter: 'd', valued: true, fate: never, why: "name the device's address in listening_ip"},
		{name: "relay-device", letter: 'i', valued: true, fate: never, why: "name the device's address in relay_ip"},
		{name: "tls-listening-port", valued: true, key: "turn.tls_listening_port"},
		{name: "alt-listening-port", valued: true, key: "turn.alt_listening_port"},
		{name: "alt-tls-listening-port", valued: true, fate: never, why: "NAT discovery (RFC 5780) is over UDP here"},
		{name: "tcp-proxy-port", valued: true, fate: never, warn: true, why: "there is no port for it: each TCP port reads the PROXY protocol v2 of those whom [http] trusted_proxies names"},
		{name: "aux-server", valued: true, fate: never, why: "Duet listens on listening_port of each listening_ip only"},
		{name: "no-udp", fate: later, warn: true, why: "Duet listens on UDP all the same; close the port in the firewall"},
		{name: "no-tcp", take: (*coturnImport).takeNoTCP, key: "turn.tcp"},
		{name: "no-tls", fate: always, why: "there is no TLS without [tls] cert and key"},
		{
			name: "no-dtls", take: (*coturnImport).takeNoDTLS, key: "turn.dtls",
			absent: "no-dtls: with a certificate coturn serves TURN over DTLS, too; Duet does when dtls is true. Browsers do not use it",
		},
		{name: "no-udp-relay", fate: never, warn: true, why: "Duet always relays over UDP (RFC 8656)"},
		{
			name: "no-tcp-relay", take: (*coturnImport).takeNoTCP, key: "turn.tcp_relay",
			absent: "no-tcp-relay: coturn connects clients to peers over TCP unless this forbids it (RFC 6062); Duet does so with tcp_relay = true only, and calls do without",
		},
		{name: "relay-threads", letter: 'm', valued: true, fate: never, why: "Go schedules Duet's work on all cores"},
		{name: "udp-self-balance", fate: never, why: "there is one listener for each address"},
		{name: "alternate-server", valued: true, fate: never, warn: true, why: oneNode},
		{name: "tls-alternate-server", valued: true, fate: never, warn: true, why: oneNode},
		{name: "keep-address-family", letter: 'K', fate: never, why: ipFamily},
		{name: "allocation-default-address-family", letter: 'A', valued: true, fate: never, why: ipFamily},
		{name: "ne", valued: true, fate: never, why: "Duet has one network engine"},

		// Who may use it.
		{name: "realm", letter: 'r', valued: true, take: (*coturnImport).takeText, key: "turn.realm"},
		{name: "user", letter: 'u', valued: true, private: true, take: (*coturnImport).takeUser},
		{name: "static-auth-secret", valued: true, private: true, take: (*coturnImport).takeSecret},
		{name: "lt-cred-mech", letter: 'a', fate: always, why: "every client needs a credential"},
		{name: "use-auth-secret", free: true, fate: always, why: "time-limited credentials are always accepted"},
		{name: "no-auth", letter: 'z', fate: never, why: "Duet relays for nobody without a credential"},
		{name: "rest-api-separator", letter: 'C', valued: true, take: (*coturnImport).takeSeparator},
		{name: "userdb", letter: 'b', valued: true, fate: never, why: noDB},
		{name: "db", valued: true, fate: never, why: noDB},
		{name: "psql-userdb", letter: 'e', valued: true, private: true, fate: never, why: noDB},
		{name: "sql-userdb", valued: true, private: true, fate: never, why: noDB},
		{name: "mysql-userdb", letter: 'M', valued: true, private: true, fate: never, why: noDB},
		{name: "mongo-userdb", letter: 'J', valued: true, private: true, fate: never, why: noDB},
		{name: "redis-userdb", letter: 'N', valued: true, private: true, fate: never, why: noDB},
		{name: "redis-statsdb", letter: 'O', valued: true, private: true, fate: never, why: "Duet writes no statistics to Redis; Prometheus reads them at [metrics] listen"},
		{name: "secret-key-file", valued: true, fate: never, why: noDB},
		{name: "no-auth-pings", free: true, fate: always, why: "there is no database to ask"},
		{name: "no-dynamic-ip-list", free: true, fate: always, why: "there is no database to ask"},
		{name: "no-dynamic-realms", free: true, fate: always, why: "there is no database to ask"},
		{name: "oauth", fate: never, warn: true, why: "third-party authorization (RFC 7635), which browsers do not use, is not supported"},
		{name: "server-name", valued: true, fate: never, why: "this belongs to oauth, which is not supported"},
		{name: "secure-stun", fate: never, why: "binding requests are answered without a credential, as browsers send them"},
		{name: "stale-nonce", free: true, take: (*coturnImport).takeStaleNonce, key: "turn.stale_nonce"},
		{name: "check-origin-consistency", fate: never, why: "browsers send no ORIGIN to a relay"},

		// How much they may use.
		{
			name: "user-quota", letter: 'q', valued: true, key: "turn.user_quota",
			absent: "user-quota: coturn sets no limit; here one user holds 12 allocations unless user_quota says otherwise (0 is unlimited)",
		},
		{name: "total-quota", letter: 'Q', valued: true, key: "turn.total_quota"},
		{name: "max-bps", letter: 's', valued: true, key: "turn.max_bps"},
		{name: "bps-capacity", letter: 'B', valued: true, key: "turn.bps_capacity"},
		{name: "max-allocate-lifetime", free: true, take: (*coturnImport).takeLifetime, key: "turn.max_allocate_lifetime"},
		{name: "max-allocate-timeout", valued: true, fate: never, why: "a request that is not finished holds nothing here"},
		{name: "channel-lifetime", free: true, fate: never, why: fixed},
		{name: "permission-lifetime", free: true, fate: never, why: fixed},

		// Whom they may reach.
		{name: "denied-peer-ip", valued: true, take: (*coturnImport).takePeer, key: "turn.denied_peer_ip"},
		{name: "allowed-peer-ip", valued: true, take: (*coturnImport).takePeer, key: "turn.allowed_peer_ip"},
		{name: "no-multicast-peers", fate: always, why: "multicast peers are refused"},
		{name: "no-loopback-peers", fate: always, why: "loopback peers are refused"},
		{
			name: "allow-loopback-peers", fate: never, warn: true,
			why: "it let clients reach what listens on this machine alone; loopback peers are refused here unless allowed_peer_ip names them",
		},
		{name: "server-relay", fate: never, warn: true, why: "it let everybody send to a client through the relay; permissions always hold here"},

		// STUN and TURN.
		{name: "stun-only", letter: 'S', fate: never, warn: true, why: "Duet relays, too, for those who have a credential"},
		{name: "no-stun", fate: never, why: "Duet answers binding requests, too"},
		{name: "fingerprint", letter: 'f', fate: never, why: "WebRTC clients need no FINGERPRINT in answers"},
		{name: "mobility", fate: never, why: "RFC 8016, which browsers do not use, is not supported; they restart ICE instead"},
		{name: "no-rfc5780", free: true, fate: always, why: discover},
		{name: "rfc5780", fate: never, why: discover + "; coturn takes its second listening-ip"},
		{name: "no-stun-backward-compatibility", fate: always, why: older},
		{name: "stun-backward-compatibility", fate: never, why: older},
		{name: "response-origin-only-with-rfc5780", fate: always, why: "RESPONSE-ORIGIN is part of NAT discovery only"},
		{name: "no-software-attribute", fate: always, why: "answers do not name the software"},
		{name: "software-attribute", fate: never, why: "answers do not name the software, unless [turn] software says what to name"},
		{name: "respond-http-unsupported", fate: never, why: "the TURN ports answer no HTTP; the port of [tls] does"},

		// TLS.
		{name: "cert", valued: true, key: "tls.cert"},
		{name: "pkey", valued: true, key: "tls.key"},
		{name: "pkey-pwd", valued: true, private: true, fate: never, why: "Duet reads no encrypted key"},
		{name: "raw-public-keys", fate: never, why: "browsers use certificates"},
		{name: "cipher-list", valued: true, fate: never, why: goTLS},
		{name: "CA-file", valued: true, fate: never, warn: true, why: "Duet asks clients for no certificate; if this is the chain, it belongs into the file of cert"},
		{name: "ec-curve-name", valued: true, fate: never, why: goTLS},
		{name: "dh-file", valued: true, fate: never, why: goTLS},
		{name: "dh566", fate: never, why: goTLS},
		{name: "dh1066", fate: never, why: goTLS},
		{name: "dh2066", fate: never, why: goTLS},
		{name: "no-sslv2", fate: always, why: goTLS},
		{name: "no-sslv3", fate: always, why: goTLS},
		{name: "no-tlsv1", fate: always, why: goTLS},
		{name: "no-tlsv1_1", fate: always, why: goTLS},
		{name: "no-tlsv1_2", fate: never, why: "TLS 1.2 stays on beside 1.3"},
		{name: "acme-redirect", valued: true, fate: never, warn: true, why: "Duet redirects no ACME challenge; it can get the certificate itself, by [tls] acme_domains"},

		// Logs and metrics.
		{name: "verbose", letter: 'v', take: (*coturnImport).takeVerbose},
		{name: "Verbose", letter: 'V', take: (*coturnImport).takeVerbose},
		{name: "log-file", letter: 'l', valued: true, fate: never, why: logging},
		{name: "no-stdout-log", fate: never, why: logging},
		{name: "syslog", fate: never, why: logging},
		{name: "syslog-facility", valued: true, fate: never, why: logging},
		{name: "simple-log", fate: never, why: logging},
		{name: "new-log-timestamp", fate: always, why: "every line of the log has its time"},
		{name: "new-log-timestamp-format", valued: true, fate: never, why: "times are as RFC 3339 has them"},
		{name: "log-binding", fate: never, why: "binding requests are not logged"},
		{name: "prometheus", free: true, fate: always, why: meters},
		{name: "prometheus-port", free: true, fate: never, why: "write the port into [metrics] listen; the default, 9641, is that of coturn"},
		{name: "prometheus-address", free: true, fate: never, why: "write the address into [metrics] listen; the default is this machine alone"},
		{name: "prometheus-username-labels", free: true, fate: never, why: "no metric has a label that a client chose; the log names users"},

		// Administration.
		{name: "no-cli", fate: always, why: noCLI},
		{name: "cli-ip", valued: true, fate: never, why: noCLI},
		{name: "cli-port", valued: true, fate: never, why: noCLI},
		{name: "cli-password", valued: true, private: true, fate: never, why: noCLI},
		{name: "cli-max-output-sessions", valued: true, fate: never, why: noCLI},
		{name: "web-admin", fate: never, why: noWeb},
		{name: "web-admin-ip", valued: true, fate: never, why: noWeb},
		{name: "web-admin-port", valued: true, fate: never, why: noWeb},
		{name: "web-admin-listen-on-workers", fate: never, why: noWeb},

		// The process.
		{name: "daemon", letter: 'o', fate: never, why: service},
		{name: "pidfile", valued: true, take: (*coturnImport).takeText, key: "process.pid_file"},
		{name: "proc-user", valued: true, fate: never, why: service},
		{name: "proc-group", valued: true, fate: never, why: service},
		{name: "-c", letter: 'c', valued: true, fate: never, warn: true, why: "the settings of that file are not in here: import it, too"},
		{name: "-n", letter: 'n', fate: always, why: "nothing else is read"},
		{name: "help", letter: 'h', fate: never, why: "see duet help"},
		{name: "version", fate: never, why: "see duet version"},
	}
}

// named returns the option of a long name, or nil.
func (t coturnTable) named(name string) *coturnOption {
	return t.find(func(o coturnOption) bool { return o.name == name })
}

// lettered returns the option of a letter, or nil.
func (t coturnTable) lettered(letter byte) *coturnOption {
	return t.find(func(o coturnOption) bool { return o.letter != 0 && o.letter == letter })
}

func (t coturnTable) find(fits func(coturnOption) bool) *coturnOption {
	if i := slices.IndexFunc(t, fits); i >= 0 {
		return &t[i]
	}
	return nil
}

// names lists the long names.
func (t coturnTable) names() []string {
	names := make([]string, len(t))
	for i, o := range t {
		names[i] = o.name
	}
	return names
}
