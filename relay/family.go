package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// family is the relay in one address family: its address and its ports.
type family struct {
	local, external netip.Addr
	first, last     uint16 // relay ports
	ports           *portPool
}

func newFamily(address Address, minPort, maxPort int) *family {
	return &family{
		local:    address.Relay,
		external: address.External,
		first:    uint16(minPort),
		last:     uint16(maxPort),
		ports:    newPortPool(minPort, maxPort),
	}
}

// open binds a relay socket to a port that nobody else has. Naming the port,
// and not sharing it, is what keeps two allocations apart. Of a pair the odd port
// is only tried, and stays taken.
func (f *family) open(wish portWish, now time.Time) (conn *net.UDPConn, err error) {
	err = f.ports.take(wish, now, func(port uint16) error {
		if conn, err = f.bind(port); err == nil && wish == portPair && port%2 == 1 {
			return conn.Close()
		}
		return err
	})
	return conn, err
}

// openReserved binds a port that is taken already.
func (f *family) openReserved(port uint16) (*net.UDPConn, error) {
	conn, err := f.bind(port)
	if err != nil {
		f.ports.put(port)
	}
	return conn, err
}

func (f *family) bind(port uint16) (*net.UDPConn, error) {
	conn, err := net.ListenUDP(f.network(), udpAddr(netip.AddrPortFrom(f.local, port)))
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
		return nil, errPortTaken
	}
	if err != nil {
		return nil, err
	}
	// Best effort: the system's limit holds.
	_ = conn.SetReadBuffer(relayBuffer)
	_ = conn.SetWriteBuffer(relayBuffer)
	return conn, nil
}

// probe finds out whether the address is this machine's at all.
func (f *family) probe() error {
	conn, err := net.ListenUDP(f.network(), udpAddr(netip.AddrPortFrom(f.local, 0)))
	if err != nil {
		return fmt.Errorf("relaying on %s: %w; set [turn] relay_ip to an address of this machine", f.local, cause(err))
	}
	return conn.Close()
}

func (f *family) network() string {
	if f.local.Is4() {
		return "udp4"
	}
	return "udp6"
}

// toLocal says where a packet to peer has to go. A relayed address of ours is
// reached at the local address that it stands for: few NATs send back inside what
// came from inside.
func (f *family) toLocal(peer netip.AddrPort) netip.AddrPort {
	if peer.Addr() == f.external && f.relays(peer.Port()) {
		return netip.AddrPortFrom(f.local, peer.Port())
	}
	return peer
}

// toRelayed undoes toLocal: what comes from a relay socket of ours comes from
// its relayed address, which is the one that permissions name.
func (f *family) toRelayed(source netip.AddrPort) netip.AddrPort {
	if source.Addr() == f.local && f.relays(source.Port()) {
		return netip.AddrPortFrom(f.external, source.Port())
	}
	return source
}

func (f *family) relays(port uint16) bool { return f.first <= port && port <= f.last }

// cause strips what the caller's own words say already.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
