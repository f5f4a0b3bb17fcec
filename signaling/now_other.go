//go:build !linux

package signaling

import "net"

// readNow is conn.Read.
func readNow(conn net.Conn, b []byte) (n int, err error) { return conn.Read(b) }

// tryWrite writes nothing: the queue takes it.
func tryWrite(*net.TCPConn, []byte) (n int) { return 0 }
