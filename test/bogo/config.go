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
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// errVerify is what the runner's custom verification fails with.
var (
	errVerify   = errors.New("CERTIFICATE_VERIFY_FAILED")
	errKeyUsage = errors.New("KEY_USAGE_BIT_INCORRECT")
)

// config makes the Config that the flags describe.
func (o *options) config() (*hermetic.Config, error) {
	c := &hermetic.Config{
		InsecureSkipVerify:    true, // VerifyConnection decides, as the runner tells it
		ServerName:            o.hostName,
		MinVersion:            o.version(o.minVersion, tls.VersionTLS12),
		MaxVersion:            o.version(o.maxVersion, tls.VersionTLS13),
		MaxCertificateMessage: o.maxCertList,
		MaxFragment:           o.maxFragment,
		MTU:                   o.mtu,
		Datagram:              o.datagram(),

		RequireSecureRenegotiation: o.noLegacyServer,
		NoOCSPStapling:             !o.ocspStapling,
		NoSCTs:                     !o.scts,
	}
	if c.MTU == 0 {
		c.MTU = 16000 // so that every key share fits the first ClientHello
	}
	if o.no13 {
		c.MaxVersion = tls.VersionTLS12
	}
	if o.no12 {
		c.MinVersion = tls.VersionTLS13
	}
	if c.MinVersion > c.MaxVersion {
		return nil, fmt.Errorf("no version is left: %w", errUnimplemented)
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
	if o.verifyPrefs == nil {
		// BoringSSL does not verify with P-521 and Ed25519 unless told so.
		o.verifyPrefs = ints{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}
	}
	for _, id := range o.verifyPrefs {
		c.SignatureSchemes = append(c.SignatureSchemes, tls.SignatureScheme(id))
	}
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
			c.Datagram.SRTPProfiles = append(c.Datagram.SRTPProfiles, id)
		}
	}
	o.alpn(c)
	o.verification(c)
	if o.async {
		c.Async = hermetic.AsyncCertificate | hermetic.AsyncSign
		if o.customVerify {
			c.Async |= hermetic.AsyncVerify
		}
	}
	return c, o.certificates(c)
}

// srtpProfiles are BoringSSL's names of profiles.
var srtpProfiles = map[string]uint16{"SRTP_AES128_CM_SHA1_80": 1, "SRTP_AES128_CM_SHA1_32": 2, "SRTP_AEAD_AES_128_GCM": 7, "SRTP_AEAD_AES_256_GCM": 8}

// datagram is BoringSSL's behaviour, which the runner expects: strict, with a
// first timeout of 400 ms, and as patient as the runner.
func (o *options) datagram() hermetic.DatagramConfig {
	d := hermetic.DatagramConfig{
		TrustAddress: true, FixedMTU: true, Strict: true, MaxTimeouts: 13, Patience: -1, Memory: 1 << 18,
		RetransmitTimeout: 400 * time.Millisecond,
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

// ciphers reads OpenSSL's list of names as far as the runner uses it.
func (o *options) ciphers(c *hermetic.Config) error {
	var suites []uint16
	for _, s := range tls.CipherSuites() {
		if strings.Contains(":"+o.cipher+":", ":"+s.Name+":") {
			suites = append(suites, s.ID)
		}
	}
	if suites == nil {
		return fmt.Errorf("-cipher %s: %w", o.cipher, errUnimplemented)
	}
	// The runner's list is of TLS 1.2 only.
	c.CipherSuites = append(suites, tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256)
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

// verification lets the runner's flags judge the peer.
func (o *options) verification(c *hermetic.Config) {
	switch {
	case o.requireAny:
		c.ClientAuth = tls.RequireAnyClientCert
	case o.verifyPeer:
		c.ClientAuth = tls.RequestClientCert
	}
	c.VerifyConnection = func(s *hermetic.ConnectionState) error {
		if s.PeerPublicKey == nil || o.customVerify && o.async {
			return nil
		}
		return o.judge(s)
	}
}

func (o *options) judge(s *hermetic.ConnectionState) error {
	if s.DidResume {
		return nil // BoringSSL asks nothing again
	}
	if len(s.PeerCertificates) > 0 { // BoringSSL looks at the key usage whatever else it verifies
		if usage := s.PeerCertificates[0].KeyUsage; usage != 0 && usage&x509.KeyUsageDigitalSignature == 0 {
			return &hermetic.AlertError{Alert: hermetic.AlertUnsupportedCertificate, Cause: errKeyUsage.Error()}
		}
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
		c.Certificates = append(c.Certificates, loaded)
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
	for _, p := range c.prefs {
		cert.SupportedSignatureAlgorithms = append(cert.SupportedSignatureAlgorithms, tls.SignatureScheme(p))
	}
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
