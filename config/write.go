package config

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

// example is the annotated turnserver.toml: every key with its default.
//
//go:embed example.toml
var example string

// exampleLine matches "[section]" and "key = value" of the example.
var exampleLine = regexp.MustCompile(`^(?:\[([a-z_.]+)\]|([a-z0-9_]+) = .*)$`)

// Write prints c as TOML with the comments of the example and with its secrets
// redacted: the example is the one place of both order and comments.
func Write(w io.Writer, c Config) error {
	_, keys, _ := strings.Cut(example, "\n\n") // the first paragraph speaks of the example itself
	var b strings.Builder
	b.WriteString("# The configuration in effect, without its secrets.\n\n")
	s := newSchema(&c)
	section := ""
	for line := range strings.Lines(keys) {
		if m := exampleLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			if m[1] != "" {
				section = m[1]
			} else if e, ok := s.find(section + "." + m[2]); ok {
				line = fmt.Sprintf("%s = %s\n", e.name, literal(e.target))
			}
		}
		b.WriteString(line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// literal writes a field as a TOML value.
func literal(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case string:
		return tomlString(value)
	case Secret:
		if value == "" {
			return `""`
		}
		return tomlString(redacted)
	case ExternalIPs:
		if items := value.items(); len(items) == 1 {
			return tomlString(items[0])
		}
		return literal(reflect.ValueOf(value.items()))
	case fmt.Stringer:
		return tomlString(value.String())
	case map[string]Secret:
		pairs := make([]string, 0, len(value))
		for _, name := range slices.Sorted(maps.Keys(value)) {
			pairs = append(pairs, tomlKey(name)+" = "+literal(reflect.ValueOf(value[name])))
		}
		if len(pairs) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(pairs, ", ") + " }"
	}
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(v) // a number or a boolean reads the same in TOML
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = literal(v.Index(i))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

func tomlKey(name string) string {
	if bare := (toml.Key{name}).String(); bare == name {
		return name
	}
	return tomlString(name)
}

// tomlString writes a basic string. Go's escapes are not TOML's.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r):
			b.WriteString(`\u` + fmt.Sprintf("%04x", r))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
