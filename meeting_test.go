package hermetic

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// meeting is two engines that meet, over a stream or over datagrams.
type meeting struct {
	t              testing.TB
	client, server *Engine
	got            struct{ client, server, early []byte }
	asked          []string
	answer         func(Pending) // of either side; nil: nothing is asked
}

func newMeeting(t testing.TB, datagram bool, client, server *Config) *meeting {
	t.Helper()
	m := &meeting{t: t}
	modes := [2]Mode{TLSClient, TLSServer}
	if datagram {
		modes = [2]Mode{DTLSClient, DTLSServer}
		if !server.DTLS.TrustAddress { // it may be in use
			server.DTLS.TrustAddress = true
		}
	}
	var err error
	if m.client, err = NewEngine(modes[0], client); err != nil {
		t.Fatal(err)
	}
	if m.server, err = NewEngine(modes[1], server); err != nil {
		t.Fatal(err)
	}
	return m
}

// pass gives what from has to send to the other.
func (m *meeting) pass(from, to *Engine, data *[]byte) (moved bool, err error) {
	for _, e := range []*Engine{from, to} {
		for q := e.Pending(); q != nil; q = e.Pending() {
			m.asked = append(m.asked, fmt.Sprintf("%T", q))
			m.answer(q)
			moved = true
		}
	}
	for {
		in := from.Output(nil)
		if len(in) == 0 {
			return moved, nil
		}
		moved = true
		for len(in) > 0 {
			o, err := to.Open(in)
			if err == ErrPending {
				m.answer(to.Pending())
				continue
			}
			if err != nil {
				return moved, err
			}
			if o.Kind == KindEarlyData {
				m.got.early = append(m.got.early, o.Data...)
			} else {
				*data = append(*data, o.Data...)
			}
			if in = in[o.N:]; o.N == 0 {
				m.t.Fatal("a record is not whole")
			}
		}
	}
}

// run passes everything until nothing moves.
func (m *meeting) run() error {
	for range 100 {
		a, err := m.pass(m.client, m.server, &m.got.server)
		if err != nil {
			m.pass(m.server, m.client, &m.got.client)
			return fmt.Errorf("server: %w", err)
		}
		b, err := m.pass(m.server, m.client, &m.got.client)
		if err != nil {
			m.pass(m.client, m.server, &m.got.server)
			return fmt.Errorf("client: %w", err)
		}
		if !a && !b {
			return nil
		}
	}
	m.t.Fatal("the engines go on for ever")
	return nil
}

// finish makes the handshake, and says something both ways.
func (m *meeting) finish() {
	m.t.Helper()
	if err := m.run(); err != nil {
		m.t.Fatal(err)
	}
	if !m.client.HandshakeComplete() || !m.server.HandshakeComplete() {
		m.t.Fatal("the handshake is not complete")
	}
	for _, e := range []*Engine{m.client, m.server} {
		other, got := m.server, &m.got.server
		if e == m.server {
			other, got = m.client, &m.got.client
		}
		out, err := e.Seal(nil, []byte("words"))
		if err != nil {
			m.t.Fatal(err)
		}
		*got = nil
		for len(out) > 0 {
			o, err := other.Open(out)
			if err != nil {
				m.t.Fatal(err)
			}
			*got = append(*got, o.Data...)
			out = out[o.N:]
		}
		if string(*got) != "words" {
			m.t.Fatalf("%v got %q", other.mode, *got)
		}
	}
	if err := m.run(); err != nil {
		m.t.Fatal(err)
	}
}

// settle is finish, and lets pass what timers wait for.
func (m *meeting) settle(now *clock) {
	m.t.Helper()
	m.finish()
	now.now = now.now.Add(time.Second)
	for _, e := range []*Engine{m.client, m.server} {
		if err := e.Expire(); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := m.run(); err != nil {
		m.t.Fatal(err)
	}
}

// fourModes runs a test in all versions, over streams and datagrams.
func fourModes(t *testing.T, test func(t *testing.T, datagram bool, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, datagram := range []bool{false, true} {
			name := tls.VersionName(version)
			if datagram {
				name = "D" + name
			}
			t.Run(name, func(t *testing.T) { test(t, datagram, version) })
		}
	}
}

// clock is a clock that tests set.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

// sessionConfigs are configs with a session cache and a clock.
func sessionConfigs(t *testing.T, version uint16) (client, server *Config, now *clock) {
	now = &clock{pkitest.Now}
	client, server = configs(t)
	client.Time, server.Time = now.time, now.time
	client.MaxVersion = version
	client.SessionCache = NewSessionCache(4)
	return client, server, now
}
