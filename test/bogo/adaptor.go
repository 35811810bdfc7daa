package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// wire is the runner's socket. Over DTLS the runner's packet adaptor keeps datagrams
// apart, and sends what happens to the network: its clock advances, the MTU changes.
type wire struct {
	net.Conn
	in       *bufio.Reader
	received struct{ acks, parts bool } // without protection: ACKs, and parts of messages
}

// dial connects to the runner.
func dial(o *options) (*wire, error) {
	host := "127.0.0.1"
	if o.ipv6 {
		host = "::1"
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(o.port)))
	if err != nil {
		return nil, err
	}
	_, err = conn.Write(binary.LittleEndian.AppendUint64(nil, uint64(o.shimID)))
	return &wire{Conn: conn, in: bufio.NewReaderSize(conn, 1<<15)}, err
}

func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

// hangUp closes our direction and drains the other, so that nothing sent is
// lost to a reset.
func (w *wire) hangUp() {
	w.Conn.(*net.TCPConn).CloseWrite()
	w.SetReadDeadline(time.Now().Add(5 * time.Second))
	io.Copy(io.Discard, w.Conn)
	w.Conn.Close()
}

// writePacket sends a datagram.
func (w *wire) writePacket(d []byte) error {
	b := binary.BigEndian.AppendUint32([]byte{'P'}, uint32(len(d)))
	_, err := w.Write(append(b, d...))
	return err
}

// event is what the packet adaptor sends in place of a datagram.
type event struct {
	op    byte
	value uint64
}

// The adaptor's opcodes.
const (
	opPacket  = 'P' // a datagram
	opAdvance = 'T' // the clock advances, in nanoseconds; answered with 't'
	opMTU     = 'M' // the MTU, in bytes
	opExpect  = 'E' // the next timeout must be in so many nanoseconds; all ones: there is none
	opTimeout = 'U' // the first timeout of a flight from now on, in milliseconds
)

// never is opExpect's value for no timeout.
const never = 1<<64 - 1

// next reads the next event, and the datagram if it is one.
func (w *wire) next() (e event, packet []byte, err error) {
	if e.op, err = w.in.ReadByte(); err != nil {
		return e, nil, err
	}
	size := 8
	switch e.op {
	case opPacket, opMTU, opTimeout:
		size = 4
	case opAdvance, opExpect:
	default:
		return e, nil, fmt.Errorf("unknown opcode %q", e.op)
	}
	var b [8]byte
	if _, err = io.ReadFull(w.in, b[8-size:]); err != nil {
		return e, nil, err
	}
	e.value = binary.BigEndian.Uint64(b[:])
	if e.op == opPacket {
		packet = make([]byte, e.value)
		_, err = io.ReadFull(w.in, packet)
		w.look(packet)
	}
	return e, packet, err
}

// look notes what an engine without TrustUnprotected treats differently.
func (w *wire) look(packet []byte) {
	const (
		headerLen                       = 13
		handshake, ack                  = 22, 26
		lengthAt, fragmentAt, fragments = headerLen + 1, headerLen + 9, headerLen + 12
	)
	for len(packet) >= headerLen && packet[1] == 0xfe {
		n := headerLen + int(binary.BigEndian.Uint16(packet[11:]))
		if n > len(packet) {
			return
		}
		record := packet[:n]
		packet = packet[n:]
		if binary.BigEndian.Uint16(record[3:]) != 0 {
			continue // protected
		}
		w.received.acks = w.received.acks || record[0] == ack
		whole := record[0] != handshake || n < fragments || bytes.Equal(record[lengthAt:lengthAt+3], record[fragmentAt:fragmentAt+3])
		w.received.parts = w.received.parts || !whole
	}
}

// fudge is how far the runner's idea of a deadline may be from ours.
const fudge = 15 * time.Millisecond

// take handles an event that is no datagram. When the clock advances, the engine may
// have something to send.
func (c *connection) take(e event, engine *hermetic.Engine) error {
	switch e.op {
	case opAdvance:
		if _, err := c.wire.Write([]byte{'t'}); err != nil {
			return err
		}
		c.advanceClock(time.Duration(e.value), engine)
		return nil
	case opMTU:
		return engine.SetMTU(int(e.value))
	case opTimeout:
		return engine.SetRetransmitTimeout(time.Duration(e.value) * time.Millisecond)
	}
	at, ok := engine.Deadline()
	left := max(0, at.Sub(c.kept.now))
	if left < fudge {
		left = 0
	}
	switch {
	case e.value == never && ok:
		return fmt.Errorf("expected no timeout, but there is one in %v", left)
	case e.value != never && !ok:
		return fmt.Errorf("expected a timeout in %v, but there is none", time.Duration(e.value))
	case ok && left != time.Duration(e.value):
		return fmt.Errorf("expected a timeout in %v, but it is in %v", time.Duration(e.value), left)
	}
	return nil
}

// advanceClock advances the runner's clock.
func (c *connection) advanceClock(d time.Duration, engine *hermetic.Engine) {
	c.kept.now = c.kept.now.Add(d)
	if at, ok := engine.Deadline(); ok && at.After(c.kept.now) && at.Sub(c.kept.now) < fudge {
		c.kept.now = at
	}
}
