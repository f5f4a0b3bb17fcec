package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// How long servers are asked. Retransmissions double their distance from the initial
// RTO of RFC 8489 section 6.2.1; asking ends earlier than there, after three of them,
// because the start waits for it.
const (
	stunRTO      = 500 * time.Millisecond
	askTimeout   = 3 * time.Second
	othersFollow = 500 * time.Millisecond // wait for others after the first good answer
)

// stunAnswer is what one server said.
type stunAnswer struct {
	server    config.STUNServer
	mapped    netip.AddrPort // XOR-MAPPED-ADDRESS
	localPort uint16
	// err ends a sentence about the server: "does not answer".
	err error
}

var (
	errSilent       = errors.New("does not answer")
	errOthersFaster = errors.New("was not waited for")
)

// lookupFunc resolves a host to addresses of both families.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// askSTUN asks all servers at once, from a local address, how they see it. The answers
// are in the order of the servers.
func askSTUN(ctx context.Context, local netip.Addr, servers []config.STUNServer, lookup lookupFunc) []stunAnswer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ctx, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	answers := make([]stunAnswer, len(servers))
	var hurry sync.Once
	var asking sync.WaitGroup
	for i, server := range servers {
		asking.Go(func() {
			answers[i] = askServer(ctx, local, server, lookup)
			if answers[i].err == nil && global(answers[i].mapped.Addr()) {
				hurry.Do(func() {
					timer := time.AfterFunc(othersFollow, func() { enough(errOthersFaster) })
					context.AfterFunc(ctx, func() { timer.Stop() })
				})
			}
		})
	}
	asking.Wait()
	return answers
}

func askServer(ctx context.Context, local netip.Addr, server config.STUNServer, lookup lookupFunc) stunAnswer {
	answer := stunAnswer{server: server}
	remote, err := serverAddr(ctx, local, server, lookup)
	if err == nil {
		answer.mapped, answer.localPort, err = exchangeBinding(ctx, local, remote)
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errOthersFaster) {
		err = cause
	}
	answer.err = err
	return answer
}

// serverAddr resolves the server's name to an address of the local one's family.
func serverAddr(ctx context.Context, local netip.Addr, server config.STUNServer, lookup lookupFunc) (netip.AddrPort, error) {
	addrs := make([]netip.Addr, 1)
	var err error
	if addrs[0], err = netip.ParseAddr(server.Host); err != nil {
		if addrs, err = lookup(ctx, server.Host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("can't be resolved (%s)", lookupProblem(err))
		}
	}
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() == local.Is4() {
			return netip.AddrPortFrom(addr, uint16(server.Port)), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("has no address of the family of %s", local)
}

// exchangeBinding sends a Binding request until its answer arrives. The socket is
// connected: what comes from anyone but the server never gets here.
func exchangeBinding(ctx context.Context, local netip.Addr, remote netip.AddrPort) (mapped netip.AddrPort, localPort uint16, err error) {
	conn, err := net.DialUDP(network(local), udpAddr(netip.AddrPortFrom(local, 0)), udpAddr(remote))
	if err != nil {
		return mapped, 0, fmt.Errorf("can't be asked from %s (%w)", local, cause(err))
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	localPort = addrPort(conn.LocalAddr()).Port()
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return mapped, 0, err
	}
	ignored := false
	for rto := stunRTO; ctx.Err() == nil; rto *= 2 {
		if _, err = conn.Write(request.Raw); err == nil {
			_ = conn.SetReadDeadline(time.Now().Add(rto)) // fails only when closed: so will reading
			mapped, err = readBinding(conn, request.TransactionID, &ignored)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
		case errors.Is(err, syscall.ECONNREFUSED):
			return mapped, localPort, errors.New("is not there: its port is closed")
		case errors.As(err, new(syscall.Errno)):
			return mapped, localPort, fmt.Errorf("can't be reached (%w)", cause(err))
		case err == nil && mapped.Addr().Is4() != local.Is4():
			return mapped, localPort, errors.New("answers with an address of another family")
		default:
			return mapped, localPort, err
		}
	}
	if ignored {
		return mapped, localPort, errors.New("sends what is no answer to the question")
	}
	return mapped, localPort, errSilent
}

// readBinding returns the address in the answer to a transaction. Other datagrams it
// passes over, and notes that it did.
func readBinding(conn *net.UDPConn, transaction [stun.TransactionIDSize]byte, ignored *bool) (netip.AddrPort, error) {
	buf := make([]byte, 1500)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return netip.AddrPort{}, err
		}
		mapped, answered, err := decodeBinding(buf[:n], transaction)
		if answered {
			return mapped, err
		}
		*ignored = true
	}
}

// decodeBinding reads the answer to a Binding request, if the datagram is one.
func decodeBinding(datagram []byte, transaction [stun.TransactionIDSize]byte) (mapped netip.AddrPort, answered bool, err error) {
	answer := stun.Message{Raw: datagram}
	if answer.Decode() != nil || answer.TransactionID != transaction || answer.Type.Method != stun.MethodBinding {
		return mapped, false, nil
	}
	switch answer.Type.Class {
	case stun.ClassErrorResponse:
		var refusal stun.ErrorCodeAttribute
		_ = refusal.GetFrom(&answer) // then the code is 0
		return mapped, true, fmt.Errorf("answers with error %d", refusal.Code)
	case stun.ClassSuccessResponse:
		var xored stun.XORMappedAddress
		if err := xored.GetFrom(&answer); err != nil {
			return mapped, true, errors.New("answers without an address")
		}
		return addrPort(&net.UDPAddr{IP: xored.IP, Port: xored.Port}), true, nil
	default:
		return mapped, false, nil
	}
}
