package webrtctls

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// A pipe is one end of a connection that keeps datagrams apart, in memory.
type pipe struct {
	in     chan []byte
	out    chan []byte
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	fail   func(datagram []byte) error // what Write returns, if it is set
}

func newPipe() (a, b *pipe) {
	x, y := make(chan []byte, 64), make(chan []byte, 64)
	return &pipe{in: x, out: y, closed: make(chan struct{})}, &pipe{in: y, out: x, closed: make(chan struct{})}
}

// Read waits until Close, as ICE does.
func (p *pipe) Read(b []byte) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	case d := <-p.in:
		return copy(b, d), nil
	}
}

// Write loses what the other end does not read in time.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	fail := p.fail
	p.mu.Unlock()
	if fail != nil {
		if err := fail(b); err != nil {
			return 0, err
		}
	}
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	case p.out <- append([]byte(nil), b...):
	default:
	}
	return len(b), nil
}

func (p *pipe) failWith(fail func([]byte) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) LocalAddr() net.Addr              { return nil }
func (p *pipe) RemoteAddr() net.Addr             { return nil } // ICE has none without a pair
func (p *pipe) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (p *pipe) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (p *pipe) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

var _ net.Conn = new(pipe)

// inject puts a datagram into what an end receives, and waits for room.
func (p *pipe) inject(t *testing.T, datagram []byte) {
	t.Helper()
	select {
	case p.in <- datagram:
	case <-time.After(patience):
		t.Fatal("nobody reads")
	}
}
