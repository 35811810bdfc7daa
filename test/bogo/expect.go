package main

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/hermetic-tls/hermetic"
)

// asked is what the engine asked about certificates, and the answers.
type asked struct {
	hello   *hermetic.ClientHello
	request *hermetic.CertificateRequest
	certs   []tls.Certificate
	signed  *tls.Certificate
	psks    []hermetic.PSK
}

// watch notes what the callbacks see.
func (c *connection) watch(cfg *hermetic.Config) {
	c.asked.certs = c.o.certs
	if c.o.ownChoice && !c.o.ocspCallback && cfg.GetCertificate == nil {
		cfg.Async &^= hermetic.AsyncChoose
		cfg.GetConfigForClient = func(h *hermetic.ClientHello) (*hermetic.Config, error) {
			c.asked.hello = h
			return nil, c.checkHello()
		}
		return
	}
	if cfg.GetCertificate == nil {
		cfg.GetCertificate = c.chooseServer
	}
	if cfg.GetClientCertificate == nil {
		cfg.GetClientCertificate = c.chooseClient
	}
}

// chooseServer and chooseClient choose as the runner expects it: the first
// credential that fits, and its issuer only where -must-match-issuer says so.
func (c *connection) chooseServer(h *hermetic.ClientHello) (*tls.Certificate, error) {
	c.asked.hello = h
	if err := c.checkHello(); err != nil {
		return nil, err
	}
	any, exact := *h, *h
	any.AcceptableCAs, any.ServerName, exact.ServerName = nil, "", ""
	cert, err := c.pick(any.SupportsCertificate, exact.SupportsCertificate)
	switch {
	case c.o.failOCSP:
		return nil, errOCSP
	case c.o.declineOCSP:
		without := *cert
		without.OCSPStaple = nil
		return &without, err
	}
	return cert, err
}

// errOCSP is what the runner's callback for staples fails with.
var errOCSP = errors.New("OCSP_CB_ERROR")

func (c *connection) chooseClient(r *hermetic.CertificateRequest) (*tls.Certificate, error) {
	c.asked.request = r
	if err := c.checkRequest(); err != nil {
		return nil, err
	}
	any := *r
	any.AcceptableCAs = nil
	cert, err := c.pick(any.SupportsCertificate, r.SupportsCertificate)
	if cert == nil && err == nil {
		cert = new(tls.Certificate)
	}
	return cert, err
}

// choose answers an asynchronous choice.
func (c *connection) choose(p *hermetic.ChooseRequest) error {
	c.asked.hello, c.asked.request = p.ClientHello, p.CertificateRequest
	if c.o.failCertCB {
		return p.Answer(nil, fmt.Errorf("CERT_CB_ERROR"))
	}
	if p.ClientHello != nil {
		return p.Answer(c.chooseServer(p.ClientHello))
	}
	return p.Answer(c.chooseClient(p.CertificateRequest))
}

// pick returns the first credential that fits. Where there are some and none
// does, that is an error.
func (c *connection) pick(any, exact func(*tls.Certificate) error) (*tls.Certificate, error) {
	var reason error
	for i := range c.asked.certs {
		fits := any
		if c.o.credentials[i].matchIssuer {
			fits = exact
		}
		if reason = fits(&c.asked.certs[i]); reason == nil {
			return &c.asked.certs[i], nil
		}
	}
	if reason != nil {
		return nil, &hermetic.AlertError{Alert: hermetic.AlertHandshakeFailure, Cause: reason.Error()}
	}
	return nil, nil
}

func (a *asked) keyOf(cert *tls.Certificate) crypto.Signer {
	a.signed = cert
	return cert.PrivateKey.(crypto.Signer)
}

func (c *connection) checkHello() error {
	e := &c.o.expect
	if e.serverName != "" && c.asked.hello.ServerName != e.serverName {
		return fmt.Errorf("server_name %q, expected %q", c.asked.hello.ServerName, e.serverName)
	}
	if e.advertisedALPN != "" {
		var list []byte
		for _, p := range c.asked.hello.SupportedProtos {
			list = append(append(list, byte(len(p))), p...)
		}
		if string(list) != e.advertisedALPN {
			return fmt.Errorf("ALPN %q, expected %q", list, e.advertisedALPN)
		}
	}
	return checkPrefs(e.peerVerifyPrefs, c.asked.hello.SignatureSchemes)
}

func (c *connection) checkRequest() error {
	e := &c.o.expect
	want, err := caNames(e.clientCAs)
	if err != nil {
		return err
	}
	if e.clientCAs != "" && !slices.EqualFunc(want, c.asked.request.AcceptableCAs, bytes.Equal) {
		return fmt.Errorf("authorities %x, expected %x", c.asked.request.AcceptableCAs, want)
	}
	return checkPrefs(e.peerVerifyPrefs, c.asked.request.SignatureSchemes)
}

func checkPrefs(want ints, got []tls.SignatureScheme) error {
	if want != nil && !slices.EqualFunc(want, got, func(a int, b tls.SignatureScheme) bool { return a == int(b) }) {
		return fmt.Errorf("peer's signature schemes %v, expected %v", got, want)
	}
	return nil
}

// check compares what was negotiated with what the flags expect.
func (c *connection) check() error {
	s, e := c.state(), &c.o.expect
	number := func(what string, want, got int) error {
		if want != 0 && want != got {
			return fmt.Errorf("%s is %#04x, expected %#04x", what, got, want)
		}
		return nil
	}
	for _, err := range []error{
		number("cipher suite", e.cipher, int(s.CipherSuite)),
		number("group", e.curve, int(s.CurveID)),
		number("peer's signature scheme", e.peerScheme, int(s.PeerSignatureScheme)),
		c.checkVersion(s),
		c.checkPeer(s),
		c.checkSelected(s),
		c.checkSession(s),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case e.alpn != s.NegotiatedProtocol && (e.alpn != "" || !c.o.server || s.NegotiatedProtocol != c.o.selectALPN):
		return fmt.Errorf("ALPN is %q, expected %q", s.NegotiatedProtocol, e.alpn)
	case e.ems && !s.ExtendedMasterSecret:
		return fmt.Errorf("no extended master secret")
	case e.hrr != s.HelloRetryRequest && (e.hrr || e.noHRR):
		return fmt.Errorf("HelloRetryRequest: %v", s.HelloRetryRequest)
	case len(e.ocsp) > 0 && !bytes.Equal(e.ocsp, s.OCSPResponse):
		return fmt.Errorf("OCSP response is %x, expected %x", s.OCSPResponse, e.ocsp)
	case len(e.scts) > 0 && !bytes.Equal(e.scts, sctList(s.SignedCertificateTimestamps)):
		return fmt.Errorf("SCTs are %x, expected %x", s.SignedCertificateTimestamps, e.scts)
	}
	return nil
}

func (c *connection) checkVersion(s hermetic.ConnectionState) error {
	if want := c.o.version(c.o.expect.version, s.Version); want != s.Version {
		return fmt.Errorf("version is %#04x, expected %#04x", s.Version, c.o.expect.version)
	}
	return nil
}

func (c *connection) checkPeer(s hermetic.ConnectionState) error {
	e := &c.o.expect
	asks := !c.o.server || c.o.requireAny || c.o.verifyPeer
	switch {
	case (e.noPeerCert || !asks) && (len(s.PeerCertificates) > 0 || s.PeerPublicKey != nil):
		return fmt.Errorf("unexpected peer certificate")
	case e.noPeerCert:
		return nil
	case s.PSKIdentity != nil && !c.o.hasPSK():
		return fmt.Errorf("unexpected PSK %q", s.PSKIdentity)
	case s.PSKIdentity != nil, c.o.psk != "":
		return nil
	case len(e.peerKeySHA256) == 0 && (!c.o.server || c.o.requireAny) && len(s.PeerCertificates) == 0:
		return fmt.Errorf("no peer certificate")
	case e.peerCertType >= 0 && (e.peerCertType == 2) != (len(s.PeerCertificates) == 0 && s.PeerPublicKey != nil):
		return fmt.Errorf("peer's certificate type is not %d", e.peerCertType)
	case e.peerCertFile == "":
		return nil
	}
	pemBytes, err := os.ReadFile(e.peerCertFile)
	if err != nil {
		return err
	}
	for _, cert := range s.PeerCertificates {
		var block *pem.Block
		if block, pemBytes = pem.Decode(pemBytes); block == nil || !bytes.Equal(block.Bytes, cert.Raw) {
			return fmt.Errorf("peer's certificate chain is another one")
		}
	}
	if block, _ := pem.Decode(pemBytes); block != nil {
		return fmt.Errorf("peer's certificate chain has only %d certificates", len(s.PeerCertificates))
	}
	return nil
}

// checkSelected: the credentials are numbered as given; -1 is the default one.
func (c *connection) checkSelected(s hermetic.ConnectionState) error {
	want := c.o.expect.selected
	if want == -2 || s.LocalSignatureScheme == 0 {
		return nil
	}
	local := s.LocalCertificate
	if i := slices.IndexFunc(c.o.credentials, func(cred *credential) bool { return cred.psk == nil }); want >= 0 {
		want -= i // PSKs come before certificates, or not at all
	}
	for i := range c.asked.certs {
		cert := &c.asked.certs[i]
		if !sameCertificate(cert, local) {
			continue
		}
		if i == want || want == -1 && i == len(c.o.credentials)-1 {
			return nil
		}
	}
	return fmt.Errorf("another credential than number %d was used", want)
}

func sameCertificate(a, b *tls.Certificate) bool {
	if a == nil || b == nil {
		return false
	}
	ka, errA := x509.MarshalPKIXPublicKey(a.PrivateKey.(crypto.Signer).Public())
	kb, errB := x509.MarshalPKIXPublicKey(b.PrivateKey.(crypto.Signer).Public())
	return errA == nil && errB == nil && bytes.Equal(ka, kb) && slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal) &&
		slices.Equal(a.SupportedSignatureAlgorithms, b.SupportedSignatureAlgorithms)
}

func sctList(scts [][]byte) []byte {
	list := []byte{0, 0}
	for _, s := range scts {
		list = append(append(list, byte(len(s)>>8), byte(len(s))), s...)
	}
	list[0], list[1] = byte((len(list)-2)>>8), byte(len(list)-2)
	return list
}
