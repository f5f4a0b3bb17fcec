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
		if _, err := s.bind(addr.Unmap(), cfg.ListeningPort, bindHint); err != nil {
			return err
		}
	}
	if len(cfg.ListeningIP) > 0 {
		return nil
	}
	if _, err := s.bind(netip.IPv4Unspecified(), cfg.ListeningPort, bindHint); err != nil {
		return err
	}
	port := s.shards[0].local.Port
	_, err := s.bind(netip.IPv6Unspecified(), port, bindHint)
	if err != nil && errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if err != nil {
		s.log.Debug("no IPv6 here", "reason", err)
	}
	return nil
}

// bind makes a shard of a UDP socket; hint completes an error.
func (s *Server) bind(addr netip.Addr, port int, hint func(error) string) (*shard, error) {
	network := "udp6"
	if addr.Is4() {
		network = "udp4"
	}
	at := netip.AddrPortFrom(addr, uint16(port))
	conn, err := net.ListenUDP(network, udpAddr(at))
	if err != nil {
		return nil, fmt.Errorf("binding UDP %s: %w; %s", at, cause(err), hint(err))
	}
	// Best effort: the system's limit holds.
	_ = conn.SetReadBuffer(listenBuffer)
	_ = conn.SetWriteBuffer(listenBuffer)
	shard := newShard(s, conn, conn.LocalAddr().(*net.UDPAddr), "udp")
	shard.socket.widen(conn, s.log.Logger)
	s.shards = append(s.shards, shard)
	return shard, nil
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
