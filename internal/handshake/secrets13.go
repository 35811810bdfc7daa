package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var errKeyUpdateValue = alert.New(alert.IllegalParameter, "a KeyUpdate has an unknown request")

// secrets13 are the secrets of TLS 1.3 and what its messages after the handshake need:
// RFC 9846, Sections 4.7 and 7.1.
type secrets13 struct {
	all        []byte   // the exporter secret, what we read and write under, and resumption
	spareCIDs  [][]byte // of the peer's choice, for our records to change to
	size       uint8    // of each secret
	awaitsCIDs bool     // the peer has been asked for more of them
	updates    keyUpdates
}

// exporter is the exporter secret.
func (s *secrets13) exporter() []byte { return s.all[:s.size] }

// read and write are the current application traffic secrets.
func (s *secrets13) read() []byte  { return s.all[s.size:][:s.size] }
func (s *secrets13) write() []byte { return s.all[2*int(s.size):][:s.size] }

// resumption is the secret of clients that take tickets, or nothing.
func (s *secrets13) resumption() []byte { return s.all[min(3*int(s.size), len(s.all)):] }

// keyUpdates are the KeyUpdates that are due or expected.
type keyUpdates struct {
	owes    bool // the peer has asked for one
	answers bool // our last one was asked for
	wants   bool // the peer must be asked for one
	awaits  bool // the peer has been asked, and has not answered
}

// due reports whether one must be sent, as soon as that is possible.
func (u *keyUpdates) due() bool { return u.owes || u.wants }

// trafficKeys are the keys of a traffic secret.
func (c *Connection) trafficKeys(secret []byte) suite.Keys {
	return c.Suite.TrafficKeys(c.prefix(), secret)
}

// applicationSecrets derives the secrets after the handshake. sum is the transcript hash
// up to the server's Finished.
func (m *Machine) applicationSecrets(main *suite.MainSecret, sum []byte) *secrets13 {
	n := m.conn.Suite.Hash.Size()
	room := 3 * n
	if !m.params.Server && m.params.AskSession {
		room += n // for the resumption secret
	}
	s := &secrets13{all: make([]byte, 3*n, room), size: uint8(n)}
	keep := func(label string, to, secret []byte) {
		m.keyLog(label, secret)
		copy(to, secret)
	}
	client, server := s.write(), s.read()
	if m.params.Server {
		client, server = server, client
	}
	keep("CLIENT_TRAFFIC_SECRET_0", client, main.ClientTrafficSecret(sum))
	keep("SERVER_TRAFFIC_SECRET_0", server, main.ServerTrafficSecret(sum))
	keep("EXPORTER_SECRET", s.exporter(), main.ExporterSecret(sum))
	m.conn.secrets = s
	return s
}

// handshakeSecrets are the handshake traffic secrets of both sides, made ready. The
// transcript ends with the ServerHello.
func (m *Machine) handshakeSecrets(s *suite.HandshakeSecret) (client, server suite.TrafficSecret) {
	sum := m.transcript.sum()
	secret := s.ClientTrafficSecret(sum)
	m.keyLog("CLIENT_HANDSHAKE_TRAFFIC_SECRET", secret)
	client = m.conn.Suite.TrafficSecret(m.conn.prefix(), secret)
	secret = s.ServerTrafficSecret(sum)
	m.keyLog("SERVER_HANDSHAKE_TRAFFIC_SECRET", secret)
	server = m.conn.Suite.TrafficSecret(m.conn.prefix(), secret)
	return client, server
}

// sendFinished13 sends our Finished: RFC 9846, Section 4.5.3.
func (m *Machine) sendFinished13(t *suite.TrafficSecret) {
	msg := wire.AppendHeader(m.scratch[:0], wire.TypeFinished, m.conn.Suite.Hash.Size())
	m.send(t.FinishedMAC(msg, m.transcript.sum()))
}

// acceptFinished13 checks the peer's.
func (m *Machine) acceptFinished13(t *suite.TrafficSecret, msg wire.Message) error {
	return m.acceptFinished(msg, t.FinishedMAC(m.scratch[:0], m.transcript.sum()))
}

func (s *secrets13) keys(c *Connection, _ bool) (read, write suite.Keys) {
	return c.trafficKeys(s.read()), c.trafficKeys(s.write())
}

func (s *secrets13) export(c *Connection, label string, context []byte, n int) ([]byte, error) {
	return suite.Export13(c.Suite.Hash, c.prefix(), s.exporter(), label, context, n), nil
}

func (s *secrets13) handle(c *Connection, out Output, p *Params, msg wire.Message) error {
	switch {
	case msg.Type == wire.TypeKeyUpdate:
		return s.onKeyUpdate(c, out, msg)
	case msg.Type == wire.TypeNewConnectionID:
		return s.onNewConnectionID(out, msg)
	case msg.Type == wire.TypeRequestConnectionID:
		return c.onRequestConnectionID(out, p, msg)
	case msg.Type == wire.TypeNewSessionTicket && !p.Server:
		return s.onNewSessionTicket(c, msg, p.Now)
	}
	return unexpected(msg.Type, wire.Types(wire.TypeKeyUpdate))
}

func (s *secrets13) ended() secrets {
	return &secrets13{all: slices.Clone(s.exporter()), size: s.size}
}

func (s *secrets13) save(f *form) {
	f.session.Secret, f.in13 = s.exporter(), *s
	f.read, f.write, f.resumption = s.read(), s.write(), s.resumption()
}

func (s *secrets13) restore(f *form, of *suite.Suite) bool {
	*s = f.in13
	n := of.Hash.Size()
	s.all, s.size = slices.Concat(f.session.Secret, f.read, f.write, f.resumption), uint8(n)
	return len(f.session.Secret) == n && len(f.read) == n && len(f.write) == n
}

// onKeyUpdate: RFC 9846, Section 4.7.3.
func (s *secrets13) onKeyUpdate(c *Connection, out Output, msg wire.Message) error {
	var ku wire.KeyUpdate
	if err := ku.Parse(msg.Body); err != nil {
		return err
	}
	if ku.RequestUpdate > 1 {
		return errKeyUpdateValue
	}
	suite.UpdateTrafficSecret(c.Suite.Hash, c.prefix(), s.read())
	if err := out.InstallRead(Application, c.trafficKeys(s.read())); err != nil {
		return err
	}
	s.updates.awaits = false
	if ku.RequestUpdate == 1 && !(s.updates.answers && out.KeyUpdatePending()) {
		s.updates.owes = true
	}
	return nil
}

// updateKeys sends a KeyUpdate. Where one has not been acknowledged yet, the keys are about
// to change, and only a request must wait for the next one.
func (s *secrets13) updateKeys(c *Connection, out Output, request bool) {
	switch {
	case !out.KeyUpdatePending():
		s.updates.wants = s.updates.wants || request
		s.sendUpdate(c, out)
	case request && !s.updates.awaits:
		s.updates.wants = true
	}
}

// sendDueUpdate sends the KeyUpdate that the peer has asked for (RFC 9846, Section 4.7.3:
// "prior to sending its next Application Data record"), or a request that had to wait. One
// KeyUpdate answers all requests that arrive before it is acknowledged.
func (s *secrets13) sendDueUpdate(c *Connection, out Output) {
	if s.updates.due() && !out.KeyUpdatePending() {
		s.sendUpdate(c, out)
	}
}

// sendUpdate asks for the peer's KeyUpdate, if that is wanted, once: "Until receiving a
// subsequent KeyUpdate from the peer, the sender MUST NOT send another KeyUpdate with
// request_update set to "update_requested"". The answer that is still to come serves all
// that was asked until then.
func (s *secrets13) sendUpdate(c *Connection, out Output) {
	var ku wire.KeyUpdate
	if s.updates.wants && !s.updates.awaits {
		ku.RequestUpdate = 1
		s.updates.awaits = true
	}
	s.updates.answers = s.updates.owes
	s.updates.owes, s.updates.wants = false, false
	out.Wake()
	suite.UpdateTrafficSecret(c.Suite.Hash, c.prefix(), s.write())
	out.SendKeyUpdate(ku.Append(nil), c.trafficKeys(s.write()))
}
