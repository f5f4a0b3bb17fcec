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

// What strangers and members may make us write.
const (
	refusalLinesPerSecond = 20
	endLinesPerSecond     = 100
	endLinesBurst         = 1000
)

// quietLog keeps the log readable whatever arrives: lines that clients can
// provoke are limited, and the next line says how many were left out.
type quietLog struct {
	*slog.Logger
	refusals, ends limitedLines
}

type limitedLines struct {
	limiter *rate.Limiter
	omitted atomic.Uint64
}

func newQuietLog(log *slog.Logger) *quietLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	q := &quietLog{Logger: log}
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

// peerRefused says which rule forbids a peer. Without it, an operator whose
// calls do not connect has nothing to go by.
func (q *quietLog) peerRefused(client netip.AddrPort, user user, peer netip.AddrPort, rule peerpolicy.Rule) {
	if q.refusals.allow() {
		q.LogAttrs(context.Background(), slog.LevelInfo, "peer refused", q.refusals.withOmitted([]slog.Attr{
			slog.Any("client", client), slog.String("user", user.name),
			slog.Any("peer", peer), slog.String("reason", string(rule)),
		})...)
	}
}

// refused says why a client that showed a credential got an error. The user is
// named only if the credential was right.
func (q *quietLog) refused(client netip.AddrPort, user user, reason Refusal) {
	if q.refusals.allow() {
		q.LogAttrs(context.Background(), slog.LevelInfo, "request refused", q.refusals.withOmitted([]slog.Attr{
			slog.Any("client", client), slog.String("user", user.name), slog.String("reason", reason.String()),
		})...)
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
