package hermetic

import (
	"github.com/hermetic-tls/hermetic/internal/carrier"
)

var errNoEarlyData = &invalidOperation{"there is no early data to answer: nothing is sent to a client that has not authenticated yet"}

// SealEarlyData is [Engine.Seal] for early data (0-RTT; RFC 9846, Section 2.3).
//
// On a client it sends data before the server has answered; in DTLS, send Output, which has the
// ClientHello, first. It requires Config.EarlyData and a session that permits early data. More
// than [Engine.EarlyDataRoom] is an [ErrInvalidOperation].
//
// An attacker can record early data and send it again: it must be harmless when it arrives
// twice. It has no forward secrecy. If the server rejects it,
// [ConnectionState].EarlyDataAccepted is false after the handshake. The caller then sends it
// again as ordinary data, if it still makes sense: another ALPN protocol may have been chosen.
// In DTLS accepted early data may still be lost.
//
// On a server it sends the reply, before the handshake is complete. It works only after early
// data was accepted; other clients may not have authenticated yet.
func (e *Engine) SealEarlyData(dst, data []byte) ([]byte, error) {
	if e.trace.Enter() {
		defer e.trace.Leave()
	}
	e.startClient()
	switch server := e.mode.IsServer(); {
	case e.err != nil:
		return dst, e.err
	case e.closed:
		return dst, errWriteClosed
	case server && !e.HandshakeComplete() && (!e.exportsEarly() || e.Pending() != nil):
		return dst, errNoEarlyData
	case server:
		return e.Seal(dst, data)
	}
	out, err := e.carrier.SealEarly(dst, data)
	switch err {
	case nil:
		return out, nil
	case carrier.ErrNotReady:
		return dst, &invalidOperation{"no early data can be sent: no session permits it, or the server has answered"}
	case carrier.ErrDataSize:
		return dst, &invalidOperation{"more early data than the session permits"}
	}
	return dst, e.sealError(err, len(data))
}

// EarlyDataRoom returns how many more bytes a client can give to SealEarlyData, at most
// 2^31-1. It is 0 once the server has answered.
func (e *Engine) EarlyDataRoom() int {
	e.startClient()
	if e.err != nil || e.closed {
		return 0
	}
	return e.carrier.EarlyDataRoom()
}
