package handshake

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func deflate(message []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(message)
	w.Close()
	return b.Bytes()
}

var testZlib = Compressor{
	Algorithm:  1,
	Compress:   func(message []byte) ([]byte, error) { return deflate(message), nil },
	Decompress: func(r io.Reader, _ int) (io.Reader, error) { return zlib.NewReader(r) },
}

// testPlain is an algorithm that changes nothing.
var testPlain = Compressor{
	Algorithm:  0xff01,
	Compress:   func(message []byte) ([]byte, error) { return message, nil },
	Decompress: func(r io.Reader, _ int) (io.Reader, error) { return r, nil },
}

// compressing are ends with these algorithms.
func (s setting) compressing(t testing.TB, client, server []Compressor) (c, sv *end) {
	id := identity(t)
	c, sv = s.ends(t, id, new(pki.Cache))
	again := func(e *end, list []Compressor) *end {
		p := *e.machine.params
		p.Compressors, p.Compressed, p.MaxCertificate = list, new(Compressed), 1<<16
		p.lists = lists{}
		p.Prepare()
		return newEnd(t, &p, id)
	}
	return again(c, client), again(sv, server)
}

// TestCompressors: each side compresses with the first of its own algorithms that the other
// understands.
func TestCompressors(t *testing.T) {
	send := func(c Compressor) Compressor { c.Decompress = nil; return c }
	receive := func(c Compressor) Compressor { c.Compress = nil; return c }
	shrinks := Compressor{
		Algorithm: 7,
		Compress:  func(message []byte) ([]byte, error) { return message[2:], nil },
		Decompress: func(r io.Reader, _ int) (io.Reader, error) {
			return io.MultiReader(bytes.NewReader([]byte{0, 0}), r), nil
		},
	}
	declines := testZlib
	declines.Compress = func([]byte) ([]byte, error) { return nil, nil }
	for _, test := range []struct {
		name             string
		client, server   []Compressor
		byServer, byPeer uint16 // the algorithms of the server's and the client's certificate
	}{
		{"none", nil, nil, 0, 0},
		{"only the client", []Compressor{testZlib}, nil, 0, 0},
		{"only the server", nil, []Compressor{testZlib}, 0, 0},
		{"one", []Compressor{testZlib}, []Compressor{testZlib}, 1, 1},
		{"none in common", []Compressor{testZlib}, []Compressor{testPlain}, 0, 0},
		{"each prefers its own", []Compressor{testZlib, testPlain}, []Compressor{testPlain, testZlib}, 0xff01, 1},
		{"only to the client", []Compressor{receive(testZlib)}, []Compressor{send(testZlib)}, 1, 0},
		{"only to the server", []Compressor{send(testZlib)}, []Compressor{receive(testZlib)}, 0, 1},
		{"nobody reads it", []Compressor{send(testZlib)}, []Compressor{send(testZlib)}, 0, 0},
		{"a part of the message", []Compressor{shrinks}, []Compressor{shrinks}, 7, 7},
		{"it gains nothing", []Compressor{declines}, []Compressor{declines}, 0, 0},
	} {
		for _, s := range settings {
			client, server := s.compressing(t, test.client, test.server)
			_, clientErr, serverErr := play(client, server, unchanged)
			if clientErr != nil || serverErr != nil || !client.machine.Finished() || !server.machine.Finished() {
				t.Fatalf("%s, %s: client %v, server %v", s.name, test.name, clientErr, serverErr)
			}
			byServer, byClient := test.byServer, test.byPeer
			if s.version == wire.VersionTLS12 {
				byServer = 0
			}
			if s.version == wire.VersionTLS12 || !s.mutual {
				byClient = 0
			}
			c, sv := client.machine.conn, server.machine.conn
			if c.PeerCompressor != byServer || sv.LocalCompressor != byServer || c.LocalCompressor != byClient || sv.PeerCompressor != byClient {
				t.Errorf("%s, %s: the server's %#x and %#x, want %#x; the client's %#x and %#x, want %#x", s.name, test.name,
					sv.LocalCompressor, c.PeerCompressor, byServer, c.LocalCompressor, sv.PeerCompressor, byClient)
			}
		}
	}
}

// inCompressed changes a CompressedCertificate; message is the Certificate message in it.
func inCompressed(change func(m *wire.CompressedCertificate, message []byte)) edit {
	return func(msg, _ []byte) []byte {
		var m wire.CompressedCertificate
		must(m.Parse(msg[4:]))
		r, err := zlib.NewReader(bytes.NewReader(m.Data))
		must(err)
		message, err := io.ReadAll(r)
		must(err)
		change(&m, message)
		return m.Append(nil)
	}
}

// TestCompressedViolations: bombs, false lengths, and what is no compressed certificate, of
// either side.
func TestCompressedViolations(t *testing.T) {
	illegal, bad, decode, unexpected := alert.IllegalParameter, alert.BadCertificate, alert.DecodeError, alert.UnexpectedMessage
	twice := func(msg, _ []byte) []byte { return append(bytes.Clone(msg), msg...) }
	for _, test := range []struct {
		name string
		edit edit
		want alert.Description
		says string
	}{
		{"an algorithm that was not offered", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Algorithm = 2 }), illegal, "not offered"},
		{"algorithm 0", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Algorithm = 0 }), illegal, "not offered"},
		{"an algorithm that is only sent", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Algorithm = 7 }), illegal, "not offered"},
		{"a length that is one too small", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Length-- }), bad, "another size"},
		{"a length that is one too large", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Length++ }), bad, "another size"},
		{"length 0", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Length = 0 }), bad, "another size"},
		{"a length above the limit", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Length = 1<<16 + 1 }), bad, "larger than the limit"},
		{"the largest length", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Length = 1<<24 - 1 }), bad, "larger than the limit"},
		{"a bomb", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Data = deflate(make([]byte, 1<<20)) }), bad, "another size"},
		{"a bomb within the limit", inCompressed(func(m *wire.CompressedCertificate, _ []byte) {
			m.Data, m.Length = deflate(make([]byte, 1<<16)), 1<<16
		}), decode, "does not parse"},
		{"cut", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Data = m.Data[:len(m.Data)-5] }), bad, "cannot be decompressed"},
		{"a wrong checksum", inCompressed(func(m *wire.CompressedCertificate, _ []byte) {
			m.Data = bytes.Clone(m.Data)
			m.Data[len(m.Data)-1] ^= 1
		}), bad, "cannot be decompressed"},
		{"garbage", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Data = []byte("garbage") }), bad, "cannot be decompressed"},
		{"something after it", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Data = append(bytes.Clone(m.Data), 0) }), bad, "follows"},
		{"an empty one", func(_, _ []byte) []byte { return wire.AppendMessage(nil, wire.TypeCompressedCertificate, nil) }, decode, "does not parse"},
		{"no content", inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Data = nil }), decode, "does not parse"},
		{"a context inside", inCompressed(func(m *wire.CompressedCertificate, message []byte) {
			message[0] = 1
			message = slices.Insert(message, 1, 7)
			m.Data, m.Length = deflate(message), len(message)
		}), decode, "certificate_request_context"},
		{"a byte after the message inside", inCompressed(func(m *wire.CompressedCertificate, message []byte) {
			message = append(message, 0)
			m.Data, m.Length = deflate(message), len(message)
		}), decode, "does not parse"},
		{"another certificate inside", inCompressed(func(m *wire.CompressedCertificate, message []byte) {
			message[len(message)/2] ^= 1
			m.Data, m.Length = deflate(message), len(message)
		}), 0, ""},
		{"twice", twice, unexpected, "unexpected message: got CompressedCertificate"},
		{"another message", func(_, _ []byte) []byte { return wire.AppendMessage(nil, wire.TypeCertificateStatus, nil) }, unexpected, "expected Certificate"},
	} {
		for _, byClient := range []bool{false, true} {
			sends := Compressor{Algorithm: 7, Compress: testZlib.Compress}
			client, server := mutual13.compressing(t, []Compressor{testZlib, sends}, []Compressor{testZlib, sends})
			n, sent := 0, map[bool]int{false: 1, true: 2}[byClient]
			_, clientErr, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
				if wire.Type(msg[0]) == wire.TypeCompressedCertificate {
					if n++; n == sent && test.name == "twice" {
						return [][]byte{msg, msg}
					} else if n == sent {
						msg = test.edit(msg, nil)
					}
				}
				return [][]byte{msg}
			})
			err := clientErr
			if byClient {
				err = serverErr
			}
			var fault *alert.Error
			if !errors.As(err, &fault) || test.want != 0 && fault.Description != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s, by the client %v: %v, want %v", test.name, byClient, err, test.want)
			}
			if client.machine.Finished() && server.machine.Finished() {
				t.Errorf("%s, by the client %v: both sides complete", test.name, byClient)
			}
		}
	}
}

// TestCompressedUnasked: a CompressedCertificate where none may come is an unexpected
// message.
func TestCompressedUnasked(t *testing.T) {
	for _, test := range []struct {
		name    string
		setting setting
		client  []Compressor
	}{
		{"it was not offered", hello13, nil},
		{"it was offered only for our own", hello13, []Compressor{{Algorithm: 1, Compress: testZlib.Compress}}},
		{"TLS 1.2", hello12, []Compressor{testZlib}},
	} {
		client, server := test.setting.compressing(t, test.client, nil)
		_, err, _ := play(client, server, func(_ int, msg []byte) [][]byte {
			if wire.Type(msg[0]) == wire.TypeCertificate {
				m := wire.CompressedCertificate{Algorithm: 1, Length: len(msg) - 4, Data: deflate(msg[4:])}
				msg = m.Append(nil)
			}
			return [][]byte{msg}
		})
		var fault *alert.Error
		if !errors.As(err, &fault) || fault.Description != alert.UnexpectedMessage {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestCompressionNotAnswered: compress_certificate has no answer (RFC 8879, Section 3).
func TestCompressionNotAnswered(t *testing.T) {
	for name, test := range map[string]struct {
		typ  wire.Type
		edit edit
		want error
	}{
		"ServerHello":         {wire.TypeServerHello, anotherExtension(wire.ExtCompressCertificate, "\x02\x00\x01"), errMisplaced},
		"EncryptedExtensions": {wire.TypeEncryptedExtensions, inBlock(0, "\x00\x1b\x00\x03\x02\x00\x01"), errUnsolicited},
	} {
		client, server := hello13.compressing(t, []Compressor{testZlib}, []Compressor{testZlib})
		_, err, _ := play(client, server, func(_ int, msg []byte) [][]byte {
			if wire.Type(msg[0]) == test.typ {
				msg = test.edit(msg, nil)
			}
			return [][]byte{msg}
		})
		if err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// TestCompressionFails: an error of our own compressor is ours.
func TestCompressionFails(t *testing.T) {
	broken := errors.New("out of order")
	fails := testZlib
	fails.Compress = func([]byte) ([]byte, error) { return nil, broken }
	client, server := hello13.compressing(t, []Compressor{testZlib}, []Compressor{fails})
	_, _, err := play(client, server, unchanged)
	var fault *alert.Error
	if !errors.As(err, &fault) || fault.Description != alert.InternalError || !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// TestDecompressionIsClosed: a reader that holds something is closed, whatever came of it.
func TestDecompressionIsClosed(t *testing.T) {
	for _, length := range []int{4, 5} {
		closed := 0
		c := testPlain
		c.Decompress = func(r io.Reader, _ int) (io.Reader, error) { return &closer{r, &closed}, nil }
		decompress(&c, &wire.CompressedCertificate{Length: length, Data: []byte("data")})
		if closed != 1 {
			t.Errorf("a message of 4 bytes that says %d: closed %d times", length, closed)
		}
	}
}

// TestDecompressReturnsNothing: an algorithm without a reader or an error is out of order.
func TestDecompressReturnsNothing(t *testing.T) {
	c := Compressor{Decompress: func(io.Reader, int) (io.Reader, error) { return nil, nil }}
	_, err := decompress(&c, &wire.CompressedCertificate{Length: 4, Data: []byte("data")})
	var fault *alert.Error
	if !errors.As(err, &fault) || fault.Description != alert.InternalError || !errors.Is(err, errNoReader) {
		t.Errorf("%v", err)
	}
}

type closer struct {
	io.Reader
	closed *int
}

func (c *closer) Close() error { *c.closed++; return nil }

// TestDecompressionReadsNoMore: no more is read than the message says, and one byte.
func TestDecompressionReadsNoMore(t *testing.T) {
	endless := &counting{}
	c := Compressor{Decompress: func(io.Reader, int) (io.Reader, error) { return endless, nil }}
	if _, err := decompress(&c, &wire.CompressedCertificate{Length: 1000, Data: []byte("bomb")}); err != error(errDeclaredSize) {
		t.Errorf("%v", err)
	}
	if endless.n > 1001 {
		t.Errorf("%d bytes were read", endless.n)
	}
}

// counting is zeros without end.
type counting struct{ n int }

func (c *counting) Read(b []byte) (int, error) {
	c.n += len(b)
	return len(b), nil
}

// TestExpensiveCompressed: what would cost too much to parse is not decompressed.
func TestExpensiveCompressed(t *testing.T) {
	c := testZlib
	c.Decompress = func(io.Reader, int) (io.Reader, error) {
		t.Error("it was decompressed")
		return nil, io.EOF
	}
	client, server := hello13.compressing(t, []Compressor{c}, []Compressor{testZlib})
	p := *client.machine.params
	p.Chains = &pki.Cache{MaxCost: 2}
	client.machine.params = &p
	_, err, _ := play(client, server, func(_ int, msg []byte) [][]byte {
		if wire.Type(msg[0]) == wire.TypeCompressedCertificate {
			msg = inCompressed(func(m *wire.CompressedCertificate, _ []byte) { m.Length = 800 })(msg, nil)
		}
		return [][]byte{msg}
	})
	var fault *alert.Error
	if !errors.As(err, &fault) || fault.Description != alert.BadCertificate || !strings.Contains(err.Error(), "MaxCertificateCost") {
		t.Errorf("%v", err)
	}
}

// TestCompressedOnce: a message is compressed once, however many ask at the same time, and again when
// its content or the algorithm is another; and what is kept is bounded.
func TestCompressedOnce(t *testing.T) {
	var mu sync.Mutex
	calls := map[string]int{}
	compressor := func(algorithm uint16) *Compressor {
		return &Compressor{Algorithm: algorithm, Compress: func(message []byte) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			calls[string(message)]++
			return []byte{byte(algorithm)}, nil
		}}
	}
	var c Compressed
	one, two := compressor(1), compressor(2)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if data, err := c.get(one, []byte("chain")); err != nil || string(data) != "\x01" {
				t.Errorf("%q, %v", data, err)
			}
		})
	}
	all.Wait()
	if calls["chain"] != 1 {
		t.Errorf("compressed %d times", calls["chain"])
	}
	if data, _ := c.get(two, []byte("chain")); string(data) != "\x02" || calls["chain"] != 2 {
		t.Errorf("another algorithm: %q, compressed %d times", data, calls["chain"])
	}
	for i := range 10 * maxCompressed {
		c.get(one, []byte{byte(i), byte(i >> 8)})
		if len(c.messages) > maxCompressed {
			t.Fatalf("%d messages are kept", len(c.messages))
		}
	}
	if c.get(one, []byte("chain")); calls["chain"] != 3 {
		t.Errorf("after many others: compressed %d times", calls["chain"])
	}
}

// FuzzUncompressed gives the client any CompressedCertificate: no panic, no work above the
// limit, and an alert.
func FuzzUncompressed(f *testing.F) {
	message := (&wire.Certificate13{Entries: wire.AppendEntry(nil, &wire.CertificateEntry{Data: []byte("der")})}).Append(nil)[4:]
	for _, m := range []wire.CompressedCertificate{
		{Algorithm: 1, Length: len(message), Data: deflate(message)},
		{Algorithm: 0xff01, Length: len(message), Data: message},
		{Algorithm: 1, Length: 1 << 14, Data: deflate(make([]byte, 1<<14))},
		{Algorithm: 2, Length: 1, Data: []byte{1}},
	} {
		f.Add(m.Append(nil)[4:])
	}
	m := &Machine{conn: new(Connection), params: &Params{Compressors: []Compressor{testZlib, testPlain}, MaxCertificate: 1 << 14, Chains: new(pki.Cache)}}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := m.uncompressed(wire.Message{Type: wire.TypeCompressedCertificate, Body: body})
		var fault *alert.Error
		if err != nil && !errors.As(err, &fault) {
			t.Errorf("%v is no alert", err)
		}
		if len(got) > m.params.MaxCertificate || err == nil && len(got) != int(body[2])<<16|int(body[3])<<8|int(body[4]) {
			t.Errorf("%d bytes of %x", len(got), body)
		}
	})
}

// TestDecompressionIsSilent: a reader that returns nothing and no error forever does not hang the
// handshake, and one that counts wrong does not end the process.
func TestDecompressionIsSilent(t *testing.T) {
	for name, n := range map[string]int{"nothing": 0, "less than nothing": -1, "more than there is room": 1 << 20} {
		c := Compressor{Decompress: func(io.Reader, int) (io.Reader, error) { return counts(n), nil }}
		_, err := decompress(&c, &wire.CompressedCertificate{Length: 4, Data: []byte("data")})
		var fault *alert.Error
		if !errors.As(err, &fault) || fault.Description != alert.BadCertificate || errors.Is(err, io.ErrNoProgress) != (n == 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// counts is a reader that always returns that count.
type counts int

func (c counts) Read([]byte) (int, error) { return int(c), nil }
