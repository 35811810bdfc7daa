package hermetic

import (
	"bufio"
	"bytes"
	"crypto/fips140"
	"crypto/tls"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

var update = flag.Bool("update", false, "append to testdata/saved.txt what it lacks")

const savedFile = "testdata/saved.txt"

// savedAt is when everything in that file was saved.
var savedAt = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// readSaved returns the lines of the file: a name and bytes in hexadecimal, each.
func readSaved(t *testing.T) map[string][]byte {
	t.Helper()
	f, err := os.Open(savedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	saved := make(map[string][]byte)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), ": ")
		if !ok {
			t.Fatalf("%s: %q has no name", savedFile, lines.Text())
		}
		if saved[name], err = hex.DecodeString(value); err != nil {
			t.Fatalf("%s: %s: %v", savedFile, name, err)
		}
	}
	return saved
}

// save appends a line to the file.
func save(t *testing.T, name string, value []byte) {
	t.Helper()
	f, err := os.OpenFile(savedFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s: %x\n", name, value); err != nil {
		t.Fatal(err)
	}
}

var savedPSK = PSK{Identity: []byte("device 7"), Key: bytes.Repeat([]byte{7}, 32)}

// savedStates are the connections whose states are saved.
var savedStates = []struct {
	name     string
	datagram bool
	version  uint16
	config   func(client, server *Config)
	before   func(t *testing.T, m *meeting, now *clock) // the export; nil: both have said something
}{
	{"TLS 1.2", false, tls.VersionTLS12, nil, nil},
	{"TLS 1.3", false, tls.VersionTLS13, nil, nil},
	{"DTLS 1.2", true, tls.VersionTLS12, nil, nil},
	{"DTLS 1.3", true, tls.VersionTLS13, nil, nil},
	{"TLS 1.2, certificates of both", false, tls.VersionTLS12, savedMutual, nil},
	{"TLS 1.3, certificates of both", false, tls.VersionTLS13, savedMutual, nil},
	{"TLS 1.2, a raw public key", false, tls.VersionTLS12, savedRaw, nil},
	{"TLS 1.3, raw public keys of both", false, tls.VersionTLS13, func(client, server *Config) {
		savedMutual(client, server)
		savedRaw(client, server)
		savedRaw(server, client)
		server.ClientAuth = tls.RequireAnyClientCert
	}, nil},
	{"DTLS 1.2, connection IDs", true, tls.VersionTLS12, savedCIDs, nil},
	{"DTLS 1.3, connection IDs", true, tls.VersionTLS13, savedCIDs, nil},
	{"DTLS 1.3, spare connection IDs", true, tls.VersionTLS13, savedCIDs, func(t *testing.T, m *meeting, now *clock) {
		m.settle(now)
		for _, e := range []*Engine{m.client, m.server} {
			if err := e.RequestConnectionIDs(3); err != nil {
				t.Fatal(err)
			}
			m.settle(now)
		}
	}},
	{"DTLS 1.2, SRTP", true, tls.VersionTLS12, savedSRTP, nil},
	{"DTLS 1.3, SRTP", true, tls.VersionTLS13, savedSRTP, nil},
	{"TLS 1.2, a PSK", false, tls.VersionTLS12, savedWithPSK, nil},
	{"TLS 1.3, a PSK", false, tls.VersionTLS13, savedWithPSK, nil},
	{"TLS 1.3, ALPN and a HelloRetryRequest", false, tls.VersionTLS13, func(client, server *Config) {
		client.NextProtos, server.NextProtos = []string{"h2"}, []string{"h2"}
		client.KeyShares = []tls.CurveID{}
	}, nil},
	{"TLS 1.2, resumed", false, tls.VersionTLS12, nil, savedResumed},
	{"TLS 1.3, resumed", false, tls.VersionTLS13, nil, savedResumed},
	{"DTLS 1.3, resumed", true, tls.VersionTLS13, nil, savedResumed},
	{"TLS 1.3, early data", false, tls.VersionTLS13, func(client, server *Config) {
		client.EarlyData, server.MaxEarlyData = true, 1000
	}, savedResumed},
	{"TLS 1.3, key updates", false, tls.VersionTLS13, nil, func(t *testing.T, m *meeting, now *clock) {
		m.settle(now)
		savedUpdate(t, m, now)
	}},
	{"DTLS 1.3, key updates", true, tls.VersionTLS13, nil, func(t *testing.T, m *meeting, now *clock) {
		m.settle(now)
		savedUpdate(t, m, now)
	}},
	{"TLS 1.3, a key update to answer", false, tls.VersionTLS13, nil, func(t *testing.T, m *meeting, now *clock) {
		m.settle(now)
		if err := m.client.KeyUpdate(true); err != nil {
			t.Fatal(err)
		}
		if err := m.run(); err != nil {
			t.Fatal(err)
		}
	}},
	{"TLS 1.2, closed by the client", false, tls.VersionTLS12, nil, savedClosed},
	{"TLS 1.3, closed by the client", false, tls.VersionTLS13, nil, savedClosed},
	{"TLS 1.2, sizes", false, tls.VersionTLS12, savedSizes, nil},
	{"TLS 1.3, sizes", false, tls.VersionTLS13, savedSizes, nil},
	{"DTLS 1.3, a fragment length", true, tls.VersionTLS13, func(client, _ *Config) { client.MaxFragmentLength = 1024 }, nil},
	{"TLS 1.3, compressed certificates", false, tls.VersionTLS13, func(client, server *Config) {
		savedMutual(client, server)
		server.Certificates[0].Certificate = append(server.Certificates[0].Certificate, server.Certificates[0].Certificate[0])
		for _, cfg := range []*Config{client, server} {
			cfg.CertificateCompressors = []CertificateCompressor{ZlibCompressor()}
		}
	}, nil},
	{"DTLS 1.2, forged records", true, tls.VersionTLS12, nil, savedForged},
	{"DTLS 1.3, forged records", true, tls.VersionTLS13, nil, savedForged},
}

func savedMutual(client, server *Config) {
	client.Certificates, server.ClientAuth, server.ClientCAs = server.Certificates, tls.RequireAndVerifyClientCert, client.RootCAs
}

func savedSizes(client, server *Config) { client.RecordSizeLimit, server.RecordSizeLimit = 300, 400 }

func savedRaw(client, server *Config) {
	server.Certificates = []tls.Certificate{{PrivateKey: server.Certificates[0].PrivateKey}}
	client.PeerCertificateTypes, client.InsecureSkipVerify = []CertificateType{CertificateRawPublicKey}, true
}

func savedCIDs(client, server *Config) {
	for _, cfg := range []*Config{client, server} {
		cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, 4
	}
}

func savedSRTP(client, server *Config) {
	client.DTLS.SRTPProfiles, server.DTLS.SRTPProfiles = []uint16{7}, []uint16{7}
}

func savedWithPSK(client, server *Config) {
	client.PSKs, server.PSKs = []PSK{savedPSK}, []PSK{savedPSK}
	server.Certificates = nil
}

// savedResumed connects again, and says something early if it can.
func savedResumed(t *testing.T, m *meeting, now *clock) {
	m.settle(now)
	for _, e := range []*Engine{m.client, m.server} {
		e.Reset()
	}
	if m.client.plan.cfg.EarlyData {
		if err := m.sendEarly("early"); err != nil {
			t.Fatal(err)
		}
	}
	m.settle(now)
	if !m.client.State().DidResume {
		t.Fatal("it did not resume")
	}
}

func savedUpdate(t *testing.T, m *meeting, now *clock) {
	for _, e := range []*Engine{m.client, m.server} {
		if err := e.KeyUpdate(true); err != nil {
			t.Fatal(err)
		}
		m.settle(now)
	}
	m.settle(now)
}

func savedClosed(t *testing.T, m *meeting, now *clock) {
	m.settle(now)
	m.client.Close()
	m.run() // which ends with ErrClosed
}

func savedForged(t *testing.T, m *meeting, now *clock) {
	m.settle(now)
	for _, ends := range [][2]*Engine{{m.client, m.server}, {m.server, m.client}} {
		out, err := ends[0].Seal(nil, []byte("forged"))
		if err != nil {
			t.Fatal(err)
		}
		out[len(out)-1] ^= 1
		if _, err := ends[1].Open(out); err != nil {
			t.Fatal(err)
		}
	}
}

// description is what a state says of a connection, in one line. Older states say nothing of
// sizes and compression.
func description(e *Engine) string {
	s := e.State()
	local, peer := e.ConnectionIDs()
	sizes := ""
	if s.PeerRecordSizeLimit+s.MaxFragmentLength > 0 {
		sizes = fmt.Sprintf(" peer's limit %d fragments %d MaxData %d compressed %d %d", s.PeerRecordSizeLimit, s.MaxFragmentLength, e.MaxData(), s.LocalCertificateCompression, s.PeerCertificateCompression)
	}
	return fmt.Sprintf("%v %#04x suite %#04x group %v name %q ALPN %q resumed %v PSK %q early %v %v retried %v EMS %v schemes %#04x %#04x chain of %d key %v SRTP %d CIDs %x %x",
		s.Mode, s.Version, s.CipherSuite, uint16(s.CurveID), s.ServerName, s.NegotiatedProtocol, s.DidResume, s.PSKIdentity, s.EarlyDataOffered, s.EarlyDataAccepted,
		s.HelloRetryRequest, s.ExtendedMasterSecret, uint16(s.LocalSignatureScheme), uint16(s.PeerSignatureScheme), len(s.PeerCertificates), s.PeerPublicKey != nil, s.SRTPProfile, local, peer) + sizes
}

// saveStates makes a connection, and saves the states of both its ends.
func saveStates(t *testing.T, name string, datagram bool, version uint16, config func(client, server *Config), before func(*testing.T, *meeting, *clock)) {
	client, server, now := sessionConfigs(t, version)
	if config != nil {
		config(client, server)
	}
	now.now = savedAt
	m := newMeeting(t, datagram, client, server)
	if before == nil {
		before = func(_ *testing.T, m *meeting, now *clock) { m.settle(now) }
	}
	before(t, m, now)
	now.now = savedAt
	keys, err := m.client.ExportKeyingMaterial("saved", nil, 16)
	if err != nil {
		t.Fatal(err)
	}
	save(t, name+", keying material", keys)
	for _, e := range []*Engine{m.client, m.server} {
		save(t, fmt.Sprintf("%s, %v, description", name, e.mode), []byte(description(e)))
		state, err := e.Export(nil, plainAEAD{})
		if err != nil {
			t.Fatal(err)
		}
		save(t, fmt.Sprintf("%s, %v", name, e.mode), state)
	}
}

// TestSavedStates: a state that was exported once can be imported forever, and is
// exported as the same bytes again.
func TestSavedStates(t *testing.T) {
	saved := readSaved(t)
	for _, test := range savedStates {
		t.Run(test.name, func(t *testing.T) {
			keys, ok := saved[test.name+", keying material"]
			if !ok && *update {
				saveStates(t, test.name, test.datagram, test.version, test.config, test.before)
				return
			}
			modes := []Mode{TLSClient, TLSServer}
			if test.datagram {
				modes = []Mode{DTLSClient, DTLSServer}
			}
			now := &clock{savedAt}
			var engines []*Engine
			for _, mode := range modes {
				state := saved[fmt.Sprintf("%s, %v", test.name, mode)]
				imported := func() *Engine {
					e, err := ImportEngine(&Config{Time: now.time, InsecureSkipVerify: true}, state, plainAEAD{}, nil)
					if err != nil {
						t.Fatal(err)
					}
					return e
				}
				e := imported()
				if again, err := e.Export(nil, plainAEAD{}); err != nil || !bytes.Equal(again, state) {
					t.Errorf("%v: exported again: %v\n%x, want\n%x", mode, err, again, state)
				}
				e = imported()
				if got, want := description(e), string(saved[fmt.Sprintf("%s, %v, description", test.name, mode)]); got != want {
					t.Errorf("%v: it is %s\nwant %s", mode, got, want)
				}
				state2 := e.State()
				if got, err := state2.ExportKeyingMaterial("saved", nil, 16); err != nil || !bytes.Equal(got, keys) {
					t.Errorf("%v: other keying material: %x, %v", mode, got, err)
				}
				engines = append(engines, e)
			}
			m := &meeting{t: t, client: engines[0], server: engines[1]}
			if !m.client.closed {
				m.settle(now)
				return
			}
			// The client has closed, and the server may still say something.
			out, err := m.server.Seal(nil, []byte("words"))
			if err != nil {
				t.Fatal(err)
			}
			if o, err := m.client.Open(out); err != nil || string(o.Data) != "words" {
				t.Errorf("after its close_notify the client opens %q, %v", o.Data, err)
			}
		})
	}
}

// TestSavedFlags: the last bytes of a state without spare connection IDs are its flags.
func TestSavedFlags(t *testing.T) {
	state := readSaved(t)["TLS 1.3, tls-server"]
	for _, test := range []struct {
		name  string
		flags string
		ok    bool
	}{
		{"none", "\x00\x00\x00\x00\x00\x00", true},
		{"a HelloRetryRequest", "\x01\x00\x00\x00\x00\x00", true},
		{"resumed", "\x00\x01\x00\x00\x00\x00", true},
		{"owes a KeyUpdate", "\x00\x00\x01\x00\x00\x00", true},
		{"wants a KeyUpdate", "\x00\x00\x02\x00\x00\x00", true},
		{"awaits a KeyUpdate", "\x00\x00\x04\x00\x00\x00", true},
		{"all of a KeyUpdate", "\x00\x00\x07\x00\x00\x00", true},
		{"awaits connection IDs", "\x00\x00\x00\x01\x00\x00", true},
		{"early data was offered", "\x00\x00\x00\x00\x01\x00", true},
		{"early data was accepted", "\x00\x00\x00\x00\x02\x00", true},
		{"early data was rejected", "\x00\x00\x00\x00\x03\x00", true},
		{"early data of another kind", "\x00\x00\x00\x00\x04\x00", false},
		{"a spare connection ID that is not there", "\x00\x00\x00\x00\x00\x01", false},
		{"a byte more", "\x00\x00\x00\x00\x00\x00\x00", false},
	} {
		changed := append(bytes.Clone(state[:len(state)-6]), test.flags...)
		e, err := ImportEngine(&Config{Time: func() time.Time { return savedAt }}, changed, plainAEAD{}, nil)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil {
			continue
		}
		if again, err := e.Export(nil, plainAEAD{}); err != nil || !bytes.Equal(again, changed) {
			t.Errorf("%s: exported again: %v, %x", test.name, err, again[len(again)-6:])
		}
	}
}

// TestSavedSessions: a client's session and a server's ticket that were saved once can
// be used forever.
func TestSavedSessions(t *testing.T) {
	saved := readSaved(t)
	key := TicketKey{1, 2, 3}
	for _, version := range versions {
		for _, datagram := range []bool{false, true} {
			name := tls.VersionName(version)
			if datagram {
				name = "D" + name
			}
			t.Run(name, func(t *testing.T) {
				cacheKey := map[bool]string{false: "tls:localhost", true: "dtls:localhost"}[datagram]
				client, server, now := sessionConfigs(t, version)
				now.now = savedAt
				client.InsecureSkipVerify, server.TicketKeys = true, StaticTicketKeys(key)
				session, ok := saved[name+", session"]
				if !ok && *update {
					client.NextProtos, server.NextProtos = []string{"h2"}, []string{"h2"}
					server.MaxEarlyData = 1000
					savedMutual(client, server)
					m := newMeeting(t, datagram, client, server)
					m.settle(now)
					s := client.SessionCache.Get(cacheKey)
					b, err := s.MarshalBinary()
					if err != nil {
						t.Fatal(err)
					}
					save(t, name+", session", b)
					save(t, name+", ticket's content", server.compile.result.tickets.open([]TicketKey{key}, s.state.Ticket).Append(nil))
					return
				}
				var s Session
				if err := s.UnmarshalBinary(session); err != nil {
					t.Fatal(err)
				}
				if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, session) {
					t.Errorf("marshaled again: %v\n%x, want\n%x", err, again, session)
				}
				ticket := xchachaTickets.open([]TicketKey{key}, s.state.Ticket)
				if ticket == nil {
					t.Fatal("the ticket does not open")
				}
				if again, want := ticket.Append(nil), saved[name+", ticket's content"]; !bytes.Equal(again, want) {
					t.Errorf("the content of the ticket is\n%x, want\n%x", again, want)
				}
				// A server that has the key resumes it, unless it may not know that form of tickets.
				if fips140.Enabled() {
					return
				}
				server.ClientAuth = tls.RequireAnyClientCert
				client.NextProtos, server.NextProtos = []string{"h2"}, []string{"h2"}
				client.SessionCache.Put(cacheKey, &s)
				m := newMeeting(t, datagram, client, server)
				m.settle(now)
				if c := m.server.State(); !c.DidResume || c.NegotiatedProtocol != "h2" || len(c.PeerCertificates) != 1 {
					t.Errorf("resumed %v, ALPN %q, chain of %d", c.DidResume, c.NegotiatedProtocol, len(c.PeerCertificates))
				}
			})
		}
	}
}

// TestSavedCookies: servers of several versions of this library may share one
// address, so what they answer to a ClientHello stays the same.
func TestSavedCookies(t *testing.T) {
	saved := readSaved(t)
	peerID := []byte("192.0.2.1:4433")
	for _, name := range []string{"DTLS 1.2", "DTLS 1.3", "DTLS 1.3 without a share", "DTLS 1.3 with a PSK"} {
		t.Run(name, func(t *testing.T) {
			now := &clock{savedAt}
			server := &Config{
				Time: now.time, DTLS: DTLSConfig{CookieSecret: bytes.Repeat([]byte{5}, 32)}, Certificates: []tls.Certificate{pkitest.CA(t).Leaf(t, pkitest.Options{})},
				PSKs: []PSK{savedPSK},
			}
			if _, ok := saved[name+", first hello"]; !ok && *update {
				client := &Config{Time: now.time, InsecureSkipVerify: true, ServerName: "localhost"}
				switch name {
				case "DTLS 1.2":
					client.MaxVersion = tls.VersionTLS12
				case "DTLS 1.3 without a share":
					client.KeyShares = []tls.CurveID{}
				case "DTLS 1.3 with a PSK":
					client.PSKs = []PSK{savedPSK}
				}
				e, err := NewEngine(DTLSClient, client)
				if err != nil {
					t.Fatal(err)
				}
				for _, which := range []string{"first", "second"} {
					hello := e.Output(nil)
					save(t, name+", "+which+" hello", hello)
					answer, _ := server.AnswerHello(nil, peerID, hello)
					if which == "first" {
						save(t, name+", answer", answer)
						if _, err := e.Open(answer); err != nil {
							t.Fatal(err)
						}
					}
				}
				return
			}
			answer, ok := server.AnswerHello(nil, peerID, saved[name+", first hello"])
			if want := saved[name+", answer"]; ok || !bytes.Equal(answer, want) {
				t.Errorf("the answer is %v\n%x, want\n%x", ok, answer, want)
			}
			if answer, ok = server.AnswerHello(nil, peerID, saved[name+", second hello"]); !ok {
				t.Errorf("the cookie is not good: %x", answer)
			}
		})
	}
}

// TestImportedIdentity is the ImportedIdentity of RFC 9258, Section 5.1.
func TestImportedIdentity(t *testing.T) {
	p := PSK{Identity: []byte("device 7"), Key: savedPSK.Key, Import: true, Context: []byte("ctx")}
	const want = "0008" + "6465766963652037" + "0003" + "637478" + "0304" + "0002"
	identity := p.imported(tls.VersionTLS13, 2)
	if got := hex.EncodeToString(identity); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if name, ok := parseImported(identity); !ok || string(name) != "device 7" {
		t.Errorf("%q, %v", name, ok)
	}
	for _, other := range []string{"", "00", "0000" + "0000" + "0304" + "0001", want[:len(want)-2], want + "00", "0009" + want[4:]} {
		b, _ := hex.DecodeString(other)
		if name, ok := parseImported(b); ok {
			t.Errorf("%s is of %q", other, name)
		}
	}
}

// FuzzImportedIdentity: what is one is written as the same bytes.
func FuzzImportedIdentity(f *testing.F) {
	f.Add((&PSK{Identity: []byte("device 7"), Context: []byte("ctx")}).imported(tls.VersionTLS13, 1))
	f.Fuzz(func(t *testing.T, identity []byte) {
		var i importedIdentity
		if codec.Parse(identity, i.fields) && !bytes.Equal(codec.Append(nil, i.fields), identity) {
			t.Errorf("%x became %x", identity, codec.Append(nil, i.fields))
		}
	})
}
