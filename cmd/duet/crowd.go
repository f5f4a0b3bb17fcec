package main

import (
	"net"
	"net/netip"
	"sync"

	"github.com/duetcall/duet/relay"
)

// crowd bounds how many there are at once, in all and from one source (an IPv4 address,
// an IPv6 /64), so that no source has the room of all.
type crowd struct {
	most, mostPerSource int

	mu      sync.Mutex
	total   int
	sources map[netip.Prefix]int
}

func newCrowd(most, mostPerSource int) *crowd {
	return &crowd{most: most, mostPerSource: mostPerSource, sources: make(map[netip.Prefix]int)}
}

// enter counts one in until leave is called, unless there are too many.
func (c *crowd) enter(from net.Addr) (leave func(), ok bool) {
	var source netip.Prefix
	if tcp, ok := from.(*net.TCPAddr); ok {
		source = relay.SourceOf(tcp.AddrPort().Addr().Unmap())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= c.most || c.sources[source] >= c.mostPerSource {
		return nil, false
	}
	c.total++
	c.sources[source]++
	return func() { c.leave(source) }, true
}

func (c *crowd) leave(source netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.sources[source]--; c.sources[source] == 0 {
		delete(c.sources, source)
	}
}
