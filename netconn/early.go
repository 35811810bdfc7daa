package netconn

import (
	"context"
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic"
)

// errEarlyDatagrams: a PacketListener returns a connection after its handshake, and a
// server that asks for cookies rejects early data anyway.
var errEarlyDatagrams = fmt.Errorf("netconn: early data over datagrams is not supported: use an Engine: %w", hermetic.ErrInvalidOperation)

// newEngine is hermetic.NewEngine for what a net.Conn can do.
func newEngine(mode hermetic.Mode, cfg *hermetic.Config) (*hermetic.Engine, error) {
	if cfg != nil && cfg.MaxEarlyData > 0 && mode == hermetic.DTLSServer {
		return nil, &hermetic.ConfigError{Field: "MaxEarlyData", Reason: "netconn does not support early data over datagrams: leave it zero, or use an Engine"}
	}
	return hermetic.NewEngine(mode, cfg)
}

// ReadEarlyData, on a TLS server whose Config has MaxEarlyData, reads early data as it arrives,
// and performs the handshake meanwhile. The data may be a replay: do only what is harmless when
// it is done twice.
//
// io.EOF means that the handshake is complete and there is no more early data: continue with
// Read. Without ReadEarlyData, Read returns early data once the handshake is complete; then it is
// certainly no replay.
func (c *Conn) ReadEarlyData(p []byte) (int, error) { return c.readEarly(p) }

// WriteEarlyData writes before the handshake is complete.
//
// A TLS client sends p as early data. It requires Config.EarlyData and a session that permits
// early data: see [hermetic.Engine.SealEarlyData]. It returns how much of p was taken. Beyond what
// the session permits it is a [hermetic.ErrInvalidOperation], which is not fatal. If the server
// rejects early data, send all of it again:
//
//	n, _ := conn.WriteEarlyData(request)
//	if err := conn.Handshake(); err != nil {
//		return err
//	}
//	if !conn.State().EarlyDataAccepted {
//		n = 0
//	}
//	_, err := conn.Write(request[n:])
//
// On a TLS 1.3 server it replies to early data one round trip before Write could. Unless early
// data was accepted, it is an ErrInvalidOperation until the handshake is complete. The handshake
// continues with Handshake, Read or Write. Close then sends close_notify even if the handshake is
// not complete.
func (c *Conn) WriteEarlyData(p []byte) (int, error) { return c.writeEarly(p) }

func (s *stream) readEarly(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.awaitEarly(p)
	if err == io.EOF {
		return n, err
	}
	return n, s.instead(err)
}

func (s *stream) awaitEarly(p []byte) (int, error) {
	if !s.done.Load() {
		if err := s.limited(context.Background(), s.shakeUntilEarly); err != nil {
			return 0, err
		}
	}
	if !s.early.Load() {
		return 0, io.EOF
	}
	n, err := s.takeEarly(p, readDeadline)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF // another goroutine was faster
	}
	return n, err
}

// shakeUntilEarly is shake, but ends when there is early data.
func (s *stream) shakeUntilEarly(ctx context.Context) error {
	if err := s.lock(s.handshaking, bothDeadlines); err != nil {
		return err
	}
	defer s.handshaking.unlock()
	return s.steps(ctx, func() bool { return s.early.Load() || s.done.Load() })
}

// takeEarly returns early data that has arrived.
func (s *stream) takeEarly(p []byte, w which) (n int, err error) {
	err = s.use(w, func() {
		n = copy(p, s.earlyData)
		if s.earlyData = s.earlyData[n:]; len(s.earlyData) == 0 {
			s.earlyData = nil
			s.early.Store(false)
		}
	})
	return n, err
}

// readAllEarly moves all early data that has arrived to where Read finds it. The caller holds
// reading, and nothing else is left to read.
func (s *stream) readAllEarly(w which) error {
	return s.use(w, func() {
		s.data, s.earlyData = s.earlyData, nil
		s.early.Store(false)
	})
}

// sealEarly runs while the engine is guarded. From then on, setProtocols may not replace it.
func (s *stream) sealEarly(dst, data []byte) ([]byte, error) {
	s.used = true
	return s.engine.SealEarlyData(dst, data)
}

func (s *stream) writeEarly(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.write(p, len(p), s.writeBounds(), func(dst []byte, from, to int) ([]byte, error) { return s.sealEarly(dst, p[from:to]) })
	if n > 0 {
		s.spoke.Store(true)
	}
	return n, s.instead(err)
}
