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
	// smallRead is what a connection that waits holds for input: more only once
	// a record is there that needs it.
	smallRead = 576
	// largeRead holds two records, so that reading ahead pays.
	largeRead = 2 * (5 + 16384 + 256)
	// chunk is how much plaintext is sealed, and written, at once.
	chunk = 4 * 16384
	// closeTimeout is how long a close_notify may take to leave.
	closeTimeout = 5 * time.Second
	// maxEmptyReads is how often in a row the transport may return nothing, and no
	// error.
	maxEmptyReads = 100
)

// errCount is a transport's fault that would be ours.
var errCount = errors.New("netconn: the transport returned a number of bytes that cannot be")

var (
	largeReads = sync.Pool{New: func() any { return new([largeRead]byte) }}
	writes     = sync.Pool{New: func() any { return new([]byte) }}
)

// stream is a TLS connection. Locks are taken in the order of the fields: the
// engine's is never held while the transport is waited for. Each of them can be
// waited for with a deadline, for whoever holds it may wait for the transport, or
// for a callback of the Config's.
type stream struct {
	conn   net.Conn
	server bool
	socket bool
	bounds
	done  atomic.Bool // the handshake
	early atomic.Bool // there is early data that is not read yet
	spoke atomic.Bool // WriteEarlyData has written

	handshaking lock

	reading lock // guards the following
	small   [smallRead]byte
	large   *[largeRead]byte // from largeReads, while it is needed
	from    int              // what is not opened yet: buffer()[from:to]
	to      int
	data    []byte        // what is not read yet: aliases the buffer
	readErr error         // the transport's, for good
	flight  chan struct{} // closed when the handshake's flight has left, or not; nil: none is under way

	writing  lock    // guards the following; bytes leave in the order in which they are made
	out      []byte  // what the transport has not taken yet: a part of room
	room     *[]byte // from writes, while out has bytes
	writeErr error   // the transport's, for good

	using     lock // guards the engine, and the following
	engine    *hermetic.Engine
	err       error  // there is no engine
	earlyData []byte // which is read first

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

// abandon ends the connection for a context's sake, unless the handshake is complete.
func (s *stream) abandon(cause error) {
	if s.cancel(fmt.Errorf("netconn: the context of a handshake has ended (%v): %w", cause, net.ErrClosed)) {
		s.shut()
	}
}

// shake performs the handshake, or waits for who does.
func (s *stream) shake() error {
	if err := s.lock(s.handshaking, bothDeadlines); err != nil {
		return err
	}
	defer s.handshaking.unlock()
	return s.steps(s.done.Load)
}

// steps goes on with the handshake until enough. Somebody must hold handshaking.
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

// step sends what the handshake has to send, and takes a record unless it is
// complete. Somebody must hold reading.
func (s *stream) step() error {
	var complete, tickets bool
	var pending hermetic.Pending
	if err := s.use(bothDeadlines, func() {
		s.engine.HasOutput() // a client begins
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

// instead returns why the connection is over, if it is: whatever an operation has met.
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

// open opens the next record, for which it waits. Somebody must hold reading.
//
// What the engine wants to send then is left to the next call that writes, for who
// reads must not wait for a peer that does not. But for an alert: nobody writes after
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

// receive reads what the record lacks, and what else is there.
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

// release gives the large buffer back once nothing is left in it.
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
			return n, os.ErrDeadlineExceeded // a record that is sealed must leave
		}
		part := p[n:min(len(p), n+chunk)]
		if err := s.make(w, func(dst []byte) ([]byte, error) { return seal(dst, part) }); err != nil {
			return n, err
		}
		n += len(part)
	}
}

// make makes bytes that must leave. Somebody must hold writing, and out must be
// empty.
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

// push writes what the transport has not taken. Somebody must hold writing.
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

// lockWriting lets one call write. w is what ends its waits.
func (s *stream) lockWriting(w which) error {
	if err := s.lock(s.writing, w); err != nil {
		return err
	}
	s.writes(w | limit)
	return nil
}

// unlockWriting writes what has come up meanwhile, as far as the transport takes it:
// who has left it to us does not come back. An error meets the next call.
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

// flush writes what the engine has for the peer. Somebody must hold writing.
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

// flushLater writes what the engine has for the peer, or leaves it to who is writing:
// he looks when he has finished.
func (s *stream) flushLater(w which) {
	if s.hasOutput(w) && s.writing.try() {
		s.writes(w | limit)
		s.unlockWriting(w)
	}
}

// sendFlight writes what the handshake has to send, and what a WriteEarlyData has
// left. Who is writing already does it in our place. Somebody must hold reading.
//
// A socket has room for a flight. What else there is, such as net.Pipe, may wait for
// its other end, which may wait for us: so a goroutine writes all but the last flight
// while we read, and, when we have finished, a server's tickets.
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
	s.land() // the one before
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

// land ends the flight that is under way: what has not left goes with the next call.
// Somebody must hold reading.
func (s *stream) land() {
	if s.flight != nil {
		s.recall(true)
		<-s.flight
		s.recall(false)
		s.flight = nil
	}
}

// hasOutput reports that the engine has something to send, and can be asked for it.
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

var errEarlyCloseWrite = errors.New("netconn: CloseWrite before the handshake is complete")

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

// sayGoodbye sends close_notify, and nothing is sent after it. Somebody must hold
// writing.
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
	// After bytes that the transport does not take there is no place for a
	// close_notify.
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

// state waits, before the handshake is complete, no longer than the handshake may: a
// callback of the Config's may use the engine then.
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

// writeBounds are what bounds a call that writes: in the handshake both deadlines.
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
