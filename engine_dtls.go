package hermetic

import (
	"fmt"
	"time"

	"github.com/hermetic-tls/hermetic/internal/carrier"
)

// datagramOptions are those of the role: a server that knows whom it answers
// asks for cookies.
func (e *Engine) datagramOptions() *carrier.DatagramOptions {
	switch {
	case !e.mode.IsServer():
		return &e.cfg.datagram[0]
	case e.peerID == nil:
		return &e.cfg.datagram[1]
	}
	return &e.cfg.datagram[2]
}

// SetPeerID sets the identity of the peer on the transport, e.g. its address,
// before the first datagram: the handshake then begins with a ClientHello that
// has a cookie for this identity, for which Config.AnswerHello has asked. DTLS
// servers only.
func (e *Engine) SetPeerID(id []byte) error {
	if e.mode != DTLSServer {
		return &invalidOperation{"operation not supported: only a DTLS server has peer identities"}
	}
	if e.started {
		return errBegun
	}
	e.peerID = append([]byte{}, id...)
	e.carrier = carrier.NewDatagram(handler{e}, e.datagramOptions())
	return nil
}

// SetMTU sets the largest datagram of the handshake from now on. DTLS only.
func (e *Engine) SetMTU(bytes int) error {
	if !e.mode.IsDTLS() {
		return &invalidOperation{"operation not supported: only DTLS has an MTU"}
	}
	if bytes < minMTU {
		return &invalidOperation{fmt.Sprintf("an MTU of %d is less than %d", bytes, minMTU)}
	}
	e.carrier.(*carrier.Datagram).SetMTU(bytes)
	return nil
}

// SetRetransmitTimeout sets the first value of the retransmission timer from now
// on, also for the wait under way. DTLS only.
func (e *Engine) SetRetransmitTimeout(d time.Duration) error {
	switch {
	case !e.mode.IsDTLS():
		return &invalidOperation{"operation not supported: only DTLS has a retransmission timer"}
	case d <= 0:
		return &invalidOperation{"the retransmission timeout is not positive"}
	}
	e.carrier.(*carrier.Datagram).SetTimeout(d)
	return nil
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
	case !e.conn.Renewable() || !negotiated:
		return &invalidOperation{"operation not supported: no connection IDs that can change were negotiated"}
	case e.closed:
		return errWriteClosed
	}
	return nil
}
