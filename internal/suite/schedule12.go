package suite

import "crypto"

// prf12 is the PRF of TLS 1.2, P_hash: RFC 5246, Section 5.
func prf12(h crypto.Hash, secret []byte, label string, seed []byte, n int) []byte {
	x := expand(h, "", secret)
	defer x.done()
	out := make([]byte, 0, n+h.Size())
	// A(i), followed by the label and the seed.
	b := append(append(append(x.info[:0], zeros[:h.Size()]...), label...), seed...)
	a := b[h.Size():] // A(0)
	for len(out) < n {
		copy(b, x.sum(a))
		out = append(out, x.sum(b)...)
		a = b[:h.Size()]
	}
	return out[:n:n]
}

// MainSecretLen is the size of a main secret.
const MainSecretLen = 48

// MainSecret12 is the main secret of RFC 5246, Section 8.1.
func MainSecret12(h crypto.Hash, premain, clientRandom, serverRandom []byte) []byte {
	return prf12(h, premain, "master secret", join(clientRandom, serverRandom), MainSecretLen)
}

// ExtendedMainSecret12 is that of RFC 7627, Section 4.
func ExtendedMainSecret12(h crypto.Hash, premain, sessionHash []byte) []byte {
	return prf12(h, premain, "extended master secret", sessionHash, MainSecretLen)
}

// Keys12 are the keys of both directions: RFC 5246, Section 6.3.
func (s *Suite) Keys12(mainSecret, clientRandom, serverRandom []byte) (client, server Keys) {
	block := prf12(s.Hash, mainSecret, "key expansion", join(serverRandom, clientRandom), 2*s.KeyLen+2*s.IVLen)
	take := func(n int) (part []byte) {
		part, block = block[:n], block[n:]
		return part
	}
	client = Keys{Suite: s, AEAD: s.AEAD(take(s.KeyLen))}
	server = Keys{Suite: s, AEAD: s.AEAD(take(s.KeyLen))}
	copy(client.IV[:], take(s.IVLen))
	copy(server.IV[:], take(s.IVLen))
	return client, server
}

// The labels of FinishedMAC12.
const (
	ClientFinished = "client finished"
	ServerFinished = "server finished"
)

// FinishedMAC12 is the verify_data of a Finished: RFC 5246, Section 7.4.9.
func FinishedMAC12(h crypto.Hash, mainSecret []byte, label string, transcriptHash []byte) []byte {
	return prf12(h, mainSecret, label, transcriptHash, 12)
}

// Export12 is the exporter of RFC 5705, Section 4. A nil context is none,
// which differs from an empty one.
func Export12(h crypto.Hash, mainSecret, clientRandom, serverRandom []byte, label string, context []byte, n int) []byte {
	seed := join(clientRandom, serverRandom)
	if context != nil {
		seed = append(seed, byte(len(context)>>8), byte(len(context)))
		seed = append(seed, context...)
	}
	return prf12(h, mainSecret, label, seed, n)
}

func join(a, b []byte) []byte { return append(append(make([]byte, 0, len(a)+len(b)), a...), b...) }
