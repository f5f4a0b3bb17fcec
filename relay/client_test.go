package relay

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// wireClient speaks TURN by hand, with pion/stun's codec rather than ours, so
// that each answer can be looked at.
type wireClient struct {
	t              *testing.T
	conn           net.Conn
	user, password string
	nonce          stun.Nonce
	key            stun.MessageIntegrity
}

func dial(t *testing.T, s *Server, user, password string) *wireClient {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, udpAddr(s.testAddr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wireClient{
		t: t, conn: conn, user: user, password: password,
		key: stun.NewLongTermIntegrity(user, testRealm, password),
	}
}

// ask sends a request as it is and returns the answer.
func (c *wireClient) ask(setters ...stun.Setter) *stun.Message {
	c.t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.TransactionID}, setters...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.exchange(m)
}

func (c *wireClient) exchange(m *stun.Message) *stun.Message {
	c.t.Helper()
	for range 5 { // UDP may lose, on a busy machine
		c.write(m.Raw)
		if answer := c.answerTo(m); answer != nil {
			return answer
		}
	}
	c.t.Fatalf("no answer to %s", m.Type)
	return nil
}

func (c *wireClient) answerTo(m *stun.Message) *stun.Message {
	deadline := time.Now().Add(patience / 5)
	for {
		packet := c.read(deadline)
		if packet == nil {
			return nil
		}
		answer := &stun.Message{Raw: packet}
		if answer.Decode() == nil && answer.TransactionID == m.TransactionID {
			return answer
		}
	}
}

func (c *wireClient) write(packet []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(packet); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next datagram, nil if there is none by the deadline.
func (c *wireClient) read(deadline time.Time) []byte {
	c.t.Helper()
	buf := make([]byte, 65536)
	c.conn.SetReadDeadline(deadline)
	if _, ok := c.conn.(*net.UDPConn); !ok {
		return c.readFrame(buf)
	}
	n, err := c.conn.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

// readFrame returns the next STUN message of a stream, and not a byte more.
func (c *wireClient) readFrame(buf []byte) []byte {
	if _, err := io.ReadFull(c.conn, buf[:headerSize]); err != nil {
		return nil
	}
	size := headerSize + int(binary.BigEndian.Uint16(buf[2:]))
	if _, err := io.ReadFull(c.conn, buf[headerSize:size]); err != nil {
		return nil
	}
	return buf[:size]
}

// do sends a signed request, with a fresh nonce if it needs one.
func (c *wireClient) do(method stun.Method, setters ...stun.Setter) *stun.Message {
	c.t.Helper()
	if c.nonce == nil {
		challenge := c.ask(stun.NewType(stun.MethodAllocate, stun.ClassRequest))
		if got := code(challenge); got != 401 {
			c.t.Fatalf("a request without credentials got %d, want 401", got)
		}
		if err := c.nonce.GetFrom(challenge); err != nil {
			c.t.Fatal(err)
		}
	}
	answer := c.ask(c.signed(method, setters...)...)
	if code(answer) == 438 {
		if err := c.nonce.GetFrom(answer); err != nil {
			c.t.Fatal(err)
		}
		answer = c.ask(c.signed(method, setters...)...)
	}
	return answer
}

func (c *wireClient) signed(method stun.Method, setters ...stun.Setter) []stun.Setter {
	all := []stun.Setter{stun.NewType(method, stun.ClassRequest)}
	all = append(all, setters...)
	return append(all, stun.NewUsername(c.user), stun.NewRealm(testRealm), c.nonce, c.key, stun.Fingerprint)
}

// allocate returns the relayed address.
func (c *wireClient) allocate(setters ...stun.Setter) netip.AddrPort {
	c.t.Helper()
	answer := c.do(stun.MethodAllocate, append(setters, wantUDP)...)
	if code(answer) != 0 {
		c.t.Fatalf("Allocate got %d", code(answer))
	}
	var relayed stun.XORMappedAddress
	if err := relayed.GetFromAs(answer, stun.AttrXORRelayedAddress); err != nil {
		c.t.Fatal(err)
	}
	return addrPort(&net.UDPAddr{IP: relayed.IP, Port: relayed.Port})
}

// want checks the code of an answer, and that an error after authentication is signed.
func (c *wireClient) want(answer *stun.Message, want int) {
	c.t.Helper()
	if got := code(answer); got != want {
		c.t.Fatalf("%s got %d, want %d", answer.Type.Method, got, want)
	}
	if c.nonce != nil && want != 401 && want != 438 && want != 400 {
		if err := c.key.Check(answer); err != nil {
			c.t.Errorf("%s %d is not signed: %v", answer.Type.Method, want, err)
		}
	}
}

// code returns the error code of an answer, 0 for success.
func code(answer *stun.Message) int {
	if answer.Type.Class == stun.ClassSuccessResponse {
		return 0
	}
	var e stun.ErrorCodeAttribute
	if e.GetFrom(answer) != nil {
		return -1
	}
	return int(e.Code)
}

// raw is an attribute with any value.
func raw(kind stun.AttrType, value ...byte) stun.Setter { return rawAttribute{kind, value} }

type rawAttribute struct {
	kind  stun.AttrType
	value []byte
}

func (r rawAttribute) AddTo(m *stun.Message) error {
	m.Add(r.kind, r.value)
	return nil
}

// integritySHA256 is MESSAGE-INTEGRITY-SHA256, truncated to size.
type integritySHA256 struct {
	key  []byte
	size int
}

func (i integritySHA256) AddTo(m *stun.Message) error {
	end := len(m.Raw)
	m.Add(attrIntegritySHA256, make([]byte, i.size))
	m.WriteLength()
	mac := hmac.New(sha256.New, i.key)
	mac.Write(m.Raw[:end])
	copy(m.Raw[end+4:], mac.Sum(nil))
	return nil
}

// check says whether the message has that attribute, untruncated, and it fits.
func (i integritySHA256) check(t *testing.T, m *stun.Message) {
	t.Helper()
	value, err := m.Get(attrIntegritySHA256)
	if err != nil {
		t.Fatal("no MESSAGE-INTEGRITY-SHA256")
	}
	at := bytes.Index(m.Raw, value) - 4
	upTo := append([]byte(nil), m.Raw[:at]...)
	binary.BigEndian.PutUint16(upTo[2:], uint16(at+4+len(value)-headerSize))
	mac := hmac.New(sha256.New, i.key)
	mac.Write(upTo)
	if !bytes.Equal(value, mac.Sum(nil)) {
		t.Error("MESSAGE-INTEGRITY-SHA256 does not fit")
	}
}

var wantUDP = raw(stun.AttrRequestedTransport, transportUDP, 0, 0, 0)

func seconds(n uint32) stun.Setter {
	return raw(stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, n)...)
}

func channelNumber(n uint16) stun.Setter {
	return raw(stun.AttrChannelNumber, byte(n>>8), byte(n), 0, 0)
}

// toPeer is XOR-PEER-ADDRESS. An IPv4-mapped address stays an IPv6 one.
type toPeer netip.AddrPort

func (p toPeer) AddTo(m *stun.Message) error {
	addr := netip.AddrPort(p)
	value := make([]byte, 4, 20)
	value[1] = familyIPv4
	if addr.Addr().Is6() {
		value[1] = familyIPv6
	}
	binary.BigEndian.PutUint16(value[2:], addr.Port()^0x2112)
	for i, octet := range addr.Addr().AsSlice() {
		value = append(value, octet^m.Raw[4+i])
	}
	m.Add(stun.AttrXORPeerAddress, value)
	return nil
}

// send is a Send indication.
func (c *wireClient) send(peer netip.AddrPort, data string) {
	c.t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		toPeer(peer), raw(stun.AttrData, []byte(data)...))
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(m.Raw)
}

// channelData sends on a channel.
func (c *wireClient) channelData(channel uint16, data string) {
	c.t.Helper()
	packet := binary.BigEndian.AppendUint16(nil, channel)
	packet = binary.BigEndian.AppendUint16(packet, uint16(len(data)))
	c.write(append(packet, data...))
}
