package config

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Secret is a string that prints as "[secret]" everywhere but where Reveal is called.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret. The empty Secret prints as nothing, so that one sees it is not set.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// Format hides the secret from every verb of fmt: with String alone, %d would print it.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoding/json and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Path is that of a file. A relative one in the configuration file starts at the
// directory of that.
type Path string

// String returns the path.
func (p Path) String() string { return string(p) }

// Duration is a time.Duration written as a string, "45s" or "12h".
type Duration time.Duration

// Std returns the standard library's form.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes "12h" where time.Duration writes "12h0m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Prefix is a CIDR prefix, or one address.
type Prefix = netip.Prefix

// IPRange is one address, a CIDR prefix or "first-last", as coturn writes peers.
// IPv4 addresses inside IPv6 ("::ffff:192.0.2.1") are held as IPv4.
type IPRange struct{ First, Last netip.Addr }

// Contains reports whether addr, unmapped, lies in the range.
func (r IPRange) Contains(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.BitLen() == r.First.BitLen() && r.First.Compare(addr) <= 0 && addr.Compare(r.Last) <= 0
}

// String writes the range in the shortest form that reads back as the same range.
func (r IPRange) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	for bits := range r.First.BitLen() {
		prefix := netip.PrefixFrom(r.First, bits)
		if prefix.Masked() == prefix && lastAddr(prefix) == r.Last {
			return prefix.String()
		}
	}
	return fmt.Sprintf("%s-%s", r.First, r.Last)
}

// lastAddr returns the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// ExternalIPs is the value of external_ip. The zero value means that the relay's
// own addresses are the ones to see.
type ExternalIPs struct {
	// Auto is set for "auto": the relay works the addresses out.
	Auto bool
	// Pairs are the addresses given, at most one for each local address.
	Pairs []ExternalIP
}

// String writes the addresses as they are in the file, separated by commas.
func (e ExternalIPs) String() string { return strings.Join(e.items(), ", ") }

// items returns each address as it is in the file.
func (e ExternalIPs) items() []string {
	var items []string
	if e.Auto {
		items = append(items, "auto")
	}
	for _, pair := range e.Pairs {
		items = append(items, pair.String())
	}
	return items
}

// ExternalIP maps the relay's local address to the one that the world sees.
type ExternalIP struct {
	// Public is that address, unless Name is set.
	Public netip.Addr
	// Private is the local address that Public or Name stands for. The zero Addr
	// means every local address: of Public's family, or of both.
	Private netip.Addr
	// Name is the host whose addresses are the public ones.
	Name string
}

// dnsPrefix marks a name among addresses.
const dnsPrefix = "dns:"

// String writes "public", "public/private" or "dns:name/private".
func (e ExternalIP) String() string {
	public := dnsPrefix + e.Name
	if e.Name == "" {
		public = e.Public.String()
	}
	if !e.Private.IsValid() {
		return public
	}
	return fmt.Sprintf("%s/%s", public, e.Private)
}

// STUNServer is a server that answers Binding requests over UDP.
type STUNServer struct {
	Host string // a name or an address
	Port int
}

// DefaultSTUNPort is that of RFC 8489 section 18.6.
const DefaultSTUNPort = 3478

// String writes "host:port".
func (s STUNServer) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }
