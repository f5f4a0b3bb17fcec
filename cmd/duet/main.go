// Command duet puts two people in a WebRTC call: signaling server, STUN/TURN relay
// and browser client in one process, configured by one file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/duetcall/duet/config"
)

// version is set by the Makefile.
var version = "dev"

// Exit statuses: a mistake in the command line or the configuration is told apart
// from what went wrong while running.
const (
	exitFailed = 1
	exitUsage  = 2
)

// command is one subcommand of duet.
type command struct {
	name, args, short, long string
	run                     func(ctx context.Context, env environment, args []string) error
}

// environment is what a command may touch of the process.
type environment struct {
	out, err io.Writer
	vars     []string
}

func commands() []command {
	return []command{
		{"serve", "[--config FILE]", "run the server (this is what duet does without a command)", serveHelp, runServe},
		{"config", "[--config FILE]", "print the configuration in effect, secrets redacted", configHelp, runConfig},
		{"credentials", "--user NAME [--ttl 12h] [--json] [--config FILE]", "mint time-limited TURN credentials", credentialsHelp, runCredentials},
		{"token", "--room NAME [--name NAME] [--role host|guest] [--ttl 1h] [--sub WHO] [--url ORIGIN] [--config FILE]", "mint a token that lets somebody into a room", tokenHelp, runToken},
		{"reload", "[--pid N] [--config FILE]", "have the running server read its configuration anew", reloadHelp, runReload},
		{"drain", "[--no-wait] [--pid N] [--config FILE]", "end the running server when its calls have ended", drainHelp, runDrain},
		{"import", "FILE | --args [ARGUMENT...]", "turn a configuration of coturn into one of Duet", importHelp, runImport},
		{"version", "", "print the version", "", runVersion},
		{"help", "[COMMAND]", "explain duet, or one of its commands", "", runHelp},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default action is back: a second one ends the
	// process at once.
	context.AfterFunc(ctx, stop)
	status := run(ctx, environment{os.Stdout, os.Stderr, os.Environ()}, os.Args[1:])
	stop()
	os.Exit(status)
}

// run picks the command, runs it and turns its error into words and an exit status.
func run(ctx context.Context, env environment, args []string) int {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	} else if len(args) > 0 && (args[0] == "-h" || args[0] == "--help" || args[0] == "-help") {
		name, args = "help", nil
	} else if len(args) > 0 && args[0] == "--version" {
		name, args = "version", nil
	}
	for _, c := range commands() {
		if c.name == name {
			return status(env, c.run(ctx, env, args))
		}
	}
	return status(env, usageError{fmt.Sprintf("there is no command %q; \"duet help\" lists them", name)})
}

// usageError is a mistake in the command line.
type usageError struct{ message string }

func (e usageError) Error() string { return e.message }

func status(env environment, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if problems, ok := errors.AsType[config.Problems](err); ok {
		fmt.Fprintln(env.err, problems.Error())
		return exitUsage
	}
	fmt.Fprintln(env.err, "duet:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// flags returns the flag set of a command, with the flag that all of them have.
func flags(name string) (set *flag.FlagSet, file *string) {
	set = flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // parse says it in our words
	set.Usage = func() {}
	return set, set.String("config", "", "")
}

// parse reads the flags of a command that takes no other arguments.
func parse(env environment, set *flag.FlagSet, args []string) error {
	err := set.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return errors.Join(err, explain(env, set.Name()))
	case err != nil:
		return usageError{fmt.Sprintf("%v; see \"duet help %s\"", err, set.Name())}
	case set.NArg() > 0:
		return usageError{fmt.Sprintf("%s takes no argument %q; see \"duet help %s\"", set.Name(), set.Arg(0), set.Name())}
	}
	return nil
}

// load finds and reads the configuration. path is empty when it is all defaults.
func load(env environment, file string) (cfg config.Config, path string, err error) {
	path, err = config.Find(file)
	if err != nil {
		return cfg, "", usageError{err.Error()}
	}
	cfg, err = config.Load(path, env.vars)
	return cfg, path, err
}

const configHelp = `The configuration is read from --config, else ./turnserver.toml, else
/etc/duet/turnserver.toml; without any of them the defaults hold. DUET_SECTION_KEY
in the environment overrides a key.`

func runConfig(_ context.Context, env environment, args []string) error {
	set, file := flags("config")
	if err := parse(env, set, args); err != nil {
		return err
	}
	cfg, path, err := load(env, *file)
	if err != nil {
		return err
	}
	if path == "" {
		path = "the defaults: there is no turnserver.toml here or in /etc/duet"
	}
	fmt.Fprintf(env.out, "# From %s.\n\n", path)
	return config.Write(env.out, cfg)
}

func runVersion(_ context.Context, env environment, _ []string) error {
	fmt.Fprintln(env.out, "duet", version)
	return nil
}

func runHelp(_ context.Context, env environment, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(env.out, "Duet puts two people in a call, whatever network each of them is on.\n\n"+
			"    duet                              run on ./turnserver.toml, or on defaults\n"+
			"    duet --config turnserver.toml     run on that file\n\nCommands:\n\n")
		for _, c := range commands() {
			fmt.Fprintf(env.out, "    duet %-12s %s\n", c.name, c.short)
		}
		return nil
	}
	return explain(env, args[0])
}

// explain prints what one command does.
func explain(env environment, name string) error {
	for _, c := range commands() {
		if c.name == name {
			fmt.Fprintf(env.out, "    duet %s %s\n\n%s.\n", c.name, c.args, strings.ToUpper(c.short[:1])+c.short[1:])
			if c.long != "" {
				fmt.Fprintf(env.out, "\n%s\n", c.long)
			}
			return nil
		}
	}
	return usageError{fmt.Sprintf("there is no command %q", name)}
}
