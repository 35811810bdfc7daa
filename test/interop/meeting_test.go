package interop

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/session"
)

// end is our end of a connection: a link or a udpLink.
type end interface {
	until(what string, done func() bool) error
	send(data []byte) error
	sendEarly(data []byte) error
	all() *arrived
	close()
}

// meeting is what happens between us and a peer in a cell.
type meeting struct {
	t          *testing.T
	peer       sessionPeer
	cell       sessionCell
	peerServes bool
	files      files
	cfg        *hermetic.Config
	ahead      atomic.Int64 // how far our clock is before the peer's
	port       int          // of the server
	listener   int          // ours, of TLS
	socket     *udpLink     // our server's last, of DTLS
	speaker    *speaker     // the peer
	engine     *hermetic.Engine
	record     [][]byte // what came in the last connection
}

func newMeeting(t *testing.T, p sessionPeer, c sessionCell, peerServes bool, a *authority) *meeting {
	f, leaf := a.files(t, "")
	m := &meeting{t: t, peer: p, cell: c, peerServes: peerServes, files: f}
	m.cfg = c.sessionConfig(a, leaf, m.mode())
	m.cfg.Time = func() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }
	var err error
	switch {
	case peerServes:
		m.port = freePort()
	case c.stream:
		m.listener, m.port, err = listen()
		t.Cleanup(func() { unix.Close(m.listener) })
	default:
		m.socket = &udpLink{conn: listenUDP(t)}
		m.port = port(m.socket.conn)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *meeting) mode() hermetic.Mode {
	mode := hermetic.TLSServer
	if m.peerServes {
		mode = hermetic.TLSClient
	}
	if !m.cell.stream {
		mode += hermetic.DTLSClient - hermetic.TLSClient
	}
	return mode
}

// sessionConfig is hermetic's side of a cell.
func (c sessionCell) sessionConfig(a *authority, leaf tls.Certificate, mode hermetic.Mode) *hermetic.Config {
	cfg := c.datagramConfig(a, leaf, mode)
	cfg.NextProtos = nil
	cfg.SessionCache = hermetic.NewSessionCache(4)
	if c.early {
		cfg.EarlyData, cfg.MaxEarlyData = true, 1000
	}
	switch {
	case c.loss > 0:
	case c.refused():
		cfg.DTLS.RetransmitTimeout, cfg.DTLS.MaxTimeouts = 200*time.Millisecond, 3
	default:
		cfg.DTLS.RetransmitTimeout, cfg.DTLS.MaxTimeouts = 200*time.Millisecond, 8
	}
	if c.psk {
		own := hermetic.PSK{Identity: []byte(identity), Key: sharedKey, Hash: c.hash}
		switch c.wrong {
		case "key":
			own.Key = []byte("another key, of the same length ")
		case "identity":
			own.Identity = []byte("a stranger")
		}
		cfg.PSKs = []hermetic.PSK{own}
		if !c.certs {
			cfg.Certificates, cfg.ServerName = nil, ""
		}
	}
	return cfg
}

// configFor is the Config of our nth connection.
func (m *meeting) configFor(n int) *hermetic.Config {
	if n > 0 && m.cell.late {
		m.ahead.Store(int64(time.Minute))
	}
	if n == 0 || !m.cell.forged {
		return m.cfg
	}
	cfg := m.cfg.Clone()
	cfg.SessionCache = forger{cfg.SessionCache}
	cfg.TicketKeys = hermetic.StaticTicketKeys(hermetic.TicketKey([]byte("a key that opens no older ticket")))
	return cfg
}

// forger spoils the tickets of a cache.
type forger struct{ hermetic.SessionCache }

func (f forger) Get(name string) *hermetic.Session {
	s := f.SessionCache.Get(name)
	if s == nil {
		return nil
	}
	data, err := s.MarshalBinary()
	if err != nil {
		panic(err)
	}
	state, err := session.Parse(data[:len(data)-crc32.Size])
	if err != nil {
		panic(err)
	}
	for i := range state.Ticket {
		state.Ticket[i] ^= 0x55
	}
	data = state.Append(nil)
	spoiled := new(hermetic.Session)
	if err := spoiled.UnmarshalBinary(binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(data))); err != nil {
		panic(err)
	}
	return spoiled
}

// open is our end of the nth connection.
func (m *meeting) open(n int) end {
	engine, err := hermetic.NewEngine(m.mode(), m.configFor(n))
	if err != nil {
		m.t.Fatal(err)
	}
	m.engine = engine
	c := m.cell
	if m.peerServes {
		if n == 0 {
			m.speaker = m.peer.serve(m.t, c, m.files, m.port)
		}
		if !c.stream {
			bound(m.port)
			return &udpLink{conn: listenUDP(m.t), engine: engine, peer: loopback(m.relayed()), patience: m.patience()}
		}
		fd, err := connect(m.port)
		if err != nil {
			m.t.Fatalf("%v; the peer says: %s", err, m.speaker.log())
		}
		return &link{fd: fd, engine: engine}
	}
	m.record = nil
	keep := func(in []byte) { m.record = append(m.record, in) }
	peerCell := c
	if c.retry {
		peerCell.group = 0 // so that its first share is another
	}
	m.speaker = m.peer.connect(m.t, peerCell, m.files, m.relayed(), n, m.speaker)
	if !c.stream {
		m.socket = &udpLink{conn: m.socket.conn, engine: engine, before: m.socket.peer, arrived: arrived{record: keep}, patience: m.patience()}
		return m.socket
	}
	fd, err := accept(m.listener)
	if err != nil {
		m.t.Fatalf("%v; the peer says: %s", err, m.speaker.log())
	}
	return &link{fd: fd, engine: engine, arrived: arrived{record: keep}}
}

// relayed is the port at which the client finds the server.
func (m *meeting) relayed() int {
	if m.cell.loss == 0 {
		return m.port
	}
	return startRelay(m.t, m.port, m.cell.loss, 1)
}

func (m *meeting) patience() time.Duration {
	if m.cell.loss > 0 {
		return 2 * patience
	}
	return patience
}

func (m *meeting) run() {
	for n := range m.cell.connections() {
		e := m.open(n)
		err := m.converse(e, n)
		switch {
		case m.cell.refused():
			m.checkRefusal(err)
		case err != nil:
			m.t.Errorf("connection %d: %v; the peer says: %s", n, err, m.speaker.log())
		default:
			m.check(n)
		}
		e.close()
		if m.t.Failed() || m.cell.refused() {
			return
		}
	}
	if err := m.told(); err != nil {
		m.t.Error(err)
	}
	if m.cell.replay {
		m.replay()
	}
}

// replay sends everything again to another engine of the same Config. That engine can
// open the ticket, so it resumes; but the early data has been seen before.
func (m *meeting) replay() {
	engine, err := hermetic.NewEngine(m.mode(), m.configFor(1))
	if err != nil {
		m.t.Fatal(err)
	}
	record := m.record
	if m.cell.stream {
		record = [][]byte{bytes.Join(record, nil)}
	}
	for _, in := range record {
		for len(in) > 0 {
			o, err := engine.Open(in)
			if len(o.Data) > 0 {
				m.t.Errorf("a replay gets through: %q", o.Data)
			}
			if err != nil || o.N == 0 {
				break // the answers to our first flight are to another one
			}
			in = in[o.N:]
		}
		engine.Output(nil)
	}
	s := engine.State()
	if !s.DidResume || !s.EarlyDataOffered || s.EarlyDataAccepted || s.HandshakeComplete {
		m.t.Errorf("after the replay: resumed %v, early data offered %v, accepted %v, complete %v", s.DidResume, s.EarlyDataOffered, s.EarlyDataAccepted, s.HandshakeComplete)
	}
}

// converse is the nth connection, from the first flight to the end.
func (m *meeting) converse(e end, n int) error {
	early := m.cell.early && n > 0
	if early && m.peerServes {
		if err := e.sendEarly(earlyWords); err != nil {
			return err
		}
	}
	if err := e.until("handshake", m.engine.HandshakeComplete); err != nil {
		return err
	}
	if m.speaker.hasty && n == 0 && m.cell.connections() > 1 {
		err := e.until("its end", func() bool { return false })
		if !e.all().closed {
			return err
		}
		return nil
	}
	if early {
		if err := m.earlyWords(e); err != nil {
			return err
		}
	}
	return m.say(e, fmt.Appendf(nil, "%d: words of a connection\n", n))
}

// earlyWords waits for the early data to come through; a client whose server has
// rejected it sends it again.
func (m *meeting) earlyWords(e end) error {
	switch {
	case m.peerServes && !m.engine.State().EarlyDataAccepted:
		return m.say(e, earlyWords)
	case m.peerServes && m.speaker.silent:
		return nil
	case m.peerServes:
		return e.until("early data", func() bool { return m.heard(e, earlyWords) })
	case m.cell.accepts():
		return e.until("early data", func() bool { return bytes.Contains(e.all().early, earlyWords) })
	case len(e.all().early) > 0:
		return fmt.Errorf("early data that was rejected has come: %q", e.all().early)
	}
	return nil
}

// heard reports whether the peer has received what we sent.
func (m *meeting) heard(e end, words []byte) bool {
	if m.speaker.echoes {
		return bytes.Contains(e.all().got, words)
	}
	return m.speaker.wrote(words)
}

// say sends words to the peer, and expects the same from it. A peer with a standard
// input sends them only after it has received ours: OpenSSL's programs print nothing
// about a connection once they write to it.
func (m *meeting) say(e end, words []byte) error {
	send := func() error { return e.send(words) }
	if err := insist(e, func() bool { return m.heard(e, words) }, send); err != nil || m.speaker.echoes {
		return err
	}
	return insist(e, func() bool { return bytes.Contains(e.all().got, words) }, func() error {
		if _, err := m.speaker.stdin.Write(words); err != nil {
			return err
		}
		return send() // what comes again lets OpenSSL's programs block until more comes
	})
}

// insist does something until it takes effect; over a stream, once.
func insist(e end, effect func() bool, do func() error) error {
	if l, ok := e.(*udpLink); ok {
		return l.repeat("words", effect, do)
	}
	if err := do(); err != nil {
		return err
	}
	return e.until("words", effect)
}

// check compares what our side knows about the nth connection.
func (m *meeting) check(n int) {
	s, c := m.engine.State(), m.cell
	c.check(m.t, s, "")
	if s.DidResume != c.resumes(n) {
		m.t.Errorf("connection %d: resumed %v", n, s.DidResume)
	}
	want := ""
	if c.psk && c.wrong == "" {
		want = identity
	}
	if string(s.PSKIdentity) != want {
		m.t.Errorf("PSK identity %q, want %q", s.PSKIdentity, want)
	}
	if accepts := n > 0 && m.cell.accepts(); s.EarlyDataAccepted != accepts {
		m.t.Errorf("connection %d: early data accepted: %v", n, s.EarlyDataAccepted)
	}
	if c.early && n > 0 && !s.EarlyDataOffered {
		m.t.Error("no early data was offered")
	}
}

// checkRefusal: with different PSKs there is no connection, and our server says so.
func (m *meeting) checkRefusal(err error) {
	var alert *hermetic.AlertError
	switch {
	case m.engine.HandshakeComplete() && err == nil:
		m.t.Error("a connection with another PSK")
	case m.peerServes || !m.cell.stream && m.cell.version == tls.VersionTLS12:
		// Where records do not authenticate they are dropped, and time runs out.
	case !errors.As(err, &alert) || alert.Received || !slices.Contains(refusals, alert.Alert):
		m.t.Errorf("%v; the peer says: %s", err, m.speaker.log())
	}
}

var refusals = []hermetic.Alert{hermetic.AlertDecryptError, hermetic.AlertBadRecordMAC}

// told compares what the peer says about all connections.
func (m *meeting) told() error {
	w, c := m.peer.words(m.cell, m.peerServes), m.cell
	for _, test := range []struct {
		word string
		want bool
	}{
		{w.resumed, c.connections() > 1 && c.resumes(1)},
		{w.early, m.cell.accepts()},
		{w.psk, c.psk && c.wrong == ""},
	} {
		if test.word == "" {
			continue
		}
		said := func() bool { return m.speaker.said(test.word) }
		for deadline := time.Now().Add(patience); test.want && !said() && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		if said() != test.want {
			return fmt.Errorf("the peer says %q: %v; it says: %s", test.word, said(), m.speaker.log())
		}
	}
	return nil
}

func (p *process) said(words string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.stdout.Bytes(), []byte(words)) || bytes.Contains(p.stderr.Bytes(), []byte(words))
}
