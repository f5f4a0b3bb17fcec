package udp

import (
	"net"
	"syscall"
)

// CanForbidFragments says whether ForbidFragments works on this system.
const CanForbidFragments = true

// ForbidFragments sets DF on everything that the socket sends from now on. What is
// larger than the path allows is then refused (EMSGSIZE) instead of cut up.
func ForbidFragments(conn *net.UDPConn) error {
	level, option, value := syscall.IPPROTO_IP, syscall.IP_MTU_DISCOVER, syscall.IP_PMTUDISC_DO
	if conn.LocalAddr().(*net.UDPAddr).IP.To4() == nil {
		level, option, value = syscall.IPPROTO_IPV6, syscall.IPV6_MTU_DISCOVER, syscall.IPV6_PMTUDISC_DO
	}
	return setOption(conn, level, option, value)
}
