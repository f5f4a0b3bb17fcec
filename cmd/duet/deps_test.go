package main

import (
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/duetcall/duet/"

// mayImport holds which of our packages each package may import, as package doc and
// CONTRIBUTING promise; cmd may import everything.
var mayImport = map[string][]string{
	"addrlimit":        {},
	"config":           {},
	"relay":            {"addrlimit", "config", "relay/peerpolicy", "relay/tcp", "relay/udp"},
	"relay/peerpolicy": {"config"},
	"relay/tcp":        {},
	"relay/udp":        {},
	"signaling":        {"addrlimit", "config"},

	"signaling/client":    {"signaling"},
	"signaling/cluster":   {"signaling"},
	"signaling/jointoken": {"config"},
	"signaling/storetest": {"signaling"},
	"web":                 {},
	"webhook":             {"config"},
	"e2e/turn":            {},
}

// reserved are third parties, and the only places that may import them.
var reserved = map[string][]string{
	"github.com/pion/turn/v4":      {"relay"},
	"github.com/pion/stun/v3":      {"relay"},
	"github.com/pion/dtls/v3":      {"relay"},
	"github.com/gorilla/websocket": {"signaling", "signaling/client", "cmd/duetbench"},
	"github.com/nats-io":           {"signaling/cluster"},
	"github.com/golang-jwt/jwt":    {"signaling/jointoken"},
	"github.com/BurntSushi/toml":   {"config"},
	"github.com/mholt/acmez/v3":    {"cmd/duet"},
	"github.com/prometheus":        {"cmd/duet"},
	"net/http":                     {"signaling", "signaling/client", "web", "webhook", "cmd/duet", "cmd/duetbench"},
	"encoding/json":                {"signaling", "signaling/client", "signaling/cluster", "signaling/jointoken", "webhook", "cmd/duet", "cmd/duetbench", "config"},
}

// onlyFiles are the files of relay that alone may import what pion calls a package.
var onlyFiles = map[string]string{
	"github.com/pion/turn": "relay/engine.go",
	"github.com/pion/dtls": "relay/handshake.go",
}

func TestPackagesImportOnlyWhatTheDesignAllows(t *testing.T) {
	for name, imports := range listImports(t) {
		allowed, known := mayImport[name]
		if strings.HasPrefix(name, "cmd/") {
			allowed, known = slices.Collect(maps.Keys(mayImport)), true
		}
		if !known {
			t.Errorf("%s is not in the table of who may import whom", name)
		}
		for _, imported := range imports {
			if ours, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", name, ours)
			}
			for third, places := range reserved {
				if (imported == third || strings.HasPrefix(imported, third+"/")) && !slices.Contains(places, name) {
					t.Errorf("%s imports %s, which belongs to %v", name, third, places)
				}
			}
		}
	}
}

func TestOneFileKnowsEachPartOfPion(t *testing.T) {
	for part, only := range onlyFiles {
		out, err := exec.Command("grep", "-rl", "--include=*.go", `"`+part, "../..").Output()
		if err != nil {
			t.Fatal(err)
		}
		for file := range strings.FieldsSeq(string(out)) {
			file = strings.TrimPrefix(path.Clean(file), "../../")
			if file != only && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s imports %s", file, part)
			}
		}
	}
}

// listImports returns what each package of the module imports; tests, and packages that
// have nothing else, are left out.
func listImports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{if .GoFiles}}{{.ImportPath}} {{join .Imports " "}}{{end}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		all[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	return all
}
