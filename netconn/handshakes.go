package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// handshakeTimeout is how long a handshake may take, unless the options say otherwise.
const handshakeTimeout = 30 * time.Second

// handshakes are what the handshakes of a listener's streams have in common.
type handshakes struct {
	cfg       *hermetic.Config
	timeout   time.Duration // of each; zero or less: none
	onFailure func(peer net.Addr, err error)

	mu   sync.Mutex
	with map[string]*hermetic.Config // cfg with other NextProtos, by these
}

// offering returns the Config with these NextProtos.
func (h *handshakes) offering(protos []string) *hermetic.Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := strings.Join(protos, "\x00")
	if h.with[key] == nil {
		cfg := h.cfg.Clone()
		cfg.NextProtos = protos
		if h.with == nil {
			h.with = make(map[string]*hermetic.Config)
		}
		h.with[key] = cfg
	}
	return h.with[key]
}

// beginning is what a stream knows of its handshake, besides the engine.
type beginning struct {
	common *handshakes
	fed    bool            // the engine has taken a record; guarded as the engine is, like the next two
	used   bool            // the engine cannot be replaced any longer
	ctx    context.Context // of the handshake under way
	http2  atomic.Bool     // "h2" was agreed on, and nothing has been written yet

	begin    sync.Once
	until    time.Time   // when the handshake is given up, after begin
	begun    atomic.Bool // begin is done
	late     atomic.Bool // a deadline of the user has expired
	reported sync.Once   // to onFailure
}

// errHandshakeTimeout is the end of a handshake that lasts too long.
var errHandshakeTimeout error = handshakeTimeoutError{}

type handshakeTimeoutError struct{}

func (handshakeTimeoutError) Error() string {
	return "netconn: the handshake took too long: the peer does not answer"
}
func (handshakeTimeoutError) Timeout() bool   { return true }
func (handshakeTimeoutError) Temporary() bool { return false }

// limited calls shake, which performs the handshake or a part of it, within the handshake's
// timeout. If ctx is done first, the connection ends.
func (s *stream) limited(ctx context.Context, shake func(context.Context) error) error {
	if stranger, ok := s.over().(*strangerError); ok {
		return stranger // and no alert is sent
	}
	s.begin.Do(func() {
		if s.common.timeout > 0 {
			s.until = time.Now().Add(s.common.timeout)
		}
		s.begun.Store(true)
	})
	if !s.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, s.until, errHandshakeTimeout)
		defer cancel()
	}
	err := s.watched(ctx, shake)
	switch {
	case err == nil || s.done.Load():
	case isTimeout(err) && s.over() == nil:
		s.late.Store(true) // and the handshake may continue
	default:
		s.report(err)
	}
	return err
}

// watched calls shake. If ctx is done first, the connection ends.
func (s *stream) watched(ctx context.Context, shake func(context.Context) error) error {
	switch {
	case ctx.Done() == nil:
		return s.instead(shake(ctx))
	case ctx.Err() != nil:
		return s.abandon(ctx)
	}
	stop := context.AfterFunc(ctx, func() { s.abandon(ctx) })
	err := shake(ctx)
	if !stop() && err != nil {
		return s.abandon(ctx)
	}
	return s.instead(err)
}

// abandon ends the connection when a context is done, unless the handshake is complete. It
// returns why.
func (s *stream) abandon(ctx context.Context) error {
	cause := ctx.Err()
	if context.Cause(ctx) == errHandshakeTimeout {
		cause = errHandshakeTimeout
	}
	if s.cancel(fmt.Errorf("netconn: the handshake's context is done (%v): %w", cause, net.ErrClosed)) {
		s.shut()
	}
	return cause
}

// report tells of a handshake that has failed, once.
func (s *stream) report(err error) {
	if s.common.onFailure != nil {
		s.reported.Do(func() { s.common.onFailure(s.conn.RemoteAddr(), err) })
	}
}

// left reports a handshake that is under way when the connection is closed.
func (s *stream) left() {
	switch {
	case s.done.Load() || !s.begun.Load():
	case s.late.Load():
		s.report(os.ErrDeadlineExceeded)
	default:
		s.report(net.ErrClosed)
	}
}

// setProtocols changes the ALPN protocols, unless a client's are on their way, or a server has seen
// its peer's. A server that waits for its first record continues with the new engine.
func (s *stream) setProtocols(change func(protos []string) []string) {
	if s.err != nil || s.done.Load() || s.lock(s.using, bothDeadlines) != nil {
		return
	}
	defer s.using.unlock()
	protos := change(s.common.cfg.NextProtos)
	if s.used || slices.Equal(protos, s.common.cfg.NextProtos) {
		return
	}
	if e, err := s.newEngine(s.common.offering(protos)); err == nil {
		e.SetContext(s.ctx)
		s.engine = e
	}
}

// setProtocols has nothing to change: HTTP is not spoken over datagrams.
func (p *peer) setProtocols(func(protos []string) []string) {}

// withoutHTTP2 removes "h2", unless nothing would be left.
func withoutHTTP2(protos []string) []string {
	rest := slices.DeleteFunc(slices.Clone(protos), func(p string) bool { return p == protoHTTP2 })
	if len(rest) == 0 {
		return protos
	}
	return rest
}

// protoHTTP2 is the ALPN protocol of HTTP/2 (RFC 9113, Section 3.2).
const protoHTTP2 = "h2"

// ErrNotHTTP2 is the error of a Write that begins with HTTP/1, although the peers have agreed on the
// ALPN protocol "h2". Serve with [Serve], dial through [Transport], or leave "h2" out of NextProtos.
var ErrNotHTTP2 = errors.New(`netconn: the peers have agreed on "h2", and this is HTTP/1: use Serve or Transport, or leave "h2" out of NextProtos`)

// headLen is how many bytes are enough to tell HTTP/1 from HTTP/2.
const headLen = 32

// checkHTTP2 looks at the first bytes that are written under "h2" (RFC 9113, Section 3.2: HTTP/2 is
// then what both speak).
func (s *stream) checkHTTP2(p []byte) error {
	if len(p) == 0 || !s.http2.Load() {
		return nil
	}
	if looksLikeHTTP1(p, s.server) {
		return ErrNotHTTP2
	}
	s.http2.Store(false)
	return nil
}

// looksLikeHTTP1 reports whether a server's p begins a response, or a client's a request.
func looksLikeHTTP1(p []byte, server bool) bool {
	text := string(p[:min(len(p), headLen)])
	if server {
		return strings.HasPrefix(text, "HTTP/1.")
	}
	method, target, ok := strings.Cut(text, " ")
	if !ok || method == "" || strings.HasPrefix(text, http2Preface[:min(len(text), len(http2Preface))]) {
		return false
	}
	for _, c := range method {
		if c < 'A' || 'Z' < c {
			return false
		}
	}
	return target == "" || strings.ContainsAny(target[:1], "/*h") || method == "CONNECT"
}

// http2Preface is what an HTTP/2 client sends first (RFC 9113, Section 3.4).
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// strangerError is the failure of a connection whose peer does not speak TLS. No alert was sent:
// the caller may answer over conn in the peer's protocol.
type strangerError struct {
	error
	conn net.Conn
}

func (e *strangerError) Unwrap() error { return e.error }

// As finds a tls.RecordHeaderError with its Conn, as in crypto/tls.
func (e *strangerError) As(target any) bool {
	header, ok := target.(*tls.RecordHeaderError)
	if !ok || !errors.As(e.error, header) {
		return false
	}
	header.Conn = e.conn
	return true
}

// stranger wraps the failure of a first record that is not of TLS.
func (s *stream) stranger(err error) error {
	var header tls.RecordHeaderError
	if s.fed || !errors.As(err, &header) {
		return err
	}
	return &strangerError{err, s.conn}
}
