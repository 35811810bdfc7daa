package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// early is a client that has a session with the server, which takes 1,000 bytes of
// early data, and nothing done yet.
type early struct {
	*testing.T
	client, server *Context
	cb, sb         *bio
}

func newEarly(t *testing.T, change func(client, server *Config)) *early {
	t.Helper()
	cc, sc, _ := earlyConfigs(t)
	newMeeting(t, false, cc, sc).finish()
	if change != nil {
		cc, sc = cc.Clone(), sibling(t, sc)
		change(cc, sc)
	}
	e := &early{T: t}
	up, down := new(bytes.Buffer), new(bytes.Buffer)
	e.cb, e.sb = &bio{in: down, out: up}, &bio{in: up, out: down}
	var err error
	if e.client, err = NewContext(TLSClient, cc, e.cb); err != nil {
		t.Fatal(err)
	}
	if e.server, err = NewContext(TLSServer, sc, e.sb); err != nil {
		t.Fatal(err)
	}
	return e
}

// sibling is a clone that knows the same tickets, and what is new.
func sibling(t *testing.T, cfg *Config) *Config {
	t.Helper()
	c, err := cfg.plan()
	if err != nil {
		t.Fatal(err)
	}
	clone := cfg.Clone()
	clone.TicketKeys, clone.ReplayGuard = c.keys, c.guard
	return clone
}

// request is what a client does with data that may go early, as WriteEarlyData's
// documentation says.
func (e *early) request(data string) func() error {
	sent, shaken := 0, false
	return func() error {
		for !shaken && sent < len(data) {
			n, err := e.client.WriteEarlyData([]byte(data[sent:]))
			if errors.Is(err, ErrInvalidOperation) {
				break
			} else if err != nil {
				return err
			}
			sent += n
		}
		if !shaken {
			if err := e.client.Handshake(); err != nil {
				return err
			}
			if shaken = true; !e.client.Engine().State().EarlyDataAccepted {
				sent = 0
			}
		}
		for sent < len(data) {
			n, err := e.client.Write([]byte(data[sent:]))
			if err != nil {
				return err
			}
			sent += n
		}
		return e.client.Close()
	}
}

// serve reads everything, what comes early into early.
func (e *early) serve(early, late *[]byte) func() error {
	buf, ended := make([]byte, 77), false
	return func() error {
		for !ended {
			n, err := e.server.ReadEarlyData(buf)
			*early = append(*early, buf[:n]...)
			if ended = err == io.EOF; err != nil && !ended {
				return err
			}
		}
		return e.drain(e.server, late)()
	}
}

// drain reads until the peer has closed.
func (e *early) drain(c *Context, data *[]byte) func() error {
	buf := make([]byte, 77)
	return func() error {
		for {
			n, err := c.Read(buf)
			*data = append(*data, buf[:n]...)
			if err == ErrClosed {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
}

func (e *early) wantAccepted(want bool) {
	e.Helper()
	for _, c := range []*Context{e.client, e.server} {
		if got := c.Engine().State().EarlyDataAccepted; got != want {
			e.Errorf("%v: accepted %v, want %v", c.engine.mode, got, want)
		}
	}
}

// hello writes data early, which the transport takes.
func (e *early) hello(data string) {
	e.Helper()
	if n, err := e.client.WriteEarlyData([]byte(data)); n != len(data) || err != nil {
		e.Fatalf("%d bytes were taken, %v", n, err)
	}
}

// readEarly reads as much early data.
func (e *early) readEarly(want string) {
	e.Helper()
	got := make([]byte, len(want))
	if n, err := e.server.ReadEarlyData(got); err != nil || string(got[:n]) != want {
		e.Errorf("early data: %q, %v, want %q", got[:n], err, want)
	}
}

func TestContextEarlyDataOverEveryTransport(t *testing.T) {
	data := strings.Repeat("early words ", 100)
	for _, most := range []int{0, 1, 7} {
		for _, lazy := range []int{0, 2, 3} {
			e := newEarly(t, nil)
			for _, b := range []*bio{e.cb, e.sb} {
				b.most, b.lazy, b.eagain = most, lazy, lazy == 3
			}
			var early, late []byte
			both(t, e.request(data), e.serve(&early, &late))
			if string(early) != data[:1000] || string(late) != data[1000:] {
				t.Errorf("%d bytes at once, blocking each %d: %d bytes came early, %d late", most, lazy, len(early), len(late))
			}
			e.wantAccepted(true)
		}
	}
}

// TestContextAnswersEarlyData: before the client's Finished.
func TestContextAnswersEarlyData(t *testing.T) {
	e := newEarly(t, nil)
	e.hello("request")
	if _, err := e.server.WriteEarlyData([]byte("x")); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("before the ClientHello has come: %v", err)
	}
	e.readEarly("request")
	e.sb.lazy = 1 // blocks always
	for range 2 {
		if n, err := e.server.WriteEarlyData([]byte("answer")); n != 0 || err != ErrWantWrite {
			t.Fatalf("%d, %v", n, err)
		}
	}
	e.sb.lazy = 0
	if n, err := e.server.WriteEarlyData([]byte("whatever")); n != 6 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	buf := make([]byte, 100)
	if n, err := e.client.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if e.server.Engine().HandshakeComplete() {
		t.Error("the answer did not come early")
	}
	for range 2 {
		if n, err := e.server.ReadEarlyData(buf); n != 0 || err != io.EOF {
			t.Errorf("the end: %d, %v", n, err)
		}
	}
	if n, err := e.server.WriteEarlyData([]byte("late")); n != 4 || err != nil {
		t.Errorf("after the handshake: %d, %v", n, err)
	}
	if n, err := e.client.Read(buf); err != nil || string(buf[:n]) != "late" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// TestContextNoEarlyData: whatever the reason, what was to be early data comes once.
func TestContextNoEarlyData(t *testing.T) {
	for name, test := range map[string]struct {
		change   func(c, s *Config)
		size     int
		accepted bool // early data, although it sends none or less
		early    int
	}{
		"no session":               {func(c, s *Config) { c.SessionCache = nil }, 100, false, 0},
		"the client not":           {func(c, s *Config) { c.EarlyData = false }, 100, false, 0},
		"more than it takes":       {func(c, s *Config) {}, 1001, true, 1000},
		"more than a record takes": {func(c, s *Config) { c.MaxRecordData = 600 }, 1001, true, 1000},
		"it is rejected":           {func(c, s *Config) { s.MaxEarlyData = 0 }, 100, false, 0},
		"another group":            {func(c, s *Config) { s.CurvePreferences = []tls.CurveID{tls.CurveP521} }, 100, false, 0},
		"TLS 1.2":                  {func(c, s *Config) { s.MaxVersion, c.SessionCache = tls.VersionTLS12, nil }, 100, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEarly(t, test.change)
			data := string(bytes.Repeat([]byte("x"), test.size))
			var early, late []byte
			both(t, e.request(data), e.serve(&early, &late))
			if len(early) != test.early || string(early)+string(late) != data {
				t.Errorf("%d bytes came early, %d late", len(early), len(late))
			}
			e.wantAccepted(test.accepted)
			if n, err := e.client.WriteEarlyData([]byte("x")); n != 0 || !errors.Is(err, ErrInvalidOperation) {
				t.Errorf("after the handshake: %d, %v", n, err)
			}
		})
	}
}

// TestContextEarlyDataUnread: Read returns what nobody has read before, in its place,
// when the handshake is complete; also with a Config of GetConfigForClient.
func TestContextEarlyDataUnread(t *testing.T) {
	for _, read := range []string{"", "ear"} {
		e := newEarly(t, func(_, s *Config) {
			chosen := s.Clone()
			*s = Config{Time: s.Time, GetConfigForClient: func(*ClientHello) (*Config, error) { return chosen, nil }}
		})
		e.hello("early ")
		e.hello("words")
		if read != "" {
			e.readEarly(read)
		}
		for range 2 {
			if n, err := e.server.Read(make([]byte, 100)); n != 0 || err != ErrWantRead {
				t.Errorf("before the client's Finished: %d, %v", n, err)
			}
		}
		both(t, e.client.Handshake, e.server.Handshake)
		if read != "" {
			e.readEarly("ly")
		}
		e.wantAccepted(true)
		var got []byte
		e.client.Write([]byte(", late words"))
		both(t, e.client.Close, e.drain(e.server, &got))
		if want := strings.TrimPrefix("early words, late words", map[string]string{"ear": "early"}[read]); string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestContextEarlyDataReplay: what was recorded and is sent again comes out of
// ReadEarlyData, if the guard takes it, and never of Read.
func TestContextEarlyDataReplay(t *testing.T) {
	e := newEarly(t, func(_, s *Config) { s.ReplayGuard = anew{} })
	e.hello("early words")
	recorded := bytes.Clone(e.sb.in.Bytes())
	for range 2 {
		e.server.Reset()
		e.sb.in.Reset()
		e.sb.in.Write(recorded)
		e.readEarly("early words")
		for range 2 {
			if n, err := e.server.Read(make([]byte, 100)); n != 0 || err != ErrWantRead {
				t.Errorf("Read: %d bytes, %v", n, err)
			}
		}
	}
	e.server.Reset()
	e.sb.in.Write(recorded)
	if err := e.server.Handshake(); err != ErrWantRead {
		t.Fatal(err)
	}
	e.sb.readErr = io.EOF
	if n, err := e.server.Read(make([]byte, 100)); n != 0 || err != io.ErrUnexpectedEOF {
		t.Errorf("Read: %d bytes, %v", n, err)
	}
}

// TestContextRetriesEarlyData: whatever happens between, the record that was made is
// sent once, and counted by WriteEarlyData alone.
func TestContextRetriesEarlyData(t *testing.T) {
	e := newEarly(t, nil)
	e.cb.lazy = 1 // blocks always
	for range 3 {
		if n, err := e.client.WriteEarlyData([]byte("only once")); n != 0 || err != ErrWantWrite {
			t.Fatalf("%d, %v", n, err)
		}
	}
	e.cb.lazy = 0
	both(t, e.client.Handshake, e.server.Handshake)
	if n, err := e.client.Write([]byte(", late")); n != 6 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	if n, err := e.client.WriteEarlyData([]byte("whatever it is")); n != 9 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	var got []byte
	both(t, e.client.Close, e.drain(e.server, &got))
	if string(got) != "only once, late" {
		t.Errorf("%q", got)
	}
}

// TestContextEarlyDataLeavesTogether: the ClientHello with it, in one write.
func TestContextEarlyDataLeavesTogether(t *testing.T) {
	e := newEarly(t, nil)
	writes := &scarce{e.cb, 1}
	e.client.SetBIO(writes)
	e.hello("early words")
	e.readEarly("early words")
	if n, err := e.client.WriteEarlyData(nil); n != 0 || err != nil {
		t.Errorf("none: %d, %v", n, err)
	}
}

func TestContextEarlyDataReset(t *testing.T) {
	e := newEarly(t, nil)
	e.cb.most, e.cb.lazy = 10, 2
	if _, err := e.client.WriteEarlyData([]byte("forgotten")); err != ErrWantWrite {
		t.Fatal(err)
	}
	e.cb.most, e.cb.lazy = 0, 0
	e.client.Reset()
	e.sb.in.Reset()
	both(t, e.client.Handshake, e.server.Handshake) // its session is used up: this brings one
	e.client.Read(make([]byte, 1))
	e.client.Reset()
	e.server.Reset()
	e.sb.in.Reset()
	e.hello("unread")
	if err := e.server.Handshake(); err != ErrWantRead {
		t.Fatal(err)
	}
	e.server.Reset()
	e.client.Reset()
	e.cb.in.Reset()
	both(t, e.client.Handshake, e.server.Handshake)
	if n, err := e.server.Read(make([]byte, 10)); n != 0 || err != ErrWantRead {
		t.Errorf("what was not read is still there: %d, %v", n, err)
	}
}

// TestContextEarlyDataOverLimit: a client that sends more ends the session, and its data
// is lost.
func TestContextEarlyDataOverLimit(t *testing.T) {
	e := newEarly(t, nil)
	e.hello(strings.Repeat("x", 1000))
	e.client.engine.carrier.LimitEarlyData(1)
	e.hello("x")
	err := e.server.Handshake()
	var fault *AlertError
	if !errors.As(err, &fault) || fault.Alert != AlertUnexpectedMessage {
		t.Errorf("%v", err)
	}
	if n, err := e.server.ReadEarlyData(make([]byte, 10)); n != 0 || err != ErrWantRead {
		t.Errorf("%d, %v", n, err)
	}
}

func TestContextEarlyDataTransportErrors(t *testing.T) {
	e := newEarly(t, nil)
	e.cb.writeErr, e.sb.readErr = syscall.EPIPE, syscall.EPIPE
	if _, err := e.client.WriteEarlyData([]byte("early")); err != syscall.EPIPE {
		t.Errorf("%v", err)
	}
	if _, err := e.server.ReadEarlyData(make([]byte, 5)); err != syscall.EPIPE {
		t.Errorf("%v", err)
	}
	e.cb.writeErr, e.sb.readErr = nil, nil
	e.hello("early")
	e.readEarly("early")
	var inside []error
	e.sb.onRead = func() {
		_, r := e.server.ReadEarlyData(make([]byte, 1))
		_, w := e.server.WriteEarlyData([]byte("x"))
		inside = append(inside, r, w)
	}
	e.server.ReadEarlyData(make([]byte, 1))
	if !slices.Equal(inside, []error{ErrBusy, ErrBusy}) {
		t.Errorf("calls from inside a callback: %v", inside)
	}
}

// TestContextEarlyDataClose: before the handshake is complete there is nothing that
// close_notify could follow.
func TestContextEarlyDataClose(t *testing.T) {
	e := newEarly(t, nil)
	e.hello("early")
	sent := e.sb.in.Len()
	if err := e.client.Close(); err != nil || e.sb.in.Len() != sent {
		t.Errorf("%v, %d bytes of %d", err, e.sb.in.Len(), sent)
	}
	e.readEarly("early")
	both(t, e.client.Handshake, e.server.Handshake)
}

// TestContextEarlyDataPending: the client waits for its session, the server for what
// is new.
func TestContextEarlyDataPending(t *testing.T) {
	e := newEarly(t, func(c, s *Config) { c.Async, s.Async = AsyncSession, AsyncReplay })
	if n, err := e.client.WriteEarlyData([]byte("early")); n != 0 || err != ErrPending {
		t.Fatalf("%d, %v", n, err)
	}
	r := e.client.Engine().Pending().(*SessionRequest)
	if err := r.Answer(e.client.engine.plan.cfg.SessionCache.Get(r.Key), nil); err != nil {
		t.Fatal(err)
	}
	e.hello("early")
	if n, err := e.server.ReadEarlyData(make([]byte, 5)); n != 0 || err != ErrPending {
		t.Fatalf("%d, %v", n, err)
	}
	if err := e.server.Engine().Pending().(*ReplayRequest).Answer(true, nil); err != nil {
		t.Fatal(err)
	}
	e.readEarly("early")
}

// TestContextEarlyDataModes: which modes can read and write it.
func TestContextEarlyDataModes(t *testing.T) {
	for mode := TLSClient; mode <= DTLSServer; mode++ {
		c, err := NewContext(mode, &Config{InsecureSkipVerify: true}, &bio{in: new(bytes.Buffer), out: new(bytes.Buffer)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.ReadEarlyData(make([]byte, 1))
		if want := mode == TLSServer; errors.Is(err, ErrInvalidOperation) == want || want && err != ErrWantRead {
			t.Errorf("%v: read: %v", mode, err)
		}
		if _, err := c.WriteEarlyData([]byte("x")); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%v: write: %v", mode, err)
		}
	}
	_, err := NewContext(DTLSServer, &Config{MaxEarlyData: 1}, &bio{})
	if wrong := (*ConfigError)(nil); !errors.As(err, &wrong) || wrong.Field != "MaxEarlyData" {
		t.Errorf("a DTLS server: %v", err)
	}
}

// TestContextEarlyDatagrams: a DTLS client's early data follows its ClientHello, and
// leaves whole or not at all.
func TestContextEarlyDatagrams(t *testing.T) {
	for _, accepted := range []bool{true, false} {
		cc, sc, now := earlyConfigs(t)
		newMeeting(t, true, cc, sc).settle(now)
		if !accepted {
			sc = sibling(t, sc)
			sc.MaxEarlyData = 0
		}
		server, err := NewEngine(DTLSServer, sc)
		if err != nil {
			t.Fatal(err)
		}
		var up, down [][]byte
		transport := &datagramBIO{in: &down, out: &up, full: true}
		client, err := NewContext(DTLSClient, cc, transport)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := client.WriteEarlyData([]byte("early")); n != 0 || err != ErrWantWrite {
			t.Errorf("a full transport: %d, %v", n, err)
		}
		transport.full = false
		for _, word := range []string{"early", "words"} {
			if n, err := client.WriteEarlyData([]byte(word)); n != 5 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if n, err := client.WriteEarlyData(make([]byte, 1000)); n != 0 || !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("more than the session permits: %d, %v", n, err)
		}
		if len(up) != 3 {
			t.Errorf("%d datagrams have left", len(up))
		}
		var early []string
		for err = client.Handshake(); err == ErrWantRead; err = client.Handshake() {
			for _, d := range up {
				for len(d) > 0 {
					o, err := server.Open(d)
					if err != nil {
						t.Fatal(err)
					}
					if o.Kind == KindEarlyData {
						early = append(early, string(o.Data))
					} else if o.Data != nil {
						t.Errorf("%q is not marked as early", o.Data)
					}
					d = d[o.N:]
				}
			}
			up = nil
			for server.HasOutput() {
				down = append(down, server.Output(nil))
			}
			if len(down) == 0 {
				now.now = now.now.Add(time.Second)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(early, []string{"early", "words"}) != accepted || !accepted && early != nil {
			t.Errorf("%q came, accepted: %v", early, accepted)
		}
		if client.Engine().State().EarlyDataAccepted != accepted {
			t.Errorf("accepted: %v", !accepted)
		}
	}
}

// TestContextNoAnswerToStrangers: a client without accepted early data may still have to
// show a certificate.
func TestContextNoAnswerToStrangers(t *testing.T) {
	for _, rejected := range []bool{false, true} {
		e := newEarly(t, func(client, server *Config) {
			server.ReplayGuard = never{}
			if !rejected {
				client.SessionCache, server.ClientAuth = nil, tls.RequireAnyClientCert
			}
		})
		if rejected {
			e.hello("early")
		} else if err := e.client.Handshake(); err != ErrWantRead {
			t.Fatal(err)
		}
		if _, err := e.server.ReadEarlyData(make([]byte, 9)); err != ErrWantRead {
			t.Fatal(err)
		}
		if n, err := e.server.WriteEarlyData([]byte("secret")); n != 0 || !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("rejected %v: %d bytes were written, %v", rejected, n, err)
		}
	}
}
