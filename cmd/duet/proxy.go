package main

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// behindProxies gives every request the address of the client that really sent it: for
// requests from a trusted proxy, the rightmost address in X-Forwarded-For that is not
// itself trusted. What stands further left was written by the client and proves
// nothing. forgotten is told, once, of a neighbour that seems to be a proxy and is not
// trusted: all its clients are one to us.
func behindProxies(trusted func() []netip.Prefix, forgotten func(netip.Addr), next http.Handler) http.Handler {
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, ok := clientAddr(trusted(), r); ok {
			r.RemoteAddr = client.String() // a request is ours alone to change
		} else if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && isNeighbour(peer.Addr()) && r.Header.Get("X-Forwarded-For") != "" {
			once.Do(func() { forgotten(peer.Addr().Unmap()) })
		}
		next.ServeHTTP(w, r)
	})
}

// isNeighbour reports whether an address is of this machine or of a network near it.
func isNeighbour(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
}

// clientAddr returns the client's address with port 0, or false if the request did
// not come through a trusted proxy.
func clientAddr(trusted []netip.Prefix, r *http.Request) (netip.AddrPort, bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !contains(trusted, peer.Addr()) {
		return netip.AddrPort{}, false
	}
	client := peer.Addr()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, client); i-- {
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok { // a trusted proxy wrote something else: what is left of it is no better
			break
		}
		client = hop
	}
	return netip.AddrPortFrom(client.Unmap(), 0), true
}

// parseHop reads an address with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr(), true
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr.WithZone(""), err == nil
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
