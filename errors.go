package hermetic

import (
	"errors"
	"fmt"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// The non-fatal results of operations. Their texts are those of the Lua API.
var (
	// ErrWantRead: the transport has nothing to read now. Call again when it has.
	ErrWantRead = errors.New("want-read")
	// ErrWantWrite: the transport takes no bytes now. Call again, with the
	// same arguments, when it does.
	ErrWantWrite = errors.New("want-write")
	// ErrClosed: the peer's close_notify has come; it will send nothing more.
	ErrClosed = errors.New("closed")
	// ErrInvalidOperation: the operation does not fit the connection's state
	// or arguments. errors.Is matches every error of this kind.
	ErrInvalidOperation = errors.New("invalid operation")
	// ErrBusy: a call from inside a callback of the same context. It is an
	// ErrInvalidOperation.
	ErrBusy error = &invalidOperation{"context is busy"}
	// ErrUnverified: a DTLS server's Context has answered a ClientHello without a
	// good cookie, and is reset: set the peer's identity again.
	ErrUnverified = errors.New("unverified ClientHello: it was answered with a cookie")
	// ErrLimit: a limit of the protocol keeps more from being sent: the keys have
	// protected as many records as they may, or DTLS has no number left for a KeyUpdate.
	// It is not the caller's fault, and needs a new connection. errors.Is matches every
	// error of this kind.
	ErrLimit = errors.New("a limit of the protocol is reached")
	// ErrPending: an answer is awaited, see [Engine.Pending].
	ErrPending = errors.New("an answer is pending")
)

// ErrTimeout is DTLS giving up on a peer that does not answer. It is a
// net.Error with Timeout() true.
var ErrTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string   { return "handshake timed out: the peer does not answer" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return false }

// invalidOperation is an ErrInvalidOperation with a reason.
type invalidOperation struct{ reason string }

func (e *invalidOperation) Error() string        { return e.reason }
func (e *invalidOperation) Is(target error) bool { return target == ErrInvalidOperation }

// limitError is an ErrLimit with a reason.
type limitError struct{ reason string }

func (e *limitError) Error() string        { return e.reason }
func (e *limitError) Is(target error) bool { return target == ErrLimit }

// ConfigError is a Config that cannot be used.
type ConfigError struct {
	// Field is the field at fault, such as "DTLS.MTU" or "Certificates[0]".
	Field string

	// Reason says what is wrong with it, in words.
	Reason string

	// Err is the error that Reason is the text of, such as one of crypto/x509; nil if there
	// is none.
	Err error
}

// Error is "hermetic: Config.FIELD: REASON".
func (e *ConfigError) Error() string { return "hermetic: Config." + e.Field + ": " + e.Reason }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

func configError(field, reason string) error { return &ConfigError{Field: field, Reason: reason} }

// configFault is a ConfigError with an error behind it.
func configFault(field string, err error) error { return &ConfigError{field, err.Error(), err} }

// AlertError is a connection that failed: the alert, who sent it, and why.
type AlertError struct {
	Alert    Alert
	Received bool   // by the peer; else we found the fault and told the peer
	Cause    string // what happened, in words; empty when Received
	err      error  // what is behind it, e.g. an x509 error
}

// Error is one line of at most 1,000 bytes: what a peer wrote is escaped and cut
// in it, but not in what Unwrap returns.
func (e *AlertError) Error() string {
	switch {
	case e.Received:
		return "peer sent alert " + e.Alert.String()
	case e.err != nil:
		return fmt.Sprintf("%s (%v): %s", e.Cause, e.Alert, alert.Clean(e.err.Error()))
	}
	return fmt.Sprintf("%s (%v)", e.Cause, e.Alert)
}

// Unwrap returns the error behind the failure: an x509 error for a certificate
// that does not verify, what a callback returned.
func (e *AlertError) Unwrap() error { return e.err }
