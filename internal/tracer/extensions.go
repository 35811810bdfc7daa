package tracer

import (
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

// helloRetryRequest stands for a ServerHello that is one.
const helloRetryRequest wire.Type = 0xff

// extensions reads a list of extensions of that message.
func (p *part) extensions(in wire.Type) {
	p.list("extensions", 2, func(p *part) {
		at := p.at
		e := wire.Extension(p.number(2))
		n := p.number(2)
		if p.bytes(n); p.of.malformed {
			return
		}
		p.inside(trace.Field{Name: extensionName(e), Offset: at, Length: 4 + n}, p.at-n, func(p *part) {
			if p.more() {
				p.extension(e, in)
			}
		})
	})
}

// extensionName is the extension's name, or its number.
func extensionName(e wire.Extension) string {
	if name, ok := otherExtensions[uint64(e)]; ok {
		return name
	}
	if grease(uint64(e)) {
		return number16("GREASE", uint64(e))
	}
	return e.String()
}

// extension reads the content of an extension that is not empty.
func (p *part) extension(e wire.Extension, in wire.Type) {
	request := in == wire.TypeClientHello
	switch e {
	case wire.ExtServerName:
		p.list("server_name_list", 2, func(p *part) {
			p.bytes(1)
			p.vector("host_name", 2, quote)
		})
	case wire.ExtSupportedGroups:
		p.numbers("named_group_list", 2, "named_group", 2, groupName)
	case wire.ExtECPointFormats:
		p.numbers("ec_point_format_list", 1, "ec_point_format", 1, named(pointFormats))
	case wire.ExtSignatureAlgorithms, wire.ExtSignatureAlgsCert:
		p.numbers("supported_signature_algorithms", 2, "signature_algorithm", 2, schemeName)
	case wire.ExtALPN:
		p.list("protocol_name_list", 2, func(p *part) { p.vector("protocol_name", 1, quote) })
	case wire.ExtClientCertificateType, wire.ExtServerCertificateType:
		if request {
			p.numbers("certificate_types", 1, "certificate_type", 1, named(certificateTypes))
		} else {
			p.field("certificate_type", 1, named(certificateTypes))
		}
	case wire.ExtUseSRTP:
		p.numbers("srtp_protection_profiles", 2, "srtp_protection_profile", 2, hexOf)
		p.vector("srtp_mki", 1, hexOf)
	case wire.ExtMaxFragmentLength:
		p.field("max_fragment_length", 1, named(fragmentLengths))
	case wire.ExtRecordSizeLimit:
		p.field("record_size_limit", 2, decimal)
	case wire.ExtConnectionID:
		p.vector("cid", 1, hexOf)
	case wire.ExtRenegotiationInfo:
		p.vector("renegotiated_connection", 1, hexOf)
	case wire.ExtStatusRequest:
		p.statusRequest(request)
	default:
		p.extension13(e, in)
	}
}

func (p *part) statusRequest(request bool) {
	p.field("status_type", 1, named(statusTypes))
	if request {
		p.vector("responder_id_list", 2, hexOf)
		p.vector("request_extensions", 2, hexOf)
		return
	}
	p.vector("ocsp_response", 3, hexOf)
}

// extension13 reads one that TLS 1.3 introduced.
func (p *part) extension13(e wire.Extension, in wire.Type) {
	request := in == wire.TypeClientHello
	switch {
	case e == wire.ExtSupportedVersions && request:
		p.numbers("versions", 1, "version", 2, versionName)
	case e == wire.ExtSupportedVersions:
		p.field("selected_version", 2, versionName)
	case e == wire.ExtKeyShare && in == helloRetryRequest:
		p.field("selected_group", 2, groupName)
	case e == wire.ExtKeyShare && request:
		p.list("client_shares", 2, (*part).keyShare)
	case e == wire.ExtKeyShare:
		p.keyShare()
	case e == wire.ExtPreSharedKey && request:
		p.list("identities", 2, (*part).pskIdentity)
		p.list("binders", 2, func(p *part) { p.vector("binder", 1, hexOf) })
	case e == wire.ExtPreSharedKey:
		p.field("selected_identity", 2, decimal)
	case e == wire.ExtPSKKeyExchangeModes:
		p.numbers("ke_modes", 1, "ke_mode", 1, named(pskModes))
	case e == wire.ExtCompressCertificate:
		p.numbers("algorithms", 1, "algorithm", 2, named(compressionAlgorithms))
	case e == wire.ExtCookie:
		p.vector("cookie", 2, hexOf)
	case e == wire.ExtCertificateAuthorities:
		p.list("authorities", 2, func(p *part) { p.vector("certificate_authority", 2, distinguishedName) })
	case e == wire.ExtEarlyData && in == wire.TypeNewSessionTicket:
		p.field("max_early_data_size", 4, decimal)
	default:
		p.rest("extension_data")
	}
}

// keyShare reads a KeyShareEntry.
func (p *part) keyShare() {
	at := p.at
	group := p.bytes(2)
	n := p.number(2)
	if p.bytes(n); p.of.malformed {
		return
	}
	p.inside(trace.Field{Name: "key_share_entry", Value: groupName(group), Offset: at, Length: 4 + n}, at, func(p *part) {
		p.field("group", 2, groupName)
		p.vector("key_exchange", 2, hexOf)
	})
}

// pskIdentity reads a PskIdentity.
func (p *part) pskIdentity() {
	at := p.at
	n := p.number(2)
	if p.bytes(n + 4); p.of.malformed {
		return
	}
	p.inside(trace.Field{Name: "psk_identity", Offset: at, Length: 2 + n + 4}, at, func(p *part) {
		p.vector("identity", 2, identity)
		p.field("obfuscated_ticket_age", 4, decimal)
	})
}

// identity shows a name if it is one, and the start of a ticket otherwise.
func identity(b []byte) string {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return hexOf(b)
		}
	}
	return quote(b)
}
