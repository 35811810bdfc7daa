package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// connection drives one engine over the runner's socket.
type connection struct {
	o      *options
	engine *hermetic.Engine
	socket net.Conn
	in     []byte // received, not opened yet
	data   []byte // opened, not read yet
	held   []byte // the rest of a write that is kept unfinished
	asked  asked
}

// connect makes the connection that o describes.
func connect(o *options) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	c := &connection{o: o}
	c.watch(cfg)
	mode := hermetic.TLSClient
	if o.server {
		mode = hermetic.TLSServer
	}
	if c.engine, err = hermetic.NewEngine(mode, cfg); err != nil {
		return fmt.Errorf("%w: %w", errUnimplemented, err)
	}
	host := "127.0.0.1"
	if o.ipv6 {
		host = "::1"
	}
	if c.socket, err = net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(o.port))); err != nil {
		return err
	}
	defer c.hangUp()
	if _, err := c.socket.Write(binary.LittleEndian.AppendUint64(nil, uint64(o.shimID))); err != nil {
		return err
	}
	return c.exchange()
}

// hangUp closes our direction and drains the other, so that nothing sent is
// lost to a reset.
func (c *connection) hangUp() {
	c.socket.(*net.TCPConn).CloseWrite()
	c.socket.SetReadDeadline(time.Now().Add(5 * time.Second))
	io.Copy(io.Discard, c.socket)
	c.socket.Close()
}

// flush sends what the engine has for the peer.
func (c *connection) flush() error {
	if out := c.engine.Output(nil); len(out) > 0 {
		_, err := c.socket.Write(out)
		return err
	}
	return nil
}

// next opens one record. io.EOF is the end of the socket.
func (c *connection) next() error {
	for {
		if err := c.flush(); err != nil {
			return err
		}
		if p := c.engine.Pending(); p != nil {
			if err := c.answer(p); err != nil {
				return err
			}
			continue
		}
		o, err := c.engine.Open(c.in)
		if err != nil {
			c.flush()
			return err
		}
		c.in = c.in[o.N:]
		if o.N > 0 {
			c.data = append(c.data, o.Data...)
			return c.flush()
		}
		if err := c.receive(); err != nil {
			return err
		}
	}
}

// receive reads from the socket; with -async a byte at a time, so that the
// engine meets a transport that would block at every place.
func (c *connection) receive() error {
	size := 1 << 15
	if c.o.async {
		size = 1
	}
	buf := make([]byte, size)
	n, err := c.socket.Read(buf)
	c.in = append(c.in, buf[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// answer answers an asynchronous question.
func (c *connection) answer(p hermetic.Pending) error {
	if _, err := c.engine.Open(nil); err != hermetic.ErrPending {
		return fmt.Errorf("with a question pending, Open returned %v", err)
	}
	switch p := p.(type) {
	case *hermetic.ChooseRequest:
		return c.choose(p)
	case *hermetic.SignRequest:
		key := c.asked.keyOf(p.Certificate)
		return p.Answer(p.Sign(nil, key))
	case *hermetic.VerifyRequest:
		return p.Answer(c.o.judge(&p.State))
	}
	return fmt.Errorf("unknown question %T", p)
}

// read returns up to n bytes of application data.
func (c *connection) read(n int) ([]byte, error) {
	for len(c.data) == 0 {
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	n = min(n, len(c.data))
	b := c.data[:n:n]
	c.data = c.data[n:]
	return b, nil
}

// beginWrite lets only one byte of a write through, until the next write.
func (c *connection) beginWrite(b []byte) error {
	out, err := c.engine.Seal(nil, b)
	if err != nil {
		return err
	}
	c.held = out[1:]
	_, err = c.socket.Write(out[:1])
	return err
}

func (c *connection) write(b []byte) error {
	if _, err := c.socket.Write(c.held); err != nil {
		return err
	}
	c.held = nil
	out, err := c.engine.Seal(nil, b)
	if err != nil {
		return err
	}
	_, err = c.socket.Write(out)
	return err
}

// exchange makes the handshake, then echoes what comes, inverted, until the
// peer closes.
func (c *connection) exchange() error {
	if !c.o.implicit {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	if err := c.export(); err != nil {
		return err
	}
	if c.o.unfinishedWrite {
		if err := c.beginWrite([]byte(c.o.initialWrite)); err != nil {
			return err
		}
	} else if c.o.writesFirst {
		for range c.o.repeatWrite {
			if err := c.handshakeThen(func() error { return c.write([]byte(c.o.initialWrite)) }); err != nil {
				return err
			}
		}
	}
	if !c.o.shutsDown {
		if err := c.echo(); err != nil {
			return err
		}
	}
	return c.shutDown()
}

// handshakeThen is f, after a handshake that an implicit one has put off.
func (c *connection) handshakeThen(f func() error) error {
	for !c.engine.HandshakeComplete() {
		if err := c.next(); err != nil {
			return unexpectedEOF(err)
		}
	}
	return f()
}

func (c *connection) handshake() error {
	err := c.handshakeThen(c.flush)
	if err != nil {
		return err
	}
	return c.check()
}

// unexpectedEOF: the end of the socket is an end only between records.
func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *connection) export() error {
	if c.o.exportLength == 0 {
		return nil
	}
	var context []byte
	if c.o.useExportContext {
		context = []byte(c.o.exportContext)
	}
	material, err := c.engine.ExportKeyingMaterial(c.o.exportLabel, context, c.o.exportLength)
	if err != nil {
		return err
	}
	return c.write(material)
}

func (c *connection) echo() error {
	size := 512
	if c.o.readSize > 0 {
		size = c.o.readSize
	}
	for {
		if c.o.keyUpdateBefore {
			if err := c.engine.KeyUpdate(false); err != nil {
				return err
			}
		}
		b, err := c.read(size)
		switch {
		case err == io.EOF || err == hermetic.ErrClosed:
			if !c.engine.HandshakeComplete() {
				return io.ErrUnexpectedEOF
			}
			return nil
		case err != nil:
			return err
		}
		if c.o.keyUpdate {
			if err := c.engine.KeyUpdate(false); err != nil {
				return err
			}
		}
		for i := range b {
			b[i] ^= 0xff
		}
		if err := c.write(b); err != nil {
			return err
		}
	}
}

// shutDown sends close_notify and waits for the peer's, if the runner looks.
func (c *connection) shutDown() error {
	if !c.o.checkClose {
		return nil
	}
	c.engine.Close()
	if err := c.flush(); err != nil {
		return err
	}
	for {
		err := c.next()
		switch {
		case err == hermetic.ErrClosed:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("unclean shutdown: no close_notify")
		case err != nil:
			return err
		case len(c.data) > 0:
			return errors.New("APPLICATION_DATA_ON_SHUTDOWN")
		}
	}
}
