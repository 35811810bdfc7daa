package alert

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestNames: every description of the RFC has its name here, and no other.
func TestNames(t *testing.T) {
	const shared = "../../../shared"
	rfc, err := os.ReadFile(shared + "/specs/rfc9846-tls13.md")
	if err != nil {
		if _, there := os.Stat(shared); there == nil {
			t.Fatal(err)
		}
		t.Skipf("no RFC 9846: %v", err)
	}
	enum := regexp.MustCompile(`(?s)enum \{\s*(close_notify\(0\).*?)\} AlertDescription;`).FindSubmatch(rfc)
	if enum == nil {
		t.Fatal("RFC 9846 has no AlertDescription")
	}
	of := map[Description]string{
		TooManyCIDsRequested: "too_many_cids_requested", // RFC 9147bis, Section 9
		NoRenegotiation:      "no_renegotiation",        // RFC 5246, Section 7.2
	}
	for _, line := range regexp.MustCompile(`(\w+)\((\d+)\)`).FindAllSubmatch(enum[1], -1) {
		value, err := strconv.ParseUint(string(line[2]), 10, 8)
		if err != nil {
			t.Fatal(err)
		}
		of[Description(value)] = string(line[1])
	}
	for i := range 256 {
		d := Description(i)
		want, ok := of[d]
		if !ok {
			want = "alert(" + strconv.Itoa(i) + ")"
		}
		if d.String() != want {
			t.Errorf("alert %d is %q, want %q", i, d, want)
		}
	}
}

func TestError(t *testing.T) {
	plain := New(DecodeError, "a record is too short")
	wrapped := Wrap(BadCertificate, "the certificate", io.ErrUnexpectedEOF)
	tests := []struct {
		err    *Error
		text   string
		behind error
	}{
		{plain, "a record is too short", nil},
		{wrapped, "the certificate: unexpected EOF", io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.text {
			t.Errorf("%q, want %q", got, test.text)
		}
		if got := errors.Unwrap(test.err); got != test.behind {
			t.Errorf("%s: unwraps to %v, want %v", test.text, got, test.behind)
		}
	}
}
