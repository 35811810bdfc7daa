package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func now() time.Time { return pkitest.Now }

// settings are one certificate and one group for both libraries.
type settings struct {
	version uint16
	group   tls.CurveID
	suite   uint16 // 0: the default
	mutual  bool
}

var modern = settings{version: tls.VersionTLS13, group: tls.X25519}

// ours returns a client's and a server's Config.
func (s settings) ours(tb testing.TB, ca *pkitest.Authority, leaf tls.Certificate) (client, server *hermetic.Config) {
	client = &hermetic.Config{Time: now, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: s.version, CurvePreferences: []tls.CurveID{s.group}, NoSCTs: true}
	server = &hermetic.Config{Time: now, Certificates: []tls.Certificate{leaf}, CurvePreferences: []tls.CurveID{s.group}}
	if s.suite != 0 {
		client.CipherSuites, server.CipherSuites = []uint16{s.suite}, []uint16{s.suite}
	}
	if s.mutual {
		client.Certificates, server.ClientAuth, server.ClientCAs = []tls.Certificate{leaf}, tls.RequireAndVerifyClientCert, ca.Pool()
	}
	return client, server
}

func (s settings) theirs(tb testing.TB, ca *pkitest.Authority, leaf tls.Certificate) (client, server *tls.Config) {
	client = &tls.Config{Time: now, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: s.version, CurvePreferences: []tls.CurveID{s.group}}
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
}

func newEngines(tb testing.TB, client, server *hermetic.Config) *engines {
	c, err := hermetic.NewEngine(hermetic.TLSClient, client)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := hermetic.NewEngine(hermetic.TLSServer, server)
	if err != nil {
		tb.Fatal(err)
	}
	return &engines{client: c, server: s, buf: scratch[:0]}
}

func (e *engines) handshake(tb testing.TB) {
	for !e.client.HandshakeComplete() || !e.server.HandshakeComplete() {
		e.buf = e.client.Output(e.buf[:0])
		openAll(tb, e.server, e.buf)
		e.buf = e.server.Output(e.buf[:0])
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

// conns are two ends of a crypto/tls connection. Its handshake blocks, and so
// needs a goroutine.
type conns struct{ client, server *tls.Conn }

func newConns(client, server *tls.Config) *conns {
	a, b := net.Pipe()
	return &conns{tls.Client(a, client), tls.Server(b, server)}
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
	return &conns{tls.Client(w.client, client), tls.Server(w.server, server)}, w
}

func (w *wire) detach() {
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	w.client.out, w.server.in = up, up
	w.server.out, w.client.in = down, down
}
