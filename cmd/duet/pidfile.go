package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// pidFile is [process] pid_file of the running server, which holds its lock: a file
// that a server left behind when it was killed has none, and its number may be
// another process's by now.
type pidFile struct{ file *os.File }

// writePIDFile fails if another server holds the file.
func writePIDFile(path string) (*pidFile, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("[process] pid_file: %w", err)
		}
		if !lock(file, false) {
			err = fmt.Errorf("[process] pid_file %s is that of a running server, process %s; stop it, or name another file", path, readPID(file))
			return nil, errors.Join(err, file.Close())
		}
		if !still(file, path) { // its server has just removed it
			_ = file.Close()
			continue
		}
		if err = file.Truncate(0); err == nil {
			_, err = fmt.Fprintln(file, os.Getpid())
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("[process] pid_file: %w", err), file.Close())
		}
		return &pidFile{file}, nil
	}
}

// remove takes the file away, while nobody else can have its lock.
func (p *pidFile) remove() error {
	return errors.Join(os.Remove(p.file.Name()), p.file.Close())
}

// still reports whether path still names the open file.
func still(file *os.File, path string) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(open, named)
}

// readPID returns what the file holds, for people.
func readPID(file *os.File) string {
	text, _ := io.ReadAll(io.NewSectionReader(file, 0, 32))
	return strings.TrimSpace(string(text))
}

// running is a server that another command has found.
type running struct {
	pid  int
	file *os.File // its pid_file, nil if the number was given
}

// findServer finds the server by its process id, or else by its pid_file.
func findServer(pid int, path string) (*running, error) {
	if pid != 0 {
		return &running{pid: pid}, tell(pid, nil)
	}
	if path == "" {
		return nil, errors.New("which server? Say --pid N (systemctl show --property MainPID --value duet), " +
			"or set [process] pid_file for the server and for this command")
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no server runs: there is no pid_file %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("[process] pid_file: %w", err)
	}
	r := &running{file: file}
	if r.ended() {
		return nil, errors.Join(fmt.Errorf("no server runs: the one that wrote %s has ended", path), file.Close())
	}
	if r.pid, err = strconv.Atoi(readPID(file)); err != nil || r.pid <= 0 {
		return nil, errors.Join(fmt.Errorf("%s holds no process id", path), file.Close())
	}
	return r, nil
}

// close forgets the server.
func (r *running) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// ended reports whether the server has gone. A server that holds its file's lock runs.
func (r *running) ended() bool {
	if r.file == nil {
		return tell(r.pid, nil) != nil
	}
	return lock(r.file, true)
}

// endedCheck is how often a command looks whether the server has ended.
const endedCheck = 200 * time.Millisecond
