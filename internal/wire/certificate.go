package wire

// CertificateRequest13 is RFC 9846, Section 4.4.2.
type CertificateRequest13 struct {
	Context []byte

	Has                  ExtensionSet
	SignatureSchemes     Uint16s
	SignatureSchemesCert Uint16s
	Authorities          Names
	// status_request and signed_certificate_timestamp are empty: see Has.
}

// Certificate13 is RFC 9846, Section 4.5.1. Entries are read and written one
// at a time, so that a chain costs no list.
type Certificate13 struct {
	Context []byte
	Entries []byte // certificate_list without its length
}

// CertificateEntry is one entry of Certificate13: a DER certificate, or a
// SubjectPublicKeyInfo (RFC 7250).
type CertificateEntry struct {
	Data    []byte
	Has     ExtensionSet
	Unknown bool
	OCSP    []byte // the OCSP response in status_request
	SCTs    []byte // SignedCertificateTimestampList, length included
}

// CertificateRequest12 is RFC 5246, Section 7.4.4.
type CertificateRequest12 struct {
	Types            []byte
	SignatureSchemes Uint16s
	Authorities      Names
}

// Certificate12 is RFC 5246, Section 7.4.2; with RFC 7250 its only content is
// a SubjectPublicKeyInfo.
type Certificate12 struct {
	List []byte // certificate_list without its length, each with a 24-bit length
}

// CertificateStatus is RFC 6066, Section 8 (TLS 1.2).
type CertificateStatus struct {
	OCSP []byte
}

// CertificateVerify is the same in both versions.
type CertificateVerify struct {
	Scheme    uint16
	Signature []byte
}
