package hermetic

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Compact makes an established connection that is quiet as small as it can be:
// it keeps the secrets and gives up what is made of them, which the next record
// makes again at the cost of a few microseconds. While anything is under way (a
// handshake, output that was not taken, a message that has not come whole, the last
// flight of a DTLS 1.2 server, until data has come or for four minutes) it is an
// ErrInvalidOperation, and nothing has changed.
func (e *Engine) Compact() error {
	if e.err != nil {
		return e.err
	}
	if e.over {
		return nil
	}
	if _, err := e.carrier.Sleep(e.cfg.now()); err != nil {
		return &invalidOperation{err.Error()}
	}
	return nil
}

// stateForm is the first byte of an exported engine.
const stateForm = 1

// maxSkip13: a record of DTLS 1.3 shows 16 bits of its number, and the peer takes the
// nearest one (RFC 9147bis, Section 4.2.2), also when it has missed as many before.
const maxSkip13 = 1 << 14

var stateLabel = []byte("hermetic engine state")

var (
	errExported = errors.New("hermetic: the engine was exported: its connection goes on elsewhere")
	errOver     = &invalidOperation{"both sides have closed the connection, and its keys are forgotten"}
	errState    = errors.New("hermetic: not the state of an engine, or damaged, or sealed with another key")
)

// Export appends the state of an established connection, sealed by aead, for
// [ImportEngine] in this process or another. The engine is dead afterwards. When
// anything is under way, as for [Engine.Compact], it is an ErrInvalidOperation,
// and nothing has changed. Bytes that have come and were not opened yet are the
// caller's: they go with the state.
//
// A state must be imported once. Two engines made of one state protect
// different records with the same nonces, which gives away their contents and
// the keys' authentication: delete it before it is used. For the same reason an
// old state must never be imported when the connection has gone on since.
func (e *Engine) Export(dst []byte, aead cipher.AEAD) ([]byte, error) {
	if e.err != nil {
		return dst, e.err
	}
	if e.over {
		return dst, errOver
	}
	s, err := e.carrier.Sleep(e.cfg.now())
	if err != nil {
		return dst, &invalidOperation{err.Error()}
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(stateForm)
	b.AddUint8(uint8(e.mode))
	var flags uint8
	if e.closed {
		flags |= 1
	}
	if s.Closed {
		flags |= 2
	}
	if s.Finished != nil {
		flags |= 4
	}
	b.AddUint8(flags)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(e.serverName)) })
	for _, v := range append([]uint64{s.Read.Epoch, s.Read.Sequence, s.Write.Epoch, s.Write.Sequence, s.Forged}, s.Seen[:]...) {
		b.AddUint64(v)
	}
	b.AddUint32(uint32(s.NextIn))
	b.AddUint32(uint32(s.NextOut))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.PeerCID) })
	b.AddUint8(uint8(len(s.LocalCIDs)))
	for _, cid := range s.LocalCIDs {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(cid) })
	}
	if s.Finished != nil {
		b.AddBytes(s.Finished.Keys[:])
		b.AddBytes(s.Finished.IV[:])
		next, seen, forged := s.Finished.State()
		for _, v := range append([]uint64{next, forged}, seen[:]...) {
			b.AddUint64(v)
		}
	}
	plain, ok := e.conn.Append(b.BytesOrPanic(), e.cfg.now())
	if !ok {
		return dst, &invalidOperation{"the peer's certificates or names are too large to be exported"}
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(e.params().Rand, nonce); err != nil {
		return dst, err
	}
	e.err = errExported
	return aead.Seal(append(dst, nonce...), nonce, plain, stateLabel), nil
}

// ImportOptions are the options of [ImportEngine].
type ImportOptions struct {
	// SkipSequenceNumbers is, in DTLS, how many sequence numbers to leave out: for a state
	// that may be a little old, more than the number of records that can have been sent
	// since. DTLS 1.3 permits at most 2^14. A stream has no such remedy: in TLS it must be
	// zero.
	SkipSequenceNumbers uint64
}

// ImportEngine makes an engine of a state that [Engine.Export] has sealed with
// the same key. cfg is for what comes: time, randomness, limits; it should be
// the one that the connection was made with.
//
// opts may be nil.
func ImportEngine(cfg *Config, state []byte, aead cipher.AEAD, opts *ImportOptions) (*Engine, error) {
	c, err := cfg.compiled()
	if err != nil {
		return nil, err
	}
	var skip uint64
	if opts != nil {
		skip = opts.SkipSequenceNumbers
	}
	n := aead.NonceSize()
	if len(state) < n {
		return nil, errState
	}
	plain, err := aead.Open(nil, state[:n], state[n:], stateLabel)
	if err != nil {
		return nil, errState
	}
	e := &Engine{cfg: c, started: true, complete: true, moved: true}
	b := cryptobyte.String(plain)
	s, ok := e.parseState(&b)
	if !ok {
		return nil, errState
	}
	conn, err := handshake.ParseConnection(&b, &c.chains)
	if err != nil || !b.Empty() || (conn.Transport == wire.Datagram) != e.mode.IsDTLS() {
		return nil, errState
	}
	switch {
	case skip > 0 && !e.mode.IsDTLS():
		return nil, &invalidOperation{"operation not supported: only DTLS can skip sequence numbers"}
	case skip > maxSkip13 && conn.Version == wire.VersionTLS13:
		return nil, &invalidOperation{fmt.Sprintf("DTLS 1.3 can skip %d sequence numbers at most", maxSkip13)}
	case s.Write.Sequence+skip > record.MaxSequence || s.Write.Sequence+skip < skip:
		return nil, &invalidOperation{"there are not as many sequence numbers left to skip"}
	}
	s.Write.Sequence += skip
	s.Ended, e.ended, e.peerClosed = e.closed, e.closed, s.Closed
	e.conn = conn
	e.newCarrier()
	e.carrier.Restore(conn.Suite, s)
	return e, nil
}

// parseState reads all of an engine but its connection.
func (e *Engine) parseState(b *cryptobyte.String) (s carrier.State, ok bool) {
	var form, mode, flags, cids uint8
	var name, peerCID cryptobyte.String
	var in, out uint32
	ok = b.ReadUint8(&form) && form == stateForm && b.ReadUint8(&mode) && b.ReadUint8(&flags) && b.ReadUint16LengthPrefixed(&name)
	for _, v := range []*uint64{&s.Read.Epoch, &s.Read.Sequence, &s.Write.Epoch, &s.Write.Sequence, &s.Forged, &s.Seen[0], &s.Seen[1], &s.Seen[2], &s.Seen[3]} {
		ok = ok && b.ReadUint64(v)
	}
	ok = ok && b.ReadUint32(&in) && b.ReadUint32(&out) && in <= 1<<16 && out <= 1<<16 &&
		b.ReadUint8LengthPrefixed(&peerCID) && b.ReadUint8(&cids)
	for range cids {
		var cid cryptobyte.String
		ok = ok && b.ReadUint8LengthPrefixed(&cid)
		s.LocalCIDs = append(s.LocalCIDs, slices.Clone(cid))
	}
	if flags&4 != 0 {
		var next, forged uint64
		var seen [4]uint64
		s.Finished = new(record.Rested)
		ok = ok && b.CopyBytes(s.Finished.Keys[:]) && b.CopyBytes(s.Finished.IV[:])
		for _, v := range []*uint64{&next, &forged, &seen[0], &seen[1], &seen[2], &seen[3]} {
			ok = ok && b.ReadUint64(v)
		}
		s.Finished.SetState(next, seen, forged)
	}
	e.mode, e.closed, e.serverName = Mode(mode), flags&1 != 0, string(name)
	s.Closed, s.NextIn, s.NextOut, s.PeerCID = flags&2 != 0, int(in), int(out), slices.Clone(peerCID)
	return s, ok && TLSClient <= e.mode && e.mode <= DTLSServer
}
