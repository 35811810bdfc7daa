package hermetic

import (
	"crypto/tls"
	"reflect"
	"slices"
	"sync"
	"unsafe"
)

// TLS returns the state as a crypto/tls type, for packages that expect one. What that has no
// field for is left out. Its ExportKeyingMaterial is that of s, and never panics.
func (s *ConnectionState) TLS() tls.ConnectionState {
	t := withoutExporter()
	t.Version = s.Version
	t.HandshakeComplete = s.HandshakeComplete
	t.DidResume = s.DidResume
	t.CipherSuite = s.CipherSuite
	t.CurveID = s.CurveID
	t.NegotiatedProtocol = s.NegotiatedProtocol
	t.NegotiatedProtocolIsMutual = true //lint:ignore SA1019 crypto/tls always sets it
	t.ServerName = s.ServerName
	t.PeerCertificates = s.PeerCertificates
	t.VerifiedChains = s.VerifiedChains
	t.SignedCertificateTimestamps = s.SignedCertificateTimestamps
	t.OCSPResponse = s.OCSPResponse
	t.TLSUnique = s.TLSUnique
	t.HelloRetryRequest = s.HelloRetryRequest
	own := *s
	setField(&t, "ekm", own.ExportKeyingMaterial)
	if s.LocalCertificate != nil && !s.DidResume {
		setField(&t, "LocalCertificate", slices.Clone(s.LocalCertificate.Certificate)) // since Go 1.27
	}
	return t
}

// withoutExporter returns an empty state whose ExportKeyingMaterial returns an error, and does
// not panic as that of the zero value does. Only crypto/tls can make one: in this case because
// of Renegotiation.
var withoutExporter = sync.OnceValue(func() tls.ConnectionState {
	t := tls.Client(nil, &tls.Config{Renegotiation: tls.RenegotiateOnceAsClient}).ConnectionState()
	t.TLSUnique = nil // crypto/tls sets it, to zeros
	return t
})

// setField sets a field of a struct of crypto/tls that only crypto/tls can set, or that not
// every version of Go has. If there is no such field of that type, nothing happens.
func setField(to any, name string, value any) {
	f := reflect.ValueOf(to).Elem().FieldByName(name)
	v := reflect.ValueOf(value)
	if f.IsValid() && v.Type().AssignableTo(f.Type()) {
		reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Set(v)
	}
}
