package mbedtls

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"

	//lint:ignore SA1019 old protocols need it, and nothing here does
	"golang.org/x/crypto/md4"
	//lint:ignore SA1019 old protocols need it, and nothing here does
	"golang.org/x/crypto/ripemd160"
)

// digests are the types of mbedtls.md. Some are broken; programs for old
// protocols still need them, and nothing else here uses them.
var digests = map[string]func() hash.Hash{
	"MD4":       md4.New,
	"MD5":       md5.New,
	"SHA":       sha1.New,
	"SHA1":      sha1.New,
	"SHA224":    sha256.New224,
	"SHA256":    sha256.New,
	"SHA384":    sha512.New384,
	"SHA512":    sha512.New,
	"RIPEMD160": ripemd160.New,
}

var errDigest = errors.New(InvalidValue)

// Hash appends the digest of data.
func Hash(dst []byte, kind string, data []byte) ([]byte, error) {
	make := digests[kind]
	if make == nil {
		return nil, errDigest
	}
	h := make()
	h.Write(data)
	return h.Sum(dst), nil
}

// HMAC appends the HMAC of data.
func HMAC(dst []byte, kind string, key, data []byte) ([]byte, error) {
	make := digests[kind]
	if make == nil {
		return nil, errDigest
	}
	h := hmac.New(make, key)
	h.Write(data)
	return h.Sum(dst), nil
}
