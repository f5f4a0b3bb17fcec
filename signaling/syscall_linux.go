//go:build !race

package signaling

import (
	"syscall"
	"unsafe"
)

// Go's runtime is not told of these calls, because they never wait: it would wake a thread that watches over calls
// that may, again and again, and that costs more than the calls.

func sysRead(fd uintptr, b []byte) (int, syscall.Errno)  { return call(syscall.SYS_READ, fd, b) }
func sysWrite(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.SYS_WRITE, fd, b) }

// call reads or writes b, which is not empty. An error comes with 0 bytes.
func call(trap, fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, failed := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch failed {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, failed
		}
	}
}
