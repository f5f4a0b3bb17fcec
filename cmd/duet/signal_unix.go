//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// What an operator asks of a running server.
var (
	reloadSignal os.Signal = syscall.SIGHUP
	drainSignal  os.Signal = syscall.SIGUSR1
)

// watchSignals delivers both until stop is called. From now on neither ends the process.
func watchSignals() (orders <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, reloadSignal, drainSignal)
	return signals, func() { signal.Stop(signals) }
}

// tell sends a signal to a process, nil to see whether there is one.
func tell(pid int, order os.Signal) error {
	number, _ := order.(syscall.Signal) // 0 for nil
	switch err := syscall.Kill(pid, number); {
	case errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("no server runs: there is no process %d", pid)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("process %d is another user's: run this as root, or as the user that the server runs as", pid)
	default:
		return err
	}
}

// lock takes the lock of an open file without waiting, shared or for itself alone.
func lock(file *os.File, shared bool) bool {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	return syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB) == nil
}
