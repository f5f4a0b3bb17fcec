package config

import (
	"reflect"
	"slices"
	"strings"
)

// schema is the shape of the file, read off the structs of Config, so that a new
// field needs no second place for its type, its variable and its suggestions.
type schema struct {
	sections []string // "http", "turn", in the order of the structs
	entries  []entry
}

// entry is one key of the file.
type entry struct {
	section, name string
	// target is the field that the key sets.
	target reflect.Value
	// inFile: the key names a file that holds the value. Every secret has such a key.
	inFile bool
}

const fileSuffix = "_file"

// newSchema describes the fields of c and points into it.
func newSchema(c *Config) schema {
	var s schema
	s.addSection("", reflect.ValueOf(c).Elem())
	return s
}

func (s *schema) addSection(section string, fields reflect.Value) {
	for field, target := range fields.Fields() {
		name := field.Tag.Get("toml")
		if target.Kind() == reflect.Struct && !isText(target) {
			sub := strings.TrimPrefix(section+"."+name, ".")
			s.sections = append(s.sections, sub)
			s.addSection(sub, target)
			continue
		}
		e := entry{section: section, name: name, target: target}
		s.entries = append(s.entries, e)
		if e.secret() {
			e.name, e.inFile = name+fileSuffix, true
			s.entries = append(s.entries, e)
		}
	}
}

// find returns the entry of a key with its section, "turn.min_port".
func (s schema) find(key string) (entry, bool) {
	i := slices.IndexFunc(s.entries, func(e entry) bool { return e.key() == key })
	if i < 0 {
		return entry{}, false
	}
	return s.entries[i], true
}

// names lists the keys of a section and the sections in it. The file itself has sections alone.
func (s schema) names(section string) []string {
	var names []string
	for _, sub := range s.sections {
		if outer, last, _ := cutLast(sub); outer == section {
			names = append(names, last)
		}
	}
	for _, e := range s.entries {
		if e.section == section {
			names = append(names, e.name)
		}
	}
	return names
}

func (e entry) key() string { return strings.TrimPrefix(e.section+"."+e.name, ".") }

// variable returns the name of the environment variable, DUET_TURN_MIN_PORT.
func (e entry) variable() string {
	return envPrefix + upper(e.key())
}

// upper writes a key or a section as the environment does.
func upper(key string) string { return strings.ToUpper(strings.ReplaceAll(key, ".", "_")) }

// cutLast cuts the last name off a section: "signaling.auth" is "auth" in "signaling".
func cutLast(section string) (outer, last string, nested bool) {
	if i := strings.LastIndexByte(section, '.'); i >= 0 {
		return section[:i], section[i+1:], true
	}
	return "", section, false
}

// secret reports whether the value must never be shown.
func (e entry) secret() bool {
	t := e.target.Type()
	if t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t == reflect.TypeFor[Secret]()
}
