package web_test

import (
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var preloads = regexp.MustCompile(`<link rel="modulepreload" fetchpriority="low" href="([^"]+)">\n  `)

// TestAPageNamesEveryModuleThatItWillImport finds the imports in another way than the server does: line by line.
func TestAPageNamesEveryModuleThatItWillImport(t *testing.T) {
	for address, first := range map[string]string{"/": "/ui/main.js", "/trickle": "/ui/trickle.js"} {
		body, err := io.ReadAll(get(t, http.MethodGet, address, nil).Body)
		if err != nil {
			t.Fatal(err)
		}
		named := make(map[string]bool)
		for _, match := range preloads.FindAllStringSubmatch(string(body), -1) {
			if named[match[1]] {
				t.Errorf("%s names %s twice", address, match[1])
			}
			named[match[1]] = true
		}
		needed := map[string]bool{}
		var need func(module string)
		need = func(module string) {
			source, err := os.ReadFile(path.Join("static", module))
			if err != nil {
				t.Fatalf("%s needs %v", address, err)
			}
			for line := range strings.Lines(string(source)) {
				_, from, ok := strings.Cut(line, " from '.")
				if !ok || strings.HasPrefix(strings.TrimSpace(line), "*") || strings.Contains(line, "@import") {
					continue
				}
				found := path.Join(path.Dir(module), "."+strings.SplitN(from, "'", 2)[0])
				if !needed[found] {
					needed[found] = true
					need(found)
				}
			}
		}
		need(first)
		for module := range needed {
			if !named[module] {
				t.Errorf("%s does not name %s", address, module)
			}
		}
		for module := range named {
			if !needed[module] {
				t.Errorf("%s names %s, which nothing imports", address, module)
			}
		}
	}
}
