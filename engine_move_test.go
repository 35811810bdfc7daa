package hermetic

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func stateAEAD(t testing.TB, key byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// randomGCM makes its nonces itself: those that its caller makes are empty. FIPS 140-3 approves it.
func randomGCM(t testing.TB) cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// move exports an engine and imports it again.
func move(t *testing.T, e *Engine, skip uint64) *Engine {
	t.Helper()
	aead := stateAEAD(t, 1)
	if e.mode.IsServer() {
		aead = randomGCM(t)
	}
	state, err := e.Export(nil, aead)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Seal(nil, []byte("x")); err == nil {
		t.Error("an exported engine seals")
	}
	moved, err := ImportEngine(e.plan.cfg, state, aead, &ImportOptions{SkipSequenceNumbers: skip})
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

func TestMove(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, now := sessionConfigs(t, version)
		client.Certificates, server.ClientAuth, server.ClientCAs = server.Certificates, tls.RequireAndVerifyClientCert, client.RootCAs
		client.DTLS.ConnectionIDs, server.DTLS.ConnectionIDs, server.DTLS.ConnectionIDLength = true, true, 4
		client.DTLS.SRTPProfiles, server.DTLS.SRTPProfiles = []uint16{7}, []uint16{7}
		m := newMeeting(t, datagram, client, server)
		m.settle(now)
		before := [2]ConnectionState{m.client.State(), m.server.State()}
		var skip uint64
		if datagram {
			skip = 1000
		}
		for round := range 3 {
			if version == tls.VersionTLS13 {
				if err := m.client.KeyUpdate(UpdateRequested); err != nil {
					t.Fatal(err)
				}
				m.settle(now)
			}
			m.client = move(t, m.client, 0)
			m.settle(now)
			m.server = move(t, m.server, skip)
			m.settle(now)
			for i, e := range []*Engine{m.client, m.server} {
				after := e.State()
				if after.Version != before[i].Version || after.CipherSuite != before[i].CipherSuite || after.ServerName != before[i].ServerName ||
					len(after.PeerCertificates) != 1 || !after.PeerCertificates[0].Equal(before[i].PeerCertificates[0]) || after.CurveID != before[i].CurveID || after.SRTPProfile != before[i].SRTPProfile || datagram != (after.SRTPProfile == 7) {
					t.Errorf("round %d, %v: %+v", round, e.mode, after)
				}
				old, err := before[i].ExportKeyingMaterial("label", nil, 32)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := e.ExportKeyingMaterial("label", nil, 32); err != nil || !bytes.Equal(got, old) {
					t.Errorf("round %d, %v: other keying material, %v", round, e.mode, err)
				}
			}
		}
		// Tickets still come, and close_notify.
		m.client.Close()
		if err := m.run(); err == nil || !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

// TestMoveKeepsReplaysOut: what was received before is known after.
func TestMoveKeepsReplaysOut(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server, now := sessionConfigs(t, version)
		m := newMeeting(t, true, client, server)
		m.settle(now)
		out, err := m.client.Seal(nil, []byte("once"))
		if err != nil {
			t.Fatal(err)
		}
		again := bytes.Clone(out)
		if o, err := m.server.Open(out); err != nil || string(o.Data) != "once" {
			t.Fatalf("%q, %v", o.Data, err)
		}
		m.server = move(t, m.server, 0)
		if o, err := m.server.Open(again); err != nil || o.Kind != KindNone {
			t.Errorf("%#x: a replay is %q, %v", version, o.Data, err)
		}
	}
}

// TestMoveKeepsForgeries: the keys stay the same, and so does what they have met.
func TestMoveKeepsForgeries(t *testing.T) {
	for _, version := range versions {
		client, server, now := sessionConfigs(t, version)
		m := newMeeting(t, true, client, server)
		m.settle(now)
		forged, err := m.client.Seal(nil, []byte("words"))
		if err != nil {
			t.Fatal(err)
		}
		forged[len(forged)-1] ^= 1
		for i := range uint64(3) {
			if _, err := m.server.Open(bytes.Clone(forged)); err != nil {
				t.Fatal(err)
			}
			m.server = move(t, m.server, 0)
			if state, err := m.server.carrier.Sleep(now.now); err != nil || state.Forged != i+1 {
				t.Errorf("%s: %d forgeries, %v, want %d", tls.VersionName(version), state.Forged, err, i+1)
			}
		}
	}
}

// TestMoveToAnotherConfig: a connection keeps what it has negotiated, also where it goes
// on under a Config that would not have.
func TestMoveToAnotherConfig(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, now := sessionConfigs(t, tls.VersionTLS13)
		server.Tickets = 2
		for _, cfg := range []*Config{client, server} {
			cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, 4
		}
		m := newMeeting(t, datagram, client, server)
		for !m.server.HandshakeComplete() { // and its tickets are under way
			if _, err := m.pass(m.client, m.server); err != nil {
				t.Fatal(err)
			}
			if !m.server.HandshakeComplete() {
				if _, err := m.pass(m.server, m.client); err != nil {
					t.Fatal(err)
				}
			}
		}
		other := &Config{Time: now.time, InsecureSkipVerify: true}
		imported := func(e *Engine) *Engine {
			state, err := e.Export(nil, stateAEAD(t, 1))
			if err != nil {
				t.Fatal(err)
			}
			if e, err = ImportEngine(other, state, stateAEAD(t, 1), nil); err != nil {
				t.Fatal(err)
			}
			return e
		}
		if datagram {
			m.settle(now)
			m.server = imported(m.server)
		}
		m.client = imported(m.client)
		m.settle(now)
		if !datagram {
			return
		}
		for _, e := range []*Engine{m.client, m.server} {
			if err := e.RequestConnectionIDs(2); err != nil {
				t.Fatal(err)
			}
			m.settle(now)
			if !e.ChangeConnectionID() {
				t.Error("it has got no connection ID")
			}
		}
		m.settle(now)
	})
}

// TestMoveKeepsNewest: an engine that has moved still knows which record is the newest,
// even one from a new path, and drops what comes after the peer's close_notify.
func TestMoveKeepsNewest(t *testing.T) {
	for _, version := range versions {
		for _, updated := range []bool{false, true} {
			if updated && version == tls.VersionTLS12 {
				continue
			}
			client, server, now := sessionConfigs(t, version)
			for _, cfg := range []*Config{client, server} {
				cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, 4
			}
			m := newMeeting(t, true, client, server)
			m.settle(now)
			if updated {
				if err := m.client.KeyUpdate(UpdateNotRequested); err != nil {
					t.Fatal(err)
				}
				m.settle(now)
			}
			hears := func(datagram []byte, want Kind, err error) {
				t.Helper()
				if o, got := m.server.Open(datagram); o.Kind != want || got != err {
					t.Errorf("%s, updated %v: kind %v, %v, want %v, %v", tls.VersionName(version), updated, o.Kind, got, want, err)
				}
			}
			say := func(words string) []byte {
				out, err := m.client.Seal(nil, []byte(words))
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			late, lost := say("late"), say("lost")
			hears(say("newer"), KindNewPath, nil)
			m.server = move(t, m.server, 0)
			hears(late, KindData, nil)
			hears(say("newest"), KindNewPath, nil)

			m.client.Close()
			hears(m.client.Output(nil), KindNone, ErrClosed)
			m.server = move(t, m.server, 0)
			hears(lost, KindData, nil)
			behind, err := m.client.carrier.Seal(nil, []byte("after the end"))
			if err != nil {
				t.Fatal(err)
			}
			hears(behind, KindNone, ErrClosed)
		}
	}
}

// TestMoveSkips: the peer understands what comes after any skip that is accepted, though
// it has missed a few records before.
func TestMoveSkips(t *testing.T) {
	for _, test := range []struct {
		version uint16
		skip    uint64
		want    bool
	}{
		{tls.VersionTLS12, 1<<48 - 100, true},
		{tls.VersionTLS12, 1<<48 - 1, false},
		{tls.VersionTLS12, 1<<64 - 1, false},
		{tls.VersionTLS13, 1 << 14, true},
		{tls.VersionTLS13, 1<<14 + 1, false},
		{tls.VersionTLS13, 1<<64 - 1, false},
	} {
		client, server, now := sessionConfigs(t, test.version)
		m := newMeeting(t, true, client, server)
		m.settle(now)
		for range 20 {
			if _, err := m.client.Seal(nil, []byte("lost")); err != nil {
				t.Fatal(err)
			}
		}
		state, err := m.client.Export(nil, stateAEAD(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		e, err := ImportEngine(client, state, stateAEAD(t, 1), &ImportOptions{SkipSequenceNumbers: test.skip})
		if (err == nil) != test.want || err != nil && !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%s, %d: %v", tls.VersionName(test.version), test.skip, err)
		}
		if err == nil {
			m.client = e
			m.finish()
		}
	}
}

// TestMoveVerifiesAgain: the Config that a client moves to has not verified the server
// that its connection is with, and does so before it offers a session of it.
func TestMoveVerifiesAgain(t *testing.T) {
	lax, server, now := sessionConfigs(t, tls.VersionTLS13)
	lax.InsecureSkipVerify = true
	strict := lax.Clone()
	strict.InsecureSkipVerify, strict.RootCAs, strict.SessionCache = false, pkitest.CA(t).Pool(), NewSessionCache(1)
	for cfg, want := range map[*Config]bool{lax: true, strict: false} {
		m := newMeeting(t, false, lax, server)
		for !m.server.HandshakeComplete() {
			if _, err := m.pass(m.client, m.server); err != nil {
				t.Fatal(err)
			}
			if m.server.HandshakeComplete() {
				break // its tickets are under way
			}
			if _, err := m.pass(m.server, m.client); err != nil {
				t.Fatal(err)
			}
		}
		state, err := m.client.Export(nil, stateAEAD(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		if m.client, err = ImportEngine(cfg, state, stateAEAD(t, 1), nil); err != nil {
			t.Fatal(err)
		}
		m.settle(now)
		m = newMeeting(t, false, cfg, server)
		if err := m.run(); (err == nil && m.client.State().DidResume) != want {
			t.Errorf("the server is accepted as one that was verified: %v, want %v (%v)", !want, want, err)
		}
	}
}

// TestMoveAnswersFinished: a client whose Finished was not acknowledged says it again,
// and a server that has moved since acknowledges it.
func TestMoveAnswersFinished(t *testing.T) {
	for _, tickets := range []int{0, 1} {
		for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256} {
			n := newNetwork(t, func(client, server *Config) {
				client.MinVersion, client.CipherSuites = tls.VersionTLS13, []uint16{suite}
				client.SessionCache, server.NoTickets = NewSessionCache(1), tickets == 0
				client.DTLS.RetransmitTimeout = 10 * time.Second // acknowledges before
			})
			lost := false
			n.lose = func() bool { // the ACK, followed by the ticket
				first := n.server.HandshakeComplete() && !lost
				lost = lost || first
				return first
			}
			for !n.server.HandshakeComplete() {
				if _, err := n.deliver(); err != nil {
					t.Fatal(err)
				}
			}
			if tickets > 0 { // it comes again, and is acknowledged
				for _, e := range []*Engine{n.server, n.client} {
					n.now, _ = e.Deadline()
					if err := e.Expire(); err != nil {
						t.Fatal(err)
					}
					if _, err := n.deliver(); err != nil {
						t.Fatal(err)
					}
				}
			}
			for range 2 { // from process to process
				n.server = move(t, n.server, 10)
			}
			n.exchangeDatagrams()
			n.server = move(t, n.server, 10)
			if n.client.carrier.(*carrier.Datagram).Acknowledged() {
				t.Fatal("the client has its ACK")
			}
			if err := n.wait(); err != nil {
				t.Errorf("%s, %d tickets: %v", tls.CipherSuiteName(suite), tickets, err)
			}
			if !n.client.carrier.(*carrier.Datagram).Acknowledged() {
				t.Error("the client has no ACK")
			}
			n.exchangeDatagrams()
		}
	}
}

func TestMoveRefusals(t *testing.T) {
	client, server, now := sessionConfigs(t, tls.VersionTLS13)
	aead := stateAEAD(t, 1)
	m := newMeeting(t, false, client, server)
	m.client.Output(nil)
	for name, f := range map[string]func(*Engine) error{
		"Export":  func(e *Engine) error { _, err := e.Export(nil, aead); return err },
		"Compact": func(e *Engine) error { return e.Compact() },
	} {
		if err := f(m.client); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%s in a handshake: %v", name, err)
		}
	}
	m = newMeeting(t, false, client, server)
	m.settle(now)
	if err := m.client.KeyUpdate(UpdateNotRequested); err != nil {
		t.Fatal(err)
	}
	if _, err := m.client.Export(nil, aead); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("Export with output: %v", err)
	}
	m.settle(now)
	if out, err := m.client.Export([]byte("prefix"), nil); !errors.Is(err, ErrInvalidOperation) || string(out) != "prefix" {
		t.Errorf("Export with a nil AEAD: %q, %v", out, err)
	}
	state, err := m.client.Export([]byte("prefix"), aead)
	if err != nil || string(state[:6]) != "prefix" {
		t.Fatal(err)
	}
	state = state[6:]
	if _, err := ImportEngine(nil, state, aead, nil); err == nil {
		t.Error("a nil Config is accepted")
	}
	if _, err := ImportEngine(client, state, nil, nil); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("a nil AEAD is accepted: %v", err)
	}
	if _, err := ImportEngine(client, state, stateAEAD(t, 2), nil); err == nil {
		t.Error("a state opens with another key")
	}
	if _, err := ImportEngine(client, state, aead, &ImportOptions{SkipSequenceNumbers: 1}); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("skipping over a stream: %v", err)
	}
	plain, err := m.server.Export(nil, plainAEAD{})
	if err != nil {
		t.Fatal(err)
	}
	for mode := range Mode(6) {
		plain[1] = byte(mode) // after the form
		if _, err := ImportEngine(server, plain, plainAEAD{}, nil); (err == nil) != (mode == TLSServer || mode == TLSClient) {
			t.Errorf("a connection over a stream, as %v: %v", mode, err)
		}
	}
	for at := range state {
		bad := bytes.Clone(state)
		bad[at] ^= 1
		if _, err := ImportEngine(client, bad, aead, nil); err == nil {
			t.Fatalf("a state with byte %d changed is imported", at)
		}
		if _, err := ImportEngine(client, state[:at], aead, nil); err == nil {
			t.Fatalf("%d bytes of a state are imported", at)
		}
	}
}

// TestMoveRefusesParts: a message of which a part has come is not lost.
func TestMoveRefusesParts(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, now := sessionConfigs(t, tls.VersionTLS13)
		server.Tickets, server.MaxRecordData, server.DTLS.MTU = 4, 512, 256
		m := newMeeting(t, datagram, client, server)
		for !m.server.HandshakeComplete() {
			for _, from := range []*Engine{m.client, m.server} {
				to := map[*Engine]*Engine{m.client: m.server, m.server: m.client}[from]
				for from.HasOutput() && !m.server.HandshakeComplete() {
					for in := from.Output(nil); len(in) > 0; {
						o, err := to.Open(in)
						if err != nil {
							t.Fatal(err)
						}
						in = in[o.N:]
					}
				}
			}
		}
		if datagram {
			now.now = now.now.Add(time.Second)
			m.client.Expire()
		}
		refused := 0
		for in := m.server.Output(nil); len(in) > 0; {
			o, err := m.client.Open(in)
			if err != nil {
				t.Fatal(err)
			}
			if in = in[o.N:]; m.client.Compact() != nil {
				refused++
			} else {
				m.client = move(t, m.client, 0)
			}
			if len(in) == 0 {
				in = m.server.Output(nil)
			}
		}
		m.settle(now)
		m.client = move(t, m.client, 0)
		tickets := 0
		for client.SessionCache.Get(m.client.sessionKey()) != nil {
			tickets++
		}
		if refused == 0 || tickets != 4 {
			t.Errorf("refused %d times, %d tickets came", refused, tickets)
		}
	})
}

func TestCompact(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, now := sessionConfigs(t, version)
		m := newMeeting(t, datagram, client, server)
		m.settle(now)
		for range 3 {
			for _, e := range []*Engine{m.client, m.server} {
				for range 2 {
					if err := e.Compact(); err != nil {
						t.Fatal(err)
					}
				}
				if e.Overhead() == 0 || e.MaxData() == 0 || e.HasOutput() {
					t.Error("it forgets what it is")
				}
			}
			m.settle(now)
			if version == tls.VersionTLS13 {
				if err := m.client.Compact(); err != nil {
					t.Fatal(err)
				}
				if err := m.client.KeyUpdate(UpdateRequested); err != nil {
					t.Fatal(err)
				}
				m.settle(now) // acknowledges it
				m.settle(now) // uses the new keys
			}
		}
		if err := m.server.Compact(); err != nil {
			t.Fatal(err)
		}
		m.server.Close()
		if err := m.run(); !errors.Is(err, ErrClosed) {
			t.Errorf("close_notify of a compact engine: %v", err)
		}
	})
}

// TestCompactServer: a client that has not heard the end of the handshake says its
// last flight again, and a server that has become small answers it.
func TestCompactServer(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			n := newNetwork(t, func(client, server *Config) {
				client.MaxVersion, server.NoTickets = version, true
			})
			deliver := func() {
				t.Helper()
				for moved := true; moved; {
					var err error
					if moved, err = n.deliver(); err != nil {
						t.Fatal(err)
					}
				}
			}
			compact := func(when string, want bool) {
				t.Helper()
				if err := n.server.Compact(); (err == nil) != want {
					t.Errorf("%s: %v", when, err)
				}
			}
			heard := func() bool { return n.client.carrier.(*carrier.Datagram).Acknowledged() }
			n.lose = func() bool { return n.server.HandshakeComplete() && n.now.Sub(pkitest.Now) < 2*time.Second }

			for !n.server.HandshakeComplete() {
				deliver()
			}
			// DTLS 1.2 keeps the flight itself, DTLS 1.3 the keys for another ACK.
			small := version == tls.VersionTLS13
			for !heard() {
				compact("while the client does not know", small)
				n.now, _ = n.client.Deadline()
				if err := n.client.Expire(); err != nil {
					t.Fatal(err)
				}
				deliver()
				n.now = n.now.Add(time.Second / 4) // a server collects what it acknowledges
				if err := n.server.Expire(); err != nil {
					t.Fatal(err)
				}
				deliver()
				if n.now.Sub(pkitest.Now) > time.Minute {
					t.Fatal("the client never hears that the handshake is complete")
				}
			}
			compact("before the client says something", small)
			out, err := n.client.Seal(nil, []byte("words"))
			if err != nil {
				t.Fatal(err)
			}
			if err := n.give(n.server, out); err != nil || len(n.datagrams.server) != 1 {
				t.Fatalf("%q, %v", n.datagrams.server, err)
			}
			compact("the client has said something", true)
		})
	}
}

// TestCompactSilentClient: a last flight of DTLS 1.2 has its time.
func TestCompactSilentClient(t *testing.T) {
	n := newNetwork(t, func(client, _ *Config) { client.MaxVersion = tls.VersionTLS12 })
	if err := n.wait(); err != nil {
		t.Fatal(err)
	}
	if err := n.server.Compact(); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("at once: %v", err)
	}
	n.now = n.now.Add(4*time.Minute + 1)
	if err := n.server.Compact(); err != nil {
		t.Errorf("after twice the segment lifetime: %v", err)
	}
}

// plainAEAD seals nothing: so that the fuzzer reaches what is inside.
type plainAEAD struct{}

func (plainAEAD) NonceSize() int                                { return 0 }
func (plainAEAD) Overhead() int                                 { return 0 }
func (plainAEAD) Seal(dst, _, plain, _ []byte) []byte           { return append(dst, plain...) }
func (plainAEAD) Open(dst, _, sealed, _ []byte) ([]byte, error) { return append(dst, sealed...), nil }

// FuzzImportEngine: whatever the state, an engine or an error; and an engine can
// be used.
func FuzzImportEngine(f *testing.F) {
	client, server := configs(f)
	server.DTLS.TrustAddress = true
	for _, datagram := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := client.Clone()
			c.MaxVersion = version
			m := newMeeting(f, datagram, c, server)
			m.finish()
			for _, e := range []*Engine{m.client, m.server} {
				state, err := e.Export(nil, plainAEAD{})
				if err != nil {
					f.Fatal(err)
				}
				f.Add(state)
			}
		}
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		var saved engineState
		if codec.Parse(state, saved.fields) {
			if again := codec.Append(nil, saved.fields); !bytes.Equal(again, state) {
				t.Errorf("%x became %x", state, again)
			}
		}
		e, err := ImportEngine(client, state, plainAEAD{}, nil)
		if err != nil {
			return
		}
		e.State()
		out, _ := e.Seal(nil, []byte("x"))
		e.Open(out)
		e.KeyUpdate(UpdateRequested)
		e.Output(nil)
		e.Export(nil, plainAEAD{})
	})
}

// FuzzTicket: a ticket is a session that was given away, or nothing.
func FuzzTicket(f *testing.F) {
	key := TicketKey{1}
	client, server := configs(f)
	client.SessionCache = NewSessionCache(1)
	server.TicketKeys = StaticTicketKeys(key)
	m := newMeeting(f, false, client, server)
	m.finish()
	f.Add(client.SessionCache.Get("tls:localhost").state.Ticket)
	form := server.compile.result.tickets
	f.Fuzz(func(t *testing.T, ticket []byte) {
		s := form.open([]TicketKey{key}, ticket)
		if s != nil && (len(s.Secret) == 0 || s.ServerName != "localhost") {
			t.Error("a forged ticket")
		}
	})
}
