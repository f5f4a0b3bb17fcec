package relay

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/duetcall/duet/config"
)

// How often what may change is looked at again: interfaces, names and what STUN servers
// could not say each time, what they did say less often.
const (
	recheckInterval = time.Minute
	stunInterval    = 5 * time.Minute
)

// follower finds the relay's addresses and follows their changes. It belongs to New,
// then to the goroutine that run is called on.
type follower struct {
	cfg      config.Turn
	log      *slog.Logger
	interval time.Duration // between two looks

	// The world, which tests replace.
	inspect func() machine
	usable  func(local netip.Addr) error
	lookup  lookupFunc
	ask     func(ctx context.Context, local netip.Addr, servers []config.STUNServer, lookup lookupFunc) []stunAnswer

	followed []followed // as many as there were at the start, IPv4 first
}

// followed is what is known of one local address.
type followed struct {
	place
	name, seen heard
	asked      time.Time // STUN servers, last
	// lost says that the place could not be updated, and why.
	lost    string
	address Address
}

func newFollower(cfg config.Turn, log *slog.Logger) *follower {
	return &follower{
		cfg: cfg, log: log, interval: recheckInterval,
		inspect: inspect, usable: usable, ask: askSTUN,
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
}

// start finds the addresses. It takes askTimeout at most. Its errors name the key to
// change; what only others do not know is a warning.
func (f *follower) start() (machine, error) {
	m := f.inspect()
	places, err := m.places(f.cfg)
	if err != nil {
		return m, err
	}
	for _, at := range places {
		if err := f.usable(at.addr); err != nil {
			return m, err
		}
		f.followed = append(f.followed, followed{place: at})
	}
	f.listen(context.Background())
	f.describe()
	return m, nil
}

// run looks again and again, and passes what it finds to publish, until ctx ends.
func (f *follower) run(ctx context.Context, publish func([]Address, machine)) {
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m := f.inspect()
		f.move(m)
		f.listen(ctx)
		if ctx.Err() != nil {
			return // what it heard was cut short
		}
		f.report(f.describe())
		publish(f.addresses(), m)
	}
}

func (f *follower) addresses() []Address {
	addresses := make([]Address, len(f.followed))
	for i := range f.followed {
		addresses[i] = f.followed[i].address
	}
	return addresses
}

// move follows the machine to another local address. A family that has none any more,
// or only loopback, keeps the one that it had: the network may come back.
func (f *follower) move(m machine) {
	places, err := m.places(f.cfg)
	for i := range f.followed {
		was := &f.followed[i]
		was.lost = ""
		at := slices.IndexFunc(places, func(p place) bool { return p.addr.Is4() == was.addr.Is4() })
		switch {
		case err != nil, at < 0, places[at].source == sourceLoopback && was.source != sourceLoopback:
			was.lost = "the network is down: " + was.addr.String() + " was the last address to relay on"
		case places[at].addr == was.addr:
			was.place = places[at]
		default:
			if err := f.usable(places[at].addr); err != nil {
				was.lost = err.Error()
				continue
			}
			// The NAT's mapping was of the other local address; a name is the same.
			*was = followed{place: places[at], name: was.name, address: was.address}
		}
	}
}

// listen hears what names resolve to and, when it is time, what STUN servers see: all at
// once, because the start waits for it.
func (f *follower) listen(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var names []string
	for i := range f.followed {
		if pair := f.followed[i].pair; pair != nil && pair.Name != "" && !slices.Contains(names, pair.Name) {
			names = append(names, pair.Name)
		}
	}
	resolved := make([]resolution, len(names))
	answers := make([][]stunAnswer, len(f.followed))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() { resolved[i].addrs, resolved[i].err = f.lookup(ctx, name) })
	}
	for i := range f.followed {
		if at := &f.followed[i]; f.asksNow(at) {
			at.asked = time.Now()
			asking.Go(func() { answers[i] = f.ask(ctx, at.addr, f.cfg.STUNServers, f.lookup) })
		}
	}
	asking.Wait()
	for i := range f.followed {
		at := &f.followed[i]
		if pair := at.pair; pair != nil && pair.Name != "" {
			optional := !pair.Private.IsValid() && len(f.followed) > 1
			at.name = hearName(at.name, pair.Name, at.addr, resolved[slices.Index(names, pair.Name)], optional)
		}
		if answers[i] != nil {
			at.seen = weigh(at.seen, answers[i])
		}
	}
}

// asksNow reports whether the STUN servers' word is missing, doubtful or old.
func (f *follower) asksNow(at *followed) bool {
	return at.asksSTUN(f.cfg) && (!at.seen.addr.IsValid() || at.seen.trouble != "" || time.Since(at.asked) >= stunInterval)
}

// describe settles every address, and returns those of before.
func (f *follower) describe() (before []Address) {
	before = f.addresses()
	for i := range f.followed {
		at := &f.followed[i]
		at.address = at.place.describe(f.cfg, at.name, at.seen)
		at.address.Warning = join(at.lost, at.address.Warning)
	}
	return before
}

// report writes a line for what changed, and none for what did not.
func (f *follower) report(before []Address) {
	for i, was := range before {
		now := f.followed[i].address
		switch {
		case now.External != was.External || now.Relay != was.Relay:
			attrs := []any{"from", was.External, "to", now.External, "relay", now.Relay, "how", now.How}
			if now.Warning == "" {
				f.log.Info("external address changed", attrs...)
			} else {
				f.log.Warn("external address changed", append(attrs, "reason", now.Warning)...)
			}
		case now.Warning == was.Warning:
		case now.Warning != "":
			f.log.Warn("external address", "external", now.External, "how", now.How, "reason", now.Warning)
		default:
			f.log.Info("external address is well again", "external", now.External, "how", now.How)
		}
	}
}
