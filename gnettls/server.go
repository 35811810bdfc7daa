package gnettls

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/hermetic-tls/hermetic"
)

var (
	errNoHandler = errors.New("gnettls: Server.Handler is nil: set it to your gnet.EventHandler")
	errNoConfig  = errors.New("gnettls: Server.Config is nil: set it, for example to a Config from hermetic.LoadConfig")
)

// Server is an event handler and the options with which it is served.
type Server struct {
	// Handler sees the plaintext of the connections. It is required. It may be a
	// [HalfCloser] as well.
	Handler gnet.EventHandler

	// Config is the configuration of TLS. It is required, and must not be
	// modified while the server runs.
	Config *hermetic.Config

	// HandshakeTimeout is how long a handshake may take. Zero means 10 seconds;
	// a negative value means forever.
	HandshakeTimeout time.Duration

	// MaxPendingInput is how many bytes of input are kept for a connection while
	// a question of OnPending is open: no record can be opened then. A connection
	// that sends more is closed, because gnet cannot be told to stop reading. Zero
	// means 256 KB. One read of gnet (gnet.WithReadBufferCap) may exceed it.
	MaxPendingInput int

	// OnPending is called on the event loop with each question that Config.Async
	// leaves to the caller. It must not block. Answer the question before
	// OnPending returns, or later, from any goroutine, inside [Answer].
	OnPending func(c gnet.Conn, p hermetic.Pending)

	// OnFailure is called on the event loop when a handshake has failed; Handler
	// is not told about it. It must not block. err is [os.ErrDeadlineExceeded]
	// after HandshakeTimeout, [io.ErrUnexpectedEOF] when the peer has disconnected,
	// and [net.ErrClosed] when the connection was closed on this side.
	OnFailure func(peer net.Addr, err error)
}

// HalfCloser is an optional interface of a handler that sends data after the
// peer's close_notify. What the peer sends after its close_notify is discarded.
type HalfCloser interface {
	// OnHalfClose is called, on the event loop, instead of closing the connection,
	// which the handler then closes itself.
	OnHalfClose(c gnet.Conn) gnet.Action
}

// Run serves handler over TLS at addr until the engine stops.
func Run(handler gnet.EventHandler, addr string, config *hermetic.Config, opts ...gnet.Option) error {
	return (&Server{Handler: handler, Config: config}).Run(addr, opts...)
}

// Run serves TLS at addr until the engine stops. Errors of the Server or its
// Config are reported before anything is opened.
func (s *Server) Run(addr string, opts ...gnet.Option) error {
	switch {
	case s.Handler == nil:
		return errNoHandler
	case s.Config == nil:
		return errNoConfig
	case s.Config.MaxEarlyData > 0:
		return errEarlyData
	case strings.HasPrefix(strings.ToLower(addr), "udp"):
		return fmt.Errorf("gnettls: %q: TLS needs a stream: listen at a tcp:// or unix:// address, or use netconn for DTLS", addr)
	}
	if _, err := hermetic.NewEngine(hermetic.TLSServer, s.Config); err != nil {
		return err
	}
	given := new(gnet.Options)
	for _, o := range opts {
		o(given)
	}
	return gnet.Run(s.events(given.Ticker), addr, append(slices.Clip(opts), gnet.WithTicker(true))...)
}

// maxPendingInput is the field's value or default.
func (s *Server) maxPendingInput() int {
	if s.MaxPendingInput == 0 {
		return 256 << 10
	}
	return s.MaxPendingInput
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

	running sync.RWMutex
	stopped bool // the event loops may have ended
}

func (e *events) OnBoot(eng gnet.Engine) gnet.Action { return e.inner.OnBoot(eng) }

// OnShutdown is called before gnet ends its loops.
func (e *events) OnShutdown(eng gnet.Engine) {
	e.inner.OnShutdown(eng)
	e.running.Lock()
	defer e.running.Unlock()
	e.stopped = true
}

// OnOpen starts a handshake. The inner handler is told about the connection when
// the handshake is complete.
func (e *events) OnOpen(raw gnet.Conn) ([]byte, gnet.Action) {
	engine, err := hermetic.NewEngine(hermetic.TLSServer, e.server.Config)
	c := &conn{Conn: raw, events: e, engine: engine, err: err, ctx: raw.Context()}
	if enroll, ok := c.ctx.(*enrolled); ok {
		c.ctx, enroll.conn = enroll.ctx, c
	}
	raw.SetContext(c)
	if err != nil {
		return nil, gnet.Close // Run has checked the Config: it was modified since
	}
	engine.SetConn(raw)
	e.handshakes.add(c, time.Now())
	return nil, gnet.None
}

func (e *events) OnTraffic(raw gnet.Conn) gnet.Action {
	c, ok := raw.Context().(*conn)
	if !ok {
		return gnet.Close // somebody has set the context of gnet's own connection
	}
	return c.traffic()
}

func (e *events) OnClose(raw gnet.Conn, err error) gnet.Action {
	c, ok := raw.Context().(*conn)
	if !ok {
		return gnet.None
	}
	return c.end(err)
}

// OnTick ends the handshakes that stall, and ticks for the inner handler.
func (e *events) OnTick() (time.Duration, gnet.Action) {
	const pace = time.Second
	e.handshakes.expire(time.Now())
	if !e.ticks {
		return pace, gnet.None
	}
	action := gnet.None
	if !time.Now().Before(e.nextTick) {
		var delay time.Duration
		delay, action = e.inner.OnTick()
		e.nextTick = time.Now().Add(delay) // counted from the end of the tick, as with gnet
	}
	return min(pace, max(0, time.Until(e.nextTick))), action
}

// State describes the TLS connection of c, a Conn that OnOpen, OnTraffic or
// OnClose was called with.
func State(c gnet.Conn) (hermetic.ConnectionState, bool) {
	if c, ok := c.(*conn); ok {
		return c.engine.State(), true
	}
	return hermetic.ConnectionState{}, false
}

// Answer runs answer, which answers a question of OnPending, on c's event loop,
// and then continues the handshake. It may be called from any goroutine. If c has
// closed, answer is not run; the error is net.ErrClosed if the close is known by
// then.
func Answer(c gnet.Conn, answer func()) error {
	tls, ok := c.(*conn)
	if !ok {
		return errNotTLS
	}
	return tls.execute(func() gnet.Action {
		answer()
		return tls.finish(tls.receive())
	})
}
