package circlgroups

import (
	"bytes"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// standard is the standard library's implementation of a group.
type standard interface {
	generate(rand io.Reader) (share []byte, agree agreement, err error)
	encapsulate(share []byte) (serverShare, secret []byte, err error)
}

// builtIn is a group that hermetic has.
type builtIn suite.Group

func (b builtIn) generate(rand io.Reader) ([]byte, agreement, error) {
	key, err := suite.Group(b).GenerateKey(rand)
	if err != nil {
		return nil, nil, err
	}
	return key.Public(), key.SharedSecret, nil
}

func (b builtIn) encapsulate(share []byte) ([]byte, []byte, error) {
	return suite.Group(b).Respond(rand.Reader, share)
}

// pure768 and pure1024 are crypto/mlkem.
type (
	pure768  struct{}
	pure1024 struct{}
)

func (pure768) generate(rand io.Reader) ([]byte, agreement, error) {
	seed := make([]byte, mlkem.SeedSize)
	io.ReadFull(rand, seed)
	key, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil {
		return nil, nil, err
	}
	return key.EncapsulationKey().Bytes(), key.Decapsulate, nil
}

func (pure768) encapsulate(share []byte) ([]byte, []byte, error) {
	key, err := mlkem.NewEncapsulationKey768(share)
	if err != nil {
		return nil, nil, err
	}
	secret, ciphertext := key.Encapsulate()
	return ciphertext, secret, nil
}

func (pure1024) generate(rand io.Reader) ([]byte, agreement, error) {
	seed := make([]byte, mlkem.SeedSize)
	io.ReadFull(rand, seed)
	key, err := mlkem.NewDecapsulationKey1024(seed)
	if err != nil {
		return nil, nil, err
	}
	return key.EncapsulationKey().Bytes(), key.Decapsulate, nil
}

func (pure1024) encapsulate(share []byte) ([]byte, []byte, error) {
	key, err := mlkem.NewEncapsulationKey1024(share)
	if err != nil {
		return nil, nil, err
	}
	secret, ciphertext := key.Encapsulate()
	return ciphertext, secret, nil
}

func standardOf(id tls.CurveID) standard {
	switch id {
	case MLKEM768:
		return pure768{}
	case MLKEM1024:
		return pure1024{}
	}
	return builtIn(id)
}

func each(t *testing.T, test func(t *testing.T, ours hermetic.KeyExchange, theirs standard)) {
	for _, k := range All() {
		t.Run(k.Name, func(t *testing.T) { test(t, k, standardOf(k.Group)) })
	}
}

// TestSameKeys: out of the same randomness both implementations make the same key share.
func TestSameKeys(t *testing.T) {
	each(t, func(t *testing.T, ours hermetic.KeyExchange, theirs standard) {
		for i := range 20 {
			seed := make([]byte, 256)
			rand.Read(seed)
			share, _, err := ours.Generate(bytes.NewReader(seed))
			want, _, otherErr := theirs.generate(bytes.NewReader(seed))
			if err != nil || otherErr != nil || !bytes.Equal(share, want) {
				t.Fatalf("try %d: the shares differ: %v, %v", i, err, otherErr)
			}
		}
	})
}

// TestAgree: each implementation agrees with the other one, in both roles.
func TestAgree(t *testing.T) {
	each(t, func(t *testing.T, ours hermetic.KeyExchange, theirs standard) {
		for range 20 {
			share, agree, err := ours.Generate(rand.Reader)
			check(t, err)
			answer, secret, err := theirs.encapsulate(share)
			check(t, err)
			if got, err := agree(answer); err != nil || !bytes.Equal(got, secret) || len(got) != ours.SecretSize {
				t.Fatalf("as a client: %x, %v, want %x", got, err, secret)
			}

			share, agree, err = theirs.generate(rand.Reader)
			check(t, err)
			answer, secret, err = ours.Encapsulate(rand.Reader, share)
			check(t, err)
			if got, err := agree(answer); err != nil || !bytes.Equal(got, secret) {
				t.Fatalf("as a server: %x, %v, want %x", secret, err, got)
			}
		}
	})
}

// TestSizes: those of what is returned, and the built-in group's.
func TestSizes(t *testing.T) {
	each(t, func(t *testing.T, ours hermetic.KeyExchange, _ standard) {
		share, agree, err := ours.Generate(rand.Reader)
		check(t, err)
		answer, secret, err := ours.Encapsulate(rand.Reader, share)
		check(t, err)
		again, err := agree(answer)
		if err != nil || len(share) != ours.ClientShareSize || len(answer) != ours.ServerShareSize || len(secret) != ours.SecretSize || !bytes.Equal(secret, again) {
			t.Errorf("sizes %d, %d, %d: %v", len(share), len(answer), len(secret), err)
		}
		for name, bad := range map[string][]byte{"nil": nil, "short": share[1:], "long": append(slices.Clone(share), 0)} {
			if _, _, err := ours.Encapsulate(rand.Reader, bad); err == nil {
				t.Errorf("a client's share that is %s is accepted", name)
			}
		}
		for name, bad := range map[string][]byte{"nil": nil, "short": answer[1:], "long": append(slices.Clone(answer), 0)} {
			if _, err := agree(bad); err == nil {
				t.Errorf("a server's share that is %s is accepted", name)
			}
		}
		for n := range ours.ClientShareSize / 100 {
			if _, _, err := ours.Generate(bytes.NewReader(make([]byte, n))); err == nil {
				t.Errorf("a key out of %d random bytes", n)
			}
		}
		if _, _, err := ours.Encapsulate(bytes.NewReader(nil), share); err == nil {
			t.Error("encapsulation without randomness")
		}
	})
}

// smallOrder are the points of small order of X25519, in all their encodings of 255 bits: the
// last ones are not reduced.
func smallOrder() (points [][]byte) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	a, _ := new(big.Int).SetString("325606250916557431795983626356110631294008115727848805560023387167927233504", 10)
	b, _ := new(big.Int).SetString("39382357235489614581723060781553021112529911719440698176882885853963445705823", 10)
	for _, x := range []*big.Int{
		big.NewInt(0), big.NewInt(1), a, b, new(big.Int).Sub(p, big.NewInt(1)), p, new(big.Int).Add(p, big.NewInt(1)),
	} {
		point := x.FillBytes(make([]byte, 32))
		slices.Reverse(point)
		high := slices.Clone(point)
		high[31] |= 0x80
		points = append(points, point, high)
	}
	return points
}

// TestSmallOrder: points of small order are refused in both roles, alone and in the hybrid, as
// the standard library refuses them.
func TestSmallOrder(t *testing.T) {
	for _, k := range All() {
		if k.Group != tls.X25519 && k.Group != tls.X25519MLKEM768 {
			continue
		}
		share, agree, err := k.Generate(rand.Reader)
		check(t, err)
		answer, _, err := k.Encapsulate(rand.Reader, share)
		check(t, err)
		_, theirAgree, err := standardOf(k.Group).generate(rand.Reader)
		check(t, err)
		for _, point := range smallOrder() {
			bad := append(slices.Clone(share[:len(share)-32]), point...)
			_, _, err := k.Encapsulate(rand.Reader, bad)
			if _, _, theirs := standardOf(k.Group).encapsulate(bad); err == nil || theirs == nil {
				t.Errorf("%s, as a client's share: %x: %v, the standard library: %v", k.Name, point, err, theirs)
			}
			bad = append(slices.Clone(answer[:len(answer)-32]), point...)
			_, err = agree(bad)
			if _, theirs := theirAgree(bad); err == nil || theirs == nil {
				t.Errorf("%s, as a server's share: %x: %v, the standard library: %v", k.Name, point, err, theirs)
			}
		}
	}
}

// TestUnreducedPoints: numbers beyond the field, and the unused bit, mean the same point in
// both implementations.
func TestUnreducedPoints(t *testing.T) {
	for i := range 17 {
		seed := bytes.Repeat([]byte{byte(i), 3}, 16)
		_, agree, err := x25519Curve.generate(bytes.NewReader(seed))
		check(t, err)
		_, theirs, err := builtIn(suite.X25519).generate(bytes.NewReader(seed))
		check(t, err)
		point := append([]byte{0xed + 2 + byte(i)}, bytes.Repeat([]byte{0xff}, 31)...) // 2^255-19+2+i
		for _, last := range []byte{0x7f, 0xff} {
			point[31] = last
			got, err := agree(point)
			want, otherErr := theirs(point)
			if err != nil || otherErr != nil || !bytes.Equal(got, want) {
				t.Errorf("%x: %x, %v, want %x, %v", point, got, err, want, otherErr)
			}
		}
	}
}

// TestUnreducedKeys: an ML-KEM key with a coefficient of 3329 or more is refused (FIPS 203,
// Section 7.2), wherever it is.
func TestUnreducedKeys(t *testing.T) {
	for _, c := range []struct {
		k      kem
		theirs standard
	}{{mlkem768KEM, pure768{}}, {mlkem1024KEM, pure1024{}}} {
		public, _, err := c.k.generate(rand.Reader)
		check(t, err)
		coefficients := (len(public) - 32) * 8 / 12
		for _, at := range []int{0, 1, 2, 255, 256, coefficients / 2, coefficients - 2, coefficients - 1} {
			for _, value := range []int{3328, 3329, 3330, 4095} {
				bad := setCoefficient(slices.Clone(public), at, value)
				_, _, err := c.k.encapsulate(rand.Reader, bad)
				_, _, theirs := c.theirs.encapsulate(bad)
				if wrong := value >= 3329; (err != nil) != wrong || (theirs != nil) != wrong {
					t.Errorf("%d bytes, coefficient %d is %d: %v, the standard library: %v", len(public), at, value, err, theirs)
				}
			}
		}
	}
}

// setCoefficient changes a coefficient of 12 bits.
func setCoefficient(public []byte, at, value int) []byte {
	b := public[at/2*3:]
	if at%2 == 0 {
		b[0], b[1] = byte(value), b[1]&0xf0|byte(value>>8)
	} else {
		b[1], b[2] = b[1]&0x0f|byte(value<<4), byte(value>>4)
	}
	return public
}

// TestForgedCiphertexts: both implementations reject implicitly, with the same secret.
func TestForgedCiphertexts(t *testing.T) {
	for _, c := range []struct {
		k      kem
		theirs standard
	}{{mlkem768KEM, pure768{}}, {mlkem1024KEM, pure1024{}}} {
		seed := make([]byte, mlkem.SeedSize)
		rand.Read(seed)
		public, ours, err := c.k.generate(bytes.NewReader(seed))
		check(t, err)
		_, theirs, err := c.theirs.generate(bytes.NewReader(seed))
		check(t, err)
		good, _, err := c.k.encapsulate(rand.Reader, public)
		check(t, err)
		random := make([]byte, len(good))
		rand.Read(random)
		flipped := slices.Clone(good)
		flipped[len(flipped)-1] ^= 1
		for name, ciphertext := range map[string][]byte{
			"good": good, "flipped": flipped, "random": random, "zeros": make([]byte, len(good)), "ones": bytes.Repeat([]byte{0xff}, len(good)),
		} {
			got, err := ours(ciphertext)
			want, otherErr := theirs(ciphertext)
			if err != nil || otherErr != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %x, %v, want %x, %v", name, got, err, want, otherErr)
			}
		}
	}
}

// TestConnections: a client with circl and a server without it, and the other way round, in
// TLS and DTLS.
func TestConnections(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	for _, k := range All() {
		for _, modes := range [][2]hermetic.Mode{{hermetic.TLSClient, hermetic.TLSServer}, {hermetic.DTLSClient, hermetic.DTLSServer}} {
			for _, side := range []string{"client", "server", "both"} {
				_, _, secret := 0, 0, k.SecretSize
				if secret == kemSecret && k.Group != tls.X25519 && side != "both" {
					continue // the core may not have the group
				}
				t.Run(fmt.Sprintf("%s, %v, %s", k.Name, modes[0], side), func(t *testing.T) {
					client, server := configs(ca, leaf, k.Group)
					if side != "server" {
						client.KeyExchanges = All()
					}
					if side != "client" {
						server.KeyExchanges = All()
					}
					if got := connect(t, modes, client, server).State().CurveID; got != k.Group {
						t.Errorf("group %v", got)
					}
				})
			}
		}
	}
}

// TestAlerts: what a peer may do wrong ends the handshake with illegal_parameter.
func TestAlerts(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	for _, c := range []struct {
		name  string
		group tls.CurveID
		edit  func(share []byte) []byte
	}{
		{"a point of small order", tls.X25519, func(b []byte) []byte { return make([]byte, len(b)) }},
		{"a point of small order in a hybrid", tls.X25519MLKEM768, func(b []byte) []byte { clear(b[len(b)-32:]); return b }},
		{"a key that is not reduced", tls.X25519MLKEM768, func(b []byte) []byte { return setCoefficient(b, 7, 3329) }},
		{"a key that is not reduced, after P-256", tls.SecP256r1MLKEM768, func(b []byte) []byte { setCoefficient(b[65:], 7, 4095); return b }},
		{"a point that is not on P-384", tls.SecP384r1MLKEM1024, func(b []byte) []byte { b[96] ^= 1; return b }},
		{"ML-KEM alone that is not reduced", MLKEM1024, func(b []byte) []byte { return setCoefficient(b, 1000, 3329) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := configs(ca, leaf, c.group)
			client.KeyExchanges, server.KeyExchanges = All(), All()
			i := slices.IndexFunc(client.KeyExchanges, func(k hermetic.KeyExchange) bool { return k.Group == c.group })
			k := &client.KeyExchanges[i]
			generate := k.Generate
			k.Generate = func(rand io.Reader) ([]byte, agreement, error) {
				share, agree, err := generate(rand)
				return c.edit(share), agree, err
			}
			cl, err := hermetic.NewEngine(hermetic.TLSClient, client)
			check(t, err)
			sv, err := hermetic.NewEngine(hermetic.TLSServer, server)
			check(t, err)
			hello := cl.Output(nil)
			for len(hello) > 0 && err == nil {
				var o hermetic.Opened
				o, err = sv.Open(hello)
				hello = hello[o.N:]
			}
			var refused *hermetic.AlertError
			if !errors.As(err, &refused) || refused.Received || refused.Alert != hermetic.AlertIllegalParameter {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzAgainstStandard: whatever a peer sends, both implementations agree on whether it is a key
// share, and on what a server's share gives.
func FuzzAgainstStandard(f *testing.F) {
	for i, k := range All() {
		share, _, err := k.Generate(rand.Reader)
		check(f, err)
		answer, _, err := k.Encapsulate(rand.Reader, share)
		check(f, err)
		f.Add(i, share, []byte("seed"))
		f.Add(i, answer, []byte("seed"))
	}
	f.Fuzz(func(t *testing.T, group int, share, seed []byte) {
		all := All()
		k := all[uint(group)%uint(len(all))]
		theirs := standardOf(k.Group)
		_, _, err := k.Encapsulate(rand.Reader, share)
		if _, _, otherErr := theirs.encapsulate(share); (err == nil) != (otherErr == nil) {
			t.Fatalf("%s: %v, the standard library: %v", k.Name, err, otherErr)
		}
		random := bytes.Repeat(append(seed, 1), 300)
		_, agree, err := k.Generate(bytes.NewReader(random))
		_, theirAgree, otherErr := theirs.generate(bytes.NewReader(random))
		if err != nil || otherErr != nil {
			return
		}
		got, err := agree(share)
		want, otherErr := theirAgree(share)
		if (err == nil) != (otherErr == nil) || !bytes.Equal(got, want) {
			t.Fatalf("%s: %x, %v, the standard library: %x, %v", k.Name, got, err, want, otherErr)
		}
	})
}

// BenchmarkHandshake is both sides of a handshake in TLS 1.3, with each implementation.
func BenchmarkHandshake(b *testing.B) {
	ca := pkitest.CA(b)
	leaf := ca.Leaf(b, pkitest.Options{})
	for _, group := range []tls.CurveID{tls.X25519, tls.X25519MLKEM768} {
		for name, k := range map[string][]hermetic.KeyExchange{"built-in": nil, "circl": All()} {
			b.Run(fmt.Sprintf("%v/%s", group, name), func(b *testing.B) {
				client, server := configs(ca, leaf, group)
				client.KeyExchanges, server.KeyExchanges = k, k
				b.ReportAllocs()
				for b.Loop() {
					connect(b, [2]hermetic.Mode{hermetic.TLSClient, hermetic.TLSServer}, client, server)
				}
			})
		}
	}
}

func configs(ca *pkitest.Authority, leaf tls.Certificate, group tls.CurveID) (client, server *hermetic.Config) {
	groups := []tls.CurveID{group}
	client = &hermetic.Config{Time: func() time.Time { return pkitest.Now }, RootCAs: ca.Pool(), ServerName: "localhost", CurvePreferences: groups, MinVersion: tls.VersionTLS13}
	server = &hermetic.Config{Time: func() time.Time { return pkitest.Now }, Certificates: []tls.Certificate{leaf}, CurvePreferences: groups}
	server.DTLS.TrustAddress = true
	return client, server
}

// connect completes a handshake, and returns the client.
func connect(tb testing.TB, modes [2]hermetic.Mode, client, server *hermetic.Config) *hermetic.Engine {
	c, err := hermetic.NewEngine(modes[0], client)
	check(tb, err)
	s, err := hermetic.NewEngine(modes[1], server)
	check(tb, err)
	for range 20 {
		for _, ends := range [2][2]*hermetic.Engine{{c, s}, {s, c}} {
			for out := ends[0].Output(nil); len(out) > 0; out = ends[0].Output(nil) {
				for len(out) > 0 {
					o, err := ends[1].Open(out)
					check(tb, err)
					out = out[o.N:]
				}
			}
		}
		if c.HandshakeComplete() && s.HandshakeComplete() {
			return c
		}
	}
	tb.Fatal("the handshake is not complete")
	return nil
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
