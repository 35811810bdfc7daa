package netconn

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"time"

	"github.com/hermetic-tls/hermetic"
)

func (p *peer) handshake(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.established {
		return p.over()
	}
	stop := context.AfterFunc(ctx, p.broadcast)
	defer stop()
	for {
		switch {
		case p.over() != nil:
			return p.over()
		case p.established:
			return nil
		case ctx.Err() != nil:
			p.close()
			return ctx.Err()
		case p.late(&p.read):
			return os.ErrDeadlineExceeded
		}
		p.socket.start()
		p.wake.Wait()
	}
}

func (p *peer) broadcast() { p.locked(p.wake.Broadcast) }

func (p *peer) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, net.ErrClosed
		case p.late(&p.read):
			return 0, os.ErrDeadlineExceeded
		case p.established && p.next < len(p.queue):
			return p.dequeue(b)
		case p.ended:
			return 0, io.EOF
		case p.err != nil:
			return 0, p.err
		}
		p.socket.start()
		p.wake.Wait()
	}
}

func (p *peer) readEarly([]byte) (int, error)  { return 0, errEarlyDatagrams }
func (p *peer) writeEarly([]byte) (int, error) { return 0, errEarlyDatagrams }

// WriteTo is a loop of Read and Write: w may have a ReadFrom, but that has room for a stream, not
// for a datagram.
func (p *peer) WriteTo(w io.Writer) (n int64, err error) {
	buf := make([]byte, maxDatagram)
	for {
		size, err := p.Read(buf)
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
		m, err := writeAll(w, buf[:size])
		if n += int64(m); err != nil {
			return n, err
		}
	}
}

// writeBuffers joins a datagram, which is small.
func (p *peer) writeBuffers(data [][]byte) (int, error) { return p.Write(bytes.Join(data, nil)) }

func (p *peer) dequeue(b []byte) (int, error) {
	d := p.queue[p.next]
	p.queue[p.next] = nil
	if p.next++; p.next == len(p.queue) {
		p.queue, p.next = p.queue[:0], 0
	}
	n := copy(b, d)
	if n < len(d) {
		return n, io.ErrShortBuffer
	}
	return n, nil
}

// Write sends b after the last Write's datagram has left: a datagram that many others
// overtake looks like a replay to the peer. While a new path is checked, it waits: the peer
// is probably not where it was (RFC 9853, Section 5).
func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.over() != nil:
			return 0, p.over()
		case p.late(&p.write):
			return 0, os.ErrDeadlineExceeded
		case p.established && !p.busy && p.data == nil && !p.checking():
			return p.send(b)
		}
		p.socket.start()
		p.wake.Wait()
	}
}

func (p *peer) closeWrite() error {
	p.mu.Lock()
	early := !p.established && p.over() == nil
	p.mu.Unlock()
	if early {
		return errEarlyCloseWrite
	}
	return p.control(func(e *hermetic.Engine) error {
		e.Close()
		return nil
	})
}

func (p *peer) control(f func(*hermetic.Engine) error) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.turn()
	switch {
	case p.over() != nil:
		return p.over()
	case !in:
		return os.ErrDeadlineExceeded
	}
	p.active = true
	p.use(false, func() error {
		err = f(p.engine)
		return nil
	})
	return err
}

// Close waits a moment for its close_notify, or for the alert that says why the
// handshake failed.
func (p *peer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaitExport()
	switch {
	case p.closed:
		return net.ErrClosed
	case p.err == hermetic.ErrExported:
		p.close()
		return p.err
	}
	limit := time.Now().Add(moment)
	defer time.AfterFunc(moment, p.broadcast).Stop()
	p.close()
	for p.leaving && (p.established || p.err != nil) && time.Now().Before(limit) {
		p.wake.Wait()
	}
	p.mu.Unlock()
	p.socket.closeLast(p.dialed)
	p.mu.Lock()
	return nil
}

// close ends the connection, with a close_notify if the handshake is complete.
func (p *peer) close() {
	p.closed = true
	p.queue, p.next = nil, 0
	p.read.stop()
	p.write.stop()
	p.wake.Broadcast()
	if p.established && p.err == nil && p.turn() && !p.removed {
		p.use(false, func() error {
			p.engine.Close()
			return nil
		})
	}
	p.finish()
}

// closeUnaccepted ends the connection, unless Accept has returned it.
func (p *peer) closeUnaccepted() {
	p.socket.mu.Lock()
	accepted := p.accepted || p.dialed
	p.socket.mu.Unlock()
	if accepted {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.awaitExport(); !p.closed {
		p.close()
	}
}

// state returns the engine's state, or, while a callback uses the engine, what is known
// without it.
func (p *peer) state() hermetic.ConnectionState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine == nil {
		return hermetic.ConnectionState{}
	}
	if !p.turn() {
		return hermetic.ConnectionState{HandshakeComplete: p.established}
	}
	return p.engine.State()
}

func (p *peer) SetDeadline(t time.Time) error {
	p.SetReadDeadline(t)
	return p.SetWriteDeadline(t)
}

func (p *peer) SetReadDeadline(t time.Time) error  { return p.setDeadline(&p.read, t) }
func (p *peer) SetWriteDeadline(t time.Time) error { return p.setDeadline(&p.write, t) }

func (p *peer) setDeadline(d *deadline, t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	d.set(t, p.broadcast)
	p.wake.Broadcast()
	return nil
}

func (p *peer) LocalAddr() net.Addr { return p.socket.transport.LocalAddr() }

func (p *peer) RemoteAddr() net.Addr {
	if conn := p.netConn(); conn != nil {
		return conn.RemoteAddr()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr.netAddr()
}

func (p *peer) netConn() net.Conn {
	if t, ok := p.socket.transport.(*single); ok {
		return t.Conn
	}
	return nil
}

// deadline is the deadline of an operation.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(t time.Time, wake func()) {
	d.stop()
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, wake)
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
