package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func now() time.Time { return pkitest.Now }

// settings are what both libraries do.
type settings struct {
	version   uint16
	datagrams bool // DTLS
	group     tls.CurveID
	suite     uint16 // 0: the default
	kind      string // of the certificate's key: see pkitest
	mutual    bool
	resumed   bool    // with a new ticket
	fresh     *supply // each handshake has another certificate
	circl     bool    // the groups are circl's
}

func (s settings) versionName() string {
	if s.datagrams {
		return "D" + tls.VersionName(s.version)
	}
	return tls.VersionName(s.version)
}

var modern = settings{version: tls.VersionTLS13, group: tls.X25519}

// offered are a client's groups. In TLS 1.2, P-256 is for the certificate (RFC 8422, Section 5.1.1).
func (s settings) offered() []tls.CurveID {
	if s.version == tls.VersionTLS12 && s.group != tls.CurveP256 {
		return []tls.CurveID{s.group, tls.CurveP256}
	}
	return []tls.CurveID{s.group}
}

// ours returns a client's and a server's Config.
func (s settings) ours(tb testing.TB, ca *pkitest.Authority, leaf tls.Certificate) (client, server *hermetic.Config) {
	client = &hermetic.Config{Time: now, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: s.version, CurvePreferences: s.offered(), NoSCTs: true}
	server = &hermetic.Config{Time: now, Certificates: []tls.Certificate{leaf}, CurvePreferences: []tls.CurveID{s.group}}
	if s.suite != 0 {
		client.CipherSuites, server.CipherSuites = []uint16{s.suite}, []uint16{s.suite}
	}
	server.DTLS.TrustAddress = s.datagrams
	if s.mutual {
		client.Certificates, server.ClientAuth, server.ClientCAs = []tls.Certificate{leaf}, tls.RequireAndVerifyClientCert, ca.Pool()
	}
	return client, server
}

func (s settings) theirs(tb testing.TB, ca *pkitest.Authority, leaf tls.Certificate) (client, server *tls.Config) {
	client = &tls.Config{Time: now, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: s.version, CurvePreferences: s.offered()}
	server = &tls.Config{Time: now, Certificates: []tls.Certificate{leaf}, CurvePreferences: []tls.CurveID{s.group}, SessionTicketsDisabled: true}
	if s.mutual {
		client.Certificates, server.ClientAuth, server.ClientCAs = []tls.Certificate{leaf}, tls.RequireAndVerifyClientCert, ca.Pool()
	}
	return client, server
}

// scratch is where bytes travel: one connection at a time.
var scratch = make([]byte, 0, 1<<15)

// engines are two ends of a connection in memory.
type engines struct {
	client, server *hermetic.Engine
	buf            []byte
	sent           int // bytes of handshakes, in both directions
}

func newEngines(tb testing.TB, client, server *hermetic.Config) *engines {
	return enginesOf(tb, hermetic.TLSClient, client, hermetic.TLSServer, server)
}

func enginesOf(tb testing.TB, clientMode hermetic.Mode, client *hermetic.Config, serverMode hermetic.Mode, server *hermetic.Config) *engines {
	c, err := hermetic.NewEngine(clientMode, client)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := hermetic.NewEngine(serverMode, server)
	if err != nil {
		tb.Fatal(err)
	}
	return &engines{client: c, server: s, buf: scratch[:0]}
}

func (e *engines) handshake(tb testing.TB) {
	for !e.client.HandshakeComplete() || !e.server.HandshakeComplete() {
		e.buf = e.client.Output(e.buf[:0])
		e.sent += len(e.buf)
		openAll(tb, e.server, e.buf)
		e.buf = e.server.Output(e.buf[:0])
		e.sent += len(e.buf)
		openAll(tb, e.client, e.buf)
	}
}

func openAll(tb testing.TB, e *hermetic.Engine, in []byte) (n int) {
	for len(in) > 0 {
		o, err := e.Open(in)
		if err != nil {
			tb.Fatal(err)
		}
		n += len(o.Data)
		in = in[o.N:]
	}
	return n
}

// pair returns two engines before their handshake.
func (s settings) pair(tb testing.TB, client, server *hermetic.Config) *engines {
	if !s.datagrams {
		return newEngines(tb, client, server)
	}
	return enginesOf(tb, hermetic.DTLSClient, client, hermetic.DTLSServer, server)
}

// connect returns two engines after their handshake.
func (s settings) connect(tb testing.TB, client, server *hermetic.Config) *engines {
	if s.datagrams {
		return newDatagramEngines(tb, client, server)
	}
	e := newEngines(tb, client, server)
	e.handshake(tb)
	return e
}

func newDatagramEngines(tb testing.TB, client, server *hermetic.Config) *engines {
	e := enginesOf(tb, hermetic.DTLSClient, client, hermetic.DTLSServer, server)
	e.settle(tb)
	if !e.client.HandshakeComplete() || !e.server.HandshakeComplete() {
		tb.Fatal("the handshake is not complete")
	}
	return e
}

// settle lets both send what they have, datagram by datagram.
func (e *engines) settle(tb testing.TB) {
	for quiet := 0; quiet < 2; quiet++ {
		for _, ends := range [][2]*hermetic.Engine{{e.client, e.server}, {e.server, e.client}} {
			for e.buf = ends[0].Output(e.buf[:0]); len(e.buf) > 0; e.buf = ends[0].Output(e.buf[:0]) {
				e.sent += len(e.buf)
				openAll(tb, ends[1], e.buf)
				quiet = 0
			}
		}
	}
}

// greet lets the server send one byte, after its ticket.
func (e *engines) greet(tb testing.TB) {
	var err error
	if e.buf, err = e.server.Seal(e.buf[:0], []byte{1}); err != nil {
		tb.Fatal(err)
	}
	e.sent += len(e.buf)
	if n := openAll(tb, e.client, e.buf); n != 1 {
		tb.Fatalf("%d bytes came", n)
	}
}

// conns are two ends of a crypto/tls connection. Its handshake blocks, and so
// needs a goroutine.
type conns struct {
	client, server *tls.Conn
	sent           *atomic.Int64 // bytes, in both directions
}

func newConns(client, server *tls.Config) *conns {
	a, b := net.Pipe()
	sent := new(atomic.Int64)
	return &conns{tls.Client(counted{a, sent}, client), tls.Server(counted{b, sent}, server), sent}
}

// counted counts what is written.
type counted struct {
	net.Conn
	sent *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	c.sent.Add(int64(len(b)))
	return c.Conn.Write(b)
}

func (c *conns) handshake(tb testing.TB) {
	done := make(chan error, 1)
	go func() { done <- c.server.Handshake() }()
	if err := c.client.Handshake(); err != nil {
		tb.Fatal(err)
	}
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

func (c *conns) greet(tb testing.TB) {
	done := make(chan error, 1)
	go func() {
		_, err := c.server.Write([]byte{1})
		done <- err
	}()
	if _, err := c.client.Read(make([]byte, 1)); err != nil {
		tb.Fatal(err)
	}
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

// end is one end of a net.Pipe that can be detached from it: then written bytes
// wait in a buffer for the other end to read, and nothing blocks.
type end struct {
	net.Conn
	in, out *bytes.Buffer
}

func (e *end) Read(b []byte) (int, error) {
	if e.in == nil {
		return e.Conn.Read(b)
	}
	return e.in.Read(b)
}

func (e *end) Write(b []byte) (int, error) {
	if e.out == nil {
		return e.Conn.Write(b)
	}
	return e.out.Write(b)
}

type wire struct{ client, server *end }

func newWire(client, server *tls.Config) (*conns, *wire) {
	a, b := net.Pipe()
	w := &wire{&end{Conn: a}, &end{Conn: b}}
	return &conns{client: tls.Client(w.client, client), server: tls.Server(w.server, server)}, w
}

func (w *wire) detach() {
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	w.client.out, w.server.in = up, up
	w.server.out, w.client.in = down, down
}
