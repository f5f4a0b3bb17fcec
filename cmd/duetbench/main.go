// Command duetbench measures Duet against what people use in its place, side by side in
// one run on one machine, so that the ratios mean something elsewhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// command is one thing to measure.
type command struct {
	name, short string
	run         func(ctx context.Context, out, progress io.Writer, args []string) error
}

func commands() []command {
	return []command{
		{"signal", "signaling, against the Socket.IO server of WebRTC tutorials", runSignal},
	}
}

// errMissed is a result that misses its bound.
var errMissed = errors.New("a bound is missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Stderr, os.Args[1:])
	stop()
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintf(os.Stderr, "duetbench: %v\n", err)
	os.Exit(1)
}

func run(ctx context.Context, out, progress io.Writer, args []string) error {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, out, progress, args[1:])
			}
		}
	}
	fmt.Fprintln(progress, "usage: duetbench COMMAND [flags]; duetbench COMMAND --help explains the flags")
	for _, c := range commands() {
		fmt.Fprintf(progress, "  %-8s %s\n", c.name, c.short)
	}
	return errors.New("which command?")
}
