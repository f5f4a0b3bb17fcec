package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"duet": main})
}

// The scripts read like a session at a terminal. Two commands are ours: fetch waits
// for a page that holds a text, listen takes a port until the script ends.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			port, turn, taken := freePort(t), freePort(t), freePort(t)
			env.Setenv("PORT", port)
			env.Setenv("TAKEN", taken)
			small := "[http]\nlisten = \"127.0.0.1:%s\"\n[turn]\nlistening_ip = [\"127.0.0.1\"]\nlistening_port = %s\nmin_port = 29000\nmax_port = 29010\nstatic_auth_secret = \"north-by-northwest\"\n"
			for name, listen := range map[string]string{"small.toml": port, "taken.toml": taken} {
				if err := os.WriteFile(env.WorkDir+"/"+name, fmt.Appendf(nil, small, listen, turn), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fetch": fetch, "listen": occupy},
	})
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr()
		udp, err := net.ListenPacket("udp", at.String())
		_ = l.Close()
		if err == nil { // else UDP has another owner
			_ = udp.Close()
			return strconv.Itoa(at.(*net.TCPAddr).Port)
		}
	}
}

// fetch URL TEXT gets the page as soon as it is served and checks what it says.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: fetch URL TEXT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
		ts.Check(err)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			ts.Check(err)
			if strings.Contains(string(body), args[1]) == neg {
				ts.Fatalf("%s: %s", args[0], body)
			}
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s: %v", args[0], err)
		}
	}
}

// occupy PORT takes a TCP port until the script ends.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}
