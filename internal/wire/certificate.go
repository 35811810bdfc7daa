package wire

import "github.com/hermetic-tls/hermetic/internal/codec"

// CertificateRequest13 is RFC 9846, Section 4.4.2.
type CertificateRequest13 struct {
	Context []byte

	Has                  ExtensionSet
	SignatureSchemes     Uint16s
	SignatureSchemesCert Uint16s
	Compressors          Uint16s // compress_certificate
	Authorities          Names
	// status_request and signed_certificate_timestamp are empty: see Has.
}

func (m *CertificateRequest13) Parse(body []byte) error {
	*m = CertificateRequest13{}
	c := parser("CertificateRequest", body)
	m.fields(&c)
	c.only(inCertificateRequest, m.Has)
	return c.end()
}

func (m *CertificateRequest13) Append(b []byte) []byte {
	c := appender(b, TypeCertificateRequest)
	m.fields(&c)
	return c.message()
}

func (m *CertificateRequest13) fields(c *coder) {
	c.Vec8(&m.Context)
	c.extensions(&m.Has, inCertificateRequest, func(e Extension) {
		switch e {
		case ExtSignatureAlgorithms:
			c.uint16s(&m.SignatureSchemes)
		case ExtSignatureAlgsCert:
			c.uint16s(&m.SignatureSchemesCert)
		case ExtCompressCertificate:
			c.compressors(&m.Compressors)
		case ExtCertificateAuthorities:
			c.names(&m.Authorities)
			c.Require(len(m.Authorities) > 0)
		default:
			c.Skip() // RFC 9846, Section 4.4.2: unrecognized extensions are ignored
		}
	})
}

// Certificate13 is RFC 9846, Section 4.5.1. Entries are read (NextEntry) and written
// (AppendEntry) one at a time, so that a chain needs no list.
type Certificate13 struct {
	Context []byte
	Entries []byte // certificate_list without its length
}

func (m *Certificate13) Parse(body []byte) error {
	c := parser("Certificate", body)
	m.fields(&c)
	return c.end()
}

func (m *Certificate13) Append(b []byte) []byte {
	c := appender(b, TypeCertificate)
	m.fields(&c)
	return c.message()
}

func (m *Certificate13) fields(c *coder) {
	c.Vec8(&m.Context)
	c.Vec24(&m.Entries)
}

// CompressedCertificate is RFC 8879, Section 4.
type CompressedCertificate struct {
	Algorithm uint16
	Length    int    // of the Certificate message, without its header
	Data      []byte // that message, compressed
}

func (m *CompressedCertificate) Parse(body []byte) error {
	c := parser("CompressedCertificate", body)
	m.fields(&c)
	return c.end()
}

func (m *CompressedCertificate) Append(b []byte) []byte {
	c := appender(b, TypeCompressedCertificate)
	m.fields(&c)
	return c.message()
}

func (m *CompressedCertificate) fields(c *coder) {
	c.Uint16(&m.Algorithm)
	c.Uint24(&m.Length)
	c.Vec24(&m.Data)
	c.Require(len(m.Data) > 0)
}

// compressors is compress_certificate. RFC 8879 does not mention an algorithm that is
// listed twice; BoringSSL's runner wants it refused, in every version.
func (c *coder) compressors(v *Uint16s) {
	c.Filled8((*[]byte)(v))
	c.Require(len(*v)%2 == 0)
	var seen numbers
	for a := range v.All() {
		c.Require(seen.add(a))
	}
}

// CertificateEntry is one entry of Certificate13: a DER certificate, or a
// SubjectPublicKeyInfo (RFC 7250).
type CertificateEntry struct {
	Data    []byte
	Has     ExtensionSet
	Unknown bool   // see ServerHello
	OCSP    []byte // the OCSP response in status_request
	SCTs    []byte // SignedCertificateTimestampList, length included
}

// NextEntry reads the first of entries. The content of extensions that were not offered
// is not read.
func NextEntry(entries []byte, offered ExtensionSet) (e CertificateEntry, rest []byte, err error) {
	end := codec.Cursor{B: entries}
	end.Vec24()
	end.Vec16()
	if end.Bad {
		return e, nil, malformed("Certificate")
	}
	c := parser("Certificate", entries[:len(entries)-len(end.B)])
	c.foreign = ^offered
	e.fields(&c)
	e.Unknown = c.unknown
	return e, end.B, c.end()
}

// AppendEntry appends e to entries.
func AppendEntry(b []byte, e *CertificateEntry) []byte {
	c := coder{Coder: codec.Coder{Appending: true, Out: b}}
	e.fields(&c)
	return c.Out
}

func (e *CertificateEntry) fields(c *coder) {
	c.Vec24(&e.Data)
	c.Require(len(e.Data) > 0)
	c.extensions(&e.Has, inCertificateEntry, func(ext Extension) {
		switch ext {
		case ExtStatusRequest:
			c.ocsp(&e.OCSP)
		case ExtSCT:
			c.scts(&e.SCTs)
		default:
			c.Skip()
		}
	})
}

// ocsp is a CertificateStatus (RFC 6066, Section 8).
func (c *coder) ocsp(v *[]byte) {
	typ := uint8(1)
	c.Uint8(&typ)
	c.Vec24(v)
	c.Require(typ == 1 && len(*v) > 0)
}

// CertificateRequest12 is RFC 5246, Section 7.4.4.
type CertificateRequest12 struct {
	Types            []byte
	SignatureSchemes Uint16s
	Authorities      Names
}

func (m *CertificateRequest12) Parse(body []byte) error {
	c := parser("CertificateRequest", body)
	m.fields(&c)
	return c.end()
}

func (m *CertificateRequest12) Append(b []byte) []byte {
	c := appender(b, TypeCertificateRequest)
	m.fields(&c)
	return c.message()
}

func (m *CertificateRequest12) fields(c *coder) {
	c.Filled8(&m.Types)
	c.uint16s(&m.SignatureSchemes)
	c.names(&m.Authorities)
}

// Certificate12 is RFC 5246, Section 7.4.2. With RFC 7250, its content is one
// SubjectPublicKeyInfo.
type Certificate12 struct {
	List []byte // certificate_list without its length: see NextCertificate
}

func (m *Certificate12) Parse(body []byte) error {
	c := parser("Certificate", body)
	c.Vec24(&m.List)
	return c.end()
}

func (m *Certificate12) Append(b []byte) []byte {
	c := appender(b, TypeCertificate)
	c.Vec24(&m.List)
	return c.message()
}

// NextCertificate reads the first certificate of list.
func NextCertificate(list []byte) (der, rest []byte, err error) {
	c := codec.Cursor{B: list}
	der = c.NonEmpty(c.Vec24())
	if c.Bad {
		return nil, nil, malformed("Certificate")
	}
	return der, c.B, nil
}

// AppendCertificate appends a certificate to list.
func AppendCertificate(list, der []byte) []byte { return codec.Append24(list, der) }

// CertificateStatus is RFC 6066, Section 8 (TLS 1.2).
type CertificateStatus struct {
	OCSP []byte
}

func (m *CertificateStatus) Parse(body []byte) error {
	c := parser("CertificateStatus", body)
	c.ocsp(&m.OCSP)
	return c.end()
}

func (m *CertificateStatus) Append(b []byte) []byte {
	c := appender(b, TypeCertificateStatus)
	c.ocsp(&m.OCSP)
	return c.message()
}

// CertificateVerify is the same in both versions.
type CertificateVerify struct {
	Scheme    uint16
	Signature []byte
}

func (m *CertificateVerify) Parse(body []byte) error {
	c := parser("CertificateVerify", body)
	m.fields(&c)
	return c.end()
}

func (m *CertificateVerify) Append(b []byte) []byte {
	c := appender(b, TypeCertificateVerify)
	m.fields(&c)
	return c.message()
}

func (m *CertificateVerify) fields(c *coder) {
	c.Uint16(&m.Scheme)
	c.Vec16(&m.Signature)
}
