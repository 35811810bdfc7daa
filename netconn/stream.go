package netconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hermetic-tls/hermetic"
)

const (
	// smallRead is the input buffer of a connection that waits. A larger one is used
	// only while a record needs it.
	smallRead = 576
	// largeRead holds two records, so that reading ahead pays.
	largeRead = 2 * (5 + 16384 + 256)
	// chunk is how much plaintext is sealed and written at once.
	chunk = 4 * 16384
	// closeTimeout is how long a close_notify may take to leave.
	closeTimeout = 5 * time.Second
	// maxEmptyReads is how often in a row the transport may return nothing, and no
	// error.
	maxEmptyReads = 100
)

// Errors for a broken transport or writer, instead of a panic.
var (
	errCount  = errors.New("netconn: the transport returned an invalid byte count")
	errWriter = errors.New("netconn: the writer returned an invalid byte count")
)

var (
	largeReads = sync.Pool{New: func() any { return new([largeRead]byte) }}
	writes     = sync.Pool{New: func() any { return new([]byte) }}
)

// stream is a TLS connection. Locks are taken in the order of the fields. The
// engine's is never held while a goroutine waits for the transport. Each lock can be
// waited for with a deadline, because its holder may wait for the transport or for a
// callback of the Config.
type stream struct {
	conn   net.Conn
	server bool
	socket bool
	bounds
	beginning
	done  atomic.Bool // the handshake
	early atomic.Bool // early data is not read yet
	spoke atomic.Bool // WriteEarlyData has written

	handshaking lock

	reading lock // guards the following
	small   [smallRead]byte
	large   *[largeRead]byte // from largeReads, while needed
	from    int              // buffer()[from:to] is not opened yet
	to      int
	data    []byte        // plaintext not read yet: aliases the buffer, unless it is early data
	more    bool          // the next record is in the buffer
	filled  bool          // by the transport's last read: there may be more
	readErr error         // the transport's, final
	flight  chan struct{} // closed when the write of the handshake's flight has ended; nil: there is none

	writing  lock    // guards the following; bytes leave in the order in which they are made
	out      []byte  // not taken by the transport yet: a part of room
	room     *[]byte // from writes, while out has bytes
	writeErr error   // the transport's, final

	using     lock // guards the engine, and the following
	engine    *hermetic.Engine
	err       error  // why there is no engine
	earlyData []byte // is read first

	closing  sync.Once // of conn
	closeErr error
}

func newStream(conn net.Conn, mode hermetic.Mode, common *handshakes) *stream {
	s := &stream{conn: conn, server: mode.IsServer(), handshaking: newLock(), reading: newLock(), writing: newLock(), using: newLock()}
	_, s.socket = conn.(syscall.Conn)
	s.bounds.transport, s.bounds.ended = conn, make(chan struct{})
	s.common = common
	s.engine, s.err = s.newEngine(common.cfg)
	return s
}

// newEngine returns an engine for this side of the connection.
func (s *stream) newEngine(cfg *hermetic.Config) (*hermetic.Engine, error) {
	mode := hermetic.TLSClient
	if s.server {
		mode = hermetic.TLSServer
	}
	e, err := newEngine(mode, cfg)
	if err == nil && s.server {
		e.SetConn(s.conn)
	}
	return e, err
}

func (s *stream) handshake(ctx context.Context) error {
	switch {
	case s.done.Load():
		return nil
	case s.err != nil:
		return s.err
	}
	return s.limited(ctx, s.shake)
}

// shake performs the handshake, or waits for the goroutine that does.
func (s *stream) shake(ctx context.Context) error {
	if err := s.lock(s.handshaking, bothDeadlines); err != nil {
		return err
	}
	defer s.handshaking.unlock()
	return s.steps(ctx, s.done.Load)
}

// steps continues the handshake until enough. The caller holds handshaking.
func (s *stream) steps(ctx context.Context, enough func() bool) error {
	if enough() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx) // that of callbacks ends with the handshake, as in crypto/tls
	defer cancel()
	if err := s.use(bothDeadlines, func() { s.ctx = ctx; s.engine.SetContext(ctx) }); err != nil {
		return err
	}
	if err := s.lock(s.reading, bothDeadlines); err != nil {
		return err
	}
	defer s.reading.unlock()
	s.reads(bothDeadlines)
	defer s.reads(0)
	defer s.land()
	for !enough() {
		if err := s.step(); err != nil {
			return cmp.Or(s.unsent(), err)
		}
	}
	return nil
}

// step sends the handshake's output, and opens a record unless the handshake is
// complete. The caller holds reading.
func (s *stream) step() error {
	var complete, tickets bool
	var state hermetic.ConnectionState
	var pending hermetic.Pending
	if err := s.use(bothDeadlines, func() {
		s.used = s.engine.HasOutput() || s.used // a client starts
		complete, pending = s.engine.HandshakeComplete(), s.engine.Pending()
		if complete {
			s.ctx, state = nil, s.engine.State()
			tickets = s.server && state.Version == tls.VersionTLS13
		}
	}); err != nil {
		return err
	}
	if s.socket || !tickets {
		if err := s.sendFlight(complete); err != nil {
			return err
		}
	}
	switch {
	case complete:
		if err := s.establish(); err != nil {
			return err
		}
		s.http2.Store(state.NegotiatedProtocol == protoHTTP2)
		s.done.Store(true)
		if tickets && !s.socket {
			go s.flushLater(writeDeadline)
		}
		return nil
	case pending != nil:
		return errPending
	}
	return s.open(bothDeadlines)
}

// instead returns why the connection is over, if it is, in place of an operation's error.
func (s *stream) instead(err error) error {
	if err != nil {
		if over := s.over(); over != nil {
			return over
		}
	}
	return err
}

// use calls f, which may use the engine.
func (s *stream) use(w which, f func()) error {
	if err := s.lock(s.using, w); err != nil {
		return err
	}
	defer s.using.unlock()
	f()
	return nil
}

var errEarlyCloseWrite = fmt.Errorf("netconn: CloseWrite before the handshake is complete: %w", hermetic.ErrInvalidOperation)

func (s *stream) closeWrite() error {
	switch {
	case s.over() != nil:
		return s.over()
	case s.err != nil:
		return s.err
	case !s.done.Load():
		return errEarlyCloseWrite
	}
	if err := s.lockWriting(writeDeadline); err != nil {
		return s.instead(err)
	}
	defer s.unlockWriting(writeDeadline)
	return s.instead(s.sayGoodbye(writeDeadline))
}

// sayGoodbye sends close_notify; nothing is sent after it. The caller holds writing.
func (s *stream) sayGoodbye(w which) error {
	if err := s.use(w, s.engine.Close); err != nil {
		return err
	}
	return s.flush(w)
}

func (s *stream) Close() error {
	if !s.end(net.ErrClosed, time.Now().Add(closeTimeout)) {
		return net.ErrClosed
	}
	s.left()
	// A close_notify cannot follow bytes that the transport does not take.
	if (s.done.Load() || s.spoke.Load()) && s.writing.try() {
		if len(s.out) == 0 {
			s.writes(limit)
			s.sayGoodbye(limit)
		}
		s.writing.unlock()
	}
	return s.shut()
}

// shut closes the transport, once.
func (s *stream) shut() error {
	s.closing.Do(func() { s.closeErr = s.conn.Close() })
	return s.closeErr
}

// state waits no longer than the handshake may: until it is complete, a callback of the
// Config may use the engine.
func (s *stream) state() hermetic.ConnectionState {
	if s.err != nil {
		return hermetic.ConnectionState{}
	}
	if s.done.Load() {
		s.using <- struct{}{}
	} else if s.lock(s.using, bothDeadlines) != nil {
		return hermetic.ConnectionState{}
	}
	defer s.using.unlock()
	return s.engine.State()
}

func (s *stream) control(f func(*hermetic.Engine) error) (err error) {
	if s.err != nil {
		return s.err
	}
	if over := s.over(); errors.Is(over, net.ErrClosed) {
		return over
	}
	if err := s.use(s.writeBounds(), func() {
		s.used = true
		err = f(s.engine)
	}); err != nil {
		return s.instead(err)
	}
	if s.done.Load() {
		s.flushLater(writeDeadline)
	}
	return err
}

// writeBounds returns what bounds a call that writes: during the handshake, both deadlines.
func (s *stream) writeBounds() which {
	if s.done.Load() {
		return writeDeadline
	}
	return bothDeadlines
}

func (s *stream) SetDeadline(t time.Time) error      { return s.set(bothDeadlines, t) }
func (s *stream) SetReadDeadline(t time.Time) error  { return s.set(readDeadline, t) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.set(writeDeadline, t) }

func (s *stream) LocalAddr() net.Addr  { return s.conn.LocalAddr() }
func (s *stream) RemoteAddr() net.Addr { return s.conn.RemoteAddr() }
func (s *stream) netConn() net.Conn    { return s.conn }

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
