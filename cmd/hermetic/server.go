package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/gnettls"
)

func serverCommand() *cobra.Command {
	var cacert, cert, alpn string
	var echo bool
	var psk string
	var tickets int
	var early uint32
	var protocol protocolOptions
	c := &cobra.Command{
		Use:   "server ADDR",
		Short: "Serve a status page for browsers and curl, or echo, on one event loop",
		Long: `Serve a status page over HTTP/1.1, or with --echo send back all data, on an event loop without a goroutine for each
connection. With --dtls, send back each datagram, to any number of peers on one socket. Without --cert, use a
self-signed certificate made by the process.`,
		Example: `  hermetic server localhost:4433
  hermetic server :4433 --cert server.pem --cacert ca.pem --echo
  hermetic server :4433 --cert server.pem --echo --early-data 14336
  hermetic server localhost:4433 --dtls`,
		Args: needs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := protocol.check(); err != nil {
				return err
			}
			switch {
			case psk != "" && cacert != "":
				return errors.New("--psk and --cacert exclude each other: a client with the PSK shows no certificate")
			case early > 0 && (!echo || protocol.isDTLS()):
				return errors.New("--early-data is for TLS with --echo")
			case early > 0 && tickets == 0:
				return errors.New("--early-data and --tickets 0 exclude each other: early data needs the session of a ticket")
			case early > 0 && protocol.tls12:
				return errors.New("--early-data and --tls12 exclude each other: early data needs TLS 1.3")
			}
			cfg, err := hermetic.LoadConfig(hermetic.TLSServer, cacert, cert)
			if err != nil {
				return err
			}
			cfg.NextProtos = split(alpn)
			if cfg.PSKs, err = parsePSK(psk); err != nil {
				return err
			}
			cfg.Tickets, cfg.NoTickets = tickets, tickets == 0
			if err := protocol.apply(cfg); err != nil {
				return err
			}
			cfg.MaxEarlyData = early
			fails := failures{cmd.ErrOrStderr()}
			if protocol.isDTLS() {
				return serveDatagrams(args[0], cfg, cmd.OutOrStdout(), fails)
			}
			if early > 0 {
				return serveEarly(args[0], cfg, cmd.OutOrStdout(), fails)
			}
			if alpn == "" && !echo {
				cfg.NextProtos = []string{"http/1.1"}
			}
			return serve(args[0], cfg, &handler{echo: echo, out: cmd.OutOrStdout(), started: time.Now()}, fails)
		},
	}
	f := c.Flags()
	f.StringVar(&cacert, "cacert", "", "require client certificates from the authorities in `FILE`")
	f.StringVar(&cert, "cert", "", "`FILE` with the certificate and its key, in PEM")
	f.StringVar(&alpn, "alpn", "", "ALPN protocols, in order of preference, separated by commas")
	f.StringVar(&psk, "psk", "", "external pre-shared key, `IDENTITY:KEY`, the key in hexadecimal; without --cert, only this key is accepted")
	f.IntVar(&tickets, "tickets", 1, "`NUMBER` of session tickets for each TLS 1.3 client; 0: none")
	f.Uint32Var(&early, "early-data", 0, "accept up to `BYTES` of 0-RTT data and echo them at once, with --echo; at most 14336 are of use")
	f.BoolVar(&echo, "echo", false, "echo instead of serving the status page")
	protocol.addTo(c)
	return c
}

// serve runs until the process ends. Port 0 takes a free one, which is printed.
func serve(address string, cfg *hermetic.Config, h *handler, fails failures) error {
	host, port, err := hostPort(address)
	if err != nil {
		return err
	}
	if port == "0" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		l.Close()
	}
	h.address = net.JoinHostPort(host, port)
	if _, err := hermetic.NewEngine(hermetic.TLSServer, cfg); err != nil {
		return err // an error in the flags does not need the address
	}
	s := gnettls.Server{Handler: h, Config: cfg, OnFailure: fails.say}
	err = s.Run("tcp://"+h.address, gnet.WithReuseAddr(true), gnet.WithLogger(quiet{}), gnet.WithLogLevel(logging.FatalLevel))
	if err != nil {
		return fmt.Errorf("%s: %w", h.address, err)
	}
	return nil
}

// quiet is a logger for a command that prints what matters itself.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// handler answers HTTP requests with the status page, or echoes.
type handler struct {
	gnet.BuiltinEventEngine
	echo    bool
	out     io.Writer
	address string
	started time.Time
	open    atomic.Int64
	total   atomic.Int64
}

func (h *handler) OnBoot(gnet.Engine) gnet.Action {
	fmt.Fprintf(h.out, "listening on %s\n", h.address)
	return gnet.None
}

func (h *handler) OnOpen(gnet.Conn) ([]byte, gnet.Action) {
	h.open.Add(1)
	h.total.Add(1)
	return nil, gnet.None
}

func (h *handler) OnClose(gnet.Conn, error) gnet.Action {
	h.open.Add(-1)
	return gnet.None
}

// maxRequest is the largest request head.
const maxRequest = 16 << 10

func (h *handler) OnTraffic(c gnet.Conn) gnet.Action {
	in, _ := c.Peek(-1)
	if h.echo {
		c.Write(in)
		c.Discard(len(in))
		return gnet.None
	}
	for {
		head, _, ok := bytes.Cut(in, []byte("\r\n\r\n"))
		if !ok {
			if len(in) > maxRequest {
				c.Write([]byte("HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
				return gnet.Close
			}
			return gnet.None
		}
		c.Discard(len(head) + 4)
		if closing := h.respond(c, head); closing {
			return gnet.Close
		}
		if in, _ = c.Peek(-1); len(in) == 0 {
			return gnet.None
		}
	}
}

// respond answers one request.
func (h *handler) respond(c gnet.Conn, head []byte) (closing bool) {
	var body bytes.Buffer
	status := http.StatusOK
	switch line, _, _ := bytes.Cut(head, []byte("\r\n")); {
	case !bytes.HasPrefix(line, []byte("GET ")) && !bytes.HasPrefix(line, []byte("HEAD ")):
		status = http.StatusMethodNotAllowed
	case !bytes.HasPrefix(line[bytes.IndexByte(line, ' ')+1:], []byte("/ ")):
		status = http.StatusNotFound
	}
	state, _ := gnettls.State(c)
	err := page.Execute(&body, map[string]any{
		"Status": http.StatusText(status), "Version": tls.VersionName(state.Version), "Suite": hermetic.CipherSuiteName(state.CipherSuite),
		"Group": groupName(state.CurveID), "ALPN": state.NegotiatedProtocol, "Name": state.ServerName, "Peer": c.RemoteAddr(),
		"Open": h.open.Load(), "Total": h.total.Load(), "Since": time.Since(h.started).Round(time.Second),
	})
	if err != nil {
		return true
	}
	length := body.Len()
	if bytes.HasPrefix(head, []byte("HEAD ")) {
		body.Reset()
	}
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), length, body.Bytes())
	return closes(head)
}

// closes reports whether the connection ends after the response to a request (RFC 9112,
// Section 9.3).
func closes(head []byte) bool {
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	return bytes.HasSuffix(line, []byte(" HTTP/1.0")) || bytes.Contains(bytes.ToLower(fields), []byte("connection: close"))
}

var page = template.Must(template.New("status").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hermetic</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color:#223}
h1{font-weight:600}td{padding:.2em 1.5em .2em 0}td:first-child{color:#667}code{background:#eef;padding:.1em .3em}</style></head>
<body><h1>hermetic: {{.Status}}</h1>
<p>This page came over TLS from one event loop, without a goroutine for your connection.</p>
<table>
<tr><td>Version</td><td>{{.Version}}</td></tr>
<tr><td>Cipher suite</td><td>{{.Suite}}</td></tr>
<tr><td>Group</td><td>{{.Group}}</td></tr>
<tr><td>ALPN</td><td>{{.ALPN}}</td></tr>
<tr><td>Server name</td><td>{{.Name}}</td></tr>
<tr><td>You</td><td>{{.Peer}}</td></tr>
<tr><td>Connections</td><td>{{.Open}} open, {{.Total}} in {{.Since}}</td></tr>
</table></body></html>
`))
