package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/duetcall/duet/addrlimit"
	"github.com/duetcall/duet/relay/peerpolicy"
)

// How many lines a second clients can make us write. A refusal's class is its reason: no
// class hides another, and none about one source hides those about others. In no second
// are there more than 20 lines about refusals.
const (
	refusalLines      = 15
	refusalLinesBurst = 5
	// failureLines, peerLines and all otherLines together make refusalLines.
	failureLines = 5
	peerLines    = 2
	otherLines   = rate.Limit(8) / rate.Limit(refusalCount)

	sourceLines = 2 // about one source

	endLines      = 50
	endLinesBurst = 1000
	sourceEnds    = 10 * time.Second // of sourceLines at once, when a whole office goes home
	logSources    = 1 << 14          // of each table: 128 KiB
)

// quietLog keeps the log readable whatever arrives: lines that clients can
// provoke are limited, and the next line of a class says how many were left out.
type quietLog struct {
	*slog.Logger
	refusals *rate.Limiter           // in all
	classes  [refusalCount]lineClass // by reason
	ends     lineClass
}

// lineClass limits the lines about one thing.
type lineClass struct {
	all     *rate.Limiter
	sources *addrlimit.Rate
	omitted atomic.Uint64
}

func newQuietLog(log *slog.Logger) *quietLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	q := &quietLog{Logger: log, refusals: rate.NewLimiter(refusalLines, refusalLinesBurst)}
	// Nobody who guesses passwords hides that behind other lines about the same source.
	failures, others := addrlimit.NewRate(sourceLines, time.Second, logSources), addrlimit.NewRate(sourceLines, time.Second, logSources)
	failing := rate.NewLimiter(failureLines, failureLines)
	for reason := RefusedMalformed; reason < refusalCount; reason++ {
		class := &q.classes[reason]
		class.all, class.sources = rate.NewLimiter(otherLines, 1), others
		switch {
		case reason.suspicious():
			class.all, class.sources = failing, failures
		case reason == RefusedPeer:
			class.all = rate.NewLimiter(peerLines, peerLines)
		}
	}
	q.ends.all, q.ends.sources = rate.NewLimiter(endLines, endLinesBurst), addrlimit.NewRate(sourceLines*int(sourceEnds/time.Second), sourceEnds, logSources)
	return q
}

// allow reports whether a line may be written. It is asked before the line is
// composed: most are never written.
func (c *lineClass) allow(client netip.AddrPort) bool {
	return c.sources.Take(client.Addr(), time.Now()) && c.all.Allow()
}

// withOmitted adds how many lines of the class were left out since the last one.
func (c *lineClass) withOmitted(attrs []slog.Attr) []slog.Attr {
	if omitted := c.omitted.Swap(0); omitted > 0 {
		attrs = append(attrs, slog.Uint64("omitted", omitted))
	}
	return attrs
}

// class returns that of a refusal if a line about it may be written now, or nil.
func (q *quietLog) class(client netip.AddrPort, reason Refusal) *lineClass {
	class := &q.classes[reason]
	if class.allow(client) && q.refusals.Allow() {
		return class
	}
	class.omitted.Add(1)
	return nil
}

// peerRefused says which rule forbids a peer. Without it, an operator whose
// calls do not connect has nothing to go by.
func (q *quietLog) peerRefused(client netip.AddrPort, user user, peer netip.AddrPort, rule peerpolicy.Rule) {
	if class := q.class(client, RefusedPeer); class != nil {
		q.LogAttrs(context.Background(), slog.LevelInfo, "peer refused", class.withOmitted([]slog.Attr{
			slog.Any("client", client), slog.String("user", user.name),
			slog.Any("peer", peer), slog.String("reason", string(rule)),
		})...)
	}
}

// refused says why a client that showed a credential got an error. The user is named only
// if the credential was right. docs/metrics.md tells fail2ban what to look for.
func (q *quietLog) refused(client netip.AddrPort, user user, reason Refusal) {
	ctx, level := context.Background(), slog.LevelInfo
	switch {
	case reason.suspicious():
		level = slog.LevelWarn
	case reason.ordinary():
		level = slog.LevelDebug
	}
	if !q.Enabled(ctx, level) {
		return
	}
	class := q.class(client, reason)
	if class == nil {
		return
	}
	attrs := class.withOmitted([]slog.Attr{
		slog.Any("client", client), slog.String("user", user.name),
		slog.Int("code", reason.Code()), slog.String("reason", reason.String()),
	})
	if reason.suspicious() {
		q.LogAttrs(ctx, level, "authentication failed", attrs...)
	} else {
		q.LogAttrs(ctx, level, "request refused", attrs...)
	}
}

// allocationEnded sums an allocation up.
func (q *quietLog) allocationEnded(a *allocation, reason End) {
	if !q.ends.allow(a.client) {
		q.ends.omitted.Add(1)
		return
	}
	q.LogAttrs(context.Background(), slog.LevelInfo, "allocation ended", q.ends.withOmitted([]slog.Attr{
		slog.Any("client", a.client), slog.Any("relayed", a.relayed), slog.String("user", a.user.name),
		slog.String("transport", a.shard.transport), slog.String("family", familyName(a.local.Addr().Is4())),
		slog.String("duration", time.Since(a.began).Round(time.Millisecond).String()),
		slog.Uint64("bytes_from_client", a.up.relayed.bytes.Load()),
		slog.Uint64("bytes_from_peers", a.fromPeers.bytes.Load()),
		slog.String("reason", reason.String()),
	})...)
}
