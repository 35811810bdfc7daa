package mbedtls

import (
	"encoding/base64"
	"errors"
)

// EncodeBase64 encodes data without line breaks.
func EncodeBase64(data []byte) []byte {
	return base64.StdEncoding.AppendEncode(nil, data)
}

var errBase64 = errors.New(InvalidValue)

// DecodeBase64 decodes text as the original does: line ends, and spaces before
// them or at the end, are skipped; other characters, anything after padding
// and more than two '=' are errors; a last group that is not complete is dropped.
func DecodeBase64(text []byte) ([]byte, error) {
	out := make([]byte, 0, len(text)/4*3+3)
	var group uint32
	digits, padding, space := 0, 0, false
	for _, c := range text {
		value := values[c]
		switch {
		case c == '\r' || c == '\n':
			space = false
			continue
		case c == ' ':
			space = true
			continue
		case space: // a space inside a line
			return nil, errBase64
		case c == '=':
			if padding++; padding > 2 {
				return nil, errBase64
			}
			value = 0
		case value < 0 || padding > 0:
			return nil, errBase64
		}
		group = group<<6 | uint32(value)
		if digits++; digits%4 == 0 {
			full := []byte{byte(group >> 16), byte(group >> 8), byte(group)}
			out = append(out, full[:3-padding]...)
		}
	}
	return out, nil
}

// values maps a character to its six bits, or to -1.
var values = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		t[alphabet[i]] = int8(i)
	}
	return t
}()
