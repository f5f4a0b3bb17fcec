// Package udp is what the relay wants of UDP sockets beyond package net. Each
// capability is a pair of files, one for Linux and one for every other system, where
// it is missing.
package udp
