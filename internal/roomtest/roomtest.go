// Package roomtest has what the tests of several rooms share.
package roomtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// WantAlert wants err to be our own failure with that alert. about, if there is any, is a
// format and its arguments: what was tried.
func WantAlert(t testing.TB, err error, want alert.Description, about ...any) {
	t.Helper()
	var fault *alert.Error
	if errors.As(err, &fault) && fault.Description == want {
		return
	}
	tried := ""
	if len(about) > 0 {
		tried = fmt.Sprintf(about[0].(string), about[1:]...) + ": "
	}
	t.Errorf("%sgot error %v, want alert %v", tried, err, want)
}

// Stride is how far apart the bytes are that a test of each byte of a handshake tries. It
// is 1: every byte. A short run has one in seventeen, of all eight bits.
func Stride() int {
	if testing.Short() {
		return 17
	}
	return 1
}
