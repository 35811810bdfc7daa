package roomtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// recorder keeps what a test would have said.
type recorder struct {
	testing.TB
	said []string
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// TestWantAlert: only our own failure with the alert passes, however it is wrapped.
func TestWantAlert(t *testing.T) {
	fault := alert.New(alert.DecodeError, "it does not parse")
	for name, test := range map[string]struct {
		err   error
		about []any
		want  string
	}{
		"the alert":       {fault, nil, ""},
		"wrapped":         {fmt.Errorf("around it: %w", fault), nil, ""},
		"no error":        {nil, nil, "got error <nil>, want alert decode_error"},
		"no alert":        {errors.New("else"), nil, "got error else, want alert decode_error"},
		"another alert":   {alert.New(alert.DecryptError, "else"), nil, "got error else, want alert decode_error"},
		"what was tried":  {nil, []any{"try %d", 7}, "try 7: got error <nil>, want alert decode_error"},
		"tried, and good": {fault, []any{"try %d", 7}, ""},
	} {
		var r recorder
		WantAlert(&r, test.err, alert.DecodeError, test.about...)
		if got := fmt.Sprint(r.said); got != "["+test.want+"]" {
			t.Errorf("%s: %s, want [%s]", name, got, test.want)
		}
	}
}

// TestStride: a whole run tries every byte, and a short one does not.
func TestStride(t *testing.T) {
	want := 1
	if testing.Short() {
		want = 17
	}
	if Stride() != want {
		t.Errorf("%d, want %d", Stride(), want)
	}
}
