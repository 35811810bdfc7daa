package hermetic

import (
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
)

// A Context is an engine with a non-blocking transport, its BIO: the callback API of the Lua
// module mbedtls.ssl, in Go. It is not safe for concurrent use.
//
// After [ErrWantRead] or [ErrWantWrite], repeat the operation with the same arguments when the
// transport is ready; no byte is sent twice or lost. These two, [ErrClosed], an
// [ErrInvalidOperation] and the BIO's own errors, which come back unchanged, leave the context
// as it was. io.EOF before close_notify comes back as [io.ErrUnexpectedEOF]. Any other error is
// fatal: its alert is sent as far as the transport takes it, and the context is reset, so that
// the next operation starts a new connection.
type Context struct {
	engine *Engine
	bio    io.ReadWriter
	busy   bool
	closed bool // the peer's close_notify has been reported by the engine

	taken      int  // datagrams that this operation has read
	cookieSeen bool // DTLS servers: a ClientHello with a good cookie has arrived
	complete   bool // the handshake is over, and all of it is sent

	in   *[bufferSize]byte // from pool while there is something in it
	from int               // the bytes in[from:to] are not opened yet
	to   int
	data []byte // application data not read yet: aliases in

	out     []byte            // bytes that the transport has not taken yet
	outRoom *[bufferSize]byte // from pool: the start of out's room
	written int               // bytes of Write's data that out stands for

	early        []byte // early data not read yet, MaxEarlyData at most
	earlyWritten int    // bytes of WriteEarlyData's data that out stands for
	saidEarly    bool   // WriteEarlyData has written something
	closing      bool   // close_notify is owed when the handshake is complete
}

// bufferSize is the largest record, and more than the largest datagram asked
// for.
const bufferSize = record.HeaderLen + record.MaxPlaintext + record.MaxOverhead12

// maxDatagram is the room that a DTLS context offers its BIO.
const maxDatagram = 16717

// maxTaken is how many datagrams one operation reads before it lets others run.
const maxTaken = 64

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

var (
	errReadResult  = errors.New("invalid read result")
	errWriteResult = errors.New("invalid write result")
	errNoBIO       = &invalidOperation{"the BIO is nil"}
	errNoPeerID    = &invalidOperation{"invalid operation: the peer's identity is not set"}
)

// NewContext returns a context over bio. Its Read returns (0, nil) or syscall.EAGAIN if it would
// block, and io.EOF at the end. Note that read(2) reports EOF as 0 bytes: translate it to
// io.EOF, or the Context waits forever. Its Write may take fewer bytes than given, or none, with
// a nil error. Nothing is called before the first operation. If cfg cannot be used, the error is
// a *[ConfigError].
func NewContext(mode Mode, cfg *Config, bio io.ReadWriter) (*Context, error) {
	if bio == nil {
		return nil, errNoBIO
	}
	if cfg != nil && cfg.MaxEarlyData > 0 && mode == DTLSServer {
		return nil, configError("MaxEarlyData", "a DTLS server's Context asks for a cookie, and early data in front of one is rejected: use an Engine with DTLS.TrustAddress")
	}
	e, err := NewEngine(mode, cfg)
	if err != nil {
		return nil, err
	}
	return (&Context{engine: e, bio: bio}).anew(), nil
}

// anew returns c at the start of a session. A DTLS server that trusts its peer's address
// asks for no cookie.
func (c *Context) anew() *Context {
	trusts := c.engine.mode == DTLSServer && c.engine.plan.cfg.DTLS.TrustAddress
	return &Context{engine: c.engine, bio: c.bio, busy: c.busy, cookieSeen: trusts}
}

// enter starts an operation, which must not be called from inside another.
func (c *Context) enter() error {
	if c.busy {
		return ErrBusy
	}
	c.busy, c.taken = true, 0
	return nil
}

// leave ends an operation. A fatal error resets the context and is the operation's
// result, even if err is only the transport's while the alert was sent: then the answer
// to a question had failed before.
func (c *Context) leave(err error) error {
	if fatal := c.engine.err; err != nil && fatal != nil {
		err = fatal
		c.out = c.engine.Output(c.out)
		c.flush() // as far as the transport takes it
		c.reset()
	}
	c.busy = false
	return err
}

// Handshake performs the handshake, or as much of it as the transport allows. On a DTLS server
// the first nil means that a ClientHello with a good cookie was received, and the second that
// the handshake is complete. With Config.DTLS.TrustAddress there is only the second.
func (c *Context) Handshake() error {
	if err := c.enter(); err != nil {
		return err
	}
	switch {
	case c.complete:
		return c.leave(nil)
	case c.engine.mode == DTLSServer && !c.cookieSeen:
		return c.leave(c.welcome())
	}
	return c.leave(c.handshake())
}

// welcome is the first step of a DTLS server: it waits for a ClientHello with a
// good cookie. A ClientHello without one is answered, and nothing of it is kept.
func (c *Context) welcome() error {
	for {
		if len(c.out) > 0 {
			return c.turnAway()
		}
		if c.from == c.to {
			if err := c.receive(); err != nil {
				return err
			}
		}
		if c.engine.peerID() == nil {
			return errNoPeerID
		}
		answer, ok := c.engine.plan.cfg.AnswerHello(c.outBuffer(), c.engine.peerID(), c.in[c.from:c.to])
		if ok {
			c.dropOut()
			c.cookieSeen = true
			return nil
		}
		c.from = c.to
		c.release()
		if c.out = answer; len(answer) == 0 {
			c.dropOut()
		}
	}
}

// turnAway sends the answer to a ClientHello that proves no address.
func (c *Context) turnAway() error {
	if err := c.flush(); err != nil {
		return err
	}
	c.reset()
	return ErrUnverified
}

// done reports whether the handshake is over. For a DTLS 1.3 client that is when its
// Finished is acknowledged, or data arrives: so a caller that then stops asking for
// the timeout does not hang.
func (c *Context) done() bool {
	return c.engine.HandshakeComplete() && (c.engine.mode != DTLSClient || c.engine.Acknowledged() || len(c.data) > 0)
}

// expire tells the engine that time has passed.
func (c *Context) expire() error {
	if at, ok := c.engine.Deadline(); ok && !c.engine.now().Before(at) {
		return c.engine.Expire()
	}
	return nil
}

func (c *Context) handshake() error {
	if c.engine.mode == DTLSServer && !c.cookieSeen {
		if err := c.welcome(); err != nil {
			return err
		}
	}
	if err := c.expire(); err != nil {
		return err
	}
	for !c.complete {
		if err := c.step(); err != nil {
			return err
		}
	}
	return c.flush()
}

// step sends the handshake's output, and opens a record unless the handshake is over.
func (c *Context) step() error {
	if err := c.flush(); err != nil {
		return err
	}
	switch {
	case c.done():
		if c.complete = true; c.closing {
			c.engine.Close()
		}
		return nil
	case c.engine.Pending() != nil:
		return ErrPending
	}
	return c.fill()
}

// Read reads up to len(p) bytes of data from the peer. The data is from one record, or from several
// small ones that have arrived together. If the handshake is not complete, Read performs it first.
func (c *Context) Read(p []byte) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	n, err := c.read(p)
	return n, c.leave(err)
}

func (c *Context) read(p []byte) (int, error) {
	if !c.complete {
		if err := c.handshake(); err != nil {
			return 0, err
		}
	} else if err := c.expire(); err != nil {
		return 0, err
	} else if !c.owed() {
		if err := c.flush(); err != nil && err != ErrWantWrite {
			return 0, err
		}
	}
	if len(c.early) > 0 { // the handshake is complete, so it is no replay
		return c.takeEarly(p), nil
	}
	for len(c.data) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	c.release()
	return n, nil
}

// fill opens a record, and reads it first if needed.
func (c *Context) fill() error {
	if c.closed {
		return ErrClosed
	}
	if c.from < c.to {
		done, err := c.open()
		if done || err != nil {
			return err
		}
	}
	for {
		if err := c.receive(); err != nil {
			return err
		}
		if done, err := c.open(); done || err != nil {
			return err
		}
	}
}

// open opens the first buffered record, and the small ones after it. It returns false if the
// first one is incomplete.
func (c *Context) open() (bool, error) {
	o, err := c.engine.OpenAll(c.in[c.from:c.to])
	c.from += o.N
	if o.Kind == KindEarlyData {
		c.early = append(c.early, o.Data...)
	} else {
		c.data = o.Data
	}
	if err == ErrClosed {
		c.closed = true
	}
	if err == nil && o.N == 0 {
		return false, nil
	}
	c.release()
	return true, err
}

// receive asks the BIO for what the record lacks.
func (c *Context) receive() error {
	if c.engine.mode.IsDTLS() {
		if c.taken++; c.taken > maxTaken {
			return ErrWantRead // a flood of garbage must not hold up the caller's loop
		}
	}
	if c.in == nil {
		c.in = buffers.Get().(*[bufferSize]byte)
	}
	if c.from > 0 {
		c.to = copy(c.in[:], c.in[c.from:c.to])
		c.from = 0
	}
	room := c.in[c.to:]
	switch {
	case c.engine.mode.IsDTLS():
		room = room[:maxDatagram]
	case !c.engine.plan.cfg.ReadAhead:
		room = room[:min(c.engine.Missing(c.in[:c.to]), len(room))]
	}
	n, err := c.bio.Read(room)
	switch {
	case n < 0 || n > len(room):
		return errReadResult
	case n > 0:
		c.to += n
		return nil
	}
	c.release()
	switch {
	case err == nil || errors.Is(err, syscall.EAGAIN):
		return ErrWantRead
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// release returns the buffer to the pool once it is empty.
func (c *Context) release() {
	if c.in != nil && c.from == c.to && len(c.data) == 0 {
		buffers.Put(c.in)
		c.in, c.from, c.to, c.data = nil, 0, 0, nil
	}
}

// Write writes data, at most one record of it (16,384 bytes): it may return less than len(data)
// with a nil error. After [ErrWantWrite] repeat it with the same data: its result is how much of
// that was written, even if other data is given.
func (c *Context) Write(data []byte) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	n, err := c.write(data)
	return n, c.leave(err)
}

func (c *Context) write(data []byte) (int, error) {
	if err := c.handshake(); err != nil {
		return 0, err
	}
	return c.send(&c.written, data, c.engine.MaxData(), c.engine.Seal)
}

// send sends data: over TLS at most most bytes. Until the record has left, written is
// how many bytes of data it has.
func (c *Context) send(written *int, data []byte, most int, seal func(dst, data []byte) ([]byte, error)) (int, error) {
	if *written == 0 && len(data) > 0 {
		if !c.engine.mode.IsDTLS() { // a datagram is not split
			data = data[:min(len(data), most)]
		}
		out, err := seal(c.outBuffer(), data)
		if err != nil {
			return 0, err
		}
		c.out, *written = out, len(data)
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	n := *written
	*written = 0
	return n, nil
}

// outBuffer is room for a record and what must go before it.
func (c *Context) outBuffer() []byte {
	if c.outRoom == nil {
		c.outRoom = buffers.Get().(*[bufferSize]byte)
	}
	return c.outRoom[:0]
}

// flush writes what must be sent.
func (c *Context) flush() error {
	for len(c.out) > 0 || c.engine.HasOutput() {
		if len(c.out) == 0 {
			if c.out = c.engine.Output(c.outBuffer()); len(c.out) == 0 {
				break
			}
		}
		n, err := c.bio.Write(c.out)
		if n < 0 || n > len(c.out) {
			return errWriteResult
		}
		if n > 0 && c.engine.mode.IsDTLS() {
			n = len(c.out) // a datagram leaves whole, or not at all
		}
		if rest := c.out[n:]; len(rest) == 0 {
			c.dropOut()
		} else {
			c.out = rest
		}
		switch {
		case n > 0 && (err == nil || len(c.out) == 0):
		case err == nil || errors.Is(err, syscall.EAGAIN):
			return ErrWantWrite
		default:
			return err
		}
	}
	c.dropOut()
	return nil
}

// owed reports whether the pending output belongs to a Write or Close that could not
// send it. Those send it when they are repeated: the transport's answer is theirs, and
// must not keep a reader from received data.
func (c *Context) owed() bool {
	return len(c.out) > 0 && (c.written+c.earlyWritten > 0 || c.engine.closed)
}

// dropOut returns the output buffer to the pool, if it came from there.
func (c *Context) dropOut() {
	if c.outRoom != nil {
		buffers.Put(c.outRoom)
	}
	c.out, c.outRoom = nil, nil
}

// Close sends close_notify. After [ErrWantWrite] repeat it. Before the handshake is complete it
// sends nothing, unless a server has replied to early data; after a client's early data,
// close_notify follows the handshake.
func (c *Context) Close() error {
	if err := c.enter(); err != nil {
		return err
	}
	if !c.engine.HandshakeComplete() && !(c.saidEarly && c.engine.mode.IsServer()) {
		c.closing = c.saidEarly
		return c.leave(nil)
	}
	if err := c.flush(); err != nil {
		return c.leave(err)
	}
	c.engine.Close()
	return c.leave(c.flush())
}

// Reset makes the context ready for a new connection. It forgets what was not sent or read, and
// the peer's identity. It keeps the BIO and the server name.
func (c *Context) Reset() error {
	if c.busy {
		return ErrBusy
	}
	c.reset()
	return nil
}

func (c *Context) reset() {
	c.engine.Reset()
	c.dropOut()
	if c.in != nil {
		buffers.Put(c.in)
	}
	*c = *c.anew()
}

// SetBIO replaces the transport, at any time outside its methods.
func (c *Context) SetBIO(bio io.ReadWriter) error {
	switch {
	case c.busy:
		return ErrBusy
	case bio == nil:
		return errNoBIO
	}
	c.bio = bio
	return nil
}

// SetPeerID is [Engine.SetPeerID]. DTLS only, on a server.
func (c *Context) SetPeerID(id []byte) error {
	if c.busy {
		return ErrBusy
	}
	if c.cookieSeen {
		return nil // no longer needed: the cookie was good
	}
	return c.engine.SetPeerID(id)
}

// SetServerName is [Engine.SetServerName].
func (c *Context) SetServerName(name string) error {
	if c.busy {
		return ErrBusy
	}
	return c.engine.SetServerName(name)
}

// Timeout returns how long the caller may wait for the transport before it repeats the unfinished
// operation, or calls Read if there is none: after the handshake, an ACK may be due. DTLS only: in
// TLS ok is false.
func (c *Context) Timeout() (time.Duration, bool) {
	at, ok := c.engine.Deadline()
	if !ok {
		return 0, false
	}
	return max(0, at.Sub(c.engine.now())), true
}

// State is [Engine.State].
func (c *Context) State() ConnectionState { return c.engine.State() }

// Pending is [Engine.Pending]. After the answer, repeat the operation that returned
// [ErrPending].
func (c *Context) Pending() Pending { return c.engine.Pending() }

// KeyUpdate is [Engine.KeyUpdate]. The message leaves with the next operation that writes.
func (c *Context) KeyUpdate(request KeyUpdateRequest) error {
	if c.busy {
		return ErrBusy
	}
	return c.engine.KeyUpdate(request)
}

// Engine returns the engine below, for what the Context does not have itself. Do not call its
// Open, Seal, SealEarlyData, Output, Close, Reset or Export: the Context does, and holds bytes
// from the transport and for it.
func (c *Context) Engine() *Engine { return c.engine }
