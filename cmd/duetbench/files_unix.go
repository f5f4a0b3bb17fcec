//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// allowFiles raises the number of files that we, and the servers that we start, may open.
func allowFiles(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < n {
		return fmt.Errorf("%d open files are needed and %d are allowed: raise the hard limit (ulimit -Hn), or use fewer --members", n, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
