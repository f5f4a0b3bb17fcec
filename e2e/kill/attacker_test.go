package kill

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// attacker has a socket or a connection, from an address of its own, so that the
// limits on its source are not those of the calls.
type attacker struct {
	t     *testing.T
	conn  net.Conn
	nonce stun.Nonce
}

// from dials the server over a transport from an address of 127/8.
func (d *duet) from(t *testing.T, source, transport string) *attacker {
	t.Helper()
	conn, err := d.connect(source, transport)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &attacker{t: t, conn: conn}
}

func (d *duet) connect(source, transport string) (net.Conn, error) {
	ip := net.ParseIP(source)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Timeout: patience}
	switch transport {
	case "udp":
		dialer.LocalAddr = &net.UDPAddr{IP: ip}
		return dialer.Dial("udp", d.turn)
	case "tcp":
		return dialer.Dial("tcp", d.turn)
	case "secure": // what TLS runs on
		return dialer.Dial("tcp", d.secure)
	default:
		return (&tls.Dialer{NetDialer: &dialer, Config: d.trust}).Dial("tcp", d.secure)
	}
}

// isClosed waits for the server to end the connection.
func (a *attacker) isClosed() {
	a.t.Helper()
	_ = a.conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, a.conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		a.t.Error("the connection is still open")
	}
}

// write sends bytes; a server that has closed the connection is fine.
func (a *attacker) write(packet []byte) error {
	_, err := a.conn.Write(packet)
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.ECONNREFUSED) {
		a.t.Error(err)
	}
	return err
}

// signed builds a request with ann's credential.
func (a *attacker) signed(method stun.Method, setters ...stun.Setter) *stun.Message {
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, setters...)
	return stun.MustBuild(append(all, stun.NewUsername(user), stun.NewRealm(realm), a.nonce,
		stun.NewLongTermIntegrity(user, realm, word))...)
}

// ask sends a request until it is answered.
func (a *attacker) ask(m *stun.Message) *stun.Message {
	a.t.Helper()
	buf := make([]byte, 4096)
	for range 10 {
		if a.write(m.Raw) != nil {
			a.t.Fatalf("%s: the connection has ended", m.Type)
		}
		_ = a.conn.SetReadDeadline(time.Now().Add(patience / 10))
		for {
			n, err := a.conn.Read(buf)
			if err != nil {
				break
			}
			answer := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
			if answer.Decode() == nil && answer.TransactionID == m.TransactionID {
				return answer
			}
		}
	}
	a.t.Fatalf("no answer to %s", m.Type)
	return nil
}

// do sends a signed request and returns the error code of the answer, 0 for success.
func (a *attacker) do(method stun.Method, setters ...stun.Setter) int {
	a.t.Helper()
	if a.nonce == nil {
		if err := a.nonce.GetFrom(a.ask(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)))); err != nil {
			a.t.Fatal(err)
		}
	}
	answer := a.ask(a.signed(method, setters...))
	var code stun.ErrorCodeAttribute
	if answer.Type.Class == stun.ClassErrorResponse && code.GetFrom(answer) == nil {
		return int(code.Code)
	}
	return 0
}

// want is do, and checks the code.
func (a *attacker) want(code int, method stun.Method, setters ...stun.Setter) {
	a.t.Helper()
	if got := a.do(method, setters...); got != code {
		a.t.Fatalf("%s got %d, want %d", method, got, code)
	}
}

// attribute is one with any value.
type attribute struct {
	kind  stun.AttrType
	value []byte
}

func (a attribute) AddTo(m *stun.Message) error {
	m.Add(a.kind, a.value)
	return nil
}

var (
	overUDP  = attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}}
	evenPort = attribute{stun.AttrEvenPort, []byte{0x80}}
)

func lifetime(seconds uint32) stun.Setter {
	return attribute{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, seconds)}
}

func channel(number uint16) stun.Setter {
	return attribute{stun.AttrChannelNumber, []byte{byte(number >> 8), byte(number), 0, 0}}
}

// peer is XOR-PEER-ADDRESS of an IPv4 address.
type peer struct {
	ip   uint32
	port uint16
}

func (p peer) AddTo(m *stun.Message) error {
	value := []byte{0, 1}
	value = binary.BigEndian.AppendUint16(value, p.port^0x2112)
	m.Add(stun.AttrXORPeerAddress, binary.BigEndian.AppendUint32(value, p.ip^0x2112A442))
	return nil
}

// unhex reads hexadecimal text with spaces.
func unhex(text string) []byte {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return raw
}
