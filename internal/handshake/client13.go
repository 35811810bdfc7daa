package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errNoKeyShare = alert.New(alert.MissingExtension, "the peer sent no key share")
	errWrongShare = alert.New(alert.IllegalParameter, "the server's key share is of a group that was not offered")
	errContext    = alert.New(alert.DecodeError, "certificate_request_context is not empty")
	// RFC 9846, Section 4.3.11: its alert differs from that of a missing key share.
	errPSKWithoutShare = alert.New(alert.IllegalParameter, "the server chose a PSK and sent no key share, which psk_dhe_ke requires")
	errNoSchemes       = alert.New(alert.MissingExtension, "the peer sent no signature_algorithms")
)

// client13 is a TLS 1.3 client after the ServerHello. RFC 9846, Section 2, with
// the keys in brackets ([] handshake, [[]] application):
//
//	                        <-------- ServerHello
//	                        <-------- [EncryptedExtensions]
//	                        <-------- [CertificateRequest]
//	                        <-------- [Certificate, CertificateVerify]
//	                        <-------- [Finished]
//	[Certificate*, CertificateVerify*]
//	[Finished]              -------->
//	[[data]]                <-------> [[data]]
type client13 struct {
	*Machine
	offered wire.ExtensionSet
	shares  []keyShare
	psks    []offeredPSK
	psk     *PSK   // selected by the server; nil: certificate authentication
	first   bool   // psk is the first offered, the only one early data may use
	alpn    string // of the session under which early data was offered
	secret  *suite.HandshakeSecret
	client  suite.TrafficSecret // client_handshake_traffic_secret
	server  suite.TrafficSecret // server_handshake_traffic_secret
	main    *suite.MainSecret
	secrets *secrets13 // of the application data

	request     *Choose      // nil: the server requests no certificate
	compressors wire.Uint16s // with which ours may be compressed
}

func newClient13(c *clientStart) *client13 {
	n := &client13{Machine: c.Machine, offered: c.hello.Has, shares: c.shares, psks: c.psks}
	if c.early != nil {
		n.alpn = c.session.ALPN
	}
	return n
}

func (c *client13) onServerHello(sh *wire.ServerHello) (step, error) {
	switch {
	case sh.Unknown || sh.Has.Minus(c.offered) != 0:
		return step{}, errUnsolicited
	case sh.Has.Minus(wire.InServerHello13) != 0:
		return step{}, errMisplaced
	case !sh.Has.Has(wire.ExtKeyShare) && sh.Has.Has(wire.ExtPreSharedKey):
		return step{}, errPSKWithoutShare
	case !sh.Has.Has(wire.ExtKeyShare):
		return step{}, errNoKeyShare
	}
	shared, err := c.agree(sh.KeyShare)
	if err != nil {
		return step{}, err
	}
	if c.secret, err = c.handshakeSecretFrom(sh, shared); err != nil {
		return step{}, err
	}
	c.shares, c.psks = nil, nil
	c.client, c.server = c.handshakeSecrets(c.secret)
	if err := c.out.InstallRead(Handshake, c.server.Keys); err != nil {
		return step{}, err
	}
	switch {
	case c.offersEarlyData():
		// The early keys stay until the server has decided.
	case !c.conn.Retried:
		c.out.SendCompatibilityCCS()
		fallthrough
	default:
		c.out.InstallWrite(Handshake, c.client.Keys)
	}
	return expect(c.onEncryptedExtensions, wire.TypeEncryptedExtensions), nil
}

// handshakeSecretFrom derives the handshake secret, from the selected PSK if there is one.
func (c *client13) handshakeSecretFrom(sh *wire.ServerHello, shared []byte) (*suite.HandshakeSecret, error) {
	if !sh.Has.Has(wire.ExtPreSharedKey) && c.params.OnlyPSK && c.serverName == "" {
		return nil, errPSKRequired
	}
	if !sh.Has.Has(wire.ExtPreSharedKey) {
		return suite.NewHandshakeSecret(c.conn.Suite.Hash, c.conn.prefix(), shared), nil
	}
	i := int(sh.SelectedPSK)
	if i >= len(c.psks) || c.psks[i].Hash != c.conn.Suite.Hash {
		return nil, errSelectedPSK
	}
	c.psk, c.first = c.psks[i].PSK, i == 0
	return c.psks[i].early.HandshakeSecret(shared), c.usePSK(c.psk)
}

// agree computes the (EC)DHE secret.
func (c *client13) agree(share wire.KeyShare) ([]byte, error) {
	for _, s := range c.shares {
		if uint16(s.group) == share.Group {
			c.conn.Group = s.group
			return s.key.SharedSecret(share.Data)
		}
	}
	return nil, errWrongShare
}

func (c *client13) onEncryptedExtensions(msg wire.Message) (step, error) {
	var ee wire.EncryptedExtensions
	if err := ee.ParseAnswer(msg.Body, c.offered); err != nil {
		return step{}, err
	}
	c.transcript.add(msg)
	// RFC 9846, Section 4.4.1, requires illegal_parameter for an extension that was
	// offered but belongs in another message; peers that test for it do not.
	if ee.Unknown || ee.Has.Minus(c.offered&wire.InEncryptedExtensions) != 0 {
		return step{}, errUnsolicited
	}
	c.conn.ALPN = ""
	if err := c.acceptALPN(ee.Has, ee.ALPN); err != nil {
		return step{}, err
	}
	if err := c.acceptSRTP(ee.Has, ee.SRTP); err != nil {
		return step{}, err
	}
	if err := c.acceptLimits(ee.Has, ee.RecordSizeLimit, ee.MaxFragmentLength); err != nil {
		return step{}, err
	}
	if err := c.acceptCertTypes(ee.Has, ee.ServerCertType, ee.ClientCertType); err != nil {
		return step{}, err
	}
	if err := c.acceptEarlyData(ee.Has.Has(wire.ExtEarlyData)); err != nil {
		return step{}, err
	}
	if c.psk != nil {
		return c.judge(func() (step, error) { return expect(c.onFinished, wire.TypeFinished), nil })
	}
	return c.expectCertificate(c.onRequestOrCertificate, wire.TypeCertificateRequest), nil
}

func (c *client13) onRequestOrCertificate(msg wire.Message) (step, error) {
	if msg.Type != wire.TypeCertificateRequest {
		return c.onCertificate(msg)
	}
	var req wire.CertificateRequest13
	if err := req.Parse(msg.Body); err != nil {
		return step{}, err
	}
	switch {
	case len(req.Context) != 0:
		return step{}, errContext
	case !req.Has.Has(wire.ExtSignatureAlgorithms):
		return step{}, errNoSchemes
	}
	c.transcript.add(msg)
	c.request = c.requested(req.SignatureSchemes, req.SignatureSchemesCert, req.Authorities)
	c.compressors = slices.Clone(req.Compressors)
	return c.expectCertificate(c.onCertificate), nil
}

func (c *client13) onCertificate(msg wire.Message) (step, error) {
	if err := c.parseCertificate13(msg, c.offered); err != nil {
		return step{}, err
	}
	if c.conn.Peer == nil {
		return step{}, errNoCertificate
	}
	c.transcript.add(msg)
	return c.verify(then(expect(c.onCertificateVerify, wire.TypeCertificateVerify))), nil
}

func (c *client13) onCertificateVerify(msg wire.Message) (step, error) {
	return expect(c.onFinished, wire.TypeFinished), c.verifySignature13(msg, suite.ServerContext)
}

func (c *client13) onFinished(msg wire.Message) (step, error) {
	if err := c.acceptFinished13(&c.server, msg); err != nil {
		return step{}, err
	}
	c.main = c.secret.MainSecret()
	c.secrets = c.applicationSecrets(c.main, c.transcript.sum())
	if err := c.out.InstallRead(Application, c.conn.trafficKeys(c.secrets.read())); err != nil {
		return step{}, err
	}
	if c.conn.EarlyData == EarlyDataAccepted {
		c.endEarlyData()
	}
	if c.request == nil {
		return c.finish13()
	}
	return c.authenticate()
}

// authenticate answers the CertificateRequest.
func (c *client13) authenticate() (step, error) {
	q := c.request
	return ask(q, func() (step, error) {
		if err := c.sendCertificate13(q.Identity, c.compressors, false, false); err != nil {
			return step{}, err
		}
		if q.Identity == nil {
			return c.finish13()
		}
		return c.sign13(q.Identity, q.Scheme, suite.ClientContext, c.finish13)
	}), nil
}

func (c *client13) finish13() (step, error) {
	c.sendFinished13(&c.client)
	c.out.InstallWrite(Application, c.conn.trafficKeys(c.secrets.write()))
	if c.params.AskSession {
		c.secrets.all = append(c.secrets.all, c.main.ResumptionSecret(c.transcript.sum())...)
	}
	c.main.Done()
	return c.finish()
}
