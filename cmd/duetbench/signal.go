package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const signalHelp = `usage: duetbench signal [flags]

Starts Duet and the Socket.IO server of WebRTC tutorials, drives both with the same load
over WebSockets on loopback, in turns, and prints what they cost and the ratio.

  joins    members join at --joins a second: the time from dialing to being in
  flood    members join at --flood a second: each must be let in or refused, none may hang
  relay    members exchange offers of 2.4 KB at --rate a second: CPU time of the server
           for each, and the time from sending to hearing it
  memory   members join, exchange one offer each and fall silent: resident memory of the
           server for each of them, and with --idle, how it grows

Duet runs on its defaults, but for the limits for one address: they are off, because all
members come from this machine, except in the second part of flood, which tries them.

Flags:
`

// options are the sizes of a run.
type options struct {
	duet      string
	alone     bool
	only      string
	members   int
	talkers   int
	rate      float64
	joinRate  float64
	floodRate float64
	length    time.Duration
	settle    time.Duration
	idle      time.Duration
	rounds    int
}

// signalBench is one run.
type signalBench struct {
	options
	dir      string // for what the servers leave
	socketIO string // where it is installed
	progress io.Writer
	report   report
	fleets   int
}

func runSignal(ctx context.Context, out, progress io.Writer, args []string) error {
	var o options
	set := flag.NewFlagSet("signal", flag.ContinueOnError)
	set.SetOutput(progress)
	set.Usage = func() {
		fmt.Fprint(progress, signalHelp)
		set.PrintDefaults()
	}
	set.StringVar(&o.duet, "duet", "", "binary of Duet (default: built from the source we are in)")
	set.BoolVar(&o.alone, "alone", false, "measure Duet alone")
	set.StringVar(&o.only, "only", "", "one of joins, flood, relay and memory (default: all)")
	set.IntVar(&o.members, "members", 10_000, "members for memory")
	set.IntVar(&o.talkers, "talkers", 1000, "members for relay")
	set.Float64Var(&o.rate, "rate", 5000, "offers a second, all members together")
	set.Float64Var(&o.joinRate, "joins", 300, "joins a second, sustained")
	set.Float64Var(&o.floodRate, "flood", 1000, "joins a second that may be refused")
	set.DurationVar(&o.length, "length", 10*time.Second, "how long a round of joins, flood and relay lasts")
	set.DurationVar(&o.settle, "settle", 40*time.Second, "how long members are silent before memory is measured")
	set.DurationVar(&o.idle, "idle", 0, "how long they stay silent then, for growth")
	set.IntVar(&o.rounds, "rounds", 5, "rounds of joins and relay, of which the median counts")
	asJSON := set.Bool("json", false, "print JSON")
	check := set.Bool("check", false, "fail if a figure misses what is asked")
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.members < 2 || o.talkers < 2 || o.rate <= 0 || o.joinRate <= 0 || o.floodRate <= 0 || o.rounds < 1 {
		return errors.New("--members and --talkers are at least 2, rates and --rounds more than 0")
	}
	b := &signalBench{options: o, progress: progress, report: report{Machine: thisMachine(), Other: "Socket.IO"}}
	if err := b.run(ctx); err != nil {
		return err
	}
	print := b.report.print
	if *asJSON {
		print = b.report.printJSON
	}
	if err := print(out); err != nil {
		return err
	}
	if *check {
		return b.report.check()
	}
	return nil
}

func (b *signalBench) run(ctx context.Context) (err error) {
	most := max(b.members, b.talkers*2, int(b.length.Seconds()*max(b.joinRate, b.floodRate)))
	if err := allowFiles(uint64(most) + 200); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "duetbench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.duet == "" {
		b.say("building Duet")
		b.duet, err = buildDuet(ctx, b.dir)
	} else {
		b.duet, err = filepath.Abs(b.duet) // it is run in a directory of its own
	}
	if err != nil {
		return err
	}
	if !b.alone {
		if b.socketIO, err = installSocketIO(ctx); err != nil {
			return err
		}
	}
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
	}{{"joins", b.joins}, {"flood", b.flood}, {"relay", b.relay}, {"memory", b.memory}} {
		if b.only != "" && b.only != phase.name {
			continue
		}
		if err := phase.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
	}
	return nil
}

// say tells who waits how far we are.
func (b *signalBench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, format+"\n", args...)
}

// unlimited are the settings of Duet without limits for one address, from which all of our
// members come.
var unlimited = []string{"DUET_SIGNALING_CONNECT_RATE=0", "DUET_SIGNALING_SOCKETS_PER_ADDRESS=0"}

// servers starts both, or Duet alone. The caller stops them.
func (b *signalBench) servers(ctx context.Context) (servers []*process, stop func() error, err error) {
	stop = func() (err error) {
		for _, p := range servers {
			err = errors.Join(err, p.stop())
		}
		return err
	}
	ours, err := startDuet(ctx, b.duet, b.dir, unlimited...)
	if err != nil {
		return nil, stop, err
	}
	servers = append(servers, ours)
	if !b.alone {
		theirs, err := startSocketIO(ctx, b.socketIO, b.dir)
		if err != nil {
			return nil, stop, errors.Join(err, ours.stop())
		}
		servers = append(servers, theirs)
	}
	return servers, stop, nil
}

// fleet makes a load for a server.
func (b *signalBench) fleet(server *process) *fleet {
	b.fleets++
	return newFleet(server, fmt.Sprintf("bench %d", b.fleets))
}
