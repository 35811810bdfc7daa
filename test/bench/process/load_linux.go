package process

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/circlgroups"
)

const serverName = "localhost"

// A load is what the generator does to a server.
type load string

const (
	handshakes load = "handshakes" // full handshakes, one after the other on each connection
	requests   load = "requests"   // requests, one after the other on each connection
	paced      load = "paced"      // requests at a fixed rate, whatever the answers do
	idle       load = "idle"       // a request on each connection, then nothing
)

// loadSpec is the argument of a child that generates load.
type loadSpec struct {
	Load    load
	Address string
	Roots   string        // file
	PID     int           // the server's
	Conns   int           // at a time
	Rate    int           // requests a second, for paced
	Window  time.Duration // what is measured, after a fifth of it to warm up
	Spin    bool          // do not sleep between requests of paced
	Plain   bool          // without TLS
}

// loadResult is what happened in the window.
type loadResult struct {
	Done    int             // handshakes or answers
	CPU     time.Duration   // that the server took
	Latency []time.Duration // from when a request was due, for paced
}

// generator is a client of one server: one thread, with all connections on one epoll.
type generator struct {
	spec    loadSpec
	server  unix.Sockaddr
	config  *hermetic.Config
	epoll   int
	in, out []byte // what connections share
	clients map[int]*client
	made    int // connections, ever
	wait    int // for events, in ms

	done   int // handshakes or answers
	ended  bool
	free   []*client   // paced: without a request
	due    []time.Time // paced: requests that wait for a free connection
	record bool
	times  []time.Duration
}

// client is one connection.
type client struct {
	fd      int
	engine  *hermetic.Engine // nil: without TLS
	partial []byte           // of a record
	answer  []byte           // so far
	due     time.Time
	ticket  bool // a ticket has come, so the server has completed its handshake
	ready   bool // the handshake is complete
	busy    bool // a request is under way
	closing bool // our close_notify is sent
}

// generate is the child that generates load.
func generate(spec loadSpec) (*loadResult, error) {
	if err := enoughFiles(spec.Conns); err != nil {
		return nil, err
	}
	g, err := newGenerator(spec)
	if err != nil {
		return nil, err
	}
	defer unix.Close(g.epoll)
	if spec.Load == idle {
		return g.idle()
	}
	return g.run()
}

func newGenerator(spec loadSpec) (*generator, error) {
	text, err := os.ReadFile(spec.Roots)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	address, err := netip.ParseAddrPort(spec.Address)
	if err != nil {
		return nil, err
	}
	g := &generator{
		spec:    spec,
		server:  &unix.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())},
		in:      make([]byte, 64<<10),
		clients: make(map[int]*client),
		config: &hermetic.Config{
			RootCAs:          roots,
			ServerName:       serverName,
			MinVersion:       tls.VersionTLS13,
			CurvePreferences: []tls.CurveID{tls.X25519},
			CipherSuites:     []uint16{tls.TLS_AES_128_GCM_SHA256},
			KeyExchanges:     circlgroups.All(), // for speed: the subject is the server
		},
	}
	if !spec.Spin {
		g.wait = 10
	}
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	return g, nil
}

// run warms the server up, and then measures for a window.
func (g *generator) run() (*loadResult, error) {
	for range g.spec.Conns {
		if err := g.connect(); err != nil {
			return nil, err
		}
	}
	if err := g.work(g.spec.Window / 5); err != nil {
		return nil, err
	}
	before, err := cpuTime(g.spec.PID)
	if err != nil {
		return nil, err
	}
	done := g.done
	g.record = true
	after := before
	for after == before { // the clock is not exact: a short window may be none
		if err := g.work(g.spec.Window); err != nil {
			return nil, err
		}
		if after, err = cpuTime(g.spec.PID); err != nil {
			return nil, err
		}
	}
	result := &loadResult{Done: g.done - done, CPU: after - before, Latency: g.times}
	return result, g.end()
}

// patience is how long a server may do nothing.
const patience = time.Minute

// work drives the connections for a while, and until there are twice as many results as
// connections: then the server has worked meanwhile, however busy this machine is.
func (g *generator) work(while time.Duration) error {
	start, done, enough := time.Now(), g.done, 2*g.spec.Conns
	for next := start; ; {
		now := time.Now()
		switch elapsed := now.Sub(start); {
		case elapsed >= while && g.done-done >= enough:
			return nil
		case elapsed >= while+patience:
			return fmt.Errorf("the server has completed only %d of %d %s", g.done-done, enough, g.spec.Load)
		}
		for ; g.spec.Load == paced && !next.After(now); next = next.Add(time.Second / time.Duration(g.spec.Rate)) {
			g.due = append(g.due, next)
		}
		if err := g.send(); err != nil {
			return err
		}
		if err := g.turn(g.wait); err != nil {
			return err
		}
	}
}

// send sends the requests that are due on the connections that are free.
func (g *generator) send() error {
	for len(g.due) > 0 && len(g.free) > 0 {
		c := g.free[len(g.free)-1]
		g.free = g.free[:len(g.free)-1]
		c.due, g.due = g.due[0], g.due[1:]
		if err := g.request(c); err != nil {
			return err
		}
	}
	return nil
}

// turn waits for events, and handles them.
func (g *generator) turn(ms int) error {
	var events [128]unix.EpollEvent
	n, err := unix.EpollWait(g.epoll, events[:], ms)
	if err != nil && err != unix.EINTR {
		return err
	}
	for _, e := range events[:max(n, 0)] {
		if err := g.read(g.clients[int(e.Fd)]); err != nil {
			return err
		}
	}
	return nil
}

// connect starts a connection. Many loopback addresses have ports enough for all that are open,
// and for those that TCP still remembers.
func (g *generator) connect() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	g.made++
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + g.made%250)}}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NODELAY, 1),
		unix.Bind(fd, from),
		unix.Connect(fd, g.server), // at once, on loopback
		unix.SetNonblock(fd, true),
		unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}),
	)
	if err != nil {
		unix.Close(fd)
		return err
	}
	c := &client{fd: fd}
	g.clients[fd] = c
	if g.spec.Plain {
		return g.progress(c)
	}
	config := g.config
	if g.spec.Load == handshakes {
		config = config.Clone()
		config.SessionCache = c
	}
	if c.engine, err = hermetic.NewEngine(hermetic.TLSClient, config); err != nil {
		return err
	}
	return g.flush(c)
}

// Put is told about the server's tickets.
func (c *client) Put(string, *hermetic.Session) { c.ticket = true }

// Get has no session, so each handshake is a full one.
func (c *client) Get(string) *hermetic.Session { return nil }

// read opens what has arrived.
func (g *generator) read(c *client) error {
	n := copy(g.in, c.partial)
	got, err := unix.Read(c.fd, g.in[n:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("reading from the server: %w", err)
	case got == 0 && c.closing:
		return g.closed(c)
	case got == 0:
		return errors.New("the server has closed a connection")
	}
	if err := g.open(c, g.in[:n+got]); err != nil {
		return err
	}
	return g.progress(c)
}

// open opens the records of in, and sends what the engine has to say to them.
func (g *generator) open(c *client, in []byte) error {
	if c.engine == nil {
		c.answer = append(c.answer, in...)
		return nil
	}
	for {
		o, err := c.engine.Open(in)
		if err != nil && !(c.closing && err == hermetic.ErrClosed) {
			return err
		}
		c.answer = append(c.answer, o.Data...)
		if o.N == 0 || err != nil {
			break
		}
		in = in[o.N:]
	}
	if c.partial = append(c.partial[:0], in...); len(in) == 0 || c.closing {
		c.partial = nil
	}
	if c.engine.HasOutput() {
		return g.flush(c)
	}
	return nil
}

// progress decides what follows on a connection after input.
func (g *generator) progress(c *client) error {
	if !c.ready {
		if c.engine != nil && !c.engine.HandshakeComplete() {
			return nil
		}
		c.ready = true
		switch {
		case g.spec.Load == handshakes:
		case g.ended:
			return g.close(c)
		case g.spec.Load == paced:
			g.free = append(g.free, c)
		default:
			if err := g.request(c); err != nil {
				return err
			}
		}
	}
	switch {
	case g.spec.Load == handshakes && c.ticket:
		return g.close(c)
	case len(c.answer) == 0:
		return nil
	}
	complete, err := answerComplete(c.answer)
	if !complete {
		return err
	}
	return g.answered(c)
}

// answered counts an answer, and may ask again.
func (g *generator) answered(c *client) error {
	c.answer, c.busy = c.answer[:0], false
	g.done++
	if g.ended {
		return g.close(c)
	}
	switch g.spec.Load {
	case requests:
		return g.request(c)
	case paced:
		if g.record {
			g.times = append(g.times, time.Since(c.due))
		}
		g.free = append(g.free, c)
		return g.send()
	case idle:
		c.answer = nil
	}
	return nil
}

var get = []byte("GET " + path + " HTTP/1.1\r\nHost: " + serverName + "\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")

// request sends a request.
func (g *generator) request(c *client) (err error) {
	c.busy = true
	if c.engine == nil {
		return write(c.fd, get)
	}
	if g.out, err = c.engine.Seal(g.out[:0], get); err != nil {
		return err
	}
	return write(c.fd, g.out)
}

// flush sends the engine's output.
func (g *generator) flush(c *client) error {
	g.out = c.engine.Output(g.out[:0])
	return write(c.fd, g.out)
}

// write sends b, for which the socket must have room: we send little, and wait for an answer.
func write(fd int, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := unix.Write(fd, b)
	if err == nil && n < len(b) {
		err = errors.New("the server does not read")
	}
	return err
}

// close ends a connection as it should be ended: with close_notify, or FIN without TLS, and then the
// server closes.
func (g *generator) close(c *client) error {
	if c.closing {
		return nil
	}
	c.closing = true
	if c.engine == nil {
		return unix.Shutdown(c.fd, unix.SHUT_WR)
	}
	c.engine.Close()
	return g.flush(c)
}

// closed is after the server's FIN.
func (g *generator) closed(c *client) error {
	unix.Close(c.fd)
	delete(g.clients, c.fd)
	if g.spec.Load != handshakes {
		return nil
	}
	g.done++
	if g.ended {
		return nil
	}
	return g.connect()
}

// end closes all connections: those with a request after the answer, the others now.
func (g *generator) end() error {
	g.ended = true
	for _, c := range g.clients {
		if c.ready && !c.busy && g.spec.Load != handshakes {
			if err := g.close(c); err != nil {
				return err
			}
		}
	}
	for start := time.Now(); len(g.clients) > 0; {
		if time.Since(start) > patience {
			return fmt.Errorf("the server leaves %d connections open", len(g.clients))
		}
		if err := g.turn(10); err != nil {
			return err
		}
	}
	return nil
}

// idle opens all connections, a few at a time, makes one request on each, and keeps them until the
// parent ends the standard input.
func (g *generator) idle() (*loadResult, error) {
	const together = 64
	for g.done < g.spec.Conns {
		for g.made < min(g.spec.Conns, g.done+together) {
			if err := g.connect(); err != nil {
				return nil, fmt.Errorf("connection %d: %w", g.made, err)
			}
		}
		if err := g.turn(1000); err != nil {
			return nil, err
		}
	}
	fmt.Println("open")
	os.Stdin.Read(make([]byte, 1))
	return &loadResult{Done: g.done}, g.end()
}

// answerComplete reports whether b is the whole answer to one request.
func answerComplete(b []byte) (bool, error) {
	n := bytes.Index(b, []byte("\r\n\r\n"))
	if n < 0 {
		return false, nil
	}
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 200 ")) {
		line, _, _ := bytes.Cut(b, []byte("\r\n"))
		return false, fmt.Errorf("the server answers %q", line[:min(len(line), 100)])
	}
	length := -1
	for line := range bytes.SplitSeq(b[:n], []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && is(name, "Content-Length") {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	switch size := n + 4 + length; {
	case length != len(body):
		return false, fmt.Errorf("the answer has %d bytes, want %d", length, len(body))
	case len(b) > size:
		return false, errors.New("the server answers more than was asked for")
	default:
		return len(b) == size, nil
	}
}
