package hermetic

import (
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/record"
)

// Peeked is what the first record of a datagram shows without any keys, see [PeekDatagram].
type Peeked struct {
	// ConnectionID is the connection ID in the header, which is one of the receiver's,
	// as [Engine.ConnectionIDs] returns them. It is nil if the record has none.
	ConnectionID []byte

	// HelloRandom is the Random of a ClientHello: the same 32 bytes in both ClientHellos
	// of a handshake and in their repetitions, and in no other handshake. It is nil if
	// the record does not have the start of a ClientHello.
	HelloRandom []byte

	// Handshake reports whether the header announces handshake messages. The encrypted
	// records of DTLS 1.3 do not show their content type.
	Handshake bool
}

// PeekDatagram reads the header of the first record of a DTLS datagram, so that a
// server with many peers on one socket finds the engine that it is for: by its connection
// ID, or by the peer's address, where a new HelloRandom starts a new connection. None of
// it is authenticated before an engine opens the datagram.
//
// A load balancer reads the server's number from the ID, where [DTLSConfig].MakeConnectionID has
// put it.
//
// cidLen is the receiver's [DTLSConfig].ConnectionIDLength. ok is false if the record does
// not parse: every engine drops such a datagram. The results alias datagram.
func PeekDatagram(datagram []byte, cidLen int) (p Peeked, ok bool) {
	if len(datagram) == 0 {
		return p, false
	}
	if record.IsUnified(datagram[0]) {
		u, _, ok := record.ParseUnified(datagram, cidLen)
		if ok {
			p.ConnectionID = u.CID
		}
		return p, ok
	}
	r, n, ok := record.ParseClassic(datagram, cidLen)
	if !ok {
		return p, false
	}
	p = Peeked{ConnectionID: r.CID, Handshake: r.Type == record.Handshake}
	if p.Handshake {
		p.HelloRandom = helloRandom(datagram[:n])
	}
	return p, true
}

// helloRandom returns the random of the ClientHello that starts in a record, or nil.
func helloRandom(rec []byte) []byte {
	for f := range helloFragments(rec) {
		if f.Offset == 0 {
			body := codec.Cursor{B: f.data}
			body.Uint16() // legacy_version
			return body.Bytes(32)
		}
	}
	return nil
}
