package codec

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestSteady: what a reader returns arrives as it is, and one that never ends its silence, or counts
// wrong, is an error.
func TestSteady(t *testing.T) {
	failed := errors.New("it failed")
	data := bytes.Repeat([]byte("data"), 100)
	silent := func(times int, then io.Reader) io.Reader {
		left := times
		return readFunc(func(p []byte) (int, error) {
			if left--; left >= 0 {
				return 0, nil
			}
			left = times
			return then.Read(p)
		})
	}
	for _, test := range []struct {
		name string
		r    io.Reader
		want []byte
		err  error
	}{
		{"all at once", bytes.NewReader(data), data, nil},
		{"byte by byte", iotest.OneByteReader(bytes.NewReader(data)), data, nil},
		{"with its end", iotest.DataErrReader(bytes.NewReader(data)), data, nil},
		{"empty", bytes.NewReader(nil), nil, nil},
		{"nothing 99 times before each read", silent(99, bytes.NewReader(data)), data, nil},
		{"nothing 100 times", silent(100, bytes.NewReader(data)), nil, io.ErrNoProgress},
		{"nothing forever", readFunc(func([]byte) (int, error) { return 0, nil }), nil, io.ErrNoProgress},
		{"an error after data", io.MultiReader(bytes.NewReader(data), iotest.ErrReader(failed)), data, failed},
		{"a negative count", readFunc(func([]byte) (int, error) { return -1, nil }), nil, errCount},
		{"a count too large", readFunc(func(p []byte) (int, error) { return len(p) + 1, io.EOF }), nil, errCount},
	} {
		got, err := io.ReadAll(Steady(test.r))
		if !bytes.Equal(got, test.want) || err != test.err {
			t.Errorf("%s: %d bytes, %v; want %d, %v", test.name, len(got), err, len(test.want), test.err)
		}
	}
	if n, err := Steady(bytes.NewReader(data)).Read(nil); n != 0 || err != nil {
		t.Errorf("into nothing: %d, %v", n, err)
	}
}
