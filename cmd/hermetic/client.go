package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
)

// clientOptions are the flags of hermetic client.
type clientOptions struct {
	identity                     identityOptions
	psks                         pskOptions
	serverName, alpn             string
	session, early               string
	insecure, brief, asJSON, get bool
	mustStaple                   bool
	protocol                     protocolOptions
	patience                     time.Duration // until the handshake is complete
}

func clientCommand() *cobra.Command {
	var o clientOptions
	c := &cobra.Command{
		Use:   "client HOST:PORT",
		Short: "Connect, verify, show what was negotiated, then pipe standard input and output",
		Long: `Connect, verify, show what was negotiated, then pipe standard input and output. With --dtls, each line of
the input is a datagram. 'hermetic --help' lists the exit codes.`,
		Example: `  hermetic client example.com:443 --http
  hermetic client localhost:4433 --cacert ca.pem --cert me.pem --alpn h2,http/1.1
  hermetic client localhost:4433 --cacert ca.pem --dtls`,
		Args: needs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runClient(&o, args[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	o.identity.addTo(f, "`FILE` with the authorities to trust, in PEM (default: the system's)")
	f.StringVar(&o.serverName, "servername", "", "`NAME` to send and to verify (default: the host)")
	f.StringVar(&o.alpn, "alpn", "", "ALPN protocols, separated by commas")
	f.IntVar(&o.protocol.sizes.fragment, "max-fragment", 0, "ask for records of at most `BYTES`, for servers without --record-size-limit: 512, 1024, 2048 or 4096")
	f.Var((*filename)(&o.session), "session", "resume this server's session in `FILE`, if there is one, and keep the next one there")
	f.Var((*filename)(&o.early), "early-data", "send `FILE` as 0-RTT data, as far as the session permits, and the rest after the handshake")
	o.psks.addTo(f, "without --servername, no certificate is accepted then")
	f.DurationVar(&o.patience, "timeout", dialTimeout, "how long the handshake may take, a `TIME` such as 500ms or 10s")
	f.BoolVar(&o.mustStaple, "must-staple", false, "verify the server's OCSP staple, and demand one if the certificate does (RFC 7633)")
	f.BoolVar(&o.insecure, "insecure", false, "accept any certificate")
	f.BoolVar(&o.brief, "brief", false, "print what was negotiated in one line, and exit")
	f.BoolVar(&o.asJSON, "json", false, "print what was negotiated as JSON, and exit")
	f.BoolVar(&o.get, "http", false, "send one GET request and print the response")
	o.protocol.addTo(c)
	return c
}

// check finds flags that contradict each other.
func (o *clientOptions) check() error {
	if err := o.protocol.check(); err != nil {
		return err
	}
	switch dtls := o.protocol.isDTLS(); {
	case o.patience <= 0:
		return misuse("--timeout: %v is not a time above zero, such as 10s", o.patience)
	case o.asJSON && o.brief:
		return misuse("--brief and --json exclude each other: choose one form of output")
	case o.get && o.asJSON:
		return misuse("--http and --json exclude each other: the output is either the response or what was negotiated")
	case o.get && o.brief:
		return misuse("--http and --brief exclude each other: the output is either the response or what was negotiated")
	case o.insecure && o.mustStaple:
		return misuse("--insecure and --must-staple exclude each other: a staple is verified by an authority that is trusted")
	case o.insecure && o.identity.cacert != "":
		return misuse("--insecure and --cacert exclude each other: either any certificate is accepted, or those of the authorities")
	case o.get && dtls:
		return misuse("--http is for TLS: with DTLS, each line of the standard input is a datagram")
	case o.early != "" && dtls:
		return misuse("--early-data is for TLS: leave out --dtls, --dtls12 and --dtls13")
	}
	return nil
}

// config makes the Config that the flags describe. Notices say what it ignores.
func (o *clientOptions) config(host string, notices io.Writer) (*hermetic.Config, error) {
	cfg := new(hermetic.Config)
	var err error
	if cfg.RootCAs, err = o.identity.authorities(); err != nil {
		return nil, err
	}
	if cfg.Certificates, err = o.identity.certificates(); err != nil {
		return nil, err
	}
	cfg.InsecureSkipVerify = o.insecure
	if o.mustStaple {
		cfg.OCSPCheck = hermetic.OCSPCheckMustStaple
	}
	if cfg.ServerName = o.serverName; o.serverName == "" {
		cfg.ServerName = host
	}
	cfg.NextProtos = split(o.alpn)
	if o.get && o.alpn == "" {
		cfg.NextProtos = []string{"http/1.1"}
	}
	if err := o.protocol.apply(cfg); err != nil {
		return nil, err
	}
	if o.session != "" {
		if cfg.SessionCache, err = openSessionFile(o.session, notices); err != nil {
			return nil, err
		}
	}
	cfg.EarlyData = o.early != ""
	cfg.PSKs = o.psks.keys
	if len(cfg.PSKs) > 0 && o.serverName == "" {
		cfg.ServerName, cfg.RootCAs = "", nil // no certificate is accepted at all
	}
	return cfg, nil
}

func runClient(o *clientOptions, address string, in io.Reader, out, info io.Writer) error {
	host, _, err := hostPort(address)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	cfg, err := o.config(host, info)
	if err != nil {
		return err
	}
	run, mode := runTLSClient, hermetic.TLSClient
	if o.protocol.isDTLS() {
		run, mode = runDTLSClient, hermetic.DTLSClient
	}
	if _, err := hermetic.NewEngine(mode, cfg); err != nil {
		return err // an error in the flags does not need the address
	}
	err = run(o, address, cfg, in, out, info)
	if file, ok := cfg.SessionCache.(*sessionFile); ok && file.Err() != nil {
		err = errors.Join(err, fmt.Errorf("--session: %w", file.Err()))
	}
	return err
}

// slowError is the error for a peer that has not completed the handshake in time.
type slowError struct {
	address  string
	patience time.Duration
	mtu      int // as given by --mtu, or 0
}

func (e *slowError) Error() string {
	return fmt.Sprintf("no answer from %s in %v", e.address, e.patience)
}

// unanswered returns err, or a slowError if the time was up.
func (o *clientOptions) unanswered(address string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return &slowError{address, o.patience, o.protocol.mtu}
	}
	return err
}

// runTLSClient is runClient over TCP.
func runTLSClient(o *clientOptions, address string, cfg *hermetic.Config, in io.Reader, out, info io.Writer) error {
	early, err := o.earlyData()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(o.patience)
	conn, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", address)
	if err != nil {
		return o.unanswered(address, err)
	}
	defer conn.Close()
	ctx, err := hermetic.NewContext(hermetic.TLSClient, cfg, conn) // conn blocks, which is fine
	if err != nil {
		return err
	}
	conn.SetDeadline(deadline)
	n, err := sendEarly(ctx, early)
	if err != nil {
		return err
	}
	if err := ctx.Handshake(); err != nil {
		return o.unanswered(address, fmt.Errorf("%s: %w", address, err))
	}
	accepted := ctx.State().EarlyDataAccepted
	if why := whyLate(cfg, len(early), n, accepted); why != "" && !o.asJSON && !o.brief {
		fmt.Fprintf(info, "--early-data: %s\n\n", why)
	}
	if !accepted {
		n = 0
	}
	if err := forward(ctx, early[n:]); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	state := ctx.State()
	switch {
	case o.asJSON || o.brief:
		ctx.Close() // if this fails, the peer has closed first
		conn.SetReadDeadline(time.Now().Add(lastWords))
		if err := refusal(ctx); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		return o.report(out, state, connectionIDs{})
	case o.get:
		printState(info, state)
		host, _, _ := net.SplitHostPort(address)
		in = strings.NewReader("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	default:
		printState(info, state)
	}
	return pipe(ctx, conn, in, out, o.get)
}

// refusal reads what the peer still sends, and returns it if it is an alert: a TLS 1.3
// server judges our certificate, or that there is none, after our handshake is complete
// (RFC 9846, Appendix F.1.2). Its tickets arrive then, too.
func refusal(conn io.Reader) error {
	buf := make([]byte, 16<<10)
	for {
		_, err := conn.Read(buf)
		var alert *hermetic.AlertError
		switch {
		case errors.As(err, &alert):
			return err
		case err != nil: // the peer has closed, or is silent
			return nil
		}
	}
}

// report prints what was negotiated, for --brief and --json.
func (o *clientOptions) report(out io.Writer, state hermetic.ConnectionState, ids connectionIDs) error {
	if o.asJSON {
		return printJSON(out, state, ids)
	}
	line := summary(state)
	if ids.used() {
		line += ", connection IDs " + ids.String()
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

// pipe sends its input and prints what arrives, until the peer closes. One
// goroutine reads in; this one drives the connection, and looks for input
// between two reads.
func pipe(ctx *hermetic.Context, conn net.Conn, in io.Reader, out io.Writer, wait bool) error {
	input := make(chan []byte)
	go readAll(in, input)
	buf := make([]byte, 16<<10)
	for {
		select {
		case data, ok := <-input:
			if err := forward(ctx, data); err != nil {
				return err
			}
			if !ok {
				input = nil
				if !wait { // otherwise wait for the peer's answer
					if err := ctx.Close(); err != nil {
						return err
					}
				}
			}
			continue
		default:
		}
		var deadline time.Time
		if input != nil {
			deadline = time.Now().Add(50 * time.Millisecond)
		}
		conn.SetReadDeadline(deadline)
		n, err := ctx.Read(buf)
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		switch {
		case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		case err == hermetic.ErrClosed:
			return ctx.Close()
		default:
			return err
		}
	}
}

func readAll(in io.Reader, to chan<- []byte) {
	defer close(to)
	for empty := 0; empty < 100; { // the bound of bufio
		buf := make([]byte, 16<<10)
		n, err := in.Read(buf)
		if empty++; n > 0 {
			empty = 0
			to <- buf[:n]
		}
		if err != nil {
			return
		}
	}
}

// forward writes all of data.
func forward(ctx *hermetic.Context, data []byte) error {
	for len(data) > 0 {
		n, err := ctx.Write(data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
