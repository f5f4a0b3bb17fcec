package relay

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

func TestRunEndsEverything(t *testing.T) {
	before := openFiles(t)
	cfg := testConfig()
	s, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	var clients []*wireClient
	for range 50 {
		c := dial(t, s, "ann", "pass")
		c.allocate()
		clients = append(clients, c)
	}
	busy := make(chan struct{})
	go func() { // requests go on while the relay ends
		defer close(busy)
		m := stun.MustBuild(append([]stun.Setter{stun.TransactionID}, clients[0].signed(stun.MethodAllocate, wantUDP)...)...)
		for ctx.Err() == nil {
			clients[0].conn.Write(m.Raw)
		}
	}()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-busy
	if stats := s.Stats(); stats.Allocations != 0 || stats.PortsUsed != 0 {
		t.Errorf("%d allocations, %d ports left", stats.Allocations, stats.PortsUsed)
	}
	for _, c := range clients {
		c.conn.Close()
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d open files, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc here")
	}
	return len(entries)
}

func TestRunBeforeAndAfter(t *testing.T) {
	s, err := New(testConfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestCredential(t *testing.T) {
	now := time.Unix(1_800_000_000, 999)
	cfg := testConfig()
	cfg.StaticAuthSecret, cfg.CredentialTTL = "north", config.Duration(12*time.Hour)
	s := serve(t, cfg, Options{Now: func() time.Time { return now }})
	got := s.Credential("a:b c")
	// printf %s '1800043200:a:b c' | openssl dgst -sha1 -hmac north -binary | base64
	want := Credential{"1800043200:a:b c", "WNIlwDCmrNGsS9NA4AmBxmOPcSM=", time.Unix(1_800_043_200, 0)}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	c := dial(t, s, got.Username, got.Password)
	c.allocate()

	// Without a secret there is a random one, another in each process.
	cfg = testConfig()
	cfg.StaticAuthSecret = ""
	first, second := serve(t, cfg, Options{}), serve(t, cfg, Options{})
	if a, b := first.settings.Load().auth.secrets[0], second.settings.Load().auth.secrets[0]; a == b || len(a.Reveal()) < 43 {
		t.Error("the secret is not random")
	}
}

func TestMintIsWhatOthersMint(t *testing.T) {
	name, password := Mint("north", "ann", time.Unix(1_800_000_000, 0))
	if name != "1800000000:ann" || password != "Sqiimhz6m4x0uPJBfx56aqeAS4E=" {
		t.Errorf("Mint() = %q, %q", name, password)
	}
}

func TestParseMinted(t *testing.T) {
	for _, row := range []struct {
		username, member string
		ok               bool
	}{
		{"1800000000:ann", "ann", true},
		{"1800000000:a:b", "a:b", true},
		{"1800000000", "1800000000", true},
		{"1800000000:", "1800000000:", true},
		{"", "", false},
		{":ann", "", false},
		{"ann", "", false},
		{"0:ann", "", false},
		{"-1:ann", "", false},
		{"+1:ann", "", false},
		{"1e9:ann", "", false},
		{" 1:ann", "", false},
	} {
		member, _, ok := parseMinted([]byte(row.username))
		if string(member) != row.member || ok != row.ok {
			t.Errorf("parseMinted(%q) = %q, %t", row.username, member, ok)
		}
	}
}
