package config

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// textWanted says what a string must be to become the type that target points to.
// It returns "" for a type that is not written as a string.
func textWanted(target any) string {
	switch target.(type) {
	case *string, *Secret, *Path:
		return "a string"
	case *Duration:
		return `a duration such as "45s" or "12h"`
	case *netip.Addr:
		return "an IP address"
	case *netip.AddrPort:
		return `an IP address and a port, "192.0.2.1:3478"`
	case *Prefix:
		return "an IP address or a CIDR prefix"
	case *IPRange:
		return `an IP address, a CIDR prefix or "first-last"`
	case *ExternalIPs:
		return `"auto", an IP address, "public/private", "dns:name" or a list of these`
	case *STUNServer:
		return `a STUN server, "host:port"`
	}
	return ""
}

func isText(target reflect.Value) bool { return textWanted(target.Addr().Interface()) != "" }

// parseText sets what target points to from a string. When the string does not fit,
// the hint is what to write instead, if that can be guessed. ExternalIPs grows by one.
func parseText(target any, text string) (hint string, ok bool) {
	switch v := target.(type) {
	case *string:
		*v, ok = text, true
	case *Secret:
		*v, ok = Secret(text), true
	case *Path:
		*v, ok = Path(text), true
	case *Duration:
		*v, hint, ok = parseDuration(text)
	case *netip.Addr:
		if *v, ok = parseAddr(text); !ok && strings.Contains(text, "%") {
			hint = "clients cannot be told a zone: name an address without one, not a link-local one"
		}
	case *netip.AddrPort:
		*v, hint, ok = parseAddrPort(text)
	case *Prefix:
		*v, hint, ok = parsePrefix(text)
	case *IPRange:
		*v, hint, ok = parseRange(text)
	case *ExternalIPs:
		if text == "auto" {
			v.Auto = true
			return "", true
		}
		var pair ExternalIP
		if pair, ok = parseExternal(text); ok {
			v.Pairs = append(v.Pairs, pair)
		} else {
			hint = externalHint(text)
		}
	case *STUNServer:
		*v, ok = parseSTUNServer(text)
	}
	return hint, ok
}

func parseDuration(text string) (d Duration, hint string, ok bool) {
	std, err := time.ParseDuration(text)
	if err == nil {
		return Duration(std), "", true
	}
	if number, err := strconv.Atoi(strings.TrimSuffix(text, "d")); err == nil {
		if strings.HasSuffix(text, "d") && number > 0 && number < 10_000 {
			return 0, fmt.Sprintf(`did you mean "%dh"?`, number*24), false
		}
		return 0, fmt.Sprintf("did you mean %s?", quote(text+"s")), false
	}
	return 0, "the units are h, m, s and ms", false
}

// parseAddr reads an address. Zones are refused: none of our keys has a use for them.
func parseAddr(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// parseAddrPort reads "address:port", with brackets around an IPv6 address. Names are
// refused: a STUN message carries addresses.
func parseAddrPort(text string) (at netip.AddrPort, hint string, ok bool) {
	at, err := netip.ParseAddrPort(text)
	if err == nil && at.Addr().Zone() == "" {
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), "", true
	}
	if addr, ok := parseAddr(strings.Trim(text, "[]")); ok {
		hint = fmt.Sprintf("did you mean %q?", netip.AddrPortFrom(addr, 3478))
	}
	return netip.AddrPort{}, hint, false
}

func parsePrefix(text string) (p Prefix, hint string, ok bool) {
	if addr, ok := parseAddr(text); ok {
		return netip.PrefixFrom(addr, addr.BitLen()), "", true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return Prefix{}, "", false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() { // 10.1.2.3/8 may mean the host or the network
		return Prefix{}, fmt.Sprintf("did you mean %q or %q?", p.Masked(), p.Addr()), false
	}
	return p, "", true
}

func parseRange(text string) (r IPRange, hint string, ok bool) {
	if from, to, isRange := strings.Cut(text, "-"); isRange {
		first, ok1 := parseAddr(strings.TrimSpace(from))
		last, ok2 := parseAddr(strings.TrimSpace(to))
		switch {
		case !ok1 || !ok2:
			return IPRange{}, "", false
		case first.BitLen() != last.BitLen():
			return IPRange{}, "both ends must be of one family", false
		case last.Less(first):
			return IPRange{}, fmt.Sprintf(`did you mean "%s-%s"?`, last, first), false
		}
		return IPRange{first, last}, "", true
	}
	p, hint, ok := parsePrefix(text)
	if !ok {
		return IPRange{}, hint, false
	}
	return IPRange{p.Addr(), lastAddr(p)}, "", true
}

func parseExternal(text string) (e ExternalIP, ok bool) {
	public, private, isPair := strings.Cut(text, "/")
	if name, isName := strings.CutPrefix(public, dnsPrefix); isName {
		e.Name, ok = name, isHostName(name)
	} else {
		e.Public, ok = parseAddr(public)
	}
	if ok && isPair {
		e.Private, ok = parseAddr(private)
	}
	return e, ok
}

func externalHint(text string) string {
	if hint := didYouMean(text, []string{"auto"}); hint != "" {
		return hint
	}
	if name, _, _ := strings.Cut(text, "/"); isHostName(name) && strings.Contains(name, ".") {
		return fmt.Sprintf("did you mean %s?", quote(dnsPrefix+text))
	}
	return ""
}

// isHostName reports whether name may be a host's, and is no address.
func isHostName(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && validHost(name) && len(name) <= maxHostName && strings.ContainsFunc(name, unicode.IsLetter)
}

// parseSTUNServer reads "host:port", or a stun URI (RFC 7064).
func parseSTUNServer(text string) (s STUNServer, ok bool) {
	s = STUNServer{Host: strings.TrimPrefix(text, "stun:"), Port: DefaultSTUNPort}
	if host, port, err := net.SplitHostPort(s.Host); err == nil {
		if s.Port, err = strconv.Atoi(port); err != nil || s.Port < 1 || s.Port > maxPort {
			return STUNServer{}, false
		}
		s.Host = host
	} else if bare, bracketed := strings.CutPrefix(s.Host, "["); bracketed {
		s.Host = strings.TrimSuffix(bare, "]")
	}
	if _, isAddr := parseAddr(s.Host); !isAddr && !isHostName(s.Host) {
		return STUNServer{}, false
	}
	return s, true
}
