package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestTheSessionKeyIsMadeOnceAndIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "duet")
	var wait sync.WaitGroup
	keys := make([][]byte, 20)
	for i := range keys {
		wait.Go(func() {
			key, err := sessionKey(dir)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wait.Wait()
	for _, key := range keys {
		if len(key) != 32 || !bytes.Equal(key, keys[0]) {
			t.Fatalf("%x and %x", key, keys[0])
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestABrokenSessionKeyIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "session.key"), []byte("short"))
	if _, err := sessionKey(dir); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("got %v", err)
	}
}
