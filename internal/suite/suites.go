package suite

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	_ "crypto/sha256" // the hashes of the suites
	_ "crypto/sha512"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic/internal/version"
)

// The usage limits of RFC 9846, Section 5.5, and RFC 9147bis, Section 4.5.3.
const (
	gcmSeal       = 1 << 24 // of 2^24.5
	ccmSeal       = 1 << 23
	chachaSeal    = 1 << 48 // no limit: DTLS ends here
	integrity     = 1 << 36
	ccmIntegrity  = 1 << 23 // of 2^23.5
	ccm8Integrity = 1 << 7  // for an advantage below 2^-57
)

var (
	rowAES128GCM  = Cipher{16, 4, 8, 16, newGCM, maskAES, gcmSeal, integrity, false, false}
	rowAES256GCM  = Cipher{32, 4, 8, 16, newGCM, maskAES, gcmSeal, integrity, false, false}
	rowChaCha20   = Cipher{32, 12, 0, 16, newChaCha, maskChaCha, chachaSeal, integrity, false, true}
	rowAES128CCM  = Cipher{16, 4, 8, 16, newCCM, maskAES, ccmSeal, ccmIntegrity, true, false}
	rowAES256CCM  = Cipher{32, 4, 8, 16, newCCM, maskAES, ccmSeal, ccmIntegrity, true, false}
	rowAES128CCM8 = Cipher{16, 4, 8, 8, newCCM8, maskAES, ccmSeal, ccm8Integrity, true, false}
	rowAES256CCM8 = Cipher{32, 4, 8, 8, newCCM8, maskAES, ccmSeal, ccm8Integrity, true, false}
)

func suite13(id uint16, name string, c Cipher, h crypto.Hash) *Suite {
	s := suite12(id, name, KeyExchange{}, AnyAuthentication, c, h)
	s.Version, s.IVLen, s.ExplicitLen = version.TLS13, 12, 0
	return s
}

func suite12(id uint16, name string, kx KeyExchange, auth Authentication, c Cipher, h crypto.Hash) *Suite {
	return &Suite{ID: id, Name: name, Version: version.TLS12, Hash: h, KeyExchange: kx, Auth: auth, Cipher: c}
}

// all is every suite, the preferred first: AES-GCM, which the hardware knows,
// before ChaCha20-Poly1305, forward secrecy before none, CCM last.
var all = []*Suite{
	suite13(0x1301, "TLS_AES_128_GCM_SHA256", rowAES128GCM, crypto.SHA256),
	suite13(0x1302, "TLS_AES_256_GCM_SHA384", rowAES256GCM, crypto.SHA384),
	suite13(0x1303, "TLS_CHACHA20_POLY1305_SHA256", rowChaCha20, crypto.SHA256),
	suite13(0x1304, "TLS_AES_128_CCM_SHA256", rowAES128CCM, crypto.SHA256),
	suite13(0x1305, "TLS_AES_128_CCM_8_SHA256", rowAES128CCM8, crypto.SHA256),

	// RFC 5289, RFC 7905
	suite12(0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ECDHE, ECDSA, rowAES128GCM, crypto.SHA256),
	suite12(0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ECDHE, RSA, rowAES128GCM, crypto.SHA256),
	suite12(0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ECDHE, ECDSA, rowAES256GCM, crypto.SHA384),
	suite12(0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ECDHE, RSA, rowAES256GCM, crypto.SHA384),
	suite12(0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ECDHE, ECDSA, rowChaCha20, crypto.SHA256),
	suite12(0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ECDHE, RSA, rowChaCha20, crypto.SHA256),
	// RFC 7251
	suite12(0xc0ac, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", ECDHE, ECDSA, rowAES128CCM, crypto.SHA256),
	suite12(0xc0ad, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", ECDHE, ECDSA, rowAES256CCM, crypto.SHA256),
	suite12(0xc0ae, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", ECDHE, ECDSA, rowAES128CCM8, crypto.SHA256),
	suite12(0xc0af, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", ECDHE, ECDSA, rowAES256CCM8, crypto.SHA256),
	// RFC 8442, RFC 7905
	suite12(0xd001, "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", ECDHEPSK, NoSignature, rowAES128GCM, crypto.SHA256),
	suite12(0xd002, "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384", ECDHEPSK, NoSignature, rowAES256GCM, crypto.SHA384),
	suite12(0xccac, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", ECDHEPSK, NoSignature, rowChaCha20, crypto.SHA256),
	suite12(0xd005, "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256", ECDHEPSK, NoSignature, rowAES128CCM, crypto.SHA256),
	suite12(0xd003, "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", ECDHEPSK, NoSignature, rowAES128CCM8, crypto.SHA256),
	// RFC 5487, RFC 7905, RFC 6655
	suite12(0x00a8, "TLS_PSK_WITH_AES_128_GCM_SHA256", PSK, NoSignature, rowAES128GCM, crypto.SHA256),
	suite12(0x00a9, "TLS_PSK_WITH_AES_256_GCM_SHA384", PSK, NoSignature, rowAES256GCM, crypto.SHA384),
	suite12(0xccab, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", PSK, NoSignature, rowChaCha20, crypto.SHA256),
	suite12(0xc0a4, "TLS_PSK_WITH_AES_128_CCM", PSK, NoSignature, rowAES128CCM, crypto.SHA256),
	suite12(0xc0a5, "TLS_PSK_WITH_AES_256_CCM", PSK, NoSignature, rowAES256CCM, crypto.SHA256),
	suite12(0xc0a8, "TLS_PSK_WITH_AES_128_CCM_8", PSK, NoSignature, rowAES128CCM8, crypto.SHA256),
	suite12(0xc0a9, "TLS_PSK_WITH_AES_256_CCM_8", PSK, NoSignature, rowAES256CCM8, crypto.SHA256),
}

// All returns every suite, the preferred first. It must not be modified.
func All() []*Suite { return all }

// ByID returns the suite with that number, or nil.
func ByID(id uint16) *Suite {
	for _, s := range all {
		if s.ID == id {
			return s
		}
	}
	return nil
}

func newGCM(key []byte) cipher.AEAD {
	aead, err := cipher.NewGCM(newAES(key))
	if err != nil {
		panic(err) // the block size is AES's
	}
	return aead
}

func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key length is the suite's
	}
	return block
}

func newChaCha(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err) // the key length is the suite's
	}
	return aead
}
