package record

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// TestStreamContent: what is wrong within a record that authenticates.
func TestStreamContent(t *testing.T) {
	named := map[error]alert.Description{ // RFC 9846, Sections 5.2 and 5.4
		errOverflow: alert.RecordOverflow, errNoContent: alert.UnexpectedMessage, errOuterType: alert.UnexpectedMessage,
	}
	inner := func(n int) []byte { return append(bytes.Repeat([]byte{1}, n), byte(Alert)) }
	for _, test := range []struct {
		name  string
		suite uint16
		outer ContentType
		plain []byte
		want  error
	}{
		{"the largest", 0x1301, ApplicationData, inner(MaxPlaintext), nil},
		{"one byte more", 0x1301, ApplicationData, inner(MaxPlaintext + 1), errOverflow},
		{"one byte more of padding", 0x1301, ApplicationData, append(inner(MaxPlaintext), 0), errOverflow},
		{"only padding", 0x1301, ApplicationData, make([]byte, 4), errNoContent},
		{"the outer type of its content", 0x1301, Alert, inner(2), errOuterType},
		{"the largest in TLS 1.2", 0xc02b, Alert, sample(MaxPlaintext), nil},
		{"one byte more in TLS 1.2", 0xc02b, Alert, sample(MaxPlaintext + 1), errOverflow},
	} {
		t.Run(test.name, func(t *testing.T) {
			var fault *alert.Error
			if errors.As(test.want, &fault) && fault.Description != named[test.want] {
				t.Errorf("%q is %v, want %v", fault.Cause, fault.Description, named[test.want])
			}
			var in, out Stream
			k := testKeys(suite.ByID(test.suite))
			in.Install(k)
			out.Install(k)
			rec := sealRaw(&out, test.outer, test.plain)
			if _, content, err := in.Open(rec); err != test.want || err == nil && len(content) != MaxPlaintext {
				t.Errorf("got %d bytes, error %v, want %v", len(content), err, test.want)
			}
		})
	}
}

// sealRaw seals plain as it is, which is not for Seal to judge in TLS 1.2; in TLS 1.3
// it is a TLSInnerPlaintext.
func sealRaw(s *Stream, outer ContentType, plain []byte) []byte {
	if !s.tls13() {
		return s.Seal(nil, outer, plain)
	}
	n := len(plain) + s.keys.Suite.TagLen
	header := []byte{byte(outer), 3, 3, byte(n >> 8), byte(n)}
	return s.keys.AEAD.Seal(header, s.nonce[:], plain, header)
}
