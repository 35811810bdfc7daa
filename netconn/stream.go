package netconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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

// errCount is the error for a broken transport, instead of a panic.
var errCount = errors.New("netconn: the transport returned an invalid byte count")

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
	done  atomic.Bool // the handshake
	early atomic.Bool // early data is not read yet
	spoke atomic.Bool // WriteEarlyData has written

	handshaking lock

	reading lock // guards the following
	small   [smallRead]byte
	large   *[largeRead]byte // from largeReads, while needed
	from    int              // buffer()[from:to] is not opened yet
	to      int
	data    []byte        // plaintext not read yet: aliases the buffer
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

func newStream(conn net.Conn, mode hermetic.Mode, cfg *hermetic.Config) *stream {
	s := &stream{conn: conn, server: mode.IsServer(), handshaking: newLock(), reading: newLock(), writing: newLock(), using: newLock()}
	_, s.socket = conn.(syscall.Conn)
	s.bounds.transport, s.bounds.ended = conn, make(chan struct{})
	s.engine, s.err = newEngine(mode, cfg)
	return s
}

func (s *stream) handshake(ctx context.Context) error {
	switch {
	case s.done.Load():
		return nil
	case s.err != nil:
		return s.err
	case ctx.Done() == nil:
		return s.instead(s.shake())
	case ctx.Err() != nil:
		s.abandon(ctx.Err())
		return ctx.Err()
	}
	stop := context.AfterFunc(ctx, func() { s.abandon(ctx.Err()) })
	err := s.shake()
	if !stop() && err != nil {
		s.abandon(ctx.Err())
		return ctx.Err()
	}
	return s.instead(err)
}

// abandon ends the connection when a context is done, unless the handshake is complete.
func (s *stream) abandon(cause error) {
	if s.cancel(fmt.Errorf("netconn: the handshake's context is done (%v): %w", cause, net.ErrClosed)) {
		s.shut()
	}
}

// shake performs the handshake, or waits for the goroutine that does.
func (s *stream) shake() error {
	if err := s.lock(s.handshaking, bothDeadlines); err != nil {
		return err
	}
	defer s.handshaking.unlock()
	return s.steps(s.done.Load)
}

// steps continues the handshake until enough. The caller holds handshaking.
func (s *stream) steps(enough func() bool) error {
	if enough() {
		return nil
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
	var pending hermetic.Pending
	if err := s.use(bothDeadlines, func() {
		s.engine.HasOutput() // a client starts
		complete, pending = s.engine.HandshakeComplete(), s.engine.Pending()
		tickets = complete && s.server && s.engine.State().Version == tls.VersionTLS13
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

func (s *stream) Read(p []byte) (int, error) {
	if err := s.handshake(context.Background()); err != nil {
		return 0, err
	}
	if s.early.Load() {
		if n, err := s.takeEarly(p, readDeadline); n > 0 || err != nil {
			return n, s.instead(err)
		}
	}
	n, err := s.read(p)
	return n, s.instead(err)
}

func (s *stream) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, s.over()
	}
	if err := s.lock(s.reading, readDeadline); err != nil {
		return 0, err
	}
	defer s.reading.unlock()
	if err := s.over(); err != nil {
		return 0, err
	}
	for len(s.data) == 0 {
		if err := s.open(readDeadline); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	s.release()
	return n, nil
}

// open waits for the next record and opens it. The caller holds reading.
//
// The engine's output is left to the next call that writes, because a reader must not
// wait for a peer that does not read. An alert is the exception: no call writes after
// it.
func (s *stream) open(w which) error {
	for {
		o, missing, err := s.openRecord(s.buffer()[s.from:s.to], w)
		s.from += o.N
		switch {
		case err != nil:
			return err
		case o.N > 0:
			if o.Kind != hermetic.KindEarlyData {
				s.data = o.Data
			}
			s.release()
			return nil
		}
		if err := s.receive(missing); err != nil {
			return err
		}
	}
}

// openRecord calls the engine's Open.
func (s *stream) openRecord(in []byte, w which) (o hermetic.Opened, missing int, err error) {
	if err := s.use(w, func() {
		o, err = s.engine.Open(in)
		missing = s.engine.Missing(in[o.N:])
		if o.N > 0 && o.Kind == hermetic.KindEarlyData {
			s.earlyData = append(s.earlyData, o.Data...)
			s.early.Store(len(s.earlyData) > 0)
		}
	}); err != nil {
		return o, 0, err
	}
	switch err {
	case nil:
	case hermetic.ErrPending:
		err = errPending
	case hermetic.ErrClosed:
		err = io.EOF
	default:
		if s.fail(err, time.Now().Add(closeTimeout)) {
			s.flushLater(w)
		}
	}
	return o, missing, err
}

// receive reads what the record lacks, and what else is available.
func (s *stream) receive(missing int) error {
	if s.readErr != nil {
		return s.readErr
	}
	buf := s.buffer()
	if s.large == nil && s.to-s.from+missing > smallRead {
		s.large = largeReads.Get().(*[largeRead]byte)
		s.to = copy(s.large[:], buf[s.from:s.to])
		s.from = 0
	} else if s.from > 0 {
		s.to = copy(buf, buf[s.from:s.to])
		s.from = 0
	}
	for range maxEmptyReads {
		room := s.buffer()[s.to:]
		n, err := s.conn.Read(room)
		if n < 0 || n > len(room) {
			n, err = 0, errCount
		}
		s.to += n
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && !isTimeout(err) {
			s.readErr = err
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (s *stream) buffer() []byte {
	if s.large != nil {
		return s.large[:]
	}
	return s.small[:]
}

// release returns the large buffer to the pool once it is empty.
func (s *stream) release() {
	if s.from == s.to && len(s.data) == 0 {
		if s.large != nil {
			largeReads.Put(s.large)
		}
		s.large, s.from, s.to, s.data = nil, 0, 0, nil
	}
}

func (s *stream) Write(p []byte) (int, error) {
	if err := s.handshake(context.Background()); err != nil {
		return 0, err
	}
	n, err := s.write(p, s.engine.Seal, writeDeadline)
	return n, s.instead(err)
}

func (s *stream) write(p []byte, seal func(dst, data []byte) ([]byte, error), w which) (int, error) {
	if err := s.lockWriting(w); err != nil {
		return 0, err
	}
	defer s.unlockWriting(w)
	if err := s.over(); err != nil {
		return 0, err
	}
	for n := 0; ; {
		if err := s.push(); err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		if s.passed(w) {
			return n, os.ErrDeadlineExceeded // a sealed record must leave
		}
		part := p[n:min(len(p), n+chunk)]
		if err := s.make(w, func(dst []byte) ([]byte, error) { return seal(dst, part) }); err != nil {
			return n, err
		}
		n += len(part)
	}
}

// make makes bytes that must leave. The caller holds writing, and out is empty.
func (s *stream) make(w which, f func(dst []byte) ([]byte, error)) (err error) {
	if err := s.use(w, func() {
		s.room = writes.Get().(*[]byte)
		s.out, err = f((*s.room)[:0])
	}); err != nil {
		return err
	}
	*s.room = s.out[:0]
	s.dropRoom()
	return err
}

// push writes what the transport has not taken. The caller holds writing.
func (s *stream) push() error {
	for len(s.out) > 0 {
		if s.writeErr != nil {
			return s.writeErr
		}
		n, err := s.conn.Write(s.out)
		switch {
		case n < 0 || n > len(s.out):
			n, err = 0, errCount
		case err == nil && n == 0:
			return io.ErrNoProgress
		}
		s.out = s.out[n:]
		s.dropRoom()
		if err != nil {
			if !isTimeout(err) {
				s.writeErr = err
			}
			return err
		}
	}
	return nil
}

func (s *stream) dropRoom() {
	if len(s.out) == 0 && s.room != nil {
		writes.Put(s.room)
		s.out, s.room = nil, nil
	}
}

// lockWriting lets one call write. w is what may end its waits.
func (s *stream) lockWriting(w which) error {
	if err := s.lock(s.writing, w); err != nil {
		return err
	}
	s.writes(w | limit)
	return nil
}

// unlockWriting writes what other calls have left to this one, as far as the transport
// takes it: they do not come back. The next call returns an error of this.
func (s *stream) unlockWriting(w which) {
	for {
		ok := len(s.out) == 0 && s.flush(w) == nil
		s.writes(0)
		s.writing.unlock()
		if !ok || !s.hasOutput(w) || !s.writing.try() {
			return
		}
		s.writes(w | limit)
	}
}

// flush writes the engine's output. The caller holds writing.
func (s *stream) flush(w which) error {
	for {
		if err := s.push(); err != nil {
			return err
		}
		if !s.hasOutput(w) {
			return nil
		}
		if err := s.make(w, func(dst []byte) ([]byte, error) { return s.engine.Output(dst), nil }); err != nil {
			return err
		}
		if len(s.out) == 0 {
			return nil
		}
	}
}

// flushLater writes the engine's output, or leaves it to the call that is writing, which
// looks when it has finished.
func (s *stream) flushLater(w which) {
	if s.hasOutput(w) && s.writing.try() {
		s.writes(w | limit)
		s.unlockWriting(w)
	}
}

// sendFlight writes the handshake's output, and what a WriteEarlyData has left. A call
// that is writing already does it instead. The caller holds reading.
//
// A socket has room for a flight. Other transports, such as net.Pipe, may wait for
// their other end, which may wait for us. So a goroutine writes all but the last flight
// while we read, and a server's tickets after the handshake.
func (s *stream) sendFlight(last bool) error {
	if !s.writing.try() {
		if !last && !(s.socket && s.hasOutput(bothDeadlines)) {
			return nil
		}
		if err := s.lock(s.writing, bothDeadlines); err != nil {
			return err
		}
	}
	w := bothDeadlines | recall
	s.writes(w | limit)
	if last || s.socket || len(s.out) == 0 && !s.hasOutput(w) {
		defer s.unlockWriting(w)
		return s.flush(w)
	}
	s.land() // the previous one
	landed := make(chan struct{})
	s.flight = landed
	go func() {
		defer close(landed)
		err := s.flush(w)
		s.unlockWriting(w)
		s.interrupt(err)
	}()
	return nil
}

// land ends the current flight: what has not left goes with the next call. The caller
// holds reading.
func (s *stream) land() {
	if s.flight != nil {
		s.recall(true)
		<-s.flight
		s.recall(false)
		s.flight = nil
	}
}

// hasOutput reports whether the engine has output and is free to be asked for it.
func (s *stream) hasOutput(w which) bool {
	has := false
	s.use(w, func() { has = s.engine.HasOutput() })
	return has
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
	if err := s.use(s.writeBounds(), func() { err = f(s.engine) }); err != nil {
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
