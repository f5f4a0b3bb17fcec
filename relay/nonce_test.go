package relay

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestNonceIsForOneClientAndOneTime(t *testing.T) {
	var (
		h       hasher
		issued  = time.Unix(1_800_000_000, 999_999_999)
		client  = netip.MustParseAddrPort("192.0.2.1:1000")
		own     = newNonces(10*time.Minute, true)
		another = newNonces(10*time.Minute, true)
		nonce   = own.issue(nil, &h, client, issued)
	)
	if len(nonce) != nonceSize || len(nonce) >= 64 || !bytes.HasPrefix(nonce, []byte("obMatJos2AAAB")) {
		t.Errorf("nonce %q", nonce)
	}
	if plain := newNonces(time.Minute, false).issue(nil, &h, client, issued); !bytes.HasPrefix(plain, []byte("obMatJos2AAAA")) {
		t.Errorf("without SHA-256: %q", plain)
	}
	weaker := slices.Concat([]byte("obMatJos2AAAA"), nonce[13:])
	for _, row := range []struct {
		name   string
		nonces *nonces
		nonce  []byte
		client string
		after  time.Duration
		want   nonceState
	}{
		{"at once", own, nonce, "192.0.2.1:1000", 0, nonceFresh},
		{"in time", own, nonce, "192.0.2.1:1000", 599 * time.Second, nonceFresh},
		{"too late", own, nonce, "192.0.2.1:1000", 600 * time.Second, nonceStale},
		{"years too late", own, nonce, "192.0.2.1:1000", 20 * 365 * 24 * time.Hour, nonceStale},
		{"clock set back", own, nonce, "192.0.2.1:1000", -2 * time.Second, nonceStale},
		{"another port", own, nonce, "192.0.2.1:1001", 0, nonceForeign},
		{"another address", own, nonce, "192.0.2.2:1000", 0, nonceForeign},
		{"another address, too late", own, nonce, "192.0.2.2:1000", time.Hour, nonceForeign},
		{"another process", another, nonce, "192.0.2.1:1000", 0, nonceForeign},
		{"weaker features", own, weaker, "192.0.2.1:1000", 0, nonceForeign},
		{"empty", own, nil, "192.0.2.1:1000", 0, nonceForeign},
		{"cut", own, nonce[:nonceSize-1], "192.0.2.1:1000", 0, nonceForeign},
		{"longer", own, append(slices.Clone(nonce), 'A'), "192.0.2.1:1000", 0, nonceForeign},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.nonces.check(row.nonce, &h, netip.MustParseAddrPort(row.client), issued.Add(row.after)); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
	for i := range nonce {
		for bit := range 8 {
			nonce[i] ^= 1 << bit
			if own.check(nonce, &h, client, issued) != nonceForeign {
				t.Errorf("with bit %d of byte %d changed it is still good", bit, i)
			}
			nonce[i] ^= 1 << bit
		}
	}
}

// Whatever a stranger makes up, it is not ours; and what is ours, is.
func FuzzNonce(f *testing.F) {
	var h hasher
	nonces, now := newNonces(time.Minute, true), time.Unix(1_800_000_000, 0)
	f.Add([]byte("obMatJos2AAABAAAAAAAAAAAAAAA"), uint16(1))
	f.Fuzz(func(t *testing.T, made []byte, port uint16) {
		client := netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), port)
		if state := nonces.check(made, &h, client, now); state != nonceForeign {
			t.Errorf("%q is %d", made, state)
		}
		if state := nonces.check(nonces.issue(nil, &h, client, now), &h, client, now); state != nonceFresh {
			t.Errorf("our own is %d", state)
		}
	})
}
