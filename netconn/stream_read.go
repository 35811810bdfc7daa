package netconn

import (
	"context"
	"io"
	"time"

	"github.com/hermetic-tls/hermetic"
)

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
	for n := 0; ; {
		m := copy(p[n:], s.data)
		n, s.data = n+m, s.data[m:]
		if n == len(p) || n > 0 && !s.more {
			s.release()
			return n, nil
		}
		if err := s.open(readDeadline); err != nil {
			if n > 0 {
				return n, nil // the next call meets the error again
			}
			return 0, err
		}
	}
}

// WriteTo writes data to w from the buffer in which it was opened. It keeps other readers out until
// the end.
func (s *stream) WriteTo(w io.Writer) (n int64, err error) {
	if err := s.handshake(context.Background()); err != nil {
		return 0, err
	}
	if err := s.lock(s.reading, readDeadline); err != nil {
		return 0, s.instead(err)
	}
	defer s.reading.unlock()
	for {
		switch err := s.await(); {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, s.instead(err)
		}
		m, err := writeAll(w, s.data)
		n, s.data = n+int64(m), s.data[m:]
		s.release()
		if err != nil {
			return n, err // of w, whatever it is: also io.EOF
		}
	}
}

// await waits for data. The caller holds reading.
func (s *stream) await() error {
	for {
		if err := s.over(); err != nil || len(s.data) > 0 {
			return err
		}
		read := s.open
		if s.early.Load() {
			read = s.readAllEarly
		}
		if err := read(readDeadline); err != nil {
			return err
		}
	}
}

// writeAll writes b to w, whose count it does not trust.
func writeAll(w io.Writer, b []byte) (int, error) {
	n, err := w.Write(b)
	switch {
	case n < 0 || n > len(b):
		return 0, errWriter
	case err == nil && n < len(b):
		err = io.ErrShortWrite
	}
	return n, err
}

// open waits for the next record and opens it, and the small ones after it that have arrived
// too. The caller holds reading.
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
			s.more = missing == 0
			s.release()
			return nil
		}
		if err := s.receive(missing); err != nil {
			return err
		}
	}
}

// openRecord calls the engine's OpenAll.
func (s *stream) openRecord(in []byte, w which) (o hermetic.Opened, missing int, err error) {
	if err := s.use(w, func() {
		if o, err = s.engine.OpenAll(in); err != nil {
			err = s.stranger(err)
		}
		s.fed = s.fed || o.N > 0
		s.used = s.used || s.fed
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
		_, stranger := err.(*strangerError)
		if s.fail(err, time.Now().Add(closeTimeout)) && !stranger {
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
	if s.large == nil && (s.filled || s.to-s.from+missing > smallRead) {
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
		s.filled = n > 0 && n == len(room)
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
