package suite

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/version"
)

// TestSuites: ids and names are unique, and every AEAD has the sizes that its
// row says, opens what it seals, and refuses what was changed.
func TestSuites(t *testing.T) {
	ids, names := map[uint16]bool{}, map[string]bool{}
	for _, s := range All() {
		if ids[s.ID] || names[s.Name] || ByID(s.ID) != s {
			t.Errorf("%s stands in the table twice", s.Name)
		}
		ids[s.ID], names[s.Name] = true, true
		aead := s.AEAD(bytes.Repeat([]byte{1}, s.KeyLen))
		nonce, data, aad := make([]byte, 12), []byte("data"), []byte("aad")
		sealed := aead.Seal(nil, nonce, data, aad)
		if len(sealed) != len(data)+s.TagLen || aead.NonceSize() != 12 {
			t.Errorf("%s: a tag of %d bytes", s.Name, len(sealed)-len(data))
		}
		for i := range sealed {
			forged := bytes.Clone(sealed)
			forged[i] ^= 1
			if _, err := aead.Open(nil, nonce, forged, aad); err == nil {
				t.Errorf("%s: byte %d is not authenticated", s.Name, i)
			}
		}
		if got, err := aead.Open(nil, nonce, sealed, aad); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", s.Name, got, err)
		}
	}
	if ByID(0x002f) != nil {
		t.Error("a suite that was removed is known")
	}
}

// TestGroups: both halves agree, and what is no key share is refused.
func TestGroups(t *testing.T) {
	for _, g := range slices.Concat(Groups, GroupsOnRequest) {
		key, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		share := key.Public()
		if len(share) != g.KeyShareSize() {
			t.Errorf("%v: a share of %d bytes, want %d", g, len(share), g.KeyShareSize())
		}
		public, secret, err := g.Respond(rand.Reader, share)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := key.SharedSecret(public)
		if err != nil || !bytes.Equal(ours, secret) {
			t.Errorf("%v: the two sides disagree: %v", g, err)
		}
		offCurve := bytes.Clone(share)
		if offCurve[10] ^= 1; !slices.Contains([]Group{P256, P384, P521, SecP256r1MLKEM768, SecP384r1MLKEM1024}, g) {
			offCurve = nil // every string is a point of X25519, and ML-KEM has none
		}
		for name, bad := range map[string][]byte{
			"off the curve": offCurve,
			"empty":         nil, "short": share[:len(share)-1], "long": append(bytes.Clone(share), 0), "zeros": make([]byte, len(share)),
			"ones": bytes.Repeat([]byte{0xff}, len(share)),
		} {
			if name == "ones" && g == X25519 || name == "zeros" && g == MLKEM1024 {
				continue // any 32 bytes are a point, but those of small order; any polynomials are a key
			}
			_, _, err := g.Respond(rand.Reader, bad)
			var fault *alert.Error
			if !errors.As(err, &fault) || fault.Description != alert.IllegalParameter {
				t.Errorf("%v, a share that is %s: %v", g, name, err)
			}
		}
		for name, bad := range map[string][]byte{"empty": nil, "short": public[:len(public)-1], "long": append(bytes.Clone(public), 0)} {
			if _, err := key.SharedSecret(bad); err == nil {
				t.Errorf("%v, an answer that is %s, is accepted", g, name)
			}
		}
		if client, server, size := g.ShareSizes(); client != len(share) || server != len(public) || size != len(secret) {
			t.Errorf("%v: ShareSizes are %d, %d and %d", g, client, server, size)
		}
		if _, err := g.GenerateKey(bytes.NewReader(nil)); err == nil {
			t.Errorf("%v: a key without randomness", g)
		}
	}
}

// TestSchemes: which key may sign with what, in which version; and that
// signatures verify, and wrong ones do not.
func TestSchemes(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for _, c := range []struct {
		name         string
		key          crypto.Signer
		tls12, tls13 []Scheme
	}{
		{"P-256", p256, []Scheme{ECDSAP256, ECDSAP384, ECDSAP521}, []Scheme{ECDSAP256}},
		{"P-384", p384, []Scheme{ECDSAP256, ECDSAP384, ECDSAP521}, []Scheme{ECDSAP384}},
		{"RSA", rsaKey, []Scheme{PSSSHA256, PSSSHA384, PSSSHA512, PKCS1SHA256, PKCS1SHA384, PKCS1SHA512}, []Scheme{PSSSHA256, PSSSHA384, PSSSHA512}},
		{"Ed25519", ed, []Scheme{Ed25519}, []Scheme{Ed25519}},
	} {
		for v, want := range map[uint16][]Scheme{version.TLS12: c.tls12, version.TLS13: c.tls13} {
			got := SchemesFor(c.key.Public(), v)
			if len(got) != len(want) {
				t.Errorf("%s in %#x: %v, want %v", c.name, v, got, want)
			}
			for _, s := range want {
				if !s.Usable(c.key.Public(), v) {
					t.Errorf("%s in %#x: %v is not usable", c.name, v, s)
				}
				signature, err := s.Sign(rand.Reader, c.key, []byte("message"))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Verify(c.key.Public(), []byte("message"), signature); err != nil {
					t.Errorf("%s, %v: %v", c.name, s, err)
				}
				for _, wrong := range []error{
					s.Verify(c.key.Public(), []byte("another"), signature),
					s.Verify(c.key.Public(), []byte("message"), append([]byte{1}, signature...)),
					s.Verify(c.key.Public(), []byte("message"), nil),
				} {
					var fault *alert.Error
					if !errors.As(wrong, &fault) || fault.Description != alert.DecryptError {
						t.Errorf("%s, %v: a wrong signature is %v", c.name, s, wrong)
					}
				}
			}
		}
	}
}

// TestSchedule13 compares the chain with HKDF written down from RFC 9846,
// Section 7.1.
func TestSchedule13(t *testing.T) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
		for _, p := range []Prefix{TLS, DTLS} {
			n := h.Size()
			expand := func(secret []byte, label string, context []byte, n int) []byte {
				full := string(p) + label
				info := append([]byte{byte(n >> 8), byte(n), byte(len(full))}, full...)
				info = append(append(info, byte(len(context))), context...)
				out, err := hkdf.Expand(h.New, secret, string(info), n)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			extract := func(salt, ikm []byte) []byte {
				out, err := hkdf.Extract(h.New, ikm, salt)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			zero, empty, th, shared, psk := make([]byte, n), h.New().Sum(nil), bytes.Repeat([]byte{7}, n), []byte("shared"), []byte("psk")
			equal := func(what string, got, want []byte) {
				t.Helper()
				if !bytes.Equal(got, want) {
					t.Errorf("%v %q: %s is %x, want %x", h, p, what, got, want)
				}
			}
			early := extract(zero, zero)
			hs := extract(expand(early, "derived", empty, n), shared)
			main := extract(expand(hs, "derived", empty, n), zero)
			s := NewHandshakeSecret(h, p, shared)
			equal("client handshake", s.ClientTrafficSecret(th), expand(hs, "c hs traffic", th, n))
			equal("server handshake", s.ServerTrafficSecret(th), expand(hs, "s hs traffic", th, n))
			m := s.MainSecret()
			equal("client application", m.ClientTrafficSecret(th), expand(main, "c ap traffic", th, n))
			equal("server application", m.ServerTrafficSecret(th), expand(main, "s ap traffic", th, n))
			equal("exporter", m.ExporterSecret(th), expand(main, "exp master", th, n))
			equal("resumption", m.ResumptionSecret(th), expand(main, "res master", th, n))
			e := NewEarlySecret(h, p, psk)
			withPSK := extract(zero, psk)
			mac := hmac.New(h.New, expand(expand(withPSK, "ext binder", empty, n), "finished", nil, n))
			mac.Write(th)
			equal("binder", e.Binder(nil, ExternalBinder, th), mac.Sum(nil))
			equal("early traffic", e.ClientTrafficSecret(th), expand(withPSK, "c e traffic", th, n))
			equal("after a PSK", e.HandshakeSecret(shared).ClientTrafficSecret(th),
				expand(extract(expand(withPSK, "derived", empty, n), shared), "c hs traffic", th, n))
			next := bytes.Clone(th)
			UpdateTrafficSecret(h, p, next)
			equal("the next", next, expand(th, "traffic upd", nil, n))
			suite := ByID(map[crypto.Hash]uint16{crypto.SHA256: 0x1301, crypto.SHA384: 0x1302}[h])
			k := suite.TrafficKeys(p, th)
			equal("IV", k.IV[:], expand(th, "iv", nil, 12))
			if p == DTLS { // RFC 9147bis, Section 4.2.3
				equal("key", k.of.keys[:suite.KeyLen], expand(th, "key", nil, suite.KeyLen))
				equal("record number key", k.of.keys[suite.KeyLen:2*suite.KeyLen], expand(th, "sn", nil, suite.KeyLen))
			}
			sum := h.New()
			sum.Write([]byte("context"))
			equal("exported", Export13(h, p, th, "label", []byte("context"), 100), expand(expand(th, "label", empty, n), "exporter", sum.Sum(nil), 100))
		}
	}
}

// TestSaltLength: RFC 9846, Section 4.3.3: "The length of the Salt MUST be equal to the
// length of the output of the digest algorithm", in what we sign and in what we accept.
func TestSaltLength(t *testing.T) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	message := []byte("message")
	for s, h := range map[Scheme]crypto.Hash{PSSSHA256: crypto.SHA256, PSSSHA384: crypto.SHA384, PSSSHA512: crypto.SHA512} {
		digest := h.New()
		digest.Write(message)
		sum := digest.Sum(nil)
		for _, n := range []int{0, 20, h.Size() - 1, h.Size(), h.Size() + 1} {
			if n == 0 {
				n = 1 // 0 means as long as possible
			}
			signature, err := rsa.SignPSS(rand.Reader, key, h, sum, &rsa.PSSOptions{SaltLength: n})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(key.Public(), message, signature); (err == nil) != (n == h.Size()) {
				t.Errorf("%v, a salt of %d bytes: %v", s, n, err)
			}
		}
		signature, err := s.Sign(rand.Reader, key, message)
		if err != nil {
			t.Fatal(err)
		}
		if err := rsa.VerifyPSS(&key.PublicKey, h, sum, signature, &rsa.PSSOptions{SaltLength: h.Size()}); err != nil {
			t.Errorf("%v: our salt: %v", s, err)
		}
	}
}

// TestUsageLimits: RFC 9846, Section 5.5, and RFC 9147bis, Section 4.5.3: no limit is above
// the RFC's, and CCM_8, whose forgeries are easy, permits few.
func TestUsageLimits(t *testing.T) {
	for id, want := range map[uint16]struct{ seal, forged float64 }{
		0x1301: {1 << 24 * 1.4143, 1 << 36}, 0x1302: {1 << 24 * 1.4143, 1 << 36}, 0x1303: {1 << 48, 1 << 36},
		0x1304: {1 << 23, 1 << 23 * 1.4143}, 0x1305: {1 << 23, 1 << 7},
	} {
		if s := ByID(id); float64(s.SealLimit) > want.seal || float64(s.IntegrityLimit) > want.forged || s.SealLimit == 0 || s.IntegrityLimit == 0 {
			t.Errorf("%s: %d records, %d forgeries, want at most %v", s.Name, s.SealLimit, s.IntegrityLimit, want)
		}
	}
}

// TestLeadingZeros: RFC 9846, Section 7.4.2: a shared secret has constant length; "leading
// zeros found in this octet string MUST NOT be truncated".
func TestLeadingZeros(t *testing.T) {
	for g, size := range map[Group]int{P256: 32, P384: 48, P521: 66} {
		key, err := g.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for range 10_000 {
			public, secret, err := g.Respond(rand.Reader, key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if len(secret) != size {
				t.Fatalf("%v: a secret of %d bytes, want %d", g, len(secret), size)
			}
			if secret[0] != 0 {
				continue
			}
			if ours, err := key.SharedSecret(public); err != nil || !bytes.Equal(ours, secret) {
				t.Errorf("%v: the two sides disagree about %x: %x, %v", g, secret, ours, err)
			}
			found = true
			break
		}
		if !found {
			t.Errorf("%v: no secret begins with a zero", g)
		}
	}
}
