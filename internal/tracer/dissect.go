package tracer

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/version"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

const (
	// maxFields bounds the fields of a message: a hello may list 32,000 cipher suites.
	maxFields = 1000
	// maxHex is how many bytes a value shows.
	maxHex = 64
)

// A part is a region of a message that is being read into fields. Package wire cannot do
// this: it skips what it does not know, and does not say where a field is.
type part struct {
	raw     []byte // the whole message
	at, end int    // of the region
	of      *budget
	fields  []trace.Field
}

// budget is what all parts of a message have in common.
type budget struct {
	left      int // fields
	malformed bool
}

// take takes one more field from the budget.
func (b *budget) take() bool {
	b.left--
	return b.left >= 0
}

// bytes reads n bytes. It returns nil if there are fewer.
func (p *part) bytes(n int) []byte {
	if p.of.malformed || n > p.end-p.at {
		p.of.malformed = true
		return nil
	}
	p.at += n
	return p.raw[p.at-n : p.at]
}

// number reads a number of that many bytes.
func (p *part) number(size int) (v int) {
	for _, b := range p.bytes(size) {
		v = v<<8 | int(b)
	}
	return v
}

// more reports whether there is something left to read.
func (p *part) more() bool { return !p.of.malformed && p.at < p.end }

// add adds a field, unless there are too many.
func (p *part) add(f trace.Field) {
	switch {
	case p.of.take():
		p.fields = append(p.fields, f)
	case p.of.left == -1:
		p.fields = append(p.fields, trace.Field{Name: "more", Value: "there are too many fields to show", Offset: f.Offset})
	}
}

// field reads a field of that many bytes.
func (p *part) field(name string, size int, value func([]byte) string) {
	at := p.at
	if b := p.bytes(size); !p.of.malformed {
		p.add(trace.Field{Name: name, Value: value(b), Offset: at, Length: size})
	}
}

// rest reads what is left as one field.
func (p *part) rest(name string) { p.field(name, p.end-p.at, hexOf) }

// vector reads a field that begins with its length, of that many bytes.
func (p *part) vector(name string, size int, value func([]byte) string) {
	at := p.at
	if b := p.bytes(p.number(size)); !p.of.malformed {
		p.add(trace.Field{Name: name, Value: value(b), Offset: at, Length: p.at - at})
	}
}

// group reads a field with parts that begins with its length.
func (p *part) group(name string, size int, inside func(*part)) {
	at := p.at
	n := p.number(size)
	if p.bytes(n); p.of.malformed {
		return
	}
	p.inside(trace.Field{Name: name, Offset: at, Length: p.at - at}, p.at-n, inside)
}

// inside adds a field whose parts begin at from. What they do not use is a fault.
func (p *part) inside(f trace.Field, from int, inside func(*part)) {
	shown := p.of.take()
	sub := &part{raw: p.raw, at: from, end: f.Offset + f.Length, of: p.of}
	inside(sub)
	if sub.at < sub.end {
		p.of.malformed = true
	}
	if f.Fields = sub.fields; shown {
		p.fields = append(p.fields, f)
	}
}

// list reads a vector of elements.
func (p *part) list(name string, size int, element func(*part)) {
	p.group(name, size, func(p *part) {
		for p.more() {
			element(p)
		}
	})
}

// numbers reads a vector of numbers.
func (p *part) numbers(name string, size int, one string, width int, value func([]byte) string) {
	p.list(name, size, func(p *part) { p.field(one, width, value) })
}

// dissect fills in the fields of a message, and hides what must not be seen.
func (t *Tracer) dissect(m *trace.Message) {
	of := &budget{left: maxFields}
	p := &part{raw: m.Raw, at: 4, end: len(m.Raw), of: of}
	typ := wire.Type(m.Raw[0])
	if len(m.Raw) < m.Length {
		p.rest("body") // too long
	} else {
		t.body(p, typ, m)
		if p.at < p.end {
			of.malformed = true
		}
	}
	m.Fields, m.Malformed = p.fields, of.malformed
	if m.Malformed && typ == wire.TypeNewSessionTicket {
		m.Raw, m.Fields = m.Raw[:4], nil // the ticket may be anywhere
	}
}

// body reads the body of a message.
func (t *Tracer) body(p *part, typ wire.Type, m *trace.Message) {
	is13 := t.version != wire.VersionTLS12
	switch typ {
	case wire.TypeClientHello:
		t.clientHello(p)
	case wire.TypeServerHello:
		t.serverHello(p, m)
	case wire.TypeHelloVerifyRequest:
		p.field("server_version", 2, versionName)
		p.vector("cookie", 1, hexOf)
	case wire.TypeEncryptedExtensions:
		p.extensions(typ)
	case wire.TypeCertificate:
		if is13 {
			p.vector("certificate_request_context", 1, hexOf)
		}
		p.list("certificate_list", 3, func(p *part) { p.certificate(is13) })
	case wire.TypeCertificateRequest:
		p.certificateRequest(is13)
	case wire.TypeCertificateVerify:
		p.signature()
	case wire.TypeCertificateStatus:
		p.field("status_type", 1, named(statusTypes))
		p.vector("ocsp_response", 3, hexOf)
	case wire.TypeServerKeyExchange:
		t.serverKeyExchange(p)
	case wire.TypeClientKeyExchange:
		t.clientKeyExchange(p)
	case wire.TypeFinished:
		p.rest("verify_data")
	case wire.TypeServerHelloDone, wire.TypeHelloRequest, wire.TypeEndOfEarlyData:
	default:
		p.afterHandshake(typ, is13)
	}
}

// afterHandshake reads a compressed certificate, and the messages of an established connection.
func (p *part) afterHandshake(typ wire.Type, is13 bool) {
	switch typ {
	case wire.TypeNewSessionTicket:
		p.newSessionTicket(is13)
	case wire.TypeCompressedCertificate:
		p.field("algorithm", 2, named(compressionAlgorithms))
		p.field("uncompressed_length", 3, decimal)
		p.vector("compressed_certificate_message", 3, hexOf)
	case wire.TypeKeyUpdate:
		p.field("request_update", 1, named(updateRequests))
	case wire.TypeRequestConnectionID:
		p.field("num_cids", 1, decimal)
	case wire.TypeNewConnectionID:
		p.list("cids", 2, func(p *part) { p.vector("cid", 1, hexOf) })
		p.field("usage", 1, named(cidUsages))
	default:
		p.rest("body")
	}
}

func (p *part) newSessionTicket(is13 bool) {
	p.field("ticket_lifetime", 4, seconds)
	if is13 {
		p.field("ticket_age_add", 4, hexOf)
		p.vector("ticket_nonce", 1, hexOf)
	}
	p.vector("ticket", 2, hide)
	if is13 {
		p.extensions(wire.TypeNewSessionTicket)
	}
}

// hide overwrites what stands for a session.
func hide(b []byte) string {
	clear(b)
	return fmt.Sprintf("%d bytes, not shown", len(b))
}

func (t *Tracer) clientHello(p *part) {
	p.field("legacy_version", 2, versionName)
	p.field("random", 32, hexOf)
	p.vector("legacy_session_id", 1, hexOf)
	if t.transport == wire.Datagram {
		p.vector("legacy_cookie", 1, hexOf)
	}
	p.numbers("cipher_suites", 2, "cipher_suite", 2, suiteName)
	p.numbers("legacy_compression_methods", 1, "compression_method", 1, named(compressions))
	if p.more() {
		p.extensions(wire.TypeClientHello)
	}
}

func (t *Tracer) serverHello(p *part, m *trace.Message) {
	var s wire.ServerHello
	if s.Parse(m.Raw[4:]) == nil {
		t.version, t.suite = version.TLS12, suite.ByID(s.CipherSuite)
		if s.SupportedVersion != 0 {
			t.version = version.TLS13
		}
	}
	p.field("legacy_version", 2, versionName)
	p.field("random", 32, hexOf)
	p.vector("legacy_session_id_echo", 1, hexOf)
	p.field("cipher_suite", 2, suiteName)
	p.field("legacy_compression_method", 1, named(compressions))
	typ := wire.TypeServerHello
	if s.IsRetry() {
		typ, m.Type = helloRetryRequest, "HelloRetryRequest"
	}
	if p.more() {
		p.extensions(typ)
	}
}

func (p *part) certificateRequest(is13 bool) {
	if is13 {
		p.vector("certificate_request_context", 1, hexOf)
		p.extensions(wire.TypeCertificateRequest)
		return
	}
	p.numbers("certificate_types", 1, "certificate_type", 1, decimal)
	p.numbers("supported_signature_algorithms", 2, "signature_algorithm", 2, schemeName)
	p.list("certificate_authorities", 2, func(p *part) { p.vector("certificate_authority", 2, distinguishedName) })
}

// signature reads a DigitallySigned.
func (p *part) signature() {
	p.field("algorithm", 2, schemeName)
	p.vector("signature", 2, hexOf)
}

// serverKeyExchange: the cipher suite says which parts it has.
func (t *Tracer) serverKeyExchange(p *part) {
	if t.suite == nil {
		p.rest("body")
		return
	}
	if t.suite.KeyExchange.PSK {
		p.vector("psk_identity_hint", 2, quote)
	}
	if t.suite.KeyExchange.ECDHE {
		p.field("curve_type", 1, named(curveTypes))
		p.field("named_curve", 2, groupName)
		p.vector("public", 1, hexOf)
	}
	if t.suite.KeyExchange.Signed {
		p.signature()
	}
}

func (t *Tracer) clientKeyExchange(p *part) {
	if t.suite == nil {
		p.rest("body")
		return
	}
	if t.suite.KeyExchange.PSK {
		p.vector("psk_identity", 2, quote)
	}
	if t.suite.KeyExchange.ECDHE {
		p.vector("ecdh_Yc", 1, hexOf)
	}
}

// hexOf shows bytes, or the start of them.
func hexOf(b []byte) string {
	if len(b) > maxHex {
		return fmt.Sprintf("%s... (%d bytes)", hex.EncodeToString(b[:maxHex]), len(b))
	}
	return hex.EncodeToString(b)
}

// quote shows text of the peer.
func quote(b []byte) string { return alert.Quote(string(b)) }

func value(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func decimal(b []byte) string { return strconv.FormatUint(value(b), 10) }
func seconds(b []byte) string { return decimal(b) + " s" }

// number16 is the text of a number in a registry.
func number16(name string, v uint64) string { return fmt.Sprintf("%s (0x%04x)", name, v) }

// grease reports whether a value is one of RFC 8701.
func grease(v uint64) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// registered shows a number with its name, if it has one.
func registered(v uint64, name string, known bool) string {
	switch {
	case known:
		return number16(name, v)
	case grease(v):
		return number16("GREASE", v)
	}
	return fmt.Sprintf("0x%04x", v)
}

func suiteName(b []byte) string {
	v := value(b)
	if s := suite.ByID(uint16(v)); s != nil {
		return number16(s.Name, v)
	}
	name, ok := otherSuites[v]
	return registered(v, name, ok)
}

func groupName(b []byte) string {
	g := suite.Group(value(b))
	if g.Supported() {
		return number16(g.String(), uint64(g))
	}
	name, ok := otherGroups[uint64(g)]
	return registered(uint64(g), name, ok)
}

func schemeName(b []byte) string {
	s := suite.Scheme(value(b))
	if s.Supported() {
		return number16(s.String(), uint64(s))
	}
	name, ok := otherSchemes[uint64(s)]
	return registered(uint64(s), name, ok)
}

func versionName(b []byte) string {
	name, ok := versions[value(b)]
	return registered(value(b), name, ok)
}

// named shows a small number with its name.
func named(names map[uint64]string) func([]byte) string {
	return func(b []byte) string {
		if name, ok := names[value(b)]; ok {
			return fmt.Sprintf("%s (%d)", name, value(b))
		}
		return decimal(b)
	}
}
