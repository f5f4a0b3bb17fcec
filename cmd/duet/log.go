package main

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/duetcall/duet/config"
)

// newLogger writes to w: text for people at a terminal, JSON for everything else,
// unless the configuration says which.
func newLogger(w io.Writer, cfg config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // validated by config
	opts := &slog.HandlerOptions{Level: level}
	file, ok := w.(*os.File)
	if cfg.Format == "text" || cfg.Format == "auto" && ok && term.IsTerminal(int(file.Fd())) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
