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

// write adds the count of lines left out since the last one.
func (l *limitedLines) write(log *slog.Logger, level slog.Level, text string, attrs ...slog.Attr) {
	if !l.limiter.Allow() {
		l.omitted.Add(1)
		return
	}
	if omitted := l.omitted.Swap(0); omitted > 0 {
		attrs = append(attrs, slog.Uint64("omitted", omitted))
	}
	log.LogAttrs(context.Background(), level, text, attrs...)
}

// peerRefused says which rule forbids a peer. Without it, an operator whose
// calls do not connect has nothing to go by.
func (q *quietLog) peerRefused(client netip.AddrPort, user user, peer netip.AddrPort, rule peerpolicy.Rule) {
	q.refusals.write(q.Logger, slog.LevelInfo, "peer refused",
		slog.Any("client", client), slog.String("user", user.name),
		slog.Any("peer", peer), slog.String("reason", string(rule)))
}

// refused says why a client that knows a credential got an error.
func (q *quietLog) refused(client netip.AddrPort, user user, reason Refusal) {
	q.refusals.write(q.Logger, slog.LevelInfo, "request refused",
		slog.Any("client", client), slog.String("user", user.name), slog.String("reason", reason.String()))
}

// allocationEnded sums an allocation up.
func (q *quietLog) allocationEnded(a *allocation) {
	q.ends.write(q.Logger, slog.LevelInfo, "allocation ended",
		slog.Any("client", a.client), slog.Any("relayed", a.relayed), slog.String("user", a.user.name),
		slog.Duration("duration", time.Since(a.began).Round(time.Millisecond)),
		slog.Uint64("bytes_from_client", a.fromClient.bytes.Load()),
		slog.Uint64("bytes_from_peers", a.fromPeers.bytes.Load()),
		slog.String("reason", a.endReason()))
}
