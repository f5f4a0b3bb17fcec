package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"
)

// The commands that tell a running server something.

const findHelp = `The server is the process that --pid names, else the one that wrote [process] pid_file
of the same configuration.`

const drainHelp = `From now on the server takes no new allocations and nobody into a room; clients of
the relay are sent to [turn] alternate_server if it is set. It ends when the last
allocation has ended, or after [turn] drain_timeout. Calls that run notice nothing.
In a cluster its members move to other nodes meanwhile.
Sending it SIGUSR1 does the same. --no-wait returns without waiting for the end.

` + findHelp + "\n\n" + configHelp

const reloadHelp = `The server reads its file and secret files anew, with the environment that it was
started in, and changes what can be changed while calls run: users, secrets, quotas,
limits, peers, certificates, the log's level. Its log says what changed, and names what
needs a restart. If anything is wrong with the file, nothing changes. Sending it SIGHUP
does the same; this command looks through the file first.

` + findHelp + "\n\n" + configHelp

// progressEvery is how often a command that waits says so.
const progressEvery = 10 * time.Second

// found finds the server that the flags mean. Without --pid, the configuration is read
// and must be sound.
func found(env environment, set *flag.FlagSet, file *string, args []string) (*running, error) {
	pid := set.Int("pid", 0, "")
	if err := parse(env, set, args); err != nil {
		return nil, err
	}
	if *pid < 0 {
		return nil, usageError{"--pid is the number of the server's process"}
	}
	if *pid > 0 {
		return findServer(*pid, "")
	}
	cfg, _, err := load(env, *file)
	if err != nil {
		return nil, err
	}
	return findServer(0, cfg.Process.PIDFile)
}

func runReload(_ context.Context, env environment, args []string) error {
	set, file := flags("reload")
	server, err := found(env, set, file, args)
	if err != nil {
		return err
	}
	defer server.close()
	if err := tell(server.pid, reloadSignal); err != nil {
		return err
	}
	fmt.Fprintf(env.out, "told the server (process %d) to reload; its log says what came of it\n", server.pid)
	return nil
}

func runDrain(ctx context.Context, env environment, args []string) error {
	set, file := flags("drain")
	noWait := set.Bool("no-wait", false, "")
	server, err := found(env, set, file, args)
	if err != nil {
		return err
	}
	defer server.close()
	if err := tell(server.pid, drainSignal); err != nil {
		return err
	}
	fmt.Fprintf(env.out, "the server (process %d) drains; its log counts the allocations that are left\n", server.pid)
	if *noWait {
		return nil
	}
	began, told := time.Now(), time.Now()
	tick := time.NewTicker(endedCheck)
	defer tick.Stop()
	for !server.ended() {
		select {
		case <-ctx.Done():
			return errors.New("no longer waiting; the server drains on")
		case now := <-tick.C:
			if now.Sub(told) >= progressEvery {
				told = now
				fmt.Fprintf(env.out, "waiting for calls to end, for %s now\n", now.Sub(began).Round(time.Second))
			}
		}
	}
	fmt.Fprintf(env.out, "the server has ended, after %s\n", time.Since(began).Round(time.Second))
	return nil
}
