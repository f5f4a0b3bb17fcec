package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// advise looks at the settings together: at who is let in, at what is reached through
// the relay, and at what coturn does that nobody had to write.
func (m *coturnImport) advise() {
	m.adviseOnAccess()
	m.adviseOnPeers()
	for _, o := range m.table {
		if o.absent != "" && !m.has(o.name) {
			m.absent = append(m.absent, coturnNote{text: o.absent})
		}
	}
	if !m.has("user-quota") && len(m.config.Turn.Users) > 0 {
		m.warn(0, "user-quota: coturn set no limit, here a user holds %d allocations; if many people share one user, set user_quota", m.config.Turn.UserQuota)
	}
	if s, ok := m.last("cli-password"); ok && !m.has("no-cli") && weak(s.value, 8) != "" {
		m.warn(s.place, "cli-password is a password that everybody knows; whoever shares this machine could control coturn with it")
	}
}

func (m *coturnImport) adviseOnAccess() {
	turn := m.config.Turn
	noAuth, open := m.last("no-auth")
	database := m.has("userdb", "db", "psql-userdb", "sql-userdb", "mysql-userdb", "mongo-userdb", "redis-userdb")
	switch {
	case open:
		m.warn(noAuth.place, "no-auth let anybody use this relay, for anything; Duet has no such mode: give every client a credential, by users or static_auth_secret")
	case m.secretMode && turn.StaticAuthSecret == "":
		m.warn(0, "the auth secret is in coturn's database, or left out above; set static_auth_secret, or nobody but Duet's own pages can make credentials")
	case m.secretMode && m.has("user"):
		s, _ := m.last("user")
		m.warn(s.place, "user: coturn refuses users beside an auth secret; they are not taken over, write them into [turn.users] if they shall be let in")
	case !m.secretMode && len(turn.Users) == 0 && (m.has("lt-cred-mech", "user") || database):
		m.warn(0, "the users are in coturn's database, or left out above; write them into [turn.users] or users_file")
	case !m.secretMode && len(turn.Users) == 0:
		m.warn(0, "no lt-cred-mech, user or static-auth-secret: coturn lets anybody use such a relay, for anything; Duet makes a secret at each start, which only its own pages know, until you set one")
	}
}

// adviseOnPeers compares with what coturn allows unless told otherwise: everything but
// loopback.
func (m *coturnImport) adviseOnPeers() {
	turn := m.config.Turn
	contains := func(ranges []IPRange, addr netip.Addr) bool {
		return slices.ContainsFunc(ranges, func(r IPRange) bool { return r.Contains(addr) })
	}
	var reached []string
	for _, private := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7"} {
		inside := netip.MustParsePrefix(private).Addr().Next()
		if !contains(turn.DeniedPeerIP, inside) && !contains(turn.AllowedPeerIP, inside) {
			reached = append(reached, private)
		}
	}
	if len(reached) > 0 {
		m.warn(0, "denied-peer-ip: coturn let clients reach private addresses behind this server (%s); Duet refuses those that allowed_peer_ip does not name",
			strings.Join(reached, ", "))
	}
	for _, addr := range []string{"127.0.0.1", "169.254.169.254", "::1"} {
		if contains(turn.AllowedPeerIP, netip.MustParseAddr(addr)) {
			m.warn(0, "allowed_peer_ip lets clients reach %s, which is this machine or its cloud's metadata: narrow it", addr)
		}
	}
}

// last returns the setting that counts of those with a name.
func (m *coturnImport) last(name string) (coturnSetting, bool) {
	all := m.seen[name]
	if len(all) == 0 {
		return coturnSetting{}, false
	}
	return all[len(all)-1], true
}

// has reports whether one of the options is set.
func (m *coturnImport) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return len(m.seen[name]) > 0 })
}

// published returns secrets of coturn's own example and of guides, in small letters.
func published() []string {
	return []string{
		"north", "logen", "qwerty", "youhavetoberealistic", "key1", "key2", "password1", "password2",
		"secret", "mysecret", "my-secret", "supersecret", "static-auth-secret", "turnsecret", "auth-secret", "changeme",
		"password", "mypassword", "passw0rd", "pass", "test", "testing", "guest", "admin", "root", "coturn", "turn", "turnserver",
		"123456", "1234567", "12345678", "123456789", "1234567890", "abc123", "letmein", "foobar", "secretpassword",
	}
}

// weak says why a secret is no secret, or returns "".
func weak(secret string, least int) string {
	small := strings.ToLower(secret)
	switch {
	case slices.Contains(published(), small):
		return "an example that everybody knows"
	case isTemplate(secret) || strings.HasPrefix(secret, "["):
		return "a placeholder that nobody filled in"
	case strings.Contains(small, "your") || strings.Contains(small, "change"):
		return "a placeholder, by its looks"
	case len(secret) < least:
		return fmt.Sprintf("shorter than %d bytes", least)
	case strings.Count(secret, secret[:1]) == len(secret):
		return "one character repeated"
	}
	return ""
}
