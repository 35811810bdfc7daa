package codec

import (
	"errors"
	"io"
)

// maxEmptyReads is how often in a row a reader may return nothing and no error: the bound of bufio.
const maxEmptyReads = 100

var errCount = errors.New("the reader returned an invalid byte count")

// Steady returns a reader of r for io.ReadAll and io.ReadFull, which never return if r always
// returns no bytes and no error. After 100 such reads in a row, it returns io.ErrNoProgress. An
// invalid count, which makes them panic, is an error too.
func Steady(r io.Reader) io.Reader { return steady{r} }

type steady struct{ io.Reader }

func (s steady) Read(p []byte) (int, error) {
	for range maxEmptyReads {
		n, err := s.Reader.Read(p)
		switch {
		case n < 0 || n > len(p):
			return 0, errCount
		case n > 0 || err != nil || len(p) == 0:
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}
