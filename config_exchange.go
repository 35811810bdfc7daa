package hermetic

import (
	"crypto/fips140"
	"crypto/tls"
	"fmt"
	"io"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// A KeyExchange is an implementation of one key exchange group from outside this module: see
// [Config.KeyExchanges]. Its functions may be called from many goroutines at the same time, and
// must not keep or modify the key share that they get. The caller keeps what they return.
//
// What they return is checked. An error about a key share is the peer's fault, and the alert is
// illegal_parameter; so is a shared secret of zeros (RFC 9846, Section 7.4.2). A result of
// another size is the implementation's fault, and the alert is internal_error.
type KeyExchange struct {
	// Group is the group's number in the registry. One of [Groups] has the built-in group's
	// sizes. Another one is used only in TLS 1.3, and only if CurvePreferences has it.
	Group tls.CurveID

	// Name is the group's name, for error texts.
	Name string

	// ClientShareSize is the size of a client's key share, in bytes.
	ClientShareSize int

	// ServerShareSize is the size of a server's key share, in bytes.
	ServerShareSize int

	// SecretSize is the size of the shared secret, in bytes.
	SecretSize int

	// FIPSApproved says that the implementation is part of a validated module. In FIPS 140-3
	// mode an implementation that is not approved is not used. The built-in implementation of
	// its group takes its place; a group without one is not supported.
	FIPSApproved bool

	// Generate makes a client's key share, out of Config.Rand, and returns with it the
	// function that computes the shared secret from the server's. In TLS 1.2 both sides
	// generate.
	Generate func(rand io.Reader) (share []byte, agree func(serverShare []byte) (secret []byte, err error), err error)

	// Encapsulate makes a server's key share, out of Config.Rand, and the shared secret, from
	// a client's key share. A failure of Config.Rand is not the peer's fault.
	Encapsulate func(rand io.Reader, clientShare []byte) (serverShare, secret []byte, err error)
}

// exchanges sets the implementations that are not built in.
func (c *plan) exchanges(p *handshake.Params) error {
	for i := range c.cfg.KeyExchanges {
		k := &c.cfg.KeyExchanges[i]
		field, group := fmt.Sprintf("KeyExchanges[%d]", i), suite.Group(k.Group)
		if err := k.check(field); err != nil {
			return err
		}
		if p.Exchanges[group] != nil {
			return configError(field, GroupName(k.Group)+" is listed twice")
		}
		if fips140.Enabled() && !k.FIPSApproved {
			continue
		}
		if p.Exchanges == nil {
			p.Exchanges = suite.Exchanges{}
		}
		p.Exchanges[group] = &suite.Exchange{
			Group: group, Name: k.Name, ClientShare: k.ClientShareSize, ServerShare: k.ServerShareSize, Secret: k.SecretSize,
			Generate: k.Generate, Encapsulate: k.Encapsulate,
		}
	}
	return nil
}

// maxShare is the size of the largest key share that an implementation may have: others must
// find room beside it.
const maxShare = 1 << 14

func (k *KeyExchange) check(field string) error {
	for _, f := range []struct {
		name string
		size int
	}{{"ClientShareSize", k.ClientShareSize}, {"ServerShareSize", k.ServerShareSize}, {"SecretSize", k.SecretSize}} {
		if f.size < 1 || f.size > maxShare {
			return configError(field+"."+f.name, fmt.Sprintf("%d is not from 1 to %d", f.size, maxShare))
		}
	}
	switch group := suite.Group(k.Group); {
	case k.Generate == nil:
		return configError(field+".Generate", "it is nil")
	case k.Encapsulate == nil:
		return configError(field+".Encapsulate", "it is nil")
	case k.Name == "":
		return configError(field+".Name", "it is empty")
	case k.Group == 0:
		return configError(field+".Group", "it is 0")
	case group.Supported():
		client, server, secret := group.ShareSizes()
		if client != k.ClientShareSize || server != k.ServerShareSize || secret != k.SecretSize {
			return configError(field, fmt.Sprintf("the sizes of %v are %d, %d and %d", group, client, server, secret))
		}
	}
	return nil
}

// supports reports whether a group may be in CurvePreferences.
func supports(p *handshake.Params) func(suite.Group) bool {
	return func(g suite.Group) bool { return g.Supported() || p.Exchanges[g] != nil }
}
