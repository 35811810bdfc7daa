package hermetic

import "time"

// Kind says what a record that was opened meant for the caller.
type Kind uint8

const (
	KindNone      Kind = iota // nothing: a handshake message, a dropped record
	KindData                  // application data, which may be empty
	KindEarlyData             // application data that may be a replay (0-RTT)
	KindNewPath               // DTLS: data under our CID, maybe from a new address
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
}

// NewEngine returns an engine at the start of a handshake. A client has its
// ClientHello ready in Output. The error names what is wrong in cfg.
func NewEngine(mode Mode, cfg *Config) (*Engine, error) { panic("skeleton") }

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
func (e *Engine) Open(in []byte) (Opened, error) { panic("skeleton") }

// Missing returns how many bytes the record at in[0] still lacks, as far as it
// can be known: 5-len(in) for an incomplete header. TLS only; 0 in DTLS.
func (e *Engine) Missing(in []byte) int { panic("skeleton") }

// Pending returns the question that the engine waits on, or nil.
func (e *Engine) Pending() Pending { panic("skeleton") }

// Seal appends to dst what Output would append and then data as protected
// records (TLS: as many as needed; DTLS: one record in one datagram). dst's
// spare capacity must not overlap data. Without application keys yet, after
// Close or with more than one DTLS record takes it is an ErrInvalidOperation,
// and dst is unchanged.
func (e *Engine) Seal(dst, data []byte) ([]byte, error) { panic("skeleton") }

// Output appends what must be sent now: over TLS all of it, in DTLS exactly
// one datagram (call it until nothing is appended). Bytes must leave in the
// order in which Output and Seal returned them.
func (e *Engine) Output(dst []byte) []byte { panic("skeleton") }

// HasOutput reports whether Output has something to append.
func (e *Engine) HasOutput() bool { panic("skeleton") }

// Deadline returns when Expire must be called if nothing came before. TLS has none.
func (e *Engine) Deadline() (t time.Time, ok bool) { panic("skeleton") }

// Expire tells that the deadline has passed; before it, it does nothing. The
// flight to send again is then in Output. ErrTimeout is DTLS giving up.
func (e *Engine) Expire() error { panic("skeleton") }

// Close queues close_notify: Seal fails from now on, Open goes on. Before the
// handshake is complete nothing is queued.
func (e *Engine) Close() { panic("skeleton") }

// Reset forgets the session and starts anew with the same mode, Config and
// server name. The peer identity is forgotten.
func (e *Engine) Reset() { panic("skeleton") }

// KeyUpdate changes the sending keys (TLS 1.3), and asks the peer to change
// its own if requestPeer is set. In TLS 1.2 it is an ErrInvalidOperation.
func (e *Engine) KeyUpdate(requestPeer bool) error { panic("skeleton") }

// ExportKeyingMaterial returns length bytes bound to the connection, label and
// context (RFC 5705, RFC 9846 Section 7.5). Nil and empty context differ in TLS
// 1.2 only. Before the handshake is complete, or in TLS 1.2 without extended
// master secret, it is an ErrInvalidOperation.
func (e *Engine) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	panic("skeleton")
}

// State describes the connection. It makes copies; HandshakeComplete is cheap.
func (e *Engine) State() ConnectionState { panic("skeleton") }

// HandshakeComplete reports whether the handshake is over.
func (e *Engine) HandshakeComplete() bool { panic("skeleton") }

// MaxData is how many bytes one record takes; Overhead is how many bytes
// protection adds to them at most.
func (e *Engine) MaxData() int  { panic("skeleton") }
func (e *Engine) Overhead() int { panic("skeleton") }

// SetServerName sets the name to verify and to send, in place of the Config's,
// until the next call; it survives Reset. Clients only, before the handshake.
func (e *Engine) SetServerName(name string) error { panic("skeleton") }

// SetPeerID sets the identity of the peer on the transport, e.g. its address.
// DTLS servers only.
func (e *Engine) SetPeerID(id []byte) error { panic("skeleton") }

// SetMTU sets the largest datagram of the handshake from now on. DTLS only.
func (e *Engine) SetMTU(bytes int) error { panic("skeleton") }
