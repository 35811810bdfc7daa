package handshake

import (
	"bytes"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errCompression13 = alert.New(alert.IllegalParameter, "a TLS 1.3 ClientHello offers compression")
	errNoGroups      = alert.New(alert.MissingExtension, "the client sent no supported_groups")
	errOldVersion    = alert.New(alert.ProtocolVersion, "the legacy_version of a TLS 1.3 ClientHello is older than TLS 1.2")
	errHelloChanged  = alert.New(alert.IllegalParameter, "the second ClientHello differs from the first")
	errNeedsPSK      = alert.New(alert.HandshakeFailure, "the client offers no PSK, and the server has no certificate")
	errRetryShare    = alert.New(alert.IllegalParameter, "the second ClientHello does not have exactly the key share that was requested")
)

// server13 is a TLS 1.3 server from the ClientHello on. RFC 9846, Section 2,
// with the keys in brackets ([] handshake, [[]] application):
//
//	ClientHello             -------->
//	                        <-------- HelloRetryRequest*
//	ClientHello*            -------->
//	                        <-------- ServerHello
//	                        <-------- [EncryptedExtensions]
//	                        <-------- [CertificateRequest*]
//	                        <-------- [Certificate, CertificateVerify]
//	                        <-------- [Finished]
//	[Certificate*, CertificateVerify*]
//	[Finished]              -------->
//	[[data]]                <-------> [[data]]
type server13 struct {
	*serverStart
	psk          *PSK                // selected; nil: certificate authentication
	early        *suite.EarlySecret  // of psk
	selected     uint16              // its place in the client's list
	identity     []byte              // of psk, as the client offers it
	pskAge       uint32              // obfuscated_ticket_age
	earlyTraffic []byte              // client_early_traffic_secret, if early data is accepted
	client       suite.TrafficSecret // client_handshake_traffic_secret
	server       suite.TrafficSecret // server_handshake_traffic_secret
	secret       *suite.HandshakeSecret
	main         *suite.MainSecret
	secrets      *secrets13 // of the application data
}

// check13 checks what every ClientHello that negotiates TLS 1.3 must satisfy, whatever
// this server's configuration.
func (s *serverStart) check13() error {
	h := &s.hello
	if err := h.Check(wire.VersionTLS13); err != nil {
		return err
	}
	has := h.Has.Has
	switch {
	case s.oldVersion():
		return errOldVersion
	case len(h.Compression) != 1 || h.Compression[0] != 0:
		return errCompression13
	case len(h.LegacyCookie) != 0:
		return errLegacyCookie
	case has(wire.ExtOIDFilters):
		return errMisplaced
	case has(wire.ExtPreSharedKey) && !has(wire.ExtPSKKeyExchangeModes):
		return errNoPSKModes
	case !has(wire.ExtSignatureAlgorithms) && !has(wire.ExtPreSharedKey):
		return errNoSchemes
	case !has(wire.ExtSupportedGroups) && !has(wire.ExtKeyShare) && has(wire.ExtPreSharedKey) && !slices.Contains(h.PSKModes, pskDHE):
		return errPSKMode // it lacks nothing that this mode needs
	case !has(wire.ExtSupportedGroups):
		return errNoGroups
	case !has(wire.ExtKeyShare):
		return errNoKeyShare
	}
	return nil
}

// oldVersion reports that legacy_version is older than the TLS 1.2 that it must be.
// RFC 9846, Section 4.2.2, does not permit a newer one either; peers that test for
// tolerance do.
func (s *serverStart) oldVersion() bool {
	if s.conn.Transport == wire.Datagram {
		return s.hello.Version > wire.VersionDTLS12 // DTLS counts down
	}
	return s.hello.Version < wire.VersionTLS12
}

// onClientHello continues with a ClientHello that negotiates TLS 1.3.
func (s *server13) onClientHello() (step, error) {
	if err := s.check13(); err != nil {
		return step{}, err
	}
	if s.retry != nil {
		return s.afterStatelessRetry()
	}
	return s.choosePSK(s.chooseSuiteAndGroup)
}

// chooseSuiteAndGroup chooses the cipher suite, which must have the PSK's hash, and the
// group.
func (s *server13) chooseSuiteAndGroup() (step, error) {
	c := s.chooseSuite(func(c *suite.Suite) bool { return s.psk == nil || c.Hash == s.psk.Hash })
	if c == nil {
		return step{}, s.noSuite(func(*suite.Suite) bool { return true })
	}
	s.conn.Suite = c
	s.transcript.start(c.Hash, wire.Stream)
	group, share := s.chooseGroup()
	if group == 0 {
		return step{}, s.noGroup("no group in common")
	}
	s.conn.Group = group
	if share.Data == nil {
		return s.helloRetryRequest(), nil
	}
	return s.respond(share)
}

// chooseGroup picks the first of our groups that the client supports, and its key share
// if the client sent one. A HelloRetryRequest would reject early data, so with early
// data a group that has a share comes first.
func (s *server13) chooseGroup() (suite.Group, wire.KeyShare) {
	if s.psk != nil && s.hello.Has.Has(wire.ExtEarlyData) {
		for _, g := range s.params.Groups {
			if share, ok := s.hello.KeyShares.Find(uint16(g)); ok && s.hello.Groups.Contains(uint16(g)) {
				return g, share
			}
		}
	}
	for _, g := range s.params.Groups {
		if s.hello.Groups.Contains(uint16(g)) {
			share, _ := s.hello.KeyShares.Find(uint16(g))
			return g, share
		}
	}
	return 0, wire.KeyShare{}
}

// helloRetryRequest asks for a share of the group: RFC 9846, Section 4.2.4.
func (s *server13) helloRetryRequest() step {
	s.conn.Retried = true
	s.transcript.retry()
	hrr := s.newServerHello(wire.RetryRandom, nil)
	s.send(hrr.Append(s.scratch[:0]))
	s.out.SendCompatibilityCCS()
	s.skipEarlyData()
	return expect(s.onSecondClientHello, wire.TypeClientHello)
}

// newServerHello returns what a ServerHello and a HelloRetryRequest have in common.
func (s *server13) newServerHello(random [32]byte, share []byte) wire.ServerHello {
	t := s.conn.Transport
	return wire.ServerHello{
		Version:          t.Wire(wire.VersionTLS12),
		Random:           random,
		SessionID:        s.echoedSessionID(),
		CipherSuite:      s.conn.Suite.ID,
		Has:              wire.Extensions(wire.ExtSupportedVersions, wire.ExtKeyShare),
		SupportedVersion: t.Wire(wire.VersionTLS13),
		KeyShare:         wire.KeyShare{Group: uint16(s.conn.Group), Data: share},
	}
}

// echoedSessionID: RFC 9147bis, Section 5: "DTLS 1.3 servers MUST NOT echo the
// "legacy_session_id" value from the ClientHello."
func (s *server13) echoedSessionID() []byte {
	if s.conn.Transport == wire.Datagram {
		return nil
	}
	return s.hello.SessionID
}

func (s *server13) onSecondClientHello(msg wire.Message) (step, error) {
	first, chosen, h := s.hello, s.identity, &s.hello
	s.body = slices.Clone(msg.Body)
	if err := h.Parse(s.body, s.conn.Transport); err != nil {
		return step{}, err
	}
	if !bytes.Equal(fixed(first, s.conn.Transport), fixed(*h, s.conn.Transport)) {
		return step{}, errHelloChanged
	}
	if err := s.check13(); err != nil {
		return step{}, err
	}
	if err := s.comparePSKs(first.PSK, chosen); err != nil {
		return step{}, err
	}
	share, ok := h.KeyShares.Find(uint16(s.conn.Group))
	if !ok || len(h.KeyShares) != 4+len(share.Data) {
		return step{}, errRetryShare
	}
	return s.choosePSK(func() (step, error) {
		s.transcript.add(msg)
		return s.respond(share)
	})
}

// fixed returns what a second ClientHello has to repeat: RFC 9846, Section 4.2.2: "the
// client MUST send the same ClientHello without modification", but for key_share,
// early_data, pre_shared_key, padding, and cookie, which we request only where we keep
// nothing of the first hello. Unknown extensions may change: those of Encrypted Client
// Hello do.
func fixed(h wire.ClientHello, t wire.Transport) []byte {
	h.Has = h.Has.Minus(wire.Extensions(wire.ExtKeyShare, wire.ExtEarlyData, wire.ExtPreSharedKey))
	return h.Append(nil, t)
}

// respond sends the ServerHello and what follows it. The certificate is chosen first, so
// that a client for which none fits costs no key exchange.
func (s *server13) respond(share wire.KeyShare) (step, error) {
	if err := s.chooseALPN(); err != nil {
		return step{}, err
	}
	switch {
	case s.psk != nil:
		return s.resume13(share)
	case s.params.OnlyPSK:
		return step{}, errNeedsPSK
	case !s.hello.Has.Has(wire.ExtSignatureAlgorithms):
		return step{}, errNoSchemes
	}
	return s.chooseCertificate(nil, func() (step, error) { return s.sendServerHello(share) })
}

func (s *server13) sendServerHello(share wire.KeyShare) (step, error) {
	public, shared, err := s.params.Exchanges.Respond(s.conn.Group, s.params.Rand, share.Data)
	if err != nil {
		return step{}, err
	}
	if err := s.random(s.randoms.server[:]); err != nil {
		return step{}, err
	}
	sh := s.newServerHello(s.randoms.server, public)
	if s.psk != nil {
		sh.SelectedPSK = s.selected
		sh.Has.Add(wire.ExtPreSharedKey)
	}
	if err := s.chooseCID(&sh); err != nil {
		return step{}, err
	}
	s.send(sh.Append(s.scratch[:0]))
	if !s.conn.Retried {
		s.out.SendCompatibilityCCS()
	}
	if s.psk != nil {
		s.secret = s.early.HandshakeSecret(shared)
	} else {
		s.secret = suite.NewHandshakeSecret(s.conn.Suite.Hash, s.conn.prefix(), shared)
	}
	s.client, s.server = s.handshakeSecrets(s.secret)
	s.out.InstallWrite(Handshake, s.server.Keys)
	if err := s.installRead(); err != nil {
		return step{}, err
	}
	s.sendEncryptedExtensions()
	if s.psk != nil {
		return s.sendFinished()
	}
	if s.requestsCertificate() {
		s.sendCertificateRequest()
	}
	if err := s.sendCertificate13(s.chosen.Identity, s.hello.Compressors, s.hello.StatusRequest, s.hello.Has.Has(wire.ExtSCT)); err != nil {
		return step{}, err
	}
	return s.sign13(s.chosen.Identity, s.chosen.Scheme, suite.ServerContext, s.sendFinished)
}

// requestsCertificate reports whether the client is asked for a certificate: not after it
// has authenticated by a PSK (RFC 9846, Section 4.4.2).
func (s *server13) requestsCertificate() bool { return s.params.RequestCertificate && s.psk == nil }

func (s *server13) sendEncryptedExtensions() {
	var ee wire.EncryptedExtensions
	if s.conn.ALPN != "" {
		ee.ALPN = []byte(s.conn.ALPN)
		ee.Has.Add(wire.ExtALPN)
	}
	if s.hello.Has.Has(wire.ExtServerName) && s.psk == nil {
		ee.Has.Add(wire.ExtServerName)
	}
	if s.hello.Has.Has(wire.ExtServerCertificateType) && (s.psk == nil || s.conn.Resumed) {
		ee.ServerCertType = s.serverCertType()
		ee.Has.Add(wire.ExtServerCertificateType)
	}
	if s.requestsCertificate() && s.hello.Has.Has(wire.ExtClientCertificateType) {
		ee.ClientCertType = s.peerCertType
		ee.Has.Add(wire.ExtClientCertificateType)
	}
	srtp, profiles := s.chooseSRTP()
	limits, size, code := s.chooseLimits()
	ee.Has, ee.SRTP, ee.RecordSizeLimit, ee.MaxFragmentLength = ee.Has|srtp|limits, profiles, size, code
	if s.conn.EarlyData == EarlyDataAccepted {
		ee.Has.Add(wire.ExtEarlyData)
	}
	s.send(ee.Append(s.scratch[:0]))
}

func (s *server13) sendCertificateRequest() {
	req := wire.CertificateRequest13{
		SignatureSchemes: s.params.lists.schemes,
		Authorities:      s.params.Authorities,
	}
	req.Has.Add(wire.ExtSignatureAlgorithms)
	if req.Compressors = s.params.lists.compressors; len(req.Compressors) > 0 {
		req.Has.Add(wire.ExtCompressCertificate)
	}
	if len(req.Authorities) > 0 {
		req.Has.Add(wire.ExtCertificateAuthorities)
	}
	s.send(req.Append(s.scratch[:0]))
}

func (s *server13) sendFinished() (step, error) {
	s.sendFinished13(&s.server)
	s.main = s.secret.MainSecret()
	s.secrets = s.applicationSecrets(s.main, s.transcript.sum())
	s.out.InstallWrite(Application, s.conn.trafficKeys(s.secrets.write()))
	next := expect(s.onFinished, wire.TypeFinished)
	switch {
	case s.requestsCertificate():
		return s.expectCertificate(s.onCertificate), nil
	case s.conn.EarlyData == EarlyDataAccepted && !s.out.HasEpochs():
		next = expect(s.onEndOfEarlyData, wire.TypeEndOfEarlyData)
	}
	if s.params.AskVerify {
		return s.verify(then(next)), nil
	}
	return next, nil
}

func (s *server13) onCertificate(msg wire.Message) (step, error) {
	if err := s.parseCertificate13(msg, 0); err != nil {
		return step{}, err
	}
	s.transcript.add(msg)
	if s.conn.Peer == nil {
		if s.params.RequireCertificate {
			return step{}, errCertRequired
		}
		return s.verify(then(expect(s.onFinished, wire.TypeFinished))), nil
	}
	return s.verify(then(expect(s.onCertificateVerify, wire.TypeCertificateVerify))), nil
}

func (s *server13) onCertificateVerify(msg wire.Message) (step, error) {
	return expect(s.onFinished, wire.TypeFinished), s.verifySignature13(msg, suite.ClientContext)
}

func (s *server13) onFinished(msg wire.Message) (step, error) {
	if err := s.acceptFinished13(&s.client, msg); err != nil {
		return step{}, err
	}
	if err := s.out.InstallRead(Application, s.conn.trafficKeys(s.secrets.read())); err != nil {
		return step{}, err
	}
	var resumption []byte
	if s.wantsTickets() {
		resumption = slices.Clone(s.main.ResumptionSecret(s.transcript.sum()))
	}
	s.main.Done()
	if resumption == nil {
		return s.finish()
	}
	return s.sendTickets(resumption, 0)
}
