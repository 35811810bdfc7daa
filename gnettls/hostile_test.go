package gnettls

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestHostilePeers: whatever comes, in every state, what is kept is bounded, and
// an event costs no more than the bytes that come with it.
func TestHostilePeers(t *testing.T) {
	const (
		record = 5 + 16384 + 256 // the largest
		read   = 64 << 10        // what gnet reads at once
		limit  = 100 << 10       // MaxPendingInput
	)
	for _, test := range []struct {
		name  string
		setup func(w *wire) // up to the state
		input func(w *wire) []byte
		event int // bytes
		kept  int // at most, after any event
		calls int // of OnTraffic, at most
		ends  bool
	}{
		{"half of a ClientHello, byte by byte", nil, func(w *wire) []byte { return w.hello()[:100] }, 1, 100, 0, false},
		{"a ClientHello, byte by byte", nil, func(w *wire) []byte { return w.hello() }, 1, record, 0, false},
		{"no TLS", nil, func(*wire) []byte { return make([]byte, 1<<20) }, read, record, 0, true},
		{"a record too long", nil, func(*wire) []byte { return []byte("\x16\x03\x01\xff\xff") }, 5, record, 0, true},
		{"a record of the largest size, byte by byte", (*wire).handshake, func(w *wire) []byte { return w.seal(1, 16384) }, 1, record, 1, false},
		{"half of a record", (*wire).handshake, func(w *wire) []byte { return w.seal(1, 16384)[:9000] }, 100, record, 0, false},
		{"small records", (*wire).handshake, func(w *wire) []byte { return w.seal(20000, 1) }, read, record, 20000*23/read + 1, false},
		{"small records, one at a time", (*wire).handshake, func(w *wire) []byte { return w.seal(20000, 1) }, 23, record, 20000, false},
		{"empty records", (*wire).handshake, func(w *wire) []byte { return w.seal(20000, 0) }, read, record, 0, true},
		{"KeyUpdates", (*wire).handshake, (*wire).keyUpdates, read, record, 0, true},
		{"damaged records", (*wire).handshake, func(*wire) []byte { return make([]byte, 1<<20) }, read, record, 0, true},
		{"data after close_notify", (*wire).closed, func(w *wire) []byte { return make([]byte, 8<<20) }, read, 0, 0, false},
		{"close_notify and more", (*wire).handshake, func(w *wire) []byte { w.client.Close(); return append(w.client.Output(nil), make([]byte, 1<<20)...) }, read, 0, 0, false},
		{"data while a question is open", (*wire).asked, func(w *wire) []byte { return make([]byte, 8<<20) }, read, limit + read, 0, true},
		{"data while a question is open, byte by byte", (*wire).asked, func(w *wire) []byte { return make([]byte, limit) }, 1, limit, 0, false},
		{"a ClientHello and more, which raises a question", (*wire).asks, func(w *wire) []byte { return append(w.hello(), make([]byte, 8<<20)...) }, read, limit + read, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWire(t, limit)
			if test.setup != nil {
				test.setup(w)
			}
			input := test.input(w)
			w.raw.peeked, w.raw.written = 0, nil
			fed, ended := 0, false
			for len(input) > 0 && !ended {
				part := input[:min(len(input), test.event)]
				input = input[len(part):]
				fed += len(part)
				ended = w.feed(part)
				if kept := len(w.raw.in); !ended && kept > test.kept {
					t.Fatalf("%d bytes are kept after %d", kept, fed)
				}
			}
			if ended != test.ends {
				t.Errorf("after %d bytes: the connection ends: %v", fed, ended)
			}
			if w.raw.peeked > 3*fed {
				t.Errorf("%d bytes are looked at, of %d", w.raw.peeked, fed)
			}
			if len(w.raw.written) > 4096 {
				t.Errorf("the peer causes %d bytes of output", len(w.raw.written))
			}
			if w.traffic > test.calls {
				t.Errorf("OnTraffic is called %d times", w.traffic)
			}
		})
	}
}

// TestEventAsOne: a handler hears once of what comes at once, whatever the
// records, and keeps what it leaves.
func TestEventAsOne(t *testing.T) {
	w := newWire(t, 0)
	w.handshake()
	var got []string
	w.take = func(c gnet.Conn) {
		b, _ := c.Peek(-1)
		got = append(got, string(b))
		c.Discard(3)
	}
	var records []byte
	for _, data := range []string{"a", "bc", "defg"} {
		records, _ = w.client.Seal(records, []byte(data))
	}
	partial, _ := w.client.Seal(nil, []byte("hij"))
	w.feed(append(records, partial[:10]...))
	w.feed(partial[10:])
	if strings.Join(got, " ") != "abcdefg defghij" {
		t.Errorf("%q", got)
	}
}

// TestOutboundBuffered counts ciphertext.
func TestOutboundBuffered(t *testing.T) {
	w := newWire(t, 0)
	w.handshake()
	c := w.raw.ctx.(*conn)
	if n, err := c.Write(make([]byte, 100)); n != 100 || err != nil || c.OutboundBuffered() != 100+c.engine.Overhead() {
		t.Errorf("Write: %d, %v, %d buffered", n, err, c.OutboundBuffered())
	}
}

// TestAnswerAtOnce: OnPending may answer itself.
func TestAnswerAtOnce(t *testing.T) {
	w := newWire(t, 0)
	w.asks()
	asked := 0
	w.server.OnPending = func(_ gnet.Conn, p hermetic.Pending) {
		asked++
		p.(*hermetic.ChooseRequest).Answer(nil, nil)
	}
	if w.handshake(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestReasons: what OnClose and OnFailure are told.
func TestReasons(t *testing.T) {
	reset := os.NewSyscallError("read", syscall.ECONNRESET)
	eof := os.NewSyscallError("read", io.EOF)
	for _, test := range []struct {
		name  string
		setup func(w *wire)
		err   error // gnet's
		want  string
	}{
		{"handshake, closed by us", nil, nil, "failed: ErrClosed"},
		{"handshake, closed by the peer", nil, eof, "failed: ErrUnexpectedEOF"},
		{"handshake, reset", nil, reset, "failed: reset"},
		{"handshake, close_notify", func(w *wire) { w.feed([]byte("\x15\x03\x03\x00\x02\x01\x00")) }, nil, "failed: ErrUnexpectedEOF"},
		{"handshake, no TLS", func(w *wire) { w.feed([]byte("GET / HTTP/1.1")) }, nil, "failed: alert protocol_version"},
		{"handshake, nobody to ask", func(w *wire) { w.asks(); w.server.OnPending = nil; w.feed(w.hello()) }, nil, "failed: " + errPending.Error()},
		{"closed by us", (*wire).handshake, nil, "closed: nil"},
		{"closed by the peer", (*wire).handshake, eof, "closed: ErrUnexpectedEOF"},
		{"reset", (*wire).handshake, reset, "closed: reset"},
		{"close_notify", (*wire).closed, eof, "closed: nil"},
		{"close_notify, and reset", (*wire).closed, reset, "closed: nil"},
		{"damaged", func(w *wire) { w.handshake(); w.feed(append([]byte("\x17\x03\x03\x00\x20"), make([]byte, 32)...)) }, nil, "closed: alert bad_record_mac"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWire(t, 0)
			if test.setup != nil {
				test.setup(w)
			}
			w.end(test.err)
			if len(w.ends) != 1 || w.ends[0] != test.want {
				t.Errorf("%q, want %q", w.ends, test.want)
			}
		})
	}
	t.Run("a Config that has been modified", func(t *testing.T) {
		w := newWire(t, 0)
		w.server.Config = &hermetic.Config{MinVersion: tls.VersionTLS10}
		w.events, w.raw, w.ended = w.server.events(false), new(rawConn), false
		if _, action := w.events.OnOpen(w.raw); action != gnet.Close {
			t.Errorf("action %v", action)
		}
		if w.end(nil); len(w.ends) != 1 || !strings.Contains(w.ends[0], "MinVersion") {
			t.Errorf("%q", w.ends)
		}
	})
}

// TestDropped: what is deferred to the event loop is dropped when the connection
// ends first, or when it is of no use any more.
func TestDropped(t *testing.T) {
	for _, test := range []struct {
		name      string
		setup     func(w *wire)
		act       func(w *wire, c *conn) error
		meanwhile func(w *wire)
	}{
		{"an answer", (*wire).asked, func(w *wire, c *conn) error { return Answer(c, func() { t.Error("it is run") }) }, func(w *wire) { w.end(nil) }},
		{"the end of a handshake that takes too long", (*wire).late, func(w *wire, c *conn) error { w.events.OnTick(); return nil },
			func(w *wire) { w.end(nil) }},
		{"the end of a handshake that is complete", (*wire).late, func(w *wire, c *conn) error { w.events.OnTick(); return nil }, (*wire).handshake},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWire(t, 0)
			test.setup(w)
			if err := test.act(w, w.raw.ctx.(*conn)); err != nil {
				t.Fatal(err)
			}
			test.meanwhile(w)
			ended, written := w.ended, len(w.raw.written)
			if len(w.tasks) != 1 {
				t.Fatalf("%d tasks are deferred", len(w.tasks))
			}
			w.tasks[0].Run(t.Context())
			if w.ended != ended || len(w.raw.written) != written {
				t.Error("it is not dropped")
			}
		})
	}
}

// wire is a server's side of a connection without gnet, and its client.
type wire struct {
	t       *testing.T
	server  *Server
	events  *events
	raw     *rawConn
	client  *hermetic.Engine
	traffic int
	take    func(c gnet.Conn)
	tasks   []gnet.Runnable // for the event loop
	ends    []string        // what OnClose and OnFailure were told
	ended   bool
	halfCloser
}

// halfCloser lets the connection live after close_notify.
type halfCloser struct{ gnet.BuiltinEventEngine }

func (halfCloser) OnHalfClose(gnet.Conn) gnet.Action { return gnet.None }

func (w *wire) OnTraffic(c gnet.Conn) gnet.Action {
	w.traffic++
	if w.take != nil {
		w.take(c)
	} else {
		c.Discard(-1)
	}
	return gnet.None
}

func (w *wire) OnClose(_ gnet.Conn, err error) gnet.Action {
	w.ends = append(w.ends, "closed: "+name(err))
	return gnet.None
}

func newWire(t *testing.T, limit int) *wire {
	ca := pkitest.CA(t)
	w := &wire{t: t}
	w.server = &Server{Handler: w, HandshakeTimeout: -1, MaxPendingInput: limit, Config: &hermetic.Config{
		Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}}
	w.server.OnFailure = func(_ net.Addr, err error) { w.ends = append(w.ends, "failed: "+name(err)) }
	w.client = engine(t, hermetic.TLSClient, &hermetic.Config{RootCAs: ca.Pool(), ServerName: "localhost", Time: func() time.Time { return pkitest.Now }})
	w.open()
	return w
}

func engine(t *testing.T, mode hermetic.Mode, cfg *hermetic.Config) *hermetic.Engine {
	e, err := hermetic.NewEngine(mode, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// open begins a connection.
func (w *wire) open() {
	w.events, w.raw = w.server.events(false), &rawConn{loop: rawLoop{wire: w}}
	if _, action := w.events.OnOpen(w.raw); action != gnet.None {
		w.t.Fatal("OnOpen ends the connection")
	}
}

// feed is an event with b, as gnet has them, and reports whether it ends the
// connection.
func (w *wire) feed(b []byte) (ended bool) {
	w.raw.in = append(w.raw.in, b...)
	if w.events.OnTraffic(w.raw) == gnet.None {
		return false
	}
	w.end(nil)
	return true
}

// end is gnet's close, which comes once.
func (w *wire) end(err error) {
	if !w.ended {
		w.ended = true
		w.events.OnClose(w.raw, err)
	}
}

// late begins a connection whose handshake takes too long.
func (w *wire) late() {
	w.server.HandshakeTimeout = time.Nanosecond
	w.open()
	for !time.Now().After(w.raw.ctx.(*conn).deadline) {
	}
}

// hello is the client's first flight.
func (w *wire) hello() []byte { return w.client.Output(nil) }

// handshake completes the handshake.
func (w *wire) handshake() {
	for !w.raw.ctx.(*conn).opened {
		if w.feed(w.client.Output(nil)) {
			w.t.Fatal("the handshake fails: ", w.raw.ctx.(*conn).err)
		}
		for in := w.raw.written; len(in) > 0; {
			o, err := w.client.Open(in)
			if err != nil || o.N == 0 {
				w.t.Fatalf("the client uses %d bytes: %v", o.N, err)
			}
			in = in[o.N:]
		}
		w.raw.written = nil
	}
}

// closed has the client end its side.
func (w *wire) closed() {
	w.handshake()
	w.client.Close()
	if w.feed(w.client.Output(nil)) {
		w.t.Fatal("the connection ends")
	}
}

// asks has the server ask for a certificate; nobody answers.
func (w *wire) asks() {
	w.server.Config = &hermetic.Config{Certificates: w.server.Config.Certificates, Async: hermetic.AsyncChoose}
	w.server.OnPending = func(gnet.Conn, hermetic.Pending) {}
	w.open()
}

// asked has the question open.
func (w *wire) asked() {
	w.asks()
	if w.feed(w.hello()) || w.raw.ctx.(*conn).engine.Pending() == nil {
		w.t.Fatal("nothing is asked")
	}
}

// seal makes so many records of so many bytes.
func (w *wire) seal(records, size int) (b []byte) {
	for range records {
		b, _ = w.client.Seal(b, make([]byte, size))
	}
	return b
}

// keyUpdates are 1,000 of them.
func (w *wire) keyUpdates() (b []byte) {
	for range 1000 {
		w.client.KeyUpdate(hermetic.UpdateRequested)
		b = w.client.Output(b)
		w.client.KeyUpdate(hermetic.UpdateNotRequested)
		b = w.client.Output(b)
	}
	return b
}

// rawConn is a gnet.Conn with no socket. It counts what is looked at.
type rawConn struct {
	gnet.Conn
	loop        rawLoop
	ctx         any
	in, written []byte
	peeked      int
}

func (r *rawConn) Context() any          { return r.ctx }
func (r *rawConn) SetContext(ctx any)    { r.ctx = ctx }
func (r *rawConn) InboundBuffered() int  { return len(r.in) }
func (r *rawConn) OutboundBuffered() int { return len(r.written) }
func (r *rawConn) RemoteAddr() net.Addr  { return new(net.TCPAddr) }

func (r *rawConn) EventLoop() gnet.EventLoop { return r.loop }

// rawLoop is its event loop: tasks are collected.
type rawLoop struct {
	gnet.EventLoop
	wire *wire
}

func (l rawLoop) Execute(_ context.Context, r gnet.Runnable) error {
	l.wire.tasks = append(l.wire.tasks, r)
	return nil
}

func (l rawLoop) Close(gnet.Conn) error {
	l.wire.end(nil)
	return nil
}

func (r *rawConn) Peek(int) ([]byte, error) {
	r.peeked += len(r.in)
	return r.in, nil
}

func (r *rawConn) Discard(n int) (int, error) {
	if n <= 0 || n > len(r.in) {
		n = len(r.in)
	}
	r.in = r.in[n:]
	return n, nil
}

func (r *rawConn) Write(p []byte) (int, error) {
	r.written = append(r.written, p...)
	return len(p), nil
}

// writerFunc is a writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestWriteToHostile: whatever a writer returns, WriteTo does not panic, and what it has not taken
// stays.
func TestWriteToHostile(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(c *conn, p []byte) (int, error)
		n     int64
		left  string
		err   error
	}{
		{"too many", func(_ *conn, p []byte) (int, error) { return len(p) + 1, nil }, 0, "words", errWriter},
		{"negative", func(*conn, []byte) (int, error) { return -1, nil }, 0, "words", errWriter},
		{"negative, with an error", func(*conn, []byte) (int, error) { return -1, io.EOF }, 0, "words", io.EOF},
		{"some", func(*conn, []byte) (int, error) { return 2, io.EOF }, 2, "rds", io.EOF},
		{"some, and nothing is left", func(c *conn, p []byte) (int, error) { c.plain = nil; return 2, nil }, 0, "", errWriter},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &conn{plain: []byte("words")}
			n, err := c.WriteTo(writerFunc(func(p []byte) (int, error) { return test.write(c, p) }))
			if n != test.n || err != test.err || string(c.plain) != test.left {
				t.Errorf("%d, %v, %q is left; want %d, %v, %q", n, err, c.plain, test.n, test.err, test.left)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestReadFromHostile: nor does ReadFrom, whatever a reader returns.
func TestReadFromHostile(t *testing.T) {
	for name, n := range map[string]int{"too many": 16<<10 + 1, "negative": -1} {
		for _, fails := range []error{nil, io.ErrUnexpectedEOF} {
			want := cmp.Or(fails, errReader)
			if n, err := new(conn).ReadFrom(readerFunc(func([]byte) (int, error) { return n, fails })); n != 0 || err != want {
				t.Errorf("%s, with error %v: %d, %v, want %v", name, fails, n, err, want)
			}
		}
	}
}
