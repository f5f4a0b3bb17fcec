//go:build linux

package turn

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// together is how many tests run at a time: they mostly wait for clients that wait.
const together = "8"

// program is the duet under test, built once.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		if os.Getuid() != 0 {
			return becomeRoot()
		}
		dir, err := os.MkdirTemp("", "duet-turn-")
		if err == nil {
			defer os.RemoveAll(dir)
			program = filepath.Join(dir, "duet")
			err = errors.Join(tools(), build(program), flag.Set("test.parallel", together))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if failed := m.Run(); failed != 0 {
			return failed
		}
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}())
}

// becomeRoot runs these tests again as root of a user namespace, who may make
// network namespaces.
func becomeRoot() int {
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	err := again.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "these tests need network namespaces: run them as root, or allow user namespaces (%v)\n", err)
		return 1
	}
	return 0
}

// python is Debian's, which has Debian's modules, whatever comes first in PATH.
const python = "/usr/bin/python3"

// tools says what to install for the clients that are missing. There is no test
// without them.
func tools() error {
	var missing []string
	for tool, pkg := range map[string]string{"turnutils_uclient": "coturn", "ip": "iproute2"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, pkg)
		}
	}
	for module, pkg := range map[string]string{
		"import aiortc": "python3-aiortc",
		"import gi; gi.require_version('Nice', '0.1'); from gi.repository import Nice": "gir1.2-nice-0.1 python3-gi",
	} {
		if exec.Command(python, "-c", module).Run() != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("these tests run other people's TURN clients; install Debian's %s (.ci/deps does, as root)", strings.Join(missing, " "))
	}
	return nil
}

func build(program string) error {
	cmd := exec.Command("go", "build", "-o", program, "../../cmd/duet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building duet: %w\n%s", err, out)
	}
	return nil
}
