package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// The PROXY protocol, version 2 (haproxy.org/download/3.0/doc/proxy-protocol.txt,
// section 2.2): 12 bytes that begin no protocol of ours, version and command, family and
// transport, the length of the rest; then the addresses; then TLVs, which we skip.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyHead      = len(proxySignature) + 4
	// maxProxyBody bounds addresses and TLVs: proxies send less than 600 bytes, unless
	// they add a client's certificate.
	maxProxyBody = 4096

	proxyLocal, proxyProxy = 0x20, 0x21
	proxyTCP4, proxyTCP6   = 0x11, 0x21
	proxyUnspec, proxyUnix = 0x00, 0x31
)

// proxied is what a proxy tells about the connection that it forwards.
type proxied struct {
	// client and server are the ends that the client sees. Not valid: those of the
	// proxy's own connection, for its health checks and for what has no addresses.
	client, server netip.AddrPort
}

var errProxyHeader = errors.New("PROXY header")

// readProxyHeader reads the header, if there is one, and not one byte more. held is what it
// read of something else.
func readProxyHeader(r io.Reader) (told proxied, held []byte, err error) {
	head := make([]byte, proxyHead)
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return told, nil, err
	}
	// TLS, STUN and HTTP all differ in the first byte: nobody waits for a twelfth.
	if head[0] != proxySignature[0] {
		return told, head[:1], nil
	}
	if n, err := io.ReadFull(r, head[1:len(proxySignature)]); err != nil {
		return told, head[:1+n], err
	}
	if string(head[:len(proxySignature)]) != proxySignature {
		return told, head[:len(proxySignature)], nil
	}
	if _, err := io.ReadFull(r, head[len(proxySignature):]); err != nil {
		return told, nil, err
	}
	size := int(binary.BigEndian.Uint16(head[14:]))
	if size > maxProxyBody {
		return told, nil, fmt.Errorf("%w: %d bytes long", errProxyHeader, size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return told, nil, err
	}
	told, err = parseProxied(head[12], head[13], body)
	return told, nil, err
}

func parseProxied(command, family byte, body []byte) (proxied, error) {
	if command == proxyLocal {
		return proxied{}, nil
	}
	if command != proxyProxy {
		return proxied{}, fmt.Errorf("%w: version and command %#02x", errProxyHeader, command)
	}
	size := 0 // of an address
	switch family {
	case proxyTCP4:
		size = 4
	case proxyTCP6:
		size = 16
	case proxyUnspec, proxyUnix:
		return proxied{}, nil
	default:
		return proxied{}, fmt.Errorf("%w: family and transport %#02x", errProxyHeader, family)
	}
	if len(body) < 2*size+4 {
		return proxied{}, fmt.Errorf("%w: too short for its addresses", errProxyHeader)
	}
	at := func(i int) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(body[i*size : (i+1)*size])
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(body[2*size+2*i:]))
	}
	told := proxied{client: at(0), server: at(1)}
	if told.client.Addr().IsUnspecified() || told.client.Addr().IsMulticast() {
		return proxied{}, fmt.Errorf("%w: no client has its address", errProxyHeader)
	}
	return told, nil
}
