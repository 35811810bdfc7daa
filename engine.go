package hermetic

import (
	"errors"
	"fmt"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Kind says what a record that was opened meant for the caller.
type Kind uint8

const (
	KindNone      Kind = iota // nothing: a handshake message, a dropped record
	KindData                  // application data, which may be empty
	KindEarlyData             // application data that may be a replay (0-RTT)
	KindNewPath               // DTLS: a record under our CID, maybe from a new address; without data, Data is nil
)

// Opened is the result of [Engine.Open].
type Opened struct {
	Data []byte // aliases the input
	N    int    // how many bytes of the input were used; TLS: 0 means incomplete
	Kind Kind
}

// An Engine is one connection without I/O: records come in by Open and go out
// by Output and Seal. It has no lock: calls must not be concurrent.
type Engine struct {
	mode       Mode
	started    bool
	closed     bool // we have sent close_notify
	moved      bool // imported: another Config may have verified the peer
	cfg        *compiled
	asked      *compiled // before cfg: for a Config for this client; nil: there is none
	carrier    carrier.Carrier
	machine    *handshake.Machine // nil once the handshake is complete
	conn       *handshake.Connection
	question   handshake.Question // what the caller is asked; pending is its public form
	pending    Pending
	tickets    []TicketKey // for this handshake, once they are known
	err        error       // a fatal failure: final until Reset
	serverName string
	peerID     []byte
}

// NewEngine returns an engine at the start of a handshake. A client has its
// ClientHello ready in Output. The error names what is wrong in cfg.
func NewEngine(mode Mode, cfg *Config) (*Engine, error) {
	if mode < TLSClient || mode > DTLSServer {
		return nil, errors.New("hermetic: the mode is none of TLSClient, TLSServer, DTLSClient, DTLSServer")
	}
	c, err := cfg.compiled()
	if err != nil {
		return nil, err
	}
	e := &Engine{mode: mode, cfg: c}
	if !mode.IsServer() {
		if c.unfit != nil {
			return nil, c.unfit
		}
		if cfg.ServerName == "" && !cfg.InsecureSkipVerify && !cfg.nameOptional && len(cfg.PeerPublicKeys)+len(cfg.PSKs) == 0 {
			return nil, configError("ServerName", "a client needs the name of its server, or InsecureSkipVerify")
		}
		e.serverName = cfg.ServerName
	}
	e.Reset()
	return e, nil
}

// handler is the engine as its carrier sees it.
type handler struct{ *Engine }

// Handle takes a handshake message.
func (h handler) Handle(m wire.Message) error {
	e := h.Engine
	if e.machine == nil {
		err := e.conn.Handle(e.carrier, e.params(), m)
		e.keep()
		return err
	}
	if err := e.machine.Handle(m); err != nil {
		return err
	}
	return e.advance()
}

// Waiting reports that an answer is awaited.
func (h handler) Waiting() bool { return h.pending != nil }

// Keys are made again for a carrier that wakes up.
func (h handler) Keys() (read, write suite.Keys) { return h.conn.Keys(h.mode.IsServer()) }

// KeysExhausted sends a KeyUpdate.
func (h handler) KeysExhausted(request bool) { h.conn.UpdateKeys(h.carrier, request) }

// params are the handshake's, for the engine's role.
func (e *Engine) params() *handshake.Params {
	if e.mode.IsServer() {
		return &e.cfg.server
	}
	return &e.cfg.client
}

// start begins the handshake with the first call that can make bytes of it, so
// that SetServerName may come before.
func (e *Engine) start() {
	if e.started {
		return
	}
	e.started = true
	if e.mode.IsServer() {
		var jar handshake.CookieJar
		if e.peerID != nil {
			jar = &cookieJar{e.cfg.Config, e.peerID, e.now()}
		}
		e.machine = handshake.NewServer(e.params(), e.carrier, jar)
	} else {
		e.machine = handshake.NewClient(e.params(), e.carrier, e.serverName)
	}
	e.conn = e.machine.Connection()
	err := e.machine.Start()
	if err == nil {
		err = e.advance()
	}
	if err != nil {
		e.fail(err)
	}
}

// startClient begins a handshake where there is something to send: a server's
// begins with what comes.
func (e *Engine) startClient() {
	if !e.mode.IsServer() {
		e.start()
	}
}

// advance answers what the Config answers, and stops at what the caller does.
func (e *Engine) advance() error {
	for {
		if e.machine.Finished() {
			e.machine, e.tickets = nil, nil
			e.keep()
			return nil
		}
		q := e.machine.Question()
		if q == nil {
			return nil
		}
		if e.pending = e.answer(q); e.pending != nil {
			e.question = q
			return nil
		}
		if err := e.machine.Resume(); err != nil {
			return err
		}
	}
}

// answered goes on after the caller's answer.
func (e *Engine) answered() {
	if err := e.machine.Resume(); err != nil {
		e.fail(err)
		return
	}
	e.answerAgain()
}

// answerAgain goes on with the question that there is now.
func (e *Engine) answerAgain() {
	e.question, e.pending = nil, nil
	err := e.advance()
	if err == nil && e.pending == nil {
		err = e.carrier.Resume(e.now())
	}
	if err != nil {
		e.fail(err)
	}
}

// now is the time, for those carriers that have a timer.
func (e *Engine) now() time.Time {
	if e.mode.IsDTLS() {
		return e.cfg.now()
	}
	return time.Time{}
}

// fail turns an error of the inner packages into the public one. A fatal one
// is kept, and the peer is told.
func (e *Engine) fail(err error) error {
	var fault *alert.Error
	var received *carrier.PeerAlert
	switch {
	case err == nil:
		return nil
	case err == carrier.ErrClosed:
		return ErrClosed
	case err == carrier.ErrTimeout:
		e.err = ErrTimeout
		return ErrTimeout
	case err == carrier.ErrPending:
		return ErrPending
	case errors.As(err, &fault):
		e.carrier.SendAlert(fault.Description)
		e.err = &AlertError{Alert: Alert(fault.Description), Cause: fault.Cause, err: fault.Err}
	case errors.As(err, &received):
		e.err = &AlertError{Alert: Alert(received.Description), Received: true}
	default:
		e.err = err
	}
	e.pending, e.question = nil, nil
	return e.err
}

// Open consumes the first record of in. The bytes of in are the engine's
// scratch from the call on: records are decrypted in place, and Opened.Data
// aliases them. Over TLS call it until N is 0 (the record is incomplete: bring
// more bytes behind these) or in is used up. In DTLS in is the rest of one
// datagram and N is never 0 unless in is empty.
//
// N > 0 with KindNone is ordinary. Open returns ErrClosed when the peer's
// close_notify has come, ErrPending while an answer is awaited (nothing is
// consumed), an *AlertError for a fatal failure: after it, send Output once more
// (the alert that is owed) and Reset.
func (e *Engine) Open(in []byte) (Opened, error) {
	e.start()
	if e.err != nil {
		return Opened{}, e.err
	}
	o, err := e.carrier.Open(e.now(), in)
	if err != nil {
		n := 0
		if err == carrier.ErrClosed {
			n = o.N
		}
		return Opened{N: n}, e.fail(err)
	}
	if e.mode.IsDTLS() && e.machine == nil && !e.closed {
		e.conn.AnswerUpdate(e.carrier) // at once: a datagram may be sent at any time
	}
	return Opened{Data: o.Data, N: o.N, Kind: Kind(o.Kind)}, nil
}

// Missing returns how many bytes the record at in[0] still lacks, as far as it
// can be known: 5-len(in) for an incomplete header. TLS only; 0 in DTLS.
func (e *Engine) Missing(in []byte) int {
	return e.carrier.Missing(in)
}

// Pending returns the question that the engine waits on, or nil.
func (e *Engine) Pending() Pending {
	return e.pending
}

// Seal appends data to dst as protected records. TLS: what Output would append, and
// then as many records as data needs. DTLS: one datagram with one record; what Output
// has must leave before it, for a peer that has not seen our Finished yet has no keys
// for data, and drops it. dst's spare capacity must not overlap data. Without
// application keys yet, after Close or with more than one DTLS record takes it is an
// ErrInvalidOperation, and dst is unchanged.
//
// A TLS 1.3 server has application keys from its Finished on, a round trip before
// HandshakeComplete: so it answers early data at once. Until then it does not know
// whether the client is there, or who it is (RFC 9846, Section 4.5.3).
func (e *Engine) Seal(dst, data []byte) ([]byte, error) {
	e.start()
	switch {
	case e.err != nil:
		return dst, e.err
	case e.closed:
		return dst, errWriteClosed
	}
	e.conn.AnswerUpdate(e.carrier)
	out, err := e.carrier.Seal(e.now(), dst, data)
	switch err {
	case nil:
		return out, nil
	case carrier.ErrDataSize:
		return dst, &invalidOperation{fmt.Sprintf("%d bytes are more than a datagram takes, which is %d", len(data), e.MaxData())}
	}
	return dst, &invalidOperation{err.Error()}
}

// Output appends what must be sent now: over TLS all of it, in DTLS exactly
// one datagram (call it until nothing is appended). Bytes must leave in the
// order in which Output and Seal returned them.
func (e *Engine) Output(dst []byte) []byte {
	e.startClient()
	return e.carrier.Output(e.now(), dst)
}

// HasOutput reports whether Output has something to append.
func (e *Engine) HasOutput() bool {
	e.startClient()
	return e.carrier.HasOutput()
}

// Deadline returns when Expire must be called if nothing came before. TLS has none.
func (e *Engine) Deadline() (t time.Time, ok bool) {
	if e.err != nil {
		return time.Time{}, false
	}
	return e.carrier.Deadline()
}

// Expire tells that the deadline has passed; before it, it does nothing. The
// flight to send again is then in Output. ErrTimeout is DTLS giving up.
func (e *Engine) Expire() error {
	if e.err != nil {
		return e.err
	}
	return e.fail(e.carrier.Expire(e.now()))
}

// Close queues close_notify: Seal fails from now on, Open goes on. Before the
// handshake is complete nothing is queued.
func (e *Engine) Close() {
	if e.closed || e.err != nil || !e.HandshakeComplete() {
		return
	}
	e.closed = true
	e.carrier.SendAlert(alert.CloseNotify)
}

// Reset forgets the session and starts anew with the same mode, Config and
// server name. The peer identity is forgotten.
func (e *Engine) Reset() {
	cfg := e.cfg
	if e.asked != nil {
		cfg = e.asked
	}
	*e = Engine{mode: e.mode, cfg: cfg, serverName: e.serverName}
	e.newCarrier()
}

func (e *Engine) newCarrier() {
	if e.mode.IsDTLS() {
		e.carrier = carrier.NewDatagram(handler{e}, e.datagramOptions())
		return
	}
	e.carrier = carrier.NewStream(handler{e}, &e.cfg.stream)
}

// KeyUpdate changes the sending keys (TLS 1.3), and asks the peer to change
// its own if requestPeer is set; a request that the peer has not answered yet serves for
// this one too. Over DTLS it waits until the peer has acknowledged the update before it.
// In TLS 1.2 it is an ErrInvalidOperation.
func (e *Engine) KeyUpdate(requestPeer bool) error {
	switch err := e.established(); {
	case err != nil:
		return err
	case e.conn.Version != wire.VersionTLS13:
		return &invalidOperation{"TLS 1.2 has no KeyUpdate"}
	case e.closed:
		return errWriteClosed
	}
	e.conn.UpdateKeys(e.carrier, requestPeer)
	return nil
}

var (
	errIncomplete  = &invalidOperation{"the handshake is not complete"}
	errBegun       = &invalidOperation{"the handshake has begun: this goes before it, or after Reset"}
	errWriteClosed = &invalidOperation{"the connection is closed for writing"}
)

// established reports what keeps the engine from what needs a whole handshake.
func (e *Engine) established() error {
	if e.err == nil && !e.HandshakeComplete() {
		return errIncomplete
	}
	return e.err
}

// HandshakeComplete reports whether the handshake is over.
func (e *Engine) HandshakeComplete() bool {
	return e.started && e.machine == nil && e.conn != nil
}

// MaxData is how many bytes of data one record takes.
func (e *Engine) MaxData() int {
	return e.carrier.MaxData()
}

// Overhead is how many bytes protection adds to a record at most.
func (e *Engine) Overhead() int {
	return e.carrier.Overhead()
}

// SetServerName sets the name to verify and to send, in place of the Config's,
// until the next call; it survives Reset. Clients only, before the handshake.
func (e *Engine) SetServerName(name string) error {
	err := checkServerName(name)
	switch {
	case e.mode.IsServer():
		return &invalidOperation{"operation not supported: only a client has a server's name"}
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
