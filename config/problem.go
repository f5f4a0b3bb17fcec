package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is one mistake in the configuration, told so that it can be mended
// without reading anything else. It never holds a secret.
type Problem struct {
	// File is the file, or the environment variable, that holds the mistake.
	File string
	// Line and Column count from 1, Column in characters. 0 is the whole of File.
	Line, Column int
	// Key is the key with its sections, "turn.min_port". Empty: not about one key.
	Key string
	// Message says what is wrong and what is accepted.
	Message string
	// Hint is what to write instead. Empty: nothing comes to mind.
	Hint string
}

// Error returns one line: turnserver.toml:12:3: turn.min_prot: unknown key; did you mean "min_port"?
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return onePlainLine(b.String())
}

// onePlainLine escapes what would begin another line or command a terminal: keys and
// the parser's words may hold anything.
func onePlainLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Problems are all mistakes of a configuration, the file's in its order first.
type Problems []Problem

// maxProblems bounds how many are told: a file with more of them is of another kind.
const maxProblems = 100

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// err returns nil for no problems.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// told returns the problems sorted, and in place of those over maxProblems their number.
func (ps Problems) told() Problems {
	ps.sort()
	if more := len(ps) - maxProblems; more > 0 {
		ps = append(ps[:maxProblems], Problem{Message: fmt.Sprintf("and %d more", more)})
	}
	return ps
}

// sort orders by place; what has no line (environment, secret files) comes last, by name.
func (ps Problems) sort() {
	slices.SortFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(b2i(a.Line == 0), b2i(b.Line == 0)),
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.Message, b.Message),
		)
	})
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

const maxQuoted = 48 // characters of a bad value or key that a problem repeats

// quote repeats a bad value, bounded in length and free of control characters.
func quote(value string) string { return strconv.Quote(clip(value)) }

func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxQuoted {
		return s
	}
	return string([]rune(s)[:maxQuoted]) + "…"
}

// didYouMean returns a hint that names the candidate nearest to a mistyped name, or "".
func didYouMean(name string, candidates []string) string {
	if best := nearest(name, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

// nearest returns the candidate that a typing mistake could have turned into name, or "".
func nearest(name string, candidates []string) string {
	if len(name) > maxQuoted { // no candidate is as long, and the distance costs length squared
		return ""
	}
	fold := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	best, bestDistance := "", max(1, min(3, len(name)/3))+1
	folded := fold(name)
	for _, candidate := range candidates {
		if apart := len(candidate) - len(name); apart >= bestDistance || -apart >= bestDistance {
			continue
		}
		if d := distance(folded, fold(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+b2i(a[i-1] != b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
