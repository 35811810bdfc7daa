package netconn

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// tape is a transport that, once it is on, keeps what is written, or plays it back.
type tape struct {
	net.Conn
	recording, playing bool
	buf                bytes.Buffer
	reads, writes      int
}

func (t *tape) Read(b []byte) (int, error) {
	if !t.playing {
		return t.Conn.Read(b)
	}
	t.reads++
	return t.buf.Read(b)
}

func (t *tape) Write(b []byte) (int, error) {
	if !t.recording {
		return t.Conn.Write(b)
	}
	t.writes++
	return t.buf.Write(b)
}

// taped are two ends after the handshake. What the client writes is recorded, and played back by
// play.
func taped(t testing.TB) (c, s *Conn, from, to *tape) {
	client, server := configs(t)
	rawClient, rawServer := tcpPipe(t)
	from, to = &tape{Conn: rawClient}, &tape{Conn: rawServer}
	c, s = Client(from, client), Server(to, server)
	ready(t, c, s)
	from.recording, to.playing = true, true
	return c, s, from, to
}

func (t *tape) play(from *tape) {
	t.buf.Reset()
	t.buf.Write(from.buf.Bytes())
	from.buf.Reset()
}

func write(t testing.TB, c *Conn, sizes ...int) (data []byte) {
	t.Helper()
	for i, size := range sizes {
		part := bytes.Repeat([]byte{byte('a' + i%26)}, size)
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
		data = append(data, part...)
	}
	return data
}

// TestReadManyRecords: one Read returns all records that have arrived, as far as they fit, and one
// read of the transport fetches many.
func TestReadManyRecords(t *testing.T) {
	for _, test := range []struct {
		name                string
		sizes               []int
		room, calls, mostIO int
	}{
		{"small ones", slices.Repeat([]int{50}, 300), 1 << 20, 3, 3},
		{"those of 576 bytes on the wire", slices.Repeat([]int{576 - 22}, 50), 1 << 20, 2, 3},
		{"large ones", []int{10_000, 16_000}, 1 << 20, 1, 3},
		{"into little room", []int{100, 100, 100}, 150, 2, 2},
		{"into very little room", []int{1000, 10}, 1, 1010, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s, from, to := taped(t)
			want := write(t, c, test.sizes...)
			to.play(from)
			var got []byte
			calls, p := 0, make([]byte, test.room)
			for ; len(got) < len(want); calls++ {
				n, err := s.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p[:n]...)
			}
			if !bytes.Equal(got, want) {
				t.Error("something else came")
			}
			if calls > test.calls || to.reads > test.mostIO {
				t.Errorf("%d calls of Read and %d reads of the transport, want at most %d and %d", calls, to.reads, test.calls, test.mostIO)
			}
		})
	}
}

// TestReadThenError: an error after data does not take the data away, and is not lost.
func TestReadThenError(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *Conn, from *tape)
		want func(error) bool
	}{
		{"close_notify", func(c *Conn, _ *tape) { c.CloseWrite() }, func(err error) bool { return err == io.EOF }},
		{"garbage", func(_ *Conn, from *tape) {
			from.buf.WriteString("\x17\x03\x03\x00\x20garbage garbage garbage garbage!")
		}, func(err error) bool {
			var alert *hermetic.AlertError
			return errors.As(err, &alert) && alert.Alert == hermetic.AlertBadRecordMAC
		}},
		{"the transport's end", func(*Conn, *tape) {}, func(err error) bool { return err == io.ErrUnexpectedEOF }},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, size := range []int{10, 2000} {
				c, s, from, to := taped(t)
				want := write(t, c, size, size)
				test.end(c, from)
				to.play(from)
				p := make([]byte, 1<<16)
				if n, err := io.ReadAtLeast(s, p, len(want)); err != nil || !bytes.Equal(p[:n], want) {
					t.Fatalf("%d bytes, %v", n, err)
				}
				for range 2 {
					if n, err := s.Read(p); n != 0 || !test.want(err) {
						t.Errorf("then %d bytes, %v", n, err)
					}
				}
			}
		})
	}
}

func TestWriteTo(t *testing.T) {
	everywhere(t, func(t *testing.T, c, s *Conn) {
		want := bytes.Repeat([]byte("words"), 3000)
		both(t, func() error {
			for _, part := range [][]byte{want[:10], want[10:5000], nil, want[5000:]} {
				if _, err := c.Write(part); err != nil {
					return err
				}
			}
			return c.CloseWrite()
		}, func() error {
			var got bytes.Buffer
			if n, err := io.Copy(&got, s); err != nil || int(n) != len(want) || !bytes.Equal(got.Bytes(), want) {
				return fmt.Errorf("%d bytes are reported, %d came of %d, %v", n, got.Len(), len(want), err)
			}
			return nil
		})
	})
}

// picky takes so many bytes in all.
type picky struct {
	got  bytes.Buffer
	left int
	err  error
	lie  int // instead of the count, when there is no room
}

func (p *picky) Write(b []byte) (int, error) {
	if len(b) <= p.left {
		p.left -= len(b)
		return p.got.Write(b)
	}
	n, _ := p.got.Write(b[:p.left])
	p.left = 0
	return cmp.Or(p.lie, n), p.err
}

type writeToFailure struct {
	name string
	w    *picky
	want error
}

// writeToFailures are writers that do not take everything.
func writeToFailures() []writeToFailure {
	return []writeToFailure{
		{"an error", &picky{left: 700, err: errFull}, errFull},
		{"a short write", &picky{left: 700}, io.ErrShortWrite},
		{"a writer that takes nothing", &picky{err: errFull}, errFull},
		{"io.EOF, of the writer", &picky{left: 700, err: io.EOF}, io.EOF},
		{"a count that is too large", &picky{left: 1000, lie: 1001}, errWriter},
		{"a negative count", &picky{left: 1000, lie: -1}, errWriter},
	}
}

// TestWriteToFails: what the writer does not take is left to Read, and so is what comes after a
// deadline.
func TestWriteToFails(t *testing.T) {
	for _, test := range writeToFailures() {
		t.Run(test.name, func(t *testing.T) {
			c, s, from, to := taped(t)
			want := write(t, c, 1000, 1000, 10, 10)
			to.play(from)
			n, err := s.WriteTo(test.w)
			if err != test.want || int(n) != test.w.got.Len() {
				t.Errorf("%d bytes of %d, error %v, want %v", n, test.w.got.Len(), err, test.want)
			}
			rest := make([]byte, len(want)-int(n))
			if _, err := io.ReadFull(s, rest); err != nil || !bytes.Equal(append(test.w.got.Bytes(), rest...), want) {
				t.Errorf("%d bytes are left, want %d; %v", len(rest), len(want)-int(n), err)
			}
		})
	}
	client, server := configs(t)
	c, s := pair(t, client, server)
	s.SetReadDeadline(time.Unix(1, 0))
	if n, err := s.WriteTo(io.Discard); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %d bytes, %v", n, err)
	}
	s.SetReadDeadline(time.Time{})
	want := write(t, c, 10)
	got := make([]byte, 10)
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("then %q, %v", got, err)
	}
	s.Close()
	if _, err := s.WriteTo(io.Discard); err != net.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// TestWriteToEarlyData: early data comes first.
func TestWriteToEarlyData(t *testing.T) {
	client, server := earlyConfigs(t)
	c, s := earlyPair(t, client, server)
	if _, err := c.WriteEarlyData([]byte("early ")); err != nil {
		t.Fatal(err)
	}
	both(t, func() error {
		if err := c.Handshake(); err != nil {
			return err
		}
		write(t, c, 3)
		return c.CloseWrite()
	}, func() error {
		var got bytes.Buffer
		if _, err := s.WriteTo(&got); err != nil {
			return err
		}
		if got.String() != "early aaa" {
			t.Errorf("%q came", got.String())
		}
		return nil
	})
}

// TestWriteToEarlyDataFails: early data that the writer does not take is left to Read too.
func TestWriteToEarlyDataFails(t *testing.T) {
	for _, test := range writeToFailures() {
		t.Run(test.name, func(t *testing.T) {
			client, server := earlyConfigs(t)
			c, s := earlyPair(t, client, server)
			early := bytes.Repeat([]byte("early"), 200)
			if n, err := c.WriteEarlyData(early); err != nil || n != len(early) {
				t.Fatal(n, err)
			}
			both(t, func() error {
				if err := c.Handshake(); err != nil {
					return err
				}
				write(t, c, 3)
				return c.CloseWrite()
			}, func() error {
				n, err := s.WriteTo(test.w)
				if err != test.want || int(n) != test.w.got.Len() {
					t.Errorf("%d bytes of %d, error %v, want %v", n, test.w.got.Len(), err, test.want)
				}
				rest, err := io.ReadAll(s)
				if got, want := test.w.got.String()+string(rest), string(early)+"aaa"; err != nil || got != want {
					t.Errorf("%d bytes come of %d, %v", len(got), len(want), err)
				}
				return nil
			})
		})
	}
}

// TestWriteBuffers: slices are written as if they were joined, with one call of the transport.
func TestWriteBuffers(t *testing.T) {
	for _, test := range []struct {
		name   string
		sizes  []int
		writes int
	}{
		{"a header and a body", []int{200, 3000}, 1},
		{"many", slices.Repeat([]int{10}, 100), 1},
		{"empty ones", []int{0, 10, 0}, 1},
		{"64 KiB", []int{1000, 1 << 16, 2000, 1 << 16, 0, 7}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s, from, to := taped(t)
			var data net.Buffers
			for i, size := range test.sizes {
				data = append(data, bytes.Repeat([]byte{byte('a' + i%26)}, size))
			}
			want := bytes.Join(data, nil)
			before := fmt.Sprint(data)
			n, err := c.WriteBuffers(data)
			if n != len(want) || err != nil || from.writes != test.writes {
				t.Fatalf("%d bytes of %d with %d writes, want %d; %v", n, len(want), from.writes, test.writes, err)
			}
			if fmt.Sprint(data) != before {
				t.Error("the slices are modified")
			}
			to.play(from)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("something else came, or %v", err)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		c, _, from, _ := taped(t)
		if n, err := c.WriteBuffers(nil); n != 0 || err != nil || from.writes != 0 {
			t.Errorf("%d bytes, %d writes, %v", n, from.writes, err)
		}
	})
}

// TestWriteBuffersDatagram: over datagrams they are one.
func TestWriteBuffersDatagram(t *testing.T) {
	client, server := configs(t)
	c, s := datagramPair(t, client, server)
	if n, err := c.WriteBuffers([][]byte{[]byte("head "), nil, []byte("body")}); n != 9 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	p := make([]byte, 100)
	if n, err := s.Read(p); err != nil || string(p[:n]) != "head body" {
		t.Errorf("%q, %v", p[:n], err)
	}
	if n, err := c.WriteBuffers([][]byte{make([]byte, 16384), {1}}); n != 0 || !errors.Is(err, hermetic.ErrInvalidOperation) {
		t.Errorf("too much: %d, %v", n, err)
	}
}

// TestWriteBuffersNotHTTP2: a request of HTTP/1 is found also in pieces.
func TestWriteBuffersNotHTTP2(t *testing.T) {
	client, server := configs(t)
	client.NextProtos, server.NextProtos = []string{"h2"}, []string{"h2"}
	c, _ := pair(t, client, server)
	if n, err := c.WriteBuffers([][]byte{nil, []byte("GE"), []byte("T / HT"), []byte("TP/1.1\r\n\r\n")}); n != 0 || err != ErrNotHTTP2 {
		t.Errorf("%d, %v", n, err)
	}
}

// BenchmarkStreamRead reads records of that size from a transport that has them all.
func BenchmarkStreamRead(b *testing.B) {
	for _, size := range []int{64, 512, 1400, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c, s, from, to := taped(b)
			data, p := make([]byte, size), make([]byte, 32<<10)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; i < b.N; {
				b.StopTimer()
				n := 0
				for ; n < 1<<20 && i < b.N; i++ {
					n += len(write(b, c, len(data)))
				}
				to.play(from)
				b.StartTimer()
				for n > 0 {
					m, err := s.Read(p)
					if err != nil {
						b.Fatal(err)
					}
					n -= m
				}
			}
			b.ReportMetric(float64(to.reads)/float64(b.N), "reads/op")
		})
	}
}

// BenchmarkStreamCopy copies records of 16 KB: with WriteTo, and with Read and Write.
func BenchmarkStreamCopy(b *testing.B) {
	for name, source := range map[string]func(*Conn) io.Reader{
		"WriteTo": func(c *Conn) io.Reader { return c },
		"Read":    func(c *Conn) io.Reader { return struct{ io.Reader }{c} },
	} {
		b.Run(name, func(b *testing.B) {
			c, s, from, to := taped(b)
			data, w := make([]byte, 16384), &counter{room: make([]byte, 64<<10)}
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for range 64 {
					if _, err := c.Write(data); err != nil {
						b.Fatal(err)
					}
				}
				to.play(from)
				w.left = 1 << 20
				b.StartTimer()
				if n, err := io.Copy(w, source(s)); err != errFull {
					b.Fatal(n, err)
				}
			}
		})
	}
}

var errFull = errors.New("full")

// counter copies what it is given, until it has had enough.
type counter struct {
	room []byte
	left int
}

func (c *counter) Write(b []byte) (int, error) {
	copy(c.room, b)
	if c.left -= len(b); c.left == 0 {
		return len(b), errFull
	}
	return len(b), nil
}
