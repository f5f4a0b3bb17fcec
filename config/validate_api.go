package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// minToken is how long what opens an API is at least.
const minToken = 32

// apiKeyName is what a key is called in the log, and in the credentials that it gets.
var apiKeyName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)

func (f *findings) apiKeys(keys map[string]Secret) {
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		at := "api.keys." + toml.Key{name}.String()
		if !apiKeyName.MatchString(name) {
			f.add(quote(name)+` is not a name of up to 32 letters, digits, "-", "_" and "."`, "", at)
		}
		f.token(at, keys[name])
	}
}

// token checks what opens an API: nobody shall guess it.
func (f *findings) token(key string, s Secret) {
	f.secret(key, s)
	switch {
	case len(s) < minToken:
		f.add(fmt.Sprintf("has fewer than %d characters", minToken), "make one with: openssl rand -base64 32", key)
	case strings.ContainsFunc(string(s), func(r rune) bool { return r <= ' ' || r > '~' }):
		f.add("holds a space or what is not ASCII, which a header does not carry", "make one with: openssl rand -base64 32", key)
	}
}

func (f *findings) admin(a Admin) {
	if a.Token == "" {
		return
	}
	f.token("admin.token", a.Token)
	if a.Listen != "" {
		f.listen("admin.listen", a.Listen)
	}
}
