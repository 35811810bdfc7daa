package hermetic

import (
	"fmt"
	"time"

	"github.com/hermetic-tls/hermetic/internal/carrier"
)

// datagramOptions returns the options of the role: a server with a peer identity asks for
// cookies.
func (e *Engine) datagramOptions() *carrier.DatagramOptions {
	switch {
	case !e.mode.IsServer():
		return &e.plan.datagram[0]
	case e.peerID() == nil:
		return &e.plan.datagram[1]
	}
	return &e.plan.datagram[2]
}

// SetPeerID sets the identity of the peer on the transport, such as its address, before the
// first datagram. The handshake then begins with the ClientHello that [Config.AnswerHello] has
// accepted: one with a cookie for this identity. DTLS only, on a server.
func (e *Engine) SetPeerID(id []byte) error {
	if e.mode != DTLSServer {
		return &invalidOperation{"operation not supported: only a DTLS server has peer identities"}
	}
	if e.started {
		return errBegun
	}
	e.during().peerID = append([]byte{}, id...)
	e.newCarrier()
	return nil
}

// SetMTU sets the size of the largest datagram of the handshake from now on, in bytes. DTLS
// only.
func (e *Engine) SetMTU(bytes int) error {
	if !e.mode.IsDTLS() {
		return &invalidOperation{"operation not supported: only DTLS has an MTU"}
	}
	if bytes < minMTU {
		return &invalidOperation{fmt.Sprintf("an MTU of %d is less than %d", bytes, minMTU)}
	}
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	e.datagrams().SetMTU(bytes)
	return nil
}

// SetRetransmitTimeout sets the first value of the retransmission timer from now on, also for
// the wait under way. DTLS only.
func (e *Engine) SetRetransmitTimeout(d time.Duration) error {
	switch {
	case !e.mode.IsDTLS():
		return &invalidOperation{"operation not supported: only DTLS has a retransmission timer"}
	case d <= 0:
		return &invalidOperation{"the retransmission timeout is not positive"}
	}
	e.datagrams().SetTimeout(d)
	return nil
}

// Deadline returns when Expire must be called, unless other calls change it before. DTLS only:
// in TLS ok is false.
func (e *Engine) Deadline() (t time.Time, ok bool) {
	if d := e.datagrams(); d != nil && e.err == nil {
		return d.Deadline()
	}
	return time.Time{}, false
}

// Expire tells the engine that its deadline has passed; before that, it does nothing. What must
// be sent again is then in Output. [ErrTimeout] means that the engine has given up. DTLS only.
func (e *Engine) Expire() error {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	if d := e.datagrams(); d != nil && e.err == nil {
		return e.fail(d.Expire(e.now()))
	}
	return e.err
}

// datagrams is the carrier if it is one of datagrams, or nil.
func (e *Engine) datagrams() *carrier.Datagram {
	d, _ := e.carrier.(*carrier.Datagram)
	return d
}

// Acknowledged reports whether the peer is known to have all of the handshake. A DTLS client
// whose handshake is complete may still have to send its last flight again: until then it
// should call Expire at the Deadline. DTLS only: in TLS it is true.
func (e *Engine) Acknowledged() bool {
	d := e.datagrams()
	return d == nil || d.Acknowledged()
}

// ConnectionIDs returns the connection IDs in use: local are those in records to us, of which
// there may be several, and peer is the one in our records. Nil means none. They must not be
// modified. DTLS only.
//
// [KindNewPath] from Open means that a record under one of our IDs is authentic and newer than
// all before it: its source may be a new address of the peer. The record need not have data: a
// peer that moves before it has received our last ACK only sends its Finished again. The
// caller decides whether the engine's datagrams go to the new address from now on; RFC 9146,
// Section 6, advises to test it first.
func (e *Engine) ConnectionIDs() (local [][]byte, peer []byte) {
	if d := e.datagrams(); d != nil {
		return d.CIDs()
	}
	return nil, nil
}

// ConnectionIDUsage says what the peer is to do with connection IDs that are offered to it
// (RFC 9147bis, Section 9). DTLS only.
type ConnectionIDUsage bool

const (
	// ConnectionIDSpare lets the peer keep them until its address changes.
	ConnectionIDSpare ConnectionIDUsage = false
	// ConnectionIDImmediate asks the peer to change to the first of them at once.
	ConnectionIDImmediate ConnectionIDUsage = true
)

// String returns the constant's name without "ConnectionID": "Spare" or "Immediate".
func (u ConnectionIDUsage) String() string {
	if u == ConnectionIDImmediate {
		return "Immediate"
	}
	return "Spare"
}

// OfferConnectionIDs sends the peer n more connection IDs of ours, at most 8 in all, for the
// given usage. DTLS only, and an [ErrInvalidOperation] unless the version is 1.3 and the peer
// already uses an ID of ours.
func (e *Engine) OfferConnectionIDs(n int, usage ConnectionIDUsage) error {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	local, _ := e.ConnectionIDs()
	switch err := e.cidsUsable(len(local) > 0); {
	case err != nil:
		return err
	case n < 1 || len(local)+n > 8:
		return &invalidOperation{fmt.Sprintf("%d more connection IDs are too many: at most 8 are allowed in all", n)}
	}
	return e.conn.OfferCIDs(e.datagrams(), e.params(), n, usage == ConnectionIDImmediate)
}

// RequestConnectionIDs asks the peer for n spare connection IDs, at most 255. Until it has
// answered, another request is an [ErrInvalidOperation]. DTLS only, version 1.3.
func (e *Engine) RequestConnectionIDs(n int) error {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	_, peer := e.ConnectionIDs()
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

// ChangeConnectionID changes to a spare connection ID of the peer, so that an observer cannot
// link our old and new addresses. It reports whether there was a spare one. DTLS only, version
// 1.3.
func (e *Engine) ChangeConnectionID() bool {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	d := e.datagrams()
	return d != nil && e.err == nil && e.HandshakeComplete() && e.conn.ChangePeerCID(d)
}

// cidsUsable returns an error unless connection IDs can be changed.
func (e *Engine) cidsUsable(negotiated bool) error {
	switch err := e.established(); {
	case err != nil:
		return err
	case !e.conn.Renewable() || !negotiated:
		return &invalidOperation{"operation not supported: connection IDs that can change were not negotiated"}
	case e.closed:
		return errWriteClosed
	}
	return nil
}
