package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/pion/logging"
	"github.com/pion/turn/v4"
)

// maxDatagram is the longest message that UDP carries.
const maxDatagram = 65535

// engineHooks are what the engine needs of a shard.
type engineHooks struct {
	// key is what requests must be signed with, and answers are.
	key []byte
	// allocate opens the relay socket of an Allocate request, and returns the
	// address that the client is told. It is called on the goroutine that reads
	// conn, while the engine serves the request it has just read.
	allocate func() (conn net.PacketConn, relayed net.Addr, err error)
}

// startEngine runs pion's TURN server on one socket until the socket is closed. It
// throws away messages of mtu bytes and more.
func startEngine(conn net.PacketConn, mtu int, hooks engineHooks, log *slog.Logger) error {
	_, err := turn.NewServer(turn.ServerConfig{
		Realm:         engineRealm,
		LoggerFactory: pionLogs{log},
		InboundMTU:    mtu,
		AuthHandler: func(string, string, net.Addr) ([]byte, bool) {
			return hooks.key, true
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            conn,
			RelayAddressGenerator: relayGenerator{hooks},
			// The gate has judged the peers already, ports included.
			PermissionHandler: turn.DefaultPermissionHandler,
		}},
	})
	return err
}

// relayGenerator hands allocate to the engine. The network it names is always
// "udp4", and the port 0: the gate keeps EVEN-PORT to itself.
type relayGenerator struct{ hooks engineHooks }

func (relayGenerator) Validate() error { return nil }

func (g relayGenerator) AllocatePacketConn(string, int) (net.PacketConn, net.Addr, error) {
	return g.hooks.allocate()
}

var errNoTCPRelay = errors.New("TCP allocations (RFC 6062) are the gate's")

// AllocateConn is never called: the engine has no TCP allocations, and takes ours for
// others.
func (relayGenerator) AllocateConn(string, int) (net.Conn, net.Addr, error) {
	return nil, nil, errNoTCPRelay
}

// pionLogs sends the engine's warnings and errors to slog, as debug lines: each
// is about one client, and anything that concerns the operator we say ourselves.
// What it says at lower levels, several lines per packet, is not even formatted.
type pionLogs struct{ log *slog.Logger }

func (p pionLogs) NewLogger(string) logging.LeveledLogger { return p }

func (pionLogs) Trace(string)          {}
func (pionLogs) Tracef(string, ...any) {}
func (pionLogs) Debug(string)          {}
func (pionLogs) Debugf(string, ...any) {}
func (pionLogs) Info(string)           {}
func (pionLogs) Infof(string, ...any)  {}
func (p pionLogs) Warn(text string)    { p.log.Debug("engine", "reason", text) }
func (p pionLogs) Error(text string)   { p.log.Debug("engine", "reason", text) }

func (p pionLogs) Warnf(format string, args ...any)  { p.write(format, args) }
func (p pionLogs) Errorf(format string, args ...any) { p.write(format, args) }

func (p pionLogs) write(format string, args []any) {
	if p.log.Enabled(context.Background(), slog.LevelDebug) {
		p.log.Debug("engine", "reason", fmt.Sprintf(format, args...))
	}
}
