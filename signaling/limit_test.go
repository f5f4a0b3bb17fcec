package signaling

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
)

// limited are the test's limits, changed.
func limited(change func(*config.Signaling)) config.Signaling {
	limits := graceful()
	change(&limits)
	return limits
}

// dialFrom opens a socket from an address of this machine, all of which 127/8 are.
func dialFrom(t *testing.T, url, ip string) (*client, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{
		Subprotocols: []string{Protocol}, HandshakeTimeout: patience,
		NetDialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext,
	}
	ws, resp, err := d.DialContext(t.Context(), url, nil)
	if err != nil {
		return nil, resp, err
	}
	t.Cleanup(func() { _ = ws.Close() })
	return &client{t: t, ws: ws}, resp, nil
}

// from opens a socket from an address of this machine.
func from(t *testing.T, url, ip string) *client {
	t.Helper()
	c, _, err := dialFrom(t, url, ip)
	if err != nil {
		t.Fatalf("dialing from %s: %v", ip, err)
	}
	return c
}

// turnedAway expects 503 with the seconds to wait, and returns them and the words.
func turnedAway(t *testing.T, url, ip string) (seconds int, words string) {
	t.Helper()
	_, resp, err := dialFrom(t, url, ip)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("dialing from %s: %v, want 503", ip, err)
	}
	seconds, err = strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
	}
	body, _ := io.ReadAll(resp.Body)
	return seconds, string(body)
}

func TestAnAddressOpensOnlySoManySocketsASecond(t *testing.T) {
	s, url := start(t, limited(func(l *config.Signaling) { l.ConnectRate = 3 }), Options{})
	began := time.Now()
	refused := 0
	for range 10 {
		if _, _, err := dialFrom(t, url, "127.0.0.1"); err != nil {
			refused++
		}
	}
	if allowed, most := 10-refused, 3+int(3*time.Since(began).Seconds())+1; allowed < 3 || allowed > most {
		t.Errorf("%d of 10 sockets opened, want 3 to %d", allowed, most)
	}
	if seconds, words := turnedAway(t, url, "127.0.0.1"); seconds != 1 || !strings.Contains(words, "Try again in a second") {
		t.Errorf("wait %d s: %s", seconds, words)
	}
	from(t, url, "127.0.0.2").join("tea", "Bo") // who is somebody else
	if got := s.Stats().ConnectRate; got != uint64(refused+1) {
		t.Errorf("%d counted, want %d", got, refused+1)
	}
	within(t, "the address may connect again", func() bool {
		_, _, err := dialFrom(t, url, "127.0.0.1")
		return err == nil
	})
}

func TestAnAddressHasOnlySoManySockets(t *testing.T) {
	s, url := start(t, limited(func(l *config.Signaling) { l.SocketsPerAddress = 2 }), Options{})
	ann := from(t, url, "127.0.0.1")
	ann.join("tea", "Ann")
	from(t, url, "127.0.0.1") // does not even join
	if _, words := turnedAway(t, url, "127.0.0.1"); !strings.Contains(words, "too many connections") {
		t.Error(words)
	}
	from(t, url, "127.0.0.2").join("tea", "Bo")
	if got := s.Stats().SocketsPerAddress; got != 1 {
		t.Errorf("%d counted, want 1", got)
	}
	ann.cut()
	within(t, "a socket that is gone makes room, though its seat is kept", func() bool {
		_, _, err := dialFrom(t, url, "127.0.0.1")
		return err == nil
	})
	if got := s.Stats().Members; got != 2 {
		t.Errorf("%d members, want 2", got)
	}
}

// However a socket ends, or fails to begin, its address is given back what it had.
func TestNoSocketStaysCounted(t *testing.T) {
	limits := limited(func(l *config.Signaling) { l.SocketsPerAddress = 1 })
	header := "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: duet.v1\r\nSec-WebSocket-Version: 13\r\n"
	raw := func(text string) func(*testing.T, *Server, string) {
		return func(t *testing.T, _ *Server, url string) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, text)
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			_, _ = conn.Read(make([]byte, 1)) // an answer has come
		}
	}
	for name, end := range map[string]func(*testing.T, *Server, string){
		"leaves": func(t *testing.T, _ *Server, url string) {
			c := dial(t, url)
			c.join("tea", "")
			c.send(`{"type":"leave"}`)
			c.expectClosed(websocket.CloseNormalClosure)
		},
		"is cut":             func(t *testing.T, _ *Server, url string) { dial(t, url).cut() },
		"is cut as a member": func(t *testing.T, _ *Server, url string) { c := dial(t, url); c.join("tea", ""); c.cut() },
		"breaks the protocol": func(t *testing.T, _ *Server, url string) {
			c := dial(t, url)
			c.send("{")
			c.expectClosed(closeProtocol)
		},
		"floods": func(t *testing.T, _ *Server, url string) {
			c := dial(t, url)
			c.join("tea", "")
			for range testLimits.MessageBurst + 2*testLimits.MessageRate*int(patience/time.Second) {
				if c.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"pong"}`)) != nil {
					break // closed while we were writing
				}
			}
			_, _ = readUntilClosed(c.ws)
		},
		"has no key":             raw(header + "\r\n"),
		"has a broken key":       raw(header + "Sec-WebSocket-Key: x\r\n\r\n"),
		"sends before the reply": raw(header + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + strings.Repeat("x", 10_000)),
		"cannot be hijacked": func(_ *testing.T, s *Server, _ string) {
			r, _ := http.NewRequest(http.MethodGet, "/", strings.NewReader(""))
			r.RemoteAddr = "127.0.0.1:1"
			for key, value := range map[string]string{"Connection": "upgrade", "Upgrade": "websocket", "Sec-WebSocket-Protocol": Protocol, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
				r.Header.Set(key, value)
			}
			s.ServeHTTP(&plainWriter{header: http.Header{}}, r)
		},
		"is told to go away": func(t *testing.T, s *Server, url string) {
			c := dial(t, url)
			c.join("tea", "")
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := start(t, limits, Options{})
			end(t, s, url)
			within(t, "nobody is counted", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.door.Load().sockets.Total() == 0 && s.unjoined == 0 && len(s.conns) == 0
			})
		})
	}
}

// plainWriter is a ResponseWriter that cannot be hijacked.
type plainWriter struct{ header http.Header }

func (w *plainWriter) Header() http.Header         { return w.header }
func (w *plainWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *plainWriter) WriteHeader(int)             {}

func TestAFloodOfControlFramesEndsTheSocket(t *testing.T) {
	for name, kind := range map[string]int{"pings": websocket.PingMessage, "pongs": websocket.PongMessage} {
		t.Run(name, func(t *testing.T) {
			_, url := start(t, testLimits, Options{})
			c := dial(t, url)
			c.join("tea", "")
			for range testLimits.MessageBurst + 2*testLimits.MessageRate*int(patience/time.Second) {
				if c.ws.WriteControl(kind, nil, time.Now().Add(patience)) != nil {
					break
				}
			}
			c.expectClosed(closeRateLimited)
		})
	}
}

func TestZeroMeansNoLimit(t *testing.T) {
	s, url := start(t, config.Signaling{Capacity: 2, MaxRooms: 100, MaxMembers: 100}, Options{})
	for range 30 {
		dial(t, url)
	}
	c := dial(t, url)
	c.join("tea", "")
	for range 10 {
		for range 100 {
			c.send(`{"type":"ping"}`)
		}
		for range 100 {
			c.expect(TypePong)
		}
	}
	for range 30 {
		if got := guess(t, url, "127.0.0.1", "wrong"); got.Code != CodeBadKey {
			t.Fatalf("got %+v", got)
		}
	}
	if got := s.Stats(); got.ConnectRate+got.SocketsPerAddress+got.DelayedKeys != 0 {
		t.Errorf("refused: %+v", got)
	}
}

func TestAReloadChangesTheLimitsAndForgetsNobody(t *testing.T) {
	s, url := start(t, limited(func(l *config.Signaling) { l.SocketsPerAddress, l.FailedKeys = 1, 2 }), Options{})
	keyed(t, url)
	first := from(t, url, "127.0.0.1")
	guess(t, url, "127.0.0.2", "wrong")
	turnedAway(t, url, "127.0.0.1")
	s.Reload(limited(func(l *config.Signaling) { l.SocketsPerAddress, l.FailedKeys, l.ConnectRate = 2, 2, 1000 }), Options{}.Origins)
	from(t, url, "127.0.0.1")
	turnedAway(t, url, "127.0.0.1")
	within(t, "the first guess is closed", func() bool { return s.door.Load().sockets.Total() == 3 })
	guess(t, url, "127.0.0.2", "wrong")
	within(t, "the guess is closed", func() bool { return s.door.Load().sockets.Total() == 3 })
	if got := guess(t, url, "127.0.0.2", "wrong"); got.Code != CodeRateLimited {
		t.Errorf("the third wrong key: %+v", got)
	}
	first.join("coffee", "")
}

// keyed makes the room "tea", whose key is "sesame", from an address of its own.
func keyed(t *testing.T, url string) *client {
	t.Helper()
	c := from(t, url, "127.0.0.9")
	c.send(`{"type":"join","room":"tea","key":"sesame","create":true}`)
	c.expect(TypeJoined)
	return c
}

// guess tries a key of the room "tea" and returns the answer.
func guess(t *testing.T, url, ip, key string) Outbound {
	t.Helper()
	c := from(t, url, ip)
	c.send(`{"type":"join","room":"tea","key":%q}`, key)
	return c.next()
}

func TestAnAddressTriesTenWrongKeysAndThenEvenTheRightOneHasToWait(t *testing.T) {
	s, url := start(t, limited(func(l *config.Signaling) { l.FailedKeys = 10 }), Options{})
	keyed(t, url)
	for n := range 10 {
		if got := guess(t, url, "127.0.0.1", strconv.Itoa(n)); got.Code != CodeBadKey {
			t.Fatalf("guess %d: %+v", n+1, got)
		}
	}
	for _, key := range []string{"11", "sesame"} {
		got := guess(t, url, "127.0.0.1", key)
		if wait := time.Duration(got.RetryAfterMS) * time.Millisecond; got.Code != CodeRateLimited || got.Action != ActionRejoin || wait <= 2*time.Minute || wait > 3*time.Minute {
			t.Errorf("%s: %+v", key, got)
		}
	}
	if got := guess(t, url, "127.0.0.2", "sesame"); got.Type != TypeJoined {
		t.Errorf("from another address: %+v", got)
	}
	// Rooms without a key are none of this.
	from(t, url, "127.0.0.1").join("coffee", "")
	if got := s.Stats(); got.WrongKeys != 10 || got.DelayedKeys != 2 || got.Refused[CodeRateLimited] != 2 {
		t.Errorf("stats: %+v", got)
	}
}

func TestAfterTheWaitTheRightKeyOpensTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		_, stop := serveInMemory(t, listener, limited(func(l *config.Signaling) { l.FailedKeys = 10 }), Options{})
		defer stop()
		try := func(key string, create bool) (*client, Outbound) {
			c := dialInMemory(t, listener)
			c.send(`{"type":"join","room":"tea","key":%q,"create":%t}`, key, create)
			return c, c.next()
		}
		ann, _ := try("sesame", true)
		var got Outbound
		for range 11 {
			var c *client
			c, got = try("wrong", false)
			c.expectClosed(map[Code]int{CodeBadKey: closeForbidden, CodeRateLimited: closeRateLimited}[got.Code])
		}
		if got.Code != CodeRateLimited {
			t.Fatalf("the eleventh wrong key: %+v", got)
		}
		answering := make(chan struct{})
		_ = ann.ws.SetReadDeadline(time.Time{})
		go func() { // Ann's pongs
			defer close(answering)
			_, _ = readUntilClosed(ann.ws)
		}()
		time.Sleep(time.Duration(got.RetryAfterMS) * time.Millisecond)
		bo, got := try("sesame", false)
		if got.Type != TypeJoined {
			t.Errorf("after the wait: %+v", got)
		}
		_ = bo.ws.Close()
		_ = ann.ws.Close()
		<-answering
	})
}

func TestRightKeysAreNeverCounted(t *testing.T) {
	s, url := start(t, limited(func(l *config.Signaling) { l.FailedKeys = 2 }), Options{})
	keyed(t, url)
	for range 10 {
		c := from(t, url, "127.0.0.1")
		c.send(`{"type":"join","room":"tea","key":"sesame"}`)
		c.expect(TypeJoined)
		c.send(`{"type":"join","room":"full","key":"x"}`) // a mistake that is none of a key
		c.expectClosed(closeProtocol)
	}
	bo := from(t, url, "127.0.0.2")
	bo.send(`{"type":"join","room":"tea","key":"sesame"}`)
	bo.expect(TypeJoined)
	for range 10 {
		if got := guess(t, url, "127.0.0.1", "sesame"); got.Code != CodeRoomFull {
			t.Errorf("got %+v", got)
		}
	}
	if got := s.Stats(); got.WrongKeys+got.DelayedKeys != 0 {
		t.Errorf("stats: %+v", got)
	}
}

// Who forges keys of sessions is delayed; who has a real one is not, whoever shares its
// address. A real one that is over is no attack.
func TestForgedSessionKeysAreCountedAndRealOnesAreNot(t *testing.T) {
	s, url := start(t, limited(func(l *config.Signaling) { l.FailedKeys = 3 }), Options{})
	ann := from(t, url, "127.0.0.1")
	joined := ann.join("tea", "Ann")
	ann, resumed := ann.resume(t, url, joined.Session, 1, "first")
	if resumed.Type != TypeResumed {
		t.Fatalf("got %+v", resumed)
	}
	for range 5 {
		if _, got := ann.resume(t, url, joined.Session, 1, "another"); got.Code != CodeSessionExpired {
			t.Errorf("a used key: %+v", got)
		}
	}
	forge := func() Outbound {
		c := from(t, url, "127.0.0.1")
		c.send(`{"type":"resume","session":"%s","key":%q,"seq":1}`, ann.id, random(200))
		return c.next()
	}
	for range 3 {
		if got := forge(); got.Code != CodeSessionExpired {
			t.Errorf("a forged key: %+v", got)
		}
	}
	if got := forge(); got.Code != CodeRateLimited || got.RetryAfterMS <= 0 {
		t.Errorf("a forged key too many: %+v", got)
	}
	if _, again := ann.resume(t, url, resumed.Session, 1, "second"); again.Type != TypeResumed {
		t.Errorf("the neighbour's real key: %+v", again)
	}
	if got := s.Stats(); got.ForgedKeys != 4 || got.UsedKeys != 5 || got.DelayedKeys != 1 {
		t.Errorf("stats: %+v", got)
	}
}

func TestAReloadedPageTakesItsSeatWhileItsNeighboursGuess(t *testing.T) {
	_, url := start(t, limited(func(l *config.Signaling) { l.FailedKeys = 1 }), Options{})
	ann := from(t, url, "127.0.0.1")
	ann.send(`{"type":"join","room":"tea","key":"sesame","create":true}`)
	joined := ann.expect(TypeJoined)
	guess(t, url, "127.0.0.1", "wrong")
	ann.cut()
	again := from(t, url, "127.0.0.1")
	again.send(`{"type":"join","room":"tea","key":"sesame","old_session":%q,"old_key":%q}`, joined.Session.ID, joined.Session.Key)
	if got := again.next(); got.Type != TypeJoined {
		t.Errorf("got %+v", got)
	}
	// An old key that is none buys no guess.
	stranger := from(t, url, "127.0.0.1")
	stranger.send(`{"type":"join","room":"tea","key":"sesame","old_session":%q,"old_key":%q}`, joined.Session.ID, random(200))
	if got := stranger.next(); got.Code != CodeRateLimited {
		t.Errorf("got %+v", got)
	}
	// Nor does one that was good once.
	used := from(t, url, "127.0.0.1")
	used.send(`{"type":"join","room":"tea","key":"sesame","create":true,"old_session":%q,"old_key":%q}`, joined.Session.ID, joined.Session.Key)
	if got := used.next(); got.Code != CodeRateLimited {
		t.Errorf("got %+v", got)
	}
}

// A stranger guesses as fast as the machine can, at what there is to guess.
func TestOfAHundredThousandGuessedKeysNoneOpensAnything(t *testing.T) {
	for _, row := range []struct {
		name           string
		limit, guesses int
	}{{"limited", 10, 100_000}, {"not limited", 0, 20_000}} {
		t.Run(row.name, func(t *testing.T) {
			limit, guesses := row.limit, row.guesses
			s, url := start(t, limited(func(l *config.Signaling) { l.FailedKeys = limit }), Options{})
			ann := keyed(t, url)
			ann.send(`{"type":"ping"}`)
			ann.expect(TypePong)
			id := s.registry.all()[0].id
			c := &conn{from: AddressOf(&http.Request{RemoteAddr: "192.0.2.1:1"})}
			began := time.Now()
			forged := random(200)
			for n := range guesses {
				var m *session
				if n%2 == 0 {
					m, _ = s.join(Inbound{Type: TypeJoin, Room: "tea", Key: strconv.Itoa(n)}, terms{}, c)
				} else {
					m, _ = s.resume(Inbound{Type: TypeResume, Session: id, Key: forged[:260-n%9] + strconv.Itoa(n)}, c)
				}
				if m != nil {
					t.Fatalf("guess %d opens the door", n)
				}
			}
			got := s.Stats()
			t.Logf("%d guesses in %v, %d looked at", guesses, time.Since(began).Round(time.Millisecond), guesses-int(got.DelayedKeys))
			if limit > 0 && int(got.DelayedKeys) != guesses-limit || got.Members != 1 || got.Rooms != 1 {
				t.Errorf("stats: %+v", got)
			}
			if got := guess(t, url, "127.0.0.2", "sesame"); got.Type != TypeJoined {
				t.Errorf("who knows the key: %+v", got)
			}
		})
	}
}

func TestAThousandJoinsAtOnceAllGetASeatOrARefusal(t *testing.T) {
	const sockets, seats = 1500, 400
	s, url := start(t, limited(func(l *config.Signaling) {
		l.MaxMembers, l.MaxRooms, l.ConnectRate, l.SocketsPerAddress = seats, seats, 100, 100
	}), Options{})
	type outcome struct {
		what string
		err  error
	}
	outcomes := make(chan outcome, sockets)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	for n := range sockets {
		go func() { // each sends one outcome
			d := websocket.Dialer{
				Subprotocols:   []string{Protocol},
				NetDialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, byte(n%10))}}).DialContext,
			}
			ws, resp, err := d.DialContext(ctx, url, nil)
			switch {
			case err != nil && resp != nil && resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
				outcomes <- outcome{"503", nil}
				return
			case err != nil:
				outcomes <- outcome{"nothing", err}
				return
			}
			t.Cleanup(func() { _ = ws.Close() })
			var got Outbound
			deadline, _ := ctx.Deadline()
			_ = ws.SetReadDeadline(deadline)
			_ = ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":"join","room":"%d"}`, n))
			switch err := ws.ReadJSON(&got); {
			case err == nil && got.Type == TypeJoined:
				outcomes <- outcome{"seat", nil}
			case err == nil && got.Code == CodeCapacity && got.RetryAfterMS > 0:
				outcomes <- outcome{"full", nil}
			default:
				outcomes <- outcome{"nothing", fmt.Errorf("%+v, %w", got, err)}
			}
		}()
	}
	tally := make(map[string]int)
	for range sockets {
		o := <-outcomes
		tally[o.what]++
		if o.err != nil && tally[o.what] < 5 {
			t.Error(o.err)
		}
	}
	t.Logf("%v after %v", tally, time.Since(began).Round(time.Millisecond))
	if tally["seat"] != seats || tally["503"] == 0 || tally["full"] == 0 {
		t.Errorf("got %v, want %d seats and both kinds of refusals", tally, seats)
	}
	if got := s.Stats(); got.ConnectRate+got.SocketsPerAddress+got.Crowded != uint64(tally["503"]) {
		t.Errorf("counted %+v", got)
	}
}
