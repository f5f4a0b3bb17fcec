package config

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
)

const maxFile = 1 << 20

// Find returns the path of the file that counts: the explicit one, which must exist,
// else turnserver.toml in the working directory, else /etc/duet/turnserver.toml.
// It returns "" when there is none: the defaults hold.
func Find(explicit string) (string, error) {
	return find(explicit, "turnserver.toml", "/etc/duet/turnserver.toml")
}

func find(explicit string, usual ...string) (string, error) {
	if explicit != "" {
		if _, err := os.Stat(explicit); err != nil {
			return "", Problems{{File: explicit, Message: plain(err).Error(), Hint: "--config must name a file that exists"}}
		}
		return explicit, nil
	}
	for _, path := range usual {
		// Anything but "not there" is for Load to complain about: a file that
		// cannot be read must not silently give way to the next.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", nil
}

// Load reads the file at path, or the defaults if path is "", and puts the DUET_
// variables of environ ("NAME=value", as os.Environ returns them) over it. The error
// is of type Problems and holds everything that is wrong.
func Load(path string, environ []string) (Config, error) {
	var text []byte
	if path != "" {
		var err error
		if text, err = readFile(path, maxFile); err != nil {
			return Config{}, Problems{{File: path, Message: err.Error()}}
		}
	}
	return load(path, string(text), environ, readFile)
}

// load is Load without the file system.
func load(path, text string, environ []string, read fileReader) (Config, error) {
	c := Default()
	l := &loader{schema: newSchema(&c), read: read}
	given, ok := l.parseFile(path, text)
	if !ok {
		return Config{}, l.problems
	}
	l.given = l.merge(given, l.parseEnviron(environ))
	for _, e := range l.schema.entries {
		given, ok := l.given[e.key()]
		switch {
		case !ok:
		case e.inFile:
			l.readSecret(e, given)
		default:
			l.assign(e.key(), e.target, given.raw)
		}
	}
	l.addFindings(validate(c))
	if len(l.problems) > 0 {
		return Config{}, l.problems.told()
	}
	return c, nil
}

// loader is the state of one load.
type loader struct {
	schema   schema
	read     fileReader
	given    map[string]assignment // by key, "turn.min_port"
	problems Problems
}

// assignment is a value given to a key.
type assignment struct {
	raw    any // as the TOML parser returns values
	source source
}

// source is a file with the places of its keys, or a variable of the environment.
type source struct {
	file  string
	marks map[string]mark // nil for the environment
}

// merge puts the environment's assignments over the file's. A secret and its *_file
// are one thing: the environment's of either kind replaces the file's of both.
func (l *loader) merge(file, environment map[string]assignment) map[string]assignment {
	merged := make(map[string]assignment)
	for _, layer := range []map[string]assignment{file, environment} {
		l.given = layer
		for _, e := range l.schema.entries {
			given, ok := layer[e.key()]
			if !ok {
				continue
			}
			twin := e.twin()
			if _, both := layer[twin]; both && e.inFile {
				l.report("given together with "+twin, "keep one of them", e.key())
				continue
			}
			if _, ok := layer[twin]; !ok {
				delete(merged, twin)
			}
			merged[e.key()] = given
		}
	}
	return merged
}

// twin returns the *_file of a secret, the secret of a *_file, "" for other keys.
func (e entry) twin() string {
	switch {
	case e.inFile:
		return strings.TrimSuffix(e.key(), fileSuffix)
	case e.secret():
		return e.key() + fileSuffix
	}
	return ""
}

// addFindings adds what validation found, but for values that are reported already.
func (l *loader) addFindings(findings []finding) {
	reported := make(map[string]bool)
	for _, p := range l.problems {
		reported[l.base(p.Key)] = true
	}
	for _, f := range findings {
		if !slices.ContainsFunc(f.keys, func(key string) bool { return reported[l.base(key)] }) {
			l.report(f.message, f.hint, f.keys...)
		}
	}
}

// report adds a problem at the first of the keys that was given.
func (l *loader) report(message, hint string, keys ...string) {
	key := keys[0]
	if i := slices.IndexFunc(keys, func(key string) bool { _, ok := l.given[l.base(key)]; return ok }); i >= 0 {
		key = keys[i]
	}
	base := l.base(key)
	from := l.given[base].source
	at, known := from.marks[key]
	for inner := parent(key); !known && len(inner) > len(base); inner = parent(inner) {
		at, known = from.marks[inner]
	}
	if !known { // the value was read from a *_file
		at = from.marks[base]
	}
	l.problems = append(l.problems, Problem{
		File: from.file, Line: at.value.line, Column: at.value.column,
		Key: clip(key), Message: message, Hint: hint,
	})
}

// base returns the key that was given for a key inside it: turn.relay_ip for
// turn.relay_ip[1], turn.users_file for turn.users.ann.
func (l *loader) base(key string) string {
	for k := key; k != ""; k = parent(k) {
		for _, candidate := range []string{k, k + fileSuffix} {
			if _, ok := l.given[candidate]; ok {
				return candidate
			}
		}
	}
	return key
}

// parent cuts the last name or index off a key.
func parent(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }
