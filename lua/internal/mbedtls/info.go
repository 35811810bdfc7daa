package mbedtls

import (
	"crypto/tls"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// A Field is one field of a table: Value is a string, a bool, an int or []Field. Fields without
// a key are the elements of a list.
type Field struct {
	Key   string
	Value any
}

// list makes a list of strings.
func list(values []string) []Field {
	fields := make([]Field, 0, len(values))
	for _, v := range values {
		fields = append(fields, Field{Value: v})
	}
	return fields
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
	add("tlsunique", string(state.TLSUnique))
	switch {
	case state.EarlyDataAccepted:
		add("early", "accepted")
	case state.EarlyDataOffered && state.HandshakeComplete:
		add("early", "rejected")
	}
	add("srtp", srtpName(state.SRTPProfile))
	add("compression", compressorName(state.LocalCertificateCompression))
	add("peercompression", compressorName(state.PeerCertificateCompression))
	if state.PeerSignatureScheme != 0 {
		add("signature", state.PeerSignatureScheme.String())
	}
	if chain := state.PeerCertificates; len(chain) > 0 {
		leaf := chain[0]
		fields = append(fields, Field{"peer", []Field{
			{"subject", leaf.Subject.String()},
			{"issuer", leaf.Issuer.String()},
			{"serial", leaf.SerialNumber.Text(16)},
			{"notbefore", leaf.NotBefore.UTC().Format(time.RFC3339)},
			{"notafter", leaf.NotAfter.UTC().Format(time.RFC3339)},
			{"sha256", fingerprint(leaf)},
			{"pem", chainPEM(chain)},
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
