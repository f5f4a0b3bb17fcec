package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// listener is a TCP port that the configuration opens.
type listener struct {
	key  string
	host string // "" is every address
	port int
}

func (l listener) String() string { return net.JoinHostPort(l.host, strconv.Itoa(l.port)) }

// listeners finds TCP ports that are to be opened twice: the second of them could not be.
func (f *findings) listeners(c Config) {
	all := tcpListeners(c)
	told := make(map[[2]string]bool)
	for i, one := range all {
		for _, other := range all[:i] {
			pair := [2]string{one.key, other.key}
			if one.key == other.key || told[pair] || !one.clashes(other) {
				continue
			}
			told[pair] = true
			f.add(fmt.Sprintf("%s (%s) and %s (%s) cannot share a TCP port", other.key, other, one.key, one), "give one of them another", one.key, other.key)
		}
	}
}

// tcpListeners lists the TCP ports that are open with c.
func tcpListeners(c Config) []listener {
	var all []listener
	listen := func(key, address string) {
		host, text, err := net.SplitHostPort(address)
		if port, portErr := strconv.Atoi(text); err == nil && portErr == nil && port != 0 {
			all = append(all, listener{key, host, port})
		}
	}
	turn := func(key string, port int) {
		if len(c.Turn.ListeningIP) == 0 {
			all = append(all, listener{key, "", port})
		}
		for _, addr := range c.Turn.ListeningIP {
			all = append(all, listener{key, addr.Unmap().String(), port})
		}
	}
	listen("http.listen", c.HTTP.Listen)
	listen("metrics.listen", c.Metrics.Listen)
	if c.Admin.On() {
		listen("admin.listen", c.Admin.Listen)
	}
	if c.TLS.On() {
		listen("tls.listen", c.TLS.Listen)
	}
	if c.Turn.Enabled && c.Turn.TCP {
		turn("turn.listening_port", c.Turn.ListeningPort)
	}
	if c.Turn.Enabled && c.TLS.On() && c.Turn.TLSListeningPort != 0 {
		turn("turn.tls_listening_port", c.Turn.TLSListeningPort)
	}
	return all
}

// clashes reports whether only one of both can be opened. Names are taken to be of
// different addresses unless they are the same.
func (l listener) clashes(other listener) bool {
	return l.port == other.port && (l.host == other.host || l.everywhere() || other.everywhere())
}

func (l listener) everywhere() bool {
	addr, err := netip.ParseAddr(l.host)
	return l.host == "" || err == nil && addr.IsUnspecified()
}
