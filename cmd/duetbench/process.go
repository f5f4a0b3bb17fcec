package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second // for a server to listen
	stopTimeout  = 10 * time.Second // for a server to end after SIGTERM
	// jiffy is the unit of CPU time in /proc (USER_HZ), the same on every Linux.
	jiffy = 10 * time.Millisecond
)

// process is a server under test.
type process struct {
	name    string
	address string // of its WebSockets
	speaks  dialect
	cmd     *exec.Cmd
	log     string // file with all it says
}

// startDuet runs Duet as an operator would, on loopback, with room for all the members; more is
// added to its environment.
func startDuet(ctx context.Context, binary, dir string, more ...string) (*process, error) {
	dir, err := os.MkdirTemp(dir, "duet-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(),
		"STATE_DIRECTORY="+dir,
		"DUET_HTTP_LISTEN=127.0.0.1:"+ports[0],
		"DUET_METRICS_LISTEN=",
		"DUET_TURN_LISTENING_IP=127.0.0.1",
		"DUET_TURN_EXTERNAL_IP=127.0.0.1",
		"DUET_TURN_LISTENING_PORT="+ports[1],
		"DUET_SIGNALING_MAX_ROOMS=40000",
		"DUET_SIGNALING_MAX_MEMBERS=40000",
	)
	cmd.Env = append(cmd.Env, more...)
	cmd.Dir = dir
	p := &process{name: "Duet", address: "127.0.0.1:" + ports[0], speaks: duet{}, cmd: cmd, log: filepath.Join(dir, "log")}
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, p.awaitPort(ctx)
}

// startSocketIO runs the tutorial's server, which is installed.
func startSocketIO(ctx context.Context, installed, dir string) (*process, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", "server.js")
	cmd.Env = append(os.Environ(), "NODE_ENV=production", "PORT="+ports[0])
	cmd.Dir = installed
	p := &process{name: "Socket.IO", address: "127.0.0.1:" + ports[0], speaks: socketIO{}, cmd: cmd, log: filepath.Join(dir, "socketio.log")}
	if err := p.start(); err != nil {
		return nil, err
	}
	return p, p.awaitPort(ctx)
}

func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // nothing of ours is in it
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopTimeout
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	return nil
}

// awaitPort returns when the server listens.
func (p *process) awaitPort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := net.DialTimeout("tcp", p.address, time.Second)
		if err == nil {
			return conn.Close()
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			said, _ := os.ReadFile(p.log)
			return errors.Join(fmt.Errorf("%s does not listen on %s: %w; it said:\n%s", p.name, p.address, err, said), p.stop())
		}
	}
}

// stop ends the server and waits for it.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	cut := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer cut.Stop()
	err := p.cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return nil // by our signal
	}
	return err
}

// resident is the memory that the server holds, in bytes.
func (p *process) resident() (int64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("measuring memory needs Linux: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(rollup))
	for lines.Scan() {
		if field := strings.Fields(lines.Text()); len(field) == 3 && field[0] == "Rss:" {
			kib, err := strconv.ParseInt(field[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("smaps_rollup names no Rss")
}

// cpu is the time that the server has used, user and system, of all its threads.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("measuring CPU time needs Linux: %w", err)
	}
	// The second field is the program's name, in parentheses; utime and stime are the 14th and 15th.
	_, rest, _ := strings.Cut(string(stat), ") ")
	field := strings.Fields(rest)
	if len(field) < 13 {
		return 0, errors.New("/proc/PID/stat is short")
	}
	user, err := strconv.ParseInt(field[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(field[12], 10, 64)
	return time.Duration(user+system) * jiffy, err
}

// freePorts returns ports that were free a moment ago.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // nothing was accepted
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
