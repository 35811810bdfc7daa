package hermetic

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic/internal/handshake"
)

// A CertificateCompressor is an algorithm for Certificate messages (RFC 8879). Its functions
// must be safe for concurrent use. The module certcompress has Brotli and Zstandard.
type CertificateCompressor struct {
	// Algorithm is the number in IANA's registry of certificate compression algorithms:
	// 1 is zlib, 2 Brotli and 3 Zstandard. It is not 0.
	Algorithm uint16

	// Name is the name to show to people, such as "zlib". It may be empty.
	Name string

	// Compress returns the compressed form of a message, which it must not modify. It returns
	// nil if compression gains nothing: the message is then sent as it is. An error ends the
	// handshake with internal_error. The result is kept, so an algorithm may take its time. A
	// nil Compress means that our own certificates are not compressed with this algorithm.
	Compress func(message []byte) ([]byte, error)

	// Decompress returns a reader of the message whose compressed form is in r, and whose length
	// the peer has declared. The reader is closed if it is an io.Closer. The peer has not
	// authenticated and may send anything, so Decompress must bound its memory by length. It
	// need not bound or check what the reader returns: at most length+1 bytes are read. An
	// error, another length, or 100 empty reads in a row end the handshake with
	// bad_certificate. If Decompress is nil, the algorithm is not offered to the peer.
	Decompress func(r io.Reader, length int) (io.Reader, error)
}

// String returns the name and the number: "zlib (1)".
func (c CertificateCompressor) String() string {
	if c.Name == "" {
		return fmt.Sprintf("algorithm %d", c.Algorithm)
	}
	return fmt.Sprintf("%s (%d)", c.Name, c.Algorithm)
}

// ZlibCompressor returns the algorithm zlib (RFC 1950), with the standard library.
func ZlibCompressor() CertificateCompressor {
	return CertificateCompressor{
		Algorithm: 1,
		Name:      "zlib",
		Compress: func(message []byte) ([]byte, error) {
			var b bytes.Buffer
			w, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
			if err != nil {
				return nil, err
			}
			w.Write(message) // a bytes.Buffer never fails
			if err := w.Close(); err != nil || b.Len() >= len(message) {
				return nil, err
			}
			return b.Bytes(), nil
		},
		Decompress: func(r io.Reader, _ int) (io.Reader, error) { return zlib.NewReader(r) },
	}
}

// algorithms returns the numbers of a list.
func algorithms(list []CertificateCompressor) (numbers []uint16) {
	for _, c := range list {
		numbers = append(numbers, c.Algorithm)
	}
	return numbers
}

// maxCompressors is how many algorithms compress_certificate has room for.
const maxCompressors = 127

// compressors checks CertificateCompressors.
func (c *plan) compressors(p *handshake.Params) error {
	list := c.cfg.CertificateCompressors
	if len(list) > maxCompressors {
		return configError("CertificateCompressors", fmt.Sprintf("it has %d algorithms, more than %d", len(list), maxCompressors))
	}
	for i, a := range list {
		switch {
		case a.Algorithm == 0:
			return configError(fmt.Sprintf("CertificateCompressors[%d].Algorithm", i), "0 is not an algorithm: see the registry of RFC 8879")
		case a.Compress == nil && a.Decompress == nil:
			return configError(fmt.Sprintf("CertificateCompressors[%d]", i), a.String()+" has neither Compress nor Decompress")
		}
		p.Compressors = append(p.Compressors, handshake.Compressor{Algorithm: a.Algorithm, Compress: a.Compress, Decompress: a.Decompress})
	}
	p.Compressed = &c.compressed
	return nil
}
