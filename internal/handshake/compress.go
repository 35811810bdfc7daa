package handshake

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errCompressor     = alert.New(alert.IllegalParameter, "the peer's certificate is compressed with an algorithm that was not offered")
	errCompressedSize = alert.New(alert.BadCertificate, "the peer's compressed certificate is larger than the limit")
	errDeclaredSize   = alert.New(alert.BadCertificate, "the peer's compressed certificate declares another size than it has")
	errCompressedTail = alert.New(alert.BadCertificate, "data follows the end of the peer's compressed certificate")
	errNoReader       = errors.New("its function Decompress returned neither a reader nor an error")
)

// Compressor compresses Certificate messages (RFC 8879). Either function may be nil.
type Compressor struct {
	Algorithm uint16
	// Compress returns nil for what is better sent as it is.
	Compress func(message []byte) ([]byte, error)
	// Decompress reads the message of that length from r, and need not check the length.
	Decompress func(r io.Reader, length int) (io.Reader, error)
}

// sendCertificateMessage sends a Certificate message in the best form that the peer
// understands.
func (m *Machine) sendCertificateMessage(msg []byte, peer wire.Uint16s) error {
	c := m.compressorFor(peer)
	if c == nil {
		m.send(msg)
		return nil
	}
	data, err := m.params.Compressed.get(c, msg[4:])
	if err != nil {
		return alert.Wrap(alert.InternalError, "the certificate cannot be compressed", err)
	}
	if len(data) == 0 {
		m.send(msg)
		return nil
	}
	compressed := wire.CompressedCertificate{Algorithm: c.Algorithm, Length: len(msg) - 4, Data: data}
	m.send(compressed.Append(msg[:0]))
	m.conn.LocalCompressor = c.Algorithm
	return nil
}

// compressorFor returns the first of our compressors that the peer understands, or nil.
func (m *Machine) compressorFor(peer wire.Uint16s) *Compressor {
	for i := range m.params.Compressors {
		if c := &m.params.Compressors[i]; c.Compress != nil && peer.Contains(c.Algorithm) {
			return c
		}
	}
	return nil
}

// expectCertificate is the state that waits for the peer's certificate in TLS 1.3, or for
// a message of another type.
func (m *Machine) expectCertificate(run func(wire.Message) (step, error), or ...wire.Type) step {
	s := expect(run, append(or, wire.TypeCertificate)...)
	if len(m.params.lists.compressors) > 0 {
		s.want |= wire.Types(wire.TypeCompressedCertificate)
	}
	return s
}

// uncompressed returns the body of a Certificate message in either form. The limits of an
// ordinary message apply (RFC 8879, Section 5), and are checked before any work.
func (m *Machine) uncompressed(msg wire.Message) ([]byte, error) {
	if msg.Type == wire.TypeCertificate {
		return msg.Body, nil
	}
	var c wire.CompressedCertificate
	if err := c.Parse(msg.Body); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(m.params.Compressors, func(o Compressor) bool { return o.Algorithm == c.Algorithm && o.Decompress != nil })
	switch {
	case i < 0:
		return nil, errCompressor
	case c.Length > m.params.MaxCertificate:
		return nil, errCompressedSize
	}
	if err := m.params.Chains.Affords(c.Length); err != nil {
		return nil, err
	}
	m.conn.PeerCompressor = c.Algorithm
	return decompress(&m.params.Compressors[i], &c)
}

// decompress decompresses a message. It reads at most one byte more than the declared
// length.
func decompress(o *Compressor, c *wire.CompressedCertificate) ([]byte, error) {
	in := bytes.NewReader(c.Data)
	r, err := o.Decompress(in, c.Length)
	if r == nil && err == nil {
		return nil, alert.Wrap(alert.InternalError, "the peer's certificate cannot be decompressed", errNoReader)
	}
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(codec.Steady(r), int64(c.Length)+1))
		if closer, ok := r.(io.Closer); ok {
			closer.Close()
		}
	}
	switch {
	case err == nil && len(body) != c.Length, len(body) > c.Length:
		return nil, errDeclaredSize
	case err != nil:
		return nil, alert.Wrap(alert.BadCertificate, fmt.Sprintf("the peer's certificate cannot be decompressed with algorithm %d", c.Algorithm), err)
	case in.Len() > 0:
		return nil, errCompressedTail
	}
	return body, nil
}

// maxCompressed is how many compressed messages a Compressed holds.
const maxCompressed = 64

// Compressed is our Certificate messages in compressed form: each is compressed once, and
// again when its content has changed. It is safe for concurrent use.
type Compressed struct {
	mu       sync.Mutex
	messages map[[32]byte]*compressed
	order    [maxCompressed][32]byte // the keys, as they came
	next     int
}

// compressed is the compressed form of one message. The first handshake that needs it makes
// it, and others wait.
type compressed struct {
	once sync.Once
	data []byte
	err  error
}

// get returns the compressed form of a message.
func (c *Compressed) get(o *Compressor, message []byte) ([]byte, error) {
	h := sha256.New()
	h.Write([]byte{byte(o.Algorithm >> 8), byte(o.Algorithm)})
	h.Write(message)
	m := c.entry([32]byte(h.Sum(nil)))
	m.once.Do(func() {
		m.data, m.err = o.Compress(message)
		m.data = bytes.Clone(m.data) // it may be a part of message
	})
	return m.data, m.err
}

func (c *Compressed) entry(key [32]byte) *compressed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.messages[key]; m != nil {
		return m
	}
	if c.messages == nil {
		c.messages = make(map[[32]byte]*compressed)
	}
	delete(c.messages, c.order[c.next])
	m := new(compressed)
	c.messages[key], c.order[c.next] = m, key
	c.next = (c.next + 1) % maxCompressed
	return m
}
