package mbedtls

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Op is an operation of a Session.
type Op int32

const (
	Handshake Op = iota
	Read
	Write
	Close
	ReadEarly
	WriteEarly
)

// Status says why a Step returned.
type Status int32

const (
	Done      Status = iota // N: bytes read into Data (ReadEarly: 0 at the end), or taken from it
	WantRead                // N: bytes to ask rcb for
	WantWrite               // N: bytes in Out to offer to wcb
	TryWrite                // the same; if wcb takes none, step again with Refused
	LastWrite               // the same; step again whatever the result
	Closed
	Invalid // an invalid operation: nothing has changed
	Failed  // Text; the session is over, and the next call starts a new one
)

// A Step is one call into a Session: what the callbacks returned since the last
// one, and what the operation needs next.
type Step struct {
	Op         Op
	Data       []byte // Read, ReadEarly: the destination; Write, WriteEarly: the data
	Head, Body []byte // what rcb returned, in order
	Taken      int    // what wcb took of the last Out
	Settled    bool   // wcb took all of a Write that was Whole, which has returned
	Refused    bool   // wcb took nothing after TryWrite
	Out        []byte // room for what is offered to wcb

	Status  Status
	N       int
	Text    string
	Drained bool // TLS: the next Read begins with a record's header
	Whole   int  // WantWrite: bytes of Data that are sent once Out is sent; no further step is needed
}

// A Session is a [hermetic.Context] whose transport is the caller of Step: where
// the context would call its BIO, Step returns, and the next Step continues. So a
// callback never runs on top of the engine, and may raise an error or yield.
type Session struct {
	mode    hermetic.Mode
	context *hermetic.Context
	transit transit
	failure error // to be returned after the alert that was sent as LastWrite
}

// Init makes s a session that has not started.
func (s *Session) Init(mode hermetic.Mode, config *hermetic.Config) (err error) {
	s.mode = mode
	s.context, err = hermetic.NewContext(mode, config, &s.transit)
	return err
}

// Step performs st.Op as far as possible.
func (s *Session) Step(st *Step) {
	t := &s.transit
	t.head, t.body, t.out = st.Head, st.Body, st.Out
	t.taken += st.Taken
	t.asked, t.offered = 0, 0
	st.N, st.Text, st.Whole = 0, "", 0
	if st.Settled {
		s.settle()
	}
	fresh := st.Op == Write && s.idle()

	var err error
	if s.failure != nil {
		err, s.failure = s.failure, nil
	} else {
		st.N, err = s.perform(st)
	}
	st.Status = s.outcome(st, err)
	if fresh && st.Status == WantWrite && !t.partial {
		st.Whole = min(len(st.Data), s.context.Engine().MaxData())
	}
	t.keep()
	st.Drained = st.Op == Read && err == nil && st.N < len(st.Data) && len(t.rest) == 0 && !s.mode.IsDTLS()
}

// settle lets the context finish a write that its caller knows to be done: what
// was offered has been sent, and no other data is looked at.
func (s *Session) settle() { s.perform(&Step{Op: Write}) }

// idle reports whether nothing waits to be sent, so that what a write offers is
// its data.
func (s *Session) idle() bool {
	e := s.context.Engine()
	return !s.transit.blocked && e.HandshakeComplete() && !e.HasOutput()
}

// perform is the operation itself. A panic below is our bug, but must not end the
// whole Lua program: the session ends with an error.
func (s *Session) perform(st *Step) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error: %v", r)
		}
	}()
	switch st.Op {
	case Handshake:
		return 0, s.context.Handshake()
	case Read:
		return s.context.Read(st.Data)
	case Write:
		return s.context.Write(st.Data)
	case ReadEarly:
		return ReadEarlyData(s.context, st.Data)
	case WriteEarly:
		return s.context.WriteEarlyData(st.Data)
	default:
		return 0, s.context.Close()
	}
}

// ReadEarlyData is c.ReadEarlyData for ctx:readearly, where the end is not an error.
func ReadEarlyData(c *hermetic.Context, p []byte) (int, error) {
	n, err := c.ReadEarlyData(p)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func (s *Session) outcome(st *Step, err error) Status {
	t := &s.transit
	switch {
	case err == nil:
		return Done
	case err == hermetic.ErrWantRead && t.offered > 0 && !st.Refused:
		st.N = t.offered
		return TryWrite
	case err == hermetic.ErrWantRead:
		st.N = t.asked
		return WantRead
	case err == hermetic.ErrWantWrite:
		st.N = t.offered
		return WantWrite
	case err == hermetic.ErrClosed:
		return Closed
	case errors.Is(err, hermetic.ErrInvalidOperation):
		return Invalid
	case t.offered > 0: // the alert, which the context has given up on
		s.failure = err
		st.N = t.offered
		return LastWrite
	}
	s.transit = transit{out: t.out} // the context has reset itself
	st.Text = Text(err)
	return Failed
}

// Reset forgets the session.
func (s *Session) Reset() (err error) {
	defer recovered(&err)
	s.transit = transit{}
	s.failure = nil
	return s.context.Reset()
}

// SetPeerID and SetServerName are the context's.
func (s *Session) SetPeerID(id []byte) (err error) {
	defer recovered(&err)
	return s.context.SetPeerID(id)
}

func (s *Session) SetServerName(name string) (err error) {
	defer recovered(&err)
	return s.context.SetServerName(name)
}

// Timeout is the context's.
func (s *Session) Timeout() (d time.Duration, ok bool) {
	defer func() { _ = recover() }()
	return s.context.Timeout()
}

// Info describes the session for ctx:info().
func (s *Session) Info() (fields []Field) {
	defer func() { _ = recover() }()
	return Info(s.context.Engine().State())
}

// Export is ctx:export().
func (s *Session) Export(label string, context []byte, length int) (secret []byte, err error) {
	defer recovered(&err)
	return s.context.Engine().ExportKeyingMaterial(label, context, length)
}

// recovered turns a panic of the engine into an error, as in perform.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("internal error: %v", r)
	}
}

// transit is the BIO of a session: bytes on their way between two steps.
type transit struct {
	head, body []byte // given with this step; C memory, not to be kept
	rest       []byte // given before and not read yet
	asked      int    // by the last Read that found nothing

	out     []byte // room for what is offered
	offered int    // how much of it is, by the last Write that was refused
	partial bool   // there was more
	blocked bool   // something was refused, and has not been taken since
	taken   int    // how much of what is offered next has gone already
}

// Read gives what came, and notes what is missing.
func (t *transit) Read(p []byte) (n int, err error) {
	for _, part := range []*[]byte{&t.rest, &t.head, &t.body} {
		k := copy(p[n:], *part)
		*part = (*part)[k:]
		n += k
	}
	if n == 0 {
		t.asked = len(p)
	}
	return n, nil
}

// Write says that as much has gone as the caller took of it; the rest is
// refused, and offered to the caller.
func (t *transit) Write(p []byte) (n int, err error) {
	if t.taken > 0 {
		n = min(t.taken, len(p))
		t.taken -= n
		t.blocked = n < len(p)
		return n, nil
	}
	t.blocked = true
	t.offered = copy(t.out, p)
	t.partial = t.offered < len(p)
	return 0, nil
}

// keep saves what the context did not read, for the memory it is in is lent.
func (t *transit) keep() {
	if len(t.head)+len(t.body) > 0 {
		t.rest = append(append(t.rest, t.head...), t.body...)
	} else if len(t.rest) == 0 {
		t.rest = nil
	}
	t.head, t.body, t.out = nil, nil, nil
}
