package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// serverOptions are the flags of hermetic server.
type serverOptions struct {
	identity identityOptions
	psks     pskOptions
	alpn     string
	echo     bool
	tickets  int
	early    uint32
	protocol protocolOptions
	watched  *handshakes // for the status page, or nil
}

func serverCommand() *cobra.Command {
	var o serverOptions
	c := &cobra.Command{
		Use:   "server ADDR",
		Short: "Serve a status page for browsers and curl, or echo",
		Long: `Serve a status page over HTTP/1.1 and HTTP/2, on which visitors see their own handshake, or with --echo send back all data.
With --dtls, send back each datagram, to any number of peers on one socket. Without --cert, use a self-signed certificate made by the process. Of several
certificates, each client gets the one that fits its key types and the server name it asks for.

With --cacert, clients must have a certificate of those authorities. --client-auth asks for less: with request, a client
may also have none; with require and without --cacert, any certificate is accepted.

'hermetic --help' lists the exit codes.`,
		Example: `  hermetic server localhost:4433
  hermetic server :4433 --cert ecdsa.pem --cert rsa.pem --key rsa-key.pem --cacert ca.pem --client-auth request
  hermetic server :4433 --cert server.pem --echo --early-data 14336
  hermetic server localhost:4433 --dtls --psk-file devices.txt --cid 8 --srtp SRTP_AEAD_AES_128_GCM`,
		Args: needs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			cfg, err := o.config()
			if err != nil {
				return err
			}
			fails := failures{cmd.ErrOrStderr()}
			l, err := o.listen(args[0], cfg, fails)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "listening on %s\n", l.Addr())
			return o.serve(l, fails)
		},
	}
	f := c.Flags()
	o.identity.addTo(f, "`FILE` with the authorities of clients, in PEM, whose certificates are then verified")
	f.Var(&o.identity.clientAuth, "client-auth", "the `DEMAND` on clients: request a certificate, require one, or verify it by --cacert (default: verify, with --cacert)")
	f.StringVar(&o.alpn, "alpn", "", "ALPN protocols, in order of preference, separated by commas (default for the page: h2,http/1.1)")
	o.psks.addTo(f, "without --cert, only these keys are accepted")
	f.IntVar(&o.tickets, "tickets", 1, "`NUMBER` of session tickets for each TLS 1.3 client; 0: none")
	f.Uint32Var(&o.early, "early-data", 0, "accept up to `BYTES` of 0-RTT data and echo them at once, with --echo; at most 14336 are of use")
	f.BoolVar(&o.echo, "echo", false, "echo instead of serving the status page")
	o.protocol.addTo(c)
	return c
}

// servesPages reports whether the server speaks HTTP.
func (o *serverOptions) servesPages() bool { return !o.echo && !o.protocol.isDTLS() }

// check finds flags that contradict each other.
func (o *serverOptions) check() error {
	if err := o.protocol.check(); err != nil {
		return err
	}
	if err := o.checkIdentity(); err != nil {
		return err
	}
	switch {
	case o.early > 0 && (!o.echo || o.protocol.isDTLS()):
		return misuse("--early-data is for TLS with --echo")
	case o.early > 0 && o.tickets == 0:
		return misuse("--early-data and --tickets 0 exclude each other: early data needs the session of a ticket")
	case o.early > 0 && o.protocol.tls12:
		return misuse("--early-data and --tls12 exclude each other: early data needs TLS 1.3")
	}
	other := func(p string) bool { return p != "h2" && p != "http/1.1" }
	if i := slices.IndexFunc(split(o.alpn), other); i >= 0 && o.servesPages() {
		return misuse("--alpn: %s is not h2 or http/1.1, which the page is served with: for others add --echo", shown(split(o.alpn)[i]))
	}
	return nil
}

// checkIdentity finds contradictions in what is demanded of clients.
func (o *serverOptions) checkIdentity() error {
	demand := o.identity.demand()
	required := demand == tls.RequireAnyClientCert || demand == tls.RequireAndVerifyClientCert
	switch {
	case o.identity.clientAuth == clientAuthVerify && o.identity.cacert == "":
		return misuse("--client-auth verify needs --cacert FILE: the authorities of the clients")
	case required && len(o.psks.keys) > 0 && o.identity.clientAuth == "":
		return misuse("--psk and --cacert exclude each other: a client with the PSK shows no certificate; --client-auth request accepts either")
	case required && len(o.psks.keys) > 0:
		return misuse("--psk and --client-auth %s exclude each other: a client with the PSK shows no certificate; --client-auth request accepts either", o.identity.clientAuth)
	}
	return nil
}

// config makes the Config that the flags describe.
func (o *serverOptions) config() (cfg *hermetic.Config, err error) {
	cfg = &hermetic.Config{
		ClientAuth: o.identity.demand(), PSKs: o.psks.keys, NextProtos: split(o.alpn),
		Tickets: o.tickets, NoTickets: o.tickets == 0, MaxEarlyData: o.early,
	}
	if cfg.ClientCAs, err = o.identity.authorities(); err != nil {
		return nil, err
	}
	if cfg.Certificates, err = o.identity.certificates(); err != nil {
		return nil, err
	}
	if err := o.protocol.apply(cfg); err != nil {
		return nil, err
	}
	if o.servesPages() {
		o.watched = watch(cfg)
	}
	return cfg, nil
}

// maxPeers is how many DTLS peers a server keeps.
const maxPeers = 20_000

// listen makes the listener. Port 0 takes a free one.
func (o *serverOptions) listen(address string, cfg *hermetic.Config, fails failures) (net.Listener, error) {
	if _, _, err := hostPort(address); err != nil {
		return nil, err
	}
	network, mode := "tcp", hermetic.TLSServer
	if o.protocol.isDTLS() {
		network, mode = "udp", hermetic.DTLSServer
	}
	if _, err := hermetic.NewEngine(mode, cfg); err != nil {
		return nil, err // an error in the flags does not need the address
	}
	lc := netconn.ListenConfig{Config: cfg, OnFailure: fails.say, Packet: netconn.PacketConfig{MaxPeers: maxPeers}}
	l, err := lc.Listen(context.Background(), network, address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return l, nil
}

// serve runs until the listener is closed.
func (o *serverOptions) serve(l net.Listener, fails failures) error {
	switch {
	case o.servesPages():
		return netconn.Serve(newPages(time.Now(), o.watched).server(fails), l)
	case o.protocol.isDTLS():
		return acceptAll(l, fails, echo)
	}
	return acceptAll(l, fails, echoEarly)
}

// The pause after a failed Accept grows from one to the other.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// acceptAll handles each connection on its own goroutine, until the listener is closed. Any other
// error is temporary, such as too many open files.
func acceptAll(l net.Listener, fails failures, handle func(*netconn.Conn)) error {
	pause := minPause
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = minPause
			go handle(conn.(*netconn.Conn))
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			fails.say(l.Addr(), err)
			time.Sleep(pause)
			pause = min(2*pause, maxPause)
		}
	}
}

// idleTimeout is how long a server keeps a peer that neither sends nor reads.
const idleTimeout = 5 * time.Minute

// echo sends back what it receives. It reads no more than the peer takes back.
func echo(conn *netconn.Conn) {
	defer conn.Close()
	buf := make([]byte, 1<<14)
	for {
		conn.SetDeadline(time.Now().Add(idleTimeout))
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// echoEarly sends back early data at once, and then the rest. A replay gets an answer
// too, but cannot read it, so it does no harm.
func echoEarly(conn *netconn.Conn) {
	conn.SetDeadline(time.Now().Add(idleTimeout))
	buf := make([]byte, 1<<14)
	for {
		n, err := conn.ReadEarlyData(buf)
		if err == io.EOF {
			echo(conn)
			return
		}
		if err == nil {
			_, err = conn.WriteEarlyData(buf[:n])
		}
		if err != nil {
			conn.Close()
			return
		}
	}
}
