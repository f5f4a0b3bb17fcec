package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"
)

const (
	maxSecretFile = 4 << 10
	maxUsersFile  = 1 << 20
)

// fileReader returns the content of a file, or an error for one over limit bytes.
type fileReader func(path string, limit int) ([]byte, error)

// readFile is the fileReader of the real file system. Its errors do not name the path.
func readFile(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = f.Close() }() // only read from
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("is a directory, must be a file")
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, plain(err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("is larger than %d KiB", limit>>10)
	}
	return data, nil
}

// plain strips the operation and the path from an error of package os.
func plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// readSecret fills a secret from the file that its *_file key names. A relative path
// starts at the directory of the configuration file, as in a file of its own.
func (l *loader) readSecret(e entry, given assignment) {
	path, ok := given.raw.(string)
	if !ok {
		l.wrongType(e.key(), reflect.ValueOf(&path).Elem(), given.raw)
		return
	}
	if path == "" {
		return
	}
	path = given.source.beside(path)
	limit := maxSecretFile
	users, isUsers := e.target.Addr().Interface().(*map[string]Secret)
	if isUsers {
		limit = maxUsersFile
	}
	data, err := l.read(path, limit)
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch {
	case err != nil:
		l.report(fmt.Sprintf("%s: %s", quote(path), err), "", e.key())
	case isUsers:
		*users = l.parseUsers(path, string(data))
	default:
		secret := strings.TrimSpace(string(data))
		switch {
		case secret == "":
			l.report(quote(path)+": is empty, must hold the secret", "", e.key())
		case strings.ContainsAny(secret, "\r\n"):
			l.report(quote(path)+": has several lines, must hold the secret on one", "", e.key())
		default:
			e.target.SetString(secret)
		}
	}
}

// beside returns where a path of that source leads: a relative one in a file starts at the
// file's directory.
func (s source) beside(path string) string {
	if path == "" || filepath.IsAbs(path) || s.marks == nil {
		return path
	}
	return filepath.Join(filepath.Dir(s.file), path)
}

// parseUsers reads lines of name:password. Empty lines and those that begin with "#" are skipped.
func (l *loader) parseUsers(path, text string) map[string]Secret {
	users := make(map[string]Secret)
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		name, password, ok := strings.Cut(line, ":")
		message := ""
		switch _, twice := users[name]; {
		case !ok:
			message = "the line is not name:password"
		case !utf8.ValidString(line):
			message = "the line is not valid UTF-8"
		case twice:
			message = "the user is named on an earlier line already"
		}
		if message != "" {
			l.problems = append(l.problems, Problem{File: path, Line: number, Column: 1, Message: message})
			continue
		}
		users[name] = Secret(password)
	}
	return users
}
