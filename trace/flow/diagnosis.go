package flow

import (
	"fmt"
	"strings"

	"github.com/hermetic-tls/hermetic/trace"
)

// Diagnosis says why a handshake has not succeeded.
type Diagnosis struct {
	// Cause is what has happened.
	Cause string

	// Evidence is what the trace shows about it; it may be empty.
	Evidence []string

	// Advice is what to do; it may be empty.
	Advice string
}

// largeHello is a ClientHello that does not fit into one TCP segment of 1,460 bytes.
const largeHello = 1400

// Diagnose finds the cause of the failure of a connection, or returns nil if it has not failed.
// Of an Exchange it looks at both sides: the one that sends the alert knows the reason.
func (x *Exchange) Diagnose() *Diagnosis {
	for _, c := range x.Views() {
		if c.Failed != nil && !c.Failed.Received && c.Failed.Alert != "" {
			d := c.Diagnose()
			if len(x.Views()) > 1 {
				d.Cause = fmt.Sprintf("the %s says: %s", c.Side, d.Cause)
			}
			return d
		}
	}
	for _, c := range x.Views() {
		if d := c.Diagnose(); d != nil {
			return d
		}
	}
	return nil
}

// Diagnose is like that of [Exchange], with what one side knows.
func (c *Connection) Diagnose() *Diagnosis {
	if c.Failed == nil && c.Completed != nil {
		return nil
	}
	p := &patient{c: c}
	switch {
	case c.Failed != nil && c.Failed.Alert != "":
		p.alert()
	case c.Ended == "encrypted":
		p.Cause = "the outcome is not known: what follows is encrypted"
		p.Advice = "Give the key log of one of the two sides (--keylog FILE; most programs write it to the file that SSLKEYLOGFILE names)."
	case c.Ended == "foreign":
		p.Cause = "this is not TLS"
		p.Advice = "Check the address and the port. Protocols that begin without TLS, such as SMTP, are not followed."
	default:
		p.silence()
	}
	return &p.Diagnosis
}

// patient is a connection that has failed.
type patient struct {
	Diagnosis
	c *Connection
}

// sender is the side that sent the alert, and receiver the other one.
func (p *patient) sender() trace.Side {
	if p.c.Failed.Received {
		return p.c.peer()
	}
	return p.c.Side
}

func (p *patient) receiver() trace.Side {
	if p.c.Failed.Received {
		return p.c.Side
	}
	return p.c.peer()
}

// message returns the last message of that type, or nil.
func (p *patient) message(typ string) (last *trace.Message) {
	for i := range p.c.Steps {
		if m := p.c.Steps[i].Message; m != nil && m.Type == typ {
			last = m
		}
	}
	return last
}

// show adds evidence.
func (p *patient) show(format string, args ...any) {
	p.Evidence = append(p.Evidence, fmt.Sprintf(format, args...))
}

// alert is a failure that one side has told the other.
func (p *patient) alert() {
	f := p.c.Failed
	p.Cause = f.Cause
	if f.Received {
		p.Cause = fmt.Sprintf("the %s refused with the alert %s", p.sender(), f.Alert)
	}
	if f.Received && f.Alert != "certificate_required" && p.offersPSK() && p.message("ServerHello") == nil {
		p.keysDiffer() // implementations differ in the alert for a binder that does not verify
		return
	}
	switch f.Alert {
	case "unknown_ca", "bad_certificate", "certificate_expired", "certificate_unknown", "certificate_revoked", "unsupported_certificate":
		p.certificate()
	case "handshake_failure", "insufficient_security":
		p.nothingShared()
	case "decrypt_error", "bad_record_mac":
		p.keysDiffer()
	case "unknown_psk_identity":
		p.Advice = "The server does not know the identity of the PSK. Give both sides the same identity (--psk IDENTITY:KEY)."
	case "protocol_version":
		if hello := p.message("ClientHello"); hello != nil {
			p.show("The client offered %s.", list(versions(hello)))
		}
		p.Advice = "Permit a version that both sides support: MinVersion and MaxVersion, or leave out --tls12, --tls13, --dtls12 and --dtls13."
	case "no_application_protocol":
		if hello := p.message("ClientHello"); hello != nil {
			p.show("The client offered the protocols %s.", list(hello.Field("extensions", alpn, "protocol_name_list").Values()))
		}
		p.Advice = "Offer a protocol that the server supports: NextProtos, or --alpn."
	case "unrecognized_name":
		if hello := p.message("ClientHello"); hello != nil {
			p.show("The client asked for %s.", or(value(hello, "extensions", "server_name", "server_name_list", "host_name"), "no name"))
		}
		p.Advice = "The server has no certificate for that name. Set ServerName, or --servername NAME."
	case "certificate_required":
		p.Advice = "The server requires a client certificate: Config.Certificates, or --cert FILE."
	case "missing_extension":
		p.Advice = "A side needs what the other did not send: with a PSK check the identity, or permit certificates (--servername NAME)."
	case "unexpected_message", "illegal_parameter", "decode_error", "unsupported_extension", "record_overflow", "internal_error":
		p.Advice = fmt.Sprintf("This is a fault of one of the two implementations, or something between them has changed the bytes. Look at the last message of the %s.",
			p.receiver())
	}
}

// certificate is the refusal of a certificate.
func (p *patient) certificate() {
	role, roots, flag := p.receiver(), "RootCAs", "--cacert FILE"
	if p.sender() == trace.Server {
		roots = "ClientCAs"
	}
	var leaf *trace.Field
	for i := range p.c.Steps {
		if m := p.c.Steps[i].Message; m != nil && m.Type == "Certificate" && p.c.Steps[i].From == role {
			leaf = m.Field("certificate_list")
		}
	}
	part := func(name string) string {
		if leaf == nil {
			return ""
		}
		if f := leaf.Field("certificate", name); f != nil {
			return f.Value
		}
		return ""
	}
	if leaf != nil {
		p.show("The certificate of the %s is for %s. Its issuer is %s.", role, or(part("subject_alternative_names"), part("subject")), part("issuer"))
		p.show("It is valid from %s until %s. The time of the handshake is %s.", part("not_before"), part("not_after"), p.c.End.UTC().Format("2006-01-02T15:04:05Z"))
	}
	switch a := p.c.Failed.Alert; {
	case a == "unknown_ca":
		p.Advice = fmt.Sprintf("Give the %s the certificate of the issuer (%s, or %s), or check that this is the right peer.", p.sender(), roots, flag)
	case a == "certificate_expired":
		p.Advice = fmt.Sprintf("Renew the certificate of the %s, or set the clock of the %s.", role, p.sender())
	case a == "bad_certificate" && !p.c.Failed.Received && strings.Contains(p.c.Failed.Cause, " is not for "):
		p.Advice = "Connect by a name that the certificate has, set that name (ServerName, or --servername NAME), or get a certificate with the right name."
	default:
		p.Advice = fmt.Sprintf("Look at the certificate of the %s, and at what the %s requires of it.", role, p.sender())
	}
}

const alpn = "application_layer_protocol_negotiation"

// nothingShared is a negotiation without a result.
func (p *patient) nothingShared() {
	hello := p.message("ClientHello")
	if hello == nil {
		return
	}
	for _, o := range []struct {
		what string
		list []string
	}{
		{"versions", versions(hello)},
		{"groups", hello.Field("extensions", "supported_groups", "named_group_list").Values()},
		{"cipher suites", hello.Field("cipher_suites").Values()},
		{"signature schemes", hello.Field("extensions", "signature_algorithms", "supported_signature_algorithms").Values()},
	} {
		if len(o.list) > 0 {
			p.show("The client offered the %s %s.", o.what, list(o.list))
		}
	}
	p.Advice = "The two sides share no group, cipher suite or signature scheme for the server's certificate. Compare the offers with what the server " +
		"permits: CurvePreferences and CipherSuites, or --groups and --ciphers."
}

// offersPSK reports whether the client offers an external PSK or a session.
func (p *patient) offersPSK() bool {
	hello := p.message("ClientHello")
	return hello != nil && hello.Field("extensions", "pre_shared_key") != nil
}

// keysDiffer is a signature, a Finished or a PSK's binder that is wrong.
func (p *patient) keysDiffer() {
	if p.offersPSK() {
		hello := p.message("ClientHello")
		if id := hello.Field("extensions", "pre_shared_key", "identities", "psk_identity"); id != nil {
			p.show("The client offered the PSK %s.", or(value(hello, "extensions", "pre_shared_key", "identities", "psk_identity", "identity"), id.Value))
		}
		p.Advice = "The keys of the two sides differ, or the server does not know this identity. Give both the same key for it (--psk IDENTITY:KEY)."
		return
	}
	p.Advice = "A signature or a Finished message does not verify. The certificate and its key do not belong together, or something between the " +
		"two sides has changed a message."
}

// silence is a handshake that stopped without an alert.
func (p *patient) silence() {
	received := p.c.Received.Records > 0
	p.Cause = "the trace ends before the handshake is complete"
	if p.c.Failed != nil {
		p.Cause = p.c.Failed.Cause
	}
	if n := len(p.c.Steps); n > 0 {
		last := p.c.Steps[n-1]
		p.show("The last step is %s of the %s.", last.Label, last.From)
	}
	hello := p.message("ClientHello")
	switch {
	case p.c.Side == trace.Server && hello == nil:
		p.Advice = "No ClientHello has arrived: the peer does not speak TLS, or it has left."
	case p.c.Side == trace.Client && !received && hello != nil && hello.Length > largeHello && !p.c.Datagrams:
		p.show("The ClientHello has %d bytes, which do not fit into one TCP segment. Nothing came back.", hello.Length)
		p.Advice = "Something between the two sides may not pass large ClientHellos. Try without post-quantum key shares (--groups X25519,P-256): if that " +
			"works, the middlebox or the server must be repaired."
	case p.c.Side == trace.Client && !received:
		p.Advice = "Nothing came back. Check the address and the port, that the server speaks this protocol there, and firewalls."
	default:
		p.Advice = "The other side has stopped answering: look at its log, or trace it too."
	}
}

// versions are the versions that a ClientHello offers.
func versions(hello *trace.Message) []string {
	if list := hello.Field("extensions", "supported_versions", "versions").Values(); len(list) > 0 {
		return list
	}
	return []string{value(hello, "legacy_version")}
}

// list joins values, without their numbers, for a sentence.
func list(values []string) string {
	const most = 12
	values = bare(values)
	if len(values) == 0 {
		return "none"
	}
	if n := len(values) - most; n > 0 {
		values = append(values[:most:most], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(values, ", ")
}

// or is the first of two that is not empty.
func or(a, b string) string {
	if a == "" || a == `""` {
		return b
	}
	return a
}
