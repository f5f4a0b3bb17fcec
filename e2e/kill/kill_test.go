package kill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

const (
	createPermission = stun.MethodCreatePermission
	channelBind      = stun.MethodChannelBind
	cookieAndID      = "2112a442 000102030405060708090a0b"
)

// Each attack runs beside 20 calls. When it is over the same calls still talk over the
// same relays, and the server holds on to no more than before.
func TestNoAttackEndsACall(t *testing.T) {
	d := start(t, 0)
	c := talk(t, d)
	for _, attack := range []struct {
		name string
		run  func(*testing.T, *duet)
	}{
		{"frames that wedge", framesThatWedge},
		{"a byte a segment", aByteASegment},
		{"silence", silence},
		{"junk to TLS", junkToTLS},
		{"never reads", neverReads},
		{"requests by UDP", requestsByUDP},
		{"datagrams that crash", datagramsThatCrash},
		{"noise by UDP", noiseByUDP},
		{"unsolicited", unsolicited},
		{"short lifetimes", shortLifetimes},
		{"permissions without end", permissionsWithoutEnd},
		{"channels without end", channelsWithoutEnd},
		{"even ports", evenPorts},
		{"allocations without end", allocationsWithoutEnd},
		{"refresh zero", refreshZero},
	} {
		t.Run(attack.name, func(t *testing.T) {
			before := d.level(t)
			t.Run("attack", func(t *testing.T) { attack.run(t, d) }) // its sockets are closed at its end
			d.alive(t)
			c.areHeard(t)
			d.returnsTo(t, before)
		})
	}
}

// Lengths that wrap a 16-bit sum, and what no client may say first.
func framesThatWedge(t *testing.T, d *duet) {
	frames := []string{
		"4000 fffc 0000000000", "7fff ffff 00", "0003 ffec" + cookieAndID, "0001 fffc" + cookieAndID,
		"8000 0000 00000000", "0001 0003" + cookieAndID, "0001 0000 deadbeef 000102030405060708090a0b",
	}
	var waiting sync.WaitGroup
	for _, transport := range []string{"tcp", "tls"} {
		for n := range 50 {
			a := d.from(t, "127.0.9.1", transport)
			frame := unhex(frames[n%len(frames)])
			_ = a.write(frame)
			waiting.Go(a.isClosed)
		}
	}
	waiting.Wait()
}

// A message that comes a byte at a time costs no more than its deadline.
func aByteASegment(t *testing.T, d *duet) {
	message := append(unhex("0003 3c00"+cookieAndID), make([]byte, 0x3c00)...)
	var senders sync.WaitGroup
	for n := range 30 {
		a := d.from(t, fmt.Sprintf("127.0.9.%d", 10+n%3), "tcp")
		senders.Go(func() {
			for i := range 2000 { // a segment each: Go sets TCP_NODELAY
				if a.write(message[i:i+1]) != nil {
					return
				}
			}
			a.isClosed()
		})
	}
	senders.Wait()
}

// Who connects and says nothing, or half of a hello, is shown out; and from one source
// come only so many.
func silence(t *testing.T, d *duet) {
	hello := []byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}
	var waiting sync.WaitGroup
	for n := range 240 {
		transport := []string{"tcp", "secure", "secure"}[n%3]
		a := d.from(t, fmt.Sprintf("127.0.9.%d", 20+n%2), transport)
		if n%3 == 2 {
			_ = a.write(hello)
		}
		waiting.Go(a.isClosed)
	}
	waiting.Wait()
}

func junkToTLS(t *testing.T, d *duet) {
	var waiting sync.WaitGroup
	for n := range 500 {
		a := d.from(t, "127.0.9.30", "secure")
		junk := make([]byte, 300)
		for i := range junk {
			junk[i] = byte(rand.Uint32())
		}
		junk[0] = []byte{0x16, 0x00, 0x40, 0x80, 'G'}[n%5]
		_ = a.write(junk)
		if n%2 == 0 {
			_ = a.conn.Close()
			continue
		}
		waiting.Go(a.isClosed)
	}
	waiting.Wait()
}

// A member who does not take its answers loses its connection, and the memory that
// they wait in.
func neverReads(t *testing.T, d *duet) {
	for _, transport := range []string{"tcp", "tls"} {
		a := d.from(t, "127.0.9.40", transport)
		a.want(0, stun.MethodAllocate, overUDP)
		request := a.signed(createPermission, peer{0x08080808, 53}).Raw
		_ = a.conn.SetWriteDeadline(time.Now().Add(patience))
		for n := 0; ; n++ {
			if _, err := a.conn.Write(request); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: still open after %d requests", transport, n)
				}
				break
			}
		}
	}
}

// Floods of requests from three sources, one of them the calls' own, get their share of
// answers and no more.
func requestsByUDP(t *testing.T, d *duet) {
	kinds := [][]byte{
		stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw,
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP).Raw,
		stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest), attribute{stun.AttrNonce, make([]byte, 1400)}).Raw,
		unhex("0008 0004" + cookieAndID + "0012 0000"),
		(&attacker{nonce: stun.NewNonce("made up")}).signed(stun.MethodAllocate, overUDP).Raw,
	}
	const each = 4000
	var floods sync.WaitGroup
	for _, source := range []string{"127.0.9.50", "127.0.9.51", "127.0.0.1"} {
		a := d.from(t, source, "udp")
		var sent, heard int
		began := time.Now()
		done := make(chan struct{})
		floods.Go(func() {
			defer close(done)
			for range each {
				for _, kind := range kinds {
					_ = a.write(kind)
					sent++
				}
			}
		})
		floods.Go(func() {
			buf := make([]byte, 2048)
			for {
				_ = a.conn.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := a.conn.Read(buf); err == nil {
					heard++
					continue
				}
				select {
				case <-done:
				default:
					continue
				}
				// error_rate and binding_rate, and a second's worth at once.
				if most := int(60 * (time.Since(began).Seconds() + 1)); heard == 0 || heard > most {
					t.Errorf("%s: %d answers to %d requests, want at most %d", source, heard, sent, most)
				}
				return
			}
		})
	}
	floods.Wait()
}

// Those that crashed other servers, from a stranger and from a member.
func datagramsThatCrash(t *testing.T, d *duet) {
	stranger, member := d.from(t, "127.0.9.60", "udp"), d.from(t, "127.0.9.60", "udp")
	member.want(0, stun.MethodAllocate, overUDP)
	for _, datagram := range []string{
		"0016 000c" + cookieAndID + "0012 0000 0013 0004 61626364",
		"0016 0000" + cookieAndID, "0008 0004" + cookieAndID + "0012 0000",
		"0009 000c" + cookieAndID + "000c 0004 40000000 0012 0000",
		"0003 ffec" + cookieAndID, "4000 fffc", "4000", "00", "",
		"0003 05a0" + cookieAndID + "0015 059c" + strings.Repeat("41", 1436),
	} {
		for range 20 {
			_ = stranger.write(unhex(datagram))
			_ = member.write(unhex(datagram))
		}
	}
	member.want(400, createPermission, attribute{kind: stun.AttrXORPeerAddress})
	member.want(400, channelBind, channel(0x4000), attribute{kind: stun.AttrXORPeerAddress})
	member.want(0, stun.MethodRefresh, lifetime(0))
}

func noiseByUDP(t *testing.T, d *duet) {
	a := d.from(t, "127.0.9.61", "udp")
	noise := rand.New(rand.NewPCG(1, 2))
	packet := make([]byte, 1500)
	for range 20_000 {
		for i := range 24 {
			packet[i] = byte(noise.Uint32())
		}
		if noise.IntN(2) == 0 {
			copy(packet[4:], unhex("2112a442"))
			packet[0] &= 0x3f
		}
		_ = a.write(packet[:noise.IntN(len(packet))])
	}
}

// Packets at a relay port from nobody's peer: counted, not told one by one.
func unsolicited(t *testing.T, d *duet) {
	lines, began := d.log.lines(), time.Now()
	var floods sync.WaitGroup
	for n := range 3 {
		socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 9, byte(70+n))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = socket.Close() })
		floods.Go(func() {
			for range 30 {
				for port := minPort; port <= maxPort; port++ {
					_, _ = socket.WriteToUDP([]byte("hello"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
				}
			}
		})
	}
	floods.Wait()
	if more, most := d.log.lines()-lines, int(20*(time.Since(began).Seconds()+1)); more > most {
		t.Errorf("%d lines, want at most %d", more, most)
	}
}

// 12 flows of requests that would meet an expiry a second away, had they got it.
func shortLifetimes(t *testing.T, d *duet) {
	var flows sync.WaitGroup
	var members []*attacker
	for n := range 12 {
		a := d.from(t, fmt.Sprintf("127.0.9.%d", 80+n), "udp")
		members = append(members, a)
		a.want(0, stun.MethodAllocate, overUDP, lifetime(1))
		flows.Go(func() {
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				request := a.signed(createPermission, peer{0x08080000 + uint32(n), 53})
				_ = a.write(request.Raw)
				_ = a.write(a.signed(stun.MethodRefresh, lifetime(1)).Raw)
			}
		})
	}
	flows.Wait()
	for _, a := range members {
		// The answer may be lost among those to the flood, and then it is gone.
		if code := a.do(stun.MethodRefresh, lifetime(0)); code != 0 && code != 437 {
			t.Errorf("Refresh got %d", code)
		}
	}
}

func permissionsWithoutEnd(t *testing.T, d *duet) {
	a := d.from(t, "127.0.12.1", "udp")
	a.want(0, stun.MethodAllocate, overUDP)
	given := 0
	for n := uint32(0); n < 400; n++ {
		var peers []stun.Setter
		for i := range uint32(16) {
			peers = append(peers, peer{0x08000000 + n*16 + i, 1})
		}
		switch code := a.do(createPermission, peers...); code {
		case 0:
			given += len(peers)
		case 508:
		default:
			t.Fatalf("got %d, want 508", code)
		}
	}
	if given != 64 {
		t.Errorf("%d permissions, want 64", given)
	}
	a.want(400, createPermission, make17()...)
	a.want(0, stun.MethodRefresh, lifetime(0))
}

func make17() []stun.Setter {
	var peers []stun.Setter
	for i := range uint32(17) {
		peers = append(peers, peer{0x08000000 + i, 1})
	}
	return peers
}

func channelsWithoutEnd(t *testing.T, d *duet) {
	a := d.from(t, "127.0.12.2", "udp")
	a.want(0, stun.MethodAllocate, overUDP)
	given := 0
	for number := uint16(0x4000); number < 0x4400; number++ {
		switch code := a.do(channelBind, channel(number), peer{0x08000000 + uint32(number), 1}); code {
		case 0:
			given++
		case 508:
		default:
			t.Fatalf("got %d, want 508", code)
		}
	}
	if given != 64 {
		t.Errorf("%d channels, want 64", given)
	}
	a.want(0, stun.MethodRefresh, lifetime(0))
}

// Reservations count in the quota, before a port is opened.
func evenPorts(t *testing.T, d *duet) {
	var taken []*attacker
	refused := 0
	for n := range 60 {
		a := d.from(t, fmt.Sprintf("127.0.10.%d", 1+n), "udp")
		switch code := a.do(stun.MethodAllocate, overUDP, evenPort); code {
		case 0:
			taken = append(taken, a)
		case 486:
			refused++
		default:
			t.Fatalf("got %d, want 486", code)
		}
	}
	if len(taken) > 6 || refused < 54 { // two ports each, of a quota of 12
		t.Errorf("%d allocations, %d refused", len(taken), refused)
	}
	for _, a := range taken {
		a.want(0, stun.MethodRefresh, lifetime(0))
	}
}

func allocationsWithoutEnd(t *testing.T, d *duet) {
	var taken []*attacker
	for n := range 100 {
		a := d.from(t, fmt.Sprintf("127.0.11.%d", 1+n), "udp")
		if code := a.do(stun.MethodAllocate, overUDP, lifetime(1)); code == 0 {
			taken = append(taken, a)
		} else if code != 486 {
			t.Fatalf("got %d, want 486", code)
		}
	}
	if len(taken) == 0 || len(taken) > 12 {
		t.Errorf("%d allocations, want at most user_quota", len(taken))
	}
	for _, a := range taken {
		a.want(0, stun.MethodRefresh, lifetime(0))
	}
}

// 10,000 times on one 5-tuple, and each allocation is there.
func refreshZero(t *testing.T, d *duet) {
	a := d.from(t, "127.0.12.3", "udp")
	for n := range 10_000 {
		if code := a.do(stun.MethodAllocate, overUDP); code == 438 {
			a.nonce = nil // ten minutes have passed
			continue
		} else if code != 0 {
			t.Fatalf("Allocate %d got %d", n, code)
		}
		a.want(0, createPermission, peer{0x08080808, 53})
		a.want(0, stun.MethodRefresh, lifetime(0))
	}
}
