package hermetic

import (
	"fmt"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ConnectionIDs returns the DTLS connection IDs that are in use: ours, which
// records to us have and of which there may be several, and the peer's, which
// our records to it have; nil: none. They must not be modified.
//
// When Open returns [KindNewPath], a record has authenticated that came under our
// ID and is newer than all before it: its source may be a new address of the
// peer. The record need not have data: a peer that moves before it has seen our
// last ACK only says its Finished again. Whether the engine's datagrams go there
// from now on is for the caller to decide; RFC 9146, Section 6, advises to test it first.
func (e *Engine) ConnectionIDs() (local [][]byte, peer []byte) { return e.carrier.CIDs() }

// ConnectionIDUsage says what the peer is to do with connection IDs that are offered to it
// (RFC 9147bis, Section 9).
type ConnectionIDUsage bool

const (
	// ConnectionIDSpare keeps them for when the peer's address changes.
	ConnectionIDSpare ConnectionIDUsage = false
	// ConnectionIDImmediate asks the peer to change to the first of them at once.
	ConnectionIDImmediate ConnectionIDUsage = true
)

// OfferConnectionIDs sends the peer n more connection IDs, at most 8 in all, for the given
// usage. DTLS 1.3 with our own connection IDs only.
func (e *Engine) OfferConnectionIDs(n int, usage ConnectionIDUsage) error {
	local, _ := e.carrier.CIDs()
	switch err := e.cidsUsable(len(local) > 0); {
	case err != nil:
		return err
	case n < 1 || len(local)+n > 8:
		return &invalidOperation{fmt.Sprintf("%d more connection IDs: there may be 8 in all", n)}
	}
	return e.conn.OfferCIDs(e.carrier, e.params(), n, usage == ConnectionIDImmediate)
}

// RequestConnectionIDs asks the peer for n spare connection IDs. While it has not
// answered, another request is an ErrInvalidOperation.
func (e *Engine) RequestConnectionIDs(n int) error {
	_, peer := e.carrier.CIDs()
	if err := e.cidsUsable(len(peer) > 0); err != nil {
		return err
	}
	if n < 1 || n > 255 {
		return &invalidOperation{"the number of connection IDs is not from 1 to 255"}
	}
	if !e.conn.RequestCIDs(e.carrier, n) {
		return &invalidOperation{"the peer has not answered the last request for connection IDs"}
	}
	return nil
}

// ChangeConnectionID changes to a spare connection ID of the peer, so that nobody
// who sees both addresses of ours can tell that they are one's. It reports
// whether there was a spare one.
func (e *Engine) ChangeConnectionID() bool {
	return e.err == nil && e.HandshakeComplete() && e.conn.ChangePeerCID(e.carrier)
}

// cidsUsable reports what keeps connection IDs from being changed.
func (e *Engine) cidsUsable(negotiated bool) error {
	switch err := e.established(); {
	case err != nil:
		return err
	case e.conn.Version != wire.VersionTLS13 || !negotiated:
		return &invalidOperation{"operation not supported: no connection IDs that can change were negotiated"}
	case e.closed:
		return errWriteClosed
	}
	return nil
}
