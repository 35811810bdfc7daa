package hermetic

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"reflect"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/pki"
)

// FromTLS converts a crypto/tls configuration. A field that is set and has no counterpart here,
// or whose callback gets a type that only crypto/tls can make, is a *[ConfigError] that names it.
func FromTLS(t *tls.Config) (*Config, error) {
	if t == nil {
		return nil, tlsError("", "it is nil")
	}
	if err := refuse(t); err != nil {
		return nil, err
	}
	c := &Config{
		Time:                  t.Time,
		Rand:                  t.Rand,
		Certificates:          t.Certificates,
		VerifyPeerCertificate: t.VerifyPeerCertificate,
		RootCAs:               t.RootCAs,
		NextProtos:            unique(t.NextProtos),
		ServerName:            t.ServerName,
		ClientAuth:            t.ClientAuth,
		ClientCAs:             t.ClientCAs,
		InsecureSkipVerify:    t.InsecureSkipVerify,
		CipherSuites:          t.CipherSuites,
		MinVersion:            t.MinVersion,
		MaxVersion:            t.MaxVersion,
		CurvePreferences:      unique(t.CurvePreferences),
		KeyLogWriter:          t.KeyLogWriter,
		NoTickets:             t.SessionTicketsDisabled,
	}
	if t.CipherSuites != nil {
		// The list of crypto/tls is for TLS 1.2 only: suites of 1.3 are not configurable there.
		c.CipherSuites = unique(append([]uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256}, t.CipherSuites...))
	}
	if _, err := c.plan(); err != nil {
		return nil, err
	}
	return c, nil
}

// unique returns list without repetitions, which crypto/tls permits; nil stays nil.
func unique[T comparable](list []T) (once []T) {
	for _, v := range list {
		if !slices.Contains(once, v) {
			once = append(once, v)
		}
	}
	if once == nil && list != nil {
		return []T{}
	}
	return once
}

// tlsRefused are the fields that cannot be taken over, and why.
var tlsRefused = map[string]string{
	"GetCertificate":                      "its tls.ClientHelloInfo belongs to crypto/tls; use Config.GetCertificate",
	"GetClientCertificate":                "its tls.CertificateRequestInfo belongs to crypto/tls; use Config.GetClientCertificate",
	"GetConfigForClient":                  "its tls.ClientHelloInfo belongs to crypto/tls; use Config.GetConfigForClient",
	"VerifyConnection":                    "its tls.ConnectionState belongs to crypto/tls; use Config.VerifyConnection",
	"SessionTicketKey":                    "use Config.TicketKeys",
	"sessionTicketKeys":                   "use Config.TicketKeys", // set by SetSessionTicketKeys
	"ClientSessionCache":                  "its sessions belong to crypto/tls; use Config.SessionCache",
	"UnwrapSession":                       "its sessions belong to crypto/tls; use Config.TicketKeys",
	"WrapSession":                         "its sessions belong to crypto/tls; use Config.TicketKeys",
	"Renegotiation":                       "renegotiation is never done",
	"EncryptedClientHelloConfigList":      "there is no Encrypted ClientHello yet",
	"EncryptedClientHelloRejectionVerify": "there is no Encrypted ClientHello yet",
	"GetEncryptedClientHelloKeys":         "there is no Encrypted ClientHello yet",
	"EncryptedClientHelloKeys":            "there is no Encrypted ClientHello yet",
}

func refuse(t *tls.Config) error {
	v := reflect.ValueOf(t).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		why, ok := tlsRefused[name]
		switch {
		case !ok || v.Field(i).IsZero(), name == "SessionTicketKey" && unusedTicketKey(t):
			continue
		case name == "sessionTicketKeys":
			name = "SetSessionTicketKeys"
		}
		return tlsError(name, "it cannot be taken over: "+why)
	}
	return refuseNames(t)
}

func tlsError(field, reason string) error {
	return &ConfigError{Field: field, Reason: reason, ofTLS: true}
}

// unusedTicketKey reports whether crypto/tls has filled in a SessionTicketKey that it
// does not use: it does so when it uses a Config.
func unusedTicketKey(t *tls.Config) bool {
	//lint:ignore SA1019 a caller that still sets it must hear of it
	return bytes.HasPrefix(t.SessionTicketKey[:], []byte("DEPRECATED"))
}

// refuseNames refuses a NameToCertificate that BuildNameToCertificate has not made from
// Certificates: use GetCertificate for that.
func refuseNames(t *tls.Config) error {
	//lint:ignore SA1019 a caller that still sets it must hear of it
	for name, c := range t.NameToCertificate {
		if !slices.ContainsFunc(t.Certificates, func(own tls.Certificate) bool { return names(&own, name) && sameChain(&own, c) }) {
			return tlsError("NameToCertificate", fmt.Sprintf("it cannot be taken over: for %q it has a certificate "+
				"that Certificates has not, or that has another name; use Certificates or Config.GetCertificate", name))
		}
	}
	return nil
}

func sameChain(a, b *tls.Certificate) bool {
	return b != nil && slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
}

// names reports whether c would be chosen for name, which may be a pattern.
func names(c *tls.Certificate, name string) bool {
	id, err := pki.Prepare(c)
	return err == nil && id.Leaf != nil && (slices.Contains(id.Leaf.DNSNames, name) || id.Leaf.VerifyHostname(name) == nil)
}
