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
	o       *options
	retry   *options // when early data was rejected
	kept    *sessions
	engine  *hermetic.Engine
	socket  net.Conn
	in      []byte // received, not opened yet
	data    []byte // opened, not read yet
	held    []byte // the rest of a write that is kept unfinished
	records [][]byte
	asked   asked
}

// connect makes the connection that o describes.
func connect(o, retry *options, kept *sessions) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	c := &connection{o: o, retry: retry, kept: kept}
	c.watch(cfg)
	c.keepSessions(cfg)
	mode := hermetic.TLSClient
	if o.server {
		mode = hermetic.TLSServer
	}
	if o.dtls {
		mode += 2
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
	if c.o.dtls {
		for c.engine.HasOutput() {
			if err := c.writePacket(c.engine.Output(nil)); err != nil {
				return err
			}
		}
		return nil
	}
	if out := c.engine.Output(nil); len(out) > 0 {
		_, err := c.socket.Write(out)
		return err
	}
	return nil
}

func (c *connection) writePacket(d []byte) error {
	b := binary.BigEndian.AppendUint32([]byte{'P'}, uint32(len(d)))
	_, err := c.socket.Write(append(b, d...))
	return err
}

func (c *connection) number(size int) (uint64, error) {
	b := make([]byte, 8)
	_, err := io.ReadFull(c.socket, b[8-size:])
	return binary.BigEndian.Uint64(b), err
}

const fudge = 15 * time.Millisecond

func (c *connection) advanceClock(d time.Duration) error {
	c.kept.now = c.kept.now.Add(d)
	if u, ok := c.engine.Deadline(); ok && u.After(c.kept.now) && u.Sub(c.kept.now) < fudge {
		c.kept.now = u
	}
	if err := c.engine.Expire(); err != nil {
		return err
	}
	return c.flush()
}

// receivePacket reads what the runner's packet adaptor sends.
func (c *connection) receivePacket() error {
	op := make([]byte, 1)
	if _, err := io.ReadFull(c.socket, op); err != nil {
		return err
	}
	switch op[0] {
	case 'P':
		n, err := c.number(4)
		if err != nil {
			return err
		}
		c.in = make([]byte, n)
		_, err = io.ReadFull(c.socket, c.in)
		return err
	case 'T':
		n, err := c.number(8)
		if err != nil {
			return err
		}
		if _, err := c.socket.Write([]byte{'t'}); err != nil {
			return err
		}
		return c.advanceClock(time.Duration(n))
	case 'M':
		n, err := c.number(4)
		if err != nil {
			return err
		}
		return c.engine.SetMTU(int(n))
	case 'E':
		n, err := c.number(8)
		if err != nil {
			return err
		}
		u, ok := c.engine.Deadline()
		left := max(0, u.Sub(c.kept.now))
		if left < fudge {
			left = 0
		}
		switch {
		case n == 1<<64-1 && ok:
			return fmt.Errorf("expected no timeout, but there is one in %v", left)
		case n != 1<<64-1 && !ok:
			return fmt.Errorf("expected a timeout in %v, but there is none", time.Duration(n))
		case ok && left != time.Duration(n):
			return fmt.Errorf("expected a timeout in %v, but it is in %v", time.Duration(n), left)
		}
		return nil
	case 'U':
		n, err := c.number(4)
		if err != nil {
			return err
		}
		return c.engine.SetRetransmitTimeout(time.Duration(n) * time.Millisecond)
	}
	return fmt.Errorf("unknown opcode %q", op)
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
		if c.o.dtls {
			if len(o.Data) > 0 {
				c.records = append(c.records, o.Data)
			}
			if o.N > 0 {
				return c.flush()
			}
			if err := c.receivePacket(); err != nil {
				return err
			}
			continue
		}
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
		if c.o.privateKeyDelay > 0 {
			if err := c.advanceClock(time.Duration(c.o.privateKeyDelay) * time.Millisecond); err != nil {
				return err
			}
		}
		return p.Answer(p.Sign(nil, key))
	case *hermetic.VerifyRequest:
		return p.Answer(c.o.judge(&p.State))
	case *hermetic.SessionRequest:
		return p.Answer(c.kept.Get(p.Key), nil)
	case *hermetic.TicketKeysRequest:
		return p.Answer(ticketKeys, nil)
	case *hermetic.PSKRequest:
		return p.Answer(nil, nil)
	case *hermetic.ReplayRequest:
		return p.Answer(true, nil)
	}
	return fmt.Errorf("unknown question %T", p)
}

// read returns up to n bytes of application data.
func (c *connection) read(n int) ([]byte, error) {
	for len(c.data) == 0 {
		if len(c.records) > 0 {
			c.data, c.records = c.records[0], c.records[1:]
			break
		}
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
	return c.writeSealed(out)
}

func (c *connection) writeSealed(out []byte) error {
	if c.o.dtls {
		if err := c.writePacket(out); err != nil {
			return err
		}
		return c.flush()
	}
	_, err := c.socket.Write(out)
	return err
}

// exchange makes the handshake, then echoes what comes, inverted, until the
// peer closes.
func (c *connection) exchange() error {
	early, err := c.sendEarly()
	if err != nil {
		return err
	}
	if !c.o.implicit {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	if err := c.export(); err != nil {
		return err
	}
	if c.o.unfinishedWrite && !early {
		if err := c.beginWrite([]byte(c.o.initialWrite)); err != nil {
			return err
		}
	} else if c.o.writesFirst && !early {
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
	if err := c.checkTicket(); err != nil {
		return err
	}
	return c.shutDown()
}

// handshakeThen is f, after a handshake that an implicit one has put off.
func (c *connection) handshakeThen(f func() error) error {
	for !c.engine.HandshakeComplete() && !c.halfRTT() {
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
	if c.o.dtls {
		size = 1 << 14
	}
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
