package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

const emptyRenegotiationSCSV = 0x00ff // RFC 5746, Section 3.3

// server12 is a TLS 1.2 server from the ClientHello on. RFC 5246, Section 7.3,
// with the keys in brackets:
//
//	ClientHello             -------->
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
type server12 struct {
	*serverStart
	key   suite.PrivateKey
	keys  keys12
	renew bool // a resumed session gets a new ticket
}

// onClientHello continues with a ClientHello that negotiates TLS 1.2.
func (s *server12) onClientHello() (step, error) {
	h := &s.hello
	switch {
	case len(h.RenegotiationInfo) != 0:
		return step{}, errRenegInfo
	case s.params.RequireEMS && !h.Has.Has(wire.ExtExtendedMainSecret):
		return step{}, errEMSRequired
	case h.Has.Has(wire.ExtECPointFormats) && !slices.Contains(h.PointFormats, 0):
		return step{}, errPointFormat
	}
	s.conn.EMS = h.Has.Has(wire.ExtExtendedMainSecret)
	s.conn.Group = s.chooseGroup()
	if len(h.SessionTicket) > 0 && s.params.Tickets > 0 {
		return s.openTicket()
	}
	return s.fullHandshake()
}

// fullHandshake chooses the cipher suite, by the certificate if it needs one.
func (s *server12) fullHandshake() (step, error) {
	first := s.chooseSuite(s.agreeable)
	if first == nil && slices.ContainsFunc(s.suites, s.permitted) {
		return step{}, s.noGroup("no cipher suite in common, for lack of a group")
	}
	if first == nil {
		return step{}, s.noSuite(s.permitted)
	}
	if err := s.chooseALPN(); err != nil {
		return step{}, err
	}
	if first.Auth == suite.NoSignature {
		s.conn.Suite = first
		return s.respondPSK()
	}
	return s.chooseCertificate(func(a suite.Authentication) bool {
		return s.chooseSuite(func(c *suite.Suite) bool { return s.agreeable(c) && c.Auth == a }) != nil
	}, s.respond)
}

// chooseGroup picks the first of our groups that the client supports, or 0. RFC 8422,
// Section 4, permits any group if the client names none; that would be a guess.
func (s *server12) chooseGroup() suite.Group {
	for _, g := range s.params.Groups {
		if g.Curve() && s.hello.Groups.Contains(uint16(g)) {
			return g
		}
	}
	return 0
}

// agreeable reports whether the two sides can agree on keys with c.
func (s *server12) agreeable(c *suite.Suite) bool {
	return (s.conn.Group != 0 || !c.KeyExchange.ECDHE) && s.permitted(c)
}

// permitted reports whether we have what c needs, apart from a group.
func (s *server12) permitted(c *suite.Suite) bool {
	parts := c.KeyExchange
	return (s.params.ExternalPSK || !parts.PSK) && (!s.params.OnlyPSK || !parts.Signed)
}

// issues reports whether the client gets a ticket: RFC 5077, Section 3.2. A
// resumed session keeps its ticket unless the caller renews it, because its main secret
// must expire.
func (s *server12) issues() bool {
	return s.params.Tickets > 0 && s.hello.Has.Has(wire.ExtSessionTicket) && (!s.conn.Resumed || s.renew)
}

func (s *server12) respond() (step, error) {
	auth := pki.Authentication(s.chosen.Identity.Public)
	s.conn.Suite = s.chooseSuite(func(c *suite.Suite) bool { return s.agreeable(c) && c.Auth == auth })
	if s.conn.Suite == nil {
		return step{}, errNoCertFits
	}
	s.transcript.keep = s.params.RequestCertificate
	s.transcript.start(s.conn.Suite.Hash, s.conn.Transport)
	if err := s.sendServerHello(); err != nil {
		return step{}, err
	}
	s.sendCertificate12(s.chosen.Identity)
	if staple := s.chosen.Identity.Certificate.OCSPStaple; s.staples() {
		status := wire.CertificateStatus{OCSP: staple}
		s.send(status.Append(s.scratch[:0]))
	}
	return s.sendKeyExchange()
}

// staples reports whether a CertificateStatus follows the Certificate.
func (s *server12) staples() bool {
	return s.chosen != nil && s.hello.StatusRequest && s.chosen.Identity.Type == pki.X509 && len(s.chosen.Identity.Certificate.OCSPStaple) > 0
}

func (s *server12) sendServerHello() error {
	if err := s.random(s.randoms.server[:]); err != nil {
		return err
	}
	if s.params.MaxVersion > wire.VersionTLS12 {
		// RFC 9846, Section 4.2.3
		copy(s.randoms.server[24:], wire.DowngradeTLS12)
	}
	h := &s.hello
	sh := wire.ServerHello{
		Version:     s.conn.Transport.Wire(wire.VersionTLS12),
		Random:      s.randoms.server,
		CipherSuite: s.conn.Suite.ID,
	}
	if h.Has.Has(wire.ExtRenegotiationInfo) || h.CipherSuites.Contains(emptyRenegotiationSCSV) {
		sh.Has.Add(wire.ExtRenegotiationInfo)
	}
	if s.conn.EMS {
		sh.Has.Add(wire.ExtExtendedMainSecret)
	}
	if h.Has.Has(wire.ExtECPointFormats) {
		sh.PointFormats = []byte{0}
		sh.Has.Add(wire.ExtECPointFormats)
	}
	if s.conn.ALPN != "" {
		sh.ALPN = []byte(s.conn.ALPN)
		sh.Has.Add(wire.ExtALPN)
	}
	if s.staples() {
		sh.Has.Add(wire.ExtStatusRequest)
	}
	if s.conn.Resumed {
		sh.SessionID = h.SessionID
	}
	if s.issues() {
		sh.Has.Add(wire.ExtSessionTicket)
	}
	if s.chosen != nil {
		s.describeCertificate(&sh)
	}
	if h.Has.Has(wire.ExtServerCertificateType) && (s.chosen != nil || s.conn.Resumed) {
		sh.ServerCertType = s.serverCertType()
		sh.Has.Add(wire.ExtServerCertificateType)
	}
	srtp, profiles := s.chooseSRTP()
	limits, size, code := s.chooseLimits()
	sh.Has, sh.SRTP, sh.RecordSizeLimit, sh.MaxFragmentLength = sh.Has|srtp|limits, profiles, size, code
	if err := s.chooseCID(&sh); err != nil {
		return err
	}
	s.send(sh.Append(s.scratch[:0]))
	return nil
}

// describeCertificate adds the extensions about certificates to the ServerHello.
func (s *server12) describeCertificate(sh *wire.ServerHello) {
	if scts := s.chosen.Identity.Certificate.SignedCertificateTimestamps; s.hello.Has.Has(wire.ExtSCT) && len(scts) > 0 {
		sh.SCTs = wire.AppendSCTs(nil, scts)
		sh.Has.Add(wire.ExtSCT)
	}
	// RFC 6066, Section 3, asks for an answer. It is unused, and a DTLS 1.2 client
	// (pion/dtls) cannot parse it.
	if s.hello.Has.Has(wire.ExtServerName) && s.conn.Transport != wire.Datagram {
		sh.Has.Add(wire.ExtServerName)
	}
	if s.params.RequestCertificate && s.hello.Has.Has(wire.ExtClientCertificateType) {
		sh.ClientCertType = s.peerCertType
		sh.Has.Add(wire.ExtClientCertificateType)
	}
}

// sendKeyExchange sends the signed parameters, and the rest of the flight.
func (s *server12) sendKeyExchange() (step, error) {
	ske, err := s.newKey()
	if err != nil {
		return step{}, err
	}
	ske.Scheme = uint16(s.chosen.Scheme)
	message := s.signedParams(wire.AppendECDHParams(nil, ske.Group, ske.Public))
	return s.sign(s.chosen.Identity, s.chosen.Scheme, message, func(signature []byte) (step, error) {
		ske.Signature = signature
		s.send(ske.Append(s.scratch[:0], wire.KeyExchangeParts(s.conn.Suite.KeyExchange)))
		return s.sendHelloDone()
	}), nil
}

// newKey makes our key share.
func (s *server12) newKey() (ske wire.ServerKeyExchange, err error) {
	if s.key, err = s.params.Exchanges.GenerateKey(s.conn.Group, s.params.Rand, nil); err != nil {
		return ske, err
	}
	return wire.ServerKeyExchange{Group: uint16(s.conn.Group), Public: s.key.Public()}, nil
}

func (s *server12) sendHelloDone() (step, error) {
	if s.params.RequestCertificate {
		req := wire.CertificateRequest12{
			Types:            []byte{certTypeRSASign, certTypeECDSASign},
			SignatureSchemes: s.params.lists.schemes12,
			Authorities:      s.params.Authorities,
		}
		s.send(req.Append(s.scratch[:0]))
	}
	s.send(wire.AppendMessage(s.scratch[:0], wire.TypeServerHelloDone, nil))
	if s.params.RequestCertificate {
		return expect(s.onCertificate, wire.TypeCertificate), nil
	}
	next := expect(s.onClientKeyExchange, wire.TypeClientKeyExchange)
	if s.params.AskVerify {
		return s.verify(then(next)), nil
	}
	return next, nil
}

func (s *server12) onCertificate(msg wire.Message) (step, error) {
	if err := s.parseCertificate12(msg.Body); err != nil {
		return step{}, err
	}
	s.transcript.add(msg)
	if s.conn.Peer == nil {
		if s.params.RequireCertificate {
			return step{}, errCertRequired12
		}
		s.transcript.release()
	}
	return s.verify(then(expect(s.onClientKeyExchange, wire.TypeClientKeyExchange))), nil
}

func (s *server12) onClientKeyExchange(msg wire.Message) (step, error) {
	var cke wire.ClientKeyExchange
	parts := wire.KeyExchangeParts(s.conn.Suite.KeyExchange)
	if err := cke.Parse(msg.Body, parts); err != nil {
		return step{}, err
	}
	var premain []byte
	if parts.ECDHE {
		var err error
		if premain, err = s.key.SharedSecret(cke.Public); err != nil {
			return step{}, err
		}
	}
	s.transcript.add(msg)
	if parts.PSK {
		return s.findPSK(&cke, premain)
	}
	s.keys = s.deriveKeys12(premain)
	if s.conn.Peer != nil {
		return expect(s.onCertificateVerify, wire.TypeCertificateVerify), nil
	}
	return s.expectFinished()
}

func (s *server12) onCertificateVerify(msg wire.Message) (step, error) {
	var cv wire.CertificateVerify
	if err := cv.Parse(msg.Body); err != nil {
		return step{}, err
	}
	if err := s.checkSignature(&cv, s.transcript.messages); err != nil {
		return step{}, err
	}
	s.transcript.release()
	s.transcript.add(msg)
	return s.expectFinished()
}

func (s *server12) expectFinished() (step, error) {
	return expect(s.onFinished, wire.TypeFinished), s.out.ExpectChangeCipherSpec(s.keys.client)
}

func (s *server12) onFinished(msg wire.Message) (step, error) {
	if err := s.acceptFinished(msg, s.finished12(&s.keys, suite.ClientFinished)); err != nil {
		return step{}, err
	}
	if s.conn.Resumed {
		return s.finish()
	}
	end := func() (step, error) {
		return s.sendTicket(func() (step, error) {
			s.sendFinished()
			return s.finish()
		})
	}
	if s.conn.Suite.Auth == suite.NoSignature {
		return s.judge(end) // the Finished has proved that the client has the PSK
	}
	return end()
}

// sendFinished changes the sending keys, and sends our Finished with them.
func (s *server12) sendFinished() {
	s.out.SendChangeCipherSpec(s.keys.server)
	s.send(wire.AppendMessage(s.scratch[:0], wire.TypeFinished, s.finished12(&s.keys, suite.ServerFinished)))
}
