// Package tcp is what the relay wants of TCP connections beyond package net. Each
// capability is a pair of files, one for Linux and one for every other system, where
// it is missing.
package tcp
