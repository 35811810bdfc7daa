package netconn

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os"
)

func (s *stream) Write(p []byte) (int, error) {
	if err := s.handshake(context.Background()); err != nil {
		return 0, err
	}
	n, err := s.write(p, len(p), writeDeadline, func(dst []byte, from, to int) ([]byte, error) { return s.engine.Seal(dst, p[from:to]) })
	return n, s.instead(err)
}

func (s *stream) writeBuffers(data [][]byte) (int, error) {
	if err := s.handshake(context.Background()); err != nil {
		return 0, err
	}
	size := 0
	for _, b := range data {
		size += len(b)
	}
	var head []byte
	if s.http2.Load() {
		head = bytes.Join(within(data, 0, headLen), nil)
	}
	n, err := s.write(head, size, writeDeadline, func(dst []byte, from, to int) ([]byte, error) {
		if from == 0 && to == size {
			return s.engine.SealBuffers(dst, data)
		}
		return s.engine.SealBuffers(dst, within(data, from, to))
	})
	return n, s.instead(err)
}

// within returns the bytes of data from one offset to another, as slices.
func within(data [][]byte, from, to int) (parts [][]byte) {
	for _, b := range data {
		if part := b[min(from, len(b)):max(0, min(to, len(b)))]; len(part) > 0 {
			parts = append(parts, part)
		}
		from, to = max(0, from-len(b)), to-len(b)
	}
	return parts
}

// write seals and writes size bytes of data, which begin with head. seal seals the bytes from one
// offset to another.
func (s *stream) write(head []byte, size int, w which, seal func(dst []byte, from, to int) ([]byte, error)) (int, error) {
	if err := s.lockWriting(w); err != nil {
		return 0, err
	}
	defer s.unlockWriting(w)
	if err := cmp.Or(s.over(), s.checkHTTP2(head)); err != nil {
		return 0, err
	}
	for n := 0; ; {
		if err := s.push(); err != nil {
			return n, err
		}
		if n == size {
			return n, nil
		}
		if s.passed(w) {
			return n, os.ErrDeadlineExceeded // a sealed record must leave
		}
		end := min(size, n+chunk)
		if err := s.make(w, func(dst []byte) ([]byte, error) { return seal(dst, n, end) }); err != nil {
			return n, err
		}
		n = end
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
