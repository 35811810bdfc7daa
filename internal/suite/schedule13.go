package suite

import (
	"crypto"
	"crypto/hmac"
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
type EarlySecret struct{ secret13 }

// HandshakeSecret follows from an EarlySecret and the (EC)DHE secret.
type HandshakeSecret struct{ secret13 }

// MainSecret follows from a HandshakeSecret.
type MainSecret struct{ secret13 }

// secret13 is one secret of the chain.
type secret13 struct{ expander }

// next is the secret below, from the input keying material.
func (s *secret13) next(ikm []byte) []byte {
	if ikm == nil {
		ikm = make([]byte, s.hash.Size())
	}
	return extract(s.hash, ikm, s.label("derived", emptySum(s.hash), s.hash.Size()))
}

// BinderKind is what a PSK is, and so which label its binder key has.
type BinderKind string

const (
	ExternalBinder   BinderKind = "ext binder"
	ResumptionBinder BinderKind = "res binder"
	ImportedBinder   BinderKind = "imp binder" // RFC 9258
)

// NewEarlySecret begins the schedule of a handshake with a PSK.
func NewEarlySecret(h crypto.Hash, p Prefix, psk []byte) *EarlySecret {
	s := new(EarlySecret)
	s.init(h, p, extract(h, psk, nil))
	return s
}

// NewHandshakeSecret begins the schedule of a handshake without a PSK: the
// Early Secret is then a constant, and so is what is derived from it.
func NewHandshakeSecret(h crypto.Hash, p Prefix, shared []byte) *HandshakeSecret {
	n := new(HandshakeSecret)
	n.init(h, p, extract(h, shared, derivedFromZero(h, p)))
	return n
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
	early := NewEarlySecret(h, p, make([]byte, h.Size()))
	derived := early.derive("derived", emptySum(h))
	zeroDerived.Store(key, derived)
	return derived
}

// ImportPSK is ipskx, made of an external PSK for one protocol and hash: RFC
// 9258, Section 4.1. h is the hash that the PSK itself is for.
func ImportPSK(h crypto.Hash, p Prefix, psk, importedIdentity []byte, target crypto.Hash) []byte {
	return expandLabel(h, p, extract(h, psk, nil), "derived psk", sum(h, importedIdentity), target.Size())
}

// BinderKey is the base key of the PSK's binder.
func (s *EarlySecret) BinderKey(kind BinderKind) []byte {
	return s.derive(string(kind), emptySum(s.hash))
}

// ClientTrafficSecret is client_early_traffic_secret.
func (s *EarlySecret) ClientTrafficSecret(transcriptHash []byte) []byte {
	return s.derive("c e traffic", transcriptHash)
}

// ExporterSecret is early_exporter_secret.
func (s *EarlySecret) ExporterSecret(transcriptHash []byte) []byte {
	return s.derive("e exp master", transcriptHash)
}

// HandshakeSecret goes on with the (EC)DHE secret; nil stands for none.
func (s *EarlySecret) HandshakeSecret(shared []byte) *HandshakeSecret {
	n := new(HandshakeSecret)
	n.init(s.hash, s.prefix, s.next(shared))
	return n
}

// ClientTrafficSecret is client_handshake_traffic_secret.
func (s *HandshakeSecret) ClientTrafficSecret(transcriptHash []byte) []byte {
	return s.derive("c hs traffic", transcriptHash)
}

// ServerTrafficSecret is server_handshake_traffic_secret.
func (s *HandshakeSecret) ServerTrafficSecret(transcriptHash []byte) []byte {
	return s.derive("s hs traffic", transcriptHash)
}

// MainSecret ends the chain.
func (s *HandshakeSecret) MainSecret() *MainSecret {
	n := new(MainSecret)
	n.init(s.hash, s.prefix, s.next(nil))
	return n
}

// ClientTrafficSecret is client_application_traffic_secret_0.
func (s *MainSecret) ClientTrafficSecret(transcriptHash []byte) []byte {
	return s.derive("c ap traffic", transcriptHash)
}

// ServerTrafficSecret is server_application_traffic_secret_0.
func (s *MainSecret) ServerTrafficSecret(transcriptHash []byte) []byte {
	return s.derive("s ap traffic", transcriptHash)
}

// ExporterSecret is exporter_secret.
func (s *MainSecret) ExporterSecret(transcriptHash []byte) []byte {
	return s.derive("exp master", transcriptHash)
}

// ResumptionSecret is resumption_secret.
func (s *MainSecret) ResumptionSecret(transcriptHash []byte) []byte {
	return s.derive("res master", transcriptHash)
}

// NextTrafficSecret is application_traffic_secret_N+1: RFC 9846, Section 7.2.
func NextTrafficSecret(h crypto.Hash, p Prefix, secret []byte) []byte {
	return newExpander(h, p, secret).derive("traffic upd", nil)
}

// FinishedMAC is a PSK binder, or the verify_data of a Finished: RFC 9846,
// Section 4.5.3.
func FinishedMAC(h crypto.Hash, p Prefix, baseKey, transcriptHash []byte) []byte {
	return newExpander(h, p, baseKey).finished(transcriptHash)
}

func (x *expander) finished(transcriptHash []byte) []byte {
	m := hmac.New(x.hash.New, x.label("finished", nil, x.hash.Size()))
	m.Write(transcriptHash)
	return m.Sum(nil)
}

// Export13 is the exporter of RFC 9846, Section 7.5. n is at most 255 hashes.
func Export13(h crypto.Hash, p Prefix, exporterSecret []byte, label string, context []byte, n int) []byte {
	secret := newExpander(h, p, exporterSecret).derive(label, emptySum(h))
	return expandLabel(h, p, secret, "exporter", sum(h, context), n)
}

// ResumptionPSK is the PSK of a ticket: RFC 9846, Section 4.7.1.
func ResumptionPSK(h crypto.Hash, p Prefix, resumptionSecret, nonce []byte) []byte {
	return newExpander(h, p, resumptionSecret).derive("resumption", nonce)
}

// TrafficSecret is a handshake traffic secret ready for its two uses.
type TrafficSecret struct {
	suite *Suite
	x     expander
}

// TrafficSecret makes a secret ready.
func (s *Suite) TrafficSecret(p Prefix, secret []byte) *TrafficSecret {
	t := &TrafficSecret{suite: s}
	t.x.init(s.Hash, p, secret)
	return t
}

// FinishedMAC is the verify_data of the Finished of its direction.
func (t *TrafficSecret) FinishedMAC(transcriptHash []byte) []byte {
	return t.x.finished(transcriptHash)
}

// Keys are the keys of the secret: RFC 9846, Section 7.3, and RFC 9147bis,
// Section 4.2.3, for record numbers.
func (t *TrafficSecret) Keys() Keys {
	s := t.suite
	k := Keys{Suite: s}
	if t.x.prefix == DTLS {
		k.material = new([64]byte)
		copy(k.material[:], t.x.label("key", nil, s.KeyLen))
		copy(k.material[s.KeyLen:], t.x.label("sn", nil, s.KeyLen))
		k.Wake()
	} else {
		k.AEAD = s.AEAD(t.x.label("key", nil, s.KeyLen))
	}
	copy(k.IV[:], t.x.label("iv", nil, len(k.IV)))
	return k
}

// TrafficKeys are the keys of a traffic secret.
func (s *Suite) TrafficKeys(p Prefix, secret []byte) Keys { return s.TrafficSecret(p, secret).Keys() }
