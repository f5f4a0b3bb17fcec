package config

import (
	"strings"
	"testing"
)

func TestTheAdminAPINeedsATokenThatNobodyGuesses(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", ""},
		{"admin.listen = ''\nadmin.token = '" + strings.Repeat("t", 32) + "'", ""},
		{"admin.token = '" + strings.Repeat("t", 31) + "'", "admin.token: has fewer than 32 characters; make one with"},
		{"admin.listen = 'nowhere'\nadmin.token = '" + strings.Repeat("t", 32) + "'", "admin.listen"},
		{"metrics.listen = '127.0.0.1:9642'\nadmin.token = '" + strings.Repeat("t", 32) + "'", "metrics.listen (127.0.0.1:9642) and admin.listen"},
		{"metrics.listen = '127.0.0.1:9642'", ""},
	} {
		_, err := loadText(row.text, nil, nil)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.text, err, row.want)
		}
	}
}

func TestAPIKeysCannotBeGuessed(t *testing.T) {
	key := strings.Repeat("k", 32)
	for _, row := range []struct{ text, want string }{
		{"api.keys = { shop = '" + key + "', 'other.app-2' = '" + key + "2' }", ""},
		{"api.keys = { shop = '" + key[1:] + "' }", "api.keys.shop: has fewer than 32 characters"},
		{"api.keys = { shop = '" + key + " é' }", "api.keys.shop: holds a space or what is not ASCII"},
		{"api.keys = { 'my shop' = '" + key + "' }", `"my shop" is not a name`},
		{"api.keys = { shop = '' }", "api.keys.shop: has fewer"},
	} {
		_, err := loadText(row.text, nil, nil)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.text, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), key[1:]) {
			t.Errorf("the key is in %v", err)
		}
	}
	c, err := loadText("api.keys_file = 'keys'", nil, map[string]string{"keys": "# apps\nshop:" + key + ":x\n"})
	if err != nil || c.API.Keys["shop"].Reveal() != key+":x" {
		t.Errorf("from a file come %d keys, %v", len(c.API.Keys), err)
	}
}
