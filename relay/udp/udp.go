// Package udp is what the relay wants of UDP sockets beyond package net. Each
// capability is a pair of files, one for Linux and one for every other system, where
// it is missing.
package udp

// Source is the address that a datagram leaves from, in the system's form. nil leaves
// the choice to the system.
type Source []byte
