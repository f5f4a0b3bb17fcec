package config

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
)

// ImportCoturnArgs turns the arguments of coturn's command, as somebody gave them to
// turnserver or to `docker run … coturn/coturn`, into a turnserver.toml of Duet.
func ImportCoturnArgs(args []string) (Imported, error) {
	table := coturnOptions()
	return importCoturn("argument", table, table.parseArgs(args))
}

// ImportCoturnCommand is ImportCoturnArgs for a command as it is typed into a shell,
// with quotes and with "\" at the ends of lines.
func ImportCoturnCommand(r io.Reader) (Imported, error) {
	text, err := readCoturn(r)
	if err != nil {
		return Imported{}, err
	}
	words, err := splitWords(text)
	if err != nil {
		return Imported{}, err
	}
	return ImportCoturnArgs(words)
}

// parseArgs reads arguments by the rules of getopt_long.
func (t coturnTable) parseArgs(args []string) []coturnSetting {
	var settings []coturnSetting
	for i := commandEnd(args); i < len(args); i++ {
		s := coturnSetting{place: i + 1}
		long, isLong := strings.CutPrefix(args[i], "--")
		switch {
		case args[i] == "--" || args[i] == "":
			continue
		case isLong:
			var given bool
			s.name, s.value, given = strings.Cut(long, "=")
			s.option = t.named(s.name)
			if s.option != nil && s.option.valued && !given && i+1 < len(args) {
				i++
				s.value = args[i]
			}
			settings = append(settings, s)
		case len(args[i]) > 1 && args[i][0] == '-':
			var took int
			settings, took = t.appendShort(settings, i, args)
			i += took
		default:
			s.name = args[i]
			settings = append(settings, s)
		}
	}
	return settings
}

// appendShort reads the letters behind one dash: flags, and at last one that takes a
// value, which follows at once or is the next argument. It tells how many it took.
func (t coturnTable) appendShort(settings []coturnSetting, i int, args []string) (all []coturnSetting, took int) {
	letters := args[i][1:]
	for at, letter := range []byte(letters) {
		s := coturnSetting{place: i + 1, name: "-" + string(rune(letter)), option: t.lettered(letter)}
		if s.option == nil {
			settings = append(settings, s)
			continue
		}
		s.name = s.option.name
		if !s.option.valued {
			settings = append(settings, s)
			continue
		}
		s.value = letters[at+1:]
		if s.value == "" && i+1 < len(args) {
			s.value, took = args[i+1], 1
		}
		return append(settings, s), took
	}
	return settings, 0
}

// commandEnd returns where coturn's own arguments begin: behind the name of the image
// in `docker run -v /etc/coturn:/etc/coturn --name coturn coturn/coturn:4.6 -n`, or
// behind the command `/usr/bin/turnserver`.
func commandEnd(args []string) int {
	command := regexp.MustCompile(`^(/[\w./-]*/)?turnserver$|^([\w.-]+(:\d+)?/)+coturn(:[\w.-]+)?$`)
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return 0
	}
	return slices.IndexFunc(args, command.MatchString) + 1
}

// splitWords splits a command as a shell does, without expanding anything.
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, open, escaped, comment := false, rune(0), false, false
	for _, r := range text {
		switch {
		case comment:
			comment = r != '\n'
		case r == '#' && !inWord && open == 0 && !escaped:
			comment = true
		case escaped:
			escaped = false
			if open == '"' && !strings.ContainsRune("$`\"\\\n", r) {
				word.WriteByte('\\')
			}
			if r != '\n' {
				word.WriteRune(r)
				inWord = true
			}
		case r == '\\' && open != '\'':
			escaped = true
		case open != 0 && r == open:
			open = 0
		case open == 0 && (r == '"' || r == '\''):
			open, inWord = r, true
		case open == 0 && strings.ContainsRune(" \t\r\n", r):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if open != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
