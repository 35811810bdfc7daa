package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// conversation is what both sides of a handshake have sent.
type conversation struct {
	t              *testing.T
	name           string
	client, server []wire.Message
}

// converse runs a handshake to its end.
func converse(t *testing.T, name string, client, server *end) conversation {
	c := conversation{t: t, name: name}
	for range 10 {
		for _, d := range []struct {
			from, to *end
			log      *[]wire.Message
		}{{client, server, &c.client}, {server, client, &c.server}} {
			sent := d.from.out.sent
			d.from.out.sent = nil
			for _, msg := range sent {
				*d.log = append(*d.log, wire.Message{Type: wire.Type(msg[0]), Body: bytes.Clone(msg[4:])})
				if err := d.to.take(msg); err != nil {
					t.Fatalf("%s: %v: %v", name, wire.Type(msg[0]), err)
				}
			}
		}
	}
	if !client.machine.Finished() || !server.machine.Finished() {
		t.Fatalf("%s: not complete", name)
	}
	return c
}

// check reports a rule that was broken.
func (c *conversation) check(ok bool, rule string) {
	c.t.Helper()
	if !ok {
		c.t.Errorf("%s: %s", c.name, rule)
	}
}

func flightOf(messages []wire.Message) string {
	var names []string
	for _, m := range messages {
		names = append(names, m.Type.String())
	}
	return strings.Join(names, " ")
}

// stapledIdentity has everything that a Certificate message can carry.
func stapledIdentity(t *testing.T) *pki.Identity {
	leaf := pkitest.CA(t).Leaf(t, pkitest.Options{})
	leaf.OCSPStaple, leaf.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("timestamp")}
	id, err := pki.Prepare(&leaf)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestOurMessages: what RFC 9846 requires of those who send: which messages, in which
// order (Section 4), with which extensions (4.3, 9.2) and which values.
func TestOurMessages(t *testing.T) {
	id := stapledIdentity(t)
	byCertificate := func(s setting, change func(client, server *Params)) (client, server *end) {
		cp, sp := s.params(new(pki.Cache))
		change(&cp, &sp)
		cp.Prepare()
		sp.Prepare()
		return newEnd(t, &cp, id), newEnd(t, &sp, id)
	}
	byPSK := func(known string, change func(client, server *Params)) (client, server *end) {
		return pskEnds(t, change, func(identity string) *PSK {
			switch {
			case identity != known:
				return nil
			case known == "ticket":
				return SessionPSK(testTicket)
			}
			return &testPSK
		})
	}
	asIs := func(_, _ *Params) {}
	for _, test := range []struct {
		name           string
		client, server string // what they send
		ends           func() (client, server *end)
	}{
		{"a server with a certificate", "ClientHello Finished", "ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
			func() (*end, *end) { return byCertificate(hello13, asIs) }},
		{"both with a certificate", "ClientHello Certificate CertificateVerify Finished",
			"ServerHello EncryptedExtensions CertificateRequest Certificate CertificateVerify Finished",
			func() (*end, *end) { return byCertificate(mutual13, asIs) }},
		{"a client without one", "ClientHello Certificate Finished",
			"ServerHello EncryptedExtensions CertificateRequest Certificate CertificateVerify Finished",
			func() (*end, *end) {
				client, server := byCertificate(mutual13, func(_, s *Params) { s.RequireCertificate = false })
				client.id = nil
				return client, server
			}},
		{"a HelloRetryRequest", "ClientHello ClientHello Finished", "ServerHello ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
			func() (*end, *end) { return byCertificate(retry13, asIs) }},
		{"several shares", "ClientHello Finished", "ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
			func() (*end, *end) {
				return byCertificate(hello13, func(c, _ *Params) { c.Groups, c.KeyShares = suite.Groups, suite.Groups })
			}},
		{"only TLS 1.3", "ClientHello Finished", "ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
			func() (*end, *end) {
				return byCertificate(hello13, func(c, _ *Params) { c.MinVersion = wire.VersionTLS13 })
			}},
		{"a ticket and early data", "ClientHello EndOfEarlyData Finished", "ServerHello EncryptedExtensions Finished",
			func() (*end, *end) {
				return byPSK("ticket", func(_, s *Params) { s.MaxEarlyData, s.RequestCertificate = 100, true })
			}},
		{"a ticket, and early data rejected", "ClientHello Finished", "ServerHello EncryptedExtensions Finished",
			func() (*end, *end) { return byPSK("ticket", asIs) }},
		{"an external PSK", "ClientHello Finished", "ServerHello EncryptedExtensions Finished",
			func() (*end, *end) { return byPSK("external", func(_, s *Params) { s.RequestCertificate = true }) }},
		{"a ticket after a HelloRetryRequest", "ClientHello ClientHello Finished", "ServerHello ServerHello EncryptedExtensions Finished",
			func() (*end, *end) {
				return byPSK("ticket", func(c, s *Params) { retried(c, s); s.MaxEarlyData = 100 })
			}},
		{"TLS 1.2", "ClientHello ClientKeyExchange Finished",
			"ServerHello Certificate CertificateStatus ServerKeyExchange ServerHelloDone Finished",
			func() (*end, *end) { return byCertificate(hello12, asIs) }},
	} {
		client, server := test.ends()
		c := converse(t, test.name, client, server)
		if got := flightOf(c.client); got != test.client {
			t.Errorf("%s: the client sends %s, want %s", test.name, got, test.client)
		}
		if got := flightOf(c.server); got != test.server {
			t.Errorf("%s: the server sends %s, want %s", test.name, got, test.server)
		}
		c.judge(client, id)
	}
}

// judge checks each message of a conversation.
func (c *conversation) judge(client *end, id *pki.Identity) {
	var hellos hellos
	for _, m := range slices.Concat(c.client, c.server) {
		hellos.note(wire.AppendMessage(nil, m.Type, m.Body), wire.Stream)
	}
	for i := range hellos.client {
		c.clientHello(&hellos.client[i], i, client.machine.params)
	}
	last := &hellos.client[len(hellos.client)-1]
	for i := range hellos.server {
		c.serverHello(&hellos.server[i], last, hellos.server[len(hellos.server)-1].CipherSuite)
	}
	if hellos.server[0].SupportedVersion != wire.VersionTLS13 {
		return
	}
	requested := c.serverMessages(last, id)
	c.clientMessages(requested, id)
}

// permitted are the extensions of our ClientHellos over streams. Neither a truncated
// HMAC (RFC 9846, Appendix E.5) nor post_handshake_auth is among them.
var permitted = wire.Extensions(wire.ExtServerName, wire.ExtMaxFragmentLength, wire.ExtStatusRequest, wire.ExtSupportedGroups, wire.ExtECPointFormats,
	wire.ExtSignatureAlgorithms, wire.ExtALPN, wire.ExtSCT, wire.ExtExtendedMainSecret, wire.ExtRecordSizeLimit, wire.ExtSessionTicket,
	wire.ExtPreSharedKey, wire.ExtEarlyData, wire.ExtSupportedVersions, wire.ExtPSKKeyExchangeModes, wire.ExtKeyShare, wire.ExtRenegotiationInfo)

func (c *conversation) clientHello(h *wire.ClientHello, i int, p *Params) {
	var versions []uint16
	for v := p.MaxVersion; v >= p.MinVersion; v-- {
		versions = append(versions, v)
	}
	c.check(len(h.CipherSuites) > 0 && unique(h.CipherSuites), "a cipher suite comes twice")
	for s := range h.CipherSuites.All() {
		// No NULL, RC4, 3DES or export suite, and none without a name: RFC 9846, Appendix E.5.
		c.check(suite.ByID(s) != nil && suite.ByID(s).KeyLen >= 16 || s == 0x00ff, fmt.Sprintf("cipher suite %#04x", s))
	}
	c.check(h.Has.Minus(permitted) == 0, fmt.Sprintf("extensions %v", h.Has.Minus(permitted)))
	for s := range h.SignatureSchemes.All() {
		// Of TLS 1.2: SHA-256 to SHA-512, with RSA or ECDSA; after it: PSS, EdDSA and ML-DSA. Neither
		// MD5, SHA-1, SHA-224 nor DSA: Section 4.3.3.
		hash, key := s>>8, s&0xff
		c.check(hash >= 4 && hash <= 6 && (key == 1 || key == 3) || s >= 0x0804 && s <= 0x080b || s >= 0x0904 && s <= 0x0906, fmt.Sprintf("scheme %#04x", s))
	}
	c.check(unique(h.Groups), "a group comes twice")
	for g := range h.Groups.All() {
		// Appendix B.3.1.4: obsolete curves, and those of any prime and polynomial.
		c.check(g >= 0x0017 && g <= 0x0019 || g == 0x001d || g == 0x001e || g >= 0x0100 && g < 0xfe00, fmt.Sprintf("group %#04x", g))
	}
	if p.MaxVersion < wire.VersionTLS13 {
		c.check(!h.Has.Has(wire.ExtSupportedVersions) || !h.SupportedVersions.Contains(wire.VersionTLS13), "TLS 1.3 is offered")
		return
	}
	c.check(slices.Equal(slices.Collect(h.SupportedVersions.All()), versions), fmt.Sprintf("versions %x, want %x", h.SupportedVersions, versions))
	for _, e := range []wire.Extension{wire.ExtSupportedVersions, wire.ExtSignatureAlgorithms, wire.ExtSupportedGroups, wire.ExtKeyShare} {
		c.check(h.Has.Has(e), fmt.Sprintf("no %v", e))
	}
	groups := slices.Collect(h.Groups.All())
	at := -1
	for share := range h.KeyShares.All() {
		next := slices.Index(groups, share.Group)
		c.check(next > at, "the shares are not of the groups, one each, in their order") // Section 4.3.8
		at = next
	}
	c.clientPSKs(h, i)
}

func (c *conversation) clientPSKs(h *wire.ClientHello, i int) {
	c.check(!h.Has.Has(wire.ExtEarlyData) || i == 0, "early data after a HelloRetryRequest")
	if !h.Has.Has(wire.ExtPreSharedKey) {
		c.check(!h.Has.Has(wire.ExtEarlyData), "early data without a PSK")
		return
	}
	c.check(h.Has.Has(wire.ExtPSKKeyExchangeModes) && bytes.Equal(h.PSKModes, []byte{1}), "no psk_key_exchange_modes")
	if h.Has.Has(wire.ExtEarlyData) {
		first, _, _ := h.PSK.At(0)
		c.check(string(first.Identity) == "ticket", "the first PSK is not that of the early data")
	}
}

func (c *conversation) serverHello(h *wire.ServerHello, hello *wire.ClientHello, lastSuite uint16) {
	c.check(h.CipherSuite == lastSuite && hello.CipherSuites.Contains(h.CipherSuite), "the cipher suite changes, or was not offered")
	if h.SupportedVersion != wire.VersionTLS13 {
		c.check(!h.Has.Has(wire.ExtSupportedVersions), "supported_versions in TLS 1.2")
		return
	}
	want := wire.Extensions(wire.ExtSupportedVersions, wire.ExtKeyShare)
	if hello.Has.Has(wire.ExtPreSharedKey) && !h.IsRetry() {
		want.Add(wire.ExtPreSharedKey)
	}
	c.check(h.Has == want && !h.Unknown, fmt.Sprintf("a ServerHello with %v, want %v", h.Has, want))
	_, ok := hello.KeyShares.Find(h.KeyShare.Group)
	c.check(ok && hello.Groups.Contains(h.KeyShare.Group), "a share of a group that was not offered")
}

// serverMessages judges what a server of TLS 1.3 sends after its hello, and returns its
// CertificateRequest.
func (c *conversation) serverMessages(hello *wire.ClientHello, id *pki.Identity) *wire.CertificateRequest13 {
	var request *wire.CertificateRequest13
	for _, m := range c.server {
		switch m.Type {
		case wire.TypeEncryptedExtensions:
			var ee wire.EncryptedExtensions
			must(ee.Parse(m.Body))
			c.check(ee.Has.Minus(hello.Has|wire.Extensions(wire.ExtEarlyData)) == 0 && ee.Has.Minus(wire.InEncryptedExtensions) == 0 && !ee.Unknown,
				fmt.Sprintf("EncryptedExtensions with %v", ee.Has))
		case wire.TypeCertificateRequest:
			request = new(wire.CertificateRequest13)
			must(request.Parse(m.Body))
			c.check(len(request.Context) == 0 && request.Has.Has(wire.ExtSignatureAlgorithms), "a CertificateRequest with a context, or without schemes")
		case wire.TypeCertificate:
			c.certificate(m.Body, id, hello.Has, 1)
		case wire.TypeCertificateVerify:
			c.signature(m.Body, hello.SignatureSchemes)
		}
	}
	return request
}

func (c *conversation) clientMessages(request *wire.CertificateRequest13, id *pki.Identity) {
	for i, m := range c.client {
		switch m.Type {
		case wire.TypeCertificate:
			least := 0
			if c.client[i+1].Type == wire.TypeCertificateVerify {
				least = 1
			}
			c.certificate(m.Body, id, request.Has, least)
		case wire.TypeCertificateVerify:
			c.signature(m.Body, request.SignatureSchemes)
		case wire.TypeEndOfEarlyData:
			c.check(len(m.Body) == 0, "an EndOfEarlyData with content")
		}
	}
}

// certificate judges a Certificate message: the leaf comes first, with what was asked for.
func (c *conversation) certificate(body []byte, id *pki.Identity, asked wire.ExtensionSet, least int) {
	var m wire.Certificate13
	must(m.Parse(body))
	c.check(len(m.Context) == 0, "a Certificate with a context")
	n := 0
	for entries := m.Entries; len(entries) > 0; n++ {
		e, rest, err := wire.NextEntry(entries, asked)
		c.check(err == nil && !e.Unknown, fmt.Sprintf("an entry that was not asked for: %v", err))
		c.check(n > 0 || bytes.Equal(e.Data, id.Certificate.Certificate[0]), "the leaf is not the first")
		entries = rest
	}
	c.check(n >= least && (least > 0 || n == 0), fmt.Sprintf("%d certificates", n))
}

func (c *conversation) signature(body []byte, schemes wire.Uint16s) {
	var m wire.CertificateVerify
	must(m.Parse(body))
	c.check(schemes.Contains(m.Scheme) && m.Scheme>>8 != 2, fmt.Sprintf("a signature with %#04x", m.Scheme)) // 2 is SHA-1
}

func unique(list wire.Uint16s) bool {
	sorted := slices.Sorted(list.All())
	return len(slices.Compact(sorted)) == list.Len()
}

// TestNothingUnasked: RFC 9846, Section 4.3: "Implementations MUST NOT send extension
// responses … if the remote endpoint did not send the corresponding extension requests".
func TestNothingUnasked(t *testing.T) {
	id := stapledIdentity(t)
	needed := wire.Extensions(wire.ExtSupportedVersions, wire.ExtSupportedGroups, wire.ExtSignatureAlgorithms, wire.ExtKeyShare)
	for _, s := range []setting{hello13, retry13, mutual13} {
		client, server := s.ends(t, id, new(pki.Cache))
		bare := inClientHello(func(h *wire.ClientHello) { h.Has &= needed })
		c := conversation{t: t, name: s.name}
		var hello wire.ClientHello
		_, err, serverErr := play(client, server, func(_ int, msg []byte) [][]byte {
			switch wire.Type(msg[0]) {
			case wire.TypeClientHello:
				msg = bare(msg, nil)
				must(hello.Parse(bytes.Clone(msg[4:]), wire.Stream))
			default:
				c.server = append(c.server, wire.Message{Type: wire.Type(msg[0]), Body: bytes.Clone(msg[4:])})
			}
			return [][]byte{msg}
		})
		if err == nil || errors.Is(serverErr, errMisplaced) { // the client has sent another hello
			t.Errorf("%s: client %v, server %v", s.name, err, serverErr)
		}
		if got := flightOf(c.server); !strings.HasSuffix(got, "EncryptedExtensions Certificate CertificateVerify Finished") &&
			!strings.HasSuffix(got, "CertificateRequest Certificate CertificateVerify Finished") {
			t.Errorf("%s: the server sends %s", s.name, got)
		}
		for _, m := range c.server {
			if m.Type == wire.TypeServerHello {
				var h wire.ServerHello
				must(h.Parse(m.Body))
				c.serverHello(&h, &hello, h.CipherSuite)
			}
			if m.Type == wire.TypeEncryptedExtensions {
				c.check(len(m.Body) == 2, fmt.Sprintf("EncryptedExtensions %x", m.Body))
			}
		}
		c.serverMessages(&hello, id)
	}
}

// TestRawKeyCount: RFC 9846, Section 4.5.1: a Certificate message has one raw public key.
func TestRawKeyCount(t *testing.T) {
	id := identity(t)
	client, _ := hello13.ends(t, id, new(pki.Cache))
	client.machine.peerCertType = pki.RawPublicKey
	key := id.Certificate.Leaf.RawSubjectPublicKeyInfo
	for n, want := range []error{nil, nil, errRawKeyCount} {
		if err := client.machine.acceptCertificate(new(Peer), slices.Repeat([][]byte{key}, n)); err != want {
			t.Errorf("%d keys: %v, want %v", n, err, want)
		}
	}
}
