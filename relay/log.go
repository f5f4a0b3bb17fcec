package relay

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/duetcall/duet/relay/peerpolicy"
)

// What strangers and members may make us write: in all, and about one source, so that
// the loudest does not hide the others.
const (
	refusalLinesPerSecond = 20
	sourceLinesPerSecond  = 2
	endLinesPerSecond     = 100
	endLinesBurst         = 1000
)

// quietLog keeps the log readable whatever arrives: lines that clients can
// provoke are limited, and the next line says how many were left out.
type quietLog struct {
	*slog.Logger
	refusals, ends limitedLines
	sources        *limiter
}

type limitedLines struct {
	limiter *rate.Limiter
	omitted atomic.Uint64
}

func newQuietLog(log *slog.Logger) *quietLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	q := &quietLog{Logger: log, sources: newLimiter(sourceLinesPerSecond, sources)}
	q.refusals.limiter = rate.NewLimiter(refusalLinesPerSecond, refusalLinesPerSecond)
	q.ends.limiter = rate.NewLimiter(endLinesPerSecond, endLinesBurst)
	return q
}

// allow reports whether a line may be written. It is asked before the line is
// composed: most are never written.
func (l *limitedLines) allow() bool {
	allowed := l.limiter.Allow()
	if !allowed {
		l.omitted.Add(1)
	}
	return allowed
}

// withOmitted adds how many lines were left out since the last one.
func (l *limitedLines) withOmitted(attrs []slog.Attr) []slog.Attr {
	if omitted := l.omitted.Swap(0); omitted > 0 {
		attrs = append(attrs, slog.Uint64("omitted", omitted))
	}
	return attrs
}

// about reports whether a line about a refusal to that client may be written.
func (q *quietLog) about(client netip.AddrPort) bool {
	if !q.sources.take(client.Addr(), time.Now()) {
		q.refusals.omitted.Add(1)
		return false
	}
	return q.refusals.allow()
}

// peerRefused says which rule forbids a peer. Without it, an operator whose
// calls do not connect has nothing to go by.
func (q *quietLog) peerRefused(client netip.AddrPort, user user, peer netip.AddrPort, rule peerpolicy.Rule) {
	if q.about(client) {
		q.LogAttrs(context.Background(), slog.LevelInfo, "peer refused", q.refusals.withOmitted([]slog.Attr{
			slog.Any("client", client), slog.String("user", user.name),
			slog.Any("peer", peer), slog.String("reason", string(rule)),
		})...)
	}
}

// refused says why a client that showed a credential got an error. The user is named only
// if the credential was right. docs/metrics.md tells fail2ban what to look for.
func (q *quietLog) refused(client netip.AddrPort, user user, reason Refusal) {
	if !q.about(client) {
		return
	}
	attrs := q.refusals.withOmitted([]slog.Attr{
		slog.Any("client", client), slog.String("user", user.name), slog.String("reason", reason.String()),
	})
	if reason.suspicious() {
		q.LogAttrs(context.Background(), slog.LevelInfo, "authentication failed", attrs...)
	} else {
		q.LogAttrs(context.Background(), slog.LevelInfo, "request refused", attrs...)
	}
}

// allocationEnded sums an allocation up.
func (q *quietLog) allocationEnded(a *allocation) {
	if q.ends.allow() {
		q.LogAttrs(context.Background(), slog.LevelInfo, "allocation ended", q.ends.withOmitted([]slog.Attr{
			slog.Any("client", a.client), slog.Any("relayed", a.relayed), slog.String("user", a.user.name),
			slog.String("transport", a.shard.transport),
			slog.String("duration", time.Since(a.began).Round(time.Millisecond).String()),
			slog.Uint64("bytes_from_client", a.up.relayed.bytes.Load()),
			slog.Uint64("bytes_from_peers", a.fromPeers.bytes.Load()),
			slog.String("reason", a.endReason()),
		})...)
	}
}
