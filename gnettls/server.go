// Package gnettls serves TLS from a gnet event loop: an ordinary
// gnet.EventHandler sees plaintext, through the same gnet.Conn methods, and
// knows nothing of TLS. No connection costs a goroutine or a timer, and records
// are opened in place in gnet's own buffers.
//
//	err := gnettls.Run(handler, "tcp://:443", config, gnet.WithMulticore(true))
//
// OnOpen is called when the handshake is complete, OnTraffic with plaintext,
// OnClose once for every OnOpen, with nil after the peer's close_notify and
// [io.ErrUnexpectedEOF] when there was none.
package gnettls

import (
	"io"
	"net"
	"os"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/hermetic-tls/hermetic"
)

// Server is an event handler and how it is to be served.
type Server struct {
	Handler gnet.EventHandler
	Config  *hermetic.Config

	// HandshakeTimeout is how long a handshake may take. Zero: 10 seconds.
	// Negative: for ever.
	HandshakeTimeout time.Duration

	// OnPending is called with the questions that Config.Async leaves to the
	// caller, on the event loop: it must not block. The answer is given
	// inside of [Answer], from any goroutine.
	OnPending func(c gnet.Conn, p hermetic.Pending)

	// OnFailure is called when a handshake has failed, of which Handler does not hear,
	// on the event loop: it must not block. err is [os.ErrDeadlineExceeded] after
	// HandshakeTimeout, and [io.ErrUnexpectedEOF] when the peer has gone.
	OnFailure func(peer net.Addr, err error)
}

// HalfCloser is what a handler may be beside a gnet.EventHandler, if it has
// something to say after the peer's close_notify: OnHalfClose takes the place
// of the immediate close, and the handler closes the connection itself.
type HalfCloser interface {
	OnHalfClose(c gnet.Conn) gnet.Action
}

// Run serves handler over TLS at addr until the engine stops.
func Run(handler gnet.EventHandler, addr string, config *hermetic.Config, opts ...gnet.Option) error {
	return (&Server{Handler: handler, Config: config}).Run(addr, opts...)
}

// Run serves TLS at addr until the engine stops. What is wrong with the Config
// is reported before anything is opened.
func (s *Server) Run(addr string, opts ...gnet.Option) error {
	if s.Config != nil && s.Config.MaxEarlyData > 0 {
		return errEarlyData
	}
	if _, err := hermetic.NewEngine(hermetic.TLSServer, s.Config); err != nil {
		return err
	}
	given := new(gnet.Options)
	for _, o := range opts {
		o(given)
	}
	return gnet.Run(s.events(given.Ticker), addr, append(opts, gnet.WithTicker(true))...)
}

// events is the handler that gnet sees.
func (s *Server) events(ticks bool) *events {
	timeout := s.HandshakeTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	return &events{server: s, inner: s.Handler, ticks: ticks, handshakes: handshakes{timeout: timeout}}
}

type events struct {
	server     *Server
	inner      gnet.EventHandler
	ticks      bool      // the inner handler wants OnTick
	nextTick   time.Time // of the inner handler
	handshakes handshakes
}

func (e *events) OnBoot(eng gnet.Engine) gnet.Action { return e.inner.OnBoot(eng) }
func (e *events) OnShutdown(eng gnet.Engine)         { e.inner.OnShutdown(eng) }

// OnOpen begins a handshake. The inner handler hears of the connection when it
// is complete.
func (e *events) OnOpen(raw gnet.Conn) ([]byte, gnet.Action) {
	engine, err := hermetic.NewEngine(hermetic.TLSServer, e.server.Config)
	if err != nil {
		return nil, gnet.Close // Run has checked the Config
	}
	c := &conn{Conn: raw, events: e, engine: engine}
	raw.SetContext(c)
	e.handshakes.add(c, time.Now())
	return nil, gnet.None
}

// OnTraffic opens the records that have come.
func (e *events) OnTraffic(raw gnet.Conn) gnet.Action {
	c, ok := raw.Context().(*conn)
	if !ok {
		return gnet.Close
	}
	in, err := raw.Peek(-1)
	if err != nil {
		return gnet.None
	}
	used, action := c.open(in)
	if used > 0 {
		raw.Discard(used)
	}
	return c.finish(action)
}

// OnClose tells the inner handler, if it knows of the connection.
func (e *events) OnClose(raw gnet.Conn, err error) gnet.Action {
	c, ok := raw.Context().(*conn)
	if !ok {
		return gnet.None
	}
	e.handshakes.remove(c)
	if !c.opened {
		e.failed(c)
		return gnet.None
	}
	switch {
	case c.err != nil:
		err = c.err
	case c.closed:
		err = nil
	case err != nil:
		err = io.ErrUnexpectedEOF
	}
	return e.inner.OnClose(c, err)
}

// failed tells of a handshake that was not completed.
func (e *events) failed(c *conn) {
	if e.server.OnFailure == nil {
		return
	}
	err := c.err
	switch {
	case err != nil:
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		err = os.ErrDeadlineExceeded
	default:
		err = io.ErrUnexpectedEOF
	}
	e.server.OnFailure(c.RemoteAddr(), err)
}

// OnTick ends the handshakes that stall, and ticks for the inner handler.
func (e *events) OnTick() (time.Duration, gnet.Action) {
	const pace = time.Second
	now := time.Now()
	e.handshakes.expire(now)
	if !e.ticks {
		return pace, gnet.None
	}
	action := gnet.None
	if !now.Before(e.nextTick) {
		var delay time.Duration
		delay, action = e.inner.OnTick()
		e.nextTick = now.Add(delay)
	}
	return min(pace, max(0, e.nextTick.Sub(now))), action
}

// State describes the TLS connection below c, which OnOpen, OnTraffic or
// OnClose were called with.
func State(c gnet.Conn) (hermetic.ConnectionState, bool) {
	if c, ok := c.(*conn); ok {
		return c.engine.State(), true
	}
	return hermetic.ConnectionState{}, false
}

// Answer runs answer, which answers a question of OnPending, on c's event loop,
// and goes on with the handshake. It may be called from any goroutine.
func Answer(c gnet.Conn, answer func()) error {
	tls, ok := c.(*conn)
	if !ok {
		return errNotTLS
	}
	return tls.execute(func() gnet.Action {
		answer()
		return tls.events.OnTraffic(tls.Conn)
	})
}
