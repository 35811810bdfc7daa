package handshake

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	errVersion          = alert.New(alert.ProtocolVersion, "no protocol version in common")
	errDowngrade        = alert.New(alert.IllegalParameter, "downgrade detected: the server's random has the sentinel of RFC 9846, Section 4.2.3")
	errSuiteNotOffered  = alert.New(alert.IllegalParameter, "the server chose a cipher suite that was not offered")
	errSuiteChanged     = alert.New(alert.IllegalParameter, "the server changed the cipher suite after its HelloRetryRequest")
	errVersionChanged   = alert.New(alert.IllegalParameter, "the server changed the version after its HelloRetryRequest")
	errCompression      = alert.New(alert.IllegalParameter, "compression is not supported")
	errSessionEcho      = alert.New(alert.IllegalParameter, "the server did not echo the session id")
	errUnsolicited      = alert.New(alert.UnsupportedExtension, "the peer answered an extension that was not sent")
	errVersionNotWanted = alert.New(alert.IllegalParameter, "the server chose a version that was not offered")
	errSecondRetry      = alert.New(alert.UnexpectedMessage, "a second HelloRetryRequest")
	errHVRIn13          = alert.New(alert.IllegalParameter, "the server sent the HelloVerifyRequest of DTLS 1.2 and then chose 1.3")
	errLegacyVersion    = alert.New(alert.ProtocolVersion, "legacy_version is not TLS 1.2")
	errMisplaced        = alert.New(alert.IllegalParameter, "an extension is not permitted in this message")
	errLargeHello       = alert.New(alert.InternalError, "the ClientHello exceeds 64 KiB: configure fewer or shorter PSKs and protocols")
	errLargeCookie      = alert.New(alert.IllegalParameter, "the HelloRetryRequest's cookie does not fit in a ClientHello")
	errRetryCompression = alert.New(alert.DecodeError, "a HelloRetryRequest chooses compression")
	errEmptyRetry       = alert.New(alert.IllegalParameter, "the HelloRetryRequest requests no change")
	errALPNChoice       = alert.New(alert.IllegalParameter, "the server chose an ALPN protocol that was not offered")
	errCertType         = alert.New(alert.IllegalParameter, "the server chose a certificate type that was not offered")
	errRetryGroup       = alert.New(alert.IllegalParameter, "the HelloRetryRequest requests a group that was not offered, or whose share was sent")
)

// keyShare is a client's private half of one group.
type keyShare struct {
	group suite.Group
	key   suite.PrivateKey
}

// clientStart is a client until the version is known.
//
//	ClientHello            -------->
//	                       <-------- HelloVerifyRequest (DTLS 1.2)
//	ClientHello + cookie   -------->
//	                       <-------- HelloRetryRequest (1.3)
//	ClientHello + share    -------->
//	                       <-------- ServerHello
type clientStart struct {
	*Machine
	hello      wire.ClientHello
	shares     []keyShare
	psks       []offeredPSK
	session    *session.Session   // offered; nil: none
	external   []PSK              // to offer in TLS 1.3
	early      *suite.EarlySecret // for early data; nil: none is offered
	sessionID  [32]byte           // if it is not a session's
	retrySuite uint16             // of the HelloRetryRequest
	hvrs       int                // HelloVerifyRequests received
}

func (c *clientStart) start() (step, error) {
	if err := c.random(c.randoms.client[:]); err != nil {
		return step{}, err
	}
	if !c.params.AskSession {
		return c.findPSKs()
	}
	q := new(Offer)
	return ask(q, func() (step, error) {
		if s := q.Session; s != nil && c.offerable(s) {
			c.session = s
		}
		return c.judgeSession()
	}), nil
}

// begin sends the first ClientHello.
func (c *clientStart) begin() (step, error) {
	if err := c.fill(); err != nil {
		return step{}, err
	}
	if err := c.transmit(); err != nil {
		return step{}, err
	}
	c.offerEarlyData()
	return c.await(), nil
}

// maxHVRs is how many HelloVerifyRequests are answered. One is ordinary. Another one
// arrives when the server does not recognize its cookie, because our address has changed
// or it has restarted.
const maxHVRs = 4

func (c *clientStart) await() step {
	if c.conn.Transport == wire.Datagram && c.hvrs < maxHVRs && !c.conn.Retried {
		return expect(c.onServerHello, wire.TypeServerHello, wire.TypeHelloVerifyRequest)
	}
	return expect(c.onServerHello, wire.TypeServerHello)
}

func (c *clientStart) transmit() error {
	msg := c.hello.Append(c.scratch[:0], c.conn.Transport)
	switch large := len(msg) > 1<<16; { // its length fields overflow, or nearly do
	case large && c.conn.Retried:
		return errLargeCookie
	case large:
		return errLargeHello
	}
	if c.hello.Has.Has(wire.ExtPreSharedKey) {
		// The binders do not cover the cookie of DTLS 1.2. Its field is empty, or the
		// server does not support 1.3.
		c.bind(msg)
	}
	c.send(msg)
	return nil
}

// offers reports whether the client offers version.
func (c *clientStart) offers(version uint16) bool {
	return c.params.MinVersion <= version && version <= c.params.MaxVersion
}

// fill fills in the ClientHello from the parameters.
func (c *clientStart) fill() error {
	p, h := c.params, &c.hello
	h.Version = c.conn.Transport.Wire(wire.VersionTLS12)
	h.Random = c.randoms.client
	h.Compression = []byte{0}
	h.CipherSuites = p.lists.suites
	if !p.NoStatusRequest {
		h.StatusRequest = true
		h.Has.Add(wire.ExtStatusRequest)
	}
	if !p.NoSCTs {
		h.Has.Add(wire.ExtSCT)
	}
	if name := sniName(c.serverName); name != "" {
		h.ServerName = name
		h.Has.Add(wire.ExtServerName)
	}
	if len(p.Groups) > 0 {
		h.Groups = p.lists.groups
		h.Has.Add(wire.ExtSupportedGroups)
	}
	h.SignatureSchemes = p.lists.schemes
	h.Has.Add(wire.ExtSignatureAlgorithms)
	if len(p.ALPN) > 0 {
		h.ALPN = p.lists.alpn
		h.Has.Add(wire.ExtALPN)
	}
	c.fillCertTypes()
	c.offerLimits()
	c.offerSRTP()
	if err := c.offerCID(); err != nil {
		return err
	}
	if err := c.fillSession(); err != nil {
		return err
	}
	if c.offers(wire.VersionTLS12) {
		h.PointFormats = []byte{0}
		h.Has.Add(wire.ExtECPointFormats, wire.ExtExtendedMainSecret, wire.ExtRenegotiationInfo)
	}
	if c.offers(wire.VersionTLS13) {
		return c.fill13()
	}
	return nil
}

// fillCertTypes: RFC 7250, Section 4.1: a list with only X.509 is not sent.
func (c *clientStart) fillCertTypes() {
	p, h := c.params, &c.hello
	if !onlyX509(p.PeerCertTypes) {
		h.ServerCertTypes = p.PeerCertTypes
		h.Has.Add(wire.ExtServerCertificateType)
	}
	if !onlyX509(p.LocalCertTypes) {
		h.ClientCertTypes = p.LocalCertTypes
		h.Has.Add(wire.ExtClientCertificateType)
	}
}

// fill13 adds what only TLS 1.3 has.
func (c *clientStart) fill13() error {
	h, t := &c.hello, c.conn.Transport
	for v := c.params.MaxVersion; v >= c.params.MinVersion; v-- {
		h.SupportedVersions = wire.AppendUint16s(h.SupportedVersions, t.Wire(v))
	}
	h.Has.Add(wire.ExtSupportedVersions, wire.ExtKeyShare)
	if len(c.params.lists.compressors) > 0 {
		h.Compressors = c.params.lists.compressors
		h.Has.Add(wire.ExtCompressCertificate)
	}
	if t == wire.Stream && len(h.SessionID) == 0 {
		// RFC 9846, Appendix E.4: a session id makes it look like a resumption.
		if err := c.inventSessionID(); err != nil {
			return err
		}
	}
	// A share that does not fit into one datagram waits for a HelloRetryRequest.
	room := c.out.HelloRoom() - len(h.Append(c.scratch[:0], t))
	for _, g := range c.params.KeyShares {
		if size := 4 + c.params.Exchanges.KeyShareSize(g); size <= room {
			if err := c.addShare(g, c.shares); err != nil {
				return err
			}
			room -= size
		}
	}
	return nil
}

// addShare makes a key share. If another share is on the same curve it uses its key:
// only one of the two is ever used.
func (c *clientStart) addShare(g suite.Group, others []keyShare) error {
	var other suite.PrivateKey
	if len(others) > 0 {
		other = others[0].key
	}
	key, err := c.params.Exchanges.GenerateKey(g, c.params.Rand, other)
	if err != nil {
		return err
	}
	c.shares = append(c.shares, keyShare{g, key})
	c.hello.KeyShares = wire.AppendKeyShare(c.hello.KeyShares, uint16(g), key.Public())
	return nil
}

// onServerHello takes a ServerHello, a HelloRetryRequest or a HelloVerifyRequest.
func (c *clientStart) onServerHello(msg wire.Message) (step, error) {
	if msg.Type == wire.TypeHelloVerifyRequest {
		return c.onHelloVerifyRequest(msg)
	}
	var sh wire.ServerHello
	// RFC 9846, Section 4.3: a HelloRetryRequest's cookie is the one extension that
	// need not have been offered.
	if err := sh.ParseAnswer(msg.Body, c.hello.Has|wire.Extensions(wire.ExtCookie)); err != nil {
		return step{}, err
	}
	version, err := c.version(&sh)
	if err != nil {
		return step{}, err
	}
	s := suite.ByID(sh.CipherSuite)
	switch {
	case s == nil || s.Version != version || !slices.Contains(c.params.Suites, s):
		return step{}, errSuiteNotOffered
	case c.conn.Retried && sh.CipherSuite != c.retrySuite:
		return step{}, errSuiteChanged
	case sh.Compression != 0 && sh.IsRetry():
		return step{}, errRetryCompression
	case sh.Compression != 0:
		return step{}, errCompression
	}
	c.conn.Version, c.conn.Suite = version, s
	c.randoms.server = sh.Random
	c.conn.ServerName = c.hello.ServerName
	if version == wire.VersionTLS12 {
		if c.early != nil {
			return step{}, errEarlyVersion
		}
		c.out.SetVersion(version)
		c.acceptCID(&sh)
		c.transcript.keep = true // for a CertificateVerify
		c.transcript.start(s.Hash, c.conn.Transport)
		c.transcript.add(msg)
		return newClient12(c).onServerHello(&sh)
	}
	if c.conn.Transport == wire.Stream && string(sh.SessionID) != string(c.hello.SessionID) ||
		c.conn.Transport == wire.Datagram && len(sh.SessionID) > 0 {
		return step{}, errSessionEcho
	}
	if sh.IsRetry() {
		return c.onHelloRetryRequest(msg, &sh)
	}
	c.out.SetVersion(version)
	c.acceptCID(&sh)
	if !c.conn.Retried {
		c.transcript.start(s.Hash, wire.Stream)
	}
	c.transcript.add(msg)
	return newClient13(c).onServerHello(&sh)
}

// version is what the server has chosen.
func (c *clientStart) version(sh *wire.ServerHello) (uint16, error) {
	v := c.conn.Transport.Parse(sh.Version)
	if sh.Has.Has(wire.ExtSupportedVersions) {
		if v != wire.VersionTLS12 {
			return 0, errLegacyVersion
		}
		// RFC 9846, Section 4.3.1: a version before 1.3, or one that was not
		// offered, is an illegal_parameter here.
		v = c.conn.Transport.Parse(sh.SupportedVersion)
		if v != wire.VersionTLS13 {
			return 0, errVersionNotWanted
		}
	} else if v > wire.VersionTLS12 {
		return 0, errVersion
	}
	switch {
	case !c.offers(v):
		return 0, errVersion
	case v == wire.VersionTLS12 && c.conn.Retried:
		return 0, errVersionChanged
	case v == wire.VersionTLS13 && c.hvrs > 0:
		return 0, errHVRIn13
	case v == wire.VersionTLS12 && c.offers(wire.VersionTLS13) && downgraded(sh.Random):
		return 0, errDowngrade
	}
	return v, nil
}

// downgraded looks for the sentinel of RFC 9846, Section 4.2.3.
func downgraded(random [32]byte) bool {
	tail := string(random[24:])
	return tail == wire.DowngradeTLS12 || tail == wire.DowngradeTLS11
}

// onHelloRetryRequest answers a HelloRetryRequest: RFC 9846, Section 4.2.4.
func (c *clientStart) onHelloRetryRequest(msg wire.Message, sh *wire.ServerHello) (step, error) {
	switch {
	case c.conn.Retried:
		return step{}, errSecondRetry
	case sh.Unknown || sh.Has.Minus(c.hello.Has|wire.Extensions(wire.ExtCookie)) != 0:
		return step{}, errUnsolicited
	case sh.Has.Minus(wire.InHelloRetryRequest) != 0:
		return step{}, errMisplaced
	case !sh.Has.Has(wire.ExtKeyShare) && !sh.Has.Has(wire.ExtCookie):
		return step{}, errEmptyRetry
	}
	c.conn.Retried = true
	c.retrySuite = sh.CipherSuite
	c.out.SetVersion(wire.VersionTLS13)
	c.transcript.start(c.conn.Suite.Hash, wire.Stream)
	c.transcript.retry()
	c.transcript.add(msg)
	if sh.Has.Has(wire.ExtKeyShare) {
		g := suite.Group(sh.KeyShare.Group)
		if !slices.Contains(c.params.Groups, g) || slices.ContainsFunc(c.shares, func(s keyShare) bool { return s.group == g }) {
			return step{}, errRetryGroup
		}
		unused := c.shares
		c.shares, c.hello.KeyShares = nil, nil
		if err := c.addShare(g, unused); err != nil {
			return step{}, err
		}
	}
	if sh.Has.Has(wire.ExtCookie) {
		c.hello.Cookie = slices.Clone(sh.Cookie)
		c.hello.Has.Add(wire.ExtCookie)
	}
	c.hello.LegacyCookie = nil
	c.psks = slices.DeleteFunc(c.psks, func(p offeredPSK) bool { return p.Hash != c.conn.Suite.Hash })
	c.offerPSKs()
	if !c.withdrawEarlyData() {
		c.out.SendCompatibilityCCS()
	}
	return c.await(), c.transmit()
}

// onHelloVerifyRequest repeats the ClientHello with a cookie: RFC 6347, Section 4.2.1.
func (c *clientStart) onHelloVerifyRequest(msg wire.Message) (step, error) {
	var hvr wire.HelloVerifyRequest
	if err := hvr.Parse(msg.Body); err != nil {
		return step{}, err
	}
	if !c.offers(wire.VersionTLS12) {
		return step{}, errVersion // only DTLS 1.2 has this message
	}
	c.hvrs++
	c.withdrawEarlyData()
	c.hello.LegacyCookie = slices.Clone(hvr.Cookie)
	c.transcript.forget()
	return c.await(), c.transmit()
}

// acceptALPN takes the server's choice: RFC 7301, Section 3.1.
func (m *Machine) acceptALPN(has wire.ExtensionSet, chosen []byte) error {
	if !has.Has(wire.ExtALPN) {
		return nil
	}
	if !slices.Contains(m.params.ALPN, string(chosen)) {
		return errALPNChoice
	}
	m.conn.ALPN = string(chosen)
	return nil
}

// acceptCertTypes takes the server's choice: RFC 7250, Section 4.2.
func (m *Machine) acceptCertTypes(has wire.ExtensionSet, server, client uint8) error {
	if !acceptsType(m.params.PeerCertTypes, server) ||
		has.Has(wire.ExtClientCertificateType) && !acceptsType(m.params.LocalCertTypes, client) {
		return errCertType
	}
	m.peerCertType, m.localCertType = server, client
	return nil
}

// sniName returns the name in the form of server_name, or "" for an address. RFC 6066,
// Section 3, permits neither addresses nor a trailing dot.
func sniName(name string) string {
	// An address ends with a digit or has a colon. No host name does.
	if strings.Contains(name, ":") || strings.TrimRight(name, "0123456789") != name {
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
			return ""
		}
	}
	return strings.TrimSuffix(name, ".")
}

func onlyX509(types []uint8) bool {
	return len(types) == 0 || len(types) == 1 && types[0] == 0
}
