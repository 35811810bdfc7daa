package handshake

import (
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Level is the protection under which a message travels. In DTLS 1.3 it is the
// epoch (RFC 9147bis, Section 6.1); DTLS 1.2 writes Application as epoch 1.
type Level uint8

const (
	Initial     Level = iota // no protection
	EarlyData                // client_early_traffic_secret
	Handshake                // [sender]_handshake_traffic_secret
	Application              // [sender]_application_traffic_secret_N
)

// Output moves handshake messages for the states: over a stream of records,
// or over datagrams with flights, fragments and acknowledgements. The states
// do not know which.
type Output interface {
	// Transport is the form of the hellos.
	Transport() wire.Transport

	// HelloRoom is how many bytes a first ClientHello may have, so that it
	// fits one datagram; over a stream there is no limit that matters.
	HelloRoom() int

	// HasEpochs reports whether records name their epoch. Then the keys for early data
	// and those for the handshake are in use side by side, and no EndOfEarlyData
	// separates what they protect.
	HasEpochs() bool

	// LimitRecords sets the most content of a protected record, in bytes, for those that
	// are sent and those that are received. A stream does not limit what is received while
	// the reading keys are those of early data.
	LimitRecords(send, receive int)

	// SetVersion reports the version that the hellos have agreed on.
	SetVersion(version uint16)

	// Send queues one message, in TLS form (type, 24-bit length, body), under
	// the current sending keys. It returns the message's message_seq, which is 0 over
	// a stream. msg is copied.
	Send(msg []byte) (seq uint16)

	// InstallRead and InstallWrite change the keys. Reading fails with
	// unexpected_message when a part of a message is left under the old keys
	// (RFC 9846, Section 5.1).
	InstallRead(level Level, k suite.Keys) error
	InstallWrite(level Level, k suite.Keys)

	// ExpectChangeCipherSpec and SendChangeCipherSpec change the keys of TLS 1.2: they
	// are in use from the ChangeCipherSpec on.
	ExpectChangeCipherSpec(k suite.Keys) error
	SendChangeCipherSpec(k suite.Keys)

	// SendCompatibilityCCS is the dummy ChangeCipherSpec of RFC 9846,
	// Appendix E.4; datagrams have none.
	SendCompatibilityCCS()

	// SendKeyUpdate queues a KeyUpdate and changes the sending keys: at once
	// over a stream, when it is acknowledged over datagrams.
	SendKeyUpdate(msg []byte, next suite.Keys)

	// KeyUpdatePending reports whether a KeyUpdate waits for its
	// acknowledgment.
	KeyUpdatePending() bool

	// LimitEarlyData sets how many bytes of early data may be sent or received while
	// there are keys for it.
	LimitEarlyData(bytes uint32)

	// SkipEarlyData drops the early data that the client sends, which a server
	// that does not accept it cannot decrypt, up to a limit.
	SkipEarlyData(bytes uint32)

	// Wake makes the keys of a sleeping carrier again, before their secrets change.
	Wake()

	// Complete ends the handshake: what only it needed can be dropped, and application
	// data may flow.
	Complete()
}

// CIDOutput is an Output whose records may have connection IDs. That of a stream has none.
type CIDOutput interface {
	Output

	// SetCIDs sets the connection IDs of the peer's records to us, and of ours to it,
	// before there are keys; empty: none.
	SetCIDs(local, peer []byte)
	// AddLocalCID permits the peer another connection ID.
	AddLocalCID(cid []byte)
	// SetPeerCID changes the connection ID of our records from now on.
	SetPeerCID(cid []byte)
	// CheckPaths permits return routability checks: RFC 9853.
	CheckPaths()
	// CIDs returns the connection IDs that are in use.
	CIDs() (local [][]byte, peer []byte)
}
