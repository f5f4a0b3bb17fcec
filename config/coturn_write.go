package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

const commentWidth = 92

// finish writes the file and reads it back, so that nobody gets one that Duet refuses.
func (m *coturnImport) finish() (Imported, error) {
	var b strings.Builder
	b.WriteString(`# Made by "duet import" from a configuration of coturn. What is not set here keeps its
# default; "duet config" prints all that is in effect. This file holds the secrets.
`)
	defaults := Default()
	m.noteDefaults(newSchema(&defaults))
	done := Imported{Mapped: len(m.remarks[mapped]) + len(m.remarks[always])}
	writeNotes(&b, "Warnings. Read them before the first start:", m.warnings)
	for _, w := range m.warnings {
		done.Warnings = append(done.Warnings, w.text)
	}
	for _, section := range m.schema.sections {
		done.Mapped += m.writeSection(&b, section)
	}
	writeNotes(&b, "Holds without a key, because it is the default here:", m.remarks[mapped])
	writeNotes(&b, "Holds without a key, because Duet always does so:", m.remarks[always])
	writeNotes(&b, "Differs although nobody wrote it:", m.absent)
	writeNotes(&b, "Not in this release of Duet:", m.remarks[later])
	writeNotes(&b, "Has no counterpart in Duet:", m.remarks[never])
	writeNotes(&b, "Is no option of coturn:", m.unknown)
	done.TOML = b.String()
	done.Unmapped = len(m.remarks[later]) + len(m.remarks[never]) + len(m.unknown) + len(m.left)
	if err := m.check(done.TOML); err != nil {
		return Imported{}, err
	}
	return done, nil
}

// check reads the file back.
func (m *coturnImport) check(text string) error {
	if len(text) > maxFile {
		return errors.New("holds too much for one turnserver.toml")
	}
	c, err := load("", text, nil, nil)
	if err != nil {
		return fmt.Errorf("cannot make a valid configuration of it: %w", err)
	}
	if !reflect.DeepEqual(c, m.config) {
		return errors.New("cannot make the same configuration of it: a value would change on the way")
	}
	return nil
}

// noteDefaults takes out of from what is the default anyway.
func (m *coturnImport) noteDefaults(defaults schema) {
	for i, e := range m.schema.entries {
		from := m.from[e.key()]
		if len(from) > 0 && m.beside[e.key()] == "" && !e.inFile && reflect.DeepEqual(e.target.Interface(), defaults.entries[i].target.Interface()) {
			m.remark(mapped, from[0], "%s = %s", e.name, literal(e.target))
			delete(m.from, e.key())
		}
	}
}

// writeSection writes the keys of a section that coturn's configuration sets, and
// returns from how many settings they come.
func (m *coturnImport) writeSection(b *strings.Builder, section string) (settings int) {
	header := "\n[" + section + "]\n"
	for _, e := range m.schema.entries {
		if e.section != section || e.inFile {
			continue
		}
		from := m.from[e.key()]
		if len(from) > 0 || m.beside[e.key()] != "" {
			b.WriteString(header)
			header = ""
			m.writeKey(b, e, from)
			settings += len(from)
		}
		for _, out := range m.left {
			if out.key == e.key() {
				b.WriteString(header)
				header = ""
				m.writeLeftOut(b, e, out)
			}
		}
	}
	if section == "turn" && len(m.users) > 0 {
		m.writeUsers(b)
		settings += len(m.users)
	}
	return settings
}

// writeKey writes a value with the places it comes from: a list of several one by one.
func (m *coturnImport) writeKey(b *strings.Builder, e entry, from []int) {
	if len(from) < 2 {
		if len(from) == 1 {
			fmt.Fprintf(b, "# From %s.\n", m.at(from[0]))
		}
		if beside := m.beside[e.key()]; beside != "" {
			writeComment(b, "# ", beside)
		}
		fmt.Fprintf(b, "%s = %s\n", e.name, revealed(e.target))
		return
	}
	list := e.target
	if external, ok := list.Addr().Interface().(*ExternalIPs); ok {
		list = reflect.ValueOf(external.items())
	}
	fmt.Fprintf(b, "%s = [\n", e.name)
	for i, place := range from {
		fmt.Fprintf(b, "  %s, # %s\n", literal(list.Index(i)), m.at(place))
	}
	b.WriteString("]\n")
}

func (m *coturnImport) writeLeftOut(b *strings.Builder, e entry, out leftOut) {
	writeComment(b, "# ", fmt.Sprintf("Left out, from %s: %s", m.at(out.place), out.reason))
	if out.value != "" {
		writeComment(b, "# ", e.name+" = "+printable(out.value))
	}
}

// writeUsers writes the users as a table of its own, which must come last in [turn].
func (m *coturnImport) writeUsers(b *strings.Builder) {
	b.WriteString("\n[turn.users]\n")
	byPlace := func(a, b string) int { return m.users[a] - m.users[b] }
	for _, name := range slices.SortedFunc(maps.Keys(m.users), byPlace) {
		password := tomlString(m.config.Turn.Users[name].Reveal())
		fmt.Fprintf(b, "# From %s.\n%s = %s\n", m.at(m.users[name]), tomlKey(name), password)
	}
}

// revealed is literal for a file that must hold the secret itself.
func revealed(v reflect.Value) string {
	if secret, ok := v.Interface().(Secret); ok {
		return tomlString(secret.Reveal())
	}
	return literal(v)
}

// writeNotes writes a heading and the notes below it, in the order of their places.
func writeNotes(b *strings.Builder, heading string, notes []coturnNote) {
	if len(notes) == 0 {
		return
	}
	fmt.Fprintf(b, "\n# %s\n", heading)
	slices.SortStableFunc(notes, func(a, b coturnNote) int { return a.place - b.place })
	for _, n := range notes {
		writeComment(b, "#   ", n.text)
	}
}

// writeComment breaks a text into lines of a comment.
func writeComment(b *strings.Builder, indent, text string) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		if line != indent && len(line)+1+len(word) > commentWidth {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = "#     "
			if indent == "# " {
				line = indent
			}
		}
		if !strings.HasSuffix(line, " ") {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}
