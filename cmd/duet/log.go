package main

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/duetcall/duet/config"
)

// newLogger writes to w: text for people at a terminal, JSON for everything else,
// unless the configuration says which. level may change later.
func newLogger(w io.Writer, cfg config.Log, level *slog.LevelVar) *slog.Logger {
	level.Set(logLevel(cfg))
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" || cfg.Format == "auto" && terminalOf(w) != nil {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

func logLevel(cfg config.Log) (level slog.Level) {
	_ = level.UnmarshalText([]byte(cfg.Level)) // validated by config
	return level
}

// terminalOf returns the terminal that w is, or nil.
func terminalOf(w io.Writer) *os.File {
	if file, ok := w.(*os.File); ok && isTerminal(file) {
		return file
	}
	return nil
}

func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }
