package suite

import (
	"crypto"
	"crypto/hmac"
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
type secret13 struct {
	hash crypto.Hash
	x    expander
}

func (s *secret13) init(h crypto.Hash, p Prefix, secret []byte) {
	s.hash, s.x = h, newExpander(h, p, secret)
}

// derive is Derive-Secret with a transcript hash.
func (s *secret13) derive(label string, transcriptHash []byte) []byte {
	return s.x.label(label, transcriptHash, s.hash.Size())
}

// next is the secret below, from the input keying material.
func (s *secret13) next(ikm []byte) []byte {
	if ikm == nil {
		ikm = make([]byte, s.hash.Size())
	}
	return extract(s.hash, ikm, s.derive("derived", sum(s.hash, nil)))
}

// BinderKind is what a PSK is, and so which label its binder key has.
type BinderKind string

const (
	ExternalBinder   BinderKind = "ext binder"
	ResumptionBinder BinderKind = "res binder"
	ImportedBinder   BinderKind = "imp binder" // RFC 9258
)

// NewEarlySecret begins the schedule. A nil psk stands for none.
func NewEarlySecret(h crypto.Hash, p Prefix, psk []byte) *EarlySecret {
	if psk == nil {
		psk = make([]byte, h.Size())
	}
	s := new(EarlySecret)
	s.init(h, p, extract(h, psk, nil))
	return s
}

// BinderKey is the base key of the PSK's binder.
func (s *EarlySecret) BinderKey(kind BinderKind) []byte {
	return s.derive(string(kind), sum(s.hash, nil))
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
	n.init(s.hash, s.x.prefix, s.next(shared))
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
	n.init(s.hash, s.x.prefix, s.next(nil))
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
	return newExpander(h, p, secret).label("traffic upd", nil, h.Size())
}

// FinishedMAC is the verify_data of a Finished, and a PSK binder: RFC 9846,
// Section 4.5.3.
func FinishedMAC(h crypto.Hash, p Prefix, baseKey, transcriptHash []byte) []byte {
	m := hmac.New(h.New, newExpander(h, p, baseKey).label("finished", nil, h.Size()))
	m.Write(transcriptHash)
	return m.Sum(nil)
}

// Export13 is the exporter of RFC 9846, Section 7.5. n is at most 255 hashes.
func Export13(h crypto.Hash, p Prefix, exporterSecret []byte, label string, context []byte, n int) []byte {
	secret := newExpander(h, p, exporterSecret).label(label, sum(h, nil), h.Size())
	return expandLabel(h, p, secret, "exporter", sum(h, context), n)
}

// ResumptionPSK is the PSK of a ticket: RFC 9846, Section 4.7.1.
func ResumptionPSK(h crypto.Hash, p Prefix, resumptionSecret, nonce []byte) []byte {
	return newExpander(h, p, resumptionSecret).label("resumption", nonce, h.Size())
}

// TrafficKeys are the keys of a traffic secret: RFC 9846, Section 7.3, and
// RFC 9147bis, Section 4.2.3, for record numbers.
func (s *Suite) TrafficKeys(p Prefix, secret []byte) Keys {
	x := newExpander(s.Hash, p, secret)
	k := Keys{Suite: s, AEAD: s.AEAD(x.label("key", nil, s.KeyLen))}
	copy(k.IV[:], x.label("iv", nil, len(k.IV)))
	if p == DTLS {
		k.Mask = s.Mask(x.label("sn", nil, s.KeyLen))
	}
	return k
}
