package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

const (
	minCapacity, maxCapacity = 2, 6
	maxPort                  = 65_535
	maxRealm                 = 127 // characters: REALM has fewer than 128 (RFC 8489 section 14.9)
	maxSoftware              = 127 // characters (RFC 8489 section 14.14)
	maxPeers                 = 1024
	maxRate                  = 1_000_000
	maxBurst                 = 256     // messages that may wait for a member
	minByteRate              = 1 << 16 // the longest message
	maxSTUNServers           = 8
	maxHostName              = 253 // characters, as DNS has it
	maxUserName              = 508 // bytes: USERNAME has fewer than 509 (RFC 8489 section 14.3)
)

// redacted is what Write prints in place of a secret.
const redacted = "[redacted]"

// finding is a value that cannot be, or values that cannot be together.
type finding struct {
	keys          []string
	message, hint string
}

type findings []finding

// Validate checks a configuration that was made in code. Load has done so already.
// The error is of type Problems.
func (c Config) Validate() error {
	var problems Problems
	for _, f := range validate(c) {
		problems = append(problems, Problem{Key: f.keys[0], Message: f.message, Hint: f.hint})
	}
	return problems.err()
}

func validate(c Config) findings {
	var f findings
	f.http(c.HTTP)
	f.signaling(c.Signaling)
	f.auth(c.Signaling.Auth)
	f.webhooks(c.Webhooks)
	f.turn(c.Turn)
	f.users(c.Turn.Users)
	f.tls(c.TLS)
	f.cluster(c.Cluster, c.Turn)
	if c.Metrics.Listen != "" {
		f.listen("metrics.listen", c.Metrics.Listen)
	}
	f.apiKeys(c.API.Keys)
	f.admin(c.Admin)
	f.dtls(c)
	if c.Turn.TCPRelay && !c.Turn.TCP && !c.TLS.On() {
		f.add("tcp_relay is on, but serves clients that come over TCP or TLS only", "set tcp = true, or cert and key in [tls]",
			"turn.tcp_relay", "turn.tcp")
	}
	f.listeners(c)
	f.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	f.oneOf("log.format", c.Log.Format, "auto", "text", "json")
	return f
}

func (f *findings) add(message, hint string, keys ...string) {
	*f = append(*f, finding{keys, message, hint})
}

func (f *findings) signaling(s Signaling) {
	f.between("signaling.capacity", s.Capacity, minCapacity, maxCapacity)
	f.atLeast("signaling.grace", s.Grace, 0)
	f.notBelow("signaling.max_rooms", s.MaxRooms, 1)
	f.notBelow("signaling.max_members", s.MaxMembers, 2)
	f.between("signaling.message_rate", s.MessageRate, 0, maxRate)
	f.between("signaling.message_burst", s.MessageBurst, 1, maxBurst)
	if s.ByteRate != 0 {
		f.notBelow("signaling.byte_rate", s.ByteRate, minByteRate)
	}
	f.between("signaling.connect_rate", s.ConnectRate, 0, maxRate)
	f.notBelow("signaling.sockets_per_address", s.SocketsPerAddress, 0)
	f.between("signaling.failed_keys", s.FailedKeys, 0, maxRate)
}

func (f *findings) turn(t Turn) {
	f.realm(t.Realm)
	f.between("turn.listening_port", t.ListeningPort, 1, maxPort)
	f.between("turn.tls_listening_port", t.TLSListeningPort, 0, maxPort)
	f.between("turn.min_port", t.MinPort, 1, maxPort)
	f.between("turn.max_port", t.MaxPort, 1, maxPort)
	switch {
	case t.MinPort > t.MaxPort:
		f.add(fmt.Sprintf("min_port %d is above max_port %d", t.MinPort, t.MaxPort), "", "turn.min_port", "turn.max_port")
	case t.MinPort <= t.ListeningPort && t.ListeningPort <= t.MaxPort:
		f.add(fmt.Sprintf("listening_port %d is among the relay ports, %d to %d", t.ListeningPort, t.MinPort, t.MaxPort),
			"choose one outside", "turn.listening_port", "turn.min_port", "turn.max_port")
	}
	f.addresses("turn.listening_ip", t.ListeningIP)
	f.allOrSome("turn.listening_ip", t.ListeningIP)
	f.alternateListeners(t)
	f.addresses("turn.relay_ip", t.RelayIP)
	f.onePerFamily("turn.relay_ip", t.RelayIP)
	f.external(t.ExternalIP)
	f.stunServers(t.STUNServers)
	f.secret("turn.static_auth_secret", t.StaticAuthSecret)
	f.secret("turn.static_auth_secret_previous", t.StaticAuthSecretPrevious)
	f.atLeast("turn.credential_ttl", t.CredentialTTL, Duration(1e9)) // the expiry in a credential counts seconds
	f.notBelow("turn.user_quota", t.UserQuota, 0)
	f.notBelow("turn.total_quota", t.TotalQuota, 0)
	f.notBelow("turn.max_bps", t.MaxBytesPerSecond, 0)
	f.notBelow("turn.bps_capacity", t.TotalBytesPerSecond, 0)
	f.atLeast("turn.stale_nonce", t.StaleNonce, Duration(time.Second))
	f.atLeast("turn.max_allocate_lifetime", t.MaxAllocateLifetime, Duration(10*time.Minute))
	f.atMost("turn.max_allocate_lifetime", t.MaxAllocateLifetime, Duration(time.Hour))
	f.between("turn.max_permissions", t.MaxPermissions, 1, maxPeers)
	f.between("turn.max_channels", t.MaxChannels, 1, maxPeers)
	f.between("turn.error_rate", t.ErrorRate, 0, maxRate)
	f.between("turn.binding_rate", t.BindingRate, 0, maxRate)
	f.software(t.Software)
	f.alternates(t.AlternateServer)
	f.atLeast("turn.drain_timeout", t.DrainTimeout, 0)
}

// alternates must be addresses that clients can send to.
func (f *findings) alternates(servers []netip.AddrPort) {
	for i, server := range servers {
		if addr := server.Addr(); !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || server.Port() == 0 {
			f.add(fmt.Sprintf("%q is not the address of a server", server), "", elementKey("turn.alternate_server", i))
		}
	}
}

func (f *findings) software(name string) {
	const key = "turn.software"
	switch {
	case utf8.RuneCountInString(name) > maxSoftware:
		f.add(fmt.Sprintf("has more than %d characters", maxSoftware), "", key)
	case strings.ContainsFunc(name, unicode.IsControl):
		f.add(quote(name)+" holds control characters", "", key)
	}
}

func (f *findings) realm(realm string) {
	const key = "turn.realm"
	switch {
	case realm == "":
		f.add(`is empty, must be a name such as "example.org"`, "", key)
	case utf8.RuneCountInString(realm) > maxRealm:
		f.add(fmt.Sprintf("%s has more than %d characters", quote(realm), maxRealm), "", key)
	case strings.ContainsFunc(realm, unicode.IsControl):
		f.add(quote(realm)+" holds control characters", "", key)
	}
}

func (f *findings) users(users map[string]Secret) {
	for _, name := range slices.Sorted(maps.Keys(users)) {
		key := "turn.users." + toml.Key{name}.String()
		switch {
		case name == "":
			f.add("the user's name is empty", "", key)
		case strings.Contains(name, ":"):
			f.add(`a user's name cannot hold ":", which marks a time-limited credential`, "", key)
		case len(name) > maxUserName:
			f.add(fmt.Sprintf("the user's name has more than %d bytes", maxUserName), "", key)
		case strings.ContainsFunc(name, unicode.IsControl):
			f.add("the user's name holds control characters", "", key)
		}
		if users[name] == "" {
			f.add("the password is empty", "", key)
		}
		f.secret(key, users[name])
	}
}

// secret refuses what Write prints: a saved copy of `duet config` would otherwise
// run with a secret that everybody knows.
func (f *findings) secret(key string, s Secret) {
	if s == redacted {
		f.add(strconv.Quote(redacted)+" only stands for the secret in the output of duet config", "write the secret itself", key)
	}
}

// addresses are of this machine, and such as a URL and a candidate can name.
func (f *findings) addresses(key string, addrs []netip.Addr) {
	seen := make(map[netip.Addr]bool)
	for i, addr := range addrs {
		switch at := elementKey(key, i); {
		case addr.Is6() && addr.IsLinkLocalUnicast():
			f.add(fmt.Sprintf("%q is a link-local address, which holds on one network interface and which clients cannot be told", addr),
				"name another address of the interface", at)
		case addr.IsMulticast():
			f.add(fmt.Sprintf("%q is not an address of this machine", addr), "", at)
		}
		if seen[addr] {
			f.add(fmt.Sprintf("%q is listed twice", addr), "", elementKey(key, i))
		}
		seen[addr] = true
	}
}

// allOrSome refuses an address beside the one that stands for all of its family: only one
// of them could be bound.
func (f *findings) allOrSome(key string, addrs []netip.Addr) {
	for i, addr := range addrs {
		all := netip.IPv4Unspecified()
		if addr.Is6() {
			all = netip.IPv6Unspecified()
		}
		if addr != all && slices.Contains(addrs, all) {
			f.add(fmt.Sprintf("%q is one of the addresses that %q stands for", addr, all), "write one or the other", elementKey(key, i))
		}
	}
}

// onePerFamily allows one IPv4 and one IPv6 address, and each a definite one.
func (f *findings) onePerFamily(key string, addrs []netip.Addr) {
	first := make(map[int]netip.Addr)
	for i, addr := range addrs {
		if addr.IsUnspecified() {
			f.add(fmt.Sprintf("%q is not an address of this machine", addr), "", elementKey(key, i))
		}
		if before, ok := first[addr.BitLen()]; ok && before != addr {
			f.add(fmt.Sprintf("%q is one more %s address beside %q", addr, family(addr), before), "give at most one of each family", elementKey(key, i))
		}
		first[addr.BitLen()] = addr
	}
}

func (f *findings) external(e ExternalIPs) {
	const key = "turn.external_ip"
	if e.Auto && len(e.Pairs) > 0 {
		f.add(`"auto" stands alone, here it is listed with addresses`, `write "auto" or the addresses`, key)
		return
	}
	type local struct {
		addr netip.Addr // the zero Addr is all of the family
		bits int
	}
	seen := make(map[local]bool)
	for i, pair := range e.Pairs {
		at := elementKey(key, i)
		for _, addr := range []netip.Addr{pair.Public, pair.Private} {
			if addr.IsValid() && (addr.IsUnspecified() || addr.IsMulticast()) {
				f.add(fmt.Sprintf("%q cannot be the address of a relay", addr), "", at)
			}
		}
		sides := []local{{pair.Private, max(pair.Private.BitLen(), pair.Public.BitLen())}}
		if pair.Name != "" && !pair.Private.IsValid() {
			sides = []local{{bits: 32}, {bits: 128}} // a name may have addresses of both families
		}
		if pair.Private.IsValid() && pair.Public.IsValid() && pair.Private.BitLen() != pair.Public.BitLen() {
			f.add(fmt.Sprintf("%q pairs %s with %s", pair, family(pair.Public), family(pair.Private)), "both must be of one family", at)
		}
		if slices.ContainsFunc(sides, func(side local) bool { return seen[side] }) {
			f.add(fmt.Sprintf("%q is a second public address for the same local ones", pair), `write "public/private" to say which is which`, at)
		}
		for _, side := range sides {
			seen[side] = true
		}
	}
}

func (f *findings) stunServers(servers []STUNServer) {
	const key = "turn.stun_servers"
	if len(servers) > maxSTUNServers {
		f.add(fmt.Sprintf("lists %d servers, %d are the most", len(servers), maxSTUNServers), "two or three do", key)
	}
	for i, server := range servers {
		if slices.Contains(servers[:i], server) {
			f.add(fmt.Sprintf("%s is listed twice", quote(server.String())), "", elementKey(key, i))
		}
	}
}

func family(addr netip.Addr) string {
	if addr.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func (f *findings) between(key string, n, low, high int) {
	if n < low || n > high {
		f.add(fmt.Sprintf("%d is out of range, must be %d to %d", n, low, high), "", key)
	}
}

func (f *findings) notBelow(key string, n, low int) {
	if n < low {
		f.add(fmt.Sprintf("%d is out of range, must be at least %d", n, low), "", key)
	}
}

func (f *findings) atLeast(key string, d, low Duration) {
	if d < low {
		f.add(fmt.Sprintf("%q is too short, must be at least %q", d, low), "", key)
	}
}

func (f *findings) atMost(key string, d, high Duration) {
	if d > high {
		f.add(fmt.Sprintf("%q is too long, must be at most %q", d, high), "", key)
	}
}

func (f *findings) oneOf(key, value string, options ...string) {
	if slices.Contains(options, value) {
		return
	}
	last := len(options) - 1
	f.add(fmt.Sprintf("%s is not %s or %s", quote(value), strings.Join(options[:last], ", "), options[last]), didYouMean(value, options), key)
}
