package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Secret is a string that prints as "[secret]" everywhere but where Reveal is called.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret from fmt.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Duration is a time.Duration written as a string, "45s" or "12h".
type Duration time.Duration

// Std returns the standard library's form.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// IPRange is one address, a CIDR prefix or "first-last", as coturn writes peers.
type IPRange struct{ First, Last netip.Addr }

// Contains reports whether addr, unmapped, lies in the range.
func (r IPRange) Contains(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.BitLen() == r.First.BitLen() && r.First.Compare(addr) <= 0 && addr.Compare(r.Last) <= 0
}

// Prefix is a CIDR prefix, or one address.
type Prefix = netip.Prefix

// ExternalIPs is the value of external_ip.
type ExternalIPs struct {
	// Auto is set for "auto": the relay works the addresses out.
	Auto bool
	// Pairs are the addresses given, at most one for each local address.
	Pairs []ExternalIP
}

// ExternalIP maps the relay's local address to the one that the world sees.
type ExternalIP struct {
	Public netip.Addr
	// Private is the local address that Public stands for. The zero Addr
	// means every local address of Public's family.
	Private netip.Addr
}

func (e ExternalIP) String() string {
	if !e.Private.IsValid() {
		return e.Public.String()
	}
	return fmt.Sprintf("%s/%s", e.Public, e.Private)
}
