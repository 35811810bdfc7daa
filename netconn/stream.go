package netconn

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
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
)

var (
	largeReads = sync.Pool{New: func() any { return new([largeRead]byte) }}
	writes     = sync.Pool{New: func() any { return new([]byte) }}
)

// stream is a TLS connection. Locks are taken in the order of the fields: the
// engine's is never held while the transport is waited for.
type stream struct {
	conn     net.Conn
	done     atomic.Bool // the handshake
	closed   atomic.Bool
	deadline atomic.Pointer[time.Time] // of writes

	handshaking sync.Mutex

	reading sync.Mutex // guards the following
	small   [smallRead]byte
	large   *[largeRead]byte // from largeReads, while it is needed
	from    int              // what is not opened yet: buffer()[from:to]
	to      int
	data    []byte // what is not read yet: aliases the buffer
	early   []byte // early data, which is read first
	readErr error  // the transport's, for good

	writing  sync.Mutex // guards the following; bytes leave in the order in which they are made
	out      []byte     // what the transport has not taken yet: a part of room
	room     *[]byte    // from writes, while out has bytes
	writeErr error      // the transport's, for good

	mu     sync.Mutex // guards the engine
	engine *hermetic.Engine
	err    error // there is no engine
}

func newStream(conn net.Conn, mode hermetic.Mode, cfg *hermetic.Config) *stream {
	s := &stream{conn: conn}
	s.engine, s.err = newEngine(mode, cfg)
	return s
}

func (s *stream) handshake(ctx context.Context) error {
	switch {
	case s.done.Load():
		return nil
	case s.err != nil:
		return s.err
	}
	s.handshaking.Lock()
	defer s.handshaking.Unlock()
	if s.done.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		s.conn.Close()
		return err
	}
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	err := s.shake()
	if !stop() {
		return ctx.Err()
	}
	return s.orClosed(err)
}

func (s *stream) shake() error {
	s.reading.Lock()
	defer s.reading.Unlock()
	for !s.done.Load() {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

// step sends what the handshake has to send, and takes a record unless it is
// complete. Somebody must hold reading.
func (s *stream) step() error {
	if err := s.flush(); err != nil {
		return err
	}
	s.mu.Lock()
	complete, pending := s.engine.HandshakeComplete(), s.engine.Pending()
	s.mu.Unlock()
	switch {
	case complete:
		s.done.Store(true)
		return nil
	case pending != nil:
		return errPending
	}
	return s.open()
}

// orClosed: whatever an operation has met, after Close it is net.ErrClosed.
func (s *stream) orClosed(err error) error {
	if err != nil && s.closed.Load() {
		return net.ErrClosed
	}
	return err
}

func (s *stream) Read(p []byte) (int, error) {
	if err := s.handshake(context.Background()); err != nil {
		return 0, err
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(s.early) > 0 {
		return s.takeEarly(p), nil
	}
	for len(s.data) == 0 {
		if err := s.open(); err != nil {
			return 0, s.orClosed(err)
		}
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	s.release()
	return n, nil
}

// open opens the next record, for which it waits. Somebody must hold reading.
func (s *stream) open() error {
	for {
		in := s.buffer()[s.from:s.to]
		s.mu.Lock()
		o, err := s.engine.Open(in)
		missing := s.engine.Missing(in[o.N:])
		answers := s.engine.HandshakeComplete() && s.engine.HasOutput()
		s.mu.Unlock()
		s.from += o.N
		switch {
		case err == hermetic.ErrPending:
			return errPending
		case err == hermetic.ErrClosed:
			return io.EOF
		case err != nil:
			s.sendAlert()
			return err
		case o.N > 0 && o.Kind == hermetic.KindEarlyData:
			s.early = append(s.early, o.Data...)
		case o.N > 0:
			s.data = o.Data
		}
		if o.N > 0 {
			s.release()
			if answers {
				s.flushLater()
			}
			return nil
		}
		if err := s.receive(missing); err != nil {
			return err
		}
	}
}

// sendAlert sends the alert that is owed, and waits no longer than a Close.
func (s *stream) sendAlert() {
	s.conn.SetWriteDeadline(time.Now().Add(closeTimeout)) // nothing is written after it
	s.flushLater()
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
	n, err := s.conn.Read(s.buffer()[s.to:])
	s.to += n
	switch {
	case n > 0 || err == nil:
		return nil
	case err == io.EOF:
		s.readErr = io.ErrUnexpectedEOF
		return s.readErr
	case !isTimeout(err):
		s.readErr = err
	}
	return err
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

func (s *stream) Write(p []byte) (n int, err error) {
	if err := s.handshake(context.Background()); err != nil {
		return 0, err
	}
	s.writing.Lock()
	n, err = s.write(p, s.engine.Seal)
	s.writing.Unlock()
	s.flushLater()
	return n, s.orClosed(err)
}

func (s *stream) write(p []byte, seal func(dst, data []byte) ([]byte, error)) (n int, err error) {
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	for {
		if err := s.push(); err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		if t := s.deadline.Load(); t != nil && !t.IsZero() && !time.Now().Before(*t) {
			return n, os.ErrDeadlineExceeded // a record that is sealed must leave
		}
		part := p[n:min(len(p), n+chunk)]
		if err := s.make(func(dst []byte) ([]byte, error) { return seal(dst, part) }); err != nil {
			return n, err
		}
		n += len(part)
	}
}

// make makes bytes that must leave. Somebody must hold writing, and out must be
// empty.
func (s *stream) make(f func(dst []byte) ([]byte, error)) error {
	s.room = writes.Get().(*[]byte)
	s.mu.Lock()
	out, err := f((*s.room)[:0])
	s.mu.Unlock()
	*s.room = out[:0]
	s.out = out
	s.dropRoom()
	return err
}

// push writes what the transport has not taken. Somebody must hold writing.
func (s *stream) push() error {
	if len(s.out) == 0 {
		return nil
	}
	if s.writeErr != nil {
		return s.writeErr
	}
	n, err := s.conn.Write(s.out)
	s.out = s.out[n:]
	s.dropRoom()
	if err != nil && !isTimeout(err) {
		s.writeErr = err
	}
	return err
}

func (s *stream) dropRoom() {
	if len(s.out) == 0 && s.room != nil {
		writes.Put(s.room)
		s.out, s.room = nil, nil
	}
}

// flush writes what the engine has for the peer.
func (s *stream) flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.flushNow()
}

func (s *stream) flushNow() error {
	for {
		if err := s.push(); err != nil {
			return err
		}
		if !s.hasOutput() {
			return nil
		}
		if err := s.make(func(dst []byte) ([]byte, error) { return s.engine.Output(dst), nil }); err != nil {
			return err
		}
	}
}

// flushLater writes what the engine has for the peer, or leaves it to who is
// writing: he looks when he has finished.
func (s *stream) flushLater() {
	for s.hasOutput() && s.writing.TryLock() {
		s.flushNow() // its error meets the next Write
		s.writing.Unlock()
	}
}

func (s *stream) hasOutput() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.HasOutput()
}

var errEarlyCloseWrite = errors.New("netconn: CloseWrite before the handshake is complete")

func (s *stream) closeWrite() error {
	switch {
	case s.closed.Load():
		return net.ErrClosed
	case !s.done.Load():
		return errEarlyCloseWrite
	}
	s.mu.Lock()
	s.engine.Close()
	s.mu.Unlock()
	return s.orClosed(s.flush())
}

func (s *stream) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	// Behind bytes that the transport does not take there is no place for a
	// close_notify.
	if s.done.Load() && s.writing.TryLock() {
		if len(s.out) == 0 {
			s.mu.Lock()
			s.engine.Close()
			s.mu.Unlock()
			s.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
			s.flushNow()
		}
		s.writing.Unlock()
	}
	return s.conn.Close()
}

func (s *stream) state() hermetic.ConnectionState {
	if s.err != nil {
		return hermetic.ConnectionState{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.State()
}

func (s *stream) control(f func(*hermetic.Engine) error) error {
	switch {
	case s.closed.Load():
		return net.ErrClosed
	case s.err != nil:
		return s.err
	}
	s.mu.Lock()
	err := f(s.engine)
	s.mu.Unlock()
	if s.done.Load() {
		s.flushLater()
	}
	return err
}

func (s *stream) SetDeadline(t time.Time) error {
	s.deadline.Store(&t)
	return s.conn.SetDeadline(t)
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.deadline.Store(&t)
	return s.conn.SetWriteDeadline(t)
}

func (s *stream) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }
func (s *stream) LocalAddr() net.Addr               { return s.conn.LocalAddr() }
func (s *stream) RemoteAddr() net.Addr              { return s.conn.RemoteAddr() }
func (s *stream) netConn() net.Conn                 { return s.conn }

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
