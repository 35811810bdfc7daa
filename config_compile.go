package hermetic

import (
	"cmp"
	"crypto/fips140"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// compileOnce holds the plan of a Config, once it has been used.
type compileOnce struct {
	once   sync.Once
	result *plan
	err    error

	shared atomic.Pointer[shared]
}

// A plan is a Config checked and with its defaults filled in: what can be
// computed once is computed once.
type plan struct {
	cfg            *Config
	policy         *Policy // never nil
	tickets        *ticketForm
	client, server handshake.Params
	unfit          error                      // what is wrong only for clients
	stream         [2]carrier.StreamOptions   // a client's, a server's
	datagram       [3]carrier.DatagramOptions // client, server, server with cookies
	identities     []*pki.Identity
	recent         pki.Recent // the last identity from a callback
	chains         pki.Cache
	compressed     handshake.Compressed
	sessionKeys    [2]string      // of a client of ServerName, by transport
	roots          *x509.CertPool // a copy of RootCAs, by which it is known to be the same
	keys           TicketKeySource
	guard          ReplayGuard

	mu      sync.Mutex
	builtin *pki.Identity // the self-signed one
}

func (c *Config) plan() (*plan, error) {
	if c == nil {
		return nil, configError("", "it is nil: for the defaults, pass &hermetic.Config{}")
	}
	c.compile.once.Do(func() { c.compile.result, c.compile.err = newPlan(c) })
	return c.compile.result, c.compile.err
}

// errFIPSOnly: that mode reserves AES-GCM with a protocol's nonces for the standard
// library itself.
var errFIPSOnly = errors.New("not usable under GODEBUG=fips140=only (fips140=on works)")

func newPlan(cfg *Config) (*plan, error) {
	if fips140.Enforced() {
		return nil, configFault("", errFIPSOnly)
	}
	c := &plan{cfg: cfg}
	c.chains.MaxCost = cfg.maxCertificateCost()
	p := handshake.Params{
		Rand:             cfg.random(),
		Now:              cfg.now,
		Chains:           &c.chains,
		RequireEMS:       cfg.RequireExtendedMasterSecret,
		RequireRenegInfo: cfg.RequireSecureRenegotiation,
		NoStatusRequest:  cfg.NoOCSPStapling,
		NoSCTs:           cfg.NoSCTs,
		AskVerify:        cfg.VerifyConnection != nil || cfg.asks(AsyncVerify),
	}
	for _, part := range []func(*handshake.Params) error{
		c.repetitions, c.fields, c.compliance, c.versions, c.psks, c.suites, c.exchanges, c.groups, c.schemes, c.alpn, c.sizes, c.limits, c.compressors, c.certificates, c.authorities, c.sessions,
	} {
		if err := part(&p); err != nil {
			return nil, err
		}
	}
	if cfg.KeyLogWriter != nil {
		p.KeyLog = keyLogger(cfg.KeyLogWriter)
	}
	c.client, c.server = p, p
	if c.unfit = c.clientSuites(&c.client); c.unfit == nil {
		c.unfit = c.helloSize(&c.client)
	}
	c.serverSuites(&c.server)
	c.client.Prepare()
	c.server.Prepare()
	stream := carrier.StreamOptions{
		MinVersion:     p.MinVersion,
		MaxVersion:     p.MaxVersion,
		MaxRecordData:  cmp.Or(cfg.MaxRecordData, record.MaxPlaintext),
		MaxCertificate: p.MaxCertificate,
	}
	c.stream[0] = stream
	stream.Server = true
	c.stream[1] = stream
	c.datagram = [3]carrier.DatagramOptions{cfg.datagramOptions(false), cfg.datagramOptions(true), cfg.datagramOptions(true)}
	c.datagram[2].FirstMessage, c.datagram[2].Unproved = 1, false
	if cfg.RecordSizeLimit == 0 && cfg.MaxFragmentLength > 0 {
		c.client.SizeLimit = 0
	}
	c.client.AskSession = cfg.SessionCache != nil
	for t := range c.sessionKeys {
		c.sessionKeys[t] = sessionKey(wire.Transport(t), cfg.ServerName)
	}
	if cfg.SessionCache != nil && cfg.RootCAs != nil {
		c.roots = cfg.RootCAs.Clone()
	}
	c.client.EarlyData = cfg.EarlyData
	c.client.OnlyPSK = c.onlyPSKs()
	c.client.AskPSK = cfg.GetClientPSK != nil || cfg.asks(AsyncClientPSK)
	c.server.Server = true
	c.server.ExternalPSK = c.hasPSKs()
	c.server.PSKHint = cfg.PSKIdentityHint
	c.server.OnlyPSK = c.hasPSKs() && !c.hasCertificate()
	c.server.AcceptPSK = c.server.ExternalPSK || c.server.Tickets > 0
	c.server.AskResume = cfg.ResumeSession != nil
	c.server.AskConfig = cfg.GetConfigForClient != nil || cfg.asks(AsyncConfig)
	c.server.RequestCertificate = cfg.ClientAuth != tls.NoClientCert
	c.server.RequireCertificate = cfg.ClientAuth == tls.RequireAnyClientCert || cfg.ClientAuth == tls.RequireAndVerifyClientCert
	return c, nil
}

// random returns the source of randomness. It does not wrap the standard library's own, which the
// FIPS 140-3 module recognizes by its type.
func (c *Config) random() io.Reader {
	if c.Rand == nil || c.Rand == rand.Reader {
		return rand.Reader
	}
	return codec.Steady(c.Rand)
}

func (c *Config) now() time.Time {
	if c.Time != nil {
		return c.Time()
	}
	return time.Now()
}

// repetitions refuses lists with repeated values that are sent to the peer: RFC 9846,
// Section 4.3.7, forbids them for groups, and they have no meaning anywhere.
func (c *plan) repetitions(*handshake.Params) error {
	for _, err := range []error{
		distinct("CipherSuites", c.cfg.CipherSuites, CipherSuiteName),
		distinct("CurvePreferences", c.cfg.CurvePreferences, tls.CurveID.String),
		distinct("KeyShares", c.cfg.KeyShares, tls.CurveID.String),
		distinct("SignatureSchemes", c.cfg.SignatureSchemes, tls.SignatureScheme.String),
		distinct("NextProtos", c.cfg.NextProtos, strconv.Quote),
		distinct("CertificateTypes", c.cfg.CertificateTypes, CertificateType.String),
		distinct("PeerCertificateTypes", c.cfg.PeerCertificateTypes, CertificateType.String),
		distinct("CertificateCompressors", algorithms(c.cfg.CertificateCompressors), func(a uint16) string { return fmt.Sprintf("algorithm %d", a) }),
		distinct("DTLS.SRTPProfiles", c.cfg.DTLS.SRTPProfiles, func(p uint16) string { return fmt.Sprintf("profile %#04x", p) }),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// distinct returns an error for the field if its list has a value twice.
func distinct[T comparable](field string, list []T, name func(T) string) error {
	seen := make(map[T]bool, len(list))
	for _, v := range list {
		if seen[v] {
			return configError(field, name(v)+" is listed twice")
		}
		seen[v] = true
	}
	return nil
}

func (c *plan) versions(p *handshake.Params) error {
	p.MinVersion = cmp.Or(c.cfg.MinVersion, c.policy.minVersion())
	p.MaxVersion = cmp.Or(c.cfg.MaxVersion, wire.VersionTLS13)
	for field, v := range map[string]uint16{"MinVersion": p.MinVersion, "MaxVersion": p.MaxVersion} {
		if v != wire.VersionTLS12 && v != wire.VersionTLS13 {
			return configError(field, tls.VersionName(v)+" is neither TLS 1.2 nor TLS 1.3")
		}
	}
	if p.MinVersion > p.MaxVersion {
		return configError("MinVersion", "it is newer than MaxVersion")
	}
	return nil
}

// suites selects the configured suites of the enabled versions, and disables versions
// without a suite.
func (c *plan) suites(p *handshake.Params) error {
	enabled := func(s *suite.Suite) bool { return p.MinVersion <= s.Version && s.Version <= p.MaxVersion }
	if c.cfg.CipherSuites == nil {
		for _, s := range c.defaultSuites() {
			if enabled(s) {
				p.Suites = append(p.Suites, s)
			}
		}
		return c.versionsOf(p)
	}
	for _, id := range c.cfg.CipherSuites {
		s := suite.ByID(id)
		switch {
		case s == nil:
			return configError("CipherSuites", CipherSuiteName(id)+" is not supported")
		case s.Auth == suite.NoSignature && !c.hasPSKs() && !c.hasClientPSKs():
			return configError("CipherSuites", s.Name+" needs PSKs")
		case enabled(s):
			p.Suites = append(p.Suites, s)
		}
	}
	return c.versionsOf(p)
}

// clientSuites leaves only PSK suites to a client that cannot verify a certificate, and none
// to one that has no PSK.
func (c *plan) clientSuites(p *handshake.Params) error {
	noCertificate := c.cfg.CipherSuites == nil && c.onlyPSKs()
	p.Suites = slices.DeleteFunc(slices.Clone(p.Suites), func(s *suite.Suite) bool {
		switch {
		case s.Version != wire.VersionTLS12:
			return false
		case s.Auth == suite.NoSignature:
			return !c.hasClientPSKs()
		}
		return noCertificate
	})
	return c.versionsOf(p)
}

// serverSuites leaves no PSK suites to a server that has no PSK.
func (c *plan) serverSuites(p *handshake.Params) {
	if c.hasPSKs() {
		return
	}
	p.Suites = slices.DeleteFunc(slices.Clone(p.Suites), func(s *suite.Suite) bool { return s.Auth == suite.NoSignature && s.Version == wire.VersionTLS12 })
	// Without any left, the Config is a client's.
	_ = c.versionsOf(p)
}

// versionsOf keeps the versions that have a suite.
func (c *plan) versionsOf(p *handshake.Params) error {
	has := map[uint16]bool{}
	for _, s := range p.Suites {
		has[s.Version] = true
	}
	if !has[p.MaxVersion] {
		p.MaxVersion = wire.VersionTLS12
	}
	if !has[p.MinVersion] {
		p.MinVersion = wire.VersionTLS13
	}
	if p.MinVersion > p.MaxVersion {
		return configError("CipherSuites", "none belongs to an enabled version")
	}
	return nil
}

func (c *plan) groups(p *handshake.Params) error {
	groups, err := c.defaultGroups(p)
	if err != nil {
		return err
	}
	if p.Groups, err = chosen("CurvePreferences", c.cfg.CurvePreferences, groups, supports(p)); err != nil {
		return err
	}
	if p.MaxVersion == wire.VersionTLS12 {
		p.Groups = slices.DeleteFunc(slices.Clone(p.Groups), func(g suite.Group) bool { return !g.Curve() })
	}
	if len(p.Groups) == 0 {
		return configError("CurvePreferences", "no group is usable in the enabled versions")
	}
	if c.cfg.KeyShares == nil {
		p.KeyShares = defaultShares(p.Groups)
		return nil
	}
	last := -1
	for i, id := range c.cfg.KeyShares {
		switch at := slices.Index(p.Groups, suite.Group(id)); {
		case at < 0:
			return configError("KeyShares", fmt.Sprintf("%v is not in CurvePreferences", id))
		case at < last: // RFC 9846, Section 4.3.8
			return configError("KeyShares", fmt.Sprintf("%v comes after %v, and before it in CurvePreferences: the order must be the same", id, c.cfg.KeyShares[i-1]))
		default:
			last = at
		}
		p.KeyShares = append(p.KeyShares, suite.Group(id))
	}
	return nil
}

// defaultShares returns the preferred group, and the preferred one of the other kind:
// post-quantum, or classical, which every server has.
func defaultShares(groups []suite.Group) []suite.Group {
	shares := groups[:1:1]
	other := func(g suite.Group) bool { return g.Curve() != groups[0].Curve() }
	if i := slices.IndexFunc(groups, other); i > 0 {
		shares = append(shares, groups[i])
	}
	return shares
}

func (c *plan) schemes(p *handshake.Params) error {
	var err error
	p.Schemes, err = chosen("SignatureSchemes", c.cfg.SignatureSchemes, c.policy.defaultSchemes(), suite.Scheme.Supported)
	if p.MaxVersion == wire.VersionTLS12 && len(p.Schemes) > 0 {
		p.Schemes = slices.DeleteFunc(slices.Clone(p.Schemes), func(s suite.Scheme) bool { return !s.In(wire.VersionTLS12) })
		if len(p.Schemes) == 0 {
			return configError("SignatureSchemes", "none belongs to an enabled version")
		}
	}
	if err == nil && len(p.Schemes) == 0 {
		return configError("SignatureSchemes", "it is empty, so the peer could not sign: use nil for all")
	}
	return err
}

// chosen returns the list in that field of the Config, or all that we support.
func chosen[ID, T ~uint16](field string, ids []ID, all []T, supported func(T) bool) (list []T, err error) {
	if ids == nil {
		return all, nil
	}
	for _, id := range ids {
		if !supported(T(id)) {
			return nil, configError(field, fmt.Sprintf("%v is not supported", id))
		}
		list = append(list, T(id))
	}
	return list, nil
}

func (c *plan) alpn(p *handshake.Params) error {
	for _, name := range c.cfg.NextProtos {
		if len(name) == 0 || len(name) > 255 {
			return configError("NextProtos", fmt.Sprintf("%q must have 1 to 255 bytes", name))
		}
	}
	p.ALPN = c.cfg.NextProtos
	return nil
}

func (c *plan) sizes(p *handshake.Params) error {
	d := &c.cfg.DTLS
	for _, f := range []struct {
		field string
		value any
		size  int64
	}{
		{"MaxCertificateCost", c.cfg.MaxCertificateCost, int64(c.cfg.MaxCertificateCost)},
		{"DTLS.RetransmitTimeout", d.RetransmitTimeout, int64(d.RetransmitTimeout)},
		{"DTLS.MaxRetransmitTimeout", d.MaxRetransmitTimeout, int64(d.MaxRetransmitTimeout)},
		{"DTLS.MaxTimeouts", d.MaxTimeouts, int64(d.MaxTimeouts)},
		{"DTLS.MaxBuffered", d.MaxBuffered, int64(d.MaxBuffered)},
	} {
		if f.size < 0 {
			return configError(f.field, fmt.Sprintf("%v is negative", f.value))
		}
	}
	switch {
	case c.cfg.MaxRecordData != 0 && (c.cfg.MaxRecordData < 512 || c.cfg.MaxRecordData > record.MaxPlaintext):
		return configError("MaxRecordData", fmt.Sprintf("%d is not from 512 to %d", c.cfg.MaxRecordData, record.MaxPlaintext))
	case c.cfg.MaxCertificateMessage < 0 || c.cfg.MaxCertificateMessage >= 1<<24:
		return configError("MaxCertificateMessage", fmt.Sprintf("%d is not from 0 to 2^24-1", c.cfg.MaxCertificateMessage))
	case c.cfg.DTLS.MTU != 0 && c.cfg.DTLS.MTU < minMTU:
		return configError("DTLS.MTU", fmt.Sprintf("%d is less than %d", c.cfg.DTLS.MTU, minMTU))
	case d.ConnectionIDLength < 0 || d.ConnectionIDLength > 255:
		return configError("DTLS.ConnectionIDLength", fmt.Sprintf("%d is not from 0 to 255", d.ConnectionIDLength))
	case d.ConnectionIDLength > 0 && !d.ConnectionIDs:
		return configError("DTLS.ConnectionIDLength", "it has no effect without ConnectionIDs")
	case d.MakeConnectionID != nil && d.ConnectionIDLength == 0:
		return configError("DTLS.MakeConnectionID", "it has no effect without ConnectionIDLength")
	case d.PathValidation > PathValidationNone:
		return configError("DTLS.PathValidation", fmt.Sprintf("%d is none of PathValidationBasic, PathValidationEnhanced, PathValidationNone", d.PathValidation))
	case d.PathTimeout < 0:
		return configError("DTLS.PathTimeout", fmt.Sprintf("%v is negative", d.PathTimeout))
	case len(c.cfg.DTLS.CookieSecret) > 0 && len(c.cfg.DTLS.CookieSecret) < minCookieSecret:
		return configError("DTLS.CookieSecret", fmt.Sprintf("it has %d bytes, less than 16", len(c.cfg.DTLS.CookieSecret)))
	}
	p.RRC = d.PathValidation != PathValidationNone
	p.MaxCertificate = cmp.Or(c.cfg.MaxCertificateMessage, 1<<16)
	p.CIDs, p.CIDLength, p.MakeCID, p.SRTP = d.ConnectionIDs, d.ConnectionIDLength, d.MakeConnectionID, d.SRTPProfiles
	return nil
}

// maxSizeLimit is the largest RecordSizeLimit: TLS 1.3 counts the content type.
const maxSizeLimit = record.MaxPlaintext + 1

// limits checks what is negotiated about the sizes of records.
func (c *plan) limits(p *handshake.Params) error {
	size, length := c.cfg.RecordSizeLimit, c.cfg.MaxFragmentLength
	if size != 0 && (size < 64 || size > maxSizeLimit) {
		return configError("RecordSizeLimit", fmt.Sprintf("%d is not from 64 to %d", size, maxSizeLimit))
	}
	if length != 0 && length != 512 && length != 1024 && length != 2048 && length != 4096 {
		return configError("MaxFragmentLength", fmt.Sprintf("%d is none of 512, 1024, 2048 and 4096", length))
	}
	p.SizeLimit, p.FragmentLength = uint16(cmp.Or(size, maxSizeLimit)), uint16(length)
	return nil
}

func (c *plan) certificates(p *handshake.Params) error {
	for i := range c.cfg.Certificates {
		id, err := pki.Prepare(&c.cfg.Certificates[i])
		if err != nil {
			return configFault(fmt.Sprintf("Certificates[%d]", i), err)
		}
		if err := id.Permitted(p.Keys); err != nil {
			return configFault(fmt.Sprintf("Certificates[%d]", i), err)
		}
		if !slices.ContainsFunc(p.Suites, id.Serves) {
			return configError(fmt.Sprintf("Certificates[%d]", i), "no enabled version and cipher suite can sign with its key, "+id.Kind())
		}
		c.identities = append(c.identities, id)
		if !slices.Contains(p.LocalCertTypes, id.Type) {
			p.LocalCertTypes = append(p.LocalCertTypes, id.Type)
		}
	}
	var err error
	if p.PeerCertTypes, err = certificateTypes("PeerCertificateTypes", c.cfg.PeerCertificateTypes); err != nil {
		return err
	}
	if c.cfg.CertificateTypes != nil {
		if p.LocalCertTypes, err = certificateTypes("CertificateTypes", c.cfg.CertificateTypes); err != nil {
			return err
		}
	}
	if slices.Contains(c.cfg.PeerCertificateTypes, CertificateRawPublicKey) && !c.judgesRawKeys() {
		return configError("PeerCertificateTypes", "CertificateRawPublicKey needs PeerPublicKeys, VerifyConnection, AsyncVerify or InsecureSkipVerify: no authority vouches for a raw key")
	}
	if len(c.cfg.PeerPublicKeys) > 0 && !slices.Contains(c.cfg.PeerCertificateTypes, CertificateRawPublicKey) {
		return configError("PeerPublicKeys", "raw public keys are not requested: PeerCertificateTypes has no CertificateRawPublicKey")
	}
	return nil
}

func certificateTypes(field string, types []CertificateType) (list []uint8, err error) {
	for _, t := range types {
		if t != CertificateX509 && t != CertificateRawPublicKey {
			return nil, configError(field, fmt.Sprintf("%d is neither CertificateX509 nor CertificateRawPublicKey", t))
		}
		list = append(list, uint8(t))
	}
	return list, nil
}

// judgesRawKeys reports whether the Config can decide which raw keys are trusted.
func (c *plan) judgesRawKeys() bool {
	return len(c.cfg.PeerPublicKeys) > 0 || c.cfg.VerifyConnection != nil || c.cfg.asks(AsyncVerify) || c.cfg.InsecureSkipVerify
}

// subjects returns the names of a pool made from certificates.
func subjects(pool *x509.CertPool) [][]byte {
	return pool.Subjects() //lint:ignore SA1019 only a system pool has no names, and those are not sent
}

// keyLogger writes lines of the NSS key log format, one at a time.
func keyLogger(w io.Writer) func(label string, clientRandom, secret []byte) {
	var mu sync.Mutex
	return func(label string, clientRandom, secret []byte) {
		line := label + " " + hex.EncodeToString(clientRandom) + " " + hex.EncodeToString(secret) + "\n"
		mu.Lock()
		defer mu.Unlock()
		io.WriteString(w, line) // a failing key log must not fail the connection
	}
}

// own returns the certificates to choose from: the configured ones, or, for a
// server without any, the one that it makes.
func (c *plan) own(server bool) ([]*pki.Identity, error) {
	if !server || len(c.identities) > 0 {
		return c.identities, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.builtin == nil {
		cert, err := pki.SelfSigned(c.server.Rand, c.cfg.now(), c.server.Keys)
		if err != nil {
			return nil, err
		}
		if c.builtin, err = pki.Prepare(cert); err != nil {
			return nil, err
		}
	}
	return []*pki.Identity{c.builtin}, nil
}
