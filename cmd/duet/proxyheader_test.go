package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// proxyHeader writes a header as proxies do.
func proxyHeader(command, family byte, body string) string {
	head := append([]byte(proxySignature), command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(body)))) + body
}

// proxyFor writes the header of a client, with TLVs behind its addresses.
func proxyFor(client, server, tlvs string) string {
	from, to := netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)
	family := byte(proxyTCP4)
	if from.Addr().Is6() {
		family = proxyTCP6
	}
	body := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(body, from.Port()), to.Port())
	return proxyHeader(proxyProxy, family, string(body)+tlvs)
}

func TestThePROXYHeaderTellsTheClientOrIsRefused(t *testing.T) {
	const v4, v6 = "\xc6\x33\x64\x07\xc0\x00\x02\x01\x30\x39\x01\xbb", "198.51.100.7:12345"
	for _, tt := range []struct{ name, sent, client, rest, failure string }{
		{"IPv4", proxyFor("198.51.100.7:12345", "192.0.2.1:443", "") + "GET", "198.51.100.7:12345", "GET", ""},
		{"IPv4, byte by byte", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + v4 + "GET", v6, "GET", ""},
		{"IPv6", proxyFor("[2001:db8::7]:12345", "[2001:db8::1]:443", "") + "GET", "[2001:db8::7]:12345", "GET", ""},
		{"IPv4 in IPv6", proxyFor("[::ffff:198.51.100.7]:12345", "[::ffff:192.0.2.1]:443", ""), "198.51.100.7:12345", "", ""},
		{"TLVs", proxyFor("198.51.100.7:12345", "192.0.2.1:443", "\x03\x00\x04abcd\x04\xff\xff") + "GET", "198.51.100.7:12345", "GET", ""},
		{"the most TLVs", proxyFor("198.51.100.7:1", "192.0.2.1:2", strings.Repeat("x", maxProxyBody-12)) + "GET", "198.51.100.7:1", "GET", ""},
		{"LOCAL", proxyHeader(proxyLocal, 0, "") + "GET", "", "GET", ""},
		{"LOCAL with addresses", proxyHeader(proxyLocal, proxyTCP4, v4) + "GET", "", "GET", ""},
		{"no addresses", proxyHeader(proxyProxy, proxyUnspec, "\x04\x00\x00") + "GET", "", "GET", ""},
		{"a Unix socket", proxyHeader(proxyProxy, proxyUnix, strings.Repeat("x", 216)) + "GET", "", "GET", ""},
		{"no header: HTTP", "GET / HTTP/1.1", "", "GET / HTTP/1.1", ""},
		{"no header: TLS", "\x16\x03\x01", "", "\x16\x03\x01", ""},
		{"no header: STUN", "\x00\x01\x00\x00", "", "\x00\x01\x00\x00", ""},
		{"no header after all", "\r\n\r\nGET / HTTP/1.1", "", "\r\n\r\nGET / HTTP/1.1", ""},
		{"version 1", "PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n", "", "PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n", ""},
		{"too many TLVs", proxyFor("198.51.100.7:1", "192.0.2.1:2", strings.Repeat("x", maxProxyBody-11)), "", "", "4097 bytes long"},
		{"version 3", proxyHeader(0x31, proxyTCP4, v4), "", "", "version and command 0x31"},
		{"another command", proxyHeader(0x22, proxyTCP4, v4), "", "", "version and command 0x22"},
		{"UDP", proxyHeader(proxyProxy, 0x12, v4), "", "", "family and transport 0x12"},
		{"too short", proxyHeader(proxyProxy, proxyTCP4, v4[:11]), "", "", "too short"},
		{"too short for IPv6", proxyHeader(proxyProxy, proxyTCP6, v4), "", "", "too short"},
		{"nobody", proxyFor("0.0.0.0:0", "192.0.2.1:443", ""), "", "", "no client has its address"},
		{"multicast", proxyFor("224.0.0.1:1", "192.0.2.1:443", ""), "", "", "no client has its address"},
		{"nothing", "", "", "", "EOF"},
		{"half a signature", proxySignature[:5], "", "", "EOF"},
		{"half a header", proxySignature + "\x21", "", "", "EOF"},
		{"half an address", proxyFor("198.51.100.7:12345", "192.0.2.1:443", "")[:20], "", "", "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := io.Reader(strings.NewReader(tt.sent))
			if strings.HasSuffix(tt.name, "byte by byte") {
				r = io.MultiReader(strings.NewReader(tt.sent[:1]), strings.NewReader(tt.sent[1:14]), strings.NewReader(tt.sent[14:]))
			}
			told, held, err := readProxyHeader(r)
			if tt.failure != "" {
				if err == nil || !strings.Contains(err.Error(), tt.failure) {
					t.Errorf("%v, want %s", err, tt.failure)
				}
				return
			}
			rest, _ := io.ReadAll(r)
			client := ""
			if told.client.IsValid() {
				client = told.client.String()
			}
			if err != nil || client != tt.client || string(held)+string(rest) != tt.rest {
				t.Errorf("client %s, then %q%q, %v; want %s, then %q", client, held, rest, err, tt.client, tt.rest)
			}
		})
	}
}

// FuzzProxyHeader: of what is no header, every byte is still there; of what is one, not one
// byte behind it is gone, and the client has an address that clients have.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte(proxyFor("198.51.100.7:12345", "192.0.2.1:443", "\x03\x00\x04abcd") + "GET"))
	f.Add([]byte(proxyFor("[2001:db8::7]:12345", "[2001:db8::1]:443", "")))
	f.Add([]byte(proxyHeader(proxyLocal, 0, "") + "GET"))
	f.Add([]byte("\r\n\r\nGET"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bytes.NewReader(sent)
		told, held, err := readProxyHeader(r)
		read := len(sent) - r.Len()
		switch {
		case err != nil:
			if told.client.IsValid() || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, errProxyHeader) {
				t.Fatalf("%v: %v", told, err)
			}
		case !bytes.HasPrefix(sent, []byte(proxySignature)):
			if !bytes.Equal(held, sent[:read]) || told.client.IsValid() {
				t.Fatalf("%q became %q and %v", sent[:read], held, told)
			}
		default:
			size := proxyHead + int(binary.BigEndian.Uint16(sent[14:]))
			if addr := told.client.Addr(); len(held) > 0 || read != size || told.client.IsValid() && (addr.IsUnspecified() || addr.IsMulticast() || addr.Is4In6()) {
				t.Fatalf("read %d of %d, held %q: %v", read, size, held, told)
			}
		}
	})
}
