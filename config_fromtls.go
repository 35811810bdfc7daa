package hermetic

import (
	"crypto/tls"
	"errors"
	"reflect"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// FromTLS converts a crypto/tls configuration. Its callbacks are called with the types of
// crypto/tls, its ClientSessionCache keeps sessions, and its ticket keys, or its WrapSession and
// UnwrapSession, make tickets. As with crypto/tls, t must not be modified afterwards, except by
// SetSessionTicketKeys.
//
// A field that is set and has no counterpart here is a *[ConfigError] that names it. A
// configuration that GetConfigForClient returns is converted in the same way: if that is not
// possible, the error ends the handshake.
//
// A server without any certificate ends handshakes, as with crypto/tls: it does not make one.
func FromTLS(t *tls.Config) (*Config, error) {
	if t == nil {
		return nil, tlsError("", "it is nil: for the defaults, pass &tls.Config{}")
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
	bridge := &tlsBridge{theirs: t}
	bridge.callbacks(c)
	c.tickets = bridge
	if t.ClientSessionCache != nil && !t.SessionTicketsDisabled {
		c.SessionCache = &tlsCache{theirs: t.ClientSessionCache}
	}
	if _, err := c.plan(); err != nil {
		return nil, asTLS(err)
	}
	return c, nil
}

// tlsAdvice says what to do about a field that has a value which only crypto/tls has.
var tlsAdvice = map[string]string{
	"MinVersion":       "set tls.VersionTLS12, or leave it zero",
	"MaxVersion":       "set tls.VersionTLS12 or tls.VersionTLS13, or leave it zero",
	"CipherSuites":     "leave it out, or leave the field nil for all suites that are safe",
	"CurvePreferences": "leave it out, or leave the field nil for all groups",
}

// asTLS returns the error of a field that both kinds of Config have as one of a tls.Config.
func asTLS(err error) error {
	var fault *ConfigError
	if !errors.As(err, &fault) || fault.Field == "" {
		return err
	}
	theirs := *fault
	theirs.ofTLS = true
	if advice := tlsAdvice[fault.Field]; advice != "" {
		theirs.Reason += ": " + advice
	}
	return &theirs
}

// unique returns list without repetitions, which crypto/tls permits. An empty list is nil: both
// mean the default there.
func unique[T comparable](list []T) (once []T) {
	for _, v := range list {
		if !slices.Contains(once, v) {
			once = append(once, v)
		}
	}
	return once
}

const (
	noRenegotiation = "renegotiation is never done: leave it tls.RenegotiateNever"
	noECH           = "there is no Encrypted ClientHello yet: leave it nil, or use crypto/tls for these connections"
)

// tlsRefused are the fields that cannot be taken over, and why.
var tlsRefused = map[string]string{
	"Renegotiation":                       noRenegotiation,
	"EncryptedClientHelloConfigList":      noECH,
	"EncryptedClientHelloRejectionVerify": noECH,
	"GetEncryptedClientHelloKeys":         noECH,
	"EncryptedClientHelloKeys":            noECH,
}

// tlsTaken are the exported fields that FromTLS takes over, or that mean nothing: crypto/tls
// ignores PreferServerCipherSuites, and records are as large as their data here, which is what
// DynamicRecordSizingDisabled asks for.
var tlsTaken = []string{
	"Rand", "Time", "Certificates", "NameToCertificate", "GetCertificate", "GetClientCertificate", "GetConfigForClient",
	"VerifyPeerCertificate", "VerifyConnection", "RootCAs", "NextProtos", "ServerName", "ClientAuth", "ClientCAs",
	"InsecureSkipVerify", "CipherSuites", "PreferServerCipherSuites", "SessionTicketsDisabled", "SessionTicketKey",
	"ClientSessionCache", "UnwrapSession", "WrapSession", "MinVersion", "MaxVersion", "CurvePreferences",
	"DynamicRecordSizingDisabled", "KeyLogWriter",
}

// refuse returns an error for the first field that is set and not taken over, also if a later Go
// has added it. The unexported fields are the keys that SetSessionTicketKeys has set, which the
// methods of tls.Config use, and locks.
func refuse(t *tls.Config) error {
	v := reflect.ValueOf(t).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || slices.Contains(tlsTaken, f.Name) || v.Field(i).IsZero() {
			continue
		}
		why, ok := tlsRefused[f.Name]
		if !ok {
			why = "this version of hermetic does not know it: leave it unset, or set its counterpart in Config if there is one"
		}
		return tlsError(f.Name, "it cannot be taken over: "+why)
	}
	//lint:ignore SA1019 a caller that still sets it is served
	for name, cert := range t.NameToCertificate {
		if cert == nil {
			return tlsError("NameToCertificate", "it has no certificate for "+alert.Quote(name)+": remove the name, or use GetCertificate")
		}
	}
	return nil
}

func tlsError(field, reason string) error {
	return &ConfigError{Field: field, Reason: reason, ofTLS: true}
}
