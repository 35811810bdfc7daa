package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/hermetic-tls/hermetic"
)

// Why a test cannot run with an API: the test says so, and does not count.
var (
	errClock      = excluded("the runner's clock is used, and netconn has the system's")
	errSteps      = excluded("a Context and netconn do not stop in the middle of a flight")
	errUnfinished = excluded("a write of netconn does not return before it is finished")
)

// excluded is the reason why a test does not apply to an API.
type excluded string

func (e excluded) Error() string { return string(e) }

// connection is one connection with the runner.
type connection struct {
	endpoint
	o       *options
	retry   *options // when early data was rejected
	kept    *sessions
	wire    *wire
	asked   asked
	offered bool // a client has offered early data
	secrets keyLog
}

// connect makes the connection that o describes. The notes are about what an engine
// without TrustUnprotected treats differently.
func connect(o, retry *options, kept *sessions) (notes []string, err error) {
	c := &connection{o: o, retry: retry, kept: kept}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	mode := hermetic.TLSClient
	if o.server {
		mode = hermetic.TLSServer
	}
	if o.dtls {
		mode += 2
	}
	if c.wire, err = dial(o); err != nil {
		return nil, err
	}
	defer c.wire.hangUp()
	if c.endpoint, err = apis[o.api](c, mode, cfg); err != nil {
		return nil, err
	}
	if err = c.exchange(); err != nil {
		err = errors.Join(err, c.failed(err))
	}
	if c.state().Drops.Unprotected > 0 {
		notes = append(notes, noteDropped)
	}
	if err != nil && c.wire.received.acks {
		notes = append(notes, noteACK)
	}
	if err != nil && c.wire.received.parts {
		notes = append(notes, notePart)
	}
	c.end()
	return notes, err
}

// exchange makes the handshake, then echoes what comes, inverted, until the
// peer closes.
func (c *connection) exchange() error {
	written, err := c.early()
	if err != nil {
		return err
	}
	if !c.o.implicit {
		if err := c.handshake(); err != nil {
			return err
		}
		if err := c.check(); err != nil {
			return err
		}
	}
	if err := c.export(); err != nil {
		return err
	}
	if err := c.exportTrafficSecrets(); err != nil {
		return err
	}
	if err := c.sendUnique(); err != nil {
		return err
	}
	switch {
	case written:
	case c.o.unfinishedWrite:
		err = c.begin([]byte(c.o.initialWrite))
	case c.o.writesFirst:
		for range c.o.repeatWrite {
			if err := c.write([]byte(c.o.initialWrite)); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	if !c.o.shutsDown {
		if err := c.echo(); err != nil {
			return err
		}
	}
	if c.o.implicit {
		if err := c.check(); err != nil {
			return err
		}
	}
	if err := c.checkTicket(); err != nil {
		return err
	}
	return c.shutDown()
}

// early sends the first write of a client as early data, if it may, completes the
// handshake, and reports whether nothing of the write is left to do.
func (c *connection) early() (written bool, err error) {
	if c.o.server {
		return false, nil
	}
	room, err := c.earlyRoom()
	switch {
	case err != nil:
		return false, err
	case room > 0 && c.o.expect.noOfferEarly:
		return false, errors.New("early data is offered")
	case room == 0:
		return false, nil
	}
	c.offered = true
	if err := c.export(); err != nil { // there is no exporter yet
		return false, err
	}
	var rest []byte
	if c.o.earlyAfter > 0 {
		if err := c.awaitMessage(c.o.earlyAfter); err != nil {
			return false, err
		}
	}
	if c.o.unfinishedWrite {
		if err := c.beginEarly([]byte(c.o.initialWrite)); err != nil {
			return false, err
		}
	} else if c.o.writesFirst {
		rest = bytes.Repeat([]byte(c.o.initialWrite), c.o.repeatWrite)
		n := min(len(rest), room)
		for piece := range slices.Chunk(rest[:n], len(c.o.initialWrite)) {
			if err := c.writeEarly(piece); err != nil {
				return false, err
			}
		}
		rest = rest[n:]
	}
	if err := c.handshake(); err != nil {
		return false, err
	}
	if !c.state().EarlyDataAccepted {
		if !c.o.expect.rejectEarly {
			return false, errors.New("early data was rejected")
		}
		c.o = c.retry
		return false, nil
	}
	if len(rest) > 0 {
		err = c.write(rest)
	}
	return c.o.writesFirst || c.o.unfinishedWrite, err
}

func (c *connection) export() error {
	if c.o.exportLength == 0 {
		return nil
	}
	var context []byte
	if c.o.useExportContext {
		context = []byte(c.o.exportContext)
	}
	var material []byte
	err := c.control(func(e *hermetic.Engine) (err error) {
		material, err = e.ExportKeyingMaterial(c.o.exportLabel, context, c.o.exportLength)
		return err
	})
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
	update := func(e *hermetic.Engine) error { return e.KeyUpdate(hermetic.UpdateNotRequested) }
	for {
		if c.o.keyUpdateBefore {
			if err := c.control(update); err != nil {
				return err
			}
		}
		b, err := c.read(size)
		switch {
		case (err == errCut || err == hermetic.ErrClosed) && c.state().HandshakeComplete:
			return nil
		case err != nil:
			return err
		}
		if c.o.keyUpdate {
			if err := c.control(update); err != nil {
				return err
			}
		}
		for i := range b {
			b[i] ^= 0xff
		}
		if err := c.write(b); err == errCut {
			return nil // the runner has hung up meanwhile
		} else if err != nil {
			return err
		}
	}
}

// shutDown sends close_notify and waits for the peer's, if the runner looks.
func (c *connection) shutDown() error {
	if !c.o.checkClose {
		return nil
	}
	if err := c.close(); err != nil {
		return err
	}
	switch _, err := c.read(1); err {
	case hermetic.ErrClosed:
		return nil
	case errCut:
		return errors.New("unclean shutdown: no close_notify")
	case nil:
		return errors.New("APPLICATION_DATA_ON_SHUTDOWN")
	default:
		return fmt.Errorf("after close_notify: %w", err)
	}
}
