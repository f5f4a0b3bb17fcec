package relay

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"unsafe"

	"github.com/pion/dtls/v3"
)

// flightMTU is the most that a datagram of a handshake carries of the certificate: with
// all headers less than the 1280 bytes that every IPv6 network takes.
const flightMTU = 1200

// secureConn is the server's end of one DTLS connection. The rest of the relay knows the
// library by this type only.
type secureConn struct{ *dtls.Conn }

// handshakes makes DTLS connections of clients that have shown our cookie.
type handshakes struct{ options []dtls.ServerOption }

var (
	errNoCertificate = errors.New("[turn] dtls needs a certificate: set [tls] cert and key, or dtls to false")
	errOtherDTLS     = errors.New("pion/dtls keeps its cookie elsewhere than it did in the version that Duet was made for: build with that one, or set [turn] dtls to false")
)

// newHandshakes asks for the certificate at each handshake.
func newHandshakes(certificate func() *tls.Certificate, log *slog.Logger) (*handshakes, error) {
	if certificate == nil {
		return nil, errNoCertificate
	}
	if !knowsCookie() {
		return nil, errOtherDTLS
	}
	return &handshakes{[]dtls.ServerOption{
		dtls.WithGetCertificate(func(*dtls.ClientHelloInfo) (*tls.Certificate, error) {
			if current := certificate(); current != nil {
				return current, nil
			}
			return nil, errNoCertificate
		}),
		dtls.WithCipherSuites(
			dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, dtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
			dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		),
		dtls.WithMTU(flightMTU),
		dtls.WithLoggerFactory(pionLogs{log.With("transport", "dtls")}),
	}}, nil
}

// server makes the connection; nothing is read or written before it shakes hands.
func (h *handshakes) server(wire net.PacketConn, client net.Addr) (*secureConn, error) {
	conn, err := dtls.ServerWithOptions(wire, client, h.options...)
	if err != nil {
		return nil, err
	}
	return &secureConn{conn}, nil
}

// The library draws a cookie for each connection, so it has to remember a client before
// that has shown one. Ours is stateless, and the client's second hello, which both sides
// sign in the end, holds ours. So the library is played the first hello once the client
// has sent the second, its question for a cookie is kept from the client (wire.WriteTo),
// and then it is told, here, which cookie to expect: the one that the client has shown
// and we have checked. There is no public way to tell it.

// expectCookie must be called by the goroutine that writes the HelloVerifyRequest, which
// is also the one that drew the cookie and that will compare it.
func (c *secureConn) expectCookie(cookie []byte) {
	field := reflect.ValueOf(c.Conn).Elem().FieldByIndex(cookieField().Index)
	*(*[]byte)(unsafe.Pointer(field.UnsafeAddr())) = cookie
}

func knowsCookie() bool { return cookieField().Type == reflect.TypeFor[[]byte]() }

// cookieField is where the library keeps the cookie, or the zero value.
func cookieField() reflect.StructField {
	state, _ := reflect.TypeFor[dtls.Conn]().FieldByName("state")
	if state.Type != reflect.TypeFor[dtls.State]() {
		return reflect.StructField{}
	}
	cookie, _ := state.Type.FieldByName("cookie")
	cookie.Index = append(state.Index, cookie.Index...)
	return cookie
}
