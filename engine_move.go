package hermetic

import (
	"crypto/cipher"
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Compact makes an idle connection as small as it can be: it keeps the secrets and drops what
// is derived from them, which the next record derives again in a few microseconds.
//
// While anything is under way it is an [ErrInvalidOperation], and nothing has changed: a
// handshake, output that was not taken, an incomplete message, or the last flight of a DTLS 1.2
// server, which is kept until data has arrived or for four minutes.
func (e *Engine) Compact() error {
	if e.err != nil {
		return e.err
	}
	if e.over {
		return nil
	}
	if _, err := e.carrier.Sleep(e.plan.cfg.now()); err != nil {
		return &invalidOperation{err.Error()}
	}
	return nil
}

// stateForm is the first byte of an exported state. Each change of the encoding gets a
// new value.
const stateForm = 1

// maxSkip13 is the most sequence numbers that DTLS 1.3 can skip. A record has 16 bits of
// its number, from which the peer must find the right one even if it has missed records
// before (RFC 9147bis, Section 4.2.2).
const maxSkip13 = 1 << 14

var stateLabel = []byte("hermetic engine state")

var (
	errOver   = &invalidOperation{"both sides have closed the connection, and its keys are forgotten"}
	errPutOff = &invalidOperation{"a received record ends the connection: call Open or OpenAll with what is not opened yet"}
	errNoAEAD = &invalidOperation{"the AEAD is nil: the state must be sealed, for example with chacha20poly1305.NewX"}
)

// Export appends the state of an established connection, sealed by aead, for [ImportEngine] in
// this process or another. Afterwards the engine returns [ErrExported] until Reset. While
// anything is under way, as for [Engine.Compact], or with a nil aead, it is an
// [ErrInvalidOperation], and nothing has changed. Bytes that were received and not opened yet
// are the caller's: pass them on with the state.
//
// A state must be imported at most once. Two engines made of one state protect different
// records with the same nonces, which reveals their contents and the authentication keys:
// delete the state before it is used. For the same reason, never import an old state after the
// connection has continued.
func (e *Engine) Export(dst []byte, aead cipher.AEAD) ([]byte, error) {
	switch {
	case e.err != nil:
		return dst, e.err
	case e.over:
		return dst, errOver
	case aead == nil:
		return dst, errNoAEAD
	case e.putOff != nil:
		return dst, errPutOff
	}
	s, err := e.carrier.Sleep(e.plan.cfg.now())
	if err != nil {
		return dst, &invalidOperation{err.Error()}
	}
	connection, ok := e.conn.Append(nil, e.plan.cfg.now())
	if !ok {
		return dst, &invalidOperation{"the peer's certificates or names are too large to be exported"}
	}
	state := engineState{e.mode, e.closed, e.serverName, s, connection}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(e.params().Rand, nonce); err != nil {
		return dst, err
	}
	e.err = ErrExported
	return aead.Seal(append(dst, nonce...), nonce, codec.Append(nil, state.fields), stateLabel), nil
}

// ImportOptions are the options of [ImportEngine].
type ImportOptions struct {
	// SkipSequenceNumbers, in DTLS, is how many sequence numbers to leave unused. For a state
	// that may be a little old, it must exceed the number of records that may have been sent
	// since. DTLS 1.3 permits at most 2^14. In TLS it must be zero.
	SkipSequenceNumbers uint64
}

// ImportEngine makes an engine of a state that [Engine.Export] has sealed with the same key.
// cfg supplies the time, randomness and limits from now on; it should equal the one that the
// connection was made with. Nil opts means the zero value.
//
// If cfg cannot be used, the error is a *[ConfigError]; if opts does not fit the connection, or
// aead is nil, it is an [ErrInvalidOperation]; and if the state cannot be read, it is
// [ErrBadState].
func ImportEngine(cfg *Config, state []byte, aead cipher.AEAD, opts *ImportOptions) (*Engine, error) {
	c, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	if aead == nil {
		return nil, errNoAEAD
	}
	var skip uint64
	if opts != nil {
		skip = opts.SkipSequenceNumbers
	}
	n := aead.NonceSize()
	if len(state) < n {
		return nil, ErrBadState
	}
	plain, err := aead.Open(nil, state[:n], state[n:], stateLabel)
	if err != nil {
		return nil, ErrBadState
	}
	var saved engineState
	if !codec.Parse(plain, saved.fields) {
		return nil, ErrBadState
	}
	conn, err := handshake.ParseConnection(saved.connection, &c.chains)
	if err != nil || (conn.Transport == wire.Datagram) != saved.mode.IsDTLS() {
		return nil, ErrBadState
	}
	s := saved.carrier
	switch {
	case skip > 0 && !saved.mode.IsDTLS():
		return nil, &invalidOperation{"operation not supported: only DTLS can skip sequence numbers"}
	case skip > maxSkip13 && conn.Version == wire.VersionTLS13:
		return nil, &invalidOperation{fmt.Sprintf("DTLS 1.3 can skip %d sequence numbers at most", maxSkip13)}
	case s.Write.Sequence+skip > record.MaxSequence || s.Write.Sequence+skip < skip:
		return nil, &invalidOperation{"fewer sequence numbers are left than are to be skipped"}
	}
	s.Write.Sequence += skip
	s.Ended = saved.closed
	e := &Engine{
		mode: saved.mode, plan: c, conn: conn, serverName: saved.serverName, started: true, complete: true, moved: true,
		closed: saved.closed, ended: saved.closed, peerClosed: s.Closed,
	}
	e.beginTrace()
	e.trace.Agreed(conn.Suite, s.Read.Epoch, s.Write.Epoch)
	e.newCarrier()
	e.carrier.Restore(conn.Suite, s)
	if p := conn.Peer; p != nil && p.Chain != nil {
		p.Verified, _ = e.verifyChain(p.Chain) // the connection continues, as it would have there
	}
	conn.LimitRecords(e.carrier)
	return e, nil
}

// engineState is the content of an exported state.
type engineState struct {
	mode       Mode
	closed     bool // by Close
	serverName string
	carrier    carrier.State
	connection []byte // see handshake.Connection.Append
}

func (s *engineState) fields(c *codec.Coder) {
	c.Const8(stateForm)
	c.Uint8((*uint8)(&s.mode))
	c.Require(TLSClient <= s.mode && s.mode <= DTLSServer)
	finished := s.carrier.Finished != nil
	c.Flags(&s.closed, &s.carrier.Closed, &finished, &s.carrier.ChecksPaths)
	c.String16(&s.serverName)
	c.Uint64(&s.carrier.Read.Epoch)
	c.Uint64(&s.carrier.Read.Sequence)
	c.Uint64(&s.carrier.Write.Epoch)
	c.Uint64(&s.carrier.Write.Sequence)
	c.Uint64(&s.carrier.Forged)
	for i := range s.carrier.Seen {
		c.Uint64(&s.carrier.Seen[i])
	}
	messageSeq(c, &s.carrier.NextIn)
	messageSeq(c, &s.carrier.NextOut)
	c.Vec8(&s.carrier.PeerCID)
	codec.List8(c, &s.carrier.LocalCIDs, c.Vec8)
	if finished {
		if !c.Appending {
			s.carrier.Finished = new(record.Rested)
		}
		s.carrier.Finished.Fields(c)
	}
	c.Rest(&s.connection)
}

// messageSeq codes the message_seq of the next message. After the last message it no longer
// fits in 16 bits.
func messageSeq(c *codec.Coder, seq *int) {
	v := uint32(*seq)
	c.Uint32(&v)
	c.Require(v <= 1<<16)
	if !c.Appending {
		*seq = int(v)
	}
}
