package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What is asked of Duet.
const (
	joinP99AtMost = 250    // ms
	cpuRatio      = 0.25   // of Socket.IO's, for each message
	latencyRatio  = 1.0    // of Socket.IO's p99
	memoryRatio   = 0.5    // of Socket.IO's, for each idle member
	memoryAtMost  = 14_000 // bytes for each idle member
	growthAtMost  = 0.02   // of resident memory, while idle
	fillingPerSec = 500    // joins, where they are not what is measured
	fillingAtOnce = 32
	sampleEvery   = 10 * time.Second
)

// joins measures how long a join takes at a rate that is sustained.
func (b *signalBench) joins(ctx context.Context) (err error) {
	servers, stop, err := b.servers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	figures := make(map[string][2][]float64)
	for round := range b.rounds {
		for i, server := range servers {
			f := b.fleet(server)
			got := f.join(ctx, arrival{members: int(b.joinRate * b.length.Seconds()), perSecond: b.joinRate})
			f.leave()
			b.say("joins %d/%d: %s: %s, p99 %v", round+1, b.rounds, server.name, got, p99(got.Took))
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if i == 0 && (got.Hung > 0 || len(got.Failed) > 0 || len(got.Refused) > 0) {
				return fmt.Errorf("not everybody got in: %s", got)
			}
			note(figures, "p50", i, ms(quantile(seconds(got.Took), 0.5)))
			note(figures, "p99", i, ms(quantile(seconds(got.Took), 0.99)))
		}
	}
	name := fmt.Sprintf("a join at %g/s, ", b.joinRate)
	b.report.compare(name+"p50", "ms", figures["p50"][0], figures["p50"][1])
	b.report.compare(name+"p99", "ms", figures["p99"][0], figures["p99"][1]).asks(0, joinP99AtMost)
	return nil
}

// flood measures that nobody hangs when too many come: with the limits on for those of one
// address, and without.
func (b *signalBench) flood(ctx context.Context) error {
	for _, row := range []struct {
		name     string
		settings []string
		alone    bool
	}{
		{"no limits for an address", unlimited, false},
		{"from one address, its limits as by default", nil, true},
	} {
		server, err := startDuet(ctx, b.duet, b.dir, row.settings...)
		if err != nil {
			return err
		}
		f := b.fleet(server)
		got := f.join(ctx, arrival{members: int(b.floodRate * b.length.Seconds()), perSecond: b.floodRate, alone: row.alone})
		f.leave()
		if err := errors.Join(server.stop(), ctx.Err()); err != nil {
			return err
		}
		b.say("flood: %s: %s", row.name, got)
		b.report.Notes = append(b.report.Notes, fmt.Sprintf("%g joins/s, %s: %s", b.floodRate, row.name, got))
		b.report.compare(fmt.Sprintf("hung at %g joins/s, %s", b.floodRate, row.name), "", []float64{float64(got.Hung + sum(got.Failed))}, nil).asks(0, 0)
	}
	return nil
}

// relay measures what it costs and how long it takes to pass an offer on.
func (b *signalBench) relay(ctx context.Context) (err error) {
	servers, stop, err := b.servers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	fleets := make([]*fleet, len(servers))
	for i, server := range servers {
		if fleets[i], err = b.fill(ctx, server, b.talkers); err != nil {
			return err
		}
		defer fleets[i].leave()
	}
	figures := make(map[string][2][]float64)
	offers := int(b.rate * b.length.Seconds())
	for round := range b.rounds {
		for i, f := range fleets {
			before, err := f.server.cpu()
			if err != nil {
				return err
			}
			took, err := f.exchange(ctx, offers, b.rate)
			if err != nil {
				return err
			}
			after, err := f.server.cpu()
			if err != nil {
				return err
			}
			each := (after - before).Seconds() / float64(offers) * 1e6
			b.say("relay %d/%d: %s: %.1f µs of CPU for each message, p99 %v", round+1, b.rounds, f.server.name, each, p99(took))
			note(figures, "cpu", i, each)
			for name, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "max": 1} {
				note(figures, name, i, ms(quantile(seconds(took), share)))
			}
		}
	}
	b.report.compare("CPU time for a message passed on", "µs", figures["cpu"][0], figures["cpu"][1]).asks(cpuRatio, -1)
	name := fmt.Sprintf("latency at %g messages/s, ", b.rate)
	b.report.compare(name+"p50", "ms", figures["p50"][0], figures["p50"][1])
	b.report.compare(name+"p99", "ms", figures["p99"][0], figures["p99"][1]).asks(latencyRatio, -1)
	b.report.compare(name+"max", "ms", figures["max"][0], figures["max"][1])
	return nil
}

// fill seats members two by two.
func (b *signalBench) fill(ctx context.Context, server *process, members int) (*fleet, error) {
	f := b.fleet(server)
	members -= members % 2
	got := f.join(ctx, arrival{members: members, perSecond: fillingPerSec, atOnce: fillingAtOnce})
	if got.Joined != members {
		f.leave()
		return nil, fmt.Errorf("%s let in not everybody: %s", server.name, got)
	}
	if err := f.paired(ctx); err != nil {
		f.leave()
		return nil, err
	}
	return f, nil
}

// memory measures what a member costs that has exchanged an offer and is silent.
func (b *signalBench) memory(ctx context.Context) error {
	starts := []func() (*process, error){
		func() (*process, error) { return startDuet(ctx, b.duet, b.dir, unlimited...) },
	}
	if !b.alone {
		starts = append(starts, func() (*process, error) { return startSocketIO(ctx, b.socketIO, b.dir) })
	}
	figures := make(map[string][2][]float64)
	for i, start := range starts {
		server, err := start()
		if err != nil {
			return err
		}
		err = b.remember(ctx, server, func(name string, value float64) { note(figures, name, i, value) })
		if err := errors.Join(err, server.stop()); err != nil {
			return err
		}
	}
	compare := func(figure, name, unit string) *row {
		return b.report.compare(name, unit, figures[figure][0], figures[figure][1])
	}
	compare("base", "resident memory without members", "MB")
	compare("each", fmt.Sprintf("resident memory for each of %d idle members", b.members), "B").asks(memoryRatio, memoryAtMost)
	compare("cpu", fmt.Sprintf("CPU time for %d idle members", b.members), "% of a core")
	if b.idle > 0 {
		compare("growth", fmt.Sprintf("growth of resident memory in %v of silence", b.idle), "%").asks(0, growthAtMost*100)
		compare("later", "resident memory for each member after it", "B")
		compare("pings", "pings answered by each member in that time", "")
		compare("lost", "sockets lost in that time", "").asks(0, 0)
	}
	return nil
}

// remember measures the memory of one server.
func (b *signalBench) remember(ctx context.Context, server *process, figure func(string, float64)) error {
	// The first members pay for what is made once.
	first, err := b.fill(ctx, server, 2)
	if err != nil {
		return err
	}
	first.leave()
	base, err := server.resident()
	if err != nil {
		return err
	}
	f, err := b.fill(ctx, server, b.members)
	if err != nil {
		return err
	}
	defer f.leave()
	if _, err := f.exchange(ctx, len(f.members), fillingPerSec*2); err != nil {
		return err
	}
	if err := pause(ctx, b.settle); err != nil {
		return err
	}
	full, err := server.resident()
	if err != nil {
		return err
	}
	each := float64(full-base) / float64(len(f.members))
	b.say("memory: %s: %d MB without members, %d MB with %d: %.0f B for each", server.name, base/1e6, full/1e6, len(f.members), each)
	figure("base", float64(base)/1e6)
	figure("each", each)
	return b.idling(ctx, f, base, full, figure)
}

// idling watches silent members for a while.
func (b *signalBench) idling(ctx context.Context, f *fleet, base, full int64, figure func(string, float64)) error {
	began, pings := time.Now(), f.pings.Load()
	before, err := f.server.cpu()
	if err != nil {
		return err
	}
	now, most := full, full
	for length := max(b.idle, b.settle); time.Since(began) < length; {
		if err := pause(ctx, min(sampleEvery, length-time.Since(began))); err != nil {
			return err
		}
		if now, err = f.server.resident(); err != nil {
			return err
		}
		most = max(most, now)
	}
	after, err := f.server.cpu()
	if err != nil {
		return err
	}
	passed := time.Since(began)
	figure("cpu", 100*(after-before).Seconds()/passed.Seconds())
	growth := 100 * float64(now-full) / float64(full)
	each := float64(f.pings.Load()-pings) / float64(len(f.members))
	f.mu.Lock()
	lost := len(f.lost)
	f.mu.Unlock()
	b.say("memory: %s: after %v: %+.1f %% (at most %+.1f %%), %.1f pings answered by each, %d sockets lost", f.server.name, passed.Round(time.Second), growth, 100*float64(most-full)/float64(full), each, lost)
	figure("growth", growth)
	figure("later", float64(now-base)/float64(len(f.members)))
	figure("pings", each)
	figure("lost", float64(lost))
	return nil
}

// String says how the joins went.
func (j *joining) String() string {
	said := []string{fmt.Sprintf("%d in", j.Joined)}
	for _, why := range slices.Sorted(maps.Keys(j.Refused)) {
		said = append(said, fmt.Sprintf("%d %s", j.Refused[why], why))
	}
	for _, why := range slices.Sorted(maps.Keys(j.Failed)) {
		said = append(said, fmt.Sprintf("%d failed: %s", j.Failed[why], why))
	}
	return strings.Join(append(said, fmt.Sprintf("%d hung", j.Hung)), ", ")
}

// note adds a figure of the i-th server.
func note(figures map[string][2][]float64, name string, i int, value float64) {
	both := figures[name]
	both[i] = append(both[i], value)
	figures[name] = both
}

func p99(took []time.Duration) time.Duration {
	return time.Duration(quantile(seconds(took), 0.99) * float64(time.Second)).Round(10 * time.Microsecond)
}

func seconds(took []time.Duration) []float64 {
	all := make([]float64, len(took))
	for i, t := range took {
		all[i] = t.Seconds()
	}
	return all
}

func ms(seconds float64) float64 { return seconds * 1e3 }

func sum(counts map[string]int) (all int) {
	for _, n := range counts {
		all += n
	}
	return all
}
