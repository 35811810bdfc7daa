package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
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
	cacert, cert, serverName     string
	alpn, groups, ciphers        string
	session, early, psk          string
	insecure, brief, asJSON, get bool
	mustStaple                   bool
	protocol                     protocolOptions
	patience                     time.Duration // until the handshake is complete
}

func clientCommand() *cobra.Command {
	o := clientOptions{patience: dialTimeout}
	c := &cobra.Command{
		Use:   "client HOST:PORT",
		Short: "Connect, verify, show what was negotiated, then pipe standard input and output",
		Long: `Connect, verify, show what was negotiated, then pipe standard input and output. With --dtls, each line of
the input is a datagram.`,
		Example: `  hermetic client example.com:443 --http
  hermetic client localhost:4433 --cacert ca.pem --cert me.pem --alpn h2,http/1.1
  hermetic client localhost:4433 --cacert ca.pem --dtls`,
		Args: needs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runClient(&o, args[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&o.cacert, "cacert", "", "`FILE` with the authorities to trust, in PEM (default: the system's)")
	f.StringVar(&o.cert, "cert", "", "`FILE` with our certificate and its key, in PEM")
	f.StringVar(&o.serverName, "servername", "", "`NAME` to send and to verify (default: the host)")
	f.StringVar(&o.alpn, "alpn", "", "ALPN protocols, separated by commas")
	f.StringVar(&o.groups, "groups", "", "key exchange groups, in order of preference")
	f.StringVar(&o.ciphers, "ciphers", "", "cipher suites, in order of preference")
	f.IntVar(&o.protocol.sizes.fragment, "max-fragment", 0, "ask for records of at most `BYTES`, for servers without --record-size-limit: 512, 1024, 2048 or 4096")
	f.StringVar(&o.session, "session", "", "resume this server's session in `FILE`, if there is one, and keep the next one there")
	f.StringVar(&o.early, "early-data", "", "send `FILE` as 0-RTT data, as far as the session permits, and the rest after the handshake")
	f.StringVar(&o.psk, "psk", "", "external pre-shared key, `IDENTITY:KEY`, the key in hexadecimal; without --servername, no certificate is accepted then")
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
	case o.asJSON && o.brief:
		return errors.New("--brief and --json exclude each other: choose one form of output")
	case o.get && o.asJSON:
		return errors.New("--http and --json exclude each other: the output is either the response or what was negotiated")
	case o.get && o.brief:
		return errors.New("--http and --brief exclude each other: the output is either the response or what was negotiated")
	case o.insecure && o.mustStaple:
		return errors.New("--insecure and --must-staple exclude each other: a staple is verified by an authority that is trusted")
	case o.insecure && o.cacert != "":
		return errors.New("--insecure and --cacert exclude each other: either any certificate is accepted, or those of the authorities")
	case o.get && dtls:
		return errors.New("--http is for TLS: with DTLS, each line of the standard input is a datagram")
	case o.early != "" && dtls:
		return errors.New("--early-data is for TLS: leave out --dtls, --dtls12 and --dtls13")
	}
	return nil
}

// config makes the Config that the flags describe. Notices say what it ignores.
func (o *clientOptions) config(host string, notices io.Writer) (*hermetic.Config, error) {
	cfg, err := hermetic.LoadConfig(hermetic.TLSClient, o.cacert, o.cert)
	if err != nil {
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
	if o.ciphers != "" {
		if cfg.CipherSuites, err = parseSuites(o.ciphers); err != nil {
			return nil, err
		}
	}
	if o.groups != "" {
		if cfg.CurvePreferences, err = parseGroups(o.groups); err != nil {
			return nil, err
		}
	}
	if o.session != "" {
		if cfg.SessionCache, err = openSessionFile(o.session, notices); err != nil {
			return nil, err
		}
	}
	cfg.EarlyData = o.early != ""
	if cfg.PSKs, err = parsePSK(o.psk); err != nil {
		return nil, err
	}
	if o.psk != "" && o.serverName == "" {
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
		return o.report(out, state)
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
func (o *clientOptions) report(out io.Writer, state hermetic.ConnectionState) error {
	if o.asJSON {
		return printJSON(out, state)
	}
	_, err := fmt.Fprintln(out, summary(state))
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
	for {
		buf := make([]byte, 16<<10)
		n, err := in.Read(buf)
		if n > 0 {
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

// summary returns what was negotiated, in one line.
func summary(s hermetic.ConnectionState) string {
	line := fmt.Sprintf("%s %s %s", versionName(s), hermetic.CipherSuiteName(s.CipherSuite), groupName(s.CurveID))
	if s.PeerSignatureScheme != 0 {
		line += " " + s.PeerSignatureScheme.String()
	}
	if s.NegotiatedProtocol != "" {
		line += " ALPN " + fromPeer(s.NegotiatedProtocol)
	}
	if s.DidResume {
		line += " resumed"
	}
	if s.EarlyDataAccepted {
		line += " with early data"
	}
	if s.PSKIdentity != nil {
		line += fmt.Sprintf(" PSK %q", s.PSKIdentity)
	}
	for _, size := range sizes(s) {
		line += ", " + size
	}
	return line
}

// versionName returns the version's name, with a D for DTLS.
func versionName(s hermetic.ConnectionState) string {
	name := tls.VersionName(s.Version)
	if s.Mode.IsDTLS() {
		name = "D" + name
	}
	return name
}

// printState prints what was negotiated, for a person.
func printState(w io.Writer, s hermetic.ConnectionState) {
	fmt.Fprintf(w, "Version       %s\n", versionName(s))
	fmt.Fprintf(w, "Cipher suite  %s\n", hermetic.CipherSuiteName(s.CipherSuite))
	fmt.Fprintf(w, "Group         %s%s\n", groupName(s.CurveID), map[bool]string{true: " (after a HelloRetryRequest)"}[s.HelloRetryRequest])
	if s.PeerSignatureScheme != 0 {
		fmt.Fprintf(w, "Signature     %v\n", s.PeerSignatureScheme)
	}
	if s.NegotiatedProtocol != "" {
		fmt.Fprintf(w, "ALPN          %s\n", fromPeer(s.NegotiatedProtocol))
	}
	if s.DidResume {
		fmt.Fprintf(w, "Session       resumed%s\n", map[bool]string{true: ", early data accepted"}[s.EarlyDataAccepted])
	}
	if s.PSKIdentity != nil {
		fmt.Fprintf(w, "PSK           %q\n", s.PSKIdentity)
	}
	for i, c := range s.PeerCertificates {
		label := "Certificate  "
		if i > 0 {
			label = "  issued by  "
		}
		fmt.Fprintf(w, "%s %s, until %s\n", label, fromPeer(subject(c.DNSNames, c.Subject.String())), c.NotAfter.Format(time.DateOnly))
	}
	if n := len(s.PeerCertificates); n > 0 {
		fmt.Fprintf(w, "  issued by   %s\n", fromPeer(s.PeerCertificates[n-1].Issuer.String()))
	}
	staple(s, time.Now()).print(w)
	printSizes(w, s)
	fmt.Fprintln(w)
}

// maxPrinted is how many bytes of a name are printed.
const maxPrinted = 1000

// fromPeer makes text from the peer safe for a terminal.
func fromPeer(s string) string {
	if len(s) > maxPrinted {
		s = s[:maxPrinted] + "..."
	}
	return strings.Map(printable, s)
}

func subject(names []string, subject string) string {
	if len(names) == 0 {
		return subject
	}
	return strings.Join(names, ", ")
}

// printJSON prints what was negotiated, for a program.
func printJSON(w io.Writer, s hermetic.ConnectionState) error {
	type certificate struct {
		Subject  string    `json:"subject"`
		Issuer   string    `json:"issuer"`
		Names    []string  `json:"names,omitempty"`
		NotAfter time.Time `json:"not_after"`
	}
	report := struct {
		Version      string        `json:"version"`
		CipherSuite  string        `json:"cipher_suite"`
		Group        string        `json:"group"`
		Signature    string        `json:"signature,omitempty"`
		ALPN         string        `json:"alpn,omitempty"`
		ServerName   string        `json:"server_name,omitempty"`
		Retried      bool          `json:"hello_retry_request"`
		Resumed      bool          `json:"resumed"`
		EarlyData    bool          `json:"early_data_accepted"`
		PSKIdentity  string        `json:"psk_identity,omitempty"`
		SizeLimit    int           `json:"peer_record_size_limit,omitempty"`
		Fragment     int           `json:"max_fragment_length,omitempty"`
		Compression  string        `json:"certificate_compression,omitempty"`
		Certificates []certificate `json:"certificates"`
		OCSP         *stapled      `json:"ocsp,omitempty"`
	}{
		Version: versionName(s), CipherSuite: hermetic.CipherSuiteName(s.CipherSuite), Group: groupName(s.CurveID),
		ALPN: s.NegotiatedProtocol, ServerName: s.ServerName, Retried: s.HelloRetryRequest,
		Resumed: s.DidResume, EarlyData: s.EarlyDataAccepted, PSKIdentity: string(s.PSKIdentity),
		SizeLimit: s.PeerRecordSizeLimit, Fragment: s.MaxFragmentLength,
		Certificates: []certificate{}, OCSP: staple(s, time.Now()),
	}
	if s.PeerCertificateCompression != 0 {
		report.Compression = compressorName(s.PeerCertificateCompression)
	}
	if s.PeerSignatureScheme != 0 {
		report.Signature = s.PeerSignatureScheme.String()
	}
	for _, c := range s.PeerCertificates {
		report.Certificates = append(report.Certificates, certificate{c.Subject.String(), c.Issuer.String(), c.DNSNames, c.NotAfter})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(report)
}
