package config

import (
	"crypto/md5"
	"encoding/hex"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// What goes to a key in another form than coturn's.

// takeText keeps the value to the letter: to coturn, a comment behind it is part of it.
func (m *coturnImport) takeText(s coturnSetting) { m.put(s, s.option.key, m.text(s)) }

func (m *coturnImport) text(s coturnSetting) string {
	switch _, comment := s.cutComment(); {
	case comment:
		m.warn(s.place, "%s: to coturn the comment behind the value belongs to it; it is taken over as it is", s.name)
	case strings.HasSuffix(s.value, ";"):
		m.warn(s.place, "%s: to coturn the \";\" at the end belongs to the value; it is taken over as it is", s.name)
	case strings.HasPrefix(s.value, "'"):
		m.warn(s.place, "%s: to coturn single quotes belong to the value; they are taken over as they are", s.name)
	case !s.option.private && isTemplate(s.value):
		m.warn(s.place, "%s: looks like a template that nobody filled in", s.name)
	}
	return s.value
}

// isTemplate recognizes "$(hostname)", "${REALM}", "{{ realm }}" and "<your realm>".
func isTemplate(value string) bool {
	for _, mark := range []string{"$(", "${", "{{", "<"} {
		if strings.HasPrefix(value, mark) {
			return true
		}
	}
	return false
}

// takeExternal knows what the image of coturn runs to find its address: Duet does that
// by itself.
func (m *coturnImport) takeExternal(s coturnSetting) {
	const key = "turn.external_ip"
	value := s.bare()
	if strings.HasPrefix(value, "$(") || strings.HasPrefix(value, "`") {
		m.remark(always, s.place, "%s: \"auto\", the default here, works the address out", s)
		return
	}
	before, places := m.config.Turn.ExternalIP, m.from[key]
	m.from[key] = nil
	if !m.put(s, key, value) {
		m.from[key] = places
		return
	}
	m.config.Turn.ExternalIP.Pairs = append(before.Pairs, m.config.Turn.ExternalIP.Pairs...)
	m.from[key] = append(places, s.place)
}

// takeNoTCP ends TCP, not TLS: coturn has a flag for each, too.
func (m *coturnImport) takeNoTCP(s coturnSetting) { m.put(s, s.option.key, "false") }

func (m *coturnImport) takeNoDTLS(s coturnSetting) { m.put(s, s.option.key, "false") }

func (m *coturnImport) takeUser(s coturnSetting) {
	name, password, ok := strings.Cut(m.text(s), ":")
	switch {
	case m.secretMode:
		m.remark(never, s.place, "user %s: coturn refuses it beside an auth secret, so that it is not let in here either", printable(name))
	case !ok:
		m.warn(s.place, "user: is not name:password, and left out")
		m.remark(never, s.place, "user: is not name:password")
	case strings.HasPrefix(password, "0x") && !isKey(password):
		m.warn(s.place, "user: is left out, because what it has in place of the password is no key; turnadmin -k prints \"0x\" and 32 hex digits")
		m.remark(never, s.place, "user %s: has neither a password nor a key", printable(name))
	default:
		m.putUser(s, name, password)
	}
}

// isKey recognizes what turnadmin -k prints.
func isKey(password string) bool {
	key, err := hex.DecodeString(strings.TrimPrefix(password, "0x"))
	return err == nil && len(key) == md5.Size
}

// putUser checks one user alone, as put does with other values.
func (m *coturnImport) putUser(s coturnSetting, name, password string) {
	one := Default()
	one.Turn.Users = map[string]Secret{name: Secret(password)}
	problem := Problem{}
	if !utf8.ValidString(s.value) {
		problem.Message = "name or password is not valid UTF-8"
	} else if findings := validate(one); len(findings) > 0 {
		problem.Message, problem.Hint = findings[0].message, findings[0].hint
	}
	if problem.Message != "" {
		m.leaveOut("turn.users", "", problem, s.place)
		return
	}
	if before, twice := m.users[name]; twice {
		m.remark(never, before, "user %s: %s replaces it, in coturn, too", printable(name), m.at(s.place))
	}
	if m.config.Turn.Users == nil {
		m.config.Turn.Users = make(map[string]Secret)
	}
	m.config.Turn.Users[name] = Secret(password)
	m.users[name] = s.place
	why := ""
	if !isKey(password) { // of a key, one cannot tell
		why = weak(password, 8)
	}
	if password == name {
		why = "the user's name"
	}
	if why != "" {
		m.warn(s.place, "the password of user %s is %s: choose another, here and in the clients", printable(name), why)
	}
}

// takeSecret takes the first secret as the current one. coturn accepts any number.
func (m *coturnImport) takeSecret(s coturnSetting) {
	key, secret := "turn.static_auth_secret", m.text(s)
	switch turn := m.config.Turn; {
	case secret == "":
		m.leaveOut(key, "", Problem{Message: "it is empty, so that everybody knows it"}, s.place)
		return
	case Secret(secret) == turn.StaticAuthSecret || Secret(secret) == turn.StaticAuthSecretPrevious:
		m.remark(never, s.place, "static-auth-secret: is a repetition")
		return
	case turn.StaticAuthSecretPrevious != "":
		m.remark(never, s.place, "static-auth-secret: is the third or a later one; Duet accepts two")
		m.warn(s.place, "static-auth-secret is left out: Duet accepts two; credentials made with this one no longer hold")
		return
	case turn.StaticAuthSecret != "":
		key = "turn.static_auth_secret_previous"
	}
	if m.put(s, key, secret) {
		if why := weak(secret, 16); why != "" {
			m.warn(s.place, "static-auth-secret is %s: make another, for example with \"openssl rand -hex 32\", here and in the apps that share it", why)
		}
	}
}

// takePeer reads ranges. What it lets through that coturn did not is told.
func (m *coturnImport) takePeer(s coturnSetting) {
	text := s.bare()
	if strings.Contains(text, "/") {
		m.warn(s.place, "%s: coturn 4.6 cannot read CIDR and ignores it; here it takes effect", s)
	}
	if r, _, ok := parseRange(text); ok && strings.Contains(text, ":") && r.First.Is4() {
		all := IPRange{netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255})}
		if r == all { // as it stands, it would be about every IPv4 peer
			m.remark(always, s.place, "%s: an IPv4 peer written as IPv6 meets the rules for IPv4", s)
			return
		}
	}
	m.put(s, s.option.key, text)
}

// takeStaleNonce reads a time, or the bare flag, which is as long as ours.
func (m *coturnImport) takeStaleNonce(s coturnSetting) {
	switch s.bare() {
	case "":
		m.remark(always, s.place, "%s: a nonce goes stale after 10 minutes", s)
	case "0":
		m.remark(never, s.place, "%s: a nonce always goes stale; see stale_nonce", s)
	default:
		m.put(s, s.option.key, s.bare())
	}
}

// takeLifetime reads a time, or the bare flag, which is as long as ours.
func (m *coturnImport) takeLifetime(s coturnSetting) {
	if s.bare() == "" {
		m.remark(always, s.place, "%s: an allocation that is not refreshed lives an hour at most", s)
		return
	}
	m.put(s, s.option.key, s.bare())
}

func (m *coturnImport) takeVerbose(s coturnSetting) {
	m.put(s, "log.level", "debug")
}

func (m *coturnImport) takeSeparator(s coturnSetting) {
	if strings.HasPrefix(s.bare(), ":") {
		m.remark(always, s.place, "%s: is the separator here", s)
		return
	}
	m.remark(never, s.place, "%s: the separator is always \":\"", s)
	m.warn(s.place, "%s: the app that makes the credentials must write \"expiry:name\", or they are refused here", s)
}
