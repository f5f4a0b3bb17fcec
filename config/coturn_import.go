package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// coturnImport is the state of one import.
type coturnImport struct {
	unit   string // what places count: lines or arguments
	table  coturnTable
	config Config
	schema schema // points into config
	// from holds the places that a key's value comes from; for a list, those of its
	// elements. users holds those of turn.users.
	from  map[string][]int
	users map[string]int
	seen  map[string][]coturnSetting // what is set, by name, without flags that are off
	// beside holds what to say at a key; such a key is written even if no setting of
	// coturn's gave it, or if it is the default.
	beside map[string]string
	// secretMode: coturn accepts credentials that a secret made, and no users.
	secretMode bool

	remarks  [never + 1][]coturnNote // by fate; those of mapped are defaults here
	absent   []coturnNote            // what coturn does that nobody had to write
	unknown  []coturnNote
	left     []leftOut
	warnings []coturnNote
}

// coturnNote is a line of a comment about a setting.
type coturnNote struct {
	place int // 0 is the whole configuration
	text  string
}

// leftOut is a value that cannot be.
type leftOut struct {
	key, value, reason string // value is "" if it is secret
	place              int
}

// importCoturn maps all settings, gives advice, and writes what came out.
func importCoturn(unit string, table coturnTable, settings []coturnSetting) (Imported, error) {
	m := &coturnImport{
		unit: unit, table: table, config: Default(),
		from: make(map[string][]int), users: make(map[string]int), seen: make(map[string][]coturnSetting), beside: make(map[string]string),
	}
	m.schema = newSchema(&m.config)
	isKnown := func(s coturnSetting) bool { return s.option != nil }
	switch {
	case len(settings) > maxCoturnSettings:
		return Imported{}, fmt.Errorf("holds more than %d settings", maxCoturnSettings)
	case len(settings) > 0 && !slices.ContainsFunc(settings, isKnown):
		return Imported{}, errors.New("holds no option of coturn; is it a turnserver.conf?")
	}
	m.secretMode = slices.ContainsFunc(settings, func(s coturnSetting) bool {
		return s.option != nil && (s.name == "use-auth-secret" || s.name == "static-auth-secret")
	})
	for _, s := range settings {
		m.meet(s)
	}
	m.advise()
	m.secure()
	if err := m.settle(); err != nil {
		return Imported{}, err
	}
	return m.finish()
}

// meet decides what becomes of one setting.
func (m *coturnImport) meet(s coturnSetting) {
	if s.option == nil {
		m.meetUnknown(s)
		return
	}
	if s.dashed {
		m.warn(s.place, "%s: coturn ignores a line that begins with \"-\"; it is taken as it was meant", s.name)
	}
	if !s.option.valued && !s.option.free {
		off, ok := s.off()
		if !ok {
			m.warn(s.place, "%s: its value is neither on nor off, and coturn does not start with it; it is taken as on", s.name)
		}
		if off {
			m.remark(always, s.place, "%s: is switched off", s)
			return
		}
	}
	m.seen[s.name] = append(m.seen[s.name], s)
	switch o := s.option; {
	case o.take != nil:
		o.take(m, s)
	case o.key != "":
		m.put(s, o.key, s.bare())
	default:
		m.remark(o.fate, s.place, "%s: %s", s, o.why)
		if o.warn {
			m.warn(s.place, "%s: %s", s.name, o.why)
		}
	}
}

// meetUnknown tells a typing mistake. What looks like no name at all may be half of a
// secret: the warning does not repeat it.
func (m *coturnImport) meetUnknown(s coturnSetting) {
	m.unknown = append(m.unknown, m.note(s.place, "%s", s))
	message := "coturn has no such option, so that this had no effect"
	if hint := didYouMean(strings.TrimLeft(s.name, "-"), m.table.names()); hint != "" {
		message = printable(s.name) + ": " + message + "; " + hint
	}
	m.warn(s.place, "%s", message)
}

// put converts a value to the type of our key and checks it, by the code that reads
// our own file.
func (m *coturnImport) put(s coturnSetting, key, text string) (ok bool) {
	one := Default()
	l := &loader{schema: newSchema(&one)}
	e, _ := l.schema.find(key)
	l.given = map[string]assignment{key: {}}
	switch {
	case !utf8.ValidString(text):
		l.report("the value is not valid UTF-8", "", key)
	case e.target.Kind() == reflect.Slice:
		l.assign(key, e.target, []any{text})
	default:
		l.assign(key, e.target, m.raw(e, text))
	}
	l.addFindings(slices.DeleteFunc(validate(one), func(f finding) bool { return len(f.keys) > 1 }))
	if len(l.problems) > 0 {
		m.leaveOut(key, text, l.problems[0], s.place)
		return false
	}
	target, _ := m.schema.find(key)
	if e.target.Kind() == reflect.Slice {
		target.target.Set(reflect.AppendSlice(target.target, e.target))
	} else {
		if before := m.from[key]; len(before) > 0 {
			m.remark(never, before[0], "%s: %s replaces it, in coturn, too", s.name, m.at(s.place))
			m.from[key] = nil
		}
		target.target.Set(e.target)
	}
	m.from[key] = append(m.from[key], s.place)
	return true
}

// raw returns what the TOML parser would have returned; coturn's times are seconds.
func (m *coturnImport) raw(e entry, text string) any {
	switch e.target.Interface().(type) {
	case Duration:
		return text + "s"
	case ExternalIPs:
		return text
	}
	return e.rawFromText(text)
}

// settle leaves out values that cannot stand together, until the rest can. Each round
// leaves out at least one.
func (m *coturnImport) settle() error {
	for {
		findings := validate(m.config)
		if len(findings) == 0 {
			return nil
		}
		elements := make(map[string]map[int]string) // what to drop of each list, and why
		for _, f := range findings {
			p := Problem{Message: f.message, Hint: f.hint}
			if key, index, ok := element(f.keys[0]); ok {
				if elements[key] == nil {
					elements[key] = make(map[int]string)
				}
				elements[key][index] = p.Error()
				continue
			}
			if !m.revert(f.keys, p) {
				return fmt.Errorf("cannot make a valid configuration of it: %s", p.Error())
			}
		}
		for key, reasons := range elements {
			m.drop(key, reasons)
		}
	}
}

// revert gives keys that contradict each other their defaults again. Clients know the
// listening port, only the firewall knows the relay ports: so these yield first.
func (m *coturnImport) revert(keys []string, p Problem) (done bool) {
	defaults := Default()
	original := newSchema(&defaults)
	differs := func(key string) bool {
		now, _ := m.schema.find(key)
		first, _ := original.find(key)
		return !now.target.Equal(first.target)
	}
	if keys[0] == "turn.listening_port" && slices.ContainsFunc(keys[1:], differs) {
		keys = keys[1:]
	}
	for _, key := range slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !differs(key) }) {
		now, _ := m.schema.find(key)
		first, _ := original.find(key)
		m.leaveOut(key, fmt.Sprint(now.target), p, m.placeOf(key))
		delete(m.beside, key)
		now.target.Set(first.target)
		delete(m.from, key)
		done = true
	}
	return done
}

// drop leaves elements of a list out.
func (m *coturnImport) drop(key string, reasons map[int]string) {
	e, _ := m.schema.find(key)
	list := e.target
	if external, ok := list.Addr().Interface().(*ExternalIPs); ok {
		list = reflect.ValueOf(&external.Pairs).Elem()
	}
	kept, places := reflect.New(list.Type()).Elem(), []int(nil) // an empty list is nil, as in Default
	for i := range list.Len() {
		if reason, ok := reasons[i]; ok {
			m.leaveOut(key, fmt.Sprint(list.Index(i)), Problem{Message: reason}, m.from[key][i])
			continue
		}
		kept.Set(reflect.Append(kept, list.Index(i)))
		places = append(places, m.from[key][i])
	}
	list.Set(kept)
	m.from[key] = places
}

// element splits "turn.relay_ip[1]".
func element(key string) (list string, index int, ok bool) {
	list, rest, ok := strings.Cut(key, "[")
	if ok {
		_, err := fmt.Sscanf(rest, "%d]", &index)
		ok = err == nil
	}
	return list, index, ok
}

// leaveOut notes and warns that a value is not taken over.
func (m *coturnImport) leaveOut(key, value string, p Problem, place int) {
	p.File, p.Line, p.Key = "", 0, ""
	e, _ := m.schema.find(key)
	if e.secret() {
		value = ""
	}
	m.left = append(m.left, leftOut{key, value, p.Error(), place})
	m.warn(place, "%s is left out: %s", e.name, p.Error())
}

// remark tells, in the section of a fate, what became of a setting.
func (m *coturnImport) remark(f fate, place int, format string, args ...any) {
	m.remarks[f] = append(m.remarks[f], m.note(place, format, args...))
}

func (m *coturnImport) warn(place int, format string, args ...any) {
	m.warnings = append(m.warnings, m.note(place, format, args...))
}

func (m *coturnImport) note(place int, format string, args ...any) coturnNote {
	text := fmt.Sprintf(format, args...)
	if place > 0 {
		text = m.at(place) + ": " + text
	}
	return coturnNote{place, text}
}

func (m *coturnImport) at(place int) string { return fmt.Sprintf("%s %d", m.unit, place) }
