package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

const (
	// dialTimeout is how long a handshake may take.
	dialTimeout = 30 * time.Second
	// maxLine is how much of a line goes into one datagram.
	maxLine = 1024
)

// lastWords is how long a client waits for the peer's close_notify after its own: in
// DTLS it may be lost, and is not retransmitted. Tests on a busy machine wait longer.
var lastWords = 2 * time.Second

// runDTLSClient is runClient over DTLS: each line of in is a datagram.
func runDTLSClient(o *clientOptions, address string, cfg *hermetic.Config, in io.Reader, out, info io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.patience)
	defer cancel()
	conn, err := netconn.Dial(ctx, "udp", address, cfg)
	if err != nil {
		return o.unanswered(address, fmt.Errorf("%s: %w", address, err))
	}
	defer conn.Close()
	var ids connectionIDs
	conn.Control(func(e *hermetic.Engine) error {
		ids.local, ids.peer = e.ConnectionIDs()
		return nil
	})
	if o.asJSON || o.brief {
		state := conn.State()
		conn.CloseWrite()
		conn.SetReadDeadline(time.Now().Add(lastWords))
		if err := refusal(conn); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		return o.report(out, state, ids)
	}
	printState(info, conn.State())
	if ids.used() {
		fmt.Fprintf(info, "Connection IDs  %v\n\n", ids)
	}
	sent := make(chan error, 1)
	go func() {
		sent <- sendLines(conn, in)
		conn.CloseWrite()
		conn.SetReadDeadline(time.Now().Add(lastWords))
	}()
	err = receive(conn, out)
	select {
	case failed := <-sent:
		return errors.Join(err, failed)
	default: // the peer has closed first
		return err
	}
}

// sendLines sends each line as a datagram.
func sendLines(conn net.Conn, in io.Reader) error {
	lines := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			if _, err := conn.Write(line); err != nil {
				return err
			}
		}
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// receive prints datagrams until the peer closes or is silent.
func receive(conn net.Conn, out io.Writer) error {
	buf := make([]byte, 1<<14)
	for {
		n, err := conn.Read(buf)
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		switch {
		case err == nil:
		case err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		default:
			return err
		}
	}
}
