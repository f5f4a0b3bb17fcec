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
