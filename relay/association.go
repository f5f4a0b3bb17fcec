package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duetcall/duet/relay/udp"
)

const (
	// maxRecords is the most that is read from a datagram of a client; the library takes
	// no more. It holds 8 KiB less headers of data.
	maxRecords = 8 << 10
	// maxPlain is the longest message that we encrypt (RFC 6347 section 4.1).
	maxPlain = 1 << 14
	// inboundQueue is how many datagrams wait for an association, dozens of
	// milliseconds of video.
	inboundQueue = 64
	// maxHandshakeBytes is what a client may send before the handshake is done, many
	// times what it needs.
	maxHandshakeBytes = 16 << 10
	// A client whose last flight was not answered sends its Finished again, in a record
	// of 61 bytes. Nothing else of a handshake follows one.
	maxFinished    = 128
	maxRepetitions = 16
)

// association is one client's DTLS connection, in the form of a UDP socket that only
// this client sends to: one record holds one message, which needs no padding (RFC 7350
// section 4.6, RFC 8656 section 12.5). The listener's reader fills its queue, the
// library empties it.
type association struct {
	listener *dtlsListener
	client   netip.AddrPort
	dest     netip.Addr // that the client sends to, see socket
	from     udp.Source // the same, for what goes to the client
	random   [32]byte   // of the hello
	cookie   []byte     // of the hello
	shift    uint64     // see link
	shard    *shard
	in       chan *inbound
	done     chan struct{} // closed by end
	ending   sync.Once
	// established: the handshake is done.
	established atomic.Bool

	// The listener's reader's.
	spent, repetitions int

	// Of the goroutine that shakes hands, and then of the engine's that reads; writers
	// come after the handshake.
	conn     *secureConn
	first    bool
	deadline time.Time
}

var errRecordTooLong = errors.New("more data than a DTLS record holds")

func newAssociation(l *dtlsListener, client netip.AddrPort, h *hello) *association {
	a := &association{
		listener: l,
		client:   client,
		dest:     l.socket.dest,
		from:     udp.AppendSource(nil, l.socket.dest),
		random:   h.random(),
		cookie:   bytes.Clone(h.cookie),
		shift:    h.record - 1,
		in:       make(chan *inbound, inboundQueue),
		done:     make(chan struct{}),
		first:    true,
	}
	a.shard = newShard(l.server, a, l.local, "dtls")
	return a
}

// shakeHands runs the handshake, and after it the engine.
func (a *association) shakeHands(source netip.Prefix) {
	server := a.listener.server
	err := a.handshake()
	server.halfOpen.leave(source)
	if err == nil {
		server.settings.Load().limits.proofs.Give(a.client.Addr())
		a.established.Store(true)
		err = server.start(a.shard, maxRecords)
	}
	if err != nil {
		server.stats.drop(DropHandshake)
		server.log.Debug("DTLS handshake", "client", a.client, "reason", err)
		a.hangUp()
		a.shard.ended()
	}
}

func (a *association) handshake() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout) // end cuts it short
	defer cancel()
	link := &link{association: a, client: udpAddr(a.client)}
	if a.conn, err = a.listener.server.handshakes.server(link, link.client); err != nil {
		return err
	}
	return a.conn.HandshakeContext(ctx)
}

// hangUp tells the client, if there is a connection.
func (a *association) hangUp() {
	if a.conn != nil {
		_ = a.conn.Close()
	}
	a.end()
}

// end makes the library see the end of the connection, and so the association's reader.
func (a *association) end() { a.ending.Do(func() { close(a.done) }) }

// Close ends the association; its reader, or the goroutine that shakes hands, cleans up.
func (a *association) Close() error {
	a.end()
	return nil
}

// ReadFromUDPAddrPort reads the next message into b, which must hold maxRecords bytes. Any
// error is the end, silence among them (patience).
func (a *association) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	err := a.extend()
	if err == nil {
		var n int
		if n, err = a.conn.Read(b); err == nil {
			a.first = false
			return n, a.client, nil
		}
	}
	a.hangUp()
	return 0, netip.AddrPort{}, net.ErrClosed
}

// extend moves the deadline, by no less than a second: it costs a timer.
func (a *association) extend() error {
	server := a.listener.server
	deadline := time.Now().Add(server.patience(a.first, a.shard.find(a.client) != nil))
	if moved := deadline.Sub(a.deadline); -time.Second < moved && moved < time.Second {
		return nil
	}
	a.deadline = deadline
	return a.conn.SetReadDeadline(deadline)
}

// WriteToUDPAddrPort writes one message.
func (a *association) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	if len(b) > maxPlain {
		return 0, errRecordTooLong
	}
	return a.conn.Write(b)
}

// deliver queues those records of a datagram that the association has a use for. Whoever
// knows the client's address and port can write some: before the keys are agreed on, few
// are taken, and then only those that are encrypted.
func (a *association) deliver(datagram []byte) Drop {
	if len(datagram) > maxRecords {
		return DropTooLong
	}
	d := a.listener.server.inbound.get(len(datagram))
	for len(datagram) >= recordHeader {
		size := recordHeader + int(binary.BigEndian.Uint16(datagram[11:]))
		if size > len(datagram) {
			break
		}
		if a.wants(datagram[:size]) {
			d.data = append(d.data, datagram[:size]...)
		}
		datagram = datagram[size:]
	}
	if len(d.data) == 0 {
		a.listener.server.inbound.put(d)
		return DropRecord
	}
	select {
	case a.in <- d:
		return kept
	default:
		a.listener.server.inbound.put(d)
		return DropQueue
	}
}

func (a *association) wants(record []byte) bool {
	kind, epoch := record[0], recordEpoch(record)
	if record[1] != versionDTLS12>>8 || epoch > 1 {
		return false
	}
	if !a.established.Load() {
		a.spent += len(record)
		return a.spent <= maxHandshakeBytes && recordChangeCipher <= kind && kind <= recordData
	}
	switch {
	case epoch == 0:
		return false
	case kind == recordHandshake:
		a.repetitions++
		return len(record) <= maxFinished && a.repetitions <= maxRepetitions
	default:
		return kind == recordData || kind == recordAlert
	}
}

// inbound is a datagram that waits for its association.
type inbound struct{ data []byte }

// inboundBuffers holds those of a common size.
type inboundBuffers struct{ pool sync.Pool }

const commonInbound = 2048

func (b *inboundBuffers) get(size int) *inbound {
	if size > commonInbound {
		return &inbound{make([]byte, 0, size)}
	}
	if d, ok := b.pool.Get().(*inbound); ok {
		return d
	}
	return &inbound{make([]byte, 0, commonInbound)}
}

func (b *inboundBuffers) put(d *inbound) {
	if cap(d.data) == commonInbound {
		d.data = d.data[:0]
		b.pool.Put(d)
	}
}
