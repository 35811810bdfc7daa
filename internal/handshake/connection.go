package handshake

import (
	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errKeyUpdateValue = alert.New(alert.IllegalParameter, "a KeyUpdate has an unknown request")
	errRenegotiation  = alert.New(alert.NoRenegotiation, "the peer asks for a renegotiation")
)

// prefix is what the labels of the key schedule begin with.
func (c *Connection) prefix() suite.Prefix {
	if c.Transport == wire.Datagram {
		return suite.DTLS
	}
	return suite.TLS
}

// trafficKeys are the keys of a traffic secret.
func (c *Connection) trafficKeys(secret []byte) suite.Keys {
	return c.Suite.TrafficKeys(c.prefix(), secret)
}

// applicationSecrets are what the connection lives on: RFC 9846, Section 7.1.
// sum is the transcript hash up to the server's Finished.
func (c *Connection) applicationSecrets(m *Machine, main *suite.MainSecret, sum []byte) {
	n := c.Suite.Hash.Size()
	all := make([]byte, 0, 3*n)
	keep := func(label string, secret []byte) []byte {
		m.keyLog(label, secret)
		all = append(all, secret...)
		return all[len(all)-n : len(all) : len(all)]
	}
	client := keep("CLIENT_TRAFFIC_SECRET_0", main.ClientTrafficSecret(sum))
	server := keep("SERVER_TRAFFIC_SECRET_0", main.ServerTrafficSecret(sum))
	c.exporterSecret = keep("EXPORTER_SECRET", main.ExporterSecret(sum))
	c.readSecret, c.writeSecret = server, client
	if m.params.Server {
		c.readSecret, c.writeSecret = client, server
	}
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

// Handle takes a message after the handshake.
func (c *Connection) Handle(out Output, p *Params, msg wire.Message) error {
	server := p.Server
	if c.Version == wire.VersionTLS12 {
		return c.handle12(server, msg)
	}
	switch {
	case msg.Type == wire.TypeKeyUpdate:
		return c.onKeyUpdate(out, msg)
	case msg.Type == wire.TypeNewConnectionID && c.Transport == wire.Datagram:
		return c.onNewConnectionID(out, msg)
	case msg.Type == wire.TypeRequestConnectionID && c.Transport == wire.Datagram:
		return c.onRequestConnectionID(out, p, msg)
	case msg.Type == wire.TypeNewSessionTicket && !server:
		return c.onNewSessionTicket(msg, p.Now)
	}
	return unexpected(msg.Type, wire.Types(wire.TypeKeyUpdate))
}

// handle12 refuses renegotiation, and ends the connection with it: RFC 5246,
// Section 7.2.2, would let it go on, to no use for a peer that asked.
func (c *Connection) handle12(server bool, msg wire.Message) error {
	if server && msg.Type == wire.TypeClientHello || !server && msg.Type == wire.TypeHelloRequest && len(msg.Body) == 0 {
		return errRenegotiation
	}
	return unexpected(msg.Type, 0)
}

// onKeyUpdate: RFC 9846, Section 4.7.3.
func (c *Connection) onKeyUpdate(out Output, msg wire.Message) error {
	var ku wire.KeyUpdate
	if err := ku.Parse(msg.Body); err != nil {
		return err
	}
	if ku.RequestUpdate > 1 {
		return errKeyUpdateValue
	}
	suite.UpdateTrafficSecret(c.Suite.Hash, c.prefix(), c.readSecret)
	if err := out.InstallRead(Application, c.trafficKeys(c.readSecret)); err != nil {
		return err
	}
	c.awaitsUpdate = false
	if ku.RequestUpdate == 1 && !(c.answersUpdate && out.KeyUpdatePending()) {
		c.owesUpdate = true
	}
	return nil
}

// Keys are the keys of now, made again from their secrets.
func (c *Connection) Keys(server bool) (read, write suite.Keys) {
	if c.Version == wire.VersionTLS13 {
		return c.trafficKeys(c.readSecret), c.trafficKeys(c.writeSecret)
	}
	client, own := c.Suite.Keys12(c.mainSecret, c.clientRandom[:], c.serverRandom[:])
	if server {
		return client, own
	}
	return own, client
}

// UpdateKeys sends a KeyUpdate, which changes the sending keys. Where one has not been
// acknowledged yet, the keys are about to change, and only a request must wait for the
// next one.
func (c *Connection) UpdateKeys(out Output, request bool) {
	switch {
	case !out.KeyUpdatePending():
		c.wantsUpdate = c.wantsUpdate || request
		c.sendUpdate(out)
	case request && !c.awaitsUpdate:
		c.wantsUpdate = true
	}
}

// SendDueUpdate sends the KeyUpdate that is due, once it may: the one that the peer has
// asked for (RFC 9846, Section 4.7.3: "prior to sending its next Application Data record",
// and one for all requests that come before it has been acknowledged), or a request that
// had to wait.
func (c *Connection) SendDueUpdate(out Output) {
	if (c.owesUpdate || c.wantsUpdate) && !out.KeyUpdatePending() {
		c.sendUpdate(out)
	}
}

// sendUpdate asks for the peer's KeyUpdate, if that is wanted, once: "Until receiving a
// subsequent KeyUpdate from the peer, the sender MUST NOT send another KeyUpdate with
// request_update set to "update_requested"". The answer that is still to come serves all
// that was asked until then.
func (c *Connection) sendUpdate(out Output) {
	var ku wire.KeyUpdate
	if c.wantsUpdate && !c.awaitsUpdate {
		ku.RequestUpdate = 1
		c.awaitsUpdate = true
	}
	c.answersUpdate = c.owesUpdate
	c.owesUpdate, c.wantsUpdate = false, false
	out.Wake()
	suite.UpdateTrafficSecret(c.Suite.Hash, c.prefix(), c.writeSecret)
	out.SendKeyUpdate(ku.Append(nil), c.trafficKeys(c.writeSecret))
}

// Forget returns what is known of a connection that is over, without its secrets (RFC
// 9846, Section 6). One that has ended well keeps its exporter. c stays as it is, for
// those who have it.
func (c *Connection) Forget(failed bool) *Connection {
	f := *c
	f.readSecret, f.writeSecret, f.resumptionSecret = nil, nil, nil
	if failed {
		f.exporterSecret, f.mainSecret, f.randoms, f.ticket = nil, nil, nil, nil
	}
	return &f
}

// HasExporter reports that the handshake has come so far that Export can answer.
func (c *Connection) HasExporter() bool { return c.exporterSecret != nil || c.mainSecret != nil }

// Export derives keying material: RFC 9846, Section 7.5; RFC 5705. A nil
// context differs from an empty one in TLS 1.2 only.
func (c *Connection) Export(label string, context []byte, n int) []byte {
	if c.Version == wire.VersionTLS12 {
		return suite.Export12(c.Suite.Hash, c.mainSecret, c.clientRandom[:], c.serverRandom[:], label, context, n)
	}
	return suite.Export13(c.Suite.Hash, c.prefix(), c.exporterSecret, label, context, n)
}
