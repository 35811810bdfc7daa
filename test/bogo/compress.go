package main

import (
	"bytes"
	"errors"
	"io"

	"github.com/hermetic-tls/hermetic"
)

// The runner's own algorithms for certificates: their numbers and what they do.
const (
	shrinking = 0xff01 // leaves out the first two bytes, which are 0
	expanding = 0xff02 // puts four bytes before the message
	random    = 0xff03 // puts any byte before it
)

var errPrefix = errors.New("the message has another prefix")

// compressors are the algorithms that the flags install, the preferred first.
func (o *options) compressors() (list []hermetic.CertificateCompressor) {
	for _, c := range []hermetic.CertificateCompressor{prefixed(expanding, "\x01\x02\x03\x04"), shrink(), prefixed(random, "r")} {
		if o.compressAll || o.compressOne == int(c.Algorithm) {
			list = append(list, c)
		}
	}
	return list
}

// prefixed is an algorithm that puts a prefix before the message. The content of a random
// prefix is not checked.
func prefixed(algorithm uint16, prefix string) hermetic.CertificateCompressor {
	return hermetic.CertificateCompressor{
		Algorithm: algorithm,
		Compress:  func(message []byte) ([]byte, error) { return append([]byte(prefix), message...), nil },
		Decompress: func(r io.Reader, _ int) (io.Reader, error) {
			got := make([]byte, len(prefix))
			if _, err := io.ReadFull(r, got); err != nil || algorithm != random && string(got) != prefix {
				return nil, errPrefix
			}
			return r, nil
		},
	}
}

func shrink() hermetic.CertificateCompressor {
	left := []byte{0, 0}
	return hermetic.CertificateCompressor{
		Algorithm: shrinking,
		Compress: func(message []byte) ([]byte, error) {
			rest, ok := bytes.CutPrefix(message, left)
			if !ok {
				return nil, errPrefix
			}
			return rest, nil
		},
		Decompress: func(r io.Reader, _ int) (io.Reader, error) { return io.MultiReader(bytes.NewReader(left), r), nil },
	}
}
