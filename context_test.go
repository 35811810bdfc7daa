package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"syscall"
	"testing"
)

// bio is a transport in memory that takes and gives a few bytes at a time, and
// now and then none.
type bio struct {
	in, out  *bytes.Buffer
	most     int // bytes at once; 0: all
	lazy     int // every lazy-th call blocks; 0: none
	eagain   bool
	calls    int
	asked    []int
	onRead   func()
	readErr  error
	writeErr error
	bad      int // a count to return instead of the true one
}

func (b *bio) blocks() bool {
	b.calls++
	return b.lazy > 0 && b.calls%b.lazy == 0
}

func (b *bio) would() error {
	if b.eagain {
		return syscall.EAGAIN
	}
	return nil
}

func (b *bio) Read(p []byte) (int, error) {
	b.asked = append(b.asked, len(p))
	if b.onRead != nil {
		b.onRead()
	}
	switch {
	case b.readErr != nil:
		return 0, b.readErr
	case b.bad != 0:
		return len(p) + b.bad, nil
	case b.blocks() || b.in.Len() == 0:
		return 0, b.would()
	}
	if b.most > 0 {
		p = p[:min(len(p), b.most)]
	}
	return b.in.Read(p)
}

func (b *bio) Write(p []byte) (int, error) {
	switch {
	case b.writeErr != nil:
		return 0, b.writeErr
	case b.bad != 0:
		return len(p) + b.bad, nil
	case b.blocks():
		return 0, b.would()
	}
	if b.most > 0 {
		p = p[:min(len(p), b.most)]
	}
	return b.out.Write(p)
}

// contexts are two contexts and their transports.
func contexts(t *testing.T, version uint16) (client, server *Context, cb, sb *bio) {
	t.Helper()
	cc, sc := configs(t)
	cc.MaxVersion = version
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	cb, sb = &bio{in: down, out: up}, &bio{in: up, out: down}
	client, err := NewContext(TLSClient, cc, cb)
	if err != nil {
		t.Fatal(err)
	}
	if server, err = NewContext(TLSServer, sc, sb); err != nil {
		t.Fatal(err)
	}
	return client, server, cb, sb
}

// both repeats two operations until both are done.
func both(t *testing.T, a, b func() error) {
	t.Helper()
	doneA, doneB := false, false
	for range 200_000 {
		for _, op := range []struct {
			done *bool
			run  func() error
		}{{&doneA, a}, {&doneB, b}} {
			if *op.done {
				continue
			}
			switch err := op.run(); err {
			case nil:
				*op.done = true
			case ErrWantRead, ErrWantWrite:
			default:
				t.Fatal(err)
			}
		}
		if doneA && doneB {
			return
		}
	}
	t.Fatal("the operations never end")
}

func TestContextOverEveryTransport(t *testing.T) {
	for _, version := range versions {
		for _, most := range []int{0, 1, 7} {
			for _, lazy := range []int{0, 2, 3} {
				client, server, cb, sb := contexts(t, version)
				for _, b := range []*bio{cb, sb} {
					b.most, b.lazy, b.eagain = most, lazy, lazy == 3
				}
				both(t, client.Handshake, server.Handshake)
				data := bytes.Repeat([]byte("0123456789"), 3000)
				var sent, got []byte
				both(t, func() error {
					for len(sent) < len(data) {
						n, err := client.Write(data[len(sent):])
						if err != nil {
							return err
						}
						if n > 16384 {
							t.Fatalf("Write took %d bytes", n)
						}
						sent = append(sent, data[len(sent):len(sent)+n]...)
					}
					return client.Close()
				}, func() error {
					var buf [777]byte
					for {
						n, err := server.Read(buf[:])
						got = append(got, buf[:n]...)
						if err == ErrClosed {
							return nil
						}
						if err != nil {
							return err
						}
					}
				})
				if !bytes.Equal(got, data) {
					t.Errorf("%s, %d bytes at once, blocking each %d: %d bytes came of %d", tls.VersionName(version), most, lazy, len(got), len(data))
				}
				if _, err := server.Read(make([]byte, 1)); err != ErrClosed {
					t.Errorf("after close_notify: %v", err)
				}
			}
		}
	}
}

// TestContextAsksForTheRecord: programs hand over a blocking receive(n).
func TestContextAsksForTheRecord(t *testing.T) {
	client, server, _, sb := contexts(t, tls.VersionTLS13)
	both(t, client.Handshake, server.Handshake)
	if _, err := client.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	sb.asked = nil
	if _, err := server.Read(make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	if want := []int{5, 1000 + 17}; !slices.Equal(sb.asked, want) {
		t.Errorf("the BIO was asked for %v, want %v", sb.asked, want)
	}
}

func TestContextImplicitHandshake(t *testing.T) {
	client, server, _, _ := contexts(t, tls.VersionTLS13)
	var got [10]byte
	both(t,
		func() error { _, err := client.Write([]byte("hello")); return err },
		func() error { n, err := server.Read(got[:]); _ = n; return err })
	if string(got[:5]) != "hello" {
		t.Errorf("got %q", got)
	}
	if n, err := client.Write(nil); n != 0 || err != nil {
		t.Errorf("an empty write: %d, %v", n, err)
	}
	if n, err := server.Read(nil); n != 0 || err != ErrWantRead {
		t.Errorf("an empty read without data: %d, %v", n, err)
	}
	client.Write([]byte("x"))
	if n, err := server.Read(nil); n != 0 || err != nil {
		t.Errorf("an empty read with data: %d, %v", n, err)
	}
	if n, err := server.Read(got[:]); n != 1 || err != nil {
		t.Errorf("the data after it: %d, %v", n, err)
	}
}

func TestContextBusy(t *testing.T) {
	client, server, cb, _ := contexts(t, tls.VersionTLS13)
	var inside []error
	cb.onRead = func() {
		_, r := client.Read(make([]byte, 1))
		_, w := client.Write([]byte("x"))
		inside = append(inside, client.Handshake(), r, w, client.Close(), client.Reset(), client.SetBIO(cb), client.SetServerName("x"))
	}
	both(t, client.Handshake, server.Handshake)
	if len(inside) == 0 {
		t.Fatal("no callback")
	}
	for _, err := range inside {
		if err != ErrBusy || !errors.Is(err, ErrInvalidOperation) || err.Error() != "context is busy" {
			t.Errorf("a call from inside a callback: %v", err)
		}
	}
}

func TestContextTransportErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		spoil func(b *bio)
		want  error
		text  string
	}{
		{"read fails", func(b *bio) { b.readErr = broken }, broken, ""},
		{"write fails", func(b *bio) { b.writeErr = broken }, broken, ""},
		{"end of file", func(b *bio) { b.readErr = io.EOF }, io.ErrUnexpectedEOF, ""},
		{"too many bytes", func(b *bio) { b.bad = 1 }, nil, "invalid write result"},
		{"a negative count", func(b *bio) { b.bad = -1 << 20 }, nil, "invalid write result"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server, cb, _ := contexts(t, tls.VersionTLS13)
			healthy := *cb
			c.spoil(cb)
			err := client.Handshake()
			if c.want != nil && err != c.want || c.text != "" && err.Error() != c.text {
				t.Fatalf("got %v", err)
			}
			*cb = healthy // and the context goes on where it was
			both(t, client.Handshake, server.Handshake)
		})
	}
}

// TestContextFatalError: the alert is sent, the context is as new.
func TestContextFatalError(t *testing.T) {
	for _, version := range versions {
		client, server, _, sb := contexts(t, version)
		both(t, client.Handshake, server.Handshake)
		sb.out.Write([]byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
		_, err := client.Read(make([]byte, 10))
		var alert *AlertError
		if !errors.As(err, &alert) || alert.Alert != AlertBadRecordMAC || alert.Received {
			t.Fatalf("a forged record: %v", err)
		}
		_, err = server.Read(make([]byte, 10))
		if !errors.As(err, &alert) || alert.Alert != AlertBadRecordMAC || !alert.Received {
			t.Fatalf("its peer: %v", err)
		}
		both(t, client.Handshake, server.Handshake)
	}
}

// TestContextFatalAnswer: where the answer to a question ends the handshake, the next
// operation returns why, also when the transport does not take the alert.
func TestContextFatalAnswer(t *testing.T) {
	for name, full := range map[string]bool{"the transport takes the alert": false, "it takes nothing": true} {
		t.Run(name, func(t *testing.T) {
			cc, sc := configs(t)
			sc.Async = AsyncChoose
			up, down := new(bytes.Buffer), new(bytes.Buffer)
			client, err := NewContext(TLSClient, cc, &bio{in: down, out: up})
			if err != nil {
				t.Fatal(err)
			}
			transport := &bio{in: up, out: down}
			server, err := NewContext(TLSServer, sc, transport)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Handshake(); err != ErrWantRead {
				t.Fatal(err)
			}
			if err := server.Handshake(); err != ErrPending {
				t.Fatal(err)
			}
			if err := server.Engine().Pending().(*ChooseRequest).Answer(nil, errors.New("no certificate today")); err != nil {
				t.Fatal(err)
			}
			if full {
				transport.lazy = 1
			}
			var alert *AlertError
			if err := server.Handshake(); !errors.As(err, &alert) || alert.Alert != AlertInternalError {
				t.Errorf("the server: %v", err)
			}
			if full {
				return
			}
			if err := client.Handshake(); !errors.As(err, &alert) || !alert.Received {
				t.Errorf("the client: %v", err)
			}
		})
	}
}

func TestContextRetriesAWrite(t *testing.T) {
	client, server, cb, _ := contexts(t, tls.VersionTLS13)
	both(t, client.Handshake, server.Handshake)
	cb.lazy = 1 // blocks always
	data := []byte("only once")
	for range 3 {
		if n, err := client.Write(data); n != 0 || err != ErrWantWrite {
			t.Fatalf("%d, %v", n, err)
		}
	}
	cb.lazy = 0
	if n, err := client.Write(data); n != len(data) || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	buf := make([]byte, 100)
	if n, err := server.Read(buf); err != nil || string(buf[:n]) != string(data) {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if _, err := server.Read(buf); err != ErrWantRead {
		t.Errorf("the data came twice: %v", err)
	}
}

// TestContextLeavesAWriteAlone: what a Write could not send neither fails nor
// delays Handshake and Read.
func TestContextLeavesAWriteAlone(t *testing.T) {
	client, server, cb, _ := contexts(t, tls.VersionTLS13)
	both(t, client.Handshake, server.Handshake)
	if _, err := server.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	cb.writeErr = syscall.EPIPE
	if _, err := client.Write([]byte("request")); err != syscall.EPIPE {
		t.Fatalf("write: %v", err)
	}
	if err := client.Handshake(); err != nil {
		t.Errorf("handshake: %v", err)
	}
	buf := make([]byte, 100)
	if n, err := client.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("read: %q, %v", buf[:n], err)
	}
}

// scarce is a transport that takes some writes, and blocks then.
type scarce struct {
	*bio
	writes int
}

func (s *scarce) Write(p []byte) (int, error) {
	if s.writes == 0 {
		return 0, nil
	}
	s.writes--
	return s.bio.Write(p)
}

// TestContextReadSendsTheLastFlight: a Read that performs the handshake wants to
// write until all of it is sent, or the peer would wait forever.
func TestContextReadSendsTheLastFlight(t *testing.T) {
	client, server, cb, _ := contexts(t, tls.VersionTLS13)
	client.Handshake()
	server.Handshake()
	buf := make([]byte, 100)
	transport := &scarce{cb, 0}
	client.SetBIO(transport)
	for range 2 { // ChangeCipherSpec, then Finished
		for range 2 {
			if _, err := client.Read(buf); err != ErrWantWrite {
				t.Errorf("the transport takes nothing: %v", err)
			}
		}
		transport.writes = 1
	}
	if _, err := client.Read(buf); err != ErrWantRead {
		t.Errorf("the transport takes all: %v", err)
	}
	if err := server.Handshake(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

func TestContextClose(t *testing.T) {
	client, server, _, _ := contexts(t, tls.VersionTLS12)
	if err := client.Close(); err != nil {
		t.Errorf("before the handshake: %v", err)
	}
	both(t, client.Handshake, server.Handshake)
	for range 2 {
		if err := client.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("a write after close: %v", err)
	}
	// The other direction is still open.
	if _, err := server.Read(make([]byte, 1)); err != ErrClosed {
		t.Errorf("read: %v", err)
	}
	if _, err := server.Write([]byte("bye")); err != nil {
		t.Errorf("a write after the peer's close: %v", err)
	}
	if err := server.Handshake(); err != nil {
		t.Errorf("a handshake that is over: %v", err)
	}
	buf := make([]byte, 10)
	if n, err := client.Read(buf); err != nil || string(buf[:n]) != "bye" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	client.Reset()
	server.Reset()
	both(t, client.Handshake, server.Handshake)
}
