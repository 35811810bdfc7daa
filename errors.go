package hermetic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Results of operations. Unless a comment says otherwise they are not fatal. Their texts are
// those of the Lua API, and so lack a prefix.
var (
	// ErrWantRead means that the transport has nothing to read now. Call again when it has.
	ErrWantRead = errors.New("want-read")
	// ErrWantWrite means that the transport takes no bytes now. Call again, with the same
	// arguments, when it does.
	ErrWantWrite = errors.New("want-write")
	// ErrClosed means that the peer's close_notify was received: it sends nothing more.
	ErrClosed = errors.New("closed")
	// ErrInvalidOperation means that a call does not fit the connection's state, or has bad
	// arguments. errors.Is matches every error of this kind.
	ErrInvalidOperation = errors.New("invalid operation")
	// ErrBusy is a call from inside a callback of the same Context. It is an
	// ErrInvalidOperation.
	ErrBusy error = &invalidOperation{"context is busy"}
	// ErrUnverified means that the Context of a DTLS server has answered a ClientHello
	// without a good cookie, and is reset. Set the peer's identity again.
	ErrUnverified = errors.New("unverified ClientHello: it was answered with a cookie")
	// ErrLimit means that a limit of the protocol keeps more from being sent: the keys have
	// protected as many records as they may, or DTLS has no number left for a KeyUpdate. It
	// is not the caller's fault, and requires a new connection. errors.Is matches every error
	// of this kind.
	ErrLimit = errors.New("a limit of the protocol is reached")
	// ErrPending means that the engine waits for the caller's answer: see [Engine.Pending].
	ErrPending = errors.New("an answer is pending")
)

// Errors of saved connections and sessions.
var (
	// ErrExported means that [Engine.Export] has exported the engine, whose connection
	// continues elsewhere. Every call returns it until Reset.
	ErrExported = errors.New("hermetic: the engine was exported: its connection continues elsewhere")
	// ErrBadState means that [ImportEngine] was not given the state of an engine, or one that
	// is damaged, sealed with another key, or of another version of this library. The
	// connection is lost: a new handshake is needed.
	ErrBadState = errors.New("hermetic: not the state of an engine, or damaged, or sealed with another key, or of another version of this library")
	// ErrBadSession means that [Session.UnmarshalBinary] was not given a session, or one that
	// is damaged, or of another version of this library. It can only be thrown away.
	ErrBadSession = errors.New("hermetic: not a session, or damaged, or of another version of this library")
)

// ErrTimeout means that DTLS has given up on a peer that does not answer. It is fatal, and a
// net.Error whose Timeout method returns true.
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

// ConfigError is a Config that cannot be used, or a tls.Config that [FromTLS] cannot convert.
type ConfigError struct {
	// Field is the field at fault, such as "DTLS.MTU" or "Certificates[0]". It is empty if
	// that is the Config as a whole: it is nil, or GODEBUG has fips140=only.
	Field string

	// Reason says what is wrong with it, in words.
	Reason string

	// Err is the error that Reason describes, such as one of crypto/x509; nil if there
	// is none.
	Err error

	ofTLS bool // the field is one of a tls.Config
}

// Error returns "hermetic: Config.FIELD: REASON", or "hermetic: tls.Config.FIELD: REASON" for a
// field that FromTLS refuses.
func (e *ConfigError) Error() string {
	at := "Config"
	if e.ofTLS {
		at = "tls.Config"
	}
	if e.Field != "" {
		at += "." + e.Field
	}
	return "hermetic: " + at + ": " + e.Reason
}

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

func configError(field, reason string) error { return &ConfigError{Field: field, Reason: reason} }

// configFault returns a ConfigError that wraps an error.
func configFault(field string, err error) error {
	return &ConfigError{Field: field, Reason: err.Error(), Err: err}
}

// AlertError is the failure of a connection: the alert, its sender, and the cause. It is fatal.
// A callback may return one to choose the alert: any but close_notify, which is not an error.
type AlertError struct {
	// Alert is the alert description.
	Alert Alert

	// Received says that the peer sent the alert. Otherwise we found the fault and send it.
	Received bool

	// Cause says what happened, in words. It is empty if Received.
	Cause string

	err        error               // the cause, for example an x509 error
	header     []byte              // of a record that is at fault
	unverified []*x509.Certificate // the peer's chain, if it does not verify
}

// Error returns one line of at most 1,000 bytes. Text from the peer is escaped and truncated
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

// Unwrap returns the underlying error, if any: an error of crypto/x509 for a certificate
// that does not verify, or the error of a callback.
func (e *AlertError) Unwrap() error { return e.err }

// As lets errors.As find the errors that crypto/tls has for the same failure: a tls.AlertError for
// each; a *tls.CertificateVerificationError, with the peer's certificates, for a chain that does
// not verify; and a tls.RecordHeaderError for a peer that does not speak TLS, or whose record has
// an invalid header. Its Conn is nil, except with package netconn.
func (e *AlertError) As(target any) bool {
	switch target := target.(type) {
	case *tls.AlertError:
		*target = tls.AlertError(e.Alert)
		return true
	case **tls.CertificateVerificationError:
		if e.unverified == nil {
			return false
		}
		*target = &tls.CertificateVerificationError{UnverifiedCertificates: e.unverified, Err: e.err}
		if e.err == nil {
			(*target).Err = e
		}
		return true
	case *tls.RecordHeaderError:
		if e.header == nil {
			return false
		}
		*target = tls.RecordHeaderError{Msg: e.Cause}
		copy(target.RecordHeader[:], e.header)
		return true
	}
	return false
}
