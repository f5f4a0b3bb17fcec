package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// alternateListeners are what NAT discovery (RFC 5780) needs beside listening_ip and
// listening_port. An alternate port alone is one more port.
func (f *findings) alternateListeners(t Turn) {
	const ips, ports = "turn.alt_listening_ip", "turn.alt_listening_port"
	f.between(ports, t.AltListeningPort, 0, maxPort)
	switch port := t.AltListeningPort; {
	case port == 0 && len(t.AltListeningIP) > 0:
		f.add("alt_listening_ip without a second port: alt_listening_port is 0", "set it, 3479 is usual, or leave alt_listening_ip out", ips, ports)
	case port == 0:
	case port == t.ListeningPort:
		f.add(fmt.Sprintf("alt_listening_port %d is listening_port, too", port), "choose another", ports, "turn.listening_port")
	case t.DTLS && port == t.TLSListeningPort:
		f.add(fmt.Sprintf("alt_listening_port %d is tls_listening_port, too, where dtls listens", port), "choose another", ports, "turn.tls_listening_port", "turn.dtls")
	case t.MinPort <= port && port <= t.MaxPort:
		f.add(fmt.Sprintf("alt_listening_port %d is among the relay ports, %d to %d", port, t.MinPort, t.MaxPort),
			"choose one outside", ports, "turn.min_port", "turn.max_port")
	}
	f.addresses(ips, t.AltListeningIP)
	if len(t.AltListeningIP) == 0 {
		return
	}
	if len(t.ListeningIP) == 0 {
		f.add("alt_listening_ip without listening_ip", "name the addresses in listening_ip that these are the partners of", ips, "turn.listening_ip")
		return
	}
	if slices.ContainsFunc(t.ListeningIP, netip.Addr.IsUnspecified) {
		f.add("alt_listening_ip beside a listening_ip that is every address of a family", "name single addresses in listening_ip", ips, "turn.listening_ip")
		return
	}
	without := make(map[int]int) // addresses without a partner, by family
	for _, addr := range t.ListeningIP {
		without[addr.BitLen()]++
	}
	for i, addr := range t.AltListeningIP {
		without[addr.BitLen()]--
		switch {
		case addr.IsUnspecified():
			f.add(fmt.Sprintf("%q is not an address of this machine", addr), "", elementKey(ips, i))
		case slices.Contains(t.ListeningIP, addr):
			f.add(fmt.Sprintf("%q is in listening_ip, too", addr), "a partner must be another address", elementKey(ips, i), "turn.listening_ip")
		case without[addr.BitLen()] < 0:
			f.add(fmt.Sprintf("%q has no partner: listening_ip names fewer %s addresses", addr, family(addr)),
				"each is the partner of one, in the same order", elementKey(ips, i), "turn.listening_ip")
		}
		f.alternateExternal(elementKey(ips, i), addr, t.ExternalIP.Pairs)
	}
}

// alternateExternal: behind a NAT, clients must be told apart the public addresses of the two.
func (f *findings) alternateExternal(key string, addr netip.Addr, pairs []ExternalIP) {
	for _, pair := range pairs {
		of := pair.Public
		if pair.Private.IsValid() {
			of = pair.Private
		}
		switch {
		case of.IsValid() && of.BitLen() != addr.BitLen():
		case !pair.Private.IsValid():
			f.add(fmt.Sprintf("%q has the same external_ip as its partner, %q", addr, pair),
				fmt.Sprintf(`write "public/private" for each, one of them "public/%s"`, addr), key, "turn.external_ip")
			return
		case pair.Private == addr && pair.Name != "":
			f.add(fmt.Sprintf("%q: names are not looked up for alt_listening_ip", pair), fmt.Sprintf(`write "public/%s"`, addr), key, "turn.external_ip")
			return
		case pair.Private == addr:
			return
		}
	}
	if slices.ContainsFunc(pairs, func(p ExternalIP) bool { return p.Private.BitLen() == addr.BitLen() }) {
		f.add(fmt.Sprintf("external_ip does not say what the world sees in place of %q", addr), fmt.Sprintf(`add "public/%s"`, addr), key, "turn.external_ip")
	}
}
