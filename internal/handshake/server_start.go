package handshake

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errFallback      = alert.New(alert.InappropriateFallback, "the client fell back to an older version although both support a newer one")
	errNoCompression = alert.New(alert.IllegalParameter, "the client does not offer the null compression")
	errRenegInfo     = alert.New(alert.HandshakeFailure, "renegotiation_info is not empty in a first handshake")
	errNoCertType    = alert.New(alert.UnsupportedCertificate, "no certificate type in common")
	errOnlyX509      = alert.New(alert.IllegalParameter, "a certificate type extension has only the default, X.509")
	errLegacyCookie  = alert.New(alert.IllegalParameter, "a DTLS 1.3 ClientHello has a legacy cookie")
)

const fallbackSCSV = 0x5600 // RFC 7507

// serverStart is a server until the version is known. The ClientHello is copied, because
// it is needed until our answer is complete.
type serverStart struct {
	*Machine
	body   []byte
	hello  wire.ClientHello
	suites []*suite.Suite  // common to both sides, of the version; nil: not computed yet
	retry  *statelessRetry // from the cookie, or nil
	chosen *Choose         // our certificate; nil: none is shown
	space  [8]*suite.Suite // for suites
	asked  []askedTicket   // whose sessions the caller has decided about

	withoutAES bool // the client prefers ChaCha20-Poly1305; computed with suites
}

func (s *serverStart) onClientHello(msg wire.Message) (step, error) {
	s.body = slices.Clone(msg.Body)
	if err := s.hello.Parse(s.body, s.conn.Transport); err != nil {
		return step{}, err
	}
	s.randoms.client = s.hello.Random
	s.conn.ServerName = s.hello.ServerName
	s.transcript.add(msg)
	if !s.params.AskConfig {
		return s.negotiate()
	}
	q := &Configure{Hello: &s.hello}
	return ask(q, func() (step, error) {
		if q.Params != nil {
			s.params = q.Params
		}
		return s.negotiate()
	}), nil
}

// negotiate chooses the version.
func (s *serverStart) negotiate() (step, error) {
	version := s.version()
	if version == 0 {
		return step{}, s.noVersion()
	}
	if h := &s.hello; h.ClientCertTypes != nil && onlyX509(h.ClientCertTypes) || h.ServerCertTypes != nil && onlyX509(h.ServerCertTypes) {
		return step{}, errOnlyX509 // RFC 7250, Section 4.1
	}
	if s.hello.CipherSuites.Contains(fallbackSCSV) && version < s.params.MaxVersion {
		return step{}, errFallback
	}
	if !slices.Contains(s.hello.Compression, 0) {
		return step{}, errNoCompression
	}
	s.conn.Version = version
	if version == wire.VersionTLS12 {
		if err := s.hello.Check(version); err != nil {
			return step{}, err
		}
	}
	if err := s.verifyCookie(); err != nil {
		return step{}, err
	}
	if err := s.checkLimits(); err != nil {
		return step{}, err
	}
	s.out.SetVersion(version)
	if version == wire.VersionTLS13 {
		return (&server13{serverStart: s}).onClientHello()
	}
	return (&server12{serverStart: s}).onClientHello()
}

// version returns the newest version that both support, or 0.
func (s *serverStart) version() uint16 {
	for v := s.params.MaxVersion; v >= s.params.MinVersion; v-- {
		if s.offersVersion(v) {
			return v
		}
	}
	return 0
}

func (s *serverStart) offersVersion(v uint16) bool {
	t := s.conn.Transport
	if s.hello.Has.Has(wire.ExtSupportedVersions) {
		return s.hello.SupportedVersions.Contains(t.Wire(v))
	}
	if t == wire.Datagram {
		return v == wire.VersionTLS12 && s.hello.Version <= wire.VersionDTLS12 // DTLS counts down
	}
	return v == wire.VersionTLS12 && s.hello.Version >= v
}

// chooseSuite picks the first of our suites that the client offers and ok accepts. If the
// client prefers ChaCha20-Poly1305, it picks the suite with that cipher and with the same
// key exchange and authentication, if there is one.
func (s *serverStart) chooseSuite(ok func(*suite.Suite) bool) *suite.Suite {
	if s.suites == nil { // the client's list may be long, and it is searched often
		s.suites = s.space[:0]
		for _, c := range s.params.Suites {
			if c.Version == s.conn.Version && s.hello.CipherSuites.Contains(c.ID) {
				s.suites = append(s.suites, c)
			}
		}
		s.withoutAES = s.lacksAES()
	}
	i := slices.IndexFunc(s.suites, ok)
	if i < 0 {
		return nil
	}
	first := s.suites[i]
	if s.withoutAES {
		for _, c := range s.suites[i:] {
			if c.WithoutAES && c.KeyExchange == first.KeyExchange && c.Auth == first.Auth && ok(c) {
				return c
			}
		}
	}
	return first
}

// lacksAES reports whether ChaCha20-Poly1305 is first among the client's suites that we
// know, of all versions. Such a client has no AES instructions.
func (s *serverStart) lacksAES() bool {
	for id := range s.hello.CipherSuites.All() {
		if c := suite.ByID(id); c != nil {
			return c.WithoutAES
		}
	}
	return false
}

// chooseALPN: RFC 7301, Section 3.2.
func (s *serverStart) chooseALPN() error {
	if !s.hello.Has.Has(wire.ExtALPN) || len(s.params.ALPN) == 0 {
		return nil
	}
	for _, ours := range s.params.ALPN {
		for theirs := range s.hello.ALPN.All() {
			if ours == string(theirs) {
				s.conn.ALPN = ours
				return nil
			}
		}
	}
	return s.noALPN()
}

// chooseClientCertType chooses the type of certificate to ask for (RFC 7250).
func (s *serverStart) chooseClientCertType() error {
	offered := s.hello.ClientCertTypes
	if !s.hello.Has.Has(wire.ExtClientCertificateType) {
		offered = []byte{pki.X509}
	}
	ours := s.params.PeerCertTypes
	if len(ours) == 0 {
		ours = []uint8{pki.X509}
	}
	for _, t := range ours {
		if slices.Contains(offered, t) {
			s.peerCertType = t
			return nil
		}
	}
	return errNoCertType
}

// serverCertType is the type of certificate that this server shows, or showed when the
// session began.
func (s *serverStart) serverCertType() uint8 {
	if s.chosen == nil && s.conn.rawLocal || s.chosen != nil && s.chosen.Identity.Type == pki.RawPublicKey {
		return pki.RawPublicKey
	}
	return pki.X509
}

// chooseCertificate asks which certificate to send, and continues with next. In TLS 1.2
// auth reports for which kinds of key there is a cipher suite.
func (s *serverStart) chooseCertificate(auth func(suite.Authentication) bool, next func() (step, error)) (step, error) {
	if s.params.RequestCertificate {
		if err := s.chooseClientCertType(); err != nil {
			return step{}, err
		}
	}
	types := []uint8{pki.X509}
	if s.hello.Has.Has(wire.ExtServerCertificateType) {
		types = s.hello.ServerCertTypes
	}
	s.chosen = &Choose{
		Hello: &s.hello,
		Criteria: pki.Criteria{
			Keys:        s.params.Keys,
			Version:     s.conn.Version,
			Schemes:     s.hello.SignatureSchemes,
			SchemesCert: s.hello.SignatureSchemesCert,
			ServerName:  s.hello.ServerName,
			Authorities: s.hello.Authorities,
			Types:       types,
			Groups:      s.hello.Groups,
			Auth:        auth,
		},
	}
	return ask(s.chosen, next), nil
}
