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

// failures is where a server reports handshakes that have failed.
type failures struct{ out io.Writer }

// say prints a line with the peer and the reason. It may be called from any goroutine.
func (f failures) say(peer net.Addr, err error) {
	reason := err.Error()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		reason = "the peer disconnected during the handshake"
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = "the peer did not complete the handshake in time"
	}
	fmt.Fprintf(f.out, "%s: %s\n", peer, strings.Map(printable, reason))
}

// printable keeps text from a peer on one line, without control sequences.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return ' '
}
