package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/duetcall/duet/config"
)

// listen binds the STUN/TURN sockets: those that listening_ip names, each of
// which must succeed, or one per address family, of which IPv6 may be missing.
func (s *Server) listen(cfg config.Turn) error {
	for _, addr := range cfg.ListeningIP {
		if err := s.bind(addr.Unmap(), cfg.ListeningPort); err != nil {
			return err
		}
	}
	if len(cfg.ListeningIP) > 0 {
		return nil
	}
	if err := s.bind(netip.IPv4Unspecified(), cfg.ListeningPort); err != nil {
		return err
	}
	port := s.shards[0].local.Port
	err := s.bind(netip.IPv6Unspecified(), port)
	if err != nil && errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if err != nil {
		s.log.Debug("no IPv6 here", "reason", err)
	}
	return nil
}

func (s *Server) bind(addr netip.Addr, port int) error {
	network := "udp6"
	if addr.Is4() {
		network = "udp4"
	}
	at := netip.AddrPortFrom(addr, uint16(port))
	conn, err := net.ListenUDP(network, udpAddr(at))
	if err != nil {
		return fmt.Errorf("binding UDP %s: %w; %s", at, cause(err), bindHint(err))
	}
	// Best effort: the system's limit holds.
	_ = conn.SetReadBuffer(listenBuffer)
	_ = conn.SetWriteBuffer(listenBuffer)
	s.shards = append(s.shards, newShard(s, conn, conn.LocalAddr().(*net.UDPAddr), "udp"))
	return nil
}

func bindHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "another TURN server (coturn?) is running, or set [turn] listening_port"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 need a privilege; set [turn] listening_port to 3478"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "not an address of this machine; correct [turn] listening_ip"
	default:
		return "check [turn] listening_ip and listening_port"
	}
}
