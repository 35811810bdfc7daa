package suite

import "crypto/cipher"

// Keys protect the records of one direction for one epoch.
type Keys struct {
	Suite *Suite
	AEAD  cipher.AEAD
	IV    [12]byte // TLS 1.2 with an explicit nonce: the first 4 bytes
	Mask  Masker   // DTLS 1.3 only, else nil
}
