package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic/internal/observe"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

const (
	// maxCapture is how many bytes of a connection are kept to be decoded, and maxChunks in how
	// many parts.
	maxCapture, maxChunks = 1 << 20, 10_000
	// maxProxied is how many connections are open at once.
	maxProxied = 1000
	// maxDatagramSize is the largest UDP payload.
	maxDatagramSize = 1 << 16
)

// proxyOptions are the flags of hermetic trace proxy.
type proxyOptions struct {
	traceOptions
	keylog string
	udp    bool
	once   bool
	idle   time.Duration
}

func traceProxyCommand() *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "proxy LISTEN TARGET",
		Short: "Pass connections on to a server, and show the handshakes of both sides' own programs",
		Long: `Listen, pass each connection on to the target, and show its handshake when it ends. Nothing is changed and nothing is
decrypted on the way: the two sides talk to each other.

The hellos are always shown, since they are not encrypted. The rest needs the secrets of one of the two sides: the file that
its SSLKEYLOGFILE or 'hermetic client --keylog' writes. Of each connection the first MiB is decoded. With --udp it is DTLS, and
a connection ends when it is silent; records with connection IDs are not decrypted.`,
		Example: `  hermetic trace proxy localhost:8443 example.com:443
  SSLKEYLOGFILE=keys.log curl --connect-to example.com:443:localhost:8443 https://example.com/
  hermetic trace proxy localhost:8443 example.com:443 --keylog keys.log`,
		Args: needs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[0], args[1])
		},
	}
	f := c.Flags()
	f.StringVar(&o.keylog, "keylog", "", "decrypt with the secrets in `FILE`, in the format of SSLKEYLOGFILE")
	f.BoolVar(&o.udp, "udp", false, "DTLS over UDP instead of TLS over TCP")
	f.BoolVar(&o.once, "once", false, "end after the first connection")
	f.DurationVar(&o.idle, "idle", 30*time.Second, "with --udp, a connection ends after such a `TIME` without a datagram")
	o.addTo(f, true)
	return c
}

func (o *proxyOptions) run(cmd *cobra.Command, listen, target string) error {
	for _, address := range []string{listen, target} {
		if _, _, err := hostPort(address); err != nil {
			return err
		}
	}
	switch {
	case o.idle <= 0:
		return misuse("--idle: %v is not a time above zero, such as 30s", o.idle)
	case o.secrets && o.keylog == "":
		return misuse("--secrets puts the secrets of --keylog FILE into the file of packets: add that")
	}
	s, err := newSinks(&o.traceOptions, "hermetic trace proxy "+listen+" "+target, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	s.live = true
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	p := &proxy{options: o, target: target, sinks: s, notices: cmd.ErrOrStderr(), ctx: ctx, stop: stop}
	if _, err := p.readKeyLog(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(misuse("--keylog: %w", err), s.finish())
	}
	out := cmd.OutOrStdout()
	if o.asJSON {
		out = cmd.ErrOrStderr()
	}
	if o.udp {
		err = p.serveUDP(listen, out)
	} else {
		err = p.serveTCP(listen, out)
	}
	p.open.Wait()
	return errors.Join(err, s.finish())
}

// proxy passes connections on, and keeps what they say.
type proxy struct {
	options *proxyOptions
	target  string
	sinks   *sinks
	notices io.Writer
	ctx     context.Context // until the proxy ends
	stop    func()
	open    sync.WaitGroup

	mu   sync.Mutex // of what follows, and of the order in which connections are shown
	last uint64     // the number of the last connection
}

// readKeyLog reads the file of --keylog, or returns nil.
func (p *proxy) readKeyLog() (*observe.KeyLog, error) {
	if p.options.keylog == "" {
		return nil, nil
	}
	file, err := os.Open(p.options.keylog)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return observe.ReadKeyLog(file)
}

// capture is what the two sides of a connection have sent.
type capture struct {
	mu     sync.Mutex
	chunks []chunk
	size   int
}

// chunk is a part of it.
type chunk struct {
	at   time.Time
	from trace.Side
	data []byte
}

// add keeps a copy of data, unless there is too much already.
func (c *capture) add(from trace.Side, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+len(data) > maxCapture || len(c.chunks) >= maxChunks {
		c.size = maxCapture // what follows a gap cannot be decoded
		return
	}
	c.size += len(data)
	c.chunks = append(c.chunks, chunk{time.Now(), from, bytes.Clone(data)})
}

// show decodes a connection, and draws it.
func (p *proxy) show(c *capture) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.chunks) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := p.readKeyLog()
	if err != nil {
		fmt.Fprintf(p.notices, "hermetic: --keylog: %v\n", err)
	}
	p.last++
	transport := wire.Stream
	if p.options.udp {
		transport = wire.Datagram
	}
	var events []trace.Event
	o := observe.New(func(e trace.Event) { events = append(events, e) }, p.last, transport, log)
	for _, k := range c.chunks {
		if p.options.udp {
			o.Datagram(k.at, k.from, k.data)
		} else {
			o.Bytes(k.at, k.from, k.data)
		}
	}
	o.Close(c.chunks[len(c.chunks)-1].at)
	events[0].Time = c.chunks[0].at // it was made before the first byte came
	if p.options.secrets && log != nil {
		p.sinks.keyLog().Write(log.Lines(o.ClientRandom()))
	}
	p.sinks.whole(events)
	if p.options.once {
		p.stop()
	}
}

// serveTCP passes streams on until the proxy ends.
func (p *proxy) serveTCP(listen string, out io.Writer) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer l.Close()
	context.AfterFunc(p.ctx, func() { l.Close() })
	fmt.Fprintf(out, "listening on %s\n", l.Addr())
	room := make(chan struct{}, maxProxied)
	for {
		room <- struct{}{}
		conn, err := l.Accept()
		if p.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		p.open.Go(func() {
			defer func() { <-room }()
			p.stream(conn)
		})
	}
}

// stream passes one stream on.
func (p *proxy) stream(client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		fmt.Fprintf(p.notices, "hermetic: %v\n", err)
		return
	}
	defer server.Close()
	done := context.AfterFunc(p.ctx, func() {
		client.Close()
		server.Close()
	})
	defer done()
	c := new(capture)
	var both sync.WaitGroup
	pass := func(from trace.Side, to, in net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := in.Read(buf)
			if n > 0 {
				c.add(from, buf[:n])
				if _, err := to.Write(buf[:n]); err != nil {
					in.Close() // the other side is gone, and nobody waits for the rest
					return
				}
			}
			if err != nil {
				to.(*net.TCPConn).CloseWrite()
				return
			}
		}
	}
	both.Go(func() { pass(trace.Client, server, client) })
	both.Go(func() { pass(trace.Server, client, server) })
	both.Wait()
	p.show(c)
}

// serveUDP passes datagrams on until the proxy ends.
func (p *proxy) serveUDP(listen string, out io.Writer) error {
	pc, err := net.ListenPacket("udp", listen)
	if err != nil {
		return err
	}
	defer pc.Close()
	context.AfterFunc(p.ctx, func() { pc.Close() })
	fmt.Fprintf(out, "listening on %s\n", pc.LocalAddr())
	var mu sync.Mutex
	peers := map[string]*peer{}
	buf := make([]byte, maxDatagramSize)
	for {
		n, from, err := pc.ReadFrom(buf)
		if p.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		key := from.String()
		mu.Lock()
		c := peers[key]
		if c == nil && len(peers) < maxProxied {
			server, err := net.Dial("udp", p.target)
			if err != nil {
				mu.Unlock()
				return err
			}
			c = &peer{server: server}
			peers[key] = c
			p.open.Go(func() {
				p.answers(pc, from, c)
				mu.Lock()
				delete(peers, key)
				mu.Unlock()
				p.show(&c.capture)
			})
		}
		mu.Unlock()
		if c != nil {
			c.add(trace.Client, buf[:n])
			c.server.SetReadDeadline(time.Now().Add(p.options.idle))
			c.server.Write(buf[:n]) // a datagram may be lost
		}
	}
}

// peer is a client over UDP.
type peer struct {
	capture
	server net.Conn
}

// maxFailures is how many errors of a socket in a row are no reason to give up.
const maxFailures = 1000

// answers passes the server's datagrams on, until the connection is silent.
func (p *proxy) answers(pc net.PacketConn, to net.Addr, c *peer) {
	defer c.server.Close()
	defer context.AfterFunc(p.ctx, func() { c.server.Close() })()
	buf := make([]byte, maxDatagramSize)
	for failures := 0; failures < maxFailures; failures++ { // in a row: a server that restarts causes some
		n, err := c.server.Read(buf)
		switch {
		case err == nil:
			failures = 0
			c.add(trace.Server, buf[:n])
			c.server.SetReadDeadline(time.Now().Add(p.options.idle))
			pc.WriteTo(buf[:n], to)
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return
		}
	}
}
