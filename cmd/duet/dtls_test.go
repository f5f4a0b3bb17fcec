package main

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/stun/v3"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

func TestDTLSHasTheCertificateOfTLS(t *testing.T) {
	defer goleak.VerifyNone(t)
	pair := pairIn(t.TempDir())
	trusted := certify(t, pair, "call.test")
	port, err := strconv.Atoi(freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	s, stop := startServer(t, func(c *config.Config) {
		c.TLS, c.Turn.DTLS, c.Turn.TLSListeningPort = pair, true, port
	})
	defer stop()
	var told strings.Builder
	s.banner("").print(&told)
	if want := "over DTLS on port " + strconv.Itoa(port) + "/udp"; !strings.Contains(told.String(), want) {
		t.Errorf("the banner says\n%s\nwithout %q", told.String(), want)
	}

	at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)))
	conn, err := dtls.DialWithOptions("udp4", at, dtls.WithRootCAs(trusted), dtls.WithServerName("call.test"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw); err != nil {
		t.Fatal(err)
	}
	answer := stun.New()
	if _, err := answer.ReadFrom(conn); err != nil || answer.Type != stun.BindingSuccess {
		t.Errorf("answer %v, %v", answer, err)
	}
}
