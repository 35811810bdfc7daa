package carrier

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/tracer"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

const (
	// maxEmptyRecords bounds records without content in a row.
	maxEmptyRecords = 32
	// maxDroppedCCS bounds the dummy ChangeCipherSpec records of a handshake.
	maxDroppedCCS = 32
)

var (
	errNotTLS         = alert.New(alert.ProtocolVersion, "the peer does not speak TLS")
	errHTTP           = alert.New(alert.ProtocolVersion, "the peer speaks HTTP without TLS")
	errRecordVersion  = alert.New(alert.ProtocolVersion, "a record has the wrong version")
	errManyCCS        = alert.New(alert.UnexpectedMessage, "too many ChangeCipherSpecs")
	errEmptyRecords   = alert.New(alert.UnexpectedMessage, "too many empty records")
	errEarlyData      = alert.New(alert.UnexpectedMessage, "the client sends too much early data that was not accepted")
	errExpectedCCS    = alert.New(alert.UnexpectedMessage, "a handshake message comes before the ChangeCipherSpec")
	errInterleaved    = alert.New(alert.UnexpectedMessage, "a handshake message is interleaved with another record type")
	errFlightBoundary = alert.New(alert.UnexpectedMessage, "data follows the end of the peer's flight")
	errMessageSize    = alert.New(alert.IllegalParameter, "a handshake message is larger than the limit")
)

// StreamOptions is the part of the configuration that a Stream needs.
type StreamOptions struct {
	Server                 bool
	MinVersion, MaxVersion uint16 // until the hellos have agreed
	MaxRecordData          int    // bytes of plaintext per sent record
	MaxCertificate         int    // largest Certificate message accepted
}

// Stream carries a connection over a stream of TLS records.
type Stream struct {
	handler Handler
	opt     *StreamOptions
	trace   *tracer.Tracer // nil: off
	in, out record.Stream

	queued []byte // handshake messages that are in no record yet
	output []byte // records to be sent
	// unread is handshake bytes that were received but not returned by Next: a partial
	// message, or those after one that the caller pauses for. It is borrowed from the
	// input of Open until Next keeps it.
	unread   []byte
	borrowed bool
	paused   bool // see Pause

	expectCCS *suite.Keys // TLS 1.2: the keys from the ChangeCipherSpec on
	version   uint16      // 0 until the hellos have agreed
	write     handshake.Level
	complete  bool
	started   bool            // the first record is sent
	spoken    bool            // a message was sent since the last record arrived
	closed    bool            // the peer's close_notify has arrived
	ended     bool            // our last alert was sent: nothing follows
	earlySent bool            // early data was sent
	asleep    bool            // the keys are given up: see Sleep
	reads     handshake.Level // of the keys in use
	skip      uint32          // bytes of early data that may still be skipped, plus one; 0: none
	early     uint32          // bytes of early data that may still be sent or received
	count     counts
}

// NewStream returns a carrier at the start of a connection. Many connections may
// share opt, which is not modified.
func NewStream(h Handler, opt *StreamOptions) *Stream {
	return &Stream{handler: h, opt: opt}
}

// Trace sets where to tell what happens.
func (s *Stream) Trace(t *tracer.Tracer) { s.trace = t }

func (s *Stream) Transport() wire.Transport { return wire.Stream }
func (s *Stream) HelloRoom() int            { return math.MaxInt }
func (s *Stream) SetVersion(version uint16) { s.version = version }

// Missing returns how many bytes the record at in[0] still lacks.
func (s *Stream) Missing(in []byte) int {
	if len(in) < record.HeaderLen {
		return record.HeaderLen - len(in)
	}
	return max(0, record.HeaderLen+length(in)-len(in))
}

// Length returns the size of the record at in[0], whose header is complete.
func (s *Stream) Length(in []byte) int { return record.HeaderLen + length(in) }

// length is what the record header in says.
func length(in []byte) int { return int(in[3])<<8 | int(in[4]) }

func (s *Stream) MaxData() int  { return min(s.opt.MaxRecordData, s.out.MaxData()) }
func (s *Stream) Overhead() int { return s.out.Overhead() }

// Open consumes one record of in.
func (s *Stream) Open(_ time.Time, in []byte) (Opened, int, error) {
	switch {
	case s.closed:
		return Opened{}, 0, ErrClosed
	case len(in) < record.HeaderLen:
		return Opened{}, 0, nil
	}
	s.Wake()
	if err := s.checkHeader(in); err != nil {
		fault := *err
		fault.Header = bytes.Clone(in[:record.HeaderLen])
		return Opened{}, 0, &fault
	}
	n := record.HeaderLen + length(in)
	if len(in) < n {
		return Opened{}, 0, nil
	}
	rec := in[:n:n]
	if s.trace != nil {
		s.trace.Opening(rec)
	}
	switch {
	case record.ContentType(rec[0]) == record.ChangeCipherSpec && !s.sealedCCS(rec):
		s.traceClear(rec)
		return Opened{}, n, s.handleCCS(rec[record.HeaderLen:])
	case s.refusesHello(rec):
		s.traceClear(rec)
		return Opened{}, n, s.handleAlert(rec[record.HeaderLen:])
	}
	if s.skip > 0 {
		if skipped, err := s.skipRecord(rec); skipped {
			return Opened{}, n, err
		}
	}
	typ, content, err := s.in.Open(rec)
	if err != nil {
		s.trace.Dropped(record.Forged, n)
		return Opened{}, 0, err
	}
	if s.trace != nil {
		s.trace.ReceivedStream(typ, s.in.Protected(), s.in.Sequence()-1, content)
	}
	s.skip = 0
	if err := s.countRecord(typ, content); err != nil {
		return Opened{}, 0, err
	}
	if typ != record.ApplicationData {
		return Opened{}, n, s.handle(typ, content)
	}
	kind, err := s.checkData(content)
	return Opened{content, kind}, n, err
}

// handle handles a record that is not data by its content type.
func (s *Stream) handle(typ record.ContentType, content []byte) error {
	switch typ {
	case record.Handshake:
		return s.handleHandshake(content)
	case record.Alert:
		return s.handleAlert(content)
	case record.ChangeCipherSpec:
		return errUnexpectedCCS
	}
	return errContentType
}

// sealedCCS reports whether a ChangeCipherSpec is encrypted, as a second one in TLS 1.2
// is. It is decrypted before it is judged.
func (s *Stream) sealedCCS(rec []byte) bool {
	return s.rules().encryptsCCS && s.in.Protected() && len(rec) > record.HeaderLen+1
}

// refusesHello reports whether a record is the unencrypted alert of a client that refuses
// the ServerHello of TLS 1.3, and so has no keys: no record has arrived under them yet.
func (s *Stream) refusesHello(rec []byte) bool {
	return !s.complete && s.opt.Server && s.rules().refusable && s.in.Protected() &&
		(s.reads == handshake.EarlyData || s.in.Sequence() == 0) &&
		record.ContentType(rec[0]) == record.Alert && len(rec) == record.HeaderLen+2 &&
		rec[record.HeaderLen] == alertFatal && alert.Description(rec[record.HeaderLen+1]) != alert.CloseNotify
}

// checkHeader refuses what cannot be a record of this connection as soon as its
// header is complete.
func (s *Stream) checkHeader(in []byte) *alert.Error {
	typ := record.ContentType(in[0])
	if in[1] != 3 || in[2] != 3 { // 0x0303 is right in every version
		if err := s.checkVersion(in); err != nil {
			return err
		}
	}
	switch {
	case typ < record.ChangeCipherSpec || typ > record.ApplicationData:
		return errContentType
	case length(in) > s.maxLength(typ):
		return alert.New(alert.RecordOverflow, "a record is longer than the protocol allows")
	}
	return nil
}

// checkVersion: RFC 9846, Section 5.1: legacy_record_version "MUST be ignored for all
// purposes"; but what was never a version of TLS is something else, and BoringSSL's runner
// wants it refused.
func (s *Stream) checkVersion(in []byte) *alert.Error {
	r := s.rules()
	switch version := uint16(in[1])<<8 | uint16(in[2]); {
	case r.undecided && in[1] > 3:
		return notTLS(in)
	case version < r.minVersion || version > r.maxVersion:
		return errRecordVersion
	}
	return nil
}

// maxLength is the largest length of a record of this type. Early data that is skipped
// before there are keys is as long as ciphertext may be.
func (s *Stream) maxLength(typ record.ContentType) int {
	if s.skip > 0 && typ == record.ApplicationData {
		return record.MaxPlaintext + record.MaxOverhead13
	}
	return s.in.MaxLength()
}

// notTLS distinguishes the most common mistakes.
func notTLS(in []byte) *alert.Error {
	switch string(in[:5]) {
	case "GET /", "POST ", "HEAD ", "PUT /", "CONNE", "HTTP/", "OPTIO":
		return errHTTP
	}
	return errNotTLS
}

// countRecord bounds the records without progress. Only progress resets the counts: data,
// and parts of a handshake.
func (s *Stream) countRecord(typ record.ContentType, content []byte) error {
	switch {
	case len(content) == 0:
		if s.count.empty++; s.count.empty > maxEmptyRecords {
			return errEmptyRecords
		}
	case typ == record.ApplicationData, typ == record.Handshake && !s.complete:
		s.count.empty, s.count.warnings = 0, 0
	}
	return nil
}

// skipRecord drops a record of early data that the server did not accept. RFC
// 9846, Section 4.3.10: what cannot be decrypted is early data, or, before the
// second ClientHello, what looks like application data.
func (s *Stream) skipRecord(rec []byte) (skipped bool, err error) {
	if record.ContentType(rec[0]) != record.ApplicationData {
		return false, nil
	}
	if s.in.Protected() && !s.in.Foreign(rec) {
		return false, nil
	}
	if s.trace != nil {
		s.trace.Skipped()
	}
	// RFC 9846, Section 4.7.1: only the payload counts, as far as it can be told.
	const overhead = record.HeaderLen + 1 + 16
	if s.skip -= min(s.skip, uint32(max(1, len(rec)-overhead))); s.skip == 0 {
		return true, errEarlyData
	}
	return true, nil
}

func (s *Stream) checkData(content []byte) (Kind, error) {
	switch {
	case !s.complete && s.reads != handshake.EarlyData:
		return None, errEarlyAppData
	case len(s.unread) > 0:
		return None, errInterleaved
	case s.reads == handshake.EarlyData:
		if uint64(len(content)) > uint64(s.early) {
			return None, errEarlyDataSize
		}
		s.early -= uint32(len(content))
		return EarlyData, nil
	}
	if len(content) > 0 {
		s.count.messages = 0
	}
	return Data, nil
}

// handleCCS: in TLS 1.2 the change of keys, in TLS 1.3 nothing (RFC 9846,
// Section 5): "An implementation may receive an unencrypted record of type
// change_cipher_spec consisting of the single byte value 0x01 at any time
// after the first ClientHello message has been sent or received and before
// the peer's Finished message has been received and MUST simply drop it".
func (s *Stream) handleCCS(body []byte) error {
	r := s.rules()
	switch {
	case len(body) != 1 || body[0] != 1:
		return r.malformedCCS
	case s.complete || len(s.unread) > 0:
		return errUnexpectedCCS
	case r.dropsCCS, r.undecided && s.started && s.opt.MaxVersion == wire.VersionTLS13:
		if s.count.ccs++; s.count.ccs > maxDroppedCCS {
			return errManyCCS
		}
		return nil
	case s.expectCCS == nil:
		return errUnexpectedCCS
	}
	s.in.Install(*s.expectCCS)
	s.expectCCS = nil
	s.trace.KeysOfStream(false, uint64(handshake.Application))
	return nil
}

func (s *Stream) handleAlert(body []byte) error {
	level, description, err := parseAlert(body, s.in.Protected())
	// RFC 9846, Section 6: error alerts "MUST be treated as error alerts when received
	// regardless of the AlertLevel in the message". TLS 1.2 has warnings.
	only13 := s.rules().undecided && s.opt.MinVersion == wire.VersionTLS13
	if err == nil {
		s.trace.Alert(false, level, description)
	}
	switch {
	case err != nil:
		return err
	case description == alert.CloseNotify:
		s.closed = true
		return ErrClosed
	case level == alertFatal || only13 && description != alert.UserCanceled:
		return &PeerAlert{description}
	case len(s.unread) > 0:
		return errInterleaved
	}
	if !s.rules().warns(description) {
		return errBadAlert
	}
	return s.count.warning()
}

func (s *Stream) handleHandshake(content []byte) error {
	switch {
	case len(content) == 0:
		return errEmptyHandshake
	case s.expectCCS != nil:
		return errExpectedCCS
	}
	s.spoken = false
	if len(s.unread) > 0 {
		s.unread = append(s.unread, content...)
		return nil
	}
	s.unread, s.borrowed = content[:len(content):len(content)], true
	return nil
}

// Next returns the next complete message.
func (s *Stream) Next(time.Time) (m wire.Message, ok bool, err error) {
	if err := s.checkFlight(); err != nil || s.paused {
		s.keep()
		return m, false, err
	}
	typ, n, ok := wire.ParseHeader(s.unread)
	switch {
	case ok && n > s.maxMessage(typ):
		return m, false, errMessageSize
	case !ok || len(s.unread) < 4+n:
		s.keep()
		return m, false, nil
	case s.complete:
		err = s.count.message()
	}
	m = wire.Message{Type: typ, Body: s.unread[4 : 4+n]}
	s.unread = s.unread[4+n:]
	return m, true, err
}

// keep copies what is unread.
func (s *Stream) keep() {
	switch {
	case len(s.unread) == 0:
		s.unread = nil
	case s.borrowed:
		s.unread = bytes.Clone(s.unread)
	}
	s.borrowed = false
}

// checkFlight refuses bytes after the end of the peer's flight in its last record, once we
// have answered the flight.
func (s *Stream) checkFlight() error {
	if !s.spoken || s.complete || len(s.unread) == 0 {
		return nil
	}
	if !s.out.Protected() {
		s.queued, s.output = nil, nil // an answer would be useless
	}
	return errFlightBoundary
}

func (s *Stream) maxMessage(t wire.Type) int {
	if t.IsCertificate() {
		return s.opt.MaxCertificate
	}
	return maxMessage
}

// Pause keeps Next from returning more messages until Resume. The answer may make us send
// messages, as it would without a pause: Next then checks the flight again.
func (s *Stream) Pause()           { s.paused = true }
func (s *Stream) Resume(time.Time) { s.paused = false }

// Send queues a message: messages share records as long as keys are the same.
func (s *Stream) Send(msg []byte) uint16 {
	s.spoken = true
	if s.ended {
		return 0
	}
	if s.queued == nil {
		s.queued = borrow()
	}
	s.queued = append(s.queued, msg...)
	s.trace.MessageSent(msg, 0)
	return 0
}

// roomSize is how much most flights take.
const roomSize = 2048

var rooms = sync.Pool{New: func() any { return new([roomSize]byte) }}

// borrow returns an empty buffer for messages or records on their way out.
func borrow() []byte { return rooms.Get().(*[roomSize]byte)[:0] }

// giveBack lets other streams use the buffers, from which nothing is sent any more.
func (s *Stream) giveBack() {
	for _, b := range [][]byte{s.queued, s.output} {
		if cap(b) == roomSize { // else it has grown
			room := (*[roomSize]byte)(b[:roomSize])
			clear(room[:])
			rooms.Put(room)
		}
	}
	s.queued, s.output = nil, nil
}

// flush puts the queued messages into records.
func (s *Stream) flush() {
	if len(s.queued) > 0 {
		s.Wake()
		if s.output == nil {
			s.output = borrow()
		}
	}
	for rest := s.queued; len(rest) > 0; {
		n := min(len(rest), s.MaxData())
		start := len(s.output)
		s.output = s.out.Seal(s.output, record.Handshake, rest[:n])
		if !s.started && s.rules().undecided {
			// RFC 9846, Section 5.1: the first ClientHello's record says 0x0301,
			// for the sake of old servers.
			s.output[start+2] = 1
		}
		s.traceSent(record.Handshake, rest[:n], s.output[start:])
		rest = rest[n:]
	}
	s.queued = s.queued[:0]
	s.started = s.started || len(s.output) > 0
}

func (s *Stream) InstallRead(level handshake.Level, k suite.Keys) error {
	if len(s.unread) > 0 {
		return errKeyBoundary
	}
	s.reads = level
	s.in.Install(k)
	s.trace.KeysOfStream(false, uint64(level))
	return nil
}

func (s *Stream) InstallWrite(level handshake.Level, k suite.Keys) {
	s.Wake()
	s.flush()
	s.out.Install(k)
	s.write = level
	s.trace.KeysOfStream(true, uint64(level))
}

// LimitRecords limits the content of records, but not of early data that is received: its
// sender cannot know yet.
func (s *Stream) LimitRecords(send, receive int) {
	s.out.SetLimit(send)
	if s.reads != handshake.EarlyData {
		s.in.SetLimit(receive)
	}
}

func (s *Stream) ExpectChangeCipherSpec(k suite.Keys) error {
	if len(s.unread) > 0 {
		return errKeyBoundary
	}
	s.expectCCS = &k
	return nil
}

func (s *Stream) SendChangeCipherSpec(k suite.Keys) {
	s.flush()
	if !s.ended {
		s.seal(record.ChangeCipherSpec, []byte{1})
	}
	s.out.Install(k)
	s.trace.KeysOfStream(true, uint64(handshake.Application))
}

func (s *Stream) SendCompatibilityCCS() {
	s.flush()
	if !s.ended {
		start := len(s.output)
		s.output = append(s.output, byte(record.ChangeCipherSpec), 3, 3, 0, 1, 1)
		if s.trace != nil {
			s.trace.SentStream(record.ChangeCipherSpec, false, 0, []byte{1}, s.output[start:])
		}
	}
}

func (s *Stream) SendKeyUpdate(msg []byte, next suite.Keys) {
	s.Send(msg)
	s.InstallWrite(handshake.Application, next)
}

// HasEpochs: records of a stream are in order, and do not name their epoch.
func (s *Stream) HasEpochs() bool { return false }

// KeyUpdatePending: a stream's KeyUpdate takes effect at once.
func (s *Stream) KeyUpdatePending() bool { return false }

func (s *Stream) LimitEarlyData(bytes uint32) { s.early = bytes }
func (s *Stream) SkipEarlyData(bytes uint32)  { s.skip = min(bytes, math.MaxUint32-1) + 1 }

// SendAlert: close_notify is a warning, everything else here is fatal. Either is the last
// that is sent (RFC 9846, Section 6.1).
func (s *Stream) SendAlert(d alert.Description) {
	if s.ended {
		return
	}
	level := byte(alertFatal)
	if d == alert.CloseNotify {
		level = alertWarning
	}
	s.Wake()
	s.flush()
	s.trace.Alert(true, level, d)
	s.seal(record.Alert, []byte{level, byte(d)})
	s.ended = true
}

func (s *Stream) Speaks() bool {
	return s.write == handshake.Application || s.write == handshake.EarlyData && s.earlySent
}

// Forget drops all keys.
func (s *Stream) Forget() {
	s.giveBack()
	*s = Stream{handler: s.handler, opt: s.opt, trace: s.trace, version: s.version, complete: s.complete, closed: s.closed, ended: true}
}

func (s *Stream) Complete() {
	s.complete = true
	s.write = handshake.Application
	if !s.HasOutput() {
		s.giveBack()
	}
}

// seal adds a record to the output.
func (s *Stream) seal(typ record.ContentType, content []byte) {
	start := len(s.output)
	s.output = s.out.Seal(s.output, typ, content)
	s.traceSent(typ, content, s.output[start:])
}

// traceSent tells of a record that was sealed last.
func (s *Stream) traceSent(typ record.ContentType, content, rec []byte) {
	if s.trace != nil {
		s.trace.SentStream(typ, s.out.Protected(), s.out.Sequence()-1, content, rec)
	}
}

// traceClear tells of a received record that is not protected.
func (s *Stream) traceClear(rec []byte) {
	if s.trace != nil {
		s.trace.ReceivedStream(record.ContentType(rec[0]), false, 0, rec[record.HeaderLen:])
	}
}

// Output appends everything that must be sent.
func (s *Stream) Output(_ time.Time, dst []byte) []byte { return s.appendOutput(dst) }

func (s *Stream) appendOutput(dst []byte) []byte {
	s.flush()
	dst = append(dst, s.output...)
	s.giveBack() // a connection that waits for its peer keeps no buffers
	return dst
}

// HasOutput reports whether Output has something to append.
func (s *Stream) HasOutput() bool { return len(s.output)+len(s.queued) > 0 }

// Seal appends the output and then data as records.
func (s *Stream) Seal(dst, data []byte) ([]byte, error) {
	if s.write != handshake.Application {
		return dst, ErrNotReady
	}
	s.Wake()
	if s.HasOutput() {
		dst = s.appendOutput(dst)
	}
	if len(data) > s.opt.MaxRecordData { // room for all records at once
		dst = slices.Grow(dst, len(data)+(1+len(data)/s.opt.MaxRecordData)*s.out.Overhead())
	}
	for {
		n := min(len(data), s.MaxData())
		start := len(dst)
		dst = s.out.Seal(dst, record.ApplicationData, data[:n])
		if s.trace != nil {
			s.traceSent(record.ApplicationData, data[:n], dst[start:])
		}
		if s.out.Exhausted() {
			s.handler.KeysExhausted(false)
			dst = s.appendOutput(dst)
		}
		if data = data[n:]; len(data) == 0 {
			return dst, nil
		}
	}
}

// SealParts is Seal for data in several slices. A record may span them.
func (s *Stream) SealParts(dst []byte, parts [][]byte) ([]byte, error) {
	if s.write != handshake.Application {
		return dst, ErrNotReady
	}
	s.Wake()
	if s.HasOutput() {
		dst = s.appendOutput(dst)
	}
	data := record.NewParts(parts)
	dst = slices.Grow(dst, data.Len()+(1+data.Len()/s.opt.MaxRecordData)*s.out.Overhead())
	for {
		var content []byte // for the trace
		start, n := len(dst), min(data.Len(), s.MaxData())
		if s.trace != nil {
			ahead := data
			content = ahead.Append(nil, n)
		}
		dst = s.out.SealParts(dst, record.ApplicationData, &data, n)
		s.traceSent(record.ApplicationData, content, dst[start:])
		if s.out.Exhausted() {
			s.handler.KeysExhausted(false)
			dst = s.appendOutput(dst)
		}
		if data.Len() == 0 {
			return dst, nil
		}
	}
}

// SealEarly is Seal for early data.
func (s *Stream) SealEarly(dst, data []byte) ([]byte, error) {
	switch {
	case s.write != handshake.EarlyData:
		return dst, ErrNotReady
	case uint64(len(data)) > uint64(s.early):
		return dst, ErrDataSize
	case !s.out.Permits(max(1, (len(data)+s.MaxData()-1)/s.MaxData())):
		return dst, ErrSpent // RFC 9846, Section 5.5: there is no KeyUpdate yet
	}
	s.early -= uint32(len(data))
	s.earlySent = true
	dst = s.appendOutput(dst)
	for {
		n := min(len(data), s.MaxData())
		start := len(dst)
		dst = s.out.Seal(dst, record.ApplicationData, data[:n])
		s.traceSent(record.ApplicationData, data[:n], dst[start:])
		if data = data[n:]; len(data) == 0 {
			return dst, nil
		}
	}
}

// EarlyDataRoom returns how many more bytes SealEarly takes.
func (s *Stream) EarlyDataRoom() int {
	if s.write != handshake.EarlyData {
		return 0
	}
	return int(min(s.early, math.MaxInt32))
}

var _ Carrier = (*Stream)(nil)
