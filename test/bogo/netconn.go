package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// netConnEnd is a connection by package netconn. Its questions are answered by the
// callbacks of the Config.
type netConnEnd struct {
	*connection
	conn  *netconn.Conn
	below *datagrams // over DTLS
	early earlyData
}

func newNetConnEnd(c *connection, mode hermetic.Mode, cfg *hermetic.Config) (endpoint, error) {
	cfg.Async = 0
	if c.o.privateKeyDelay > 0 {
		return nil, errClock
	}
	if _, err := hermetic.NewEngine(mode, cfg); err != nil {
		return nil, err
	}
	e := &netConnEnd{connection: c}
	e.early = earlyData{possible: c.o.server && cfg.MaxEarlyData > 0, receive: func(p []byte) (int, error) {
		n, err := e.conn.ReadEarlyData(p)
		if err == io.EOF {
			return n, err
		}
		return n, e.err(err)
	}}
	switch mode {
	case hermetic.TLSClient:
		e.conn = netconn.Client(c.wire, cfg)
	case hermetic.TLSServer:
		e.conn = netconn.Server(c.wire, cfg)
	case hermetic.DTLSClient:
		e.below = &datagrams{wire: c.wire, end: e, closed: make(chan struct{})}
		e.conn = netconn.DTLSClient(e.below, cfg)
	case hermetic.DTLSServer:
		e.below = &datagrams{wire: c.wire, end: e, closed: make(chan struct{})}
		e.conn = netconn.DTLSServer(e.below, cfg)
	}
	return e, nil
}

// datagrams keeps datagrams apart on the runner's socket, as a net.Conn.
type datagrams struct {
	*wire
	end     *netConnEnd
	clocked atomic.Bool // the runner's clock was used
	closed  chan struct{}
}

func (d *datagrams) Read(p []byte) (int, error) {
	for {
		ev, packet, err := d.next()
		switch {
		case err != nil:
			return 0, err
		case ev.op == opPacket:
			return copy(p, packet), nil
		case ev.op == opAdvance || ev.op == opExpect:
			d.clocked.Store(true)
			return 0, errClock
		}
		if err := d.end.conn.Control(func(e *hermetic.Engine) error { return d.end.take(ev, e) }); err != nil {
			return 0, err
		}
	}
}

// Close ends the reading. The socket is closed when the runner has hung up, so that it
// reads the alert.
func (d *datagrams) Close() error {
	close(d.closed)
	return d.SetReadDeadline(time.Now())
}

func (d *datagrams) Write(p []byte) (int, error) { return len(p), d.writePacket(p) }

// err is an error as all endpoints have it.
func (e *netConnEnd) err(err error) error {
	switch {
	case e.below != nil && e.below.clocked.Load():
		return errClock
	case err == io.EOF:
		return hermetic.ErrClosed
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return errCut
	}
	return err
}

func (e *netConnEnd) state() hermetic.ConnectionState { return e.conn.State() }

func (e *netConnEnd) handshake() error {
	if e.early.possible {
		return e.early.begin()
	}
	return e.err(e.conn.HandshakeContext(context.Background()))
}

func (e *netConnEnd) read(n int) ([]byte, error) {
	if b, err := e.early.read(n); b != nil || err != nil {
		return b, err
	}
	buf := make([]byte, n)
	n, err := e.conn.Read(buf)
	return buf[:n], e.err(err)
}

func (e *netConnEnd) write(b []byte) error {
	if err := e.early.begin(); err != nil {
		return err
	}
	write := e.conn.Write
	if e.early.possible {
		write = e.conn.WriteEarlyData
	}
	_, err := write(b)
	return e.err(err)
}

func (e *netConnEnd) begin([]byte) error      { return errUnfinished }
func (e *netConnEnd) beginEarly([]byte) error { return errUnfinished }

func (e *netConnEnd) earlyRoom() (room int, err error) {
	err = e.conn.Control(func(engine *hermetic.Engine) error {
		engine.HasOutput() // begins
		room = engine.EarlyDataRoom()
		return nil
	})
	return room, e.err(err)
}

func (e *netConnEnd) awaitMessage(int) error { return errSteps }

func (e *netConnEnd) writeEarly(b []byte) error {
	_, err := e.conn.WriteEarlyData(b)
	return e.err(err)
}

func (e *netConnEnd) close() error { return e.err(e.conn.CloseWrite()) }

func (e *netConnEnd) control(f func(*hermetic.Engine) error) error { return e.err(e.conn.Control(f)) }

// failed: a fatal error is repeated by all methods.
func (e *netConnEnd) failed(fatal error) error {
	var alert *hermetic.AlertError
	if !errors.As(fatal, &alert) && !errors.Is(fatal, hermetic.ErrTimeout) {
		return nil
	}
	_, read := e.conn.Read(make([]byte, 1))
	_, write := e.conn.Write([]byte("x"))
	for call, err := range map[string]error{"Read": read, "Write": write, "Handshake": e.conn.Handshake()} {
		if err == nil || err.Error() != fatal.Error() {
			return fmt.Errorf("the error is not repeated: %s returned %v", call, err)
		}
	}
	return nil
}

// end closes a datagram connection, which ends when what it has to send has left. The
// socket of a stream stays open, so that nothing is lost to a reset.
func (e *netConnEnd) end() {
	if e.below != nil {
		e.conn.Close()
		<-e.below.closed
	}
}
