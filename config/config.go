// Package config is the one file that an operator edits, turnserver.toml.
//
// Each table of the file is a struct here; Default gives the values that hold
// without a file, Find says which file counts, Load reads it, and Write prints the
// effective file with its secrets redacted.
//
// # The life of a key
//
// The file becomes a generic tree, and position.go notes where each key is written
// (file.go). The environment adds its variables (environment.go); both are
// assignments to keys, and the environment's replace the file's (load.go). Each
// assignment is converted to the type of its field (assign.go, text.go) or read
// from a secret file (secretfile.go). What came out is validated (validate.go).
// Every step adds to the same list of problems (problem.go).
//
// # Adding a key
//
// Add the field with its toml tag, its default in Default, a line with a comment in
// example.toml, and a check in validate.go if not every value is possible. The
// rest (types, environment, *_file for a Secret, suggestions, Write) follows from
// the field, by schema.go. Tests say what was forgotten.
package config

import (
	"net/netip"
	"time"
)

// Config is the whole of turnserver.toml. Every part of Duet takes its own
// section of it, never the whole.
type Config struct {
	HTTP      HTTP      `toml:"http"`
	Signaling Signaling `toml:"signaling"`
	Webhooks  Webhooks  `toml:"webhooks"`
	Turn      Turn      `toml:"turn"`
	TLS       TLS       `toml:"tls"`
	Cluster   Cluster   `toml:"cluster"`
	API       API       `toml:"api"`
	Admin     Admin     `toml:"admin"`
	Metrics   Metrics   `toml:"metrics"`
	Log       Log       `toml:"log"`
	Process   Process   `toml:"process"`
}

// Default returns the configuration that holds without a file.
func Default() Config {
	return Config{
		HTTP: HTTP{Listen: ":8080"},
		Signaling: Signaling{
			Capacity:   2,
			Grace:      Duration(45 * time.Second),
			MaxRooms:   10_000,
			MaxMembers: 20_000,

			MessageRate:       50,
			MessageBurst:      200,
			ByteRate:          256 << 10,
			ConnectRate:       20,
			SocketsPerAddress: 200,
			FailedKeys:        10,
		},
		Turn: Turn{
			Enabled:       true,
			Realm:         "duet",
			ListeningPort: 3478,
			TCP:           true,

			TLSListeningPort: 5349,

			ExternalIP:    ExternalIPs{Auto: true},
			MinPort:       49_152,
			MaxPort:       65_535,
			CredentialTTL: Duration(12 * time.Hour),
			UserQuota:     12,

			StaleNonce:          Duration(10 * time.Minute),
			MaxAllocateLifetime: Duration(time.Hour),
			MaxPermissions:      64,
			MaxChannels:         64,
			ErrorRate:           10,
			BindingRate:         50,
			DrainTimeout:        Duration(time.Hour),
		},
		TLS:     TLS{Listen: ":443", ACMEDirectory: "https://acme-v02.api.letsencrypt.org/directory"},
		Cluster: Cluster{Replicas: 3, Bucket: "duet"},
		Admin:   Admin{Listen: "127.0.0.1:9642"},
		Metrics: Metrics{Listen: "127.0.0.1:9641"},
		Log:     Log{Level: "info", Format: "auto"},
	}
}

// HTTP is the listener of the web client and of signaling.
type HTTP struct {
	// Listen is the TCP address of the web client and of /v1/ws, "host:port".
	Listen string `toml:"listen"`
	// PublicURL is the origin that people open, "https://call.example.org".
	// Empty: the banner names the addresses of this machine.
	PublicURL string `toml:"public_url"`
	// AllowedOrigins are the web origins, besides our own, that may open /v1/ws and
	// read /v1/ice: "https://app.example.org". "*" lets every site in.
	AllowedOrigins []string `toml:"allowed_origins"`
	// FrameAncestors are the web origins that may show the call page in a frame. Empty: none.
	FrameAncestors []string `toml:"frame_ancestors"`
	// TrustedProxies are the reverse proxies whose X-Forwarded-For counts, and on
	// every TCP port their PROXY protocol v2: addresses or CIDR prefixes.
	TrustedProxies []Prefix `toml:"trusted_proxies"`
}

// Signaling limits rooms and their members.
type Signaling struct {
	// Capacity is how many members a room holds, 2 to 6.
	Capacity int `toml:"capacity"`
	// Grace is how long what a member has outlives a lost connection.
	Grace Duration `toml:"grace"`
	// MaxRooms is how many rooms may be open at once.
	MaxRooms int `toml:"max_rooms"`
	// MaxMembers is how many members all rooms together may hold.
	MaxMembers int `toml:"max_members"`
	// MessageRate is how many messages a second a socket may send, MessageBurst how
	// many at once; 0 is unlimited.
	MessageRate  int `toml:"message_rate"`
	MessageBurst int `toml:"message_burst"`
	// ByteRate is how many bytes a second a socket may send, with bursts of twice as
	// much; 0 is unlimited.
	ByteRate int `toml:"byte_rate"`
	// ConnectRate is how many sockets a second one IPv4 address or IPv6 /64 may open,
	// SocketsPerAddress how many it may have; 0 is unlimited.
	ConnectRate       int `toml:"connect_rate"`
	SocketsPerAddress int `toml:"sockets_per_address"`
	// FailedKeys is how many wrong keys in half an hour one IPv4 address or IPv6 /64
	// may try; 0 is unlimited.
	FailedKeys int `toml:"failed_keys"`
	// Auth says who may join.
	Auth Auth `toml:"auth"`
}

// Auth says who may join a room: holders of a token, those whom a webhook allows, or,
// without any key, everybody.
type Auth struct {
	// Required closes the server to all who bring no token.
	Required bool `toml:"required"`
	// TokenSecret signs tokens with HS256 (RFC 7518 section 3.2), at least 32 bytes.
	// Empty: no such token is good.
	TokenSecret Secret `toml:"token_secret"`
	// TokenSecretPrevious is accepted beside TokenSecret, so that a secret can be changed
	// while tokens of the old one are in use.
	TokenSecretPrevious Secret `toml:"token_secret_previous"`
	// JWKSFile is a JWK set (RFC 7517) with the Ed25519 public keys (RFC 8037) of tokens
	// signed with EdDSA. Empty: no such token is good.
	JWKSFile Path `toml:"jwks_file"`
	// Issuer and Audience must be the token's "iss" and among its "aud". Empty: whatever
	// they are.
	Issuer   string `toml:"issuer"`
	Audience string `toml:"audience"`
	// WebhookURL is asked about each join, http or https. Empty: nobody is.
	WebhookURL string `toml:"webhook_url"`
	// WebhookSecret signs what it is asked, at least 32 bytes.
	WebhookSecret Secret `toml:"webhook_secret"`
}

// Keys reports whether there is a key that a token can be checked with.
func (a Auth) Keys() bool {
	return a.TokenSecret != "" || a.TokenSecretPrevious != "" || a.JWKSFile != ""
}

// Webhooks is who is told of what happens in rooms.
type Webhooks struct {
	// URL is where events are sent, http or https. Empty: nowhere.
	URL string `toml:"url"`
	// Secret signs them, at least 32 bytes.
	Secret Secret `toml:"secret"`
	// Events are the types that are sent. Empty: all of EventTypes.
	Events []string `toml:"events"`
}

// EventTypes returns every type of event that a webhook can be told of.
func EventTypes() []string {
	return []string{"room.opened", "room.closed", "member.joined", "member.left", "member.away", "member.back"}
}

// Turn is the STUN/TURN relay.
type Turn struct {
	// Enabled false leaves the relay out: calls then connect directly or not at all.
	Enabled bool `toml:"enabled"`
	// Realm is the REALM of long-term credentials (RFC 8489 section 9.2).
	Realm string `toml:"realm"`
	// ListeningIP are the addresses to listen on. Empty: all of this machine's.
	ListeningIP []netip.Addr `toml:"listening_ip"`
	// ListeningPort is the STUN/TURN port.
	ListeningPort int `toml:"listening_port"`
	// AltListeningIP are the partners of ListeningIP, the first IPv4 address that of
	// the first IPv4 one, and so on: with AltListeningPort, clients find out over UDP
	// how the NAT in front of them behaves (RFC 5780).
	AltListeningIP []netip.Addr `toml:"alt_listening_ip"`
	// AltListeningPort is a second UDP port for STUN and TURN on each address; 0 is
	// none.
	AltListeningPort int `toml:"alt_listening_port"`
	// TCP also takes clients over TCP, on the same addresses and port.
	TCP bool `toml:"tcp"`
	// TLSListeningPort is the port, on the addresses of ListeningIP, for TURN over TLS
	// and nothing else, when TLS is on, and for DTLS; 0 is none.
	TLSListeningPort int `toml:"tls_listening_port"`
	// DTLS takes clients over DTLS (RFC 7350) on the UDP port TLSListeningPort, with
	// the certificate of TLS.
	DTLS bool `toml:"dtls"`
	// TCPRelay lets clients that come over TCP or TLS reach peers over TCP (RFC 6062).
	TCPRelay bool `toml:"tcp_relay"`
	// RelayIP are the local addresses of relay sockets, at most one IPv4 and
	// one IPv6. Empty: those of ListeningIP, else of the default route.
	RelayIP []netip.Addr `toml:"relay_ip"`
	// ExternalIP is what clients and peers see in place of the relay's own
	// addresses: "auto", or an address, or "public/private", or "dns:name" in place
	// of a public address. The empty list means that the relay's own addresses are
	// the ones to see.
	ExternalIP ExternalIPs `toml:"external_ip"`
	// STUNServers tell the relay its address behind a NAT, when ExternalIP is
	// "auto", and check it when it is not. Empty: nobody is asked.
	STUNServers []STUNServer `toml:"stun_servers"`
	// MinPort and MaxPort bound the relay ports, both included.
	MinPort int `toml:"min_port"`
	MaxPort int `toml:"max_port"`
	// Users are long-term users and their passwords, or in place of a password
	// the key that coturn's turnadmin -k prints: "0x" and 32 hex digits. Of such a
	// key none for SHA-256 can be derived: clients are then offered MD5 alone.
	Users map[string]Secret `toml:"users"`
	// StaticAuthSecret mints time-limited credentials (TURN REST API).
	// Empty: a random one, made at each start.
	StaticAuthSecret Secret `toml:"static_auth_secret"`
	// StaticAuthSecretPrevious is accepted beside StaticAuthSecret, so that a
	// secret can be changed while credentials of the old one are in use.
	StaticAuthSecretPrevious Secret `toml:"static_auth_secret_previous"`
	// CredentialTTL is how long a minted credential opens new allocations.
	CredentialTTL Duration `toml:"credential_ttl"`
	// UserQuota is how many allocations one user may hold; 0 is unlimited.
	UserQuota int `toml:"user_quota"`
	// TotalQuota is how many allocations all users may hold; 0 is unlimited.
	TotalQuota int `toml:"total_quota"`
	// StaleNonce is how long clients may use a nonce; then they are given a new
	// one (438).
	StaleNonce Duration `toml:"stale_nonce"`
	// MaxAllocateLifetime is how long an allocation may live without a Refresh,
	// ten minutes to an hour.
	MaxAllocateLifetime Duration `toml:"max_allocate_lifetime"`
	// MaxPermissions and MaxChannels are how many of each an allocation may have.
	MaxPermissions int `toml:"max_permissions"`
	MaxChannels    int `toml:"max_channels"`
	// ErrorRate is how many error answers a second (challenges among them) the
	// strangers at one IPv4 address or IPv6 /64 get, BindingRate how many answers
	// to Binding requests; 0 is unlimited.
	ErrorRate   int `toml:"error_rate"`
	BindingRate int `toml:"binding_rate"`
	// Software is the SOFTWARE of every answer (RFC 8489 section 14.14). Empty:
	// none, which tells strangers nothing and keeps answers small.
	Software string `toml:"software"`
	// MaxBytesPerSecond is how many bytes of data an allocation may relay per
	// second, in each direction; 0 is unlimited.
	MaxBytesPerSecond int `toml:"max_bps"`
	// TotalBytesPerSecond is how many bytes of data all allocations together may
	// relay per second, in each direction; 0 is unlimited.
	TotalBytesPerSecond int `toml:"bps_capacity"`
	// AlternateServer are the TURN servers that clients are sent to while this one
	// drains (ALTERNATE-SERVER, RFC 8489 section 14.15): "address:port".
	AlternateServer []netip.AddrPort `toml:"alternate_server"`
	// DrainTimeout is how long a drain waits for running allocations; 0 is for ever.
	DrainTimeout Duration `toml:"drain_timeout"`
	// DeniedPeerIP are peers that nobody may reach through the relay, beside
	// the special-purpose ranges that are refused unless allowed.
	DeniedPeerIP []IPRange `toml:"denied_peer_ip"`
	// AllowedPeerIP are peers that may be reached although a built-in range
	// or DeniedPeerIP refuses them.
	AllowedPeerIP []IPRange `toml:"allowed_peer_ip"`
}

// TLS is the port that HTTPS, WSS and TURN over TLS share, and the certificate of all
// that speaks TLS: a pair of files, or obtained by ACME (RFC 8555). It is off without
// either.
type TLS struct {
	// Listen is the TCP address of that port, "host:port".
	Listen string `toml:"listen"`
	// Cert and Key are PEM files: the certificate with its chain, and its private
	// key. They are read again when they change.
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
	// ACMEDomains are the names to obtain certificates for, the first for clients
	// that name none. Setting them agrees to the terms of the CA.
	ACMEDomains []string `toml:"acme_domains"`
	// ACMEEmail is where the CA can reach the operator. Empty: nowhere.
	ACMEEmail string `toml:"acme_email"`
	// ACMEDirectory is the URL that the CA describes itself at (RFC 8555 section 7.1.1).
	ACMEDirectory string `toml:"acme_directory"`
	// ACMECache is the directory of the account, the certificates and their keys.
	// Empty: "acme" in systemd's state directory, or one of the user's own.
	ACMECache string `toml:"acme_cache"`
}

// On reports whether there is TLS.
func (t TLS) On() bool { return t.Cert != "" || t.ACME() }

// ACME reports whether certificates are obtained by ACME.
func (t TLS) ACME() bool { return len(t.ACMEDomains) > 0 }

// Cluster lets several servers be one service.
type Cluster struct {
	// NATSURL is where NATS is that they share, "nats://10.0.0.5:4222", or several servers of it
	// with commas between. Empty: this server is alone.
	NATSURL string `toml:"nats_url"`
	// Secret is shared by all nodes: with it the keys of sessions and rooms are made.
	Secret Secret `toml:"secret"`
	// NATSCredentials is the file of a NATS user's credentials (.creds).
	NATSCredentials string `toml:"nats_credentials"`
	// NATSUser and NATSPassword are those of a NATS that wants them instead.
	NATSUser     string `toml:"nats_user"`
	NATSPassword Secret `toml:"nats_password"`
	// NATSCA is the PEM file of the CA of NATS. Empty: those of the system.
	NATSCA string `toml:"nats_ca"`
	// Replicas is on how many NATS servers rooms are kept, 1, 3 or 5.
	Replicas int `toml:"replicas"`
	// Bucket begins the names of all that is kept in NATS.
	Bucket string `toml:"bucket"`
}

// On reports whether there are other nodes.
func (c Cluster) On() bool { return c.NATSURL != "" }

// API is what other apps may ask for.
type API struct {
	// Keys open /v1/ice, by the name of who has one. None: it is closed.
	Keys map[string]Secret `toml:"keys"`
}

// Admin is where those who run the service see and end what goes on.
type Admin struct {
	// Listen is the TCP address of /v1/admin, "host:port". Nothing is open there without Token.
	Listen string `toml:"listen"`
	// Token is what a request brings in its header Authorization, after "Bearer".
	Token Secret `toml:"token"`
}

// On reports whether there is an admin API.
func (a Admin) On() bool { return a.Listen != "" && a.Token.Reveal() != "" }

// Metrics is where Prometheus reads how the server fares.
type Metrics struct {
	// Listen is the TCP address of /metrics, "host:port". Empty: there are none.
	Listen string `toml:"listen"`
}

// Process is how the running server is found.
type Process struct {
	// PIDFile is where the server writes its process id, for `duet drain` and `duet
	// reload`. Empty: nowhere.
	PIDFile string `toml:"pid_file"`
}

// Log says how much is logged and in which form.
type Log struct {
	// Level is "debug", "info", "warn" or "error".
	Level string `toml:"level"`
	// Format is "auto" (text on a terminal, else JSON), "text" or "json".
	Format string `toml:"format"`
}
