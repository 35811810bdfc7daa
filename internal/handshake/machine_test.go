package handshake

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// clearOutput carries messages without records or protection, so that a test
// can change what only the two ends would see.
type clearOutput struct {
	sent      [][]byte
	skips     int               // calls of SkipEarlyData
	limits    [2]int            // sent and received, see LimitRecords
	installed func(level Level) // told of new sending keys, unless nil
	slow      bool              // a KeyUpdate is pending until the test acknowledges it, as over datagrams
	pending   bool
}

func (c *clearOutput) Transport() wire.Transport               { return wire.Stream }
func (c *clearOutput) HasEpochs() bool                         { return false }
func (c *clearOutput) HelloRoom() int                          { return math.MaxInt }
func (c *clearOutput) LimitRecords(send, receive int)          { c.limits = [2]int{send, receive} }
func (c *clearOutput) SetVersion(uint16)                       {}
func (c *clearOutput) InstallRead(Level, suite.Keys) error     { return nil }
func (c *clearOutput) ExpectChangeCipherSpec(suite.Keys) error { return nil }
func (c *clearOutput) SendChangeCipherSpec(suite.Keys)         {}
func (c *clearOutput) SendCompatibilityCCS()                   {}
func (c *clearOutput) KeyUpdatePending() bool                  { return c.pending }
func (c *clearOutput) SkipEarlyData(uint32)                    { c.skips++ }
func (c *clearOutput) Wake()                                   {}
func (c *clearOutput) LimitEarlyData(uint32)                   {}
func (c *clearOutput) Complete()                               {}
func (c *clearOutput) InstallWrite(level Level, _ suite.Keys) {
	if c.installed != nil {
		c.installed(level)
	}
}
func (c *clearOutput) SendKeyUpdate(msg []byte, _ suite.Keys) {
	c.Send(msg)
	c.pending = c.slow
}
func (c *clearOutput) Send(msg []byte) uint16 {
	c.sent = append(c.sent, bytes.Clone(msg))
	return 0
}

// end is one side of a handshake.
type end struct {
	machine *Machine
	out     clearOutput
	id      *pki.Identity        // nil: none
	session *session.Session     // a client's to offer
	psks    func(id string) *PSK // a server's; nil: none
}

func newEnd(t testing.TB, p *Params, id *pki.Identity) *end {
	e := &end{id: id}
	if p.Server {
		e.machine = NewServer(p, &e.out, nil)
	} else {
		e.machine = NewClient(p, &e.out, "localhost")
	}
	if err := e.machine.Start(); err != nil {
		t.Fatal(err)
	}
	return e
}

// take hands a message over and answers the questions that follow.
func (e *end) take(msg []byte) error {
	if err := e.machine.Handle(wire.Message{Type: wire.Type(msg[0]), Body: msg[4:]}); err != nil {
		return err
	}
	return e.answer()
}

func (e *end) answer() error {
	for q := e.machine.Question(); q != nil; q = e.machine.Question() {
		switch q := q.(type) {
		case *Choose:
			if e.id == nil {
				break // it has none
			}
			if scheme, err := e.id.Fits(&q.Criteria); err == nil {
				q.Identity, q.Scheme = e.id, scheme
			}
		case *Offer:
			q.Session = e.session
		case *FindPSK:
			q.PSK = e.psks(string(q.Identity))
		case *Unseen:
			q.OK = true
		case *Sign:
			q.Signature, q.Err = q.Scheme.Sign(rand.Reader, q.Identity.Certificate.PrivateKey.(crypto.Signer), q.Message)
		}
		if err := e.machine.Resume(); err != nil {
			return err
		}
	}
	return nil
}

// setting is a kind of handshake.
type setting struct {
	name    string
	version uint16
	mutual  bool
	retry   bool
}

var settings = []setting{
	{"TLS 1.3", wire.VersionTLS13, false, false},
	{"TLS 1.3 mutual", wire.VersionTLS13, true, false},
	{"TLS 1.3 HelloRetryRequest", wire.VersionTLS13, false, true},
	{"TLS 1.2", wire.VersionTLS12, false, false},
	{"TLS 1.2 mutual", wire.VersionTLS12, true, false},
}

// params are those of a client and a server for a setting, to be prepared.
func (s setting) params(chains *pki.Cache) (client, server Params) {
	p := Params{
		MinVersion: wire.VersionTLS12, MaxVersion: wire.VersionTLS13, Suites: suite.All()[:9], Schemes: suite.Schemes,
		Groups: []suite.Group{suite.X25519, suite.P256, suite.X25519MLKEM768}, KeyShares: []suite.Group{suite.X25519}, Chains: chains, Rand: rand.Reader, ALPN: []string{"x"},
		SizeLimit: 1<<14 + 1, FragmentLength: 512,
	}
	cp, sp := p, p
	cp.MaxVersion = s.version
	sp.Server, sp.RequestCertificate, sp.RequireCertificate = true, s.mutual, s.mutual
	if s.retry {
		sp.Groups = []suite.Group{suite.P256}
	}
	return cp, sp
}

// ends are a client and a server for a setting.
func (s setting) ends(t testing.TB, id *pki.Identity, chains *pki.Cache) (client, server *end) {
	cp, sp := s.params(chains)
	cp.Prepare()
	sp.Prepare()
	return newEnd(t, &cp, id), newEnd(t, &sp, id)
}

// play runs a handshake. change may change, drop or repeat each message that
// travels, by its number.
func play(client, server *end, change func(n int, msg []byte) [][]byte) (n int, clientErr, serverErr error) {
	for range 10 {
		for _, d := range []struct {
			from, to *end
			err      *error
		}{{client, server, &serverErr}, {server, client, &clientErr}} {
			sent := d.from.out.sent
			d.from.out.sent = nil
			for _, msg := range sent {
				for _, m := range change(n, msg) {
					if *d.err == nil {
						*d.err = d.to.take(m)
					}
				}
				n++
			}
		}
	}
	return n, clientErr, serverErr
}

func unchanged(_ int, msg []byte) [][]byte { return [][]byte{msg} }

func identity(t testing.TB) *pki.Identity {
	leaf := pkitest.CA(t).Leaf(t, pkitest.Options{})
	id, err := pki.Prepare(&leaf)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPlay(t *testing.T) {
	id := identity(t)
	for _, s := range settings {
		client, server := s.ends(t, id, new(pki.Cache))
		_, clientErr, serverErr := play(client, server, unchanged)
		if clientErr != nil || serverErr != nil || !client.machine.Finished() || !server.machine.Finished() {
			t.Errorf("%s: client %v, server %v", s.name, clientErr, serverErr)
		}
		a, err := client.machine.Connection().Export("label", nil, 32)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if b, err := server.machine.Connection().Export("label", nil, 32); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: the two sides export different keys", s.name)
		}
	}
}

// checkOutcome: not both sides complete, and every failure is an alert.
func checkOutcome(t *testing.T, name string, client, server *end, clientErr, serverErr error) {
	t.Helper()
	if client.machine.Finished() && server.machine.Finished() && clientErr == nil && serverErr == nil {
		t.Errorf("%s: both sides complete", name)
	}
	for _, err := range []error{clientErr, serverErr} {
		var fault *alert.Error
		if err != nil && (!errors.As(err, &fault) || fault.Cause == "" || fault.Description == 0) {
			t.Errorf("%s: %v is no alert with a cause", name, err)
		}
	}
}

// TestFlippedMessages flips a bit of every byte of every message, inside of what
// encryption protects: the transcript hash, signatures and Finished must find
// each.
func TestFlippedMessages(t *testing.T) {
	id := identity(t)
	chains := new(pki.Cache)
	for _, s := range settings {
		client, server := s.ends(t, id, chains)
		var messages [][]byte
		play(client, server, func(_ int, msg []byte) [][]byte {
			messages = append(messages, msg)
			return [][]byte{msg}
		})
		for which, msg := range messages {
			size := len(msg)
			if t := wire.Type(msg[0]); t == wire.TypeCertificateVerify || t == wire.TypeServerKeyExchange {
				size -= 8 // a signature varies in length
			}
			for at := 0; at < size; at += roomtest.Stride() {
				client, server := s.ends(t, id, chains)
				_, clientErr, serverErr := play(client, server, func(n int, msg []byte) [][]byte {
					if n != which {
						return [][]byte{msg}
					}
					msg = bytes.Clone(msg)
					msg[at] ^= 1 << (at % 8)
					if at < 4 && at > 0 {
						return nil // a length: the carrier would wait for more
					}
					return [][]byte{msg}
				})
				checkOutcome(t, fmt.Sprintf("%s, message %d, byte %d", s.name, which, at), client, server, clientErr, serverErr)
			}
		}
	}
}

func isUnexpected(err error) bool {
	var fault *alert.Error
	return errors.As(err, &fault) && fault.Description == alert.UnexpectedMessage
}

// TestMisplacedMessages drops, repeats and moves every message.
func TestMisplacedMessages(t *testing.T) {
	id := identity(t)
	for _, s := range settings {
		client, server := s.ends(t, id, new(pki.Cache))
		total, _, _ := play(client, server, unchanged)
		for which := range total {
			for _, c := range []struct {
				name   string
				change func(msg []byte) [][]byte
				alone  bool // dropping leaves the peers waiting
			}{
				{"dropped", func([]byte) [][]byte { return nil }, true},
				{"repeated", func(msg []byte) [][]byte { return [][]byte{msg, msg} }, false},
				{"after a stray Finished", func(msg []byte) [][]byte {
					return [][]byte{wire.AppendMessage(nil, wire.TypeFinished, make([]byte, 32)), msg}
				}, false},
				{"after a stray KeyUpdate", func(msg []byte) [][]byte { return [][]byte{(&wire.KeyUpdate{}).Append(nil), msg} }, false},
				{"after a stray EndOfEarlyData", func(msg []byte) [][]byte {
					return [][]byte{wire.AppendMessage(nil, wire.TypeEndOfEarlyData, nil), msg}
				}, false},
				{"after a HelloRequest", func(msg []byte) [][]byte { return [][]byte{wire.AppendMessage(nil, wire.TypeHelloRequest, nil), msg} }, false},
				{"with a byte more", func(msg []byte) [][]byte {
					return [][]byte{wire.AppendMessage(nil, wire.Type(msg[0]), append(bytes.Clone(msg[4:]), 0))}
				}, false},
				{"empty", func(msg []byte) [][]byte { return [][]byte{wire.AppendMessage(nil, wire.Type(msg[0]), nil)} }, false},
			} {
				client, server := s.ends(t, id, new(pki.Cache))
				var typ wire.Type
				_, clientErr, serverErr := play(client, server, func(n int, msg []byte) [][]byte {
					if n != which {
						return [][]byte{msg}
					}
					typ = wire.Type(msg[0])
					return c.change(msg)
				})
				name := fmt.Sprintf("%s, %v %s", s.name, typ, c.name)
				last := which == total-1 && (c.name == "repeated")
				if c.name == "empty" && typ == wire.TypeServerHelloDone || last {
					continue // it is empty; what follows the end is the connection's
				}
				checkOutcome(t, name, client, server, clientErr, serverErr)
				if clientErr == nil && serverErr == nil && !c.alone {
					t.Errorf("%s: nobody fails", name)
				}
				stray := strings.HasPrefix(c.name, "after a stray") && !(typ == wire.TypeFinished && c.name == "after a stray Finished")
				if stray && !isUnexpected(clientErr) && !isUnexpected(serverErr) {
					t.Errorf("%s: client %v, server %v, want unexpected_message", name, clientErr, serverErr)
				}
			}
		}
	}
}

// TestWrongSignatures: a signature by another key is a decrypt_error.
func TestWrongSignatures(t *testing.T) {
	id := identity(t)
	forged := *id
	cert := *id.Certificate
	cert.PrivateKey = pkitest.Key(t, pkitest.P256, true)
	forged.Certificate = &cert
	for _, s := range settings {
		client, server := s.ends(t, id, new(pki.Cache))
		liar := server
		if s.mutual {
			liar = client
		}
		liar.id = &forged
		_, got, serverErr := play(client, server, unchanged)
		if s.mutual {
			got = serverErr
		}
		var fault *alert.Error
		if !errors.As(got, &fault) || fault.Description != alert.DecryptError {
			t.Errorf("%s: %v, want decrypt_error", s.name, got)
		}
	}
}

// TestSNIName: RFC 6066, Section 3: "Literal IPv4 and IPv6 addresses are not
// permitted", nor is a trailing dot.
func TestSNIName(t *testing.T) {
	for name, want := range map[string]string{
		"":                "",
		"localhost":       "localhost",
		"example.com":     "example.com",
		"example.com.":    "example.com",
		"host7":           "host7",
		"7":               "7",
		"192.0.2.1":       "",
		"2001:db8::a":     "",
		"[2001:db8::1]":   "",
		"fe80::1%eth0":    "",
		"192.0.2.example": "192.0.2.example",
	} {
		if got := sniName(name); got != want {
			t.Errorf("%q is sent as %q, want %q", name, got, want)
		}
	}
}
