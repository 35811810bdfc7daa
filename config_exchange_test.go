package hermetic

import (
	"bytes"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// ownX25519 is X25519 of crypto/ecdh as an implementation from outside, under any number.
// It counts its uses.
func ownX25519(group tls.CurveID, uses *int) KeyExchange {
	agree := func(key *ecdh.PrivateKey, share []byte) ([]byte, error) {
		*uses++
		public, err := ecdh.X25519().NewPublicKey(share)
		if err != nil {
			return nil, err
		}
		return key.ECDH(public)
	}
	draw := func(rand io.Reader) (*ecdh.PrivateKey, error) {
		b := make([]byte, 32)
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, err
		}
		return ecdh.X25519().NewPrivateKey(b)
	}
	return KeyExchange{
		Group: group, Name: "Own", ClientShareSize: 32, ServerShareSize: 32, SecretSize: 32, FIPSApproved: true,
		Generate: func(rand io.Reader) ([]byte, func([]byte) ([]byte, error), error) {
			key, err := draw(rand)
			if err != nil {
				return nil, nil, err
			}
			return key.PublicKey().Bytes(), func(share []byte) ([]byte, error) { return agree(key, share) }, nil
		},
		Encapsulate: func(rand io.Reader, clientShare []byte) (serverShare, secret []byte, err error) {
			key, err := draw(rand)
			if err != nil {
				return nil, nil, err
			}
			secret, err = agree(key, clientShare)
			return key.PublicKey().Bytes(), secret, err
		},
	}
}

// TestKeyExchanges: implementations on either side and on both, in place of a built-in group
// and beside them, in the first hello and after a HelloRetryRequest.
func TestKeyExchanges(t *testing.T) {
	const private = tls.CurveID(0xfe01)
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, group := range []tls.CurveID{tls.X25519, private} {
			for _, sides := range []string{"client", "server", "both"} {
				for _, retried := range []bool{false, true} {
					if group == private && (sides != "both" || version == tls.VersionTLS12) || retried && version == tls.VersionTLS12 {
						continue
					}
					t.Run(fmt.Sprintf("%v, %s, retried %t", group, sides, retried), func(t *testing.T) {
						uses := 0
						client, server := configs(t)
						client.MaxVersion = version
						client.CurvePreferences, server.CurvePreferences = []tls.CurveID{group, tls.CurveP256}, []tls.CurveID{group}
						client.KeyShares = []tls.CurveID{group}
						if retried {
							client.KeyShares = []tls.CurveID{}
						}
						if sides != "server" {
							client.KeyExchanges = []KeyExchange{ownX25519(group, &uses)}
						}
						if sides != "client" {
							server.KeyExchanges = []KeyExchange{ownX25519(group, &uses)}
						}
						m := newMeeting(t, datagram, client, server)
						m.handshake()
						want := 1
						if sides == "both" {
							want = 2
						}
						if got := m.client.State().CurveID; got != group || uses != want {
							t.Errorf("group %v, %d uses of the implementation, want %v, %d", got, uses, group, want)
						}
						if !datagram {
							m.exchange(100)
						}
					})
				}
			}
		}
	})
}

// TestKeyExchangePreferences: a group without a built-in implementation is used only if
// CurvePreferences has it, and only in TLS 1.3.
func TestKeyExchangePreferences(t *testing.T) {
	const private = tls.CurveID(0xfe01)
	uses := 0
	own := []KeyExchange{ownX25519(private, &uses)}
	t.Run("not preferred", func(t *testing.T) {
		client, server := configs(t)
		client.KeyExchanges, server.KeyExchanges = own, own
		m := newMeeting(t, false, client, server)
		m.handshake()
		if got := m.client.State().CurveID; got != tls.X25519MLKEM768 || uses > 0 {
			t.Errorf("%v", got)
		}
	})
	t.Run("shares", func(t *testing.T) {
		client, server := configs(t)
		client.KeyExchanges, client.CurvePreferences = own, []tls.CurveID{private, tls.X25519}
		server.CurvePreferences = []tls.CurveID{tls.X25519}
		m := newMeeting(t, false, client, server)
		m.handshake()
		if s := m.client.State(); s.HelloRetryRequest || s.CurveID != tls.X25519 {
			t.Errorf("%v, retried %t: the first hello has no share of the other kind", s.CurveID, s.HelloRetryRequest)
		}
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		client, server := configs(t)
		client.MaxVersion = tls.VersionTLS12
		server.KeyExchanges, server.CurvePreferences = own, []tls.CurveID{private, tls.CurveP256}
		m := newMeeting(t, false, client, server)
		m.handshake()
		if got := m.client.State().CurveID; got != tls.CurveP256 {
			t.Errorf("%v", got)
		}
	})
	t.Run("nothing in common", func(t *testing.T) {
		client, server := configs(t)
		client.CurvePreferences = []tls.CurveID{tls.X25519}
		server.KeyExchanges, server.CurvePreferences = own, []tls.CurveID{private}
		m := newMeeting(t, false, client, server)
		if _, err := m.pump(); err == nil || !strings.Contains(err.Error(), "we support Own; the client offers X25519") {
			t.Errorf("%v", err)
		}
	})
}

// TestKeyExchangeFaults: what an implementation gets wrong is an internal_error, what it
// refuses an illegal_parameter, and nothing of it panics.
func TestKeyExchangeFaults(t *testing.T) {
	failed := errors.New("it failed")
	generates := func(share []byte, agree func([]byte) ([]byte, error), err error) func(*KeyExchange) {
		return func(k *KeyExchange) {
			k.Generate = func(io.Reader) ([]byte, func([]byte) ([]byte, error), error) { return share, agree, err }
		}
	}
	agrees := func(secret []byte, err error) func(*KeyExchange) {
		return func(k *KeyExchange) {
			generate := k.Generate
			k.Generate = func(rand io.Reader) ([]byte, func([]byte) ([]byte, error), error) {
				share, _, _ := generate(rand)
				return share, func([]byte) ([]byte, error) { return secret, err }, nil
			}
		}
	}
	encapsulates := func(share, secret []byte, err error) func(*KeyExchange) {
		return func(k *KeyExchange) {
			k.Encapsulate = func(io.Reader, []byte) ([]byte, []byte, error) { return share, secret, err }
		}
	}
	ones := func(n int) []byte { return bytes.Repeat([]byte{1}, n) }
	agree := func([]byte) ([]byte, error) { return ones(32), nil }
	for _, c := range []struct {
		name           string
		client, server func(*KeyExchange)
		want           Alert
		text           string
	}{
		{"the client cannot generate", generates(nil, nil, failed), nil, AlertInternalError, "it failed"},
		{"the client's share is nil", generates(nil, agree, nil), nil, AlertInternalError, "has 0 bytes, not 32"},
		{"the client's share is short", generates(ones(31), agree, nil), nil, AlertInternalError, "has 31 bytes, not 32"},
		{"the client's share is long", generates(ones(33), agree, nil), nil, AlertInternalError, "has 33 bytes, not 32"},
		{"the client cannot agree", generates(ones(32), nil, nil), nil, AlertInternalError, "no function"},
		{"the client refuses", agrees(ones(32), failed), nil, AlertIllegalParameter, "it failed"},
		{"the client's secret is nil", agrees(nil, nil), nil, AlertInternalError, "has 0 bytes"},
		{"the client's secret is short", agrees(ones(31), nil), nil, AlertInternalError, "has 31 bytes"},
		{"the client's secret is long", agrees(ones(64), nil), nil, AlertInternalError, "has 64 bytes"},
		{"the client's secret is zeros", agrees(make([]byte, 32), nil), nil, AlertIllegalParameter, "zeros"},
		{"the server refuses", nil, encapsulates(ones(32), ones(32), failed), AlertIllegalParameter, "it failed"},
		{"the server's share is nil", nil, encapsulates(nil, ones(32), nil), AlertInternalError, "has 0 bytes"},
		{"the server's share is long", nil, encapsulates(ones(70_000), ones(32), nil), AlertInternalError, "has 70000 bytes"},
		{"the server's secret is nil", nil, encapsulates(ones(32), nil, nil), AlertInternalError, "has 0 bytes"},
		{"the server's secret is short", nil, encapsulates(ones(32), ones(31), nil), AlertInternalError, "has 31 bytes"},
		{"the server's secret is zeros", nil, encapsulates(ones(32), make([]byte, 32), nil), AlertIllegalParameter, "zeros"},
		{"the server has no randomness", nil, func(k *KeyExchange) {
			k.Encapsulate = func(rand io.Reader, _ []byte) ([]byte, []byte, error) {
				_, err := rand.Read(make([]byte, 1))
				return nil, nil, err
			}
		}, AlertInternalError, "cannot make a key share"},
		{"the client sends a share of small order", generates(make([]byte, 32), agree, nil), nil, AlertIllegalParameter, "X25519"},
	} {
		t.Run(c.name, func(t *testing.T) {
			uses := 0
			client, server := configs(t)
			client.CurvePreferences = []tls.CurveID{tls.X25519}
			k := []KeyExchange{ownX25519(tls.X25519, &uses), ownX25519(tls.X25519, &uses)}
			k[0].Name, k[1].Name = "X25519", "X25519"
			client.KeyExchanges, server.KeyExchanges = k[:1], k[1:]
			if c.client != nil {
				c.client(&k[0])
			}
			if c.server != nil {
				c.server(&k[1])
			}
			if strings.Contains(c.text, "cannot make") {
				server.Rand = bytes.NewReader(nil)
			}
			m := newMeeting(t, false, client, server)
			err := m.run()
			var refused *AlertError
			if errors.As(err, &refused) && refused.Received {
				_, err = m.client.Open(nil) // it has failed in its first output
			}
			if !errors.As(err, &refused) || refused.Received || refused.Alert != c.want || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

// TestKeyExchangeInFIPSMode: an implementation that is not approved is not used.
func TestKeyExchangeInFIPSMode(t *testing.T) {
	uses := 0
	own := ownX25519(tls.X25519, &uses)
	own.FIPSApproved = false
	client, server := configs(t)
	client.KeyExchanges, client.CurvePreferences = []KeyExchange{own}, []tls.CurveID{tls.X25519}
	newMeeting(t, false, client, server).handshake()
	if want := !fips140.Enabled(); (uses > 0) != want {
		t.Errorf("used: %t, want %t", uses > 0, want)
	}
	own.Group = 0xfe01
	_, err := NewEngine(TLSClient, &Config{InsecureSkipVerify: true, KeyExchanges: []KeyExchange{own}, CurvePreferences: []tls.CurveID{own.Group}})
	if (err != nil) != fips140.Enabled() {
		t.Errorf("a group without a built-in implementation: %v", err)
	}
}

// TestKeyExchangeErrors: what cannot be used says which field is wrong.
func TestKeyExchangeErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*KeyExchange)
		want   string
	}{
		{"no group", func(k *KeyExchange) { k.Group = 0 }, "KeyExchanges[0].Group: it is 0"},
		{"no name", func(k *KeyExchange) { k.Name = "" }, "KeyExchanges[0].Name: it is empty"},
		{"no Generate", func(k *KeyExchange) { k.Generate = nil }, "KeyExchanges[0].Generate: it is nil"},
		{"no Encapsulate", func(k *KeyExchange) { k.Encapsulate = nil }, "KeyExchanges[0].Encapsulate: it is nil"},
		{"no size", func(k *KeyExchange) { k.SecretSize = 0 }, "KeyExchanges[0].SecretSize: 0 is not from 1 to 16384"},
		{"a negative size", func(k *KeyExchange) { k.ClientShareSize = -1 }, "KeyExchanges[0].ClientShareSize: -1 is not"},
		{"a huge share", func(k *KeyExchange) { k.ServerShareSize = 1 << 16 }, "KeyExchanges[0].ServerShareSize: 65536 is not"},
		{"another size than the group's", func(k *KeyExchange) { k.ServerShareSize = 33 }, "KeyExchanges[0]: the sizes of X25519 are 32, 32 and 32"},
	} {
		uses := 0
		k := ownX25519(tls.X25519, &uses)
		c.change(&k)
		_, err := NewEngine(TLSServer, &Config{KeyExchanges: []KeyExchange{k}})
		var wrong *ConfigError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	uses := 0
	k := ownX25519(tls.X25519, &uses)
	if _, err := NewEngine(TLSServer, &Config{KeyExchanges: []KeyExchange{k, k}}); err == nil || !strings.Contains(err.Error(), "KeyExchanges[1]: X25519 is listed twice") {
		t.Errorf("twice: %v", err)
	}
}
