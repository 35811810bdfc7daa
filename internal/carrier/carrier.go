// Package carrier carries a connection: it turns bytes into handshake messages
// for the states and application data for the caller, and back. A stream
// carrier uses the records of TLS, a datagram carrier those of DTLS, with
// flights, fragments and acknowledgments.
package carrier

import (
	"errors"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/tracer"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Kind says what an opened record means for the caller.
type Kind uint8

const (
	None        Kind = iota // nothing: a handshake message, a ticket, a dropped record
	Data                    // application data, may be empty
	EarlyData               // application data under the early traffic secret
	NewPath                 // with our CID, and Data or none: its source may be new (datagrams)
	PathChanged             // the peer has proved that it is at a new path (datagrams)
)

// Opened is what an opened record means for the caller. With one more word it would not stay
// in registers.
type Opened struct {
	Data []byte // aliases the input
	Kind Kind
}

var (
	// ErrClosed: the peer's close_notify has arrived.
	ErrClosed = errors.New("closed")
	// ErrNotReady means that there are no keys for application data yet.
	ErrNotReady = errors.New("no keys for application data yet: the handshake is under way")
	// ErrSpent: the protocol permits no further record under these keys.
	ErrSpent = alert.New(alert.InternalError, "the keys have protected as many records as they may")
)

// PeerAlert is a fatal alert that the peer has sent.
type PeerAlert struct{ Description alert.Description }

func (e *PeerAlert) Error() string { return "peer sent alert " + e.Description.String() }

// Handler is what a carrier needs from the engine.
type Handler interface {
	// Keys returns the current keys, derived again from their secrets, for a carrier
	// that has slept.
	Keys() (read, write suite.Keys)

	// KeysExhausted is called when the sending keys approach the limit of what they
	// may protect (RFC 9846, Section 5.5): the handler sends a KeyUpdate. With
	// request, the reading keys have met many forgeries (RFC 9147bis, Section 4.5.3):
	// the KeyUpdate requests the peer's.
	KeysExhausted(request bool)
}

// Carrier is what the engine drives: a Stream or a Datagram, which has further methods.
// Its errors are *alert.Error, *PeerAlert or one of this package's; the engine turns them
// into the public ones.
type Carrier interface {
	handshake.Output

	// Trace sets where to tell what happens, before anything has.
	Trace(*tracer.Tracer)

	// Open consumes one record of in, decrypting in place, and returns how many bytes it
	// has; 0: it is incomplete (streams). Its handshake messages are then in Next.
	Open(now time.Time, in []byte) (o Opened, n int, err error)

	// Next returns the next handshake message. Its body is valid until the next
	// call. The caller asks after each Resume and each Open without data, and after each
	// message that it has handled, until ok is false.
	Next(now time.Time) (m wire.Message, ok bool, err error)

	// Pause keeps Next from returning more messages until Resume: the caller of
	// the engine owes an answer. Nothing is opened meanwhile.
	Pause()
	Resume(now time.Time)

	// Seal appends what Output would, then data as protected records.
	Seal(dst, data []byte) ([]byte, error)

	// SealParts is Seal for data in several slices.
	SealParts(dst []byte, parts [][]byte) ([]byte, error)

	// SealEarly is Seal for early data.
	SealEarly(dst, data []byte) ([]byte, error)
	// EarlyDataRoom returns how many more bytes SealEarly takes.
	EarlyDataRoom() int

	// Output appends what must be sent now: all of it (streams), or exactly
	// one datagram.
	Output(now time.Time, dst []byte) []byte
	// HasOutput reports whether Output has something to append.
	HasOutput() bool

	// SendAlert queues an alert: close_notify, or the fatal one that is owed. Nothing
	// follows it, except, over datagrams, retransmissions of what was sent before.
	SendAlert(d alert.Description)

	// Speaks reports whether a close_notify can be sent: data can be, or early data
	// was.
	Speaks() bool

	// Forget drops all keys and all other state of a connection that is over.
	Forget()

	// Sleep drops the keys of an established connection, which the next record
	// derives again, and returns the rest of its state, or an error that says why
	// it cannot. Restore is the inverse, on a new carrier.
	Sleep(now time.Time) (State, error)
	Restore(c *suite.Suite, s State)

	// MaxData returns how many bytes of data one record takes now, and Overhead how
	// many bytes protection adds.
	MaxData() int
	Overhead() int
}

// Bounds on what a peer may send without getting anywhere.
const (
	// maxMessage bounds a handshake message, except Certificate.
	maxMessage = 1 << 16
	// maxWarnings bounds warning alerts in a row.
	maxWarnings = 4
	// maxIdleMessages bounds the messages after the handshake (KeyUpdate,
	// tickets, HelloRequest) without application data in between.
	maxIdleMessages = 32
)

var (
	errContentType    = alert.New(alert.UnexpectedMessage, "a record has an unknown content type")
	errEmptyHandshake = alert.New(alert.UnexpectedMessage, "a handshake record is empty")
	errWarnings       = alert.New(alert.UnexpectedMessage, "too many warning alerts")
	errEmptyAlert     = alert.New(alert.UnexpectedMessage, "an alert is empty")
	errBadAlert       = alert.New(alert.DecodeError, "an alert is malformed")
	errAlertLevel     = alert.New(alert.IllegalParameter, "an alert has an unknown level")
	errBadCCS         = alert.New(alert.IllegalParameter, "a ChangeCipherSpec is malformed")
	errUnexpectedCCS  = alert.New(alert.UnexpectedMessage, "a ChangeCipherSpec comes where none may")
	errEarlyDataSize  = alert.New(alert.UnexpectedMessage, "more early data than the ticket permits")
	errEarlyAppData   = alert.New(alert.UnexpectedMessage, "application data comes before the handshake is complete")
	errKeyBoundary    = alert.New(alert.UnexpectedMessage, "a record holds data beyond a change of keys")
	errIdleMessages   = alert.New(alert.UnexpectedMessage, "too many handshake messages without application data")
)

// counts bound what a peer may send without making progress.
type counts struct {
	empty, warnings, ccs, messages uint8
}

// message counts a handshake message after the handshake.
func (c *counts) message() error {
	if c.messages++; c.messages > maxIdleMessages {
		return errIdleMessages
	}
	return nil
}

// warning counts an alert that is not fatal.
func (c *counts) warning() error {
	if c.warnings++; c.warnings > maxWarnings {
		return errWarnings
	}
	return nil
}

// AlertLevel (RFC 9846, Section 6).
const alertWarning, alertFatal = alert.LevelWarning, alert.LevelFatal

// parseAlert reads an alert. RFC 9846, Section 5.4: a protected record without contents is
// unexpected_message.
func parseAlert(body []byte, protected bool) (level byte, d alert.Description, err error) {
	switch {
	case len(body) == 0 && protected:
		return 0, 0, errEmptyAlert
	case len(body) != 2:
		return 0, 0, errBadAlert
	}
	if level = body[0]; level != alertWarning && level != alertFatal {
		return 0, 0, errAlertLevel
	}
	return level, alert.Description(body[1]), nil
}
