//go:build !unix

package main

import (
	"errors"
	"os"
)

// There are no such signals here: a server is restarted instead.
var reloadSignal, drainSignal os.Signal

func watchSignals() (orders <-chan os.Signal, stop func()) { return nil, func() {} }

func tell(int, os.Signal) error {
	return errors.New("this system has no signals to tell a server with; restart it instead")
}

func lock(*os.File, bool) bool { return true }
