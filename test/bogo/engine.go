package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// errCut is the end of the socket without close_notify.
var errCut = errors.New("the socket has ended without close_notify")

// engineEnd is a connection by the Engine.
type engineEnd struct {
	*connection
	engine  *hermetic.Engine
	in      []byte   // received, not opened yet
	data    []byte   // opened, not read yet
	records [][]byte // the same over DTLS, in order
	held    []byte   // the rest of a write that is kept unfinished
}

func newEngineEnd(c *connection, mode hermetic.Mode, cfg *hermetic.Config) (endpoint, error) {
	engine, err := hermetic.NewEngine(mode, cfg)
	return &engineEnd{connection: c, engine: engine}, err
}

func (e *engineEnd) state() hermetic.ConnectionState { return e.engine.State() }

// flush sends the engine's output.
func (e *engineEnd) flush() error {
	if !e.o.dtls {
		if out := e.engine.Output(nil); len(out) > 0 {
			_, err := e.wire.Write(out)
			return err
		}
		return nil
	}
	for e.engine.HasOutput() {
		if err := e.wire.writePacket(e.engine.Output(nil)); err != nil {
			return err
		}
	}
	return nil
}

// settle answers the questions that the engine has, one after the other.
func (e *engineEnd) settle() error {
	for p := e.engine.Pending(); p != nil; p = e.engine.Pending() {
		if err := e.flush(); err != nil {
			return err
		}
		if _, err := e.engine.Open(nil); err != hermetic.ErrPending {
			return fmt.Errorf("with a question pending, Open returned %v", err)
		}
		if _, ok := p.(*hermetic.SignRequest); ok && e.o.privateKeyDelay > 0 {
			e.advanceClock(time.Duration(e.o.privateKeyDelay)*time.Millisecond, e.engine)
			if err := e.engine.Expire(); err != nil {
				return err
			}
			if err := e.flush(); err != nil {
				return err
			}
		}
		if err := e.answer(p); err != nil {
			return err
		}
	}
	return nil
}

// next opens one record.
func (e *engineEnd) next() error {
	for {
		if err := e.settle(); err != nil {
			return err
		}
		if err := e.flush(); err != nil {
			return err
		}
		o, err := e.engine.Open(e.in)
		if err != nil {
			e.flush()
			return err
		}
		e.in = e.in[o.N:]
		switch {
		case o.N == 0:
			if err := e.receive(); err != nil {
				return err
			}
			continue
		case !e.o.dtls:
			e.data = append(e.data, o.Data...)
		case len(o.Data) > 0:
			e.records = append(e.records, o.Data)
		}
		return e.flush()
	}
}

// receive reads from the socket; with -async a byte at a time, so that the
// engine meets a transport that would block at every place.
func (e *engineEnd) receive() error {
	if e.o.dtls {
		return e.receivePacket()
	}
	size := 1 << 15
	if e.o.async {
		size = 1
	}
	buf := make([]byte, size)
	n, err := e.wire.Read(buf)
	e.in = append(e.in, buf[:n]...)
	switch {
	case n > 0:
		return nil
	case err == io.EOF:
		return errCut
	}
	return err
}

func (e *engineEnd) receivePacket() error {
	ev, packet, err := e.wire.next()
	switch {
	case err == io.EOF:
		return errCut
	case err != nil:
		return err
	case ev.op == opPacket:
		e.in = packet
		return nil
	}
	if err := e.take(ev, e.engine); err != nil {
		return err
	}
	if ev.op != opAdvance {
		return nil
	}
	if err := e.engine.Expire(); err != nil {
		return err
	}
	return e.flush()
}

func (e *engineEnd) handshake() error {
	for !e.engine.HandshakeComplete() && !e.halfRTT() {
		if err := e.next(); err != nil {
			return err
		}
	}
	return e.flush()
}

// halfRTT reports whether a server has accepted early data, and so can write before
// the handshake is complete.
func (e *engineEnd) halfRTT() bool {
	return e.o.server && e.engine.State().EarlyDataAccepted && e.engine.Pending() == nil
}

func (e *engineEnd) read(n int) ([]byte, error) {
	for len(e.data) == 0 {
		if len(e.records) > 0 {
			e.data, e.records = e.records[0], e.records[1:]
			break
		}
		if err := e.next(); err != nil {
			return nil, err
		}
	}
	n = min(n, len(e.data))
	b := e.data[:n:n]
	e.data = e.data[n:]
	return b, nil
}

func (e *engineEnd) write(b []byte) error {
	if err := e.handshake(); err != nil {
		return err
	}
	return e.seal(b, e.engine.Seal)
}

// seal seals b and sends it, after what begin has kept.
func (e *engineEnd) seal(b []byte, seal func(dst, data []byte) ([]byte, error)) error {
	if _, err := e.wire.Write(e.held); err != nil {
		return err
	}
	e.held = nil
	out, err := seal(nil, b)
	switch {
	case err != nil:
		return err
	case e.o.dtls:
		if err := e.wire.writePacket(out); err != nil {
			return err
		}
		return e.flush()
	}
	_, err = e.wire.Write(out)
	return err
}

func (e *engineEnd) begin(b []byte) error {
	if err := e.handshake(); err != nil {
		return err
	}
	out, err := e.engine.Seal(nil, b)
	if err != nil {
		return err
	}
	e.held = out[1:]
	_, err = e.wire.Write(out[:1])
	return err
}

func (e *engineEnd) earlyRoom() (int, error) {
	e.engine.HasOutput() // begins
	if err := e.settle(); err != nil {
		return 0, err
	}
	return e.engine.EarlyDataRoom(), e.flush()
}

// awaitMessage relies on -async, which brings the bytes one by one.
func (e *engineEnd) awaitMessage(typ int) error {
	const serverHello, encryptedExtensions = 2, 8
	for {
		s := e.engine.State()
		switch {
		case typ == serverHello && s.Version != 0, typ == encryptedExtensions && s.EarlyDataAccepted:
			return nil
		case s.HandshakeComplete:
			return fmt.Errorf("the handshake is complete without message %d", typ)
		}
		if err := e.next(); err != nil {
			return err
		}
	}
}

func (e *engineEnd) writeEarly(b []byte) error { return e.seal(b, e.engine.SealEarlyData) }

// beginEarly writes early data that is stuck until the server has answered.
func (e *engineEnd) beginEarly(b []byte) error {
	out, err := e.engine.SealEarlyData(nil, b)
	if err != nil {
		return err
	}
	if _, err := e.wire.Write(out[:1]); err != nil {
		return err
	}
	if err := e.receive(); err != nil {
		return err
	}
	_, err = e.wire.Write(out[1:])
	return err
}

func (e *engineEnd) close() error {
	e.engine.Close()
	return e.flush()
}

func (e *engineEnd) control(f func(*hermetic.Engine) error) error {
	if err := f(e.engine); err != nil {
		return err
	}
	return e.flush()
}

// failed: a fatal error is final, and the alert that is owed is sent once.
func (e *engineEnd) failed(fatal error) error {
	var alert *hermetic.AlertError
	if !errors.As(fatal, &alert) && !errors.Is(fatal, hermetic.ErrTimeout) {
		return nil
	}
	e.flush()
	_, open := e.engine.Open([]byte{23, 3, 3, 0, 1, 0})
	_, seal := e.engine.Seal(nil, []byte("x"))
	for call, err := range map[string]error{"Open": open, "Seal": seal, "Expire": e.engine.Expire(), "KeyUpdate": e.engine.KeyUpdate(hermetic.UpdateNotRequested)} {
		if err == nil || err.Error() != fatal.Error() {
			return fmt.Errorf("the error is not repeated: %s returned %v", call, err)
		}
	}
	if e.engine.HasOutput() {
		return errors.New("there is output after a fatal error and its alert")
	}
	if p := e.engine.Pending(); p != nil {
		return fmt.Errorf("a question is open after a fatal error: %T", p)
	}
	return nil
}

func (e *engineEnd) end() {}
