package hermetic

import (
	"github.com/hermetic-tls/hermetic/internal/carrier"
)

var errNoEarlyData = &invalidOperation{"there is no early data to answer: nothing is sent to a client that has not authenticated yet"}

// SealEarlyData is Seal for 0-RTT data, which a client sends before the server
// has answered (in DTLS behind the ClientHello, which is in Output): to a server
// that it has a session with that permits it, and with Config.EarlyData. It is an
// ErrInvalidOperation to send more than EarlyDataRoom, which is 0 from the server's
// answer on.
//
// Whoever records early data can send it again: it must be harmless when it
// comes twice. It has no forward secrecy. When the server rejects it,
// [ConnectionState].EarlyDataAccepted is false after the handshake, and the
// caller sends it again as ordinary data, if it still makes sense: another ALPN
// protocol may have been chosen. In DTLS it may be lost although it is accepted.
//
// On a server it is Seal for the answer, which only a client gets whose early data was
// accepted: any other one may not have shown a certificate yet that it must have.
func (e *Engine) SealEarlyData(dst, data []byte) ([]byte, error) {
	e.startClient()
	switch server := e.mode.IsServer(); {
	case e.err != nil:
		return dst, e.err
	case e.closed:
		return dst, errWriteClosed
	case server && !e.HandshakeComplete() && (!e.exportsEarly() || e.pending != nil):
		return dst, errNoEarlyData
	case server:
		return e.Seal(dst, data)
	}
	out, err := e.carrier.SealEarly(e.now(), dst, data)
	switch err {
	case nil:
		return out, nil
	case carrier.ErrNotReady:
		return dst, &invalidOperation{"no early data can be sent: no session permits it, or the server has answered"}
	case carrier.ErrDataSize:
		return dst, &invalidOperation{"more early data than the session permits"}
	}
	return dst, e.sealError(err)
}

// EarlyDataRoom is how many more bytes SealEarlyData takes: 2^31-1 if there are more.
func (e *Engine) EarlyDataRoom() int {
	e.startClient()
	if e.err != nil || e.closed {
		return 0
	}
	return e.carrier.EarlyDataRoom()
}
