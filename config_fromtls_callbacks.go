package hermetic

import (
	"crypto/tls"
	"strings"
	"sync"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

// A tlsBridge calls the callbacks of a configuration of crypto/tls, with the types of crypto/tls.
type tlsBridge struct {
	theirs *tls.Config

	mu        sync.Mutex
	converted []conversion // the newest last
}

// conversion is a result of GetConfigForClient.
type conversion struct {
	from *tls.Config
	to   *Config
}

// maxConverted is how many results of GetConfigForClient are kept. Servers that make one for each
// client have them converted each time.
const maxConverted = 64

// callbacks sets the callbacks of c that call those of b.
func (b *tlsBridge) callbacks(c *Config) {
	t := b.theirs
	//lint:ignore SA1019 a caller that still sets it is served
	if t.GetCertificate != nil || len(t.NameToCertificate) > 0 || len(t.Certificates) == 0 {
		c.GetCertificate = b.certificate
	}
	if t.GetClientCertificate != nil {
		c.GetClientCertificate = b.clientCertificate
	}
	if t.GetConfigForClient != nil {
		c.GetConfigForClient = b.configForClient
	}
	if t.VerifyConnection != nil {
		c.VerifyConnection = func(s ConnectionState) error { return t.VerifyConnection(s.TLS()) }
	}
}

var errNoCertificates = &AlertError{Alert: AlertUnrecognizedName, Cause: "the tls.Config has no certificate: set Certificates, or have GetCertificate return one"}

// certificate chooses as crypto/tls does: GetCertificate, if the client has sent a name or there
// is nothing else, then NameToCertificate, and then Certificates.
func (b *tlsBridge) certificate(h *ClientHello) (*tls.Certificate, error) {
	t := b.theirs
	if t.GetCertificate != nil && (len(t.Certificates) == 0 || h.ServerName != "") {
		if cert, err := t.GetCertificate(b.clientHelloInfo(h)); cert != nil || err != nil {
			return cert, err
		}
	}
	if cert := named(t, h.ServerName); cert != nil {
		return cert, nil
	}
	if len(t.Certificates) == 0 {
		return nil, errNoCertificates
	}
	return nil, nil
}

// named returns the certificate that NameToCertificate has for a name or for its pattern.
func named(t *tls.Config, name string) *tls.Certificate {
	name = strings.ToLower(name)
	//lint:ignore SA1019 a caller that still sets it is served
	certs := t.NameToCertificate
	if cert := certs[name]; cert != nil {
		return cert
	}
	if _, domain, ok := strings.Cut(name, "."); ok {
		return certs["*."+domain]
	}
	return nil
}

func (b *tlsBridge) clientCertificate(r *CertificateRequest) (*tls.Certificate, error) {
	info := &tls.CertificateRequestInfo{AcceptableCAs: r.AcceptableCAs, SignatureSchemes: r.SignatureSchemes, Version: r.Version}
	setField(info, "ctx", r.Context())
	return b.theirs.GetClientCertificate(info)
}

// configForClient converts what GetConfigForClient returns, once for each pointer.
func (b *tlsBridge) configForClient(h *ClientHello) (*Config, error) {
	t, err := b.theirs.GetConfigForClient(b.clientHelloInfo(h))
	if err != nil || t == nil || t == b.theirs {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.converted {
		if c.from == t {
			return c.to, nil
		}
	}
	c, err := FromTLS(t)
	if err != nil {
		return nil, err
	}
	if len(b.converted) == maxConverted {
		b.converted = append(b.converted[:0], b.converted[1:]...)
	}
	b.converted = append(b.converted, conversion{t, c})
	return c, nil
}

// clientHelloInfo describes a client in the type of crypto/tls. The config is what
// SupportsCertificate there judges by.
func (b *tlsBridge) clientHelloInfo(h *ClientHello) *tls.ClientHelloInfo {
	info := &tls.ClientHelloInfo{
		CipherSuites:      h.CipherSuites,
		ServerName:        h.ServerName,
		SupportedCurves:   h.SupportedCurves,
		SupportedPoints:   h.SupportedPoints,
		SignatureSchemes:  h.SignatureSchemes,
		SupportedProtos:   h.SupportedProtos,
		SupportedVersions: h.SupportedVersions,
		Extensions:        h.Extensions,
		Conn:              h.Conn,
		HelloRetryRequest: h.HelloRetryRequest,
	}
	if h.Mode.IsDTLS() {
		info.SupportedVersions = streamVersions(h.SupportedVersions)
	}
	setField(info, "config", b.theirs)
	setField(info, "ctx", h.Context())
	return info
}

// streamVersions returns the numbers that the versions of DTLS have in TLS, which are those that
// crypto/tls knows.
func streamVersions(versions []uint16) []uint16 {
	list := make([]uint16, 0, len(versions))
	for _, v := range versions {
		switch v {
		case wire.VersionDTLS12:
			v = wire.VersionTLS12
		case wire.VersionDTLS13:
			v = wire.VersionTLS13
		}
		list = append(list, v)
	}
	return list
}
