package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errEMSRequired   = alert.New(alert.HandshakeFailure, "the peer does not support extended_main_secret, which is required")
	errNoRenegInfo   = alert.New(alert.HandshakeFailure, "the server does not support secure renegotiation, which is required")
	errLeafCurve     = alert.New(alert.IllegalParameter, "the server's certificate has a key on a curve that was not offered")
	errEchoed12      = alert.New(alert.IllegalParameter, "the server resumes a session that was not offered")
	errPointFormat   = alert.New(alert.IllegalParameter, "the peer does not support uncompressed points")
	errKeyForSuite   = alert.New(alert.IllegalParameter, "the server's key does not fit the cipher suite")
	errGroupChoice   = alert.New(alert.IllegalParameter, "the server chose a group that was not offered")
	errHelloDoneBody = alert.New(alert.DecodeError, "a ServerHelloDone has a body")
)

// client12 is a TLS 1.2 client after the ServerHello. RFC 5246, Section 7.3,
// with the keys in brackets:
//
//	                        <-------- ServerHello
//	                        <-------- Certificate, CertificateStatus*
//	                        <-------- ServerKeyExchange
//	                        <-------- CertificateRequest*
//	                        <-------- ServerHelloDone
//	Certificate*
//	ClientKeyExchange
//	CertificateVerify*
//	ChangeCipherSpec, [Finished] ---->
//	                        <-------- ChangeCipherSpec, [Finished]
//	[data]                  <-------> [data]
type client12 struct {
	*Machine
	offered      wire.ExtensionSet
	sessionID    []byte
	old          *session.Session // offered; nil: none
	id           []byte           // that the server has given this session
	serverHas    wire.ExtensionSet
	request      *Choose // nil: no certificate is asked of us
	psk          *PSK    // of a suite with one
	hint         []byte  // psk_identity_hint; nil: none
	ticket       wire.NewSessionTicket12
	group        suite.Group
	serverPublic []byte
	keys         keys12
}

func newClient12(c *clientStart) *client12 {
	n := &client12{Machine: c.Machine, offered: c.hello.Has, sessionID: c.hello.SessionID}
	if c.session != nil && c.session.Version == wire.VersionTLS12 {
		n.old = c.session
	}
	return n
}

func (c *client12) onServerHello(sh *wire.ServerHello) (step, error) {
	resumed := len(sh.SessionID) > 0 && string(sh.SessionID) == string(c.sessionID)
	switch {
	case sh.Unknown || sh.Has.Minus(c.offered&wire.InServerHello12) != 0:
		return step{}, errUnsolicited
	case resumed && c.old == nil:
		return step{}, errEchoed12
	case len(sh.RenegotiationInfo) != 0:
		return step{}, errRenegInfo
	case c.params.RequireRenegInfo && !sh.Has.Has(wire.ExtRenegotiationInfo):
		return step{}, errNoRenegInfo
	case c.params.RequireEMS && !sh.Has.Has(wire.ExtExtendedMainSecret):
		return step{}, errEMSRequired
	case sh.Has.Has(wire.ExtECPointFormats) && !slices.Contains(sh.PointFormats, 0):
		return step{}, errPointFormat
	}
	if err := c.acceptALPN(sh.Has, sh.ALPN); err != nil {
		return step{}, err
	}
	if err := c.acceptCertTypes(sh.Has, sh.ServerCertType, sh.ClientCertType); err != nil {
		return step{}, err
	}
	if err := c.acceptSRTP(sh.Has, sh.SRTP); err != nil {
		return step{}, err
	}
	if err := c.acceptLimits(sh.Has, sh.RecordSizeLimit, sh.MaxFragmentLength); err != nil {
		return step{}, err
	}
	c.conn.EMS = sh.Has.Has(wire.ExtExtendedMainSecret)
	c.serverHas = sh.Has
	if resumed {
		return c.resume12()
	}
	if c.params.AskSession {
		c.id = slices.Clone(sh.SessionID)
	}
	if c.conn.Suite.Auth == suite.NoSignature {
		return c.expectPSKKey(), nil
	}
	scts := slices.Clone(sh.SCTs)
	return expect(func(msg wire.Message) (step, error) { return c.onCertificate(msg, scts) }, wire.TypeCertificate), nil
}

func (c *client12) onCertificate(msg wire.Message, scts []byte) (step, error) {
	if err := c.parseCertificate12(msg.Body); err != nil {
		return step{}, err
	}
	if c.conn.Peer == nil {
		return step{}, errNoCertificate
	}
	c.conn.Peer.staple(nil, scts)
	if authentication(c.conn.Peer) != c.conn.Suite.Auth {
		return step{}, errKeyForSuite
	}
	if g := pki.CurveOf(c.conn.Peer.PublicKey()); g != 0 && !slices.Contains(c.params.Groups, g) {
		return step{}, errLeafCurve // RFC 8422, Section 5.1
	}
	c.transcript.add(msg)
	if c.serverHas.Has(wire.ExtStatusRequest) {
		// RFC 6066, Section 8: a server that has promised a staple need not send it.
		return expect(c.onStatusOrKeyExchange, wire.TypeCertificateStatus, wire.TypeServerKeyExchange), nil
	}
	return c.verify(then(c.expectKey())), nil
}

func (c *client12) expectKey() step {
	return expect(c.onServerKeyExchange, wire.TypeServerKeyExchange)
}

// onStatusOrKeyExchange: the certificate is verified together with its staple.
func (c *client12) onStatusOrKeyExchange(msg wire.Message) (step, error) {
	if msg.Type == wire.TypeCertificateStatus {
		var status wire.CertificateStatus
		if err := status.Parse(msg.Body); err != nil {
			return step{}, err
		}
		c.conn.Peer.staple(slices.Clone(status.OCSP), nil)
		c.transcript.add(msg)
		return c.verify(then(c.expectKey())), nil
	}
	msg.Body = slices.Clone(msg.Body)
	return c.verify(func() (step, error) { return c.onServerKeyExchange(msg) }), nil
}

func (c *client12) onServerKeyExchange(msg wire.Message) (step, error) {
	var ske wire.ServerKeyExchange
	parts := wire.KeyExchangeParts(c.conn.Suite.KeyExchange)
	if err := ske.Parse(msg.Body, parts); err != nil {
		return step{}, err
	}
	if parts.ECDHE {
		if err := c.takeGroup(&ske); err != nil {
			return step{}, err
		}
	}
	c.transcript.add(msg)
	if c.params.AskPSK && len(ske.Hint) > 0 {
		c.hint = slices.Clone(ske.Hint)
	}
	if !parts.Signed {
		return expect(c.onServerHelloDone, wire.TypeServerHelloDone), nil
	}
	cv := wire.CertificateVerify{Scheme: ske.Scheme, Signature: ske.Signature}
	return expect(c.onRequestOrDone, wire.TypeCertificateRequest, wire.TypeServerHelloDone),
		c.checkSignature(&cv, c.signedParams(ske.Params))
}

// takeGroup takes the server's public value.
func (c *client12) takeGroup(ske *wire.ServerKeyExchange) error {
	c.group = suite.Group(ske.Group)
	if !slices.Contains(c.params.Groups, c.group) || !c.group.Curve() {
		return errGroupChoice
	}
	c.serverPublic = slices.Clone(ske.Public)
	return nil
}

// signedParams is what a ServerKeyExchange signs: RFC 8422, Section 5.4.
func (m *Machine) signedParams(params []byte) []byte {
	b := make([]byte, 0, 64+len(params))
	b = append(b, m.randoms.client[:]...)
	b = append(b, m.randoms.server[:]...)
	return append(b, params...)
}

func (c *client12) onRequestOrDone(msg wire.Message) (step, error) {
	if msg.Type == wire.TypeServerHelloDone {
		return c.onServerHelloDone(msg)
	}
	c.transcript.add(msg)
	var req wire.CertificateRequest12
	if err := req.Parse(msg.Body); err != nil {
		return step{}, err
	}
	c.request = c.requested(req.SignatureSchemes, nil, req.Authorities)
	types := slices.Clone(req.Types)
	c.request.Criteria.Auth = func(a suite.Authentication) bool { return slices.Contains(types, certTypeOf(a)) }
	return expect(c.onServerHelloDone, wire.TypeServerHelloDone), nil
}

func (c *client12) onServerHelloDone(msg wire.Message) (step, error) {
	if len(msg.Body) != 0 {
		return step{}, errHelloDoneBody
	}
	c.transcript.add(msg)
	switch {
	case c.conn.Suite.KeyExchange.PSK:
		return c.findPSK()
	case c.request == nil:
		return c.respond(nil, 0)
	}
	q := c.request
	return ask(q, func() (step, error) {
		c.sendCertificate12(q.Identity)
		return c.respond(q.Identity, q.Scheme)
	}), nil
}

// ClientCertificateType of TLS 1.2: RFC 5246, Section 7.4.4, and RFC 8422, Section
// 5.5.
const (
	certTypeRSASign   = 1
	certTypeECDSASign = 64
)

func certTypeOf(a suite.Authentication) uint8 {
	if a == suite.RSA {
		return certTypeRSASign
	}
	return certTypeECDSASign
}

// respond sends the flight from the ClientKeyExchange on, with a signature of id
// unless it is nil.
func (c *client12) respond(id *pki.Identity, scheme suite.Scheme) (step, error) {
	if id == nil {
		c.transcript.release()
	}
	if err := c.sendKeyExchange(); err != nil {
		return step{}, err
	}
	if id == nil {
		return c.sendFinished(c.expectEnd)
	}
	return c.sign(id, scheme, c.transcript.messages, func(signature []byte) (step, error) {
		c.transcript.release()
		cv := wire.CertificateVerify{Scheme: uint16(scheme), Signature: signature}
		c.send(cv.Append(c.scratch[:0]))
		return c.sendFinished(c.expectEnd)
	}), nil
}

func (c *client12) sendKeyExchange() error {
	var cke wire.ClientKeyExchange
	var shared []byte
	parts := wire.KeyExchangeParts(c.conn.Suite.KeyExchange)
	if parts.ECDHE {
		key, err := c.params.Exchanges.GenerateKey(c.group, c.params.Rand, nil)
		if err != nil {
			return err
		}
		if shared, err = key.SharedSecret(c.serverPublic); err != nil {
			return err
		}
		cke.Public = key.Public()
		c.conn.Group = c.group
	}
	if parts.PSK {
		cke.Identity = c.psk.Identity
		shared = premainPSK(shared, c.psk.Key)
		c.conn.PSK = c.psk.External
	}
	c.send(cke.Append(c.scratch[:0], parts))
	c.keys = c.deriveKeys12(shared)
	return nil
}

// finished12 makes or checks a Finished of TLS 1.2. The first is kept: see Connection.Unique.
func (m *Machine) finished12(k *keys12, label string) []byte {
	mac := suite.FinishedMAC12(m.conn.Suite.Hash, k.main, label, m.transcript.sum())
	if s, ok := m.conn.secrets.(*secrets12); ok && !s.once {
		s.once = copy(s.unique[:], mac) > 0
	}
	return mac
}

// sendFinished changes the sending keys, sends our Finished with them, and continues with
// next.
func (c *client12) sendFinished(next func() (step, error)) (step, error) {
	c.out.SendChangeCipherSpec(c.keys.client)
	c.send(wire.AppendMessage(c.scratch[:0], wire.TypeFinished, c.finished12(&c.keys, suite.ClientFinished)))
	return next()
}

// expectEnd waits for the server's ticket, if it has promised one, and Finished.
func (c *client12) expectEnd() (step, error) {
	if c.serverHas.Has(wire.ExtSessionTicket) {
		return expect(c.onNewSessionTicket, wire.TypeNewSessionTicket), nil
	}
	return c.expectFinished()
}

func (c *client12) expectFinished() (step, error) {
	return expect(c.onFinished, wire.TypeFinished), c.out.ExpectChangeCipherSpec(c.keys.server)
}

func (c *client12) onFinished(msg wire.Message) (step, error) {
	if err := c.acceptFinished(msg, c.finished12(&c.keys, suite.ServerFinished)); err != nil {
		return step{}, err
	}
	c.keepSession()
	switch {
	case c.conn.Resumed:
		return c.sendFinished(c.finish)
	case c.psk != nil:
		return c.judge(c.finish)
	}
	return c.finish()
}

// sendCertificate12 sends id's chain, or none at all.
func (m *Machine) sendCertificate12(id *pki.Identity) {
	var msg wire.Certificate12
	switch {
	case id == nil:
	case id.Type == pki.RawPublicKey:
		msg.List = id.Chain()[0]
	default:
		for _, der := range id.Chain() {
			msg.List = wire.AppendCertificate(msg.List, der)
		}
	}
	m.send(msg.Append(m.scratch[:0]))
}

// authentication is the kind of signature that the peer's key makes.
func authentication(p *Peer) suite.Authentication { return pki.Authentication(p.PublicKey()) }
