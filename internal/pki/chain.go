package pki

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

const (
	// minRSA and maxRSA bound the RSA keys that we verify with, in bits: crypto/rsa
	// refuses smaller ones, and the work grows with the square of it.
	minRSA, maxRSA = 1024, 8192
	// cacheSize bounds the number of chains in a Cache, and cachedBytes the size of
	// each: its sender has not proved anything yet.
	cacheSize   = 256
	cachedBytes = 8 << 10
)

var (
	errRSASize = alert.New(alert.BadCertificate, "an RSA key of the peer or its authorities is larger than 8192 bits")
	errRSAWeak = alert.New(alert.BadCertificate, "the peer's RSA key is smaller than 1024 bits")
	errKeyKind = alert.New(alert.UnsupportedCertificate, "the peer's key is of a kind that TLS has no signatures for")
)

// Chain is the certificates that a peer has shown. It keeps their DER and the
// leaf's key; the rest is parsed on demand. It is safe for concurrent
// use.
type Chain struct {
	der    [][]byte
	public crypto.PublicKey
	limit  int // of what it may cost
	left   int // of it, after parsing

	mu      sync.Mutex
	parsed  []*x509.Certificate
	cached  bool     // many connections share it
	name    string   // the leaf is for it; empty: not known
	verdict *verdict // nil: not known
}

// PublicKey is the leaf's.
func (c *Chain) PublicKey() crypto.PublicKey { return c.public }

// DER is the certificates as they were sent, the leaf first.
func (c *Chain) DER() [][]byte { return c.der }

// Certificates are the certificates parsed, the leaf first. They must not be
// modified.
func (c *Chain) Certificates() []*x509.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil {
		c.parsed, _ = parse(c.der) // has parsed before
	}
	return c.parsed
}

// forget drops the parsed certificates. A connection whose peer has no room in the
// cache keeps only the DER.
func (c *Chain) forget() {
	c.mu.Lock()
	c.parsed, c.cached, c.verdict, c.name = nil, false, nil, ""
	c.mu.Unlock()
}

func newChain(der [][]byte, limit int) (*Chain, error) {
	left := limit - parseCost(der)
	if left < 0 {
		return nil, tooExpensive(limit)
	}
	c := &Chain{der: make([][]byte, len(der)), limit: limit, left: left}
	for i := range der {
		c.der[i] = slices.Clone(der[i])
	}
	var err error
	if c.parsed, err = parse(c.der); err != nil {
		return nil, err
	}
	for _, authority := range c.parsed[1:] {
		if err := checkSize(authority.PublicKey); err != nil {
			return nil, err
		}
	}
	c.public = c.parsed[0].PublicKey
	return c, checkKey(c.public, limit)
}

func parse(ders [][]byte) ([]*x509.Certificate, error) {
	list := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		var err error
		if list[i], err = x509.ParseCertificate(der); err != nil {
			return nil, alert.Wrap(alert.DecodeError, "the peer's certificate does not parse", err)
		}
	}
	return list, nil
}

// checkKey refuses keys that TLS does not use, and keys with which one verification
// costs too much.
func checkKey(public crypto.PublicKey, limit int) error {
	if verifyCost(public) > limit {
		return tooExpensive(limit)
	}
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return errRSAWeak
		}
		return checkSize(public)
	case *ecdsa.PublicKey:
		if CurveOf(public) != 0 {
			return nil
		}
	case ed25519.PublicKey:
		return nil
	}
	if suite.MLDSA(public) != 0 {
		return nil
	}
	return errKeyKind
}

// checkSize refuses RSA keys that cost too much, also those of authorities, which
// anybody can put between a leaf and a root.
func checkSize(public crypto.PublicKey) error {
	if key, ok := public.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
		return errRSASize
	}
	return nil
}

// MarshalRawKey is the inverse of Cache.RawKey.
func MarshalRawKey(key crypto.PublicKey) []byte {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // Cache.RawKey has made the key
	}
	return spki
}

// Cache is the chains of recent peers: many connections with one peer share one
// copy of its chain and parse it once. It is safe for concurrent use.
type Cache struct {
	// MaxCost is the most that a peer's certificates may cost to verify, in the
	// units of DefaultMaxCost, which zero stands for.
	MaxCost int

	mu     sync.Mutex
	chains map[[32]byte]*Chain
	order  [cacheSize][32]byte // the keys, in the order of their arrival
	next   int
}

// Get returns the chain of the given certificates, which are copied.
func (c *Cache) Get(der [][]byte) (*Chain, error) {
	key := fingerprint(der)
	c.mu.Lock()
	chain := c.chains[key]
	c.mu.Unlock()
	if chain != nil {
		return chain, nil
	}
	chain, err := newChain(der, c.limit())
	if err != nil {
		return nil, err
	}
	size := 0
	for _, d := range der {
		size += len(d)
	}
	if size > cachedBytes {
		return chain, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chains == nil {
		c.chains = make(map[[32]byte]*Chain)
	}
	if c.chains[key] == nil {
		if old := c.chains[c.order[c.next]]; old != nil {
			old.forget()
			delete(c.chains, c.order[c.next])
		}
		c.order[c.next] = key
		c.next = (c.next + 1) % cacheSize
		c.chains[key], chain.cached = chain, true
	}
	return chain, nil
}

// RawKey reads a SubjectPublicKeyInfo (RFC 7250). There is nothing to keep.
func (c *Cache) RawKey(spki []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, alert.Wrap(alert.DecodeError, "the peer's raw public key does not parse", err)
	}
	return key, checkKey(key, c.limit())
}

// Affords returns an error if certificates of that many bytes cost too much to parse.
func (c *Cache) Affords(bytes int) error {
	if limit := c.limit(); bytes/costlyBytes > limit {
		return tooExpensive(limit)
	}
	return nil
}

func (c *Cache) limit() int { return cmp.Or(c.MaxCost, DefaultMaxCost) }

// fingerprint is unambiguous, since each certificate contains its length.
func fingerprint(der [][]byte) [32]byte {
	if len(der) == 1 {
		return sha256.Sum256(der[0])
	}
	h := sha256.New()
	for _, d := range der {
		h.Write([]byte{byte(len(d) >> 16), byte(len(d) >> 8), byte(len(d))})
		h.Write(d)
	}
	return [32]byte(h.Sum(nil))
}
