package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// parseFile turns a TOML text into assignments and reports keys that do not exist.
// A mistake of syntax is the only problem then, and ok is false.
func (l *loader) parseFile(path, text string) (given map[string]assignment, ok bool) {
	text = strings.TrimPrefix(text, "\ufeff")
	if i := invalidByte(text); i >= 0 {
		at := positionAt(text, i)
		l.problems = Problems{{File: path, Line: at.line, Column: at.column, Message: "not UTF-8", Hint: "save the file as UTF-8"}}
		return nil, false
	}
	marks, stop, err := indexPositions(text)
	if errors.Is(err, errPathTooLong) {
		l.problems = Problems{{File: path, Line: stop.line, Column: stop.column, Message: err.Error()}}
		return nil, false
	}
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		l.problems = Problems{l.syntaxProblem(path, text, err)}
		return nil, false
	}
	given = make(map[string]assignment)
	l.flatten(given, source{file: path, marks: marks}, nil, tree)
	return given, true
}

// flatten walks a section and those in it.
func (l *loader) flatten(given map[string]assignment, from source, section toml.Key, table map[string]any) {
	for name, raw := range table {
		path := append(slices.Clip(section), name)
		key := path.String()
		_, isEntry := l.schema.find(key)
		sub, isTable := raw.(map[string]any)
		isSection := slices.Contains(l.schema.sections, key)
		problem := Problem{Key: clip(key)}
		at := from.marks[key].key
		switch {
		case isEntry:
			given[key] = assignment{raw: raw, source: from}
			continue
		case isSection && isTable:
			l.flatten(given, from, path, sub)
			continue
		case isSection:
			at = from.marks[key].value
			problem.Message = describe(raw, false) + " is not a table"
			problem.Hint = fmt.Sprintf("write [%s] once, and its keys below it", key)
		case isTable:
			problem.Message = "unknown section"
			problem.Hint = l.schema.keyHint(section.String(), name)
		default:
			problem.Message = "unknown key"
			problem.Hint = l.schema.keyHint(section.String(), name)
		}
		problem.File, problem.Line, problem.Column = from.file, at.line, at.column
		l.problems = append(l.problems, problem)
	}
}

// keyHint suggests what an unknown key or section was meant to be: a key of another
// section, or a typing mistake in this section or in another.
func (s schema) keyHint(section, name string) string {
	exact := strings.ReplaceAll(strings.ToLower(name), "-", "_") // coturn writes min-port
	here := s.names(section)
	if slices.Contains(here, exact) {
		return fmt.Sprintf("did you mean %q?", exact)
	}
	if sections := s.sectionsWith(exact); sections != "" {
		return "belongs in " + sections
	}
	for _, known := range s.sections {
		if _, last, nested := cutLast(known); nested && last == exact {
			return "did you mean [" + known + "]?"
		}
	}
	if hint := didYouMean(name, here); hint != "" {
		return hint
	}
	var all []string
	for _, e := range s.entries {
		all = append(all, e.name)
	}
	if best := nearest(name, all); best != "" {
		return fmt.Sprintf("did you mean %q in %s?", best, s.sectionsWith(best))
	}
	return ""
}

// sectionsWith lists the sections that have a key, "[http] or [turn]".
func (s schema) sectionsWith(name string) string {
	var sections []string
	for _, e := range s.entries {
		if e.name == name {
			sections = append(sections, "["+e.section+"]")
		}
	}
	return strings.Join(sections, " or ")
}

// syntaxProblem places an error of the parser. The parser repeats what it could not
// read, which may be a password without quotes; so its words are passed on only where
// no secret can be.
func (l *loader) syntaxProblem(path, text string, err error) Problem {
	p := Problem{File: path, Message: err.Error()}
	var parseErr toml.ParseError
	if !errors.As(err, &parseErr) {
		return p
	}
	at := positionAt(text, parseErr.Position.Start)
	p.Line, p.Column, p.Key = at.line, at.column, clip(parseErr.LastKey)
	p.Message = strings.TrimSuffix(parseErr.Message, ".")
	e, isEntry := l.schema.find(parseErr.LastKey)
	isSection := parseErr.LastKey == "" || slices.Contains(l.schema.sections, parseErr.LastKey)
	aboutKey := strings.HasPrefix(p.Message, "Key ")
	switch {
	case aboutKey || isSection:
	case !isEntry || e.secret() && !e.inFile:
		p.Message = "not valid TOML"
		p.Hint = `write key = "value", with quotes around a string`
	}
	if before, _, long := strings.Cut(p.Message, ", but got "); long && utf8.RuneCountInString(p.Message) > 2*maxQuoted {
		p.Message = before
	}
	return p
}

// positionAt turns an offset in bytes into a position. The parser's own column is
// wrong at the beginning of a line.
func positionAt(text string, offset int) position {
	offset = min(max(offset, 0), len(text))
	for offset > 0 && offset < len(text) && !utf8.RuneStart(text[offset]) {
		offset-- // at the end of the text the parser points to the last byte
	}
	before := text[:offset]
	line := strings.Count(before, "\n") + 1
	return position{line, utf8.RuneCountInString(before[strings.LastIndex(before, "\n")+1:]) + 1}
}

// invalidByte returns the offset of the first byte that is not UTF-8, or -1.
func invalidByte(text string) int {
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return i
		}
	}
	return -1
}
