package relay

import (
	"net/netip"
	"slices"
	"time"
)

// Permissions last 300 s (RFC 8656 section 9) and channel bindings 600 s (section 12).
const (
	permissionLifetime = 5 * time.Minute
	channelLifetime    = 10 * time.Minute
)

// routes say where the packets of one allocation may go: channel → peer, peer →
// channel, and which peers have a permission. They are immutable: a request makes
// new ones, and packets read the current ones through an atomic pointer. They are
// few, mostly one or two: looking through a slice of 64 beats maps and binary search.
//
// Times are on the relay's clock (Server.clock). What has lapsed is as good as gone,
// and forgotten when routes are made anew.
type routes struct {
	permissions []permission
	channels    []channel
}

type permission struct {
	addr   netip.Addr
	lapses time.Duration
}

type channel struct {
	number uint16
	peer   netip.AddrPort
	lapses time.Duration
}

var noRoutes = &routes{}

// permits reports whether packets may pass to and from all ports of addr.
func (r *routes) permits(addr netip.Addr, now time.Duration) bool {
	for i := range r.permissions {
		if p := &r.permissions[i]; p.addr == addr {
			return now < p.lapses
		}
	}
	return false
}

// peer returns what a channel is bound to.
func (r *routes) peer(number uint16, now time.Duration) (peer netip.AddrPort, bound bool) {
	for i := range r.channels {
		if c := &r.channels[i]; c.number == number {
			return c.peer, now < c.lapses
		}
	}
	return peer, false
}

// channel returns the channel that is bound to a peer.
func (r *routes) channel(peer netip.AddrPort, now time.Duration) (number uint16, bound bool) {
	for i := range r.channels {
		if c := &r.channels[i]; c.peer == peer {
			return c.number, now < c.lapses
		}
	}
	return 0, false
}

// admitsPeers reports whether permissions for these peers, too, make no more than most.
// Those there are may always be refreshed: a reload may have made most smaller.
func (r *routes) admitsPeers(peers []netip.AddrPort, most int, now time.Duration) bool {
	count, more := 0, false
	for _, p := range r.permissions {
		if now < p.lapses {
			count++
		}
	}
	for i, peer := range peers {
		if !r.permits(peer.Addr(), now) && !containsAddr(peers[:i], peer.Addr()) {
			count++
			more = true
		}
	}
	return !more || count <= most
}

// admitsChannel reports whether this channel, too, makes no more than most. One that
// is bound may always be refreshed.
func (r *routes) admitsChannel(number uint16, most int, now time.Duration) bool {
	count := 0
	for _, c := range r.channels {
		switch {
		case now >= c.lapses:
		case c.number == number:
			return true
		default:
			count++
		}
	}
	return count < most
}

// permit returns the routes with permissions for peers, new or refreshed.
func (r *routes) permit(peers []netip.AddrPort, now time.Duration) *routes {
	next := r.current(now)
	for _, peer := range peers {
		next.permissions = slices.DeleteFunc(next.permissions, func(p permission) bool { return p.addr == peer.Addr() })
		next.permissions = append(next.permissions, permission{peer.Addr(), now + permissionLifetime})
	}
	return next
}

// bind returns the routes with a channel, new or refreshed, and the permission that
// comes with it (RFC 8656 section 12.2). The engine has seen to it that neither
// number nor peer is bound otherwise; should its clock be ahead of ours, the new
// binding replaces the old.
func (r *routes) bind(number uint16, peer netip.AddrPort, now time.Duration) *routes {
	next := r.permit([]netip.AddrPort{peer}, now)
	next.channels = slices.DeleteFunc(next.channels, func(c channel) bool { return c.number == number || c.peer == peer })
	next.channels = append(next.channels, channel{number, peer, now + channelLifetime})
	return next
}

// current returns a copy without what has lapsed.
func (r *routes) current(now time.Duration) *routes {
	return &routes{
		permissions: slices.DeleteFunc(slices.Clone(r.permissions), func(p permission) bool { return now >= p.lapses }),
		channels:    slices.DeleteFunc(slices.Clone(r.channels), func(c channel) bool { return now >= c.lapses }),
	}
}

// holdings are how many permissions and channels there are.
type holdings struct{ permissions, channels int }

func (h *holdings) add(more holdings) {
	h.permissions += more.permissions
	h.channels += more.channels
}

// count returns what has not lapsed.
func (r *routes) count(now time.Duration) (held holdings) {
	for i := range r.permissions {
		if now < r.permissions[i].lapses {
			held.permissions++
		}
	}
	for i := range r.channels {
		if now < r.channels[i].lapses {
			held.channels++
		}
	}
	return held
}

func containsAddr(peers []netip.AddrPort, addr netip.Addr) bool {
	return slices.ContainsFunc(peers, func(p netip.AddrPort) bool { return p.Addr() == addr })
}
