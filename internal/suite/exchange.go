package suite

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"errors"
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// Exchange is an implementation of one group from outside the module. What it returns is
// checked: a wrong size is its own mistake, an error the peer's.
type Exchange struct {
	Group Group
	Name  string
	// ClientShare, ServerShare and Secret are sizes.
	ClientShare, ServerShare, Secret int
	Generate                         func(rand io.Reader) (share []byte, agree func(serverShare []byte) (secret []byte, err error), err error)
	Encapsulate                      func(rand io.Reader, clientShare []byte) (serverShare, secret []byte, err error)
}

// Exchanges are the groups whose implementation is not the built-in one.
type Exchanges map[Group]*Exchange

var (
	errShareZero = alert.New(alert.IllegalParameter, "the peer's key share gives a shared secret of zeros")
	errNoAgree   = errors.New("it returns no function to agree with")
)

// ShareSizes are those of a client's and a server's key share, and of the secret.
func (g Group) ShareSizes() (client, server, secret int) {
	r := groups[g]
	if secret = r.point; r.curve != ecdh.X25519() {
		secret /= 2 // the x coordinate
	}
	client, server = r.point, r.point
	if r.kem != nil {
		client, server, secret = client+r.kem.public, server+r.kem.ciphertext, secret+mlkem.SharedKeySize
	}
	return client, server, secret
}

// KeyShareSize is the size of a client's key share.
func (e Exchanges) KeyShareSize(g Group) int {
	if x := e[g]; x != nil {
		return x.ClientShare
	}
	return g.KeyShareSize()
}

// Name is the group's name.
func (e Exchanges) Name(g Group) string {
	if x := e[g]; x != nil && !g.Supported() {
		return x.Name
	}
	return g.String()
}

// GenerateKey makes an initiator's key: see [Group.GenerateKeyWith].
func (e Exchanges) GenerateKey(g Group, rand io.Reader, other PrivateKey) (PrivateKey, error) {
	if x := e[g]; x != nil {
		return x.generate(rand)
	}
	return g.GenerateKeyWith(rand, other)
}

// Respond makes the responder's key share and the secret: see [Group.Respond].
func (e Exchanges) Respond(g Group, rand io.Reader, peer []byte) (public, secret []byte, err error) {
	if x := e[g]; x != nil {
		return x.respond(rand, peer)
	}
	return g.Respond(rand, peer)
}

// exchangeKey is an initiator's key of an Exchange.
type exchangeKey struct {
	x      *Exchange
	public []byte
	agree  func(serverShare []byte) (secret []byte, err error)
}

func (x *Exchange) generate(rand io.Reader) (PrivateKey, error) {
	public, agree, err := x.Generate(rand)
	switch {
	case err != nil:
		return nil, noKey(err)
	case agree == nil:
		return nil, x.fault(errNoAgree)
	case len(public) != x.ClientShare:
		return nil, x.wrongSize("client's key share", len(public), x.ClientShare)
	}
	return &exchangeKey{x, public, agree}, nil
}

func (k *exchangeKey) Public() []byte { return k.public }

func (k *exchangeKey) SharedSecret(peer []byte) ([]byte, error) {
	if len(peer) != k.x.ServerShare {
		return nil, errShare
	}
	secret, err := k.agree(peer)
	if err != nil {
		return nil, k.x.refused(err)
	}
	return secret, k.x.check(secret)
}

func (x *Exchange) respond(rand io.Reader, peer []byte) (public, secret []byte, err error) {
	if len(peer) != x.ClientShare {
		return nil, nil, errShare
	}
	source := &source{Reader: rand}
	switch public, secret, err = x.Encapsulate(source, peer); {
	case source.err != nil:
		return nil, nil, noKey(source.err)
	case err != nil:
		return nil, nil, x.refused(err)
	}
	if len(public) != x.ServerShare {
		return nil, nil, x.wrongSize("server's key share", len(public), x.ServerShare)
	}
	return public, secret, x.check(secret)
}

// source remembers the failure of a random source, which is not the peer's.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// check refuses secrets of another size, and those that RFC 9846, Section 7.4.2, forbids:
// "implementations MUST check whether the computed Diffie-Hellman shared secret is the
// all-zero value and abort if so".
func (x *Exchange) check(secret []byte) error {
	if len(secret) != x.Secret {
		return x.wrongSize("shared secret", len(secret), x.Secret)
	}
	var sum byte
	for _, b := range secret {
		sum |= b
	}
	if sum == 0 {
		return errShareZero
	}
	return nil
}

func (x *Exchange) wrongSize(what string, got, want int) error {
	return x.fault(fmt.Errorf("its %s has %d bytes, not %d", what, got, want))
}

// fault is a mistake of the implementation.
func (x *Exchange) fault(err error) error {
	return alert.Wrap(alert.InternalError, "the implementation of "+x.Name+" in KeyExchanges is wrong", err)
}

// refused is the verdict of the implementation on the peer's key share.
func (x *Exchange) refused(err error) error {
	return alert.Wrap(alert.IllegalParameter, "the peer's key share is not a valid public key of "+x.Name, err)
}
