package mbedtls

import (
	"errors"
	"fmt"
	"slices"
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

// Status says why a Step returned, once its Output is sent.
type Status int32

const (
	Done       Status = iota // N: bytes read or written (ReadEarly: 0 at the end)
	WantRead                 // N: bytes to ask rcb for; 0: the operation ends, and is to be repeated
	WantWrite                // step again when Output is sent
	WantAnswer               // step again when Question is answered
	Closed
	Invalid // an invalid operation: nothing has changed
	Failed  // Text; the session is over, and the next operation starts a new one
)

const (
	// MaxOutput is the room for output: a record, or a datagram, and more.
	MaxOutput = maxData + 1024
	// MaxInput is the room for one record that rcb has returned.
	MaxInput = 5 + maxData + 2048

	maxData     = 16384
	maxDatagram = 16717 // what a DTLS context asks rcb for, as the original does
	aheadSize   = 65536 // what a TLS context with readahead asks for

	// maxTaken is how many datagrams one operation reads: a flood of garbage must not
	// hold up the caller's loop.
	maxTaken = 64
)

// A Step is one call into a Session: what the callbacks returned since the last one, and what
// the operation needs next. The memory of its slices is lent for the call.
type Step struct {
	Op      Op
	Begin   bool   // the first step of an operation
	Data    []byte // Write, WriteEarly: the data
	Size    int    // Read, ReadEarly: how much is read at most
	Head    int    // bytes of In that rcb returned before Body
	Body    []byte // what rcb returned last
	In, Out []byte // room: MaxInput and MaxOutput bytes

	Status Status
	N      int
	Text   string
	Result []byte // Read, ReadEarly: what was read, in In
	Output []byte // to be sent before anything else, in Out: what is not, goes to Unsent
	Ready  int    // not 0: the next Read begins by asking for so many bytes
}

// A Session drives an [hermetic.Engine] for an operation of Lua: each Step goes as far as it can
// without a callback, so that no callback ever runs on top of the engine, and each may raise an
// error or yield. Its input and output pass through Step or, if it is Fed, through Feed and Drain.
type Session struct {
	mode   hermetic.Mode
	config *Config
	engine *hermetic.Engine
	fed    bool
	queue  [][]byte // if fed: what is to be drained; over TLS one piece

	in    []byte // received, and not opened yet
	data  []byte // opened, and not read yet
	lent  bool   // both are in the step's room
	early []byte // early data not read yet
	out   []byte // given back by Unsent

	cookieSeen bool // DTLS servers: a ClientHello with a good cookie has arrived
	complete   bool // the handshake is over, and all of it is sent
	fresh      bool // it is since this step
	closed     bool // the peer's close_notify has been reported
	saidEarly  bool // WriteEarly has written something
	closing    bool // close_notify is owed when the handshake is complete
	closeSaid  bool // close_notify was made

	taken   int    // datagrams that this operation has read
	held    bool   // this operation offers no output anymore: wcb took none
	written [2]int // bytes of ordinary and early data that out stands for
	making  *int   // the one that this step's output is of
	made    int    // and how many bytes
	failure error  // to be returned when the output is sent
	peerID  []byte
	choice  choice
	keeper  sessionKeeper
}

// The two kinds of data that are sent: by Write, and by WriteEarly.
const (
	ordinary = iota
	early
)

// errSend ends a step whose output must be sent first.
var errSend = errors.New("step again when the output is sent")

// Init makes s a session that has not started. If fed, it has no callbacks.
func (s *Session) Init(config *Config, fed bool) (err error) {
	defer recovered(&err)
	s.mode, s.config, s.fed = config.mode, config, fed
	s.engine, err = hermetic.NewEngine(config.mode, config.config)
	return err
}

// Step performs st.Op as far as possible.
func (s *Session) Step(st *Step) {
	st.N, st.Text, st.Result, st.Output = 0, "", nil, st.Out[:0]
	s.fresh, s.making = false, nil
	if st.Begin {
		s.taken, s.held = 0, false
	}
	s.config.keeping(s)
	if st.Head+len(st.Body) > 0 {
		s.receive(st.In[:st.Head], st.Body, st.In)
	}
	var err error
	switch {
	case s.failure == nil:
		err = s.perform(st)
	case s.failure != hermetic.ErrUnverified:
		err = s.failure
	default: // its answer may still have to be sent
		if err = s.emit(st); err == nil {
			if err = s.failure; len(st.Output) > 0 {
				err = errSend
			}
		}
	}
	s.conclude(st, err)
	s.keep()
	st.Ready = s.ready()
}

// conclude sets the status.
func (s *Session) conclude(st *Step, err error) {
	switch {
	case err == nil:
		st.Status = Done
	case err == hermetic.ErrWantRead:
		st.Status = WantRead
	case err == errSend:
		st.Status = WantWrite
	case err == hermetic.ErrPending:
		st.Status = WantAnswer
	case err == hermetic.ErrClosed:
		st.Status = Closed
	case errors.Is(err, hermetic.ErrInvalidOperation):
		st.Status = Invalid
	default:
		st.Status, st.Text = Failed, Text(err)
		s.fail(st)
	}
}

// fail sends what must be sent after a fatal error, and resets the session.
func (s *Session) fail(st *Step) {
	defer func() {
		recover()
		s.reset()
	}()
	if s.fed { // the queue outlives the step, whose room is only lent
		s.enqueue(s.engine.Output(slices.Clone(s.out)))
		return
	}
	if last := s.engine.Output(append(st.Output, s.out...)); len(last) <= cap(st.Out) {
		st.Output = st.Out[:copy(st.Out[:cap(st.Out)], last)]
	}
}

// reset forgets the connection, and keeps what was queued: it may be an alert.
func (s *Session) reset() {
	s.engine.Reset()
	*s = Session{mode: s.mode, config: s.config, engine: s.engine, fed: s.fed, queue: s.queue, keeper: s.keeper}
}

// streams reports whether this is TLS between the handshake and the end, with nothing left over
// that must be sent first.
func (s *Session) streams() bool {
	return s.complete && !s.mode.IsDTLS() && !s.fed && len(s.out) == 0
}

// ready is how much the next Read asks for at first, if it is known that it asks.
func (s *Session) ready() int {
	if !s.streams() || s.closed || s.failure != nil || len(s.in)+len(s.data)+len(s.early) > 0 || s.engine.HasOutput() {
		return 0
	}
	return s.wanted()
}

// perform is the operation itself. A panic below is our bug, but must not end the
// whole Lua program: the session ends with an error.
func (s *Session) perform(st *Step) (err error) {
	defer recovered(&err)
	switch st.Op {
	case Handshake:
		switch {
		case s.complete:
			return nil
		case s.mode == hermetic.DTLSServer && !s.cookieSeen:
			return s.welcome(st)
		}
		return s.handshake(st)
	case Read:
		return s.read(st)
	case Write:
		if !s.streams() { // Seal sends what is due before the data
			if err := s.handshake(st); err != nil {
				return err
			}
		}
		return s.seal(st, ordinary, s.engine.MaxData())
	case ReadEarly:
		return s.readEarly(st)
	case WriteEarly:
		return s.writeEarly(st)
	}
	return s.close(st)
}

// welcome is the first step of a DTLS server: it waits for a ClientHello with a good cookie. A
// ClientHello without one is answered, and nothing of it is kept.
func (s *Session) welcome(st *Step) error {
	for {
		if len(s.in) == 0 {
			return s.ask(st)
		}
		id := s.peerID
		if id == nil {
			return hermetic.ErrInvalidOperation
		}
		answer, ok := s.config.config.AnswerHello(nil, id, s.in)
		if ok {
			s.cookieSeen = true
			return nil
		}
		s.in = nil
		if len(answer) > 0 {
			s.out, s.failure = answer, hermetic.ErrUnverified
			if err := s.emit(st); err != nil {
				return err
			}
			return errSend
		}
	}
}

// expire tells the engine that time has passed.
func (s *Session) expire() error {
	if at, ok := s.engine.Deadline(); ok && !time.Now().Before(at) {
		return s.engine.Expire()
	}
	return nil
}

func (s *Session) handshake(st *Step) error {
	if s.mode == hermetic.DTLSServer && !s.cookieSeen {
		if err := s.welcome(st); err != nil {
			return err
		}
	}
	if s.mode.IsDTLS() {
		if err := s.expire(); err != nil {
			return err
		}
	}
	for !s.complete {
		if err := s.advance(st); err != nil {
			return err
		}
	}
	return s.emit(st)
}

// advance sends the handshake's output, and opens a record unless the handshake is over.
func (s *Session) advance(st *Step) error {
	if err := s.emit(st); err != nil {
		return err
	}
	switch {
	case s.done():
		s.complete, s.fresh = true, true
		if s.closing {
			s.engine.Close()
		}
		return nil
	case s.engine.Pending() != nil:
		if s.settle() {
			return s.failure
		}
		return hermetic.ErrPending
	case len(st.Output) > 0 && len(s.in) > 0:
		return errSend // so that no data comes with output that may fail
	}
	return s.fill(st)
}

// done reports whether the handshake is over. For a DTLS client that is when it waits for
// nothing anymore, or data arrives: a caller that then stops asking for the timeout does not hang.
func (s *Session) done() bool {
	if !s.engine.HandshakeComplete() {
		return false
	}
	return s.mode != hermetic.DTLSClient || s.engine.Acknowledged() || len(s.data) > 0
}

func (s *Session) read(st *Step) error {
	switch {
	case !s.complete:
		if err := s.handshake(st); err != nil {
			return err
		}
		if len(st.Output) > 0 {
			return errSend
		}
	case s.mode.IsDTLS():
		if err := s.expire(); err != nil {
			return err
		}
		fallthrough
	default:
		if err := s.emitUnlessOwed(st); err != nil {
			return err
		}
	}
	if len(s.early) > 0 { // the handshake is complete, so it is no replay
		s.takeEarly(st)
		return nil
	}
	for len(s.data) == 0 {
		if err := s.fill(st); err != nil {
			return err
		}
	}
	st.N = min(st.Size, len(s.data))
	st.Result, s.data = s.data[:st.N], s.data[st.N:]
	if !s.lent {
		st.Result = st.In[:copy(st.In, st.Result)]
	}
	return nil
}

// emitUnlessOwed is emit for a reader. Output of a Write or Close that could not send it is left
// to those, and must not keep a reader from received data.
func (s *Session) emitUnlessOwed(st *Step) error {
	if len(s.out) > 0 && (s.written != [2]int{} || s.closeSaid) || s.held {
		return nil
	}
	if err := s.emit(st); err != nil {
		return err
	}
	if len(st.Output) > 0 {
		return errSend
	}
	return nil
}

// fill opens one record and the small ones after it, or asks for more of it.
func (s *Session) fill(st *Step) error {
	if s.closed {
		return hermetic.ErrClosed
	}
	if len(s.in) > 0 {
		o, err := s.engine.OpenAll(s.in)
		s.in = s.in[o.N:]
		if o.Kind == hermetic.KindEarlyData {
			s.early = append(s.early, o.Data...)
		} else {
			s.data = o.Data
		}
		s.closed = err == hermetic.ErrClosed
		if err != nil || o.N > 0 {
			return err
		}
	}
	return s.ask(st)
}

// ask asks rcb for what is missing.
func (s *Session) ask(st *Step) error {
	if s.taken++; s.mode.IsDTLS() && s.taken > maxTaken || s.fed {
		return hermetic.ErrWantRead
	}
	st.N = s.wanted()
	return hermetic.ErrWantRead
}

// wanted is how much rcb is asked for.
func (s *Session) wanted() int {
	switch {
	case s.mode.IsDTLS():
		return maxDatagram
	case s.config.readAhead:
		return aheadSize
	}
	return s.engine.Missing(s.in)
}

// receive adds what rcb has returned: head, which is in the room that is lent, and body.
func (s *Session) receive(head, body, room []byte) {
	if len(s.in)+len(s.data) == 0 && len(head)+len(body) <= len(room) {
		s.in, s.lent = append(head, body...), true
		return
	}
	s.in = append(append(s.in, head...), body...)
}

// keep saves what was not opened or read from the room that was lent, and what does not fit in
// the room for output.
func (s *Session) keep() {
	s.in, s.data = s.kept(s.in), s.kept(s.data)
	s.lent = false
}

func (s *Session) kept(b []byte) []byte {
	switch {
	case len(b) == 0:
		return nil
	case s.lent:
		return slices.Clone(b)
	}
	return b
}

// emit moves output to the step: over TLS all that fits, in DTLS one datagram. Its error, if
// there is more, is errSend.
func (s *Session) emit(st *Step) error {
	if s.fed {
		for s.engine.HasOutput() {
			s.enqueue(s.engine.Output(nil))
		}
		return nil
	}
	if s.held || len(s.out) == 0 && !s.engine.HasOutput() {
		return nil
	}
	datagrams := s.mode.IsDTLS()
	if datagrams && len(st.Output) > 0 {
		return errSend
	}
	out := append(st.Output, s.out...)
	if !datagrams || len(s.out) == 0 {
		out = s.engine.Output(out)
	}
	s.out = nil
	return s.place(st, out)
}

// place puts output into the step's room, and keeps what does not fit.
func (s *Session) place(st *Step, out []byte) error {
	if s.out = nil; len(out) > 0 && &out[0] == &st.Out[0] {
		st.Output = out
	} else {
		n := copy(st.Out, out)
		if st.Output = st.Out[:n]; n < len(out) {
			s.out = slices.Clone(out[n:])
		}
	}
	if len(s.out) > 0 || s.mode.IsDTLS() && s.engine.HasOutput() {
		return errSend
	}
	return nil
}

// enqueue is place for a session that is fed.
func (s *Session) enqueue(out []byte) {
	switch {
	case len(out) == 0:
	case s.mode.IsDTLS() || len(s.queue) == 0:
		s.queue = append(s.queue, out)
	default:
		s.queue[0] = append(s.queue[0], out...)
	}
}

// seal sends st.Data: over TLS at most most bytes. Until the record has left, s.written[which] is
// how many bytes of data it has.
func (s *Session) seal(st *Step, which, most int) error {
	written := &s.written[which]
	if *written > 0 || len(st.Data) == 0 {
		s.making, s.made = written, *written
		st.N, *written = *written, 0
		return nil
	}
	data := st.Data
	if !s.mode.IsDTLS() { // a datagram is not split
		data = data[:min(len(data), most)]
	} else if len(st.Output) > 0 {
		return errSend
	}
	if s.fed {
		out, err := s.record(which, nil, data)
		if err == nil {
			s.enqueue(out)
			st.N = len(data)
		}
		return err
	}
	out, err := s.record(which, st.Output, data)
	if err != nil {
		return err
	}
	s.making, s.made = written, len(data)
	st.N = len(data)
	if s.place(st, out) != nil {
		*written, st.N = s.made, 0
		return errSend
	}
	return nil
}

func (s *Session) record(which int, dst, data []byte) ([]byte, error) {
	if which == early {
		return s.engine.SealEarlyData(dst, data)
	}
	return s.engine.Seal(dst, data)
}

// Unsent gives back what wcb did not take of a step's output. It reports whether the operation
// continues all the same: reading does not depend on what else must be sent.
func (s *Session) Unsent(op Op, rest []byte) (goOn bool) {
	s.out = append(slices.Clone(rest), s.out...)
	if s.making != nil {
		*s.making = s.made
	}
	if s.fresh {
		s.complete = false
	}
	s.held = op == Read && s.complete
	return s.held
}

func (s *Session) readEarly(st *Step) error {
	if s.mode != hermetic.TLSServer {
		return hermetic.ErrInvalidOperation
	}
	for len(s.early) == 0 {
		if s.complete {
			return nil
		}
		if err := s.advance(st); err != nil {
			return err
		}
	}
	s.takeEarly(st)
	return nil
}

// takeEarly returns early data that has arrived.
func (s *Session) takeEarly(st *Step) {
	s.keep() // what rcb gave last is in the room
	st.N = copy(st.In[:min(st.Size, len(st.In))], s.early)
	st.Result = st.In[:st.N]
	if s.early = s.early[st.N:]; len(s.early) == 0 {
		s.early = nil
	}
}

func (s *Session) writeEarly(st *Step) error {
	e := s.engine
	if s.mode == hermetic.DTLSServer {
		return hermetic.ErrInvalidOperation
	}
	if len(s.out) > 0 || s.mode == hermetic.DTLSClient { // over TLS the ClientHello and early data leave together
		if err := s.emit(st); err != nil {
			return err
		}
	}
	most := e.MaxData()
	if room := e.EarlyDataRoom(); room > 0 {
		most = min(most, room)
	}
	err := s.seal(st, early, most)
	s.saidEarly = s.saidEarly || st.N > 0 || err == errSend
	if errors.Is(err, hermetic.ErrInvalidOperation) && e.Pending() != nil {
		return hermetic.ErrPending // the answer may be a session, or keys
	}
	return err
}

func (s *Session) close(st *Step) error {
	if !s.engine.HandshakeComplete() && !(s.saidEarly && s.mode.IsServer()) {
		s.closing = s.saidEarly
		return nil
	}
	if err := s.emit(st); err != nil {
		return err
	}
	s.engine.Close()
	s.closeSaid = true
	return s.emit(st)
}

// Reset forgets the session.
func (s *Session) Reset() (err error) {
	defer recovered(&err)
	s.queue = nil
	s.reset()
	return nil
}

// SetPeerID sets the peer's identity. Once its cookie was good, none is needed.
func (s *Session) SetPeerID(id []byte) (err error) {
	defer recovered(&err)
	if s.cookieSeen {
		return nil
	}
	s.peerID = id
	return s.engine.SetPeerID(id)
}

// SetServerName sets the name of the server.
func (s *Session) SetServerName(name string) (err error) {
	defer recovered(&err)
	return s.engine.SetServerName(name)
}

// Timeout returns how long the caller may wait before it repeats the unfinished operation, or
// reads: after the handshake, an ACK may be due. In TLS ok is false.
func (s *Session) Timeout() (d time.Duration, ok bool) {
	defer func() { _ = recover() }()
	at, ok := s.engine.Deadline()
	if !ok {
		return 0, false
	}
	return max(0, time.Until(at)), true
}

// Pending is how many bytes can be read without the transport: bytes of data, or of a record
// that is complete.
func (s *Session) Pending() int {
	n := len(s.data)
	if s.complete {
		n += len(s.early)
	}
	if len(s.in) > 0 && (s.mode.IsDTLS() || s.engine.Missing(s.in) == 0) {
		n += len(s.in)
	}
	return n
}

// Feed adds what was received, in DTLS one datagram. Only a session that is fed has it.
func (s *Session) Feed(data []byte) error {
	switch {
	case !s.fed:
		return hermetic.ErrInvalidOperation
	case s.mode.IsDTLS() && len(s.in) > 0:
		return hermetic.ErrInvalidOperation
	}
	s.in = append(s.in, data...)
	return nil
}

// Drain moves to p what must be sent, as much as fits, in DTLS one datagram. It reports whether
// there is more of the same.
func (s *Session) Drain(p []byte) (n int, more bool) {
	if len(s.queue) == 0 {
		return 0, false
	}
	n = copy(p, s.queue[0])
	if s.queue[0] = s.queue[0][n:]; len(s.queue[0]) > 0 {
		return n, true
	}
	if s.queue = s.queue[1:]; len(s.queue) == 0 {
		s.queue = nil
	}
	return n, false
}

// Info describes the session for ctx:info().
func (s *Session) Info() (fields []Field) {
	defer func() { _ = recover() }()
	return Info(s.engine.State())
}

// Export is ctx:export().
func (s *Session) Export(label string, context []byte, length int) (secret []byte, err error) {
	defer recovered(&err)
	return s.engine.ExportKeyingMaterial(label, context, length)
}

// recovered turns a panic of the engine into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("internal error: %v", r)
	}
}
