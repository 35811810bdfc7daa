// Package handshake is the handshakes of TLS 1.2 and 1.3 as chains of states.
// A state says which messages it accepts, takes one, and returns the next
// state. It moves bytes through an Output, and asks questions where others
// decide: which certificate, which signature, is this peer trusted.
//
// The versions share a file only where the protocol makes them meet, in the
// hellos: client_start.go and server_start.go.
package handshake

import (
	"crypto/subtle"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/poison"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Params is the configuration as the states need it: checked, with defaults
// filled in, shared by many handshakes and never modified by them.
type Params struct {
	Server                 bool
	MinVersion, MaxVersion uint16
	Suites                 []*suite.Suite // the preferred first
	Groups                 []suite.Group  // the preferred first
	KeyShares              []suite.Group  // a client's first offer, of Groups
	Exchanges              suite.Exchanges
	Schemes                []suite.Scheme // accepted from the peer, in certificates too
	Keys                   *pki.Keys      // what a policy permits; nil: all
	ALPN                   []string
	RequireEMS             bool
	RequireRenegInfo       bool // RFC 5746
	NoStatusRequest        bool // a client asks for no OCSP staple
	NoSCTs                 bool // a client asks for no certificate timestamps

	RequestCertificate bool // a server asks for a certificate
	RequireCertificate bool // a server fails without a certificate
	Authorities        wire.Names
	LocalCertTypes     []uint8 // what we can send, RFC 7250; the preferred first
	PeerCertTypes      []uint8 // what we accept; the preferred first
	Chains             *pki.Cache
	Compressors        []Compressor // of certificates, the preferred first
	Compressed         *Compressed
	MaxCertificate     int    // bytes of a Certificate message
	SizeLimit          uint16 // record_size_limit; 0: a client sends none
	FragmentLength     uint16 // a client's max_fragment_length, in bytes; 0: none

	SRTP      []uint16         // profiles of use_srtp, the preferred first; DTLS only
	CIDs      bool             // DTLS connection IDs are negotiated
	CIDLength int              // of ours; 0: the peer's records to us have none
	MakeCID   func(cid []byte) // changes random ones of ours; may be nil
	RRC       bool             // with CIDs, return routability checks are negotiated too

	AskConfig  bool // a server asks Configure first
	AskResume  bool // a server asks Resume
	AskVerify  bool // Verify is asked of a peer without a new certificate too
	AskSession bool // a client asks Offer, and takes tickets

	PSKs         [2][]PSK      // the external ones for each wire.Transport; a client offers them
	AskPSK       bool          // a client asks ClientPSK
	PSKHint      []byte        // a TLS 1.2 server's psk_identity_hint; empty: none
	AcceptPSK    bool          // a server asks FindPSK
	ExternalPSK  bool          // FindPSK is asked about external PSKs too
	OnlyPSK      bool          // a server has no certificate; a client has no name to verify one by
	Tickets      int           // how many a TLS 1.3 server sends; TLS 1.2: one, if any
	TicketLife   time.Duration // of those tickets
	EarlyData    bool          // a client sends 0-RTT data
	MaxEarlyData uint32        // the number of bytes of it that a server accepts

	Rand   io.Reader
	Now    func() time.Time
	KeyLog func(label string, clientRandom, secret []byte) // may be nil

	lists lists
}

// lists are parts of the hellos that are always the same.
type lists struct {
	psks                          [2]map[string]*PSK
	suites, groups, schemes, srtp wire.Uint16s
	schemes12                     wire.Uint16s // of schemes, those that TLS 1.2 has
	compressors                   wire.Uint16s // that we decompress
	alpn                          wire.ALPN
}

// Prepare computes what handshakes share. It is called once, when p is complete.
func (p *Params) Prepare() {
	for _, s := range p.Suites {
		p.lists.suites = wire.AppendUint16s(p.lists.suites, s.ID)
	}
	for _, g := range p.Groups {
		p.lists.groups = wire.AppendUint16s(p.lists.groups, uint16(g))
	}
	for _, s := range p.Schemes {
		p.lists.schemes = wire.AppendUint16s(p.lists.schemes, uint16(s))
		if s.In(wire.VersionTLS12) {
			p.lists.schemes12 = wire.AppendUint16s(p.lists.schemes12, uint16(s))
		}
	}
	for t, list := range p.PSKs {
		p.lists.psks[t] = make(map[string]*PSK, len(list))
		for i := range list {
			p.lists.psks[t][string(list[i].Identity)] = &list[i]
		}
	}
	for _, c := range p.Compressors {
		if c.Decompress != nil {
			p.lists.compressors = wire.AppendUint16s(p.lists.compressors, c.Algorithm)
		}
	}
	p.lists.alpn = wire.AppendALPN(nil, p.ALPN...)
	p.lists.srtp = wire.AppendUint16s(nil, p.SRTP...)
}

// PSK is the external PSK of that identity, or nil.
func (p *Params) PSK(t wire.Transport, identity []byte) *PSK {
	return p.lists.psks[t][string(identity)]
}

// step is a state: what it waits for, and what it does with it. A state waits
// for a message of a set of types, or for the answer to a question.
type step struct {
	want     wire.TypeSet
	run      func(wire.Message) (step, error)
	question Question
	then     func() (step, error)
}

// expect is the state that waits for one of the given messages.
func expect(run func(wire.Message) (step, error), types ...wire.Type) step {
	return step{want: wire.Types(types...), run: run}
}

// ask is the state that waits for an answer.
func ask(q Question, then func() (step, error)) step {
	return step{question: q, then: then}
}

// then continues with next, whatever the answer.
func then(next step) func() (step, error) { return func() (step, error) { return next, nil } }

// randoms are those of the hellos.
type randoms struct{ client, server [32]byte }

// Machine runs one handshake. It has what only the handshake needs, and is dropped when
// the handshake ends.
type Machine struct {
	out        Output
	params     *Params
	conn       *Connection
	transcript transcript
	serverName string            // a client's: to be sent
	staples    [][]byte          // of the peer, for the verdict
	verdict    Verify            // the question about the peer
	jar        CookieJar         // a server's that asks for cookies, else nil
	extensions wire.ExtensionSet // that the transport has
	step       step
	finished   bool
	// The types of certificate that the peer shows, and that a server asks of us
	// (RFC 7250).
	peerCertType, localCertType uint8

	randoms randoms
	scratch []byte // a message is built here before it is sent
	space   *[spaceSize]byte
}

// spaceSize is how much most messages take.
const spaceSize = 1024

var spaces = sync.Pool{New: func() any { return new([spaceSize]byte) }}

// NewClient returns a client's handshake. Start sends the ClientHello.
func NewClient(p *Params, out Output, serverName string) *Machine {
	m := newMachine(p, out)
	m.serverName = serverName
	return m
}

// NewServer returns a server's handshake, which waits for a ClientHello. With a jar, the
// ClientHello must have a cookie of that jar.
func NewServer(p *Params, out Output, jar CookieJar) *Machine {
	m := newMachine(p, out)
	m.jar = jar
	return m
}

func newMachine(p *Params, out Output) *Machine {
	m := &Machine{params: p, out: out, conn: &Connection{Transport: out.Transport()}}
	m.space = spaces.Get().(*[spaceSize]byte)
	m.scratch, m.extensions = m.space[:0], ^wire.ExtensionSet(0)
	if m.conn.Transport == wire.Stream {
		m.extensions = m.extensions.Minus(wire.OnlyDatagrams)
	}
	return m
}

// Release lets other handshakes use the space of one that is finished. No message waits there.
func (m *Machine) Release() {
	clear(m.space[:])
	poison.Around(m.space[:], nil)
	spaces.Put(m.space)
	m.space, m.scratch = nil, nil
}

// Start begins the handshake.
func (m *Machine) Start() (err error) {
	if m.params.Server {
		m.step = expect((&serverStart{Machine: m}).onClientHello, wire.TypeClientHello)
		return nil
	}
	m.step, err = (&clientStart{Machine: m}).start()
	return err
}

// Handle takes the next message.
func (m *Machine) Handle(msg wire.Message) (err error) {
	if !m.step.want.Has(msg.Type) {
		return unexpected(msg.Type, m.step.want)
	}
	m.step, err = m.step.run(msg)
	return err
}

// unexpected is the failure of a message that is not permitted at this point.
func unexpected(got wire.Type, want wire.TypeSet) error {
	if want == 0 {
		return alert.New(alert.UnexpectedMessage, fmt.Sprintf("unexpected message: got %v", got))
	}
	return alert.New(alert.UnexpectedMessage, fmt.Sprintf("unexpected message: got %v, expected %v", got, want))
}

// Expects are the messages that the handshake waits for.
func (m *Machine) Expects() wire.TypeSet { return m.step.want }

// Question is what the handshake waits for, or nil.
func (m *Machine) Question() Question { return m.step.question }

// Resume continues after the question has been answered.
func (m *Machine) Resume() (err error) {
	answered := m.step
	if m.step, err = (step{}), answered.question.failure(); err != nil {
		return err
	}
	m.step, err = answered.then()
	return err
}

// Finished reports that the handshake is complete.
func (m *Machine) Finished() bool { return m.finished }

// Connection returns what is known of the connection so far.
func (m *Machine) Connection() *Connection { return m.conn }

// finish ends the handshake.
func (m *Machine) finish() (step, error) {
	m.finished = true
	m.out.Complete()
	return step{}, nil
}

// send sends a message and adds it to the transcript.
func (m *Machine) send(msg []byte) {
	seq := m.out.Send(msg)
	m.transcript.add(wire.Message{Type: wire.Type(msg[0]), Seq: seq, Body: msg[4:]})
	m.scratch = msg[:0]
}

var errShortFinished = alert.New(alert.DecodeError, "the Finished message is too short")

var errWrongFinished = alert.New(alert.DecryptError, "the Finished message is wrong: the two sides saw different handshakes")

// acceptFinished checks the peer's Finished, and adds it to the transcript.
func (m *Machine) acceptFinished(msg wire.Message, want []byte) error {
	switch {
	case len(msg.Body) < len(want):
		return errShortFinished
	case subtle.ConstantTimeCompare(want, msg.Body) != 1: // a longer one too, as in BoringSSL
		return errWrongFinished
	}
	m.transcript.add(msg)
	return nil
}

// random fills b from the configured source.
func (m *Machine) random(b []byte) error {
	if _, err := io.ReadFull(m.params.Rand, b); err != nil {
		return alert.Wrap(alert.InternalError, "the random source failed", err)
	}
	return nil
}

// keyLog writes a line of the NSS key log.
func (m *Machine) keyLog(label string, secret []byte) {
	if m.params.KeyLog != nil {
		m.params.KeyLog(label, m.randoms.client[:], secret)
	}
}
