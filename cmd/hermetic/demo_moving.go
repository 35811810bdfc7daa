package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// moving runs a DTLS client over loopback that continues from another port after half
// of the data, as behind a NAT that has forgotten it. The server, a PacketListener,
// recognizes it by its connection ID.
func moving(client, server *hermetic.Config) (*result, error) {
	client.DTLS.ConnectionIDs = true
	server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, 8
	l, err := netconn.ListenPacket("udp", "127.0.0.1:0", server)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			accepted <- conn
			io.Copy(conn, conn)
		}
	}()

	n := &nomad{to: l.Addr().String()}
	if err := n.move(); err != nil {
		return nil, err
	}
	conn := netconn.DTLSClient(n, client)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	start := time.Now()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	r := &result{state: conn.State(), handshake: n.count(), time: time.Since(start)}
	conn.SetDeadline(time.Now().Add(dialTimeout))
	peer := <-accepted
	defer peer.Close()
	for _, move := range []func() error{func() error { return nil }, n.move} {
		if err := move(); err != nil {
			return nil, err
		}
		if err := r.echo(conn, demoData/2); err != nil {
			return nil, err
		}
		if here, there := n.LocalAddr().String(), peer.RemoteAddr().String(); here != there {
			return nil, fmt.Errorf("the server sends to %s, but the client is at %s", there, here)
		}
	}
	return r, nil
}

// echo sends bytes in datagrams, and reads each back.
func (r *result) echo(conn net.Conn, bytes int) error {
	data, buf := make([]byte, 1024), make([]byte, 2048)
	for range bytes / len(data) {
		if _, err := conn.Write(data); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		r.exchanged += len(data) + n
	}
	return nil
}

// nomad is a connection over UDP that can change its port.
type nomad struct {
	to string

	mu sync.Mutex
	net.Conn
	in, out int // bytes
}

func (n *nomad) conn() net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Conn
}

// move continues from another port.
func (n *nomad) move() error {
	next, err := net.Dial("udp", n.to)
	if err != nil {
		return err
	}
	n.mu.Lock()
	last := n.Conn
	n.Conn = next
	n.mu.Unlock()
	if last != nil {
		last.Close()
	}
	return nil
}

func (n *nomad) count() [2]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return [2]int{n.out, n.in}
}

// Read reads from the current socket.
func (n *nomad) Read(b []byte) (int, error) {
	for {
		conn := n.conn()
		size, err := conn.Read(b)
		if errors.Is(err, net.ErrClosed) && conn != n.conn() {
			continue
		}
		n.mu.Lock()
		n.in += size
		n.mu.Unlock()
		return size, err
	}
}

func (n *nomad) Write(b []byte) (int, error) {
	size, err := n.conn().Write(b)
	n.mu.Lock()
	n.out += size
	n.mu.Unlock()
	return size, err
}

func (n *nomad) LocalAddr() net.Addr { return n.conn().LocalAddr() }
