package kill

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v4"

	"github.com/duetcall/duet/relay"
)

// callCount calls run beside each attack, over all transports.
const callCount = 20

// end is one end of a call: an allocation that hears from its peer all the time.
type end struct {
	name    string
	relayed net.PacketConn
	heard   atomic.Uint64 // packets
}

// calls are the calls that an attack must not hurt.
type calls struct {
	ends    []*end
	workers sync.WaitGroup
	stop    context.CancelFunc
}

// talk sets the calls up and keeps them talking until the test ends.
func talk(t *testing.T, d *duet) *calls {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &calls{stop: stop}
	t.Cleanup(func() { // after the ends have closed their sockets
		stop()
		c.workers.Wait()
	})
	transports := []string{"udp", "udp", "tcp", "udp", "tls"}
	for n := range callCount {
		a := c.join(t, d, fmt.Sprintf("a%d", n), transports[n%len(transports)])
		b := c.join(t, d, fmt.Sprintf("b%d", n), transports[(n+n/5)%len(transports)])
		c.connect(ctx, a, b)
		c.connect(ctx, b, a)
	}
	c.areHeard(t)
	return c
}

// join opens a member's allocation.
func (c *calls) join(t *testing.T, d *duet, member, transport string) *end {
	t.Helper()
	conn := d.dial(t, transport)
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	username, password := relay.Mint("the secret", member, time.Now().Add(time.Hour))
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: d.turn, TURNServerAddr: d.turn, Conn: conn,
		Username: username, Password: password, Realm: realm, LoggerFactory: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		_ = conn.Close()
	})
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := client.Allocate()
	if err != nil {
		t.Fatalf("%s over %s: %v", member, transport, err)
	}
	t.Cleanup(func() { _ = relayed.Close() })
	e := &end{name: member + " over " + transport, relayed: relayed}
	c.ends = append(c.ends, e)
	c.workers.Go(e.listen)
	return e
}

// dial opens what a TURN client sends on: a UDP socket, or a connection.
func (d *duet) dial(t *testing.T, transport string) net.PacketConn {
	t.Helper()
	var conn net.Conn
	var err error
	switch transport {
	case "udp":
		socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return socket
	case "tcp":
		conn, err = net.Dial("tcp", d.turn)
	default:
		conn, err = tls.Dial("tcp", d.secure, d.trust)
	}
	if err != nil {
		t.Fatal(err)
	}
	return turn.NewSTUNConn(conn)
}

func (e *end) listen() {
	buf := make([]byte, 2048)
	for {
		if _, _, err := e.relayed.ReadFrom(buf); err != nil {
			return
		}
		e.heard.Add(1)
	}
}

// connect sends from one end to the other, 20 packets of 160 bytes a second, as sound is.
func (c *calls) connect(ctx context.Context, from, to *end) {
	c.workers.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		packet := make([]byte, 160)
		for n := uint64(0); ; n++ {
			binary.BigEndian.PutUint64(packet, n)
			_, _ = from.relayed.WriteTo(packet, to.relayed.LocalAddr())
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// areHeard waits until each end of each call has heard five more packets.
func (c *calls) areHeard(t *testing.T) {
	t.Helper()
	before := make([]uint64, len(c.ends))
	for i, e := range c.ends {
		before[i] = e.heard.Load()
	}
	for i, e := range c.ends {
		eventually(t, e.name+" hears the other side", func() bool { return e.heard.Load() >= before[i]+5 })
	}
}
