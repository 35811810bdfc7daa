package hermetic

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/poison"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/tracer"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Kind says what an opened record means for the caller.
type Kind uint8

const (
	// KindNone is nothing for the caller: a handshake message, an alert, a dropped record.
	KindNone Kind = iota
	// KindData is application data, which may be empty.
	KindData
	// KindEarlyData is application data that may be a replay (0-RTT).
	KindEarlyData
	// KindNewPath is a record under our connection ID that may have come from a new address:
	// see [Engine.ConnectionIDs]. It may have data; otherwise Data is nil. DTLS only.
	KindNewPath
	// KindPathChanged is the peer's proof that it receives what we send to its new address,
	// which [Engine.Path] returns from now on. It comes only from [Engine.OpenFrom], without
	// data. DTLS only.
	KindPathChanged
)

// String returns the constant's name without "Kind", such as "NewPath".
func (k Kind) String() string {
	switch k {
	case KindNone:
		return "None"
	case KindData:
		return "Data"
	case KindEarlyData:
		return "EarlyData"
	case KindNewPath:
		return "NewPath"
	case KindPathChanged:
		return "PathChanged"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Opened is the result of [Engine.Open].
type Opened struct {
	// Data is the application data. It aliases the input, and is valid as long as that.
	Data []byte

	// N is the number of bytes of the input that were consumed. In TLS, 0 means that the
	// record is incomplete.
	N int

	// Kind says what the record means.
	Kind Kind
}

// An Engine is one connection without I/O: bytes from the peer go into [Engine.Open], and
// bytes for the peer come out of [Engine.Output] and [Engine.Seal]. It has no lock: calls must
// not be concurrent.
//
// Methods for which that is said are for DTLS only: [Engine.SetPeerID], [Engine.SetMTU],
// [Engine.SetRetransmitTimeout], [Engine.Deadline], [Engine.Expire], [Engine.Acknowledged],
// [Engine.ConnectionIDs], [Engine.OfferConnectionIDs], [Engine.RequestConnectionIDs],
// [Engine.ChangeConnectionID], [Engine.OpenFrom], [Engine.OutputTo], [Engine.SetPath],
// [Engine.Path] and [Engine.NewPath].
type Engine struct {
	mode       Mode
	started    bool
	complete   bool // the handshake
	closed     bool // Close was called
	ended      bool // and close_notify was sent
	peerClosed bool // and so was the peer's
	over       bool // both, and the keys are forgotten
	moved      bool // imported: a different Config may have verified the peer
	plan       *plan
	asked      *plan          // before plan, of the Config whose GetConfigForClient was asked; nil: none
	trace      *tracer.Tracer // nil: off
	carrier    carrier.Carrier
	hs         *handshaking // nil: none of it
	conn       *handshake.Connection
	putOff     error // the error of the next record, which OpenAll has already opened
	err        error // a fatal failure: final until Reset
	serverName string
}

// NewEngine returns an engine at the start of a handshake. A client has its ClientHello ready
// in Output. If cfg cannot be used, the error is a *[ConfigError]; an unknown mode is an
// [ErrInvalidOperation].
func NewEngine(mode Mode, cfg *Config) (*Engine, error) {
	if !mode.valid() {
		return nil, errMode
	}
	c, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	e := &Engine{mode: mode, plan: c}
	if !mode.IsServer() {
		if c.unfit != nil {
			return nil, c.unfit
		}
		if cfg.ServerName == "" && !cfg.InsecureSkipVerify && !cfg.ServerNameOptional && len(cfg.PeerPublicKeys) == 0 && !c.hasClientPSKs() {
			return nil, configError("ServerName", "a client needs the name of its server, or InsecureSkipVerify")
		}
		e.serverName = cfg.ServerName
	}
	e.Reset()
	return e, nil
}

// handler is the engine as its carrier sees it.
type handler struct{ *Engine }

// Keys are made again for a carrier that wakes up.
func (h handler) Keys() (read, write suite.Keys) { return h.conn.Keys(h.mode.IsServer()) }

// KeysExhausted sends a KeyUpdate.
func (h handler) KeysExhausted(request bool) {
	if !h.closed {
		h.conn.UpdateKeys(h.carrier, request)
	}
}

// params returns the handshake's parameters for the engine's role.
func (e *Engine) params() *handshake.Params {
	if e.mode.IsServer() {
		return &e.plan.server
	}
	return &e.plan.client
}

// start starts the handshake, in the first call that can produce output, so that
// SetServerName can come before.
func (e *Engine) start() {
	if !e.started {
		e.begin()
	}
}

func (e *Engine) begin() {
	e.started = true
	hs := e.during()
	e.trace.State("started", 0)
	if e.mode.IsServer() {
		var jar handshake.CookieJar
		if id := e.peerID(); id != nil {
			jar = &cookieJar{e.plan.cfg, id, e.now()}
		}
		hs.machine = handshake.NewServer(e.params(), e.carrier, jar)
	} else {
		hs.machine = handshake.NewClient(e.params(), e.carrier, e.serverName)
	}
	e.conn = hs.machine.Connection()
	err := hs.machine.Start()
	if err == nil {
		err = e.advance()
	}
	if err != nil {
		e.fail(err)
		return
	}
	e.traceWaiting()
}

// startClient starts a client's handshake. A server's starts with what it receives, and
// so does the time by which it judges a cookie.
func (e *Engine) startClient() {
	if !e.mode.IsServer() {
		e.start()
	}
}

// handleMessages passes received messages to the handshake until there are none, or the
// caller is asked a question. All waiting for either is here.
func (e *Engine) handleMessages(now time.Time) error {
	for {
		m, ok, err := e.carrier.Next(now)
		if err != nil || !ok {
			return err
		}
		if err := e.handle(m); err != nil {
			return err
		}
	}
}

// handle handles a handshake message.
func (e *Engine) handle(m wire.Message) error {
	e.trace.MessageReceived(m)
	if e.complete {
		err := e.conn.Handle(e.carrier, e.params(), m)
		e.keep()
		return err
	}
	if err := e.hs.machine.Handle(m); err != nil {
		return err
	}
	return e.advance()
}

// advance answers the questions that the Config answers, and stops at one for the caller.
func (e *Engine) advance() error {
	for {
		hs := e.hs
		if hs.machine.Finished() {
			hs.machine.Release()
			e.hs, e.complete = nil, true
			e.traceCompleted()
			e.keep()
			return nil
		}
		q := hs.machine.Question()
		if q == nil {
			e.traceWaiting()
			return nil
		}
		hs.pending = e.ask(q)
		e.traceQuestion(q)
		if hs.pending != nil {
			e.carrier.Pause()
			return nil
		}
		if err := hs.machine.Resume(); err != nil {
			return err
		}
	}
}

// proceed continues after the caller's answer.
func (e *Engine) proceed() {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	e.traceAnswer(e.hs.machine.Question())
	if err := e.hs.machine.Resume(); err != nil {
		e.fail(err)
		return
	}
	e.resume()
}

// resume clears the pending question, then advances.
func (e *Engine) resume() {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	e.hs.pending = nil
	err := e.advance()
	if err == nil && e.Pending() == nil {
		now := e.now()
		e.carrier.Resume(now)
		err = e.handleMessages(now)
	}
	if err != nil {
		e.fail(err)
		return
	}
	e.sayClosed()
}

// now returns the time, for carriers that have a timer.
func (e *Engine) now() time.Time {
	if e.mode.IsDTLS() {
		return e.plan.cfg.now()
	}
	return time.Time{}
}

// fail turns an error of the inner packages into the public one. A fatal one is kept, and
// the peer gets an alert, unless a close_notify was already sent.
func (e *Engine) fail(err error) error {
	var fault *alert.Error
	var received *carrier.PeerAlert
	var owed string
	switch {
	case err == nil:
		return nil
	case err == carrier.ErrClosed:
		e.trace.State("closed", 0)
		e.settle(true)
		return ErrClosed
	case err == carrier.ErrTimeout:
		e.err = ErrTimeout
	case errors.As(err, &fault):
		e.carrier.SendAlert(fault.Description)
		owed = string(e.carrier.Output(e.now(), nil))
		e.err = &AlertError{Alert: Alert(fault.Description), Cause: fault.Cause + e.hint(fault), err: fault.Err, header: fault.Header, unverified: fault.Unverified}
	case errors.As(err, &received):
		e.err = &AlertError{Alert: Alert(received.Description), Received: true}
	default:
		e.err = err
	}
	e.traceFailed()
	e.forget(true)
	if owed != "" {
		e.during().owed = owed
	}
	return e.err
}

// hint is the usual cause of a failure whose error does not show it. In TLS 1.2 nothing
// proves a PSK before the Finished, whose record cannot be opened if the PSKs differ.
func (e *Engine) hint(fault *alert.Error) string {
	if fault.Description == alert.BadRecordMAC && !e.complete && e.conn != nil && e.conn.Version == wire.VersionTLS12 &&
		e.conn.Suite != nil && e.conn.Suite.KeyExchange.PSK && !e.conn.Resumed {
		return "; the usual cause is that the two sides have different pre-shared keys, or that the server does not know the identity"
	}
	return ""
}

// forget drops the secrets of a connection that is over: RFC 9846, Section 6: "Servers and
// clients MUST forget the secret values and keys established in failed connections".
func (e *Engine) forget(failed bool) {
	e.hs = nil
	e.carrier.Forget()
	if e.conn != nil {
		e.conn = e.conn.Forget(failed)
	}
}

// settle forgets the keys of a stream that both sides have closed. Datagrams may still be
// in transit, and must be acknowledged.
func (e *Engine) settle(peerClosed bool) {
	e.peerClosed = e.peerClosed || peerClosed
	if e.peerClosed && e.ended && e.complete && !e.mode.IsDTLS() && !e.carrier.HasOutput() {
		e.over = true
		e.forget(false)
	}
}

// Open consumes the first record of in. From the call on, the bytes of in belong to the
// engine: records are decrypted in place, and Opened.Data aliases them.
//
// In TLS, call it until in is used up or Opened.N is 0. If N is 0, the record is incomplete:
// append more bytes. For many small records, [Engine.OpenAll] is faster. In DTLS, in is the rest of one
// datagram, and N is 0 only if in is empty.
//
// N > 0 with [KindNone] is ordinary. The error is [ErrClosed] after the peer's close_notify;
// [ErrPending] while an answer is awaited, and then nothing is consumed; and an *[AlertError]
// after a fatal failure: then send Output once more, which has the alert, and call Reset.
func (e *Engine) Open(in []byte) (Opened, error) {
	if e.trace.Enter() {
		return e.traceOpen(in)
	}
	data, n, kind, err := e.open(in, false)
	return Opened{Data: data, N: n, Kind: kind}, err
}

// open is Open, with results that, unlike an Opened, stay in registers. If after is true, the caller
// already has data to return, and an error is put off.
func (e *Engine) open(in []byte, after bool) (data []byte, n int, kind Kind, err error) {
	e.start()
	switch {
	case e.err != nil:
		return nil, 0, KindNone, e.err
	case e.Pending() != nil:
		return nil, 0, KindNone, ErrPending
	case e.putOff != nil:
		n, err = e.openPutOff(in)
		return nil, n, KindNone, err
	}
	now := e.now()
	o, n, err := e.carrier.Open(now, in)
	if err == nil && o.Data == nil { // with data there are no messages
		err = e.handleMessages(now)
	}
	if err != nil && after {
		e.putOff = err
		return nil, 0, KindNone, err
	}
	if err != nil {
		if err != carrier.ErrClosed {
			n = 0
		}
		return nil, n, KindNone, e.fail(err)
	}
	switch {
	case e.closed:
		e.sayClosed()
	case e.complete && e.conn.UpdateDue() && e.mode.IsDTLS():
		e.conn.SendDueUpdate(e.carrier) // at once: a datagram may be sent at any time
	}
	if o.Kind == carrier.PathChanged {
		e.ChangeConnectionID() // RFC 9853, Section 8: not the same one on two paths
	}
	poison.Around(in[:n], o.Data)
	return o.Data, n, Kind(o.Kind), nil
}

// Missing returns how many bytes the record at in[0] still lacks, as far as that is known: with
// an incomplete header, the rest of the header. TLS only: in DTLS it is 0.
func (e *Engine) Missing(in []byte) int {
	if s, ok := e.carrier.(*carrier.Stream); ok {
		return s.Missing(in)
	}
	return 0
}

// Pending returns the question that the engine waits on, or nil. Only what Config.Async names
// is asked.
func (e *Engine) Pending() Pending {
	if e.hs == nil {
		return nil
	}
	return e.hs.pending
}

// Seal appends data to dst as protected records. dst's spare capacity must not overlap data.
// After an error dst is unchanged.
//
// In TLS it first appends what Output would, and then as many records as data needs. For data in
// several slices, see [Engine.SealBuffers]. In DTLS it appends one datagram with one record. Send
// what Output has before that: a peer that has not received our Finished has no keys for data, and
// drops it.
//
// It is an [ErrInvalidOperation] before there are keys for application data, after Close, and
// in DTLS with more data than [Engine.MaxData], or with more bytes than an address may get
// that is not proved yet: see [DTLSConfig].TrustAddress. It is an [ErrLimit] when the keys
// have protected as many records as they may.
//
// A TLS 1.3 server has such keys once it has sent its Finished, one round trip before
// HandshakeComplete. Until then it knows neither that the client is live nor its identity
// (RFC 9846, Section 4.5.3).
func (e *Engine) Seal(dst, data []byte) ([]byte, error) {
	if e.trace.Enter() {
		return e.traceSeal(dst, data)
	}
	if err := e.beginSeal(); err != nil {
		return dst, err
	}
	out, err := e.carrier.Seal(dst, data)
	if err != nil {
		return dst, e.sealError(err, len(data))
	}
	return out, nil
}

// beginSeal prepares for sending data, or returns an error if data must not be sent.
func (e *Engine) beginSeal() error {
	e.startClient()
	switch {
	case e.err != nil:
		return e.err
	case e.closed:
		return errWriteClosed
	case e.complete && e.conn.UpdateDue():
		e.conn.SendDueUpdate(e.carrier)
	}
	return nil
}

// sealError returns why that many bytes of data were not sealed: the caller's mistake, or a
// limit.
func (e *Engine) sealError(err error, size int) error {
	var fault *alert.Error
	switch {
	case err == carrier.ErrDataSize:
		return &invalidOperation{fmt.Sprintf("%d bytes do not fit in a datagram: at most %d do", size, e.MaxData())}
	case err == error(carrier.ErrSpent):
		return &limitError{err.Error()}
	case errors.As(err, &fault):
		return e.fail(err)
	}
	return &invalidOperation{err.Error()}
}

// Output appends what must be sent now: in TLS all of it, in DTLS exactly one datagram, so
// call it until nothing is appended. Bytes must be sent in the order in which Output and Seal
// returned them.
func (e *Engine) Output(dst []byte) []byte {
	if e.trace.Enter() {
		return e.traceOutput(dst)
	}
	e.startClient()
	if e.err != nil {
		if e.hs != nil {
			dst, e.hs.owed = append(dst, e.hs.owed...), ""
		}
		return dst
	}
	dst = e.carrier.Output(e.now(), dst)
	e.settle(false)
	return dst
}

// HasOutput reports whether Output has something to append.
func (e *Engine) HasOutput() bool {
	e.startClient()
	if e.err != nil {
		return e.hs != nil && e.hs.owed != ""
	}
	return e.carrier.HasOutput()
}

// Close ends what we send with close_notify: Seal then fails, and Open still works. The
// close_notify is in Output at once if data can be sent, or early data was. Otherwise it
// follows as soon as the handshake permits: until then there is nothing whose end the peer
// must know.
//
// Nothing follows close_notify, neither an alert nor a KeyUpdate that the peer has requested.
// So a client that closes after early data does not complete the handshake.
func (e *Engine) Close() {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	if e.err != nil {
		return
	}
	e.closed = true
	e.sayClosed()
}

// sayClosed queues the close_notify of Close, if it is due.
func (e *Engine) sayClosed() {
	if e.closed && !e.ended && e.carrier.Speaks() {
		e.ended = true
		e.trace.State("closing", 0)
		e.carrier.SendAlert(alert.CloseNotify)
	}
}

// Reset forgets the connection, and starts a new one with the same mode, Config and server
// name. The peer identity is forgotten.
func (e *Engine) Reset() {
	plan := e.plan
	if e.asked != nil {
		plan = e.asked
	}
	*e = Engine{mode: e.mode, plan: plan, serverName: e.serverName}
	e.beginTrace()
	e.newCarrier()
}

func (e *Engine) newCarrier() {
	if e.mode.IsDTLS() {
		e.carrier = carrier.NewDatagram(handler{e}, e.datagramOptions())
	} else {
		role := 0
		if e.mode.IsServer() {
			role = 1
		}
		e.carrier = carrier.NewStream(handler{e}, &e.plan.stream[role])
	}
	if e.trace != nil {
		e.carrier.Trace(e.trace)
	}
}

// KeyUpdateRequest says whether a KeyUpdate asks the peer for one, too (RFC 9846,
// Section 4.7.3).
type KeyUpdateRequest bool

const (
	// UpdateNotRequested changes our sending keys only.
	UpdateNotRequested KeyUpdateRequest = false
	// UpdateRequested asks the peer to change its sending keys too.
	UpdateRequested KeyUpdateRequest = true
)

// String returns the constant's name.
func (r KeyUpdateRequest) String() string {
	if r == UpdateRequested {
		return "UpdateRequested"
	}
	return "UpdateNotRequested"
}

// KeyUpdate changes our sending keys (RFC 9846, Section 4.7.3), and with [UpdateRequested] asks
// the peer to change its own. A request that it has not answered yet serves for this one too.
//
// In DTLS the keys change when the peer has acknowledged the message. Until then another
// update is the same one, and another request waits. In TLS 1.2 it is an
// [ErrInvalidOperation]. Where DTLS has no epoch numbers left, it is an [ErrLimit].
func (e *Engine) KeyUpdate(request KeyUpdateRequest) error {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	switch err := e.established(); {
	case err != nil:
		return err
	case !e.conn.Renewable():
		return &invalidOperation{"TLS 1.2 has no KeyUpdate"}
	case e.closed:
		return errWriteClosed
	}
	if d := e.datagrams(); d != nil {
		if err := d.KeyUpdatesLeft(); err != nil {
			return &limitError{err.Error()}
		}
	}
	e.conn.UpdateKeys(e.carrier, bool(request))
	return nil
}

var (
	errIncomplete  = &invalidOperation{"the handshake is not complete"}
	errBegun       = &invalidOperation{"the handshake has started: call this before it, or after Reset"}
	errWriteClosed = &invalidOperation{"the connection is closed for writing"}
)

// established returns an error unless the handshake is complete and the engine usable.
func (e *Engine) established() error {
	if e.err == nil && !e.HandshakeComplete() {
		return errIncomplete
	}
	return e.err
}

// HandshakeComplete reports whether the handshake has ended successfully.
func (e *Engine) HandshakeComplete() bool {
	return e.complete
}

// MaxData returns how many bytes of data one record can carry.
func (e *Engine) MaxData() int {
	return e.carrier.MaxData()
}

// Overhead returns how many bytes protection adds to a record at most.
func (e *Engine) Overhead() int {
	return e.carrier.Overhead()
}

// SetServerName sets the name that a client verifies and sends, in place of the Config's. It
// survives Reset. It is an [ErrInvalidOperation] on a server, and once the handshake has begun.
func (e *Engine) SetServerName(name string) error {
	err := checkServerName(name)
	switch {
	case e.mode.IsServer():
		return &invalidOperation{"operation not supported: only a client has a server name"}
	case err == errLongName:
		return &invalidOperation{err.Error()}
	case err != nil:
		return &invalidOperation{"the server name cannot be used: " + err.Error()}
	case e.started:
		return errBegun
	}
	e.serverName = name
	return nil
}
