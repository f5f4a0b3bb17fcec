package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// heard is what others say of the external address of a local one.
type heard struct {
	addr netip.Addr // invalid: nothing of use
	from string     // whose word it is: a STUN server, or a name in DNS
	// trouble says in words what is wrong with that, or is empty.
	trouble string
	// remapped: a NAT on the way chose another port.
	remapped bool
}

// keep is h once more, with what came of asking again.
func (h heard) keep(trouble string) heard {
	if h.addr.IsValid() {
		trouble += "; keeping " + h.addr.String()
	}
	h.trouble = trouble
	return h
}

// resolution is what a name resolved to.
type resolution struct {
	addrs []netip.Addr
	err   error
}

// hearName takes the addresses that a name resolves to now, of the family of the local
// address. The one in use is kept while it is listed: DNS servers deal their answers out
// in turns. Unless optional, a name without any is in trouble.
func hearName(before heard, name string, relay netip.Addr, now resolution, optional bool) heard {
	if before.from != name {
		before = heard{from: name}
	}
	if now.err != nil {
		return before.keep("can't resolve " + name + " (" + lookupProblem(now.err) + ")")
	}
	var listed, useless []netip.Addr
	for _, addr := range now.addrs {
		switch addr = addr.Unmap(); {
		case addr.Is4() != relay.Is4():
		case !addr.IsGlobalUnicast() && (!addr.IsLoopback() || !relay.IsLoopback()):
			useless = append(useless, addr)
		default:
			listed = append(listed, addr)
		}
	}
	switch {
	case slices.Contains(listed, before.addr):
		return heard{addr: before.addr, from: name}
	case len(listed) > 0:
		return heard{addr: listed[0], from: name}
	case len(useless) > 0:
		return before.keep(fmt.Sprintf("%s is %s, which is not how others reach this machine (see /etc/hosts)", name, useless[0]))
	case optional && !before.addr.IsValid():
		return before
	case relay.Is4():
		return before.keep(name + " has no IPv4 address")
	default:
		return before.keep(name + " has no IPv6 address")
	}
}

// lookupProblem leaves out what a resolver repeats, and its address.
func lookupProblem(err error) string {
	var failed *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &failed) && failed.IsTimeout:
		return "no answer from DNS"
	case failed != nil && failed.IsNotFound:
		return "no such name"
	case failed != nil:
		return failed.Err
	default:
		return err.Error()
	}
}

// weigh takes the answers of STUN servers. Where they differ the majority counts, then
// what was believed before, then the order of the list: one server that lies does not
// decide, and nothing swings to and fro.
func weigh(before heard, answers []stunAnswer) heard {
	var good []stunAnswer
	var silent, odd []string
	for _, answer := range answers {
		switch addr := answer.mapped.Addr(); {
		case errors.Is(answer.err, errOthersFaster):
		case answer.err != nil:
			silent = append(silent, answer.server.Host+" "+answer.err.Error())
		case !global(addr):
			odd = append(odd, fmt.Sprintf("%s sees %s, which is not public: it is inside this network, or another NAT follows", answer.server.Host, addr))
		default:
			good = append(good, answer)
		}
	}
	if len(good) == 0 {
		return before.keep(join(append(odd, silent...)...))
	}
	votes := func(addr netip.Addr) (n int) {
		for _, answer := range good {
			if answer.mapped.Addr() == addr {
				n++
			}
		}
		return n
	}
	best := slices.MaxFunc(good, func(a, b stunAnswer) int { // the first of equals
		at, bt := a.mapped.Addr(), b.mapped.Addr()
		return 2*(votes(at)-votes(bt)) + truth(at == before.addr) - truth(bt == before.addr)
	})
	for _, answer := range good {
		if addr := answer.mapped.Addr(); addr != best.mapped.Addr() {
			odd = append(odd, fmt.Sprintf("%s sees %s, but %s sees %s", best.server.Host, best.mapped.Addr(), answer.server.Host, addr))
		}
	}
	return heard{
		addr:     best.mapped.Addr(),
		from:     best.server.Host,
		trouble:  join(odd...),
		remapped: best.mapped.Port() != best.localPort,
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// join makes one text of those that are not empty.
func join(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), "; ")
}
