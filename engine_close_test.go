package hermetic

import (
	"bytes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// closing is a meeting in which one side closes.
type closing struct {
	*asker
	*meeting
	datagram bool
	closed   [2]int    // close_notifies that the server and the client have got
	input    [2][]byte // over streams: that they have not taken yet
}

func newClosing(t *testing.T, datagram bool, a asking, questions Async) *closing {
	k := newAsker(t, datagram, a, questions)
	return &closing{asker: k, meeting: newMeeting(t, datagram, k.client, k.server), datagram: datagram}
}

func (c *closing) end(server bool) *Engine {
	if server {
		return c.meeting.server
	}
	return c.meeting.client
}

// deliver brings all that has been made, until nothing moves. Questions stay open.
func (c *closing) deliver() {
	c.t.Helper()
	for moved := true; moved; {
		moved = false
		for i, to := range []*Engine{c.meeting.server, c.meeting.client} {
			from := c.end(i == 1)
			for out := from.Output(nil); len(out) > 0; out = from.Output(nil) {
				c.input[i], moved = append(c.input[i], out...), true
				if c.datagram {
					break
				}
			}
			for len(c.input[i]) > 0 && to.Pending() == nil {
				o, err := to.Open(c.input[i])
				if err == ErrClosed {
					if len(c.input[i]) > 0 && o.N > 0 || c.closed[i] == 0 {
						c.closed[i]++
					}
					c.input[i] = nil
					break
				}
				if err != nil {
					c.t.Fatalf("%v: %v", to.mode, err)
				}
				c.input[i] = c.input[i][o.N:]
			}
		}
	}
}

// settle is deliver, and answers what is asked, and lets time pass.
func (c *closing) settle() {
	c.t.Helper()
	for range 12 {
		c.deliver()
		for _, e := range []*Engine{c.meeting.client, c.meeting.server} {
			if q := e.Pending(); q != nil {
				if err := c.answer(q, nil); err != nil {
					c.t.Fatal(err)
				}
			}
		}
		if c.datagram {
			c.now.now = c.now.now.Add(300 * time.Millisecond)
			for _, e := range []*Engine{c.meeting.client, c.meeting.server} {
				if err := e.Expire(); err != nil {
					c.t.Fatal(err)
				}
			}
		}
	}
}

func (c *closing) answer(q Pending, fail error) error { return c.asker.answer(q, fail) }

// TestCloseAnyTime: RFC 9846, Section 6.1: whenever one side closes, the other gets one
// close_notify, as soon as there is a place for it, and the closed side sends nothing more.
func TestCloseAnyTime(t *testing.T) {
	full12, full13, early := askings[0], askings[4], askings[len(askings)-1]
	for _, test := range []struct {
		name      string
		asking    asking
		questions Async
		before    func(c *closing) // what happens before Close
		server    bool             // the server closes
		at        bool             // close_notify is there at once
		half      bool             // and the handshake is over with it
	}{
		{name: "a client before anything", asking: full13},
		{name: "a server before anything", asking: full13, server: true},
		{name: "a client of TLS 1.2 before anything", asking: full12},
		{name: "a server of TLS 1.2 before anything", asking: full12, server: true},
		{name: "a client after its hello", asking: full13, before: func(c *closing) { c.meeting.client.HasOutput() }},
		{name: "a server with a question open", asking: full13, questions: AsyncSign, server: true, before: (*closing).deliver},
		{name: "a client with a question open", asking: full13, questions: AsyncVerify, before: (*closing).deliver},
		{name: "a server of TLS 1.2 with a question open", asking: full12, questions: AsyncSign, server: true, before: (*closing).deliver},
		{name: "a server after its Finished", asking: full13, server: true, at: true, before: func(c *closing) {
			c.hello()
		}},
		{name: "a server after its Finished, with a question open", asking: full13, questions: AsyncVerify, server: true, at: true, before: func(c *closing) {
			c.meeting.client.plan.cfg.Async = 0
			c.hello()
		}},
		{name: "a server in half-RTT", asking: early, server: true, at: true, before: func(c *closing) {
			c.early("a question")
			c.say(true, "an answer")
		}},
		{name: "a client that offers early data", asking: early, before: func(c *closing) { c.meeting.client.HasOutput() }},
		{name: "a client after early data", asking: early, at: true, half: true, before: func(c *closing) { c.early("a question") }},
		{name: "a client", asking: full13, at: true, before: (*closing).settle},
		{name: "a server", asking: full13, server: true, at: true, before: (*closing).settle},
		{name: "a client of TLS 1.2", asking: full12, at: true, before: (*closing).settle},
		{name: "a server of TLS 1.2", asking: full12, server: true, at: true, before: (*closing).settle},
	} {
		for _, datagram := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, datagrams %v", test.name, datagram), func(t *testing.T) {
				c := newClosing(t, datagram, test.asking, test.questions)
				if test.before != nil {
					test.before(c)
				}
				e := c.end(test.server)
				for range 2 {
					e.Close()
				}
				_, sealErr := e.Seal(nil, []byte("more"))
				_, earlyErr := e.SealEarlyData(nil, []byte("more"))
				if err := errors.Join(sealErr, earlyErr); !errors.Is(sealErr, ErrInvalidOperation) || !errors.Is(earlyErr, ErrInvalidOperation) {
					t.Errorf("data after Close: %v", err)
				}
				if e.EarlyDataRoom() != 0 {
					t.Error("there is room for early data after Close")
				}
				if e.ended != test.at {
					t.Errorf("close_notify is there %v, want %v", e.ended, test.at)
				}
				c.settle()
				to := map[bool]int{true: 1}[test.server]
				if c.closed[to] != 1 || c.closed[1-to] != 0 {
					t.Errorf("the server got %d close_notifies, the client %d", c.closed[0], c.closed[1])
				}
				if !test.half && (!c.meeting.client.HandshakeComplete() || !c.meeting.server.HandshakeComplete()) {
					t.Error("the handshake is not complete")
				}
				c.nothingMore(test.server, !test.half)
			})
		}
	}
}

// open gives the server what is a client's.
func (c *closing) open(in []byte) {
	c.t.Helper()
	for len(in) > 0 {
		o, err := c.meeting.server.Open(in)
		if err != nil {
			c.t.Fatal(err)
		}
		in = in[o.N:]
	}
}

// hello gives the server the client's hello, and the second one if it asks for it.
func (c *closing) hello() {
	c.t.Helper()
	defer func() {
		if c.meeting.server.State().HelloRetryRequest && c.meeting.server.Pending() == nil && !c.meeting.server.carrier.Speaks() {
			if _, err := c.meeting.client.Open(c.meeting.server.Output(nil)); err != nil {
				c.t.Fatal(err)
			}
			c.hello()
		}
	}()
	for out := c.meeting.client.Output(nil); len(out) > 0; out = c.meeting.client.Output(nil) {
		c.open(out)
	}
}

// early sends early data.
func (c *closing) early(words string) {
	c.t.Helper()
	c.hello()
	out, err := c.meeting.client.SealEarlyData(nil, []byte(words))
	if err != nil {
		c.t.Fatal(err)
	}
	c.open(out)
}

// say sends data from the server, or from the client.
func (c *closing) say(server bool, words string) {
	c.t.Helper()
	from, i := c.end(server), map[bool]int{true: 1}[server]
	for out := from.Output(nil); len(out) > 0; out = from.Output(nil) {
		c.input[i] = append(c.input[i], out...)
	}
	out, err := from.Seal(nil, []byte(words))
	if err != nil {
		c.t.Fatal(err)
	}
	c.input[i] = append(c.input[i], out...)
}

// nothingMore checks that a side that has closed says nothing, whatever comes: data, a
// request for a KeyUpdate, a failure.
func (c *closing) nothingMore(server, complete bool) {
	c.t.Helper()
	e, other := c.end(server), c.end(!server)
	silent := func(why string) {
		c.t.Helper()
		out := e.Output(nil)
		if c.datagram && (why == "a KeyUpdate" || !complete) {
			return // it is acknowledged
		}
		if len(out) > 0 {
			c.t.Errorf("%d bytes are sent after close_notify: %s", len(out), why)
		}
	}
	silent("nothing has come")
	if err := e.KeyUpdate(UpdateRequested); err == nil {
		c.t.Error("KeyUpdate after Close")
	}
	silent("its own KeyUpdate")
	if complete {
		c.say(!server, "still here")
		c.deliver()
		silent("data")
		if other.conn.Version == tls.VersionTLS13 {
			if err := other.KeyUpdate(UpdateRequested); err != nil {
				c.t.Fatal(err)
			}
			c.deliver()
			c.now.now = c.now.now.Add(time.Second)
			e.Expire()
			silent("a KeyUpdate")
		}
	}
	if c.datagram {
		return
	}
	if _, err := e.Open(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)); err == nil {
		c.t.Error("a record that does not authenticate is no error")
	}
	silent("a failure")
}

// TestContextEarlyDataAnswerClose: a Context that has answered early data, and closes.
func TestContextEarlyDataAnswerClose(t *testing.T) {
	e := newEarly(t, nil)
	e.hello("early")
	e.readEarly("early")
	if _, err := e.server.WriteEarlyData([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.server.Close(); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 10)
	if n, err := e.client.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if _, err := e.client.Read(buf); err != ErrClosed {
		t.Errorf("the client: %v, want closed", err)
	}
}

// TestContextEarlyDataCloseLater: after a client's early data close_notify follows the
// handshake.
func TestContextEarlyDataCloseLater(t *testing.T) {
	e := newEarly(t, nil)
	e.hello("early")
	if err := e.client.Close(); err != nil {
		t.Fatal(err)
	}
	e.readEarly("early")
	both(t, e.client.Handshake, e.server.Handshake)
	if _, err := e.client.Write([]byte("more")); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("a write after Close: %v", err)
	}
	if _, err := e.server.Read(make([]byte, 10)); err != ErrClosed {
		t.Errorf("the server: %v, want closed", err)
	}
}

// secrets finds in a graph of values those that a key log names, and ciphers.
type secrets struct {
	known [][]byte
	seen  map[visit]bool
	found []string
}

type visit struct {
	at  uintptr
	typ reflect.Type
}

var aeadType = reflect.TypeFor[cipher.AEAD]()

func (s *secrets) look(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		at := visit{v.Pointer(), v.Type()}
		if v.IsNil() || s.seen[at] || v.Type() == reflect.TypeFor[*plan]() {
			return
		}
		s.seen[at] = true
		if v.Type().Implements(aeadType) {
			s.found = append(s.found, path+" is a cipher")
		}
		s.look(path, v.Elem())
	case reflect.Interface:
		if !v.IsNil() {
			s.look(path, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			s.look(path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			s.compare(path, v)
			return
		}
		for i := range v.Len() {
			s.look(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	}
}

func (s *secrets) compare(path string, v reflect.Value) {
	if v.Kind() == reflect.Array && !v.CanAddr() {
		return
	}
	for _, secret := range s.known {
		if bytes.Contains(v.Bytes(), secret) {
			s.found = append(s.found, path+" has a secret")
			return
		}
	}
}

// remains are the secrets of the key log log that an engine still has.
func remains(t *testing.T, e *Engine, log string) []string {
	s := &secrets{seen: make(map[visit]bool)}
	for line := range strings.Lines(log) {
		secret, err := hex.DecodeString(strings.Fields(line)[2])
		if err != nil {
			t.Fatal(err)
		}
		s.known = append(s.known, secret)
	}
	s.look("engine", reflect.ValueOf(e))
	return s.found
}

// TestSecretsAreForgotten: RFC 9846, Section 6: an engine whose connection has failed, or
// was closed by both sides, has no secret any more.
func TestSecretsAreForgotten(t *testing.T) {
	garbage := append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)
	fatal := func(c *closing) { c.meeting.client.fail(errOnlyRawKeys) }
	for _, test := range []struct {
		name      string
		questions Async
		prepare   func(c *closing)
		fail      func(c *closing) // of the client
		streams   bool
		exports   bool // it has ended well
	}{
		{"a record that does not authenticate", 0, (*closing).settle, func(c *closing) { c.meeting.client.Open(bytes.Clone(garbage)) }, true, false},
		{"a fatal error after the handshake", 0, (*closing).settle, fatal, false, false},
		{"an alert of the peer", 0, (*closing).settle, func(c *closing) {
			c.meeting.server.fail(errOnlyRawKeys)
			c.meeting.client.Open(c.meeting.server.Output(nil))
		}, false, false},
		{"a fatal error with a question open", AsyncVerify, (*closing).deliver, fatal, false, false},
		{"an answer that is an error", AsyncVerify, (*closing).deliver, func(c *closing) { c.answer(c.meeting.client.Pending(), errors.New("not this one")) }, false, false},
		{"an answer that is an error, of a signature", AsyncSign, func(c *closing) {
			c.deliver()
			if q := c.meeting.server.Pending(); q != nil {
				c.answer(q, nil)
			}
			c.deliver()
		}, func(c *closing) {
			if q := c.meeting.client.Pending(); q != nil {
				c.answer(q, errors.New("no key"))
			} else {
				c.meeting.client.fail(errOnlyRawKeys)
			}
		}, false, false},
		{"both sides close", 0, (*closing).settle, func(c *closing) {
			c.meeting.server.Close()
			c.meeting.client.Close()
			in := c.meeting.server.Output(nil)
			c.meeting.client.Output(nil)
			if _, err := c.meeting.client.Open(in); err != ErrClosed {
				c.t.Fatal(err)
			}
		}, true, true},
		{"both sides close, the peer first", 0, (*closing).settle, func(c *closing) {
			c.meeting.server.Close()
			if _, err := c.meeting.client.Open(c.meeting.server.Output(nil)); err != ErrClosed {
				c.t.Fatal(err)
			}
			c.meeting.client.Close()
			c.meeting.client.Output(nil)
		}, true, true},
	} {
		for _, a := range []asking{askings[1], askings[5]} {
			for _, datagram := range []bool{false, true} {
				if datagram && test.streams {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, datagrams %v", test.name, a.name, datagram), func(t *testing.T) {
					c := newClosing(t, datagram, a, test.questions)
					var log bytes.Buffer
					c.asker.client = c.asker.client.Clone()
					c.asker.client.KeyLogWriter = &log
					c.meeting = newMeeting(t, datagram, c.asker.client, c.asker.server)
					test.prepare(c)
					e := c.meeting.client
					state := e.State()
					if log.Len() > 0 && len(remains(t, e, log.String())) == 0 {
						t.Error("there is no secret to forget")
					}
					test.fail(c)
					if e.err == nil && !test.exports {
						t.Fatal("it has not failed")
					}
					left := remains(t, e, log.String())
					if test.exports {
						left = remains(t, e, traffic(log.String(), a.version))
					}
					if len(left) > 0 {
						t.Errorf("it still has %q", left)
					}
					for name, s := range map[string]ConnectionState{"before": state, "after": e.State()} {
						_, err := s.ExportKeyingMaterial("label", nil, 32)
						if want := s.HandshakeComplete && (test.exports || name == "before"); (err == nil) != want {
							t.Errorf("the state from %s exports: %v", name, err)
						}
					}
					if _, err := e.Export(nil, stateAEAD(t, 1)); err == nil {
						t.Error("it can be exported")
					}
					if e.Compact(); len(remains(t, e, traffic(log.String(), a.version))) > 0 {
						t.Error("a secret is back")
					}
					if _, ok := e.Deadline(); ok {
						t.Error("it has a deadline")
					}
					e.MaxData()
					e.Overhead()
					e.ConnectionIDs()
					e.EarlyDataRoom()
					e.KeyUpdate(UpdateRequested)
					e.Close()
					e.Expire()
					e.Seal(nil, []byte("x"))
				})
			}
		}
	}
}

// traffic are the lines of a key log that are of keys for records: what is exported from
// outlives an orderly end.
func traffic(log string, version uint16) (lines string) {
	for line := range strings.Lines(log) {
		if version == tls.VersionTLS13 && !strings.HasPrefix(line, "EXPORTER_SECRET") {
			lines += line
		}
	}
	return lines
}

// TestOurRecordVersions: RFC 9846, Section 5.1: legacy_record_version "MUST be set to
// 0x0303 for all records generated by a TLS 1.3 implementation other than an initial
// ClientHello (i.e., one not generated after a HelloRetryRequest), where it MAY also be
// 0x0301".
func TestOurRecordVersions(t *testing.T) {
	for _, version := range versions {
		for _, retry := range []bool{false, true} {
			client, server := configs(t)
			client.MaxVersion = version
			client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
			client.KeyShares = []tls.CurveID{tls.X25519}
			if retry {
				server.CurvePreferences = []tls.CurveID{tls.CurveP256}
			}
			p := newMeeting(t, false, client, server)
			first := true
			check := func(b []byte) {
				for ; len(b) > 0; b = b[5+int(b[3])<<8+int(b[4]):] {
					if b[1] != 3 || b[2] != 3 && !(first && b[2] == 1) {
						t.Errorf("%s, retry %v: a record of type %d has version %d.%d", tls.VersionName(version), retry, b[0], b[1], b[2])
					}
					first = false
				}
			}
			talk := func() {
				for range 5 {
					p.toServer, p.toClient = p.client.Output(nil), p.server.Output(nil)
					check(p.toServer)
					check(p.toClient)
					p.open(p.server, &p.toServer)
					p.open(p.client, &p.toClient)
				}
			}
			talk()
			if !p.client.HandshakeComplete() || !p.server.HandshakeComplete() || p.client.State().HelloRetryRequest != (retry && version == tls.VersionTLS13) {
				t.Fatal("the handshake is not as it should be")
			}
			p.client.KeyUpdate(UpdateRequested)
			out, err := p.client.Seal(nil, []byte("data"))
			if err != nil {
				t.Fatal(err)
			}
			check(out)
			p.client.Close()
			p.server.fail(errOnlyRawKeys)
			talk()
		}
	}
}
