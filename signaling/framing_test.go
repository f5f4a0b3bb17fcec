package signaling

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// Opcodes (RFC 6455 section 5.2), with FIN.
const (
	fin     = 0x80
	opCont  = 0x0
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// frame writes a masked frame as RFC 6455 section 5.2 has it, with the shortest length.
func frame(first byte, payload string) []byte {
	out := []byte{first}
	switch n := len(payload); {
	case n < 126:
		out = append(out, 0x80|byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(n))
	}
	return mask(out, payload)
}

// mask appends a mask and the payload under it.
func mask(header []byte, payload string) []byte {
	key := [4]byte{1, 2, 3, 4}
	header = append(header, key[:]...)
	for i := range len(payload) {
		header = append(header, payload[i]^key[i%4])
	}
	return header
}

// closing is a close frame with that code and reason.
func closing(code int, reason string) []byte {
	return frame(fin|opClose, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// bare is a socket that a test frames by hand.
type bare struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// handshake has every header of a good one (RFC 6455 section 4.1) but those that are replaced:
// "Name: value" for another value, "Name:" for none.
func handshake(request string, replace ...string) string {
	headers := []string{"Host: duet", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: duet.v1"}
	for _, other := range replace {
		name, value, _ := strings.Cut(other, ":")
		for i, header := range headers {
			if strings.HasPrefix(header, name+":") {
				headers[i] = other
				if value == "" {
					headers = append(headers[:i], headers[i+1:]...)
					break
				}
			}
		}
	}
	return request + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// ask sends a request on a connection of its own.
func ask(t *testing.T, url, request string) (*bare, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return upgrade(t, conn, request)
}

func upgrade(t *testing.T, conn net.Conn, request string) (*bare, *http.Response) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	b := &bare{t, conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(b.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b, resp
}

// open upgrades.
func open(t *testing.T, url string) *bare {
	t.Helper()
	b, resp := ask(t, url, handshake("GET / HTTP/1.1"))
	// The accept value is the one of RFC 6455 section 1.3 for this key.
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || resp.Header.Get("Sec-WebSocket-Protocol") != Protocol {
		t.Fatalf("upgrade: %s, %v", resp.Status, resp.Header)
	}
	return b
}

func (b *bare) write(frames ...[]byte) {
	b.t.Helper()
	if _, err := b.conn.Write(bytes.Join(frames, nil)); err != nil {
		b.t.Fatal(err)
	}
}

// read returns the next frame, which must be one that a server may send.
func (b *bare) read() (opcode byte, payload string, err error) {
	b.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(b.in, head[:]); err != nil {
		return 0, "", err
	}
	n := uint64(head[1])
	if head[0]&0xf0 != fin || n >= 0x80 {
		b.t.Errorf("the server's frame begins with %x: fragmented, reserved bits or masked", head)
	}
	switch n {
	case 126:
		var long uint16
		_ = binary.Read(b.in, binary.BigEndian, &long)
		n = uint64(long)
	case 127:
		_ = binary.Read(b.in, binary.BigEndian, &n)
	}
	text := make([]byte, n)
	_, err = io.ReadFull(b.in, text)
	return head[0] & 0xf, string(text), err
}

// expect returns the payload of the next frame, which must be of that opcode.
func (b *bare) expect(opcode byte) string {
	b.t.Helper()
	got, payload, err := b.read()
	if err != nil || got != opcode {
		b.t.Fatalf("got opcode %x %q, %v, want %x", got, payload, err, opcode)
	}
	return payload
}

// closed reads up to the close frame and returns its code, 0 for one without. Then the
// connection must end.
func (b *bare) closed() int {
	b.t.Helper()
	for {
		opcode, payload, err := b.read()
		if err != nil {
			b.t.Fatalf("no close frame: %v", err)
		}
		if opcode != opClose {
			continue
		}
		if tcp, ok := b.conn.(*net.TCPConn); ok { // the server waits a second for what is still under way
			_ = tcp.CloseWrite()
		}
		if _, err := b.in.ReadByte(); err != io.EOF {
			b.t.Errorf("after the close frame: %v, want the end", err)
		}
		if len(payload) < 2 {
			return 0
		}
		return int(binary.BigEndian.Uint16([]byte(payload)))
	}
}

// leave ends the socket as a good client does.
func (b *bare) leave() {
	b.t.Helper()
	b.write(closing(websocket.CloseNormalClosure, ""))
	if got := b.closed(); got != websocket.CloseNormalClosure {
		b.t.Errorf("the server closes with %d", got)
	}
}

const (
	joinTea   = `{"type":"join","room":"tea","name":"Ann"}`
	pingFrame = `{"type":"ping"}`
)

func TestFramesThatBreakTheProtocolCloseTheSocket(t *testing.T) {
	text := func(payload string) []byte { return frame(fin|opText, payload) }
	long := strings.Repeat("x", MaxMessageBytes)
	rows := []struct {
		name   string
		frames [][]byte
		code   int
	}{
		{"unmasked", [][]byte{append([]byte{fin | opText, byte(len(pingFrame))}, pingFrame...)}, websocket.CloseProtocolError},
		{"unmasked ping", [][]byte{{fin | opPing, 0}}, websocket.CloseProtocolError},
		{"unmasked continuation", [][]byte{frame(opText, "{"), {fin | opCont, 1, '}'}}, websocket.CloseProtocolError},
		{"ping of 126 bytes", [][]byte{frame(fin|opPing, long[:126])}, websocket.CloseProtocolError},
		{"close of 126 bytes", [][]byte{closing(1000, long[:124])}, websocket.CloseProtocolError},
		{"pong with a 64-bit length", [][]byte{mask(binary.BigEndian.AppendUint64([]byte{fin | opPong, 0x80 | 127}, 1<<40), "")}, websocket.CloseProtocolError},
		{"fragmented ping", [][]byte{frame(opPing, "a"), frame(fin|opCont, "b")}, websocket.CloseProtocolError},
		{"fragmented close", [][]byte{frame(opClose, "\x03\xe8"), frame(fin|opCont, "")}, websocket.CloseProtocolError},
		{"continuation without a beginning", [][]byte{frame(fin|opCont, pingFrame)}, websocket.CloseProtocolError},
		{"continuation after the end", [][]byte{text(pingFrame), frame(fin|opCont, "x")}, websocket.CloseProtocolError},
		{"message inside a message", [][]byte{frame(opText, pingFrame[:5]), text(pingFrame)}, websocket.CloseProtocolError},
		{"beginning inside a message", [][]byte{frame(opText, pingFrame[:5]), frame(opText, pingFrame)}, websocket.CloseProtocolError},
		{"binary", [][]byte{frame(fin|0x2, pingFrame)}, closeProtocol},
		{"binary in fragments", [][]byte{frame(0x2, pingFrame[:5]), frame(fin|opCont, pingFrame[5:])}, closeProtocol},

		{"invalid UTF-8", [][]byte{text(`{"type":"ping","x":"` + "\xff" + `"}`)}, websocket.CloseInvalidFramePayloadData},
		{"surrogate in UTF-8", [][]byte{text(`{"type":"ping","x":"` + "\xed\xa0\x80" + `"}`)}, websocket.CloseInvalidFramePayloadData},
		{"overlong UTF-8", [][]byte{text(`{"type":"ping","x":"` + "\xc0\xaf" + `"}`)}, websocket.CloseInvalidFramePayloadData},
		{"half a character", [][]byte{text(`{"type":"ping","x":"` + "\xc3")}, websocket.CloseInvalidFramePayloadData},
		{"invalid UTF-8 in fragments", [][]byte{frame(opText, `{"type":"ping","x":"`+"\xc3"), frame(fin|opCont, `(" }`)}, websocket.CloseInvalidFramePayloadData},
		// RFC 6455 section 7.1.6 would have 1007; what matters is that it is an error.
		{"invalid UTF-8 in the reason of a close", [][]byte{closing(1000, "\xff")}, websocket.CloseProtocolError},

		{"too long", [][]byte{text(long + "x")}, websocket.CloseMessageTooBig},
		{"too long in fragments", [][]byte{frame(opText, long[:40_000]), frame(opCont, long[:25_536]), frame(fin|opCont, "x")}, websocket.CloseMessageTooBig},
		{"64-bit length with the top bit", [][]byte{mask(binary.BigEndian.AppendUint64([]byte{fin | opText, 0x80 | 127}, 1<<63|5), pingFrame)}, websocket.CloseMessageTooBig},
		{"the longest 64-bit length", [][]byte{mask(binary.BigEndian.AppendUint64([]byte{fin | opText, 0x80 | 127}, 1<<63-1), pingFrame)}, websocket.CloseMessageTooBig},
		{"lengths that overflow together", [][]byte{frame(opText, "{"), mask(binary.BigEndian.AppendUint64([]byte{fin | opCont, 0x80 | 127}, 1<<63-1), pingFrame)}, websocket.CloseMessageTooBig},
	}
	for bit, name := range map[byte]string{0x40: "RSV1", 0x20: "RSV2", 0x10: "RSV3"} {
		for _, opcode := range []byte{opText, opPing, opClose} {
			rows = append(rows, struct {
				name   string
				frames [][]byte
				code   int
			}{fmt.Sprintf("%s with opcode %x", name, opcode), [][]byte{frame(fin|bit|opcode, "")}, websocket.CloseProtocolError})
		}
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		rows = append(rows, struct {
			name   string
			frames [][]byte
			code   int
		}{fmt.Sprintf("opcode %x", opcode), [][]byte{frame(fin|opcode, "")}, websocket.CloseProtocolError})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		rows = append(rows, struct {
			name   string
			frames [][]byte
			code   int
		}{fmt.Sprintf("close code %d", code), [][]byte{closing(code, "")}, websocket.CloseProtocolError})
	}
	_, url := start(t, graceful(), Options{})
	for _, row := range rows {
		for _, joined := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, joined %t", row.name, joined), func(t *testing.T) {
				b := open(t, url)
				if joined {
					b.write(text(fmt.Sprintf(`{"type":"join","room":"room %s"}`, row.name)))
					b.expect(opText)
				} else if row.frames[0][0] == fin|opText && row.name == "continuation after the end" {
					return // its first message would end the socket
				}
				b.write(row.frames...)
				if got := b.closed(); got != row.code {
					t.Errorf("closed with %d, want %d", got, row.code)
				}
			})
		}
	}
}

func TestFramesThatKeepTheProtocolAreUnderstoodHoweverTheyAreCut(t *testing.T) {
	_, url := start(t, graceful(), Options{})
	for _, row := range []struct {
		name   string
		frames [][]byte
		pongs  []string // in the order in which they must come, before the answer
	}{
		{"whole", [][]byte{frame(fin|opText, joinTea)}, nil},
		{"two fragments", [][]byte{frame(opText, joinTea[:7]), frame(fin|opCont, joinTea[7:])}, nil},
		{"a fragment a byte", fragments(joinTea, 1, nil), nil},
		{"empty fragments", [][]byte{frame(opText, ""), frame(opCont, ""), frame(opCont, joinTea), frame(opCont, ""), frame(fin|opCont, "")}, nil},
		{"a character in two fragments", [][]byte{frame(opText, `{"type":"join","room":"tea`+"\xc3"), frame(fin|opCont, "\xa9"+`"}`)}, nil},
		{"pings between", fragments(joinTea, 20, frame(fin|opPing, "still there?")), []string{"still there?", "still there?"}},
		{"pings before", [][]byte{frame(fin|opPing, ""), frame(fin|opPing, strings.Repeat("p", 125)), frame(fin|opText, joinTea)}, []string{"", strings.Repeat("p", 125)}},
		{"pongs that nobody asked for", [][]byte{frame(fin|opPong, "x"), frame(opText, joinTea[:3]), frame(fin|opPong, ""), frame(fin|opCont, joinTea[3:])}, nil},
		// RFC 6455 section 5.2 wants the shortest form, which the library does not insist on. It is harmless: the
		// length is the same, and the limit is for the length.
		{"a longer length than needed", [][]byte{mask([]byte{fin | opText, 0x80 | 126, 0, byte(len(joinTea))}, joinTea)}, nil},
		{"a much longer length than needed", [][]byte{mask([]byte{fin | opText, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, byte(len(joinTea))}, joinTea)}, nil},
		{"as long as can be", [][]byte{frame(fin|opText, joinTea+strings.Repeat(" ", MaxMessageBytes-len(joinTea)))}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := open(t, url)
			b.write(row.frames...)
			for _, want := range row.pongs {
				if got := b.expect(opPong); got != want {
					t.Errorf("pong %q, want %q", got, want)
				}
			}
			if got := b.expect(opText); !strings.Contains(got, `"type":"joined"`) {
				t.Errorf("got %s", got)
			}
			b.write(frame(fin|opText, `{"type":"leave"}`))
			if got := b.closed(); got != websocket.CloseNormalClosure {
				t.Errorf("closed with %d", got)
			}
		})
	}
}

// fragments cuts a message into fragments of that size, with something between each two.
func fragments(text string, size int, between []byte) (frames [][]byte) {
	first := byte(opText)
	for len(text) > size {
		frames = append(frames, frame(first, text[:size]), between)
		first, text = opCont, text[size:]
	}
	return append(frames, frame(fin|first, text))
}

func TestACloseIsAnsweredWithItsCodeAndNothingAfterItCounts(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999} {
		b := open(t, url)
		b.write(closing(code, "good bye"), frame(fin|opText, joinTea), frame(fin|opPing, "x"))
		if got := b.closed(); got != code {
			t.Errorf("close %d is answered with %d", code, got)
		}
	}
	// One byte cannot be a code. The library takes it for none, and the socket ends all the same.
	for _, payload := range []string{"", "\x03"} {
		b := open(t, url)
		b.write(frame(fin|opClose, payload), frame(fin|opText, joinTea))
		if got := b.closed(); got != 0 {
			t.Errorf("a close without a code is answered with %d", got)
		}
	}
	if got := s.Stats(); got.Joins != 0 {
		t.Errorf("%d joined after their close frame", got.Joins)
	}
}

func TestUpgradesThatAreNoneAreRefused(t *testing.T) {
	s, url := start(t, graceful(), Options{})
	for _, row := range []struct {
		name, request string
		status        int
	}{
		{"version 12", handshake("GET / HTTP/1.1", "Sec-WebSocket-Version: 12"), http.StatusBadRequest},
		{"no version", handshake("GET / HTTP/1.1", "Sec-WebSocket-Version:"), http.StatusBadRequest},
		{"no key", handshake("GET / HTTP/1.1", "Sec-WebSocket-Key:"), http.StatusBadRequest},
		{"a short key", handshake("GET / HTTP/1.1", "Sec-WebSocket-Key: c2hvcnQ="), http.StatusBadRequest},
		{"a key that is no base64", handshake("GET / HTTP/1.1", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="), http.StatusBadRequest},
		{"POST", handshake("POST / HTTP/1.1"), http.StatusMethodNotAllowed},
		{"HEAD", handshake("HEAD / HTTP/1.1"), http.StatusMethodNotAllowed},
		{"no upgrade", handshake("GET / HTTP/1.1", "Upgrade:"), http.StatusUpgradeRequired},
		{"another upgrade", handshake("GET / HTTP/1.1", "Upgrade: h2c"), http.StatusUpgradeRequired},
		{"keep-alive", handshake("GET / HTTP/1.1", "Connection: keep-alive"), http.StatusUpgradeRequired},
		{"another subprotocol", handshake("GET / HTTP/1.1", "Sec-WebSocket-Protocol: duet.v0, chat"), http.StatusBadRequest},
		{"no host", handshake("GET / HTTP/1.1", "Host:"), http.StatusBadRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, resp := ask(t, url, row.request)
			if resp.StatusCode != row.status || resp.Header.Get("Sec-WebSocket-Accept") != "" {
				t.Errorf("%s, %v, want %d", resp.Status, resp.Header, row.status)
			}
			// RFC 6455 section 4.4: who speaks another version is told of ours.
			if strings.Contains(row.name, "version") && resp.Header.Get("Sec-WebSocket-Version") != "13" {
				t.Errorf("headers: %v", resp.Header)
			}
		})
	}
	b, resp := ask(t, url, handshake("GET / HTTP/1.1", "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Protocol: other, duet.v1"))
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("a good one with other words: %s", resp.Status)
	}
	b.leave()
	within(t, "nobody is counted", func() bool { return s.door.Load().sockets.Total() == 0 })
}

func TestADeclaredLengthCostsNoMemory(t *testing.T) {
	_, url := start(t, graceful(), Options{})
	b := open(t, url)
	b.write(frame(fin|opText, joinTea))
	b.expect(opText)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		b := open(t, url)
		b.write(mask(binary.BigEndian.AppendUint64([]byte{fin | opText, 0x80 | 127}, 1<<40), pingFrame))
		if got := b.closed(); got != websocket.CloseMessageTooBig {
			t.Errorf("closed with %d", got)
		}
	}
	// Nor does the longest that is allowed before it arrives.
	for range 20 {
		b := open(t, url)
		b.write(mask([]byte{fin | opText, 0x80 | 126, 0xff, 0xff}, "x"), nil)
		_ = b.conn.Close()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 40; each > 40<<10 {
		t.Errorf("%d bytes allocated for each of 40 sockets", each)
	}
}

// Whoever sends a byte now and then has as much time as one who sends none.
func TestAMessageThatTricklesInRunsOutOfTime(t *testing.T) {
	message := frame(fin|opText, joinTea+strings.Repeat(" ", 1000))
	for _, row := range []struct {
		name   string
		joined bool
		want   time.Duration
	}{{"join", false, joinTimeout}, {"of a member", true, silenceLimit}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				_, stop := serveInMemory(t, listener, testLimits, Options{})
				defer stop()
				conn, err := listener.dial(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				b, _ := upgrade(t, conn, handshake("GET / HTTP/1.1"))
				if row.joined {
					b.write(frame(fin|opText, joinTea))
					b.expect(opText)
				}
				began := time.Now()
				code := make(chan int)
				go func() { code <- b.closed() }()
				for _, octet := range message {
					if _, err := conn.Write([]byte{octet}); err != nil {
						break
					}
					time.Sleep(time.Second)
				}
				// The bytes after the close are read and thrown away for a second more.
				if took := time.Since(began); <-code != closeTimedOut || took < row.want || took > row.want+3*time.Second {
					t.Errorf("over after %v, want %v", took, row.want)
				}
				_ = conn.Close()
			})
		})
	}
}

// The peer's machine is gone, and nothing says so.
func TestAHalfOpenConnectionIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		s, stop := serveInMemory(t, listener, graceful(), Options{})
		conn, err := listener.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		b, _ := upgrade(t, conn, handshake("GET / HTTP/1.1"))
		b.write(frame(fin|opText, joinTea))
		b.expect(opText)
		time.Sleep(silenceLimit + closeTimeout + time.Millisecond)
		if got := s.Stats(); got.Sockets != 0 || got.Away != 1 || s.door.Load().sockets.Total() != 0 {
			t.Errorf("%d sockets, %d away", got.Sockets, got.Away)
		}
		stop()
	})
}
