package hermetic

import (
	"errors"
	"io"
)

var (
	errEarlyReader = &invalidOperation{"invalid operation: only a TLS server's Context reads early data"}
	errEarlyWriter = &invalidOperation{"invalid operation: a DTLS server's Context has no early data to answer"}
)

// ReadEarlyData, on a TLS server whose Config has MaxEarlyData, reads up to len(p) bytes of early
// data as it arrives, and performs the handshake meanwhile. The data may be a replay: do only
// what is harmless when it is done twice.
//
// io.EOF means that the handshake is complete and there is no more early data: continue with
// Read. Without ReadEarlyData, Read returns early data once the handshake is complete; then it
// is certainly no replay.
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

// takeEarly returns early data that has arrived.
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
// A client sends data as early data after its ClientHello. It requires Config.EarlyData and a
// session that permits early data: see [Engine.SealEarlyData]. Beyond what the session permits,
// or after the server has answered, it is an [ErrInvalidOperation]. If the server rejects early
// data, send all of it again:
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
//	if !c.State().EarlyDataAccepted {
//		n = 0
//	}
//	... // Write request[n:]
//
// On a TLS 1.3 server it replies to early data one round trip before Write could. Unless early
// data was accepted, it is an [ErrInvalidOperation] until the handshake is complete. Close ends
// such a reply at once. It ends a client's early data when the handshake is complete, which must
// still be performed.
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
		return 0, ErrPending // the answer may be a session, or keys
	}
	return n, err
}
