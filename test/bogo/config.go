package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// errVerify is what the runner's custom verification fails with.
var (
	errVerify   = errors.New("CERTIFICATE_VERIFY_FAILED")
	errKeyUsage = errors.New("KEY_USAGE_BIT_INCORRECT")
)

// config makes the Config of a connection.
func (c *connection) config() (*hermetic.Config, error) {
	cfg, err := c.o.config()
	if err != nil {
		return nil, err
	}
	cfg.VerifyConnection = func(s hermetic.ConnectionState) error {
		if c.o.asksVerdict() {
			return nil
		}
		return c.judge(&s)
	}
	c.watch(cfg)
	c.keepSessions(cfg)
	if c.o.exportSecrets {
		cfg.KeyLogWriter = &c.secrets
	}
	return cfg, nil
}

// trust is a Config that trusts the runner's authority, where the pass asks for our own
// verification, and otherwise one that leaves the verdict to VerifyConnection, as the
// runner's flags tell it.
func (o *options) trust() (*hermetic.Config, error) {
	switch {
	case !o.verifiesItself():
		return &hermetic.Config{InsecureSkipVerify: true}, nil
	case o.server:
		return hermetic.LoadConfig(hermetic.TLSServer, o.trustCert, "")
	}
	c, err := hermetic.LoadConfig(hermetic.TLSClient, o.trustCert, "")
	if err == nil {
		c.ServerNameOptional = true // the runner gives no name in most tests
	}
	return c, err
}

// verifiesItself reports whether the engine verifies the peer. With PSKs it is asked for
// no certificate.
func (o *options) verifiesItself() bool {
	return o.ownVerdict && o.trustCert != "" && !o.hasPSK()
}

// hasPSK reports whether the flags give an external PSK.
func (o *options) hasPSK() bool {
	return o.psk != "" || slices.ContainsFunc(o.credentials, func(c *credential) bool { return c.psk != nil })
}

// questions reports whether the engine asks what it can. A Context always does, and
// with -async the Engine; netconn never.
func (o *options) questions() bool { return o.api == "context" || o.api == "engine" && o.async }

// config makes the Config that the flags describe.
func (o *options) config() (*hermetic.Config, error) {
	c, err := o.trust()
	if err != nil {
		return nil, err
	}
	c.ServerName = o.hostName
	c.MinVersion = o.version(o.minVersion, tls.VersionTLS12)
	c.MaxVersion = o.version(o.maxVersion, tls.VersionTLS13)
	c.MaxCertificateMessage = o.maxCertList
	c.MaxRecordData = o.maxFragment
	c.CertificateCompressors = o.compressors()
	c.DTLS = o.datagram()
	c.RequireSecureRenegotiation = o.noLegacyServer || o.expect.secureRenegotiation
	c.NoOCSPStapling = !o.ocspStapling
	c.NoSCTs = !o.scts
	if o.no13 {
		c.MaxVersion = tls.VersionTLS12
	}
	if o.no12 {
		c.MinVersion = tls.VersionTLS13
	}
	if o.no12 && o.no13 {
		return nil, errors.New("NO_SUPPORTED_VERSIONS_ENABLED")
	}
	for _, id := range o.curves {
		c.CurvePreferences = append(c.CurvePreferences, tls.CurveID(id))
	}
	for _, id := range o.keyShares {
		c.KeyShares = append(c.KeyShares, tls.CurveID(id))
	}
	if o.noKeyShares {
		c.KeyShares = []tls.CurveID{}
	}
	if o.policy != nil {
		// The runner's RSA keys have 2,048 bits, for which BoringSSL's policies have no limit.
		o.policy.MinRSABits = 0
		c.Policy, c.MinVersion, c.MaxVersion = o.policy, 0, 0
	} else if o.verifyPrefs == nil {
		// BoringSSL does not verify with P-521 and Ed25519 unless told so.
		o.verifyPrefs = ints{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}
	}
	c.SignatureSchemes = o.verifyPrefs.schemes()
	if o.cipher != "" {
		if err := o.ciphers(c); err != nil {
			return nil, err
		}
	}
	for _, t := range o.acceptedTypes {
		c.PeerCertificateTypes = append(c.PeerCertificateTypes, hermetic.CertificateType(t))
	}
	for name := range strings.SplitSeq(o.srtp, ":") {
		if id := srtpProfiles[name]; id != 0 {
			c.DTLS.SRTPProfiles = append(c.DTLS.SRTPProfiles, id)
		}
	}
	o.alpn(c)
	o.verification(c)
	if o.questions() {
		c.Async = hermetic.AsyncChoose | hermetic.AsyncSign
		if o.asksVerdict() {
			c.Async |= hermetic.AsyncVerify
		}
	}
	return c, o.certificates(c)
}

// removed are the signature schemes that the runner knows and hermetic does not have:
// it offers none of them, and signs with none.
var removed = []int{
	0xff01, // RSA PKCS #1 with MD5 and SHA-1, the runner's own number
	0x0201, // RSA PKCS #1 with SHA-1
	0x0203, // ECDSA with SHA-1
	0x0420, // RSA PKCS #1 of RFC 9963
}

// schemes are the signature schemes without those that are removed.
func (v ints) schemes() (list []tls.SignatureScheme) {
	for _, id := range v {
		if !slices.Contains(removed, id) {
			list = append(list, tls.SignatureScheme(id))
		}
	}
	return list
}

// srtpProfiles are BoringSSL's names of profiles.
var srtpProfiles = map[string]uint16{"SRTP_AES128_CM_SHA1_80": 1, "SRTP_AES128_CM_SHA1_32": 2, "SRTP_AEAD_AES_128_GCM": 7, "SRTP_AEAD_AES_256_GCM": 8}

// datagram is BoringSSL's behavior, which the runner expects: strict, with a
// first timeout of 400 ms, and as patient as the runner.
func (o *options) datagram() hermetic.DTLSConfig {
	d := hermetic.DTLSConfig{
		TrustAddress: true, FixedMTU: true, TrustUnprotected: !o.lenient, MaxTimeouts: 13, MaxFlightPause: -1, MaxBuffered: 1 << 18, MTU: o.defaultMTU,
		RetransmitTimeout: 400 * time.Millisecond,
	}
	if o.mtu > 0 {
		d.MTU = o.mtu
	}
	if o.timeoutMS > 0 {
		d.RetransmitTimeout = time.Duration(o.timeoutMS) * time.Millisecond
	}
	return d
}

// version maps a version of the runner to ours: what is older than 1.2 is 1.2.
func (o *options) version(v int, otherwise uint16) uint16 {
	switch {
	case v == 0:
		return otherwise
	case v == tls.VersionTLS13 || v == 0xfefc:
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// ciphers reads OpenSSL's list of names of TLS 1.2, as far as the runner uses it.
func (o *options) ciphers(c *hermetic.Config) error {
	for item := range strings.SplitSeq(o.cipher, ":") {
		without, exclude := strings.CutPrefix(item, "!")
		before := len(c.CipherSuites)
		for _, s := range hermetic.CipherSuites() {
			id := tls.CipherSuiteName(s.ID) // of those that crypto/tls knows
			switch {
			case exclude && strings.Contains(id, without):
				c.CipherSuites = slices.DeleteFunc(c.CipherSuites, func(other uint16) bool { return other == s.ID })
			case id == item, item == "DEFAULT" && strings.Contains(id, "_ECDHE_"):
				c.CipherSuites = append(c.CipherSuites, s.ID)
			}
		}
		if !exclude && len(c.CipherSuites) == before {
			return fmt.Errorf("-cipher %s: there is no %s", o.cipher, item)
		}
	}
	c.CipherSuites = append(c.CipherSuites, tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256)
	return nil
}

func (o *options) alpn(c *hermetic.Config) {
	list := []byte(o.advertiseALPN)
	for len(list) > 0 {
		n := int(list[0])
		c.NextProtos = append(c.NextProtos, string(list[1:1+n]))
		list = list[1+n:]
	}
	switch {
	case o.selectALPN != "":
		c.NextProtos = []string{o.selectALPN}
	case o.rejectALPN:
		c.NextProtos = []string{"none that anybody offers"}
	}
}

// verification lets the runner's flags judge the peer, after our own verification where
// the pass asks for it.
func (o *options) verification(c *hermetic.Config) {
	c.ClientAuth = tls.NoClientCert
	switch {
	case o.verifiesItself() && o.requireAny:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case o.verifiesItself() && o.verifyPeer:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case o.requireAny:
		c.ClientAuth = tls.RequireAnyClientCert
	case o.verifyPeer:
		c.ClientAuth = tls.RequestClientCert
	}
}

// asksVerdict reports whether the verdict on the peer is asked for. A client that asks
// for it sends no early data under a session that another Config began.
func (o *options) asksVerdict() bool {
	return o.questions() && (o.customVerify || o.api == "context") && (o.server || !o.earlyData)
}

// judge is the verdict on the peer. Once early data has been rejected, the flags for
// the retry count.
func (c *connection) judge(s *hermetic.ConnectionState) error {
	if c.offered && !s.EarlyDataAccepted {
		return c.retry.judge(s)
	}
	return c.o.judge(s)
}

func (o *options) judge(s *hermetic.ConnectionState) error {
	if s.PeerPublicKey == nil || s.DidResume && !o.reverify {
		return nil // BoringSSL asks nothing again
	}
	if len(s.PeerCertificates) > 0 { // BoringSSL looks at the key usage whatever else it verifies
		if usage := s.PeerCertificates[0].KeyUsage; usage != 0 && usage&x509.KeyUsageDigitalSignature == 0 {
			return &hermetic.AlertError{Alert: hermetic.AlertUnsupportedCertificate, Cause: errKeyUsage.Error()}
		}
	}
	if o.failOCSP {
		return &hermetic.AlertError{Alert: hermetic.AlertBadCertificateStatusResponse, Cause: errOCSP.Error()}
	}
	if len(o.expect.ocsp) > 0 && len(s.OCSPResponse) == 0 {
		return errors.New("no OCSP response at verification")
	}
	if want := o.expect.peerKeySHA256; len(want) > 0 {
		spki, err := x509.MarshalPKIXPublicKey(s.PeerPublicKey)
		if got := sha256.Sum256(spki); err != nil || !bytes.Equal(got[:], want) {
			return errVerify
		}
	}
	if o.verifyFail && (o.verifyPeer || o.customVerify || o.requireAny || o.server || len(o.acceptedTypes) > 0) {
		alert := hermetic.AlertHandshakeFailure
		if o.customVerify {
			alert = hermetic.AlertCertificateUnknown
		}
		return &hermetic.AlertError{Alert: alert, Cause: errVerify.Error()}
	}
	return nil
}

// certificates loads the credentials.
func (o *options) certificates(c *hermetic.Config) error {
	if o.credential.keyFile != "" {
		o.credentials = append(o.credentials, &o.credential)
	}
	for _, cred := range o.credentials {
		if cred.psk != nil {
			continue // see keepSessions
		}
		loaded, err := cred.load()
		if err != nil {
			return err
		}
		if len(cred.prefs) > 0 && len(loaded.SupportedSignatureAlgorithms) == 0 {
			// No scheme is left for it, and a Config with it would be refused: an empty
			// list means all.
			loaded.SupportedSignatureAlgorithms = []tls.SignatureScheme{0}
		} else {
			c.Certificates = append(c.Certificates, loaded)
		}
		o.certs = append(o.certs, loaded)
	}
	if o.failCertCB || o.failEarlyCB {
		c.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) {
			if o.failEarlyCB {
				return nil, &hermetic.AlertError{Alert: hermetic.AlertHandshakeFailure, Cause: "CONNECTION_REJECTED"}
			}
			return nil, nil
		}
		c.GetCertificate = func(*hermetic.ClientHello) (*tls.Certificate, error) { return nil, errors.New("CERT_CB_ERROR") }
		c.GetClientCertificate = func(*hermetic.CertificateRequest) (*tls.Certificate, error) { return nil, errors.New("CERT_CB_ERROR") }
	}
	if names, err := caNames(o.clientCAs); err != nil {
		return err
	} else if names != nil {
		c.ClientCANames = names
	}
	for _, t := range o.clientTypes {
		c.CertificateTypes = append(c.CertificateTypes, hermetic.CertificateType(t))
	}
	return nil
}

func (c *credential) load() (tls.Certificate, error) {
	var cert tls.Certificate
	var err error
	if !c.raw && c.certFile != "" {
		pemBytes, err := os.ReadFile(c.certFile)
		if err != nil {
			return cert, err
		}
		for block, rest := pem.Decode(pemBytes); block != nil; block, rest = pem.Decode(rest) {
			cert.Certificate = append(cert.Certificate, block.Bytes)
		}
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return cert, err
	}
	block, _ := pem.Decode(key)
	if cert.PrivateKey, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		if cert.PrivateKey, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
			if cert.PrivateKey, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
				return cert, err
			}
		}
	}
	cert.SupportedSignatureAlgorithms = c.prefs.schemes()
	cert.OCSPStaple = c.ocsp
	cert.SignedCertificateTimestamps, err = splitSCTs(c.scts)
	return cert, err
}

var errSCTs = errors.New("INVALID_SCT_LIST")

// splitSCTs splits a SignedCertificateTimestampList.
func splitSCTs(list []byte) (scts [][]byte, err error) {
	if list == nil {
		return nil, nil
	}
	if len(list) < 2 || int(list[0])<<8|int(list[1]) != len(list)-2 {
		return nil, errSCTs
	}
	if len(list) == 2 {
		return nil, errSCTs
	}
	for list = list[2:]; len(list) > 0; {
		if len(list) < 2 {
			return nil, errSCTs
		}
		n := int(list[0])<<8 | int(list[1])
		if n == 0 || len(list) < 2+n {
			return nil, errSCTs
		}
		scts = append(scts, list[2:2+n])
		list = list[2+n:]
	}
	return scts, nil
}

// caNames reads a list of distinguished names in hexadecimal.
func caNames(list string) ([][]byte, error) {
	if list == "" || list == "<NULL>" || list == "<EMPTY>" {
		return nil, nil
	}
	var names [][]byte
	for part := range strings.SplitSeq(list, ",") {
		name, err := hex.DecodeString(part)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
