package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// tutorial is the server that we compare with.
//
//go:embed socketio/package.json socketio/package-lock.json socketio/server.js
var tutorial embed.FS

// buildDuet builds the server from the source that we are run in.
func buildDuet(ctx context.Context, dir string) (binary string, err error) {
	binary = filepath.Join(dir, "duet")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/duetcall/duet/cmd/duet")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building duet (run this in its source, or name a binary with --duet): %w\n%s", err, out)
	}
	return binary, nil
}

// installSocketIO has npm install the tutorial's server, once for each version of it, and returns
// where it is.
func installSocketIO(ctx context.Context) (dir string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	version := sha256.New()
	files, err := tutorial.ReadDir("socketio")
	if err != nil {
		return "", err
	}
	content := make(map[string][]byte)
	for _, file := range files {
		if content[file.Name()], err = tutorial.ReadFile("socketio/" + file.Name()); err != nil {
			return "", err
		}
		version.Write(content[file.Name()])
	}
	dir = filepath.Join(cache, "duetbench", fmt.Sprintf("socketio-%x", version.Sum(nil)[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh) //nolint:errcheck // a leftover in the cache
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(fresh, name), text, 0o644); err != nil {
			return "", err
		}
	}
	out, err := npmCI(ctx, fresh)
	if err != nil {
		out, err = npmCI(ctx, fresh) // the registry may hiccup
	}
	if err != nil {
		return "", fmt.Errorf("installing Socket.IO (needs Node.js and the npm registry; --alone goes without): %w\n%s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, other := os.Stat(dir); other != nil { // or another run has been quicker
			return "", err
		}
	}
	return dir, nil
}

func npmCI(ctx context.Context, dir string) (said []byte, err error) {
	npm := exec.CommandContext(ctx, "npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	return npm.CombinedOutput()
}
