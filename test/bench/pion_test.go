package main

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// pion makes connections of pion/dtls in memory.
type pion struct {
	client []dtls.ClientOption
	server []dtls.ServerOption
}

func newPion(tb testing.TB, ca *pkitest.Authority, leaf tls.Certificate) *pion {
	suite := dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	return &pion{
		client: []dtls.ClientOption{suite, dtls.WithRootCAs(ca.Pool()), dtls.WithServerName("localhost")},
		server: []dtls.ServerOption{suite, dtls.WithCertificates(leaf), dtls.WithInsecureSkipVerifyHello(true)},
	}
}

func (p *pion) connect(tb testing.TB) (client, server *dtls.Conn) {
	up, down := newQueue(), newQueue()
	client, err := dtls.ClientWithOptions(&queueEnd{in: down, out: up}, queueAddr{}, p.client...)
	if err != nil {
		tb.Fatal(err)
	}
	server, err = dtls.ServerWithOptions(&queueEnd{in: up, out: down}, queueAddr{}, p.server...)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(tb.Context()) }()
	if err := client.HandshakeContext(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
	return client, server
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

func (q *queue) close() { q.once.Do(func() { close(q.closed) }) }

// queueEnd is one end of two queues, as a net.PacketConn.
type queueEnd struct{ in, out *queue }

type queueAddr struct{}

func (queueAddr) Network() string { return "queue" }
func (queueAddr) String() string  { return "queue" }

func (e *queueEnd) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-e.in.full:
		n := copy(b, d)
		select {
		case e.in.free <- d[:0]:
		default:
		}
		return n, queueAddr{}, nil
	case <-e.in.closed:
		return 0, nil, net.ErrClosed
	}
}

func (e *queueEnd) WriteTo(b []byte, _ net.Addr) (int, error) {
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

func (e *queueEnd) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

func (e *queueEnd) LocalAddr() net.Addr              { return queueAddr{} }
func (e *queueEnd) SetDeadline(time.Time) error      { return nil }
func (e *queueEnd) SetReadDeadline(time.Time) error  { return nil }
func (e *queueEnd) SetWriteDeadline(time.Time) error { return nil }
