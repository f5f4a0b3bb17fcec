//go:build race

package signaling

import (
	"errors"
	"syscall"
)

// The race detector must know of these calls: who reads comes after who wrote.

func sysRead(fd uintptr, b []byte) (int, syscall.Errno)  { return call(syscall.Read, fd, b) }
func sysWrite(fd uintptr, b []byte) (int, syscall.Errno) { return call(syscall.Write, fd, b) }

// call reads or writes b, which is not empty. An error comes with 0 bytes.
func call(do func(int, []byte) (int, error), fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, err := do(int(fd), b)
		failed, _ := errors.AsType[syscall.Errno](err)
		switch failed {
		case 0:
			return n, 0
		case syscall.EINTR:
		default:
			return 0, failed
		}
	}
}
