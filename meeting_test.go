package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// meeting is two engines that meet, over a stream or over datagrams, and all that is
// between them: what is on its way, what gets lost, a clock, and answers to questions.
type meeting struct {
	t testing.TB
	*clock
	client, server     *Engine
	toClient, toServer []byte                                 // of a stream: on its way
	got                struct{ client, server, early []byte } // data
	datagrams          struct{ client, server [][]byte }      // the same, as it came
	lose               func() bool                            // reports whether a datagram is lost; nil: none is
	asked              []string
	answer             func(Pending)                  // of either side; nil: nothing is asked
	tap                func(from *Engine, out []byte) // sees what is sent; nil: nobody does
}

func newMeeting(t testing.TB, datagram bool, client, server *Config) *meeting {
	t.Helper()
	modes := [2]Mode{TLSClient, TLSServer}
	if datagram {
		modes = [2]Mode{DTLSClient, DTLSServer}
		if !server.DTLS.TrustAddress { // it may be in use
			server.DTLS.TrustAddress = true
		}
	}
	return meet(t, modes, &clock{pkitest.Now}, client, server)
}

// newNetwork is a meeting over datagrams with new Configs, and their clock.
func newNetwork(t testing.TB, change func(client, server *Config)) *meeting {
	t.Helper()
	now := &clock{pkitest.Now}
	client, server := configs(t)
	client.Time, server.Time = now.time, now.time
	server.DTLS.TrustAddress = true
	if change != nil {
		change(client, server)
	}
	return meet(t, [2]Mode{DTLSClient, DTLSServer}, now, client, server)
}

func meet(t testing.TB, modes [2]Mode, now *clock, client, server *Config) *meeting {
	t.Helper()
	m := &meeting{t: t, clock: now}
	var err error
	if m.client, err = NewEngine(modes[0], client); err != nil {
		t.Fatal(err)
	}
	if m.server, err = NewEngine(modes[1], server); err != nil {
		t.Fatal(err)
	}
	return m
}

// open gives an engine what is in *in, and leaves what is incomplete there.
func (m *meeting) open(to *Engine, in *[]byte) error {
	data, datagrams := &m.got.server, &m.datagrams.server
	if to == m.client {
		data, datagrams = &m.got.client, &m.datagrams.client
	}
	for len(*in) > 0 {
		o, err := to.Open(*in)
		switch {
		case err == ErrPending && m.answer != nil:
			m.answer(to.Pending())
			continue
		case err != nil:
			return err
		case o.N == 0 && to.mode.IsDTLS():
			m.t.Fatal("a datagram is not used up")
		case o.N == 0:
			return nil
		case o.Kind == KindEarlyData:
			m.got.early = append(m.got.early, o.Data...)
		default:
			*data = append(*data, o.Data...)
		}
		if o.Data != nil {
			*datagrams = append(*datagrams, bytes.Clone(o.Data))
		}
		*in = (*in)[o.N:]
	}
	return nil
}

// give gives an engine a datagram.
func (m *meeting) give(to *Engine, datagram []byte) error { return m.open(to, &datagram) }

// answers answers what e asks.
func (m *meeting) answers(e *Engine) (asked bool) {
	for m.answer != nil && e.Pending() != nil {
		m.asked = append(m.asked, fmt.Sprintf("%T", e.Pending()))
		m.answer(e.Pending())
		asked = true
	}
	return asked
}

// pass gives what from has to send to the other.
func (m *meeting) pass(from, to *Engine) (moved bool, err error) {
	moved = m.answers(from)
	moved = m.answers(to) || moved
	way := &m.toServer
	if to == m.client {
		way = &m.toClient
	}
	for from.HasOutput() {
		out := from.Output(nil)
		if len(out) == 0 {
			break
		}
		moved = true
		if m.tap != nil {
			m.tap(from, out)
		}
		switch {
		case !from.mode.IsDTLS():
			*way = append(*way, out...)
		case m.lose == nil || !m.lose():
			if err := m.give(to, out); err != nil {
				return moved, err
			}
		}
	}
	return moved, m.open(to, way)
}

// deliver passes what both have to send, once.
func (m *meeting) deliver() (moved bool, err error) {
	if moved, err = m.pass(m.client, m.server); err != nil {
		return moved, err
	}
	back, err := m.pass(m.server, m.client)
	return moved || back, err
}

// pump passes everything until nothing moves, or one has failed and the other has heard
// of it.
func (m *meeting) pump() (clientErr, serverErr error) {
	for range 100 {
		var there, back bool
		there, serverErr = m.pass(m.client, m.server)
		back, clientErr = m.pass(m.server, m.client)
		if clientErr != nil && serverErr == nil {
			_, serverErr = m.pass(m.client, m.server)
		}
		if clientErr != nil || serverErr != nil || !there && !back {
			return clientErr, serverErr
		}
	}
	m.t.Fatal("the engines go on forever")
	return nil, nil
}

// run is pump, and returns the error of the side that failed first.
func (m *meeting) run() error {
	for range 100 {
		there, err := m.pass(m.client, m.server)
		if err != nil {
			m.pass(m.server, m.client)
			return fmt.Errorf("server: %w", err)
		}
		back, err := m.pass(m.server, m.client)
		if err != nil {
			m.pass(m.client, m.server)
			return fmt.Errorf("client: %w", err)
		}
		if !there && !back {
			return nil
		}
	}
	m.t.Fatal("the engines go on forever")
	return nil
}

// wait passes everything, and lets the time pass when nothing moves, until both are done.
func (m *meeting) wait() error {
	for range 10_000 {
		if moved, err := m.deliver(); err != nil {
			return err
		} else if moved {
			continue
		}
		c, cok := m.client.Deadline()
		s, sok := m.server.Deadline()
		complete := m.client.HandshakeComplete() && m.server.HandshakeComplete()
		switch {
		case !cok && !sok && complete:
			return nil
		case !cok && !sok:
			return errors.New("nothing is due, and the handshake is not complete")
		case !cok || sok && s.Before(c):
			c = s
		}
		m.now = c
		for _, e := range []*Engine{m.client, m.server} {
			if err := e.Expire(); err != nil {
				return err
			}
		}
		if m.client.HandshakeComplete() && m.server.HandshakeComplete() && m.now.Sub(pkitest.Now) > 5*time.Minute {
			return nil // what remains is a final flight kept for a peer that has it
		}
	}
	return errors.New("it goes on forever")
}

// handshake is pump up to the end of the handshake.
func (m *meeting) handshake() {
	m.t.Helper()
	if c, s := m.pump(); c != nil || s != nil {
		m.t.Fatalf("handshake: client: %v, server: %v", c, s)
	}
	if !m.client.HandshakeComplete() || !m.server.HandshakeComplete() {
		m.t.Fatalf("handshake is not complete: client %v, server %v", m.client.HandshakeComplete(), m.server.HandshakeComplete())
	}
}

// exchange sends data both ways over a stream.
func (m *meeting) exchange(n int) {
	m.t.Helper()
	data := bytes.Repeat([]byte("hermetic"), n/8+1)[:n]
	m.got.client, m.got.server = nil, nil
	var err error
	if m.toServer, err = m.client.Seal(m.toServer, data); err != nil {
		m.t.Fatal(err)
	}
	if m.toClient, err = m.server.Seal(m.toClient, data); err != nil {
		m.t.Fatal(err)
	}
	if c, s := m.pump(); c != nil || s != nil {
		m.t.Fatalf("exchange: client: %v, server: %v", c, s)
	}
	if !bytes.Equal(m.got.server, data) || !bytes.Equal(m.got.client, data) {
		m.t.Fatalf("exchange of %d bytes: the server got %d, the client %d", n, len(m.got.server), len(m.got.client))
	}
}

// exchangeDatagrams sends datagrams of data both ways, and each of them twice.
func (m *meeting) exchangeDatagrams() {
	m.t.Helper()
	m.datagrams.client, m.datagrams.server = nil, nil
	for _, size := range []int{0, 1, 1000, 1 << 14} {
		data := bytes.Repeat([]byte{7}, size)
		for _, d := range []struct {
			from, to *Engine
			got      *[][]byte
		}{{m.client, m.server, &m.datagrams.server}, {m.server, m.client, &m.datagrams.client}} {
			sealed, err := d.from.Seal(nil, data)
			if err != nil {
				m.t.Fatal(err)
			}
			again := bytes.Clone(sealed)
			if err := m.give(d.to, sealed); err != nil {
				m.t.Fatal(err)
			}
			if last := (*d.got)[len(*d.got)-1]; !bytes.Equal(last, data) {
				m.t.Errorf("%d bytes came of %d", len(last), size)
			}
			before := len(*d.got)
			if err := m.give(d.to, again); err != nil || len(*d.got) != before {
				m.t.Errorf("a replayed datagram: %v, delivered %v", err, len(*d.got) != before)
			}
		}
	}
	if _, err := m.client.Seal(nil, make([]byte, 1<<14+1)); !errors.Is(err, ErrInvalidOperation) || !strings.Contains(err.Error(), "16384") {
		m.t.Errorf("more than a datagram takes: %v", err)
	}
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
