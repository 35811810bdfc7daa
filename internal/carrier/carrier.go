// Package carrier carries a connection: it turns bytes into handshake messages
// for the states, and application data for the caller, and back. A stream
// carrier does it with the records of TLS, a datagram carrier with those of
// DTLS, their flights, fragments and acknowledgements.
package carrier

import (
	"errors"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// Kind is what an opened record was for the caller.
type Kind uint8

const (
	None      Kind = iota // nothing: a handshake message, a ticket, a dropped record
	Data                  // application data, maybe empty
	EarlyData             // application data under the early traffic secret
	NewPath               // under our CID, with Data or none: its source may be new (datagrams)
)

// Opened is what became of the first record of the input.
type Opened struct {
	Data []byte // aliases the input
	N    int    // bytes of the input used; 0: incomplete (streams)
	Kind Kind
}

var (
	// ErrClosed: the peer's close_notify has come.
	ErrClosed = errors.New("closed")
	// ErrPending: an answer is awaited, nothing was consumed.
	ErrPending = errors.New("pending")
	// ErrNotReady: no application keys to seal with yet.
	ErrNotReady = errors.New("no application keys yet")
)

// PeerAlert is a fatal alert that the peer has sent.
type PeerAlert struct{ Description alert.Description }

func (e *PeerAlert) Error() string { return "peer sent alert " + e.Description.String() }

// Carrier is what the engine drives. Its errors are *alert.Error, *PeerAlert or
// one of this package's; the engine turns them into the public ones.
type Carrier interface {
	handshake.Carrier

	// Open consumes one record of in, decrypting in place.
	Open(now time.Time, in []byte) (Opened, error)

	// Resume goes on with the messages that were kept while the handler
	// waited.
	Resume(now time.Time) error

	// Seal appends what Output would, then data as protected records.
	Seal(now time.Time, dst, data []byte) ([]byte, error)

	// SealEarly is Seal for early data.
	SealEarly(now time.Time, dst, data []byte) ([]byte, error)
	// EarlyDataLeft is how many more bytes SealEarly takes.
	EarlyDataLeft() int

	// Output appends what must be sent now: all of it (streams), or exactly
	// one datagram.
	Output(now time.Time, dst []byte) []byte
	// HasOutput reports whether Output has something to append.
	HasOutput() bool

	// SendAlert queues an alert: close_notify, or the fatal one that is owed.
	SendAlert(d alert.Description)

	// Deadline and Expire are the retransmission timer of datagrams.
	Deadline() (time.Time, bool)
	Expire(now time.Time) error

	// Sleep gives up the keys of an established connection, which the next
	// record makes again, and returns what else there is of it; or says what is
	// in the way. Restore is the inverse, on a new carrier.
	Sleep(now time.Time) (State, error)
	Restore(c *suite.Suite, s State)

	// Dropped is how many records were dropped without a trace (datagrams).
	Dropped() uint64

	// Missing is how many bytes the record at in[0] still lacks (streams).
	Missing(in []byte) int
	// MaxData is how many bytes of data one record takes now, Overhead how many
	// bytes protection adds to it.
	MaxData() int
	Overhead() int
}
