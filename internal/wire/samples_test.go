package wire

import (
	"cmp"
	"slices"
)

// structure is one structure of this package: how it parses, how it is appended,
// and a sample in which every field is set.
type structure struct {
	name   string
	sample any // a pointer
	zero   func() any
	parse  func(m any, body []byte) error
	append func(m any) []byte // the body, without the header
}

func newStructure[M any](name string, sample M, parse func(*M, []byte) error, app func(*M, []byte) []byte) structure {
	return structure{
		name:   name,
		sample: &sample,
		zero:   func() any { return new(M) },
		parse:  func(m any, body []byte) error { return parse(m.(*M), body) },
		append: func(m any) []byte { return app(m.(*M), nil)[4:] },
	}
}

// body is the sample's.
func (c structure) body() []byte { return c.append(c.sample) }

// again parses a body and appends what it has parsed.
func (c structure) again(body []byte) ([]byte, error) {
	m := c.zero()
	if err := c.parse(m, body); err != nil {
		return nil, err
	}
	return c.append(m), nil
}

var everyPart = KeyExchangeParts{PSK: true, ECDHE: true, Signed: true}

func structures() []structure {
	return []structure{
		newStructure("ClientHello", sampleClientHello(Stream),
			func(m *ClientHello, b []byte) error { return parseHello(m, b, Stream) },
			func(m *ClientHello, b []byte) []byte { return m.Append(b, Stream) }),
		newStructure("ClientHello of DTLS", sampleClientHello(Datagram),
			func(m *ClientHello, b []byte) error { return parseHello(m, b, Datagram) },
			func(m *ClientHello, b []byte) []byte { return m.Append(b, Datagram) }),
		newStructure("ServerHello", sampleServerHello(), (*ServerHello).Parse, (*ServerHello).Append),
		newStructure("HelloRetryRequest", sampleRetry(), (*ServerHello).Parse, (*ServerHello).Append),
		newStructure("EncryptedExtensions", EncryptedExtensions{
			Has: Extensions(ExtServerName, ExtMaxFragmentLength, ExtSupportedGroups, ExtALPN, ExtUseSRTP, ExtServerCertificateType,
				ExtClientCertificateType, ExtRecordSizeLimit, ExtEarlyData),
			ALPN: []byte("h2"), Groups: AppendUint16s(nil, 29, 23),
			SRTP: SRTP{AppendUint16s(nil, 1), []byte{5}}, ServerCertType: 2, ClientCertType: 3,
			MaxFragmentLength: 4, RecordSizeLimit: 0x0102,
		}, (*EncryptedExtensions).Parse, (*EncryptedExtensions).Append),
		newStructure("HelloVerifyRequest", HelloVerifyRequest{VersionDTLS10, []byte("cookie")},
			(*HelloVerifyRequest).Parse, (*HelloVerifyRequest).Append),
		newStructure("CertificateRequest 1.3", CertificateRequest13{
			Context: []byte{1},
			Has: Extensions(ExtStatusRequest, ExtSCT, ExtSignatureAlgorithms, ExtSignatureAlgsCert,
				ExtCompressCertificate, ExtCertificateAuthorities),
			SignatureSchemes: AppendUint16s(nil, 0x0403), SignatureSchemesCert: AppendUint16s(nil, 0x0401, 0x0804),
			Compressors: AppendUint16s(nil, 2, 1),
			Authorities: AppendNames(nil, []byte("one"), []byte("two")),
		}, (*CertificateRequest13).Parse, (*CertificateRequest13).Append),
		newStructure("CertificateRequest 1.2", CertificateRequest12{
			Types: []byte{64, 1}, SignatureSchemes: AppendUint16s(nil, 0x0403),
			Authorities: AppendNames(nil, []byte("one"), []byte("two")),
		}, (*CertificateRequest12).Parse, (*CertificateRequest12).Append),
		newStructure("Certificate 1.3", Certificate13{
			Context: []byte{1}, Entries: AppendEntry(AppendEntry(nil, &sampleEntry), &CertificateEntry{Data: []byte("ca")}),
		}, (*Certificate13).Parse, (*Certificate13).Append),
		newStructure("CompressedCertificate", CompressedCertificate{2, 0x010203, []byte("compressed")},
			(*CompressedCertificate).Parse, (*CompressedCertificate).Append),
		newStructure("Certificate 1.2", Certificate12{AppendCertificate(AppendCertificate(nil, []byte("der")), []byte("ca"))},
			(*Certificate12).Parse, (*Certificate12).Append),
		newStructure("CertificateEntry", sampleEntry, parseEntry,
			func(m *CertificateEntry, b []byte) []byte { return AppendEntry(AppendHeader(b, 0, 0), m) }),
		newStructure("CertificateStatus", CertificateStatus{[]byte("ocsp")}, (*CertificateStatus).Parse, (*CertificateStatus).Append),
		newStructure("CertificateVerify", CertificateVerify{0x0403, []byte("signature")},
			(*CertificateVerify).Parse, (*CertificateVerify).Append),
		newStructure("ServerKeyExchange", ServerKeyExchange{
			Hint: []byte("hint"), Group: 29, Public: []byte("public"), Params: AppendECDHParams(nil, 29, []byte("public")),
			Scheme: 0x0403, Signature: []byte("signature"),
		}, func(m *ServerKeyExchange, b []byte) error { return m.Parse(b, everyPart) },
			func(m *ServerKeyExchange, b []byte) []byte { return m.Append(b, everyPart) }),
		newStructure("ClientKeyExchange", ClientKeyExchange{[]byte("identity"), []byte("public")},
			func(m *ClientKeyExchange, b []byte) error { return m.Parse(b, everyPart) },
			func(m *ClientKeyExchange, b []byte) []byte { return m.Append(b, everyPart) }),
		newStructure("NewSessionTicket 1.3", NewSessionTicket13{0x01020304, 0x05060708, []byte{3}, []byte("ticket"), Extensions(ExtEarlyData), 0x090a0b0c},
			(*NewSessionTicket13).Parse, (*NewSessionTicket13).Append),
		newStructure("NewSessionTicket 1.2", NewSessionTicket12{0x01020304, []byte("ticket")},
			(*NewSessionTicket12).Parse, (*NewSessionTicket12).Append),
		newStructure("KeyUpdate", KeyUpdate{1}, (*KeyUpdate).Parse, (*KeyUpdate).Append),
		newStructure("RequestConnectionId", RequestConnectionID{3}, (*RequestConnectionID).Parse, (*RequestConnectionID).Append),
		newStructure("NewConnectionId", NewConnectionID{[]byte{2, 7, 7, 0}, 1}, (*NewConnectionID).Parse, (*NewConnectionID).Append),
	}
}

// structureNamed finds one of them.
func structureNamed(name string) structure {
	all := structures()
	return all[slices.IndexFunc(all, func(c structure) bool { return c.name == name })]
}

// parseHello parses a ClientHello all of whose extensions count.
func parseHello(m *ClientHello, b []byte, t Transport) error {
	return cmp.Or(m.Parse(b, t), m.Check(VersionTLS12), m.Check(VersionTLS13))
}

// parseEntry parses an entry that is the only one.
func parseEntry(m *CertificateEntry, b []byte) error {
	e, rest, err := NextEntry(b, everything)
	if *m = e; err == nil && len(rest) > 0 {
		return malformed("a second entry")
	}
	return err
}

var sampleEntry = CertificateEntry{
	Data: []byte("der"), Has: Extensions(ExtStatusRequest, ExtSCT),
	OCSP: []byte("ocsp"), SCTs: AppendSCTs(nil, [][]byte{{1}, {2, 3}}),
}

func sampleRandom() (r [32]byte) {
	for i := range r {
		r[i] = byte(i + 1)
	}
	return r
}

func sampleClientHello(t Transport) ClientHello {
	m := ClientHello{
		Version:              VersionTLS12,
		Random:               sampleRandom(),
		SessionID:            []byte{1, 2},
		CipherSuites:         AppendUint16s(nil, 0x1301, 0xc02b),
		Compression:          []byte{0},
		ServerName:           "localhost",
		MaxFragmentLength:    4,
		Compressors:          AppendUint16s(nil, 2, 1),
		RecordSizeLimit:      0x0102,
		StatusRequest:        true,
		Groups:               AppendUint16s(nil, 29, 23),
		PointFormats:         []byte{0},
		SignatureSchemes:     AppendUint16s(nil, 0x0403, 0x0804),
		SignatureSchemesCert: AppendUint16s(nil, 0x0401),
		ALPN:                 AppendALPN(nil, "h2", "http/1.1"),
		ClientCertTypes:      []byte{2},
		ServerCertTypes:      []byte{2, 0},
		SessionTicket:        []byte("ticket"),
		SupportedVersions:    AppendUint16s(nil, VersionTLS13, VersionTLS12),
		Cookie:               []byte("cookie"),
		PSKModes:             []byte{1},
		Authorities:          AppendNames(nil, []byte("one"), []byte("two")),
		KeyShares:            AppendKeyShare(AppendKeyShare(nil, 29, []byte("share")), 23, []byte("other")),
		RenegotiationInfo:    []byte{8},
		PSK: OfferedPSKs{
			Identities: AppendPSKIdentity(AppendPSKIdentity(nil, PSKIdentity{[]byte("id"), 7}), PSKIdentity{[]byte("other"), 8}),
			Binders:    AppendPSKBinder(AppendPSKBinder(nil, make([]byte, 32)), make([]byte, 48)),
		},
	}
	m.Has = Extensions(byNumber...).Minus(Extensions(ExtPadding, ExtOIDFilters))
	if t == Stream {
		m.Has = m.Has.Minus(ofDatagrams)
		return m
	}
	m.Version, m.LegacyCookie = VersionDTLS12, []byte{9}
	m.SRTP, m.ConnectionID = SRTP{AppendUint16s(nil, 7, 8), []byte{5}}, []byte{7}
	return m
}

func sampleServerHello() ServerHello {
	return ServerHello{
		Version:     VersionTLS12,
		Random:      sampleRandom(),
		SessionID:   []byte{1, 2},
		CipherSuite: 0x1301,
		Compression: 1,
		Has: Extensions(ExtServerName, ExtStatusRequest, ExtECPointFormats, ExtUseSRTP, ExtALPN, ExtSCT,
			ExtClientCertificateType, ExtServerCertificateType, ExtExtendedMainSecret, ExtSessionTicket,
			ExtPreSharedKey, ExtSupportedVersions, ExtCookie, ExtKeyShare, ExtConnectionID, ExtRenegotiationInfo,
			ExtMaxFragmentLength, ExtRecordSizeLimit),
		SupportedVersion:  VersionTLS13,
		KeyShare:          KeyShare{29, []byte("share")},
		SelectedPSK:       0x0102,
		Cookie:            []byte("cookie"),
		ALPN:              []byte("h2"),
		SCTs:              AppendSCTs(nil, [][]byte{{1}, {2, 3}}),
		PointFormats:      []byte{0},
		SRTP:              SRTP{AppendUint16s(nil, 7), []byte{5}},
		MaxFragmentLength: 4,
		RecordSizeLimit:   0x0102,
		ServerCertType:    2,
		ClientCertType:    3,
		ConnectionID:      []byte{1},
		RenegotiationInfo: []byte{8},
	}
}

func sampleRetry() ServerHello {
	return ServerHello{
		Version: VersionTLS12, Random: RetryRandom, SessionID: []byte{1, 2}, CipherSuite: 0x1301,
		Has:              Extensions(ExtSupportedVersions, ExtCookie, ExtKeyShare),
		SupportedVersion: VersionTLS13, KeyShare: KeyShare{Group: 29}, Cookie: []byte("cookie"),
	}
}
