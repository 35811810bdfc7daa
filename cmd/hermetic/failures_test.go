package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

func TestFailures(t *testing.T) {
	peer := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 32848}
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"a reason", errors.New("peer sent alert unknown_ca"), "peer sent alert unknown_ca"},
		{"the peer has gone", fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "the peer disconnected during the handshake"},
		{"the time is up", os.ErrDeadlineExceeded, "the peer did not complete the handshake in time"},
		{"words of the peer", errors.New("no \x1b[2J\nname"), "no  [2J name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var said strings.Builder
			failures{&said}.say(peer, test.err)
			if want := "127.0.0.1:32848: " + test.want + "\n"; said.String() != want {
				t.Errorf("said %q, not %q", said.String(), want)
			}
		})
	}
}
