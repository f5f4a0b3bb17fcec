package web

import (
	"bytes"
	"path"
	"regexp"
)

var (
	moduleScript = regexp.MustCompile(`<script type="module" src="(/[^"]+)"></script>`)
	moduleImport = regexp.MustCompile(`(?m)^(?:import|export) [^;]*?from '(\.{1,2}/[^']+)';`)
)

// withPreloads names, ahead of a page's module, everything which that imports. A browser then asks for all of it at
// once, instead of one round trip for each step of the way down.
func withPreloads(page []byte, files map[string]file) []byte {
	at := moduleScript.FindSubmatchIndex(page)
	if at == nil {
		return page
	}
	var links bytes.Buffer
	for _, module := range imports(string(page[at[2]:at[3]]), files) {
		links.WriteString(`<link rel="modulepreload" fetchpriority="low" href="` + module + "\">\n  ")
	}
	return bytes.Join([][]byte{page[:at[0]], links.Bytes(), page[at[0]:]}, nil)
}

// imports returns what a module imports, and what that imports, nearest first. Modules that code loads when they are
// needed, by import(), are not among them.
func imports(module string, files map[string]file) []string {
	seen := map[string]bool{module: true}
	all := []string{module}
	for i := 0; i < len(all); i++ {
		for _, match := range moduleImport.FindAllSubmatch(files[all[i]].content, -1) {
			found := path.Join(path.Dir(all[i]), string(match[1]))
			if !seen[found] {
				seen[found] = true
				all = append(all, found)
			}
		}
	}
	return all[1:]
}
