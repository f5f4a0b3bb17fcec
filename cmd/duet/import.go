package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/duetcall/duet/config"
)

const importHelp = `Prints a turnserver.toml that does what coturn's configuration did, and says in comments,
with line numbers, what Duet does not have and what was unsafe. Nothing is changed.

    duet import /etc/turnserver.conf > turnserver.toml
    duet --config turnserver.toml

With --args, the arguments of coturn's command take the place of the file:

    duet import --args -n -a -v -L 0.0.0.0 -r example.org -u ann:password
    duet import --args < run-coturn.sh

The second form reads the command from standard input, "docker run ..." and all, so that
no secret is seen in the list of processes. "-" as FILE reads a file from there.

The output holds the secrets, as the input does; what is printed beside it holds none.
The status is 2 if the input cannot be read or is not coturn's, else 0.`

// runImport takes its arguments as they are: those behind --args are coturn's.
func runImport(_ context.Context, env environment, args []string) error {
	var imported config.Imported
	var err error
	switch {
	case len(args) == 1 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help"):
		return explain(env, "import")
	case len(args) > 1 && args[0] == "--args":
		imported, err = config.ImportCoturnArgs(args[1:])
	case len(args) == 1 && args[0] == "--args":
		imported, err = config.ImportCoturnCommand(os.Stdin)
	case len(args) == 1 && args[0] == "-":
		imported, err = config.ImportCoturn(os.Stdin)
	case len(args) == 1 && !strings.HasPrefix(args[0], "-"):
		imported, err = importFile(args[0])
	default:
		return usageError{`import takes one file, or --args and what coturn is started with; see "duet help import"`}
	}
	if err != nil {
		return usageError{"import: " + err.Error()}
	}
	if _, err := io.WriteString(env.out, imported.TOML); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	for _, warning := range imported.Warnings {
		fmt.Fprintln(env.err, "warning:", warning)
	}
	have := "have"
	if imported.Unmapped == 1 {
		have = "has"
	}
	fmt.Fprintf(env.err, "mapped %s, %d %s no counterpart, %s: see the comments\n",
		count(imported.Mapped, "setting"), imported.Unmapped, have, count(len(imported.Warnings), "warning"))
	return nil
}

func importFile(path string) (config.Imported, error) {
	f, err := os.Open(path)
	if err != nil {
		return config.Imported{}, err
	}
	defer func() { _ = f.Close() }() // only read from
	imported, err := config.ImportCoturn(f)
	if err != nil {
		return config.Imported{}, fmt.Errorf("%s %w", path, err)
	}
	return imported, nil
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
