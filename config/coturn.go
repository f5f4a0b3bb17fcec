package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Moving from coturn: the settings are read from a file (here) or a command line
// (coturn_args.go), each meets its row of the table of coturn's options
// (coturn_options.go), which says what becomes of it (coturn_import.go). Advice looks
// at all of them together (coturn_advice.go), and so does what TLS needs
// (coturn_tls.go). What came out is written as a file of ours and read back before
// anyone sees it (coturn_write.go).

// Imported is what became of a configuration of coturn.
type Imported struct {
	// TOML is a turnserver.toml that Load accepts. It holds the imported secrets.
	TOML string
	// Mapped is how many settings hold in Duet, by a key or because Duet always
	// does so; Unmapped is how many have no counterpart or cannot be.
	Mapped, Unmapped int
	// Warnings are what to know before the first start. They hold no secret.
	Warnings []string
}

const (
	maxCoturn         = 1 << 20
	maxCoturnSettings = 10_000
)

// ImportCoturn turns a turnserver.conf of coturn into a turnserver.toml of Duet. It
// refuses only what is no configuration of coturn at all.
func ImportCoturn(r io.Reader) (Imported, error) {
	text, err := readCoturn(r)
	if err != nil {
		return Imported{}, err
	}
	table := coturnOptions()
	return importCoturn("line", table, table.parse(text))
}

// readCoturn reads a text of bounded size. Its comments may be in any encoding.
func readCoturn(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxCoturn+1))
	switch {
	case err != nil:
		return "", plain(err)
	case len(data) > maxCoturn:
		return "", fmt.Errorf("is larger than %d KiB", maxCoturn>>10)
	case bytes.IndexByte(data, 0) >= 0:
		return "", errors.New("is not a text file")
	}
	return strings.TrimPrefix(string(data), "\ufeff"), nil
}

// coturnSetting is one setting as somebody wrote it.
type coturnSetting struct {
	place  int    // the number of the line or of the argument
	name   string // the long form, without dashes
	value  string // without the quotes around it
	dashed bool   // written "--name" in a file
	option *coturnOption
}

// parse splits a file into settings as coturn does: a name, then blanks or "=", then
// the rest of the line, in double quotes or not. Only a whole line is a comment.
func (t coturnTable) parse(text string) []coturnSetting {
	var settings []coturnSetting
	place := 0
	for line := range strings.Lines(text) {
		place++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value := line, ""
		if i := strings.IndexAny(line, " =\t"); i >= 0 {
			name, value = line[:i], strings.TrimLeft(line[i:], " =\t")
		}
		if quoted, ok := strings.CutPrefix(value, `"`); ok {
			value = strings.TrimSuffix(quoted, `"`)
		}
		s := coturnSetting{place: place, name: name, value: value, option: t.named(name)}
		if bare := strings.TrimLeft(name, "-"); bare != name {
			if option := t.named(bare); option != nil {
				s.name, s.option, s.dashed = bare, option, true
			}
		}
		settings = append(settings, s)
	}
	return settings
}

// bare returns the value without what coturn skips when it reads a number, and what
// nobody means by an address: a comment or a semicolon behind it.
func (s coturnSetting) bare() string {
	value, _ := s.cutComment()
	return strings.TrimSuffix(strings.TrimRight(value, `;" `+"\t"), `"`)
}

// cutComment cuts what looks like a comment behind the value.
func (s coturnSetting) cutComment() (value string, found bool) {
	if strings.HasPrefix(s.value, "#") {
		return "", true
	}
	for _, mark := range []string{" #", "\t#"} {
		if i := strings.Index(s.value, mark); i >= 0 {
			return strings.TrimSpace(s.value[:i]), true
		}
	}
	return s.value, false
}

// off reports whether a flag is switched off, "no-cli=0". ok is false for a value
// that is neither on nor off: coturn does not start with it.
func (s coturnSetting) off() (off, ok bool) {
	value := strings.ToLower(s.bare())
	if value == "" {
		return false, true
	}
	switch c := value[0]; {
	case c == '0' || c == 'n' || c == 'f' || value == "off":
		return true, true
	case c >= '1' && c <= '9' || c == 'y' || c == 't' || value == "on":
		return false, true
	}
	return false, false
}

// String shows the setting in a comment, its value only where it cannot be a secret.
func (s coturnSetting) String() string {
	if s.option == nil || s.option.private || s.value == "" {
		return printable(s.name)
	}
	return printable(s.name) + "=" + printable(s.value)
}

// printable makes a stranger's text fit for one line of a comment.
func printable(text string) string {
	quoted := quote(text)
	return quoted[1 : len(quoted)-1]
}
