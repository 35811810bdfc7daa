package hermetic

import (
	"errors"
	"io"
)

var (
	errEarlyReader = &invalidOperation{"invalid operation: only a TLS server's Context reads early data"}
	errEarlyWriter = &invalidOperation{"invalid operation: a DTLS server's Context has no early data to answer"}
)

// ReadEarlyData reads up to len(p) bytes, on a TLS server whose Config has
// MaxEarlyData, of what the client has sent as early data, as it comes, and performs
// the handshake meanwhile. It may be a replay: only what is harmless when it comes
// twice can be done with it. io.EOF is the end of the handshake, or of early data
// that nobody has read before; from then on there is Read. Without ReadEarlyData,
// Read returns it, when the handshake is complete: that it is no replay is certain
// then.
func (c *Context) ReadEarlyData(p []byte) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	n, err := c.readEarly(p)
	return n, c.leave(err)
}

func (c *Context) readEarly(p []byte) (int, error) {
	if c.engine.mode != TLSServer {
		return 0, errEarlyReader
	}
	for len(c.early) == 0 {
		if c.complete {
			return 0, io.EOF
		}
		if err := c.step(); err != nil {
			return 0, err
		}
	}
	return c.takeEarly(p), nil
}

// takeEarly returns early data that has come.
func (c *Context) takeEarly(p []byte) int {
	n := copy(p, c.early)
	if c.early = c.early[n:]; len(c.early) == 0 {
		c.early = nil
	}
	return n
}

// WriteEarlyData writes before the handshake is complete, at most one record of
// data. As with Write it is repeated after ErrWantWrite, with the same data, and its
// result is how much of that was taken.
//
// A client sends data as early data, behind its ClientHello, as far as a session with
// this server permits it, and with Config.EarlyData: see [Engine.SealEarlyData]. That
// it does not permit any more, or the server has answered, is an ErrInvalidOperation.
// How much was sent does not count when the server has rejected it:
//
//	n := 0
//	for n < len(request) {
//		m, err := c.WriteEarlyData(request[n:])
//		if errors.Is(err, hermetic.ErrInvalidOperation) {
//			break
//		}
//		... // wait for the transport after ErrWantWrite
//		n += m
//	}
//	... // Handshake
//	if !c.Engine().State().EarlyDataAccepted {
//		n = 0
//	}
//	... // Write request[n:]
//
// A TLS 1.3 server answers so what ReadEarlyData has returned, a round trip earlier
// than with Write; without early data that it has accepted, it is an
// ErrInvalidOperation until the handshake is complete. Close ends such an answer at once;
// a client's early data it ends when the handshake is complete, which must still be
// performed.
func (c *Context) WriteEarlyData(data []byte) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	n, err := c.writeEarly(data)
	return n, c.leave(err)
}

func (c *Context) writeEarly(data []byte) (int, error) {
	e := c.engine
	if e.mode == DTLSServer {
		return 0, errEarlyWriter
	}
	// Over TLS the ClientHello and early data leave together.
	if len(c.out) > 0 || e.mode == DTLSClient {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	most := e.MaxData()
	if room := e.EarlyDataRoom(); room > 0 {
		most = min(most, room)
	}
	n, err := c.send(&c.earlyWritten, data, most, e.SealEarlyData)
	c.saidEarly = c.saidEarly || n > 0 || err == ErrWantWrite
	if errors.Is(err, ErrInvalidOperation) && e.Pending() != nil {
		return 0, ErrPending // the answer may bring a session, or keys
	}
	return n, err
}
