package suite

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Group is a NamedGroup (RFC 9846, Section 4.3.7).
type Group uint16

const (
	P256               Group = 23
	P384               Group = 24
	P521               Group = 25
	X25519             Group = 29
	MLKEM1024          Group = 514
	SecP256r1MLKEM768  Group = 4587
	X25519MLKEM768     Group = 4588
	SecP384r1MLKEM1024 Group = 4589
)

// Groups are those that are used by default, the preferred first, and GroupsOnRequest those
// that a configuration must name: ML-KEM without a curve rests on one young algorithm.
var (
	Groups          = []Group{X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, P256, P384, P521}
	GroupsOnRequest = []Group{MLKEM1024}
)

var errShare = alert.New(alert.IllegalParameter, "the peer's key share is not a valid public key of its group")

// groupRow is what a group consists of: a curve, ML-KEM, or both in the hybrids.
type groupRow struct {
	name     string
	curve    ecdh.Curve // nil: none
	point    int        // size of a public value of curve
	kem      *kem
	kemFirst bool // ML-KEM's part stands before the curve's
}

var groups = map[Group]*groupRow{
	P256:               {name: "P-256", curve: ecdh.P256(), point: 65},
	P384:               {name: "P-384", curve: ecdh.P384(), point: 97},
	P521:               {name: "P-521", curve: ecdh.P521(), point: 133},
	X25519:             {name: "X25519", curve: ecdh.X25519(), point: 32},
	SecP256r1MLKEM768:  {name: "SecP256r1MLKEM768", curve: ecdh.P256(), point: 65, kem: mlkem768},
	X25519MLKEM768:     {name: "X25519MLKEM768", curve: ecdh.X25519(), point: 32, kem: mlkem768, kemFirst: true},
	SecP384r1MLKEM1024: {name: "SecP384r1MLKEM1024", curve: ecdh.P384(), point: 97, kem: mlkem1024},
	MLKEM1024:          {name: "MLKEM1024", kem: mlkem1024},
}

// String returns the group's name.
func (g Group) String() string {
	if r := groups[g]; r != nil {
		return r.name
	}
	return fmt.Sprintf("group %d", uint16(g))
}

// Supported reports whether g is one of Groups or GroupsOnRequest.
func (g Group) Supported() bool { return groups[g] != nil }

// Curve reports whether g is a curve alone, which TLS 1.2 has too.
func (g Group) Curve() bool { return groups[g] != nil && groups[g].kem == nil }

// KeyShareSize is the size of a client's key share.
func (g Group) KeyShareSize() int {
	r := groups[g]
	if r.kem == nil {
		return r.point
	}
	return r.point + r.kem.public
}

// PrivateKey is the half of a key agreement that its initiator keeps.
type PrivateKey interface {
	// Public is the key share to send.
	Public() []byte
	// SharedSecret computes the secret from the other side's key share. An
	// invalid one is an illegal_parameter.
	SharedSecret(peer []byte) ([]byte, error)
}

// noKey is the failure of the random source.
func noKey(err error) error {
	return alert.Wrap(alert.InternalError, "cannot make a key share", err)
}

// GenerateKey makes an initiator's key.
func (g Group) GenerateKey(rand io.Reader) (PrivateKey, error) { return g.GenerateKeyWith(rand, nil) }

// GenerateKeyWith is GenerateKey for another key share of one ClientHello, or of
// the one that follows a HelloRetryRequest: the two may have the same key on a
// curve, which saves making one. The shared secrets differ, and only one of them is
// ever computed.
func (g Group) GenerateKeyWith(rand io.Reader, other PrivateKey) (PrivateKey, error) {
	r := groups[g]
	if r.curve == nil {
		dk, err := r.kem.generate(rand)
		return kemKey{r.kem, dk}, err
	}
	key := keyOn(r.curve, other)
	if key == nil {
		var err error
		if key, err = r.generate(rand); err != nil {
			return nil, err
		}
	}
	if r.kem == nil {
		return curveKey{r, key}, nil
	}
	dk, err := r.kem.generate(rand)
	if err != nil {
		return nil, err
	}
	return &hybridKey{curveKey{r, key}, dk}, nil
}

// keyOn is the key of k if it is on the curve, or nil.
func keyOn(curve ecdh.Curve, k PrivateKey) *ecdh.PrivateKey {
	var key curveKey
	switch k := k.(type) {
	case curveKey:
		key = k
	case *hybridKey:
		key = k.curveKey
	}
	if key.row == nil || key.row.curve != curve {
		return nil
	}
	return key.key
}

// Respond makes the responder's key share and the secret, from the
// initiator's key share.
func (g Group) Respond(rand io.Reader, peer []byte) (public, secret []byte, err error) {
	r := groups[g]
	if len(peer) != g.KeyShareSize() {
		return nil, nil, errShare
	}
	if r.curve == nil {
		if secret, public, err = r.kem.encapsulate(peer); err != nil {
			return nil, nil, errShare
		}
		return public, secret, nil
	}
	key, err := r.generate(rand)
	if err != nil {
		return nil, nil, err
	}
	if r.kem == nil {
		secret, err = curveKey{r, key}.SharedSecret(peer)
		return key.PublicKey().Bytes(), secret, err
	}
	kemPart, point := r.split(peer, r.kem.public)
	shared, err := curveKey{r, key}.SharedSecret(point)
	if err != nil {
		return nil, nil, err
	}
	kemSecret, ciphertext, err := r.kem.encapsulate(kemPart)
	if err != nil {
		return nil, nil, errShare
	}
	return r.join(ciphertext, key.PublicKey().Bytes()), r.join(kemSecret, shared), nil
}

// generate draws a private key of the curve from rand, which ecdh's own
// GenerateKey does not read.
func (r *groupRow) generate(rand io.Reader) (*ecdh.PrivateKey, error) {
	size := r.point
	if r.curve != ecdh.X25519() {
		size /= 2
	}
	b := make([]byte, size)
	for range 128 {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, noKey(err)
		}
		if r.curve == ecdh.P521() {
			b[0] &= 1 // 521 bits
		}
		// Numbers beyond the group's order are drawn again.
		if key, err := r.curve.NewPrivateKey(b); err == nil {
			return key, nil
		}
	}
	return nil, noKey(errors.New("the random source does not give a private key"))
}

// join and split put the parts of a hybrid in order.
func (r *groupRow) join(kem, curve []byte) []byte {
	if r.kemFirst {
		return append(kem, curve...)
	}
	return append(curve, kem...)
}

func (r *groupRow) split(b []byte, kemSize int) (kem, curve []byte) {
	if r.kemFirst {
		return b[:kemSize], b[kemSize:]
	}
	return b[len(b)-kemSize:], b[:len(b)-kemSize]
}

// curveKey is a PrivateKey of (EC)DHE.
type curveKey struct {
	row *groupRow
	key *ecdh.PrivateKey
}

func (k curveKey) Public() []byte { return k.key.PublicKey().Bytes() }

// SharedSecret: crypto/ecdh refuses points that are not on the curve, and the
// all-zero result of X25519 (RFC 9846, Section 7.4.2).
func (k curveKey) SharedSecret(peer []byte) ([]byte, error) {
	public, err := k.row.curve.NewPublicKey(peer)
	if err != nil {
		return nil, errShare
	}
	secret, err := k.key.ECDH(public)
	if err != nil {
		return nil, errShare
	}
	return secret, nil
}

// hybridKey is a PrivateKey of a curve and ML-KEM.
type hybridKey struct {
	curveKey
	dk decapsulator
}

func (k *hybridKey) Public() []byte { return k.row.join(k.dk.public(), k.curveKey.Public()) }

func (k *hybridKey) SharedSecret(peer []byte) ([]byte, error) {
	if len(peer) != k.row.point+k.row.kem.ciphertext {
		return nil, errShare
	}
	ciphertext, point := k.row.split(peer, k.row.kem.ciphertext)
	shared, err := k.curveKey.SharedSecret(point)
	if err != nil {
		return nil, err
	}
	kemSecret, err := k.dk.Decapsulate(ciphertext)
	if err != nil {
		return nil, errShare
	}
	return k.row.join(kemSecret, shared), nil
}

// kemKey is a PrivateKey of ML-KEM alone.
type kemKey struct {
	kem *kem
	dk  decapsulator
}

func (k kemKey) Public() []byte { return k.dk.public() }

func (k kemKey) SharedSecret(peer []byte) ([]byte, error) {
	secret, err := k.dk.Decapsulate(peer) // which checks the size
	if err != nil {
		return nil, errShare
	}
	return secret, nil
}
