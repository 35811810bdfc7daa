package suite

import (
	"bytes"
	"crypto"
	"sync"
)

// The key schedule of TLS 1.3 is a chain: an EarlySecret gives a
// HandshakeSecret gives a MainSecret, and each has only the derivations that
// exist there. RFC 9846, Section 7.1:
//
//	            0
//	            |
//	            v
//	  PSK ->  HKDF-Extract = Early Secret
//	            |
//	            +-----> Derive-Secret(., "ext binder" | "res binder" | "imp binder", "")
//	            |                     = binder_key
//	            +-----> Derive-Secret(., "c e traffic", ClientHello)
//	            |                     = client_early_traffic_secret
//	            +-----> Derive-Secret(., "e exp master", ClientHello)
//	            |                     = early_exporter_secret
//	            v
//	      Derive-Secret(., "derived", "")
//	            |
//	            v
//	(EC)DHE -> HKDF-Extract = Handshake Secret
//	            |
//	            +-----> Derive-Secret(., "c hs traffic", ClientHello...ServerHello)
//	            |                     = client_handshake_traffic_secret
//	            +-----> Derive-Secret(., "s hs traffic", ClientHello...ServerHello)
//	            |                     = server_handshake_traffic_secret
//	            v
//	      Derive-Secret(., "derived", "")
//	            |
//	            v
//	  0 -> HKDF-Extract = Main Secret
//	            |
//	            +-----> Derive-Secret(., "c ap traffic", ClientHello...server Finished)
//	            |                     = client_application_traffic_secret_0
//	            +-----> Derive-Secret(., "s ap traffic", ClientHello...server Finished)
//	            |                     = server_application_traffic_secret_0
//	            +-----> Derive-Secret(., "exp master", ClientHello...server Finished)
//	            |                     = exporter_secret
//	            +-----> Derive-Secret(., "res master", ClientHello...client Finished)
//	                                  = resumption_secret
//
// The chain is one expander, whose key is the secret that it has come to: what
// follows from a secret uses it up. What is derived from one is valid until the
// next derivation.
type EarlySecret expander

// HandshakeSecret follows from an EarlySecret and the (EC)DHE secret.
type HandshakeSecret expander

// MainSecret follows from a HandshakeSecret.
type MainSecret expander

// BinderKind is what a PSK is, and so which label its binder key has.
type BinderKind string

const (
	ExternalBinder   BinderKind = "ext binder"
	ResumptionBinder BinderKind = "res binder"
	ImportedBinder   BinderKind = "imp binder" // RFC 9258
)

// NewEarlySecret begins the schedule of a handshake with a PSK.
func NewEarlySecret(h crypto.Hash, p Prefix, psk []byte) *EarlySecret {
	x := expand(h, p, zeros[:h.Size()])
	x.extract(psk)
	return (*EarlySecret)(x)
}

// NewHandshakeSecret begins the schedule of a handshake without a PSK: the
// Early Secret is then a constant, and so is what is derived from it.
func NewHandshakeSecret(h crypto.Hash, p Prefix, shared []byte) *HandshakeSecret {
	x := expand(h, p, derivedFromZero(h, p))
	x.extract(shared)
	return (*HandshakeSecret)(x)
}

type hashAndPrefix struct {
	hash   crypto.Hash
	prefix Prefix
}

var zeroDerived sync.Map // of hashAndPrefix: []byte

func derivedFromZero(h crypto.Hash, p Prefix) []byte {
	key := hashAndPrefix{h, p}
	if v, ok := zeroDerived.Load(key); ok {
		return v.([]byte)
	}
	x := (*expander)(NewEarlySecret(h, p, zeros[:h.Size()]))
	defer x.done()
	derived := bytes.Clone(x.secret("derived", emptySum(h)))
	zeroDerived.Store(key, derived)
	return derived
}

// extract derives, from a salt, the secret that input keying material gives
// with it.
func (x *expander) extract(ikm []byte) { x.setKey(x.sum(ikm)) }

// descend derives the secret below.
func (x *expander) descend(ikm []byte) {
	x.setKey(x.secret("derived", emptySum(x.hash)))
	x.extract(ikm)
}

// ImportPSK is ipskx, made of an external PSK for one protocol and hash: RFC
// 9258, Section 5.1. h is the hash that the PSK itself is for.
func ImportPSK(h crypto.Hash, p Prefix, psk, importedIdentity []byte, target crypto.Hash) []byte {
	x := expand(h, p, zeros[:h.Size()])
	defer x.done()
	return expandLabel(h, p, x.sum(psk), "derived psk", sum(h, importedIdentity), target.Size())
}

// Binder appends a PSK's binder for the transcript hash of a ClientHello up to
// its binders: RFC 9846, Section 4.3.11.2.
func (s *EarlySecret) Binder(dst []byte, kind BinderKind, transcriptHash []byte) []byte {
	x := (*expander)(s)
	m := expand(x.hash, x.prefix, x.secret(string(kind), emptySum(x.hash)))
	defer m.done()
	m.setKey(m.secret("finished", nil))
	return append(dst, m.sum(transcriptHash)...)
}

// ClientTrafficSecret is client_early_traffic_secret.
func (s *EarlySecret) ClientTrafficSecret(transcriptHash []byte) []byte {
	return (*expander)(s).secret("c e traffic", transcriptHash)
}

// HandshakeSecret continues with the (EC)DHE secret.
func (s *EarlySecret) HandshakeSecret(shared []byte) *HandshakeSecret {
	(*expander)(s).descend(shared)
	return (*HandshakeSecret)(s)
}

// ClientTrafficSecret is client_handshake_traffic_secret.
func (s *HandshakeSecret) ClientTrafficSecret(transcriptHash []byte) []byte {
	return (*expander)(s).secret("c hs traffic", transcriptHash)
}

// ServerTrafficSecret is server_handshake_traffic_secret.
func (s *HandshakeSecret) ServerTrafficSecret(transcriptHash []byte) []byte {
	return (*expander)(s).secret("s hs traffic", transcriptHash)
}

// MainSecret ends the chain.
func (s *HandshakeSecret) MainSecret() *MainSecret {
	x := (*expander)(s)
	x.descend(zeros[:x.hash.Size()])
	return (*MainSecret)(s)
}

// ClientTrafficSecret is client_application_traffic_secret_0.
func (s *MainSecret) ClientTrafficSecret(transcriptHash []byte) []byte {
	return (*expander)(s).secret("c ap traffic", transcriptHash)
}

// ServerTrafficSecret is server_application_traffic_secret_0.
func (s *MainSecret) ServerTrafficSecret(transcriptHash []byte) []byte {
	return (*expander)(s).secret("s ap traffic", transcriptHash)
}

// ExporterSecret is exporter_secret.
func (s *MainSecret) ExporterSecret(transcriptHash []byte) []byte {
	return (*expander)(s).secret("exp master", transcriptHash)
}

// ResumptionSecret is resumption_secret.
func (s *MainSecret) ResumptionSecret(transcriptHash []byte) []byte {
	return (*expander)(s).secret("res master", transcriptHash)
}

// Done ends the use of s, and lets another handshake begin with less to
// allocate.
func (s *MainSecret) Done() { (*expander)(s).done() }

// UpdateTrafficSecret puts application_traffic_secret_N+1 in the place of
// application_traffic_secret_N, which is gone then: RFC 9846, Section 7.2.
func UpdateTrafficSecret(h crypto.Hash, p Prefix, secret []byte) {
	x := expand(h, p, secret)
	defer x.done()
	copy(secret, x.secret("traffic upd", nil))
}

// Export13 is the exporter of RFC 9846, Section 7.5. n is at most 255 hashes.
func Export13(h crypto.Hash, p Prefix, exporterSecret []byte, label string, context []byte, n int) []byte {
	x := expand(h, p, exporterSecret)
	defer x.done()
	return expandLabel(h, p, x.secret(label, emptySum(h)), "exporter", sum(h, context), n)
}

// ResumptionPSK is the PSK of a ticket: RFC 9846, Section 4.7.1.
func ResumptionPSK(h crypto.Hash, p Prefix, resumptionSecret, nonce []byte) []byte {
	x := expand(h, p, resumptionSecret)
	defer x.done()
	return bytes.Clone(x.secret("resumption", nonce))
}

// TrafficKeys are the keys of a traffic secret: RFC 9846, Section 7.3, and RFC
// 9147bis, Section 4.2.3, for record numbers.
func (s *Suite) TrafficKeys(p Prefix, secret []byte) Keys {
	x := expand(s.Hash, p, secret)
	defer x.done()
	return s.trafficKeys(x)
}

func (s *Suite) trafficKeys(x *expander) Keys {
	k := Keys{Suite: s}
	if x.prefix == DTLS {
		k.of = new(pair)
		copy(k.of.keys[:], x.label("key", nil, s.KeyLen))
		copy(k.of.keys[s.KeyLen:], x.label("sn", nil, s.KeyLen))
		k.of.held = new(ciphers)
		k.Wake()
	} else {
		k.AEAD = s.AEAD(x.label("key", nil, s.KeyLen))
	}
	copy(k.IV[:], x.label("iv", nil, len(k.IV)))
	return k
}

// TrafficSecret is what follows from a handshake traffic secret: the keys of
// its direction, and that of its Finished.
type TrafficSecret struct {
	Keys     Keys
	finished [maxHash]byte
}

// TrafficSecret makes a handshake traffic secret ready.
func (s *Suite) TrafficSecret(p Prefix, secret []byte) (t TrafficSecret) {
	x := expand(s.Hash, p, secret)
	defer x.done()
	t.Keys = s.trafficKeys(x)
	copy(t.finished[:], x.secret("finished", nil))
	return t
}

// FinishedMAC appends the verify_data of the Finished of its direction: RFC
// 9846, Section 4.5.3.
func (t *TrafficSecret) FinishedMAC(dst, transcriptHash []byte) []byte {
	h := t.Keys.Suite.Hash
	x := expand(h, "", t.finished[:h.Size()])
	defer x.done()
	return append(dst, x.sum(transcriptHash)...)
}
