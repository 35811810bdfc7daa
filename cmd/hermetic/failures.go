package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"unicode"
)

// failures is where a server says which handshakes have failed.
type failures struct{ out io.Writer }

// say is a line with the peer and the reason. It may be called from any goroutine.
func (f failures) say(peer net.Addr, err error) {
	reason := err.Error()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		reason = "the peer has gone in the middle of the handshake"
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = "the peer has not completed the handshake in time"
	}
	fmt.Fprintf(f.out, "%s: %s\n", peer, strings.Map(printable, reason))
}

// printable keeps the words of a peer from moving the cursor, and on one line.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return ' '
}
