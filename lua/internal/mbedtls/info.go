package mbedtls

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// A Field is one field of the table that ctx:info() returns: Value is a string,
// a bool or []Field.
type Field struct {
	Key   string
	Value any
}

// Info describes a connection, as far as the handshake has progressed.
func Info(state hermetic.ConnectionState) []Field {
	fields := []Field{
		{"mode", state.Mode.String()},
		{"complete", state.HandshakeComplete},
		{"resumed", state.DidResume},
	}
	add := func(key, value string) {
		if value != "" {
			fields = append(fields, Field{key, value})
		}
	}
	add("version", versionName(state.Mode, state.Version))
	if state.CipherSuite != 0 {
		add("suite", hermetic.CipherSuiteName(state.CipherSuite))
	}
	if state.CurveID != 0 {
		add("group", hermetic.GroupName(state.CurveID))
	}
	add("alpn", state.NegotiatedProtocol)
	add("hostname", state.ServerName)
	add("psk", string(state.PSKIdentity))
	switch {
	case state.EarlyDataAccepted:
		add("early", "accepted")
	case state.EarlyDataOffered && state.HandshakeComplete:
		add("early", "rejected")
	}
	if len(state.PeerCertificates) > 0 {
		leaf := state.PeerCertificates[0]
		print := sha256.Sum256(leaf.Raw)
		var chain []byte
		for _, c := range state.PeerCertificates {
			chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		fields = append(fields, Field{"peer", []Field{
			{"subject", leaf.Subject.String()},
			{"issuer", leaf.Issuer.String()},
			{"serial", leaf.SerialNumber.Text(16)},
			{"notbefore", leaf.NotBefore.UTC().Format(time.RFC3339)},
			{"notafter", leaf.NotAfter.UTC().Format(time.RFC3339)},
			{"sha256", hex.EncodeToString(print[:])},
			{"pem", string(chain)},
		}})
	}
	return fields
}

func versionName(mode hermetic.Mode, version uint16) string {
	protocol := "TLS"
	if mode.IsDTLS() {
		protocol = "DTLS"
	}
	switch version {
	case tls.VersionTLS12:
		return protocol + " 1.2"
	case tls.VersionTLS13:
		return protocol + " 1.3"
	}
	return ""
}
