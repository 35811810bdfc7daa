package main

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// memoryRows are what a connection costs while nothing happens. The chain of the peer is shared by
// all connections with it, and does not count.
func memoryRows() (rows []row) {
	const rounds = 3
	for _, s := range []settings{
		{version: tls.VersionTLS13, group: tls.X25519}, {version: tls.VersionTLS12, group: tls.X25519},
		{version: tls.VersionTLS13, group: tls.X25519, datagrams: true}, {version: tls.VersionTLS12, group: tls.X25519, datagrams: true},
	} {
		for _, server := range []bool{true, false} {
			r := row{name: s.versionName() + " client", measure: idleHeap, rounds: rounds}
			if server {
				r.name = s.versionName() + " server"
			}
			r.contestants = append(r.contestants, contestant{ours, func(t *trial) round { return s.memory(t, server) }})
			if !s.datagrams {
				r.contestants = append(r.contestants, contestant{cryptoTLS, func(t *trial) round { return s.theirMemory(t, server) }})
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// memory measures an engine on one side: idle after the first data, compact, and half-open. A server
// is half-open once it has answered the ClientHello, a client once it has sent it.
func (s settings) memory(t *trial, server bool) round {
	ca := pkitest.CA(t)
	clientConfig, serverConfig := s.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	kept := func(e *engines) *hermetic.Engine {
		if server {
			return e.server
		}
		return e.client
	}
	idle := func() any {
		e := s.connect(t, clientConfig, serverConfig)
		e.transfer(t, []byte("hello"))
		if s.datagrams {
			e.settle(t)
		}
		return kept(e)
	}
	n := t.crowd(1000)
	return func(t *trial) sample {
		heap, _ := perConnectionOnce(n, idle)
		compact, _ := perConnectionOnce(n, func() any {
			e := idle().(*hermetic.Engine)
			if err := e.Compact(); err != nil {
				t.Fatal(err)
			}
			return e
		})
		open, _ := perConnectionOnce(n, func() any {
			e := s.pair(t, clientConfig, serverConfig)
			e.buf = e.client.Output(e.buf[:0])
			if server {
				openAll(t, e.server, e.buf)
				e.buf = e.server.Output(e.buf[:0])
			}
			return kept(e)
		})
		return sample{idleHeap: float64(heap), compactHeap: float64(compact), openHeap: float64(open)}
	}
}

// theirMemory is that of crypto/tls. Half-open, it needs a goroutine, whose stack counts.
func (s settings) theirMemory(t *trial, server bool) round {
	ca := pkitest.CA(t)
	clientConfig, serverConfig := s.theirs(t, ca, ca.Leaf(t, pkitest.Options{}))
	n := t.crowd(1000)
	return func(t *trial) sample {
		heap, _ := perConnectionOnce(n, func() any { return theirIdle(t, clientConfig, serverConfig, server) })
		hello := helloOf(t, clientConfig)
		var stalled []*stall
		open, stack := perConnectionOnce(n, func() any {
			w := &stall{in: hello, waiting: make(chan struct{}), end: make(chan struct{})}
			c := tls.Server(w, serverConfig)
			if !server {
				w.in = nil
				c = tls.Client(w, clientConfig)
			}
			go c.Handshake()
			<-w.waiting
			stalled = append(stalled, w)
			return c
		})
		for _, w := range stalled {
			close(w.end)
		}
		return sample{idleHeap: float64(heap), openHeap: float64(open + stack)}
	}
}

// theirIdle returns an established end of crypto/tls, without the transport.
func theirIdle(t *trial, client, server *tls.Config, wantServer bool) *tls.Conn {
	c, w := newWire(client, server)
	c.handshake(t)
	w.detach()
	c.transfer(t, []byte("hello"), make([]byte, 5))
	kept, end := c.client, w.client
	if wantServer {
		kept, end = c.server, w.server
	}
	end.Conn, end.in, end.out = nil, nil, nil
	return kept
}

// helloOf returns the ClientHello of crypto/tls, in its record.
func helloOf(t *trial, client *tls.Config) []byte {
	a, b := net.Pipe()
	defer b.Close()
	go tls.Client(a, client).Handshake()
	buf := make([]byte, 1<<14)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// A stall is a transport that gives one flight, and then makes its reader wait.
type stall struct {
	net.Conn
	in           []byte
	waiting, end chan struct{}
}

func (s *stall) Read(b []byte) (int, error) {
	if len(s.in) > 0 {
		n := copy(b, s.in)
		s.in = s.in[n:]
		return n, nil
	}
	close(s.waiting)
	<-s.end
	return 0, io.EOF
}

func (s *stall) Write(b []byte) (int, error) { return len(b), nil }
func (s *stall) Close() error                { return nil }

// crowd is how many connections to make, for a figure of each.
func (t *trial) crowd(n int) int {
	if t.quick {
		return min(n, 50)
	}
	return n
}

// perConnection is what n things made by connect cost each, in heap and in
// goroutines' stacks. It is the least of three: what the runtime allocates
// meanwhile, for a thread or another processor, belongs to no connection.
func perConnection(n int, connect func() any) (heap, stack int) {
	for round := range 3 {
		h, s := perConnectionOnce(n, connect)
		if round == 0 {
			heap, stack = h, s
		}
		heap, stack = min(heap, h), min(stack, s)
	}
	return heap, stack
}

func perConnectionOnce(n int, connect func() any) (heap, stack int) {
	connect()
	keep := make([]any, n)
	before := memory()
	for i := range keep {
		keep[i] = connect()
	}
	after := memory()
	runtime.KeepAlive(keep)
	return int(after.HeapAlloc-before.HeapAlloc) / n, int(after.StackInuse-before.StackInuse) / n
}

func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}
