package config

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"
)

// position is a place in a file. Both count from 1, column in characters.
type position struct{ line, column int }

// mark is where a key and its value are written. An element of a list has no key:
// both are the element's.
type mark struct{ key, value position }

// maxPath bounds a key with its sections and indices, in bytes. It bounds nesting
// too, which the parser recurses on.
const maxPath = 1024

var (
	errPathTooLong = errors.New("the key is too long or nested too deeply")
	errNotTOML     = errors.New("not TOML")
)

// indexPositions notes where each key of a TOML text is written, which the parser
// keeps to itself. Keys are named as toml.Key prints them, the elements of a list
// with their index: "turn.relay_ip[1]".
//
// It checks no syntax; that is for the parser, which runs afterwards. At what is not
// TOML it returns errNotTOML, and at a key over maxPath errPathTooLong, with the place.
func indexPositions(text string) (marks map[string]mark, stop position, err error) {
	s := positionScanner{rest: text, pos: position{1, 1}, marks: make(map[string]mark)}
	err = s.document()
	return s.marks, s.pos, err
}

type positionScanner struct {
	rest  string   // what is still to be read
	pos   position // where rest begins
	marks map[string]mark
}

// document reads headers and pairs to the end of the text.
func (s *positionScanner) document() error {
	table := ""
	for {
		s.skipBlank()
		var err error
		switch {
		case s.rest == "":
			return nil
		case strings.HasPrefix(s.rest, "["):
			table, err = s.header()
		default:
			err = s.pair(table)
		}
		if err != nil {
			return err
		}
	}
}

// header reads [a.b] or [[a.b]] and returns a.b.
func (s *positionScanner) header() (string, error) {
	closing := "]"
	s.take("[")
	if s.take("[") {
		closing = "]]"
	}
	table, err := s.key("")
	if err == nil && !s.take(closing) {
		err = errNotTOML
	}
	return table, err
}

// pair reads key = value.
func (s *positionScanner) pair(table string) error {
	path, err := s.key(table)
	if err != nil {
		return err
	}
	if !s.take("=") {
		return errNotTOML
	}
	s.skipSpaces()
	m := s.marks[path]
	m.value = s.pos
	s.marks[path] = m
	return s.value(path)
}

// key reads a, "a" or a.b and the spaces behind it, and returns its path.
func (s *positionScanner) key(path string) (string, error) {
	for {
		s.skipSpaces()
		start := s.pos
		name, err := s.name()
		if err != nil {
			return "", err
		}
		quoted := toml.Key{name}.String()
		if path != "" {
			quoted = path + "." + quoted
		}
		path = quoted
		if err := s.mark(path, start); err != nil {
			return "", err
		}
		s.skipSpaces()
		if !s.take(".") {
			return path, nil
		}
	}
}

// name reads one part of a key.
func (s *positionScanner) name() (string, error) {
	if strings.HasPrefix(s.rest, `"`) || strings.HasPrefix(s.rest, "'") {
		n := stringEnd(s.rest)
		if n < 0 {
			return "", errNotTOML
		}
		literal := s.rest[:n]
		s.skip(n)
		if !strings.Contains(literal, `\`) {
			return literal[1 : n-1], nil
		}
		var unescaped struct{ Name string }
		if toml.Unmarshal([]byte("Name = "+literal), &unescaped) != nil {
			return "", errNotTOML
		}
		return unescaped.Name, nil
	}
	n := 0
	for n < len(s.rest) && isBare(s.rest[n]) {
		n++
	}
	if n == 0 {
		return "", errNotTOML
	}
	name := s.rest[:n]
	s.skip(n)
	return name, nil
}

// value reads past one value and marks what is inside it.
func (s *positionScanner) value(path string) error {
	switch {
	case strings.HasPrefix(s.rest, "["):
		return s.array(path)
	case strings.HasPrefix(s.rest, "{"):
		return s.inlineTable(path)
	case strings.HasPrefix(s.rest, `"`), strings.HasPrefix(s.rest, "'"):
		n := stringEnd(s.rest)
		if n < 0 {
			return errNotTOML
		}
		s.skip(n)
		return nil
	}
	n := strings.IndexAny(s.rest, ",]}#\n") // a number, a boolean or a date
	switch n {
	case -1:
		n = len(s.rest)
	case 0:
		return errNotTOML
	}
	s.skip(n)
	return nil
}

func (s *positionScanner) array(path string) error {
	s.take("[")
	for i := 0; ; i++ {
		s.skipBlank()
		if s.take("]") {
			return nil
		}
		element := elementKey(path, i)
		if err := s.mark(element, s.pos); err != nil {
			return err
		}
		if err := s.value(element); err != nil {
			return err
		}
		s.skipBlank()
		if !s.take(",") && !strings.HasPrefix(s.rest, "]") {
			return errNotTOML
		}
	}
}

func (s *positionScanner) inlineTable(path string) error {
	s.take("{")
	for {
		s.skipBlank()
		if s.take("}") {
			return nil
		}
		if err := s.pair(path); err != nil {
			return err
		}
		s.skipBlank()
		if !s.take(",") && !strings.HasPrefix(s.rest, "}") {
			return errNotTOML
		}
	}
}

// mark notes the first place of a path.
func (s *positionScanner) mark(path string, at position) error {
	if len(path) > maxPath {
		return errPathTooLong
	}
	if _, seen := s.marks[path]; !seen {
		s.marks[path] = mark{key: at, value: at}
	}
	return nil
}

// skip moves n bytes on.
func (s *positionScanner) skip(n int) {
	for _, r := range s.rest[:n] {
		s.pos.column++
		if r == '\n' {
			s.pos = position{s.pos.line + 1, 1}
		}
	}
	s.rest = s.rest[n:]
}

// take moves past token if it is next.
func (s *positionScanner) take(token string) bool {
	if !strings.HasPrefix(s.rest, token) {
		return false
	}
	s.skip(len(token))
	return true
}

func (s *positionScanner) skipSpaces() {
	s.skip(len(s.rest) - len(strings.TrimLeft(s.rest, " \t")))
}

// skipBlank moves past spaces, line ends and comments.
func (s *positionScanner) skipBlank() {
	for {
		s.skip(len(s.rest) - len(strings.TrimLeft(s.rest, " \t\r\n")))
		if !strings.HasPrefix(s.rest, "#") {
			return
		}
		comment, _, _ := strings.Cut(s.rest, "\n")
		s.skip(len(comment))
	}
}

// stringEnd returns the length of the string literal of any of the four kinds that
// text begins with, or -1 if it does not end.
func stringEnd(text string) int {
	quote, escapes := text[:1], text[0] == '"'
	multiline := strings.HasPrefix(text, strings.Repeat(quote, 3))
	closing := quote
	if multiline {
		closing = strings.Repeat(quote, 3)
	}
	for i := len(closing); i < len(text); i++ {
		switch {
		case escapes && text[i] == '\\':
			i++
		case text[i] == '\n' && !multiline:
			return -1
		case strings.HasPrefix(text[i:], closing):
			end := i + len(closing)
			for extra := 0; multiline && extra < 2 && strings.HasPrefix(text[end:], quote); extra++ {
				end++ // """a""""" ends in two quotes of its own
			}
			return end
		}
	}
	return -1
}

func isBare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
