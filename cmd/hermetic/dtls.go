package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// dtlsOptions are the flags that client and server have for DTLS.
type dtlsOptions struct {
	any, only12, only13 bool
	mtu, cid            int
}

func (o *dtlsOptions) addTo(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.any, "dtls", false, "DTLS over UDP, in place of TLS")
	f.BoolVar(&o.only12, "dtls12", false, "only DTLS 1.2")
	f.BoolVar(&o.only13, "dtls13", false, "only DTLS 1.3")
	f.IntVar(&o.mtu, "mtu", 0, "the largest datagram of a DTLS handshake, in `BYTES` (default 1200)")
	f.IntVar(&o.cid, "cid", -1, "negotiate connection IDs: ours have `BYTES` bytes, 0 for none of ours")
}

// on reports whether it is to be DTLS.
func (o *dtlsOptions) on() bool { return o.any || o.only12 || o.only13 }

func (o *dtlsOptions) apply(cfg *hermetic.Config) error {
	switch {
	case o.only12 && o.only13:
		return errors.New("--dtls12 and --dtls13 exclude each other: --dtls offers both versions")
	case o.mtu != 0 && !o.on():
		return errors.New("--mtu is for DTLS: add --dtls")
	case o.cid >= 0 && !o.on():
		return errors.New("--cid is for DTLS: add --dtls")
	case o.only12:
		cfg.MaxVersion = tls.VersionTLS12
	case o.only13:
		cfg.MinVersion = tls.VersionTLS13
	}
	cfg.MTU = o.mtu
	cfg.Datagram.ConnectionIDs, cfg.Datagram.ConnectionIDLength = o.cid >= 0, max(0, o.cid)
	return nil
}

const (
	// dialTimeout is how long a handshake may take.
	dialTimeout = 30 * time.Second
	// lastWords is how long a client waits after its own end for the peer's: of
	// DTLS the close_notify may be lost, and nobody sends it again.
	lastWords = 2 * time.Second
	// idleTimeout is how long a server keeps a peer that says nothing.
	idleTimeout = 5 * time.Minute
	// maxLine is how much of a line goes into one datagram.
	maxLine = 1024
)

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

// receive prints datagrams until the peer closes, or has nothing more to say.
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

// serveConns gives each connection to handle, on a goroutine of its own, until the
// process ends. DTLS peers are all on one socket.
func serveConns(network, address string, cfg *hermetic.Config, out io.Writer, handle func(*netconn.Conn)) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%s is not HOST:PORT: %w", address, err)
	}
	l, err := netconn.Listen(network, address, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s\n", l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go handle(conn.(*netconn.Conn))
	}
}

// echoBack sends back what comes.
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
