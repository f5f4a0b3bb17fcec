package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const envPrefix = "DUET_"

// serviceLink matches what Kubernetes and old Docker links put into the environment
// of every container beside a service named duet or duet-something.
var serviceLink = regexp.MustCompile(`^DUET_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)=` +
	`|^DUET_(\w+_)?PORT=(tcp|udp)://`)

// parseEnviron turns the DUET_ variables of an environment ("NAME=value") into
// assignments. An empty variable counts as not set.
func (l *loader) parseEnviron(environ []string) map[string]assignment {
	given := make(map[string]assignment)
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || value == "" {
			continue
		}
		i := slices.IndexFunc(l.schema.entries, func(e entry) bool { return e.variable() == name })
		if i >= 0 {
			e := l.schema.entries[i]
			if !utf8.ValidString(value) { // no file can hold such
				l.problems = append(l.problems, Problem{File: name, Key: e.key(), Message: "the value is not valid UTF-8"})
				continue
			}
			given[e.key()] = assignment{raw: e.rawFromText(value), source: source{file: name}}
			continue
		}
		if !serviceLink.MatchString(variable) {
			l.problems = append(l.problems, Problem{
				File:    strings.Trim(quote(name), `"`),
				Message: "unknown variable",
				Hint:    l.schema.variableHint(name),
			})
		}
	}
	return given
}

// rawFromText returns what the TOML parser would have returned for the value. A text
// that does not fit stays a string, which assign will report.
func (e entry) rawFromText(text string) any {
	_, isExternal := e.target.Interface().(ExternalIPs)
	switch kind := e.target.Kind(); {
	case e.inFile:
	case kind == reflect.Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case kind == reflect.Bool && (text == "true" || text == "false"):
		return text == "true"
	case kind == reflect.Slice || isExternal:
		list := []any{}
		for element := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(element))
		}
		return list
	case kind == reflect.Map:
		table := make(map[string]any)
		for pair := range strings.SplitSeq(text, ",") {
			name, value, _ := strings.Cut(pair, "=")
			table[strings.TrimSpace(name)] = value
		}
		return table
	}
	return text
}

// variableHint suggests a variable for an unknown one: a typing mistake, or the
// right key in the wrong section or in none.
func (s schema) variableHint(name string) string {
	variables := make([]string, len(s.entries))
	for i, e := range s.entries {
		variables[i] = e.variable()
	}
	if hint := didYouMean(name, variables); hint != "" {
		return hint
	}
	bare := strings.TrimPrefix(name, envPrefix)
	for _, e := range s.entries {
		if key := strings.ToUpper(e.name); bare == key || slices.ContainsFunc(s.sections, func(section string) bool {
			_, last, _ := cutLast(section)
			return bare == upper(section)+"_"+key || section == e.section && bare == upper(last)+"_"+key
		}) {
			return fmt.Sprintf("did you mean %q?", e.variable())
		}
	}
	return ""
}
