package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	pion3 "github.com/pion/dtls/v3"
	curves3 "github.com/pion/dtls/v3/pkg/crypto/elliptic"
	pion4 "github.com/pion/dtls/v4"
	suites4 "github.com/pion/dtls/v4/pkg/crypto/ciphersuite"
	curves4 "github.com/pion/dtls/v4/pkg/crypto/elliptic"
	"github.com/pion/dtls/v4/pkg/protocol"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// The contestants of DTLS with connections that block: both ends have goroutines, and datagrams go
// through queues.
const (
	oursBlocking = "netconn"
	pionV3       = "pion v3"
	pionV4       = "pion v4"
)

// pionSettings are those that hermetic and pion have in common. pion v3 has no DTLS 1.3.
var pionSettings = []settings{
	{version: tls.VersionTLS12, datagrams: true, group: tls.X25519, kind: pkitest.P256, suite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{version: tls.VersionTLS13, datagrams: true, group: tls.X25519, kind: pkitest.P256, suite: tls.TLS_AES_128_GCM_SHA256},
}

// pionRows are DTLS beside pion/dtls. A server asks for no cookie, in all of them.
func pionRows() (rows []row) {
	for _, s := range pionSettings {
		handshake := s.besidePion("handshake and close", opTime, s.closedHandshakes, connector.handshakes)
		handshake.contestants = append(handshake.contestants, contestant{floor, s.floor})
		handshake.versus[ours] = append(slices.Clip(handshake.versus[ours]), floor)
		rows = append(rows, handshake)
		for _, size := range recordSizes[:2] {
			rows = append(rows, s.besidePion("datagram of "+size.name, opTime,
				func(t *trial) round { return s.records(t, size.bytes) },
				func(c connector, t *trial) round { return c.datagrams(t, size.bytes) }))
		}
	}
	return rows
}

// pionMemoryRows are idle connections. They are exact, and the peers' timers take long to end: one
// round is enough.
func pionMemoryRows() (rows []row) {
	for _, s := range pionSettings {
		r := s.besidePion("idle connection", idleHeap, s.bothIdle, connector.idle)
		r.rounds = 1
		rows = append(rows, r)
	}
	return rows
}

// besidePion is a row of the engine and of connections that block.
func (s settings) besidePion(name string, m measure, engine func(*trial) round, blocking func(connector, *trial) round) row {
	connect := func(with func(*trial, settings) connector) func(*trial) round {
		return func(t *trial) round { return blocking(with(t, s), t) }
	}
	r := row{name: s.versionName() + ", " + name, measure: m, contestants: []contestant{
		{ours, engine},
		{oursBlocking, connect(netconnConnector)},
	}}
	peers := []string{pionV4}
	if s.version == tls.VersionTLS12 {
		peers = []string{pionV3, pionV4}
		r.contestants = append(r.contestants, contestant{pionV3, connect(pion3Connector)})
	}
	r.contestants = append(r.contestants, contestant{pionV4, connect(pion4Connector)})
	r.versus = map[string][]string{ours: peers, oursBlocking: peers}
	return r
}

// closedHandshakes are handshakes of two engines, and the alerts that end the connection.
func (s settings) closedHandshakes(t *trial) round {
	ca := pkitest.CA(t)
	client, server := s.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	return perOp(t, func() {
		e := s.connect(t, client, server)
		e.client.Close()
		e.server.Close()
		e.buf = e.server.Output(e.client.Output(e.buf[:0]))
	})
}

// bothIdle is the mean memory of a client and a server.
func (s settings) bothIdle(t *trial) round {
	ca := pkitest.CA(t)
	client, server := s.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	n := t.crowd(1000)
	return func(t *trial) sample {
		heap, stack := perConnectionOnce(n, func() any {
			e := s.connect(t, client, server)
			e.transfer(t, []byte("hello"))
			e.settle(t)
			e.buf = nil
			return e
		})
		return sample{idleHeap: float64(heap) / 2, stacks: float64(stack) / 2}
	}
}

// A handshaker is a connection that blocks.
type handshaker interface {
	net.Conn
	HandshakeContext(ctx context.Context) error
}

// A connector makes the two ends of a connection, before their handshake.
type connector func(up, down *queue) (client, server handshaker, err error)

// connect returns two ends after their handshake.
func (c connector) connect(t *trial, up, down *queue) (client, server handshaker) {
	client, server, err := c(up, down)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(t.Context()) }()
	if err := errors.Join(client.HandshakeContext(t.Context()), <-done); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func (c connector) handshakes(t *trial) round {
	return perOp(t, func() {
		client, server := c.connect(t, newQueue(), newQueue())
		client.Close()
		server.Close()
	})
}

// datagrams writes and reads datagrams. Several are on their way at a time, so that goroutines need
// not take turns for each.
func (c connector) datagrams(t *trial, size int) round {
	const window = 16
	client, server := c.connect(t, newQueue(), newQueue())
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	data, got := make([]byte, size), make([]byte, 2*size)
	measured := perOp(t, func() {
		for range window {
			if _, err := client.Write(data); err != nil {
				t.Fatal(err)
			}
		}
		for range window {
			if n, err := server.Read(got); err != nil || n != size {
				t.Fatalf("%d bytes, %v", n, err)
			}
		}
	})
	return func(t *trial) sample {
		s := measured(t)
		for m := range s {
			s[m] /= window
		}
		return s
	}
}

// idle is the mean memory of a client and a server, with the stacks of their goroutines.
func (c connector) idle(t *trial) round {
	n := t.crowd(200)
	return func(t *trial) sample {
		goroutines, before := runtime.NumGoroutine(), memory().HeapAlloc
		queues, _ := perConnectionOnce(n, func() any { return [2]*queue{newQueue(), newQueue()} })
		var ends []handshaker
		heap, stack := perConnectionOnce(n, func() any {
			up, down := newQueue(), newQueue()
			client, server := c.connect(t, up, down)
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			up.forget()
			down.forget()
			ends = append(ends, client, server)
			return nil
		})
		for _, end := range ends {
			end.Close()
		}
		// What still ends, such as timers, would be in the figures of the next contestant.
		for tries := 0; tries < 300 && (runtime.NumGoroutine() > goroutines || memory().HeapAlloc > before+16<<10); tries++ {
			time.Sleep(10 * time.Millisecond)
		}
		return sample{idleHeap: float64(heap-queues) / 2, stacks: float64(stack) / 2}
	}
}

func netconnConnector(t *trial, s settings) connector {
	ca := pkitest.CA(t)
	client, server := s.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	return func(up, down *queue) (handshaker, handshaker, error) {
		return netconn.DTLSClient(&queueEnd{in: down, out: up}, client), netconn.DTLSServer(&queueEnd{in: up, out: down}, server), nil
	}
}

func pion3Connector(t *trial, s settings) connector {
	ca := pkitest.CA(t)
	suites := pion3.WithCipherSuites(pion3.CipherSuiteID(s.suite))
	groups := pion3.WithEllipticCurves(curves3.Curve(s.group))
	client := []pion3.ClientOption{suites, groups, pion3.WithRootCAs(ca.Pool()), pion3.WithServerName("localhost")}
	server := []pion3.ServerOption{
		suites, groups, pion3.WithCertificates(ca.Leaf(t, pkitest.Options{})), pion3.WithInsecureSkipVerifyHello(true),
	}
	return func(up, down *queue) (handshaker, handshaker, error) {
		c, clientErr := pion3.ClientWithOptions(&queueEnd{in: down, out: up}, queueAddr{}, client...)
		s, serverErr := pion3.ServerWithOptions(&queueEnd{in: up, out: down}, queueAddr{}, server...)
		return c, s, errors.Join(clientErr, serverErr)
	}
}

func pion4Connector(t *trial, s settings) connector {
	ca := pkitest.CA(t)
	version := protocol.Version1_2
	if s.version == tls.VersionTLS13 {
		version = protocol.Version1_3
	}
	oldest, newest := pion4.WithMinVersion(version), pion4.WithMaxVersion(version)
	suites, groups := pion4.WithCipherSuites(suites4.ID(s.suite)), pion4.WithEllipticCurves(curves4.Curve(s.group))
	client := []pion4.ClientOption{oldest, newest, suites, groups, pion4.WithRootCAs(ca.Pool()), pion4.WithServerName("localhost")}
	server := []pion4.ServerOption{
		oldest, newest, suites, groups,
		pion4.WithCertificates(ca.Leaf(t, pkitest.Options{})), pion4.WithInsecureSkipVerifyHello(true),
	}
	return func(up, down *queue) (handshaker, handshaker, error) {
		c, clientErr := pion4.Client(&queueEnd{in: down, out: up}, queueAddr{}, client...)
		s, serverErr := pion4.Server(&queueEnd{in: up, out: down}, queueAddr{}, server...)
		return c, s, errors.Join(clientErr, serverErr)
	}
}

// queue is a way for datagrams that allocates nothing once it is in use.
type queue struct {
	full, free chan []byte
	closed     chan struct{}
	once       sync.Once
}

func newQueue() *queue {
	const window = 32
	return &queue{full: make(chan []byte, window), free: make(chan []byte, window), closed: make(chan struct{})}
}

// forget drops the buffers, which are not a connection's.
func (q *queue) forget() {
	for {
		select {
		case <-q.free:
		default:
			return
		}
	}
}

func (q *queue) close() { q.once.Do(func() { close(q.closed) }) }

// queueEnd is one end of two queues, as a net.PacketConn and a net.Conn. No datagram is lost, so
// deadlines do nothing: nothing waits for long.
type queueEnd struct{ in, out *queue }

type queueAddr struct{}

func (queueAddr) Network() string { return "queue" }
func (queueAddr) String() string  { return "queue" }

func (e *queueEnd) Read(b []byte) (int, error) {
	select {
	case d := <-e.in.full:
		n := copy(b, d)
		select {
		case e.in.free <- d[:0]:
		default:
		}
		return n, nil
	case <-e.in.closed:
		return 0, net.ErrClosed
	}
}

func (e *queueEnd) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := e.Read(b)
	return n, queueAddr{}, err
}

func (e *queueEnd) Write(b []byte) (int, error) {
	var d []byte
	select {
	case d = <-e.out.free:
	default:
	}
	select {
	case e.out.full <- append(d, b...):
		return len(b), nil
	case <-e.out.closed:
		return 0, net.ErrClosed
	}
}

func (e *queueEnd) WriteTo(b []byte, _ net.Addr) (int, error) { return e.Write(b) }

func (e *queueEnd) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

func (e *queueEnd) LocalAddr() net.Addr              { return queueAddr{} }
func (e *queueEnd) RemoteAddr() net.Addr             { return queueAddr{} }
func (e *queueEnd) SetDeadline(time.Time) error      { return nil }
func (e *queueEnd) SetReadDeadline(time.Time) error  { return nil }
func (e *queueEnd) SetWriteDeadline(time.Time) error { return nil }
