package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/duetcall/duet/relay/tcp"
)

// family is the relay in one address family: its ports, and who has them.
type family struct {
	v4          bool
	first, last uint16 // relay ports
	ports       *portPool
	// mapped has the mapping of the allocation that a port had last: what others know
	// that port by. Packets read it, new allocations write it.
	mapped []atomic.Pointer[mapping]
}

func newFamily(v4 bool, minPort, maxPort int) *family {
	return &family{
		v4:     v4,
		first:  uint16(minPort),
		last:   uint16(maxPort),
		ports:  newPortPool(minPort, maxPort),
		mapped: make([]atomic.Pointer[mapping], maxPort-minPort+1),
	}
}

// open binds a relay socket to a port that nobody else has. Naming the port,
// and not sharing it, is what keeps two allocations apart. Of a pair the odd port
// is only tried, and stays taken.
func (f *family) open(local netip.Addr, wish portWish, now time.Time) (conn *net.UDPConn, err error) {
	err = f.ports.take(wish, now, func(port uint16) error {
		if conn, err = f.bind(local, port); err == nil && wish == portPair && port%2 == 1 {
			return conn.Close()
		}
		return err
	})
	return conn, err
}

// openReserved binds a port that is taken already.
func (f *family) openReserved(local netip.Addr, port uint16) (*net.UDPConn, error) {
	conn, err := f.bind(local, port)
	if err != nil {
		f.ports.put(port)
	}
	return conn, err
}

func (f *family) bind(local netip.Addr, port uint16) (*net.UDPConn, error) {
	conn, err := net.ListenUDP(network(local), udpAddr(netip.AddrPortFrom(local, port)))
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

// listen opens the relay socket of a TCP allocation.
func (f *family) listen(local netip.Addr, now time.Time) (listener *net.TCPListener, err error) {
	err = f.ports.take(anyPort, now, func(port uint16) error {
		listener, err = tcp.Listen(netip.AddrPortFrom(local, port))
		if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
			return errPortTaken
		}
		return err
	})
	return listener, err
}

// usable finds out whether an address is this machine's at all.
func usable(local netip.Addr) error {
	conn, err := net.ListenUDP(network(local), udpAddr(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return fmt.Errorf("relaying on %s: %w; set [turn] relay_ip to an address of this machine", local, cause(err))
	}
	return conn.Close()
}

func network(addr netip.Addr) string {
	if addr.Is4() {
		return "udp4"
	}
	return "udp6"
}

// toLocal says where a packet to peer has to go. A relayed address of ours is
// reached at the local address that it stands for: few NATs send back inside what
// came from inside. What the policy lets through as ours never goes elsewhere, even
// if DNS calls us by the address of somebody else.
func (f *family) toLocal(peer netip.AddrPort, now *standing) netip.AddrPort {
	if peer.Port() < f.first || peer.Port() > f.last {
		return peer
	}
	m := f.mapping(peer.Port())
	if m == nil || m.external != peer.Addr() {
		m = now.known(peer.Addr())
	}
	if m == nil {
		return peer
	}
	return netip.AddrPortFrom(m.local, peer.Port())
}

// toRelayed undoes toLocal: what comes from a relay socket of ours comes from
// its relayed address, which is the one that permissions name.
func (f *family) toRelayed(source netip.AddrPort) netip.AddrPort {
	if m := f.mapping(source.Port()); m != nil && m.local == source.Addr() {
		return netip.AddrPortFrom(m.external, source.Port())
	}
	return source
}

// mapping returns that of a relay port, nil if no allocation ever had it.
func (f *family) mapping(port uint16) *mapping {
	if port < f.first || port > f.last {
		return nil
	}
	return f.mapped[port-f.first].Load()
}

// cause strips what the caller's own words say already.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
