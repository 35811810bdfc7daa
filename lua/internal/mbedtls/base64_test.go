package mbedtls

import (
	"bytes"
	"encoding/base64"
	"testing"
)

// FuzzDecodeBase64 compares with the standard library, which is stricter: what it
// accepts, we accept, with the same result; and we accept what we encode.
func FuzzDecodeBase64(f *testing.F) {
	for _, seed := range []string{"", "Zg==", "Zm8=", "Zm9v", "Zm9v\r\nYmFy", "Zm 9v", "====", "Zg==Zg=="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := DecodeBase64(text)
		want, stdErr := base64.StdEncoding.AppendDecode(nil, text)
		if stdErr == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		back, err := DecodeBase64(EncodeBase64(text))
		if err != nil || !bytes.Equal(back, text) {
			t.Errorf("there and back: %q, %v", back, err)
		}
	})
}
