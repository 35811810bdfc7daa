package interop

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/session"
)

// sessionCell is one way to come back, or to have met before: two connections
// one after the other, or one with an external PSK.
type sessionCell struct {
	datagramCell
	stream bool // over TLS, not DTLS
	ids    bool // TLS 1.2: sessions by their ids, without tickets
	forged bool // the ticket is spoiled on its way: a full handshake
	early  bool // 0-RTT data goes with the second connection
	late   bool // our clock is a minute ahead then: early data is rejected, and sent again
	replay bool // all that came with the second connection comes again
	psk    bool
	hash   crypto.Hash // that the PSK is for
	wrong  string      // what our PSK has that the peer's has not: "key" or "identity"
	certs  bool        // the server of a PSK also has a certificate
}

// What both sides of a PSK know.
const identity = "a device"

var key = []byte("0123456789abcdef0123456789abcdef")

// earlyWords goes as early data.
var earlyWords = []byte("0-RTT: early words\n")

var pskSuites = []uint16{0x00a8, 0x00a9, 0xccab, 0xc0a4, 0xc0a5, 0xc0a8, 0xc0a9, 0xd001, 0xd002, 0xccac, 0xd005, 0xd003}

// sessionCells are the cells of one version of TLS or DTLS.
func sessionCells(stream bool, version uint16) (list []sessionCell) {
	add := func(what string, c sessionCell) {
		c.what, c.version, c.stream = what, version, stream
		list = append(list, c)
	}
	add("resumption", sessionCell{})
	add("resumption, mutual", sessionCell{datagramCell: datagramCell{cell: cell{mutual: true}}})
	add("a forged ticket", sessionCell{forged: true})
	add("PSK, another key", sessionCell{psk: true, wrong: "key", datagramCell: datagramCell{cell: cell{group: tls.CurveP256}}})
	add("PSK, an unknown identity", sessionCell{psk: true, wrong: "identity", datagramCell: datagramCell{cell: cell{group: tls.CurveP256}}})
	if version == tls.VersionTLS12 {
		add("resumption by session id", sessionCell{ids: true})
		for _, s := range pskSuites {
			group := map[bool]tls.CurveID{true: tls.CurveP256}[s>>8 == 0xd0]
			add(suiteName(s), sessionCell{psk: true, datagramCell: datagramCell{cell: cell{suite: s, group: group}}})
		}
		return list
	}
	add("resumption, SHA-384", sessionCell{datagramCell: datagramCell{cell: cell{suite: tls.TLS_AES_256_GCM_SHA384}}})
	add("resumption, HelloRetryRequest", sessionCell{datagramCell: datagramCell{cell: cell{retry: true, group: tls.CurveP384}}})
	var first datagramCell
	if !stream {
		first.group = tls.X25519 // whose share fits into a datagram: a HelloRetryRequest would reject early data
	}
	add("0-RTT", sessionCell{early: true, datagramCell: first})
	add("0-RTT, rejected for its age", sessionCell{early: true, late: true, datagramCell: first})
	add("0-RTT, rejected with a forged ticket", sessionCell{early: true, forged: true, datagramCell: first})
	add("0-RTT, replayed", sessionCell{early: true, replay: true, datagramCell: first})
	add("PSK", sessionCell{psk: true})
	add("PSK, SHA-384", sessionCell{psk: true, hash: crypto.SHA384, datagramCell: datagramCell{cell: cell{suite: tls.TLS_AES_256_GCM_SHA384}}})
	add("PSK, an unknown identity, certificate", sessionCell{psk: true, wrong: "identity", certs: true})
	return list
}

// resumes reports whether the nth connection should resume the one before.
func (c sessionCell) resumes(n int) bool { return n > 0 && !c.forged }

// accepts reports whether the server should take the early data.
func (c sessionCell) accepts() bool { return c.early && !c.late && !c.forged }

// refused reports whether there should be no connection.
func (c sessionCell) refused() bool { return c.wrong != "" && !c.certs }

// connections is how many there are.
func (c sessionCell) connections() int {
	if c.psk {
		return 1
	}
	return 2
}

// words are what a peer's output has for each connection of a kind; "": it does
// not tell.
type words struct{ resumed, early, psk string }

// sessionPeer is another implementation of TLS or DTLS, in the role that
// hermetic does not have.
type sessionPeer interface {
	name() string
	// prepare says what is not installed, or "".
	prepare(t *testing.T) (missing string)
	speaks(stream bool, version uint16) bool
	// cannot says why a cell is not for this peer, or "".
	cannot(c sessionCell, server bool) string
	words(c sessionCell, server bool) words
	// serve starts a server of any number of connections, one after the other.
	serve(t *testing.T, c sessionCell, f files, port int) *speaker
	// connect makes a client's nth connection; before made the one before.
	connect(t *testing.T, c sessionCell, f files, port, n int, before *speaker) *speaker
}

// speaker is a running sessionPeer.
type speaker struct {
	*process
	echoes bool // it sends back what comes
	hasty  bool // a client that ends its first connection by itself
	silent bool // a server that keeps early data to itself
}

var sessionPeers = []sessionPeer{
	goSessions{}, opensslSessions{}, gnutlsSessions{}, compiledSessions{mbedTLS}, compiledSessions{wolfSSL}, compiledSessions{nss},
	pionSessions{}, pion4Sessions{},
}

// TestSessions is the matrix of resumption, early data and PSKs.
func TestSessions(t *testing.T) {
	a := &authority{ca: pkitest.CA(t)}
	type protocol struct {
		stream  bool
		version uint16
		table   table
		columns []string
	}
	var protocols []*protocol
	for _, stream := range []bool{true, false} {
		for _, v := range versions {
			protocols = append(protocols, &protocol{stream: stream, version: v})
		}
	}
	t.Run("cells", func(t *testing.T) {
		for _, p := range sessionPeers {
			if why := p.prepare(t); why != "" {
				if os.Getenv("CI") == "true" {
					t.Error(why)
				}
				t.Logf("%s: no cells with %s", why, p.name())
				continue
			}
			for _, m := range protocols {
				if !p.speaks(m.stream, m.version) {
					continue
				}
				m.columns = append(m.columns, p.name()+" server", p.name()+" client")
				for _, c := range sessionCells(m.stream, m.version) {
					for _, server := range []bool{true, false} {
						sessionTest(t, p, c, server, a, &m.table)
					}
				}
			}
		}
	})
	for _, m := range protocols {
		m.table.print(m.columns)
	}
}

func sessionTest(t *testing.T, p sessionPeer, c sessionCell, server bool, a *authority, m *table) {
	row, column := versionName(c)+" "+c.what, p.name()+map[bool]string{true: " server", false: " client"}[server]
	why := p.cannot(c, server)
	switch {
	case c.ids && !server:
		why = "our server has no session ids"
	case c.replay && server:
		why = "a replay is for a server of ours to refuse"
	}
	if why != "" {
		m.set(row, column, why)
		return
	}
	t.Run(column+"/"+row, func(t *testing.T) {
		t.Parallel()
		m.set(row, column, "FAILED")
		newMeeting(t, p, c, server, a).run()
		if !t.Failed() {
			m.set(row, column, "ok")
		}
	})
}

func versionName(c sessionCell) string {
	if c.stream {
		return tls.VersionName(c.version)
	}
	return "D" + tls.VersionName(c.version)
}

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
	case peerServes && c.stream:
		m.port, err = freePort()
	case peerServes:
		m.port = freeUDPPort(t)
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
	cfg.Datagram.RetransmitTimeout, cfg.Datagram.MaxTimeouts = 200*time.Millisecond, 8
	if c.refused() {
		cfg.Datagram.MaxTimeouts = 3
	}
	if c.psk {
		own := hermetic.PSK{Identity: []byte(identity), Key: key, Hash: c.hash}
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
		return nil
	}
	state, err := session.Parse(data)
	if err != nil {
		return nil
	}
	for i := range state.Ticket {
		state.Ticket[i] ^= 0x55
	}
	spoiled := new(hermetic.Session)
	if spoiled.UnmarshalBinary(state.Append(nil)) != nil {
		return nil
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
			return &udpLink{conn: listenUDP(m.t), engine: engine, peer: loopback(m.port)}
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
	m.speaker = m.peer.connect(m.t, peerCell, m.files, m.port, n, m.speaker)
	if !c.stream {
		m.socket = &udpLink{conn: m.socket.conn, engine: engine, before: m.socket.peer, arrived: arrived{record: keep}}
		return m.socket
	}
	fd, err := accept(m.listener)
	if err != nil {
		m.t.Fatalf("%v; the peer says: %s", err, m.speaker.log())
	}
	return &link{fd: fd, engine: engine, arrived: arrived{record: keep}}
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

// replay says everything again to another engine of the same Config. It has the
// ticket, so that it resumes; but the early data it has seen before.
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

// converse is the nth connection, from the first flight to the last words.
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
// rejected it says it again.
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

// heard reports whether the peer has got what we said.
func (m *meeting) heard(e end, words []byte) bool {
	if m.speaker.echoes {
		return bytes.Contains(e.all().got, words)
	}
	return m.speaker.wrote(words)
}

// say says words to the peer, and hears the same from it. Only when it has heard
// us does a peer with a standard input say them: OpenSSL's programs do not tell
// about a connection that they have begun to write to.
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

// insist does something until it has had its effect; over a stream once is enough.
func insist(e end, effect func() bool, do func() error) error {
	if l, ok := e.(*udpLink); ok {
		return l.repeat("words", effect, do)
	}
	if err := do(); err != nil {
		return err
	}
	return e.until("words", effect)
}

// check is what our side knows of the nth connection.
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

// checkRefusal: a PSK that is not the same leads to no connection, and our server
// says so.
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

// told is what the peer knows of all connections.
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
