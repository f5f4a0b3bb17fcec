package config

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

func TestPositionsOfKeysAndValues(t *testing.T) {
	text := strings.Join([]string{
		`# comment with [x] = "`,          // 1
		`top = 1 # trailing`,              // 2
		`  [ a . "b.c" ]  # [no]`,         // 3
		`é = "bare keys are ASCII"`,       // 4
		`'q 1'   =   2020-01-02 03:04:05`, // 5
		`"\u00e9".x = """`,                // 6
		`two = 2 " "" \""""""`,            // 7
		`list = [ 1, # ]`,                 // 8
		`  "é", ['x', {k = 'v'}], ]`,      // 9
		`raw = ''''it''s'''''`,            // 10
		`[[tables]]`,                      // 11
		`n = -inf`,                        // 12
	}, "\n")
	text = strings.Replace(text, `é = "bare keys are ASCII"`, `# é`, 1)
	marks, _, err := indexPositions(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := toml.Decode(text, new(map[string]any)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]mark{
		`top`:                  {position{2, 1}, position{2, 7}},
		`a`:                    {position{3, 5}, position{3, 5}},
		`a."b.c"`:              {position{3, 9}, position{3, 9}},
		`a."b.c"."q 1"`:        {position{5, 1}, position{5, 13}},
		`a."b.c"."é".x`:        {position{6, 10}, position{6, 14}},
		`a."b.c".list`:         {position{8, 1}, position{8, 8}},
		`a."b.c".list[0]`:      {position{8, 10}, position{8, 10}},
		`a."b.c".list[1]`:      {position{9, 3}, position{9, 3}},
		`a."b.c".list[2][0]`:   {position{9, 9}, position{9, 9}},
		`a."b.c".list[2][1].k`: {position{9, 15}, position{9, 19}},
		`a."b.c".raw`:          {position{10, 1}, position{10, 7}},
		`tables`:               {position{11, 3}, position{11, 3}},
		`tables.n`:             {position{12, 1}, position{12, 5}},
	} {
		if got, ok := marks[path]; !ok || got != want {
			t.Errorf("%s is at %v, want %v", path, got, want)
		}
	}
	if _, ok := marks[`a."b.c".two`]; ok {
		t.Error("a key was found inside a string")
	}
}

// FuzzPositions holds the index against the parser: every key of a text that the
// parser takes has a place inside the text.
func FuzzPositions(f *testing.F) {
	f.Add(example)
	f.Add("a.b = [[1], {c = '''x'''}]\n[\"d\\u00e9\"]\nf = \"\"\"\"\"\\\n\"\"\"\"\"\r\n[[g.h]]\n")
	f.Add("a = {b = 1, # c\n c.d = 2,\n}\n\"\" = 1979-05-27 07:32:00 # x")
	index := regexp.MustCompile(`\[\d+\]`)
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimPrefix(text, "\ufeff")
		if !utf8.ValidString(text) {
			return // refused before it is indexed
		}
		marks, stop, err := indexPositions(text)
		lines := strings.Split(text, "\n")
		inside := func(p position) bool {
			return p.line >= 1 && p.line <= len(lines) && p.column >= 1 && p.column <= len([]rune(lines[p.line-1]))+1
		}
		if !inside(stop) {
			t.Fatalf("stopped at %v", stop)
		}
		for path, m := range marks {
			if !inside(m.key) || !inside(m.value) {
				t.Errorf("%s at %v is outside", path, m)
			}
		}
		if errors.Is(err, errPathTooLong) {
			return
		}
		metadata, parseErr := toml.Decode(text, new(map[string]any))
		if parseErr != nil {
			return
		}
		if err != nil {
			t.Fatalf("%v at %v, but the parser takes it", err, stop)
		}
		// The parser names what is inside a list without the index.
		named := make(map[string]bool)
		for path := range marks {
			named[index.ReplaceAllString(path, "")] = true
		}
		for _, key := range metadata.Keys() {
			if !named[index.ReplaceAllString(key.String(), "")] {
				t.Errorf("%s has no place", key)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(example, "")
	f.Add("[turn]\nusers = { ann = 'x', \"b\\tc\" = 'y' }\nexternal_ip = ['192.0.2.1/10.0.0.1']\nmin_prot = 5\n", "DUET_TURN_REALM=x")
	f.Add("turn.static_auth_secret_file = 'secret'\nhttp.public_url = 'https://a.example'\n", "DUET_TURN_USERS=a=b,c=d")
	f.Add("[turn]\ndenied_peer_ip = ['10.0.0.1-10.0.0.9', 'fd00::/8', '::ffff:10.0.0.0/104']\ncredential_ttl = '1h1ms'\n", "DUET_HTTP_TRUSTED_PROXIES=10.0.0.0/8")
	f.Fuzz(func(t *testing.T, text, variable string) {
		c, err := loadText(text, []string{variable}, map[string]string{"secret": "s", "users": "ann:x\n"})
		if err == nil {
			checkRoundTrip(t, c)
			return
		}
		var problems Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("%T without a problem", err)
		}
		lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
		for _, p := range problems {
			inFile := p.File == "turnserver.toml"
			if inFile && (p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len([]rune(lines[p.Line-1]))+1) {
				t.Errorf("outside the file: %v", p)
			}
			if p.Message == "" || strings.ContainsAny(p.Error(), "\n\r\x1b") {
				t.Errorf("not one plain line: %q", p.Error())
			}
		}
	})
}
