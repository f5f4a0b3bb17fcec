package relay

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// What OpenSSL 3.0 sends first in turnutils_uclient, the least that a client of DTLS 1.0
// could send, and the same for 1.2.
const (
	opensslHello = "16fefd000000000000000001440100013800000000000001 38fefdbfc6932a7e5a2ea4d0d733b2d4b53ed8ef858060cc10cacdef0b44698e60aa81" +
		"00000090c02cc03000a3009fcca9cca8ccaac0afc0adc0a3c09fc05dc061c057c053c02bc02f00a2009ec0aec0acc0a2c09ec05cc060c056c052c024c028006b006a" +
		"c073c07700c400c3c023c02700670040c072c07600be00bdc00ac0140039003800880087c009c0130033003200450044009dc0a1c09dc051009cc0a0c09cc050003d" +
		"00c0003c00ba00350084002f004100ff0100007e000b000403000102000a000c000a001d0017001e001900180023000000100028002608687474702f312e31097374" +
		"756e2e7475726e127374756e2e6e61742d646973636f766572790016000000170000000d002a0028040305030603080708080809080a080b08040805080604010501" +
		"0601030303010302040205020602"
	oldHello = "16feff000000000000000000360100002a000000000000002a feff2ffb5ab10e4d8453818c33b8886a9548345b0a18dcc005974a3c8a6fa015b0050000" +
		"0002002f0100"
	smallestHello = "16feff000000000000000000360100002a000000000000002a fefd2ffb5ab10e4d8453818c33b8886a9548345b0a18dcc005974a3c8a6fa015b0050000" +
		"0002c02b0100"
)

func mustParse(t testing.TB, datagram []byte) *hello {
	t.Helper()
	var h hello
	if !isHello(datagram) || !h.parse(datagram) {
		t.Fatalf("not understood: %x", datagram)
	}
	return &h
}

// again is the hello that a client sends when it is asked for the cookie: as before, and
// counted on.
func (h *hello) again(cookie []byte) []byte {
	body := append(bytes.Clone(h.before), byte(len(cookie)))
	body = append(append(append(body, cookie...), h.suites...), h.extensions...)
	size := []byte{0, byte(len(body) >> 8), byte(len(body))}
	b := []byte{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, byte(h.record + 1), 0, 0, 1}
	binary.BigEndian.PutUint16(b[11:], uint16(12+len(body)))
	b = append(append(append(append(b, size...), 0, 1, 0, 0, 0), size...), body...)
	return b
}

// cookieIn returns the cookie of a HelloVerifyRequest.
func cookieIn(t testing.TB, answer []byte) []byte {
	t.Helper()
	if len(answer) != 28+cookieSize || answer[0] != 22 || answer[13] != 3 || answer[27] != cookieSize {
		t.Fatalf("no HelloVerifyRequest: %x", answer)
	}
	return answer[28:]
}

func TestTheAnswerToAHelloIsSmallerThanAnyHello(t *testing.T) {
	for _, text := range []string{smallestHello, opensslHello, oldHello} {
		first := unhex(text)
		h := mustParse(t, first)
		if answer := h.appendVerifyRequest(nil, make([]byte, cookieSize)); len(answer) >= len(first) {
			t.Errorf("%d bytes for %d", len(answer), len(first))
		}
		if alert := h.appendOutdated(nil); len(alert) != 15 {
			t.Errorf("alert %x", alert)
		}
	}
}

// The library is told the hello that the client began with, bit for bit but for what a
// client may choose.
func TestTheFirstHelloIsMadeFromTheSecond(t *testing.T) {
	first := unhex(opensslHello)
	second := mustParse(t, first).again([]byte("a cookie of twenty.."))
	h := mustParse(t, second)
	if string(h.cookie) != "a cookie of twenty.." || h.message != 1 || h.record != 1 {
		t.Fatalf("understood %q, message %d in record %d", h.cookie, h.message, h.record)
	}
	if made := h.appendFirst(nil); !bytes.Equal(made, first) {
		t.Errorf("made %x\nwant %x", made, first)
	}
}

func TestBrokenHellosAreNotUnderstood(t *testing.T) {
	whole := unhex(opensslHello)
	var h hello
	for size := range whole {
		if cut := whole[:size]; isHello(cut) && h.parse(cut) {
			t.Errorf("understood with %d of %d bytes", size, len(whole))
		}
	}
	for _, row := range []struct {
		name string
		at   int
		byte byte
	}{
		{"another content type", 0, 23},
		{"TLS, not DTLS", 1, 3},
		{"encrypted", 4, 1},
		{"shorter record", 12, 0x43},
		{"another message", 13, 2},
		{"shorter message", 16, 0x37},
		{"a later fragment", 21, 1},
		{"the first of two fragments", 24, 0x37},
		{"TLS in DTLS", 25, 3},
		{"a session id of 33 bytes", 59, 33},
		{"a cookie beyond the end", 60, 255},
		{"an odd number of bytes of cipher suites", 62, 0x91},
		{"no cipher suites", 62, 0},
		{"extensions beyond the end", 210, 0x7F},
	} {
		b := bytes.Clone(whole)
		b[row.at] = row.byte
		if isHello(b) && h.parse(b) {
			t.Error(row.name)
		}
	}
	if long := append(whole, make([]byte, maxHello)...); h.parse(long) {
		t.Error("longer than any hello")
	}
}

func TestACookieIsForOneHelloOfOneClientForAMinuteAtMost(t *testing.T) {
	c := newCookies()
	first := mustParse(t, unhex(opensslHello))
	now := time.Now()
	cookie := c.issue(first, stranger, now)
	second := first.again(cookie[:])
	for _, row := range []struct {
		name   string
		client netip.AddrPort
		after  time.Duration
		at     int // of the byte that differs
		good   bool
	}{
		{"as issued", stranger, 0, 0, true},
		{"half a minute later", stranger, cookiePeriod, 0, true},
		{"a minute later", stranger, 2 * cookiePeriod, 0, false},
		{"before it was issued", stranger, -cookiePeriod, 0, false},
		{"another port", netip.AddrPortFrom(stranger.Addr(), 5001), 0, 0, false},
		{"another address", netip.AddrPortFrom(mustAddr("192.0.2.2"), 5000), 0, 0, false},
		{"the address as IPv6", netip.AddrPortFrom(mustAddr("2001:db8::1"), 5000), 0, 0, false},
		{"another random", stranger, 0, 40, false},
		{"another cookie", stranger, 0, 70, false},
		{"other cipher suites", stranger, 0, 100, false},
		{"other extensions, which a client may change", stranger, 0, 300, true},
	} {
		b := bytes.Clone(second)
		if row.at > 0 {
			b[row.at] ^= 1
		}
		if good := c.check(mustParse(t, b), row.client, now.Add(row.after)); good != row.good {
			t.Errorf("%s: good is %v", row.name, good)
		}
	}
	for _, short := range [][]byte{{}, cookie[:cookieSize-1]} {
		if c.check(mustParse(t, first.again(short)), stranger, now) {
			t.Errorf("%d bytes of the cookie suffice", len(short))
		}
	}
	if newCookies().check(mustParse(t, second), stranger, now) {
		t.Error("a cookie of another process is good")
	}
}

// FuzzHello: whatever a stranger sends, what is understood of it is in it, and its answer
// is smaller.
func FuzzHello(f *testing.F) {
	for _, seed := range []string{opensslHello, oldHello, smallestHello} {
		f.Add(unhex(seed))
		f.Add(mustParse(f, unhex(seed)).again([]byte("a cookie of twenty..")))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		var h hello
		if !isHello(datagram) || !h.parse(datagram) {
			return
		}
		body := append(bytes.Clone(h.before), byte(len(h.cookie)))
		body = append(append(append(body, h.cookie...), h.suites...), h.extensions...)
		if !bytes.Equal(body, datagram[25:]) {
			t.Fatalf("understood %x", body)
		}
		cookie := newCookies().issue(&h, stranger, time.Now())
		if answer := h.appendVerifyRequest(nil, cookie[:]); len(answer) >= len(datagram) {
			t.Fatalf("%d bytes for %d", len(answer), len(datagram))
		}
		h.record = max(h.record, 1)
		first := mustParse(t, h.appendFirst(nil))
		if first.message != 0 || len(first.cookie) != 0 || !bytes.Equal(first.before, h.before) || !bytes.Equal(first.extensions, h.extensions) {
			t.Fatalf("first hello %x", h.appendFirst(nil))
		}
	})
}
