package main

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// contextEnd is a connection by a Context, over a transport that would block before
// each byte, in both directions, and before each datagram.
type contextEnd struct {
	*connection
	context *hermetic.Context
	ready   struct{ read, write bool } // the next call of the transport does not block
	stuck   bool                       // nothing gets through from now on
	early   earlyData
	held    []byte                    // a write that has begun
	heldBy  func([]byte) (int, error) // what to repeat it with
	delayed bool                      // the private key has been slow
}

func newContextEnd(c *connection, mode hermetic.Mode, cfg *hermetic.Config) (endpoint, error) {
	e := &contextEnd{connection: c}
	e.early = earlyData{possible: c.o.server && cfg.MaxEarlyData > 0, receive: func(p []byte) (n int, err error) {
		err = e.repeat(func() (err error) {
			n, err = e.context.ReadEarlyData(p)
			return err
		})
		return n, err
	}}
	var err error
	e.context, err = hermetic.NewContext(mode, cfg, transport{e})
	return e, err
}

// transport is the Context's BIO.
type transport struct{ *contextEnd }

func (t transport) Read(p []byte) (int, error) {
	if t.ready.read = !t.ready.read; t.ready.read {
		return 0, nil
	}
	if t.ready.write && !t.stuck { // poll would say that it can be written now
		return 0, nil
	}
	if !t.o.dtls {
		return t.wire.Read(p[:1])
	}
	for {
		ev, packet, err := t.wire.next()
		switch {
		case err != nil:
			return 0, err
		case ev.op == opPacket:
			return copy(p, packet), nil
		}
		// The next call notices that time has passed.
		if err := t.take(ev, t.context.Engine()); err != nil || ev.op == opAdvance {
			return 0, err
		}
	}
}

func (t transport) Write(p []byte) (int, error) {
	if t.ready.write = !t.ready.write; (t.ready.write || t.stuck) && !t.over() {
		return 0, nil
	}
	if t.o.dtls {
		return len(p), t.wire.writePacket(p)
	}
	if _, err := t.wire.Write(p[:1]); err != nil && !errors.Is(err, syscall.EPIPE) {
		return 0, err
	}
	return 1, nil // a peer that has hung up may still have left something to read
}

// over reports whether the engine has failed. What is written then is an alert: a Context
// tries once to send it, and the runner wants to see it.
func (e *contextEnd) over() bool {
	_, err := e.context.Engine().ExportKeyingMaterial("over", nil, 1)
	return err != nil && !errors.Is(err, hermetic.ErrInvalidOperation)
}

// repeat repeats an operation until it neither waits for the transport nor for an
// answer.
func (e *contextEnd) repeat(op func() error) error {
	for {
		err := op()
		switch {
		case err == hermetic.ErrWantRead || err == hermetic.ErrWantWrite && !e.stuck:
		case err == hermetic.ErrPending:
			if err := e.settle(op); err != nil {
				return err
			}
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errCut
		default:
			return err
		}
	}
}

// settle answers the question that has stopped op.
func (e *contextEnd) settle(op func() error) error {
	p := e.context.Engine().Pending()
	if p == nil {
		return errors.New("ErrPending without a question")
	}
	if _, ok := p.(*hermetic.SignRequest); ok && e.o.privateKeyDelay > 0 && !e.delayed {
		e.delayed = true
		e.advanceClock(time.Duration(e.o.privateKeyDelay)*time.Millisecond, e.context.Engine())
		return nil // op sends what is due, and stops here again
	}
	e.delayed = false
	return e.answer(p)
}

func (e *contextEnd) state() hermetic.ConnectionState { return e.context.Engine().State() }

func (e *contextEnd) handshake() error {
	if e.early.possible {
		return e.early.begin()
	}
	return e.repeat(e.context.Handshake)
}

func (e *contextEnd) read(n int) ([]byte, error) {
	if b, err := e.early.read(n); b != nil || err != nil {
		return b, err
	}
	buf := make([]byte, n)
	err := e.repeat(func() (err error) {
		n, err = e.context.Read(buf)
		return err
	})
	return buf[:n], err
}

func (e *contextEnd) write(b []byte) error {
	if len(e.held) > 0 {
		e.stuck = false
		held := e.held
		e.held = nil
		if err := e.writeBy(e.heldBy, held); err != nil {
			return err
		}
	}
	if err := e.early.begin(); err != nil {
		return err
	}
	if e.early.possible {
		return e.writeBy(e.context.WriteEarlyData, b)
	}
	return e.writeBy(e.context.Write, b)
}

// writeBy writes all of b.
func (e *contextEnd) writeBy(write func([]byte) (int, error), b []byte) error {
	for first := true; first || len(b) > 0; first = false {
		var n int
		err := e.repeat(func() (err error) {
			n, err = write(b)
			return err
		})
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (e *contextEnd) begin(b []byte) error {
	if err := e.handshake(); err != nil {
		return err
	}
	e.stick(b, e.context.Write)
	return nil
}

// stick begins a write, and lets one byte of it through.
func (e *contextEnd) stick(b []byte, write func([]byte) (int, error)) {
	e.held, e.heldBy = b, write
	e.ready.write = true
	write(b) // want-write, after a byte
	e.stuck = true
}

func (e *contextEnd) earlyRoom() (int, error) {
	engine := e.context.Engine()
	engine.HasOutput() // begins
	for p := engine.Pending(); p != nil; p = engine.Pending() {
		if err := e.answer(p); err != nil {
			return 0, err
		}
	}
	return engine.EarlyDataRoom(), nil
}

func (e *contextEnd) awaitMessage(int) error { return errSteps }

func (e *contextEnd) writeEarly(b []byte) error { return e.writeBy(e.context.WriteEarlyData, b) }

func (e *contextEnd) beginEarly(b []byte) error {
	e.stick(b, e.context.WriteEarlyData)
	e.stuck = false
	held := e.held
	e.held = nil
	return e.writeBy(e.context.WriteEarlyData, held)
}

func (e *contextEnd) close() error { return e.repeat(e.context.Close) }

func (e *contextEnd) control(f func(*hermetic.Engine) error) error { return f(e.context.Engine()) }

// failed: a fatal error resets the context, and the next operation would begin a new
// session.
func (e *contextEnd) failed(fatal error) error {
	var alert *hermetic.AlertError
	if !errors.As(fatal, &alert) && !errors.Is(fatal, hermetic.ErrTimeout) {
		return nil
	}
	switch s := e.state(); {
	case s.HandshakeComplete || s.Version != 0 || s.PeerCertificates != nil:
		return fmt.Errorf("the context is not reset: %+v", s)
	case e.context.Engine().Pending() != nil:
		return errors.New("a question is open after a fatal error")
	}
	return nil
}

func (e *contextEnd) end() {}
