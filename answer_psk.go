package hermetic

import (
	"cmp"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/codec"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// A PSK is an external pre-shared key, which both sides were given beforehand. It must be at least
// 16 bytes from a good source of randomness. A password is not enough: an attacker that talks
// to one side can try passwords offline (RFC 9257).
type PSK struct {
	// Identity names the key: 1 to 32,767 bytes, which are sent unencrypted.
	Identity []byte

	// Key is the secret: 1 to 64 bytes.
	Key []byte

	// Hash is the hash that the key is for in TLS 1.3, and so limits the cipher suites that
	// it can be used with: crypto.SHA256 or crypto.SHA384. Zero means crypto.SHA256.
	Hash crypto.Hash

	// Import derives the keys actually offered from this one (RFC 9258), one per hash and
	// protocol, so that one key serves several protocols safely. Both sides must set it. Such
	// a key is not used in TLS 1.2 and DTLS 1.2.
	Import bool

	// Context is the context of Import (RFC 9258, Section 5.1). Both sides must have the same.
	Context []byte
}

// check reports what is wrong with p.
func (p *PSK) check() error {
	switch {
	case len(p.Identity) == 0 || len(p.Identity) > 1<<15-1:
		return fmt.Errorf("the identity has %d bytes, not 1 to 32767", len(p.Identity))
	case len(p.Key) == 0 || len(p.Key) > 64:
		return fmt.Errorf("the key has %d bytes, not 1 to 64", len(p.Key))
	case p.Hash != 0 && p.Hash != crypto.SHA256 && p.Hash != crypto.SHA384:
		return fmt.Errorf("%v is neither SHA-256 nor SHA-384", p.Hash)
	case !p.Import && p.Context != nil:
		return errors.New("Context is set without Import")
	case len(p.Identity)+len(p.Context)+8 > 1<<16-1: // see imported
		return fmt.Errorf("the identity and the context have %d bytes, more than 65527", len(p.Identity)+len(p.Context))
	}
	return nil
}

func (p *PSK) hash() crypto.Hash { return cmp.Or(p.Hash, crypto.SHA256) }

// targets are the key derivation functions of RFC 9258, Section 10.
var targets = []struct {
	kdf  uint16
	hash crypto.Hash
}{{1, crypto.SHA256}, {2, crypto.SHA384}}

// remembered returns what sessions keep of p.
func (p *PSK) remembered() *session.PSK {
	mac := hmac.New(sha256.New, p.Key)
	mac.Write([]byte("hermetic: the PSK of a session"))
	return &session.PSK{Identity: p.Identity, Digest: [16]byte(mac.Sum(nil))}
}

// forms returns the keys under which handshakes offer or accept p.
func (p *PSK) forms(t wire.Transport) (forms []handshake.PSK) {
	external := p.remembered()
	if !p.Import {
		return []handshake.PSK{{
			Identity: p.Identity, Key: p.Key, Hash: p.hash(), Kind: suite.ExternalBinder, In12: true, External: external,
		}}
	}
	protocol, prefix := wire.VersionTLS13, suite.TLS
	if t == wire.Datagram {
		protocol, prefix = wire.VersionDTLS13, suite.DTLS
	}
	for _, target := range targets {
		identity := p.imported(protocol, target.kdf)
		forms = append(forms, handshake.PSK{
			Identity: identity, Key: suite.ImportPSK(p.hash(), prefix, p.Key, identity, target.hash), Hash: target.hash, Kind: suite.ImportedBinder, External: external,
		})
	}
	return forms
}

// importedIdentity is the ImportedIdentity of RFC 9258, Section 5.1.
type importedIdentity struct {
	external, context []byte
	protocol, kdf     uint16
}

func (i *importedIdentity) fields(c *codec.Coder) {
	c.Filled16(&i.external)
	c.Vec16(&i.context)
	c.Uint16(&i.protocol)
	c.Uint16(&i.kdf)
}

// imported returns the identity under which p is offered for that use.
func (p *PSK) imported(protocol, kdf uint16) []byte {
	i := importedIdentity{p.Identity, p.Context, protocol, kdf}
	return codec.Append(nil, i.fields)
}

// parseImported returns the external identity in an imported one.
func parseImported(identity []byte) (external []byte, ok bool) {
	var i importedIdentity
	ok = codec.Parse(identity, i.fields)
	return i.external, ok
}

// match returns the form of p that identity names, or nil.
func (p *PSK) match(identity []byte, t wire.Transport) *handshake.PSK {
	forms := p.forms(t)
	i := slices.IndexFunc(forms, func(f handshake.PSK) bool { return string(f.Identity) == string(identity) })
	if i < 0 {
		return nil
	}
	return &forms[i]
}

// findPSK answers what an identity is: a ticket is tried first, then an external
// PSK. A ticket of a session that began with a PSK is valid only while that PSK is.
func (e *Engine) findPSK(q *handshake.FindPSK) Pending {
	if q.Tickets && e.params().Tickets > 0 {
		s, asked := e.openTicket(q)
		if asked != nil || q.Err != nil {
			return asked
		}
		if q.PSK = e.resumablePSK(s); q.PSK != nil {
			if began := q.PSK.Session.PSK; began != nil && !e.hasPSK(began) {
				return e.askPSK(q, slices.Clone(began.Identity))
			}
			return nil
		}
	}
	if !q.External {
		return nil
	}
	if q.PSK = e.params().PSK(e.carrier.Transport(), q.Identity); q.PSK != nil {
		return nil
	}
	return e.askPSK(q, nameOf(q.Identity))
}

// askPSK asks the callback or the caller for a PSK that is not in PSKs.
func (e *Engine) askPSK(q *handshake.FindPSK, name []byte) Pending {
	cfg := e.plan.cfg
	switch {
	case q.Own:
		q.PSK = nil
	case cfg.asks(AsyncPSK):
		q.Asked = true
		return &PSKRequest{Identity: name, question: question{e}}
	case cfg.GetPSK != nil:
		q.Asked = true
		p, err := cfg.GetPSK(name)
		e.foundPSK(q, p, err)
	default:
		q.PSK = nil
	}
	return nil
}

// A PSKQuery is what a client knows when it needs an external PSK:
//
//   - before it offers a session that began with a PSK that is not in PSKs: the Identity is that
//     of the session, which is offered only if the answer has that identity and the same key;
//   - before a ClientHello that offers TLS 1.3, where servers give no hint: then Version is
//     tls.VersionTLS13, and without a PSK none is offered;
//   - when a server has chosen TLS 1.2 and a cipher suite with a PSK: then Version is
//     tls.VersionTLS12, and without a PSK the handshake fails.
type PSKQuery struct {
	// ServerName is the name of the server, or "".
	ServerName string

	// Version is the version that the PSK is for: tls.VersionTLS12 or tls.VersionTLS13, which
	// in DTLS mean DTLS 1.2 and DTLS 1.3.
	Version uint16

	// Hint is the psk_identity_hint of a TLS 1.2 server (RFC 4279, Section 5.2), of up to
	// 65,535 arbitrary bytes. It is not authenticated. Nil means that there is none.
	Hint []byte

	// Identity is the identity of the PSK that a session began with. Nil means that the PSK is
	// for a full handshake.
	Identity []byte
}

// clientPSK asks the callback or the caller for a client's PSK.
func (e *Engine) clientPSK(q *handshake.ClientPSK) Pending {
	query := &PSKQuery{ServerName: e.serverName, Version: q.Version, Hint: q.Hint}
	if q.Began != nil {
		query.Identity = slices.Clone(q.Began.Identity)
	}
	if e.plan.cfg.asks(AsyncClientPSK) {
		return &ClientPSKRequest{Query: query, question: question{e}}
	}
	p, err := e.plan.cfg.GetClientPSK(query)
	e.foundClientPSK(q, p, err)
	return nil
}

// foundClientPSK applies the answer of the callback or the caller. Both may reuse the memory of p afterwards.
func (e *Engine) foundClientPSK(q *handshake.ClientPSK, p *PSK, err error) {
	switch {
	case err != nil:
		q.Err = callbackError(alert.InternalError, err)
	case p == nil:
	case p.check() != nil:
		q.Err = alert.Wrap(alert.InternalError, "the PSK cannot be used", p.check())
	default:
		own := &PSK{Identity: slices.Clone(p.Identity), Key: slices.Clone(p.Key), Hash: p.Hash, Import: p.Import, Context: slices.Clone(p.Context)}
		q.PSKs = own.forms(e.carrier.Transport())
	}
}

// mayHavePSK reports whether a client has the PSK that a session began with, or will ask for it.
func (e *Engine) mayHavePSK(began *session.PSK) bool {
	return e.hasPSK(began) || began != nil && e.params().AskPSK
}

// externalPSKs returns the Config's PSKs for the engine's transport.
func (e *Engine) externalPSKs() []handshake.PSK { return e.params().PSKs[e.carrier.Transport()] }

// hasPSK reports whether the Config has the PSK that a session began with.
func (e *Engine) hasPSK(began *session.PSK) bool {
	return began != nil && slices.ContainsFunc(e.externalPSKs(), func(p handshake.PSK) bool { return p.External.Equal(began) })
}

// nameOf returns the identity that the user gave a key: the external identity of an
// imported one.
func nameOf(identity []byte) []byte {
	if external, ok := parseImported(identity); ok {
		return slices.Clone(external)
	}
	return slices.Clone(identity)
}

// foundPSK applies the answer of the callback or the caller. If q has a session, it
// checks that the session's PSK is still known and unchanged.
func (e *Engine) foundPSK(q *handshake.FindPSK, p *PSK, err error) {
	switch {
	case err != nil:
		q.Err = callbackError(alert.InternalError, err)
	case p == nil && q.PSK == nil && q.Last && e.params().OnlyPSK:
		// Does the work for a known identity, so that the time does not reveal which
		// identities are known.
		_, imported := parseImported(q.Identity)
		(&PSK{Identity: nameOf(q.Identity), Key: make([]byte, 32), Import: imported}).match(q.Identity, e.carrier.Transport())
	case p == nil:
		q.PSK = nil
	case p.check() != nil:
		q.Err = alert.Wrap(alert.InternalError, "the PSK cannot be used", p.check())
	case q.PSK == nil:
		q.PSK = p.match(q.Identity, e.carrier.Transport())
	case !q.PSK.Session.PSK.Equal(p.remembered()):
		q.PSK = nil
	}
}

// resumablePSK returns the PSK of a session, if this server still accepts its client.
func (e *Engine) resumablePSK(s *session.Session) *handshake.PSK {
	if s == nil || suite.ByID(s.Suite) == nil || !e.admits(s) {
		return nil
	}
	return handshake.SessionPSK(s)
}
