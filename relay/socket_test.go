package relay

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// faultyConn reports errors that one cannot provoke.
type faultyConn struct {
	errors []error // one per read, then a datagram
	closed chan struct{}
	once   sync.Once
}

func (f *faultyConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case <-f.closed:
		return 0, netip.AddrPort{}, &net.OpError{Op: "read", Err: net.ErrClosed}
	default:
	}
	if len(f.errors) > 0 {
		err := f.errors[0]
		f.errors = f.errors[1:]
		return 0, netip.AddrPort{}, &net.OpError{Op: "read", Err: err}
	}
	return copy(b, "data"), netip.MustParseAddrPort("[::ffff:8.8.8.8]:53"), nil
}

func (f *faultyConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }

func (f *faultyConn) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func TestReadErrorsAreOutlived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &faultyConn{closed: make(chan struct{}), errors: []error{
			syscall.ECONNREFUSED, syscall.ENOBUFS, syscall.ENOMEM, syscall.EIO,
		}}
		s := newSocket(conn)
		began := time.Now()
		n, from, err := s.read(make([]byte, 100))
		if n != 4 || err != nil || from != netip.MustParseAddrPort("8.8.8.8:53") {
			t.Errorf("read() = %d, %s, %v", n, from, err)
		}
		if got, want := time.Since(began), (10+20+40)*time.Millisecond; got != want {
			t.Errorf("took %s, want %s", got, want)
		}
		conn.errors = []error{syscall.ECONNREFUSED}
		began = time.Now()
		s.read(make([]byte, 100))
		if got := time.Since(began); got != 0 {
			t.Errorf("a lone error took %s", got)
		}
	})
}

func TestCloseInterruptsBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &faultyConn{closed: make(chan struct{})}
		for range 1000 {
			conn.errors = append(conn.errors, syscall.ENOBUFS)
		}
		s := newSocket(conn)
		done := make(chan error)
		go func() {
			_, _, err := s.read(nil)
			done <- err
		}()
		time.Sleep(5*time.Second + time.Millisecond) // by now it waits for a second
		began := time.Now()
		s.close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read() = %v", err)
		}
		if got := time.Since(began); got != 0 {
			t.Errorf("close took %s to be noticed", got)
		}
	})
}
