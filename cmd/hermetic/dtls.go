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
	// idleTimeout is how long a server keeps a silent peer.
	idleTimeout = 5 * time.Minute
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
	if o.asJSON || o.brief {
		state := conn.State()
		conn.CloseWrite()
		conn.SetReadDeadline(time.Now().Add(lastWords))
		if err := refusal(conn); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		return o.report(out, state)
	}
	printState(info, conn.State())
	conn.Control(func(e *hermetic.Engine) error {
		if local, peer := e.ConnectionIDs(); len(local)+len(peer) > 0 {
			fmt.Fprintf(info, "Connection IDs  ours %x, the peer's %x\n\n", local, peer)
		}
		return nil
	})
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

// serveDatagrams echoes the datagrams of all peers on one socket, until the process
// ends.
func serveDatagrams(address string, cfg *hermetic.Config, out io.Writer, fails failures) error {
	if _, _, err := hostPort(address); err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	defer pc.Close()
	l, err := netconn.NewPacketListener(pc, cfg, &netconn.PacketConfig{OnFailure: fails.say})
	if err != nil {
		return err
	}
	return acceptAll(l, out, echoBack)
}

// acceptAll handles each connection on its own goroutine, until the process ends.
func acceptAll(l net.Listener, out io.Writer, handle func(*netconn.Conn)) error {
	fmt.Fprintf(out, "listening on %s\n", l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go handle(conn.(*netconn.Conn))
	}
}

// echoBack sends back what it receives.
func echoBack(conn *netconn.Conn) {
	defer conn.Close()
	buf := make([]byte, 1<<14)
	for {
		conn.SetReadDeadline(time.Now().Add(idleTimeout))
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}
