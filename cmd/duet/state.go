package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/duetcall/duet/signaling"
)

// stateDir is where the server keeps what must outlive it: what systemd gives it
// (systemd.exec(5)), else the usual place.
func stateDir() (string, error) {
	if given, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); given != "" {
		return given, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/duet", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a directory for state: %w; set STATE_DIRECTORY", err)
	}
	return filepath.Join(home, ".local", "state", "duet"), nil
}

// sessionKey reads the key that seals members' sessions, and makes it if there is none.
// With it, those who were in a call when the server was killed are back in that call
// when it runs again.
func sessionKey(dir string) ([]byte, error) {
	name := filepath.Join(dir, "session.key")
	key, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeSessionKey(dir, name)
	case err != nil:
		return nil, err
	case len(key) != signaling.KeySize:
		return nil, fmt.Errorf("%s holds %d bytes instead of %d: delete it, and another is made", name, len(key), signaling.KeySize)
	}
	return key, nil
}

// makeSessionKey writes another file first: of two servers that start at once, or of one
// that is killed, nobody ever reads half of a key.
func makeSessionKey(dir, name string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key := make([]byte, signaling.KeySize)
	rand.Read(key)
	draft, err := os.CreateTemp(dir, ".session.key-*") // 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	_, err = draft.Write(key)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return nil, err
	}
	if err = os.Link(draft.Name(), name); errors.Is(err, fs.ErrExist) { // another was first
		return sessionKey(dir)
	}
	return key, err
}

// sessionKey is the one of the state directory, or of the cluster. Without it the server does all but let
// members back in after a restart.
func (s *server) sessionKey() []byte {
	key, err := s.findSessionKey()
	if err != nil {
		s.log.Warn("sessions will not outlive this process", "error", err)
	}
	return key
}

func (s *server) findSessionKey() ([]byte, error) {
	if s.cfg.Cluster.On() {
		return clusterSessionKey(string(s.cfg.Cluster.Secret))
	}
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	return sessionKey(dir)
}
