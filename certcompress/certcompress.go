// Package certcompress has the algorithms of RFC 8879 that need more than the standard
// library: Brotli, which Chromium and Firefox offer, and Zstandard, which Firefox offers too.
// It is a separate module, so that the root module needs neither.
//
//	cfg.CertificateCompressors = certcompress.All()
//
// Decompression takes as much memory as the message. Brotli also takes its window, whose size the
// peer chooses: up to 16 MiB.
package certcompress

import (
	"bytes"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/hermetic-tls/hermetic"
)

// The algorithms in IANA's registry of certificate compression algorithms.
const (
	brotliAlgorithm = 2
	zstdAlgorithm   = 3
)

// All returns all algorithms, the one that usually saves most first: Brotli, Zstandard, zlib.
func All() []hermetic.CertificateCompressor {
	return []hermetic.CertificateCompressor{Brotli(), Zstd(), hermetic.ZlibCompressor()}
}

// Brotli returns the algorithm Brotli (RFC 7932).
func Brotli() hermetic.CertificateCompressor {
	return hermetic.CertificateCompressor{
		Algorithm: brotliAlgorithm,
		Name:      "brotli",
		Compress: func(message []byte) ([]byte, error) {
			var b bytes.Buffer
			w := brotli.NewWriterLevel(&b, brotli.BestCompression)
			if _, err := w.Write(message); err != nil {
				return nil, err
			}
			if err := w.Close(); err != nil {
				return nil, err
			}
			return smaller(b.Bytes(), message), nil
		},
		Decompress: func(r io.Reader, _ int) (io.Reader, error) { return brotli.NewReader(r), nil },
	}
}

// Zstd returns the algorithm Zstandard (RFC 8878).
func Zstd() hermetic.CertificateCompressor {
	return hermetic.CertificateCompressor{
		Algorithm:  zstdAlgorithm,
		Name:       "zstd",
		Compress:   compressZstd,
		Decompress: decompressZstd,
	}
}

func compressZstd(message []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return smaller(w.EncodeAll(message, nil), message), nil
}

// zstdWindow is the largest window, unless the message is larger. RFC 8878, Section 3.1.1.1.2,
// recommends supporting it.
const zstdWindow = 8 << 20

// decompressZstd decompresses at once, and not as a stream. So the message is its own window, and
// takes no more memory than the length that it declares.
func decompressZstd(r io.Reader, length int) (io.Reader, error) {
	data, err := io.ReadAll(r) // as large as the message that has arrived
	if err != nil {
		return nil, err
	}
	window := uint64(max(length, zstdWindow))
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(window), zstd.WithDecoderMaxMemory(window), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	message, err := d.DecodeAll(data, make([]byte, 0, length))
	return bytes.NewReader(message), err
}

// smaller returns the compressed form unless the message is as small.
func smaller(compressed, message []byte) []byte {
	if len(compressed) >= len(message) {
		return nil
	}
	return compressed
}
