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

// inCertificateRequest: RFC 9846, Section 4.3.
var inCertificateRequest = Extensions(ExtStatusRequest, ExtSignatureAlgorithms, ExtSCT, ExtCertificateAuthorities,
	ExtOIDFilters, ExtSignatureAlgsCert)

// Parse reads the body of a CertificateRequest of TLS 1.3.
func (m *CertificateRequest13) Parse(body []byte) error {
	*m = CertificateRequest13{}
	c := cursor{b: body}
	m.Context = c.vec8()
	x := extensions{cursor: cursor{b: c.vec16()}}
	if !c.done() {
		return malformed("CertificateRequest")
	}
	for {
		e, ext, ok, err := x.next()
		if err != nil {
			return err
		}
		if !ok {
			m.Has = x.has
			return x.within(inCertificateRequest)
		}
		switch e {
		case ExtSignatureAlgorithms:
			m.SignatureSchemes = ext.uint16s()
		case ExtSignatureAlgsCert:
			m.SignatureSchemesCert = ext.uint16s()
		case ExtCertificateAuthorities:
			m.Authorities = ext.names()
			ext.nonEmpty(m.Authorities)
		default:
			// RFC 9846, Section 4.4.2: unknown ones are to be ignored.
			ext.b = nil
		}
		if !ext.done() {
			return malformed(e.String())
		}
	}
}

// Append appends the whole message.
func (m *CertificateRequest13) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeCertificateRequest)
	b = append8(b, m.Context)
	b, list := begin16(b)
	if m.Has.Has(ExtStatusRequest) {
		b = appendExtension(b, ExtStatusRequest, nil)
	}
	if m.Has.Has(ExtSCT) {
		b = appendExtension(b, ExtSCT, nil)
	}
	for _, ext := range []struct {
		number Extension
		body   []byte
	}{
		{ExtSignatureAlgorithms, m.SignatureSchemes},
		{ExtSignatureAlgsCert, m.SignatureSchemesCert},
		{ExtCertificateAuthorities, m.Authorities},
	} {
		if m.Has.Has(ext.number) {
			var at int
			b, at = beginExtension(b, ext.number)
			b = end16(append16(b, ext.body), at)
		}
	}
	return endMessage(end16(b, list), at)
}

// Parse reads the body of a Certificate of TLS 1.3; NextEntry reads on.
func (m *Certificate13) Parse(body []byte) error {
	c := cursor{b: body}
	m.Context = c.vec8()
	m.Entries = c.vec24()
	if !c.done() {
		return malformed("Certificate")
	}
	return nil
}

// Append appends the whole message.
func (m *Certificate13) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeCertificate)
	b = append8(b, m.Context)
	return endMessage(append24(b, m.Entries), at)
}

// NextEntry reads the first of entries.
func NextEntry(entries []byte) (e CertificateEntry, rest []byte, err error) {
	c := cursor{b: entries}
	e.Data = c.nonEmpty(c.vec24())
	x := extensions{cursor: cursor{b: c.vec16()}}
	if c.bad {
		return e, nil, malformed("Certificate")
	}
	for {
		number, ext, ok, err := x.next()
		if err != nil {
			return e, nil, err
		}
		if !ok {
			e.Has, e.Unknown = x.has, x.unknown > 0
			return e, c.b, nil
		}
		switch number {
		case ExtStatusRequest:
			e.OCSP = ext.ocsp()
		case ExtSCT:
			e.SCTs = ext.scts()
		default:
			ext.b = nil
		}
		if !ext.done() {
			return e, nil, malformed(number.String())
		}
	}
}

// AppendEntry appends e to entries.
func AppendEntry(b []byte, e *CertificateEntry) []byte {
	b = append24(b, e.Data)
	b, list := begin16(b)
	if e.Has.Has(ExtStatusRequest) {
		var at int
		b, at = beginExtension(b, ExtStatusRequest)
		b = end16(append24(append(b, 1), e.OCSP), at)
	}
	if e.Has.Has(ExtSCT) {
		b = appendExtension(b, ExtSCT, e.SCTs)
	}
	return end16(b, list)
}

// ocsp reads a CertificateStatus (RFC 6066, Section 8).
func (c *cursor) ocsp() []byte {
	if c.uint8() != 1 {
		c.bad = true
	}
	return c.nonEmpty(c.vec24())
}

// Parse reads the body of a CertificateRequest of TLS 1.2.
func (m *CertificateRequest12) Parse(body []byte) error {
	c := cursor{b: body}
	m.Types = c.nonEmpty(c.vec8())
	m.SignatureSchemes = c.uint16s()
	m.Authorities = c.names()
	if !c.done() {
		return malformed("CertificateRequest")
	}
	return nil
}

// Append appends the whole message.
func (m *CertificateRequest12) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeCertificateRequest)
	b = append8(b, m.Types)
	b = append16(b, m.SignatureSchemes)
	return endMessage(append16(b, m.Authorities), at)
}

// Parse reads the body of a Certificate of TLS 1.2; NextCertificate reads on.
func (m *Certificate12) Parse(body []byte) error {
	c := cursor{b: body}
	m.List = c.vec24()
	if !c.done() {
		return malformed("Certificate")
	}
	return nil
}

// Append appends the whole message.
func (m *Certificate12) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeCertificate)
	return endMessage(append24(b, m.List), at)
}

// NextCertificate reads the first certificate of list.
func NextCertificate(list []byte) (der, rest []byte, err error) {
	c := cursor{b: list}
	der = c.nonEmpty(c.vec24())
	if c.bad {
		return nil, nil, malformed("Certificate")
	}
	return der, c.b, nil
}

// AppendCertificate appends a certificate to list.
func AppendCertificate(list, der []byte) []byte { return append24(list, der) }

// Parse reads the body of a CertificateStatus.
func (m *CertificateStatus) Parse(body []byte) error {
	c := cursor{b: body}
	m.OCSP = c.ocsp()
	if !c.done() {
		return malformed("CertificateStatus")
	}
	return nil
}

// Append appends the whole message.
func (m *CertificateStatus) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeCertificateStatus)
	return endMessage(append24(append(b, 1), m.OCSP), at)
}

// Parse reads the body of a CertificateVerify.
func (m *CertificateVerify) Parse(body []byte) error {
	c := cursor{b: body}
	m.Scheme = c.uint16()
	m.Signature = c.vec16()
	if !c.done() {
		return malformed("CertificateVerify")
	}
	return nil
}

// Append appends the whole message.
func (m *CertificateVerify) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeCertificateVerify)
	b = appendUint16(b, m.Scheme)
	return endMessage(append16(b, m.Signature), at)
}
