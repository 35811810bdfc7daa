package hermetic

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Room for what a Config puts into a message. All extensions of a message together have
// 2^16-1 bytes. A ClientHello may also have a ticket of 16 KiB and 5 KiB of key shares.
const (
	maxServerName   = 255
	helloRoom       = 40_000
	authoritiesRoom = 1<<16 - 1<<10
	maxHint         = 1 << 14
	// derivedRoom is the room for names that the Config does not ask to send: many
	// peers refuse messages of more than 16 KiB.
	derivedRoom = 1 << 14
)

// fields checks that names and lists fit their fields on the wire: a length that wraps
// would make a different message.
func (c *plan) fields(*handshake.Params) error {
	if err := checkServerName(c.cfg.ServerName); err != nil {
		return configFault("ServerName", err)
	}
	if a := c.cfg.ClientAuth; a < tls.NoClientCert || a > tls.RequireAndVerifyClientCert {
		return configError("ClientAuth", fmt.Sprintf("%d is none of the constants of crypto/tls", int(a)))
	}
	if a := c.cfg.Async; a >= 1<<len(asyncNames) {
		return configError("Async", a.String()+" has a bit that asks nothing")
	}
	switch o := c.cfg.OCSPCheck; {
	case o > OCSPCheckRequire:
		return configError("OCSPCheck", fmt.Sprintf("%d is none of its constants", o))
	case o != OCSPCheckNone && c.cfg.NoOCSPStapling:
		return configError("OCSPCheck", "NoOCSPStapling asks the server for no response")
	case o != OCSPCheckNone && c.cfg.InsecureSkipVerify:
		return configError("OCSPCheck", "a response is verified by the issuer, which InsecureSkipVerify does not look for")
	}
	if n := sizeOf(c.cfg.NextProtos, 1); n > helloRoom {
		return configError("NextProtos", fmt.Sprintf("it takes %d bytes, but a ClientHello has room for %d", n, helloRoom))
	}
	if n := len(c.cfg.PSKIdentityHint); n > maxHint {
		return configError("PSKIdentityHint", fmt.Sprintf("it has %d bytes, more than %d", n, maxHint))
	}
	for i, name := range c.cfg.ClientCANames {
		if len(name) == 0 {
			return configError("ClientCANames", fmt.Sprintf("name %d is empty", i+1))
		}
	}
	if n := sizeOf(c.cfg.ClientCANames, 2); n > authoritiesRoom {
		return configError("ClientCANames", fmt.Sprintf("it takes %d bytes, but a CertificateRequest has room for %d", n, authoritiesRoom))
	}
	return nil
}

// helloSize checks what a client puts into a ClientHello; a server sends no such lists.
func (c *plan) helloSize(p *handshake.Params) error {
	fixed := sizeOf(c.cfg.NextProtos, 1) + 2*len(c.cfg.DTLS.SRTPProfiles)
	for _, keys := range p.PSKs {
		n := 0
		for _, k := range keys {
			n += 2 + len(k.Identity) + 4 + 1 + k.Hash.Size() // with its age and binder
		}
		if n+fixed > helloRoom {
			return configError("PSKs", fmt.Sprintf("the identities and protocols take %d bytes, but a ClientHello has room for %d", n+fixed, helloRoom))
		}
	}
	return nil
}

// maxCertificateCost grows with the permitted size of the message.
func (c *Config) maxCertificateCost() int {
	if c.MaxCertificateCost > 0 {
		return c.MaxCertificateCost
	}
	return pki.DefaultMaxCost + max(0, c.MaxCertificateMessage-1<<16)/256
}

// sizeOf returns the size on the wire of a list whose elements have a length field of
// that many bytes.
func sizeOf[T string | []byte](list []T, length int) (n int) {
	for _, v := range list {
		n += length + len(v)
	}
	return n
}

var (
	errLongName  = errors.New("a server name must have at most 255 bytes")
	errASCIIName = errors.New("it has a character that a server name cannot have: write an international name in its ASCII form, xn--… (RFC 6066, Section 3)")
)

// checkServerName refuses what server_name cannot carry. RFC 6066, Section 3: "a
// byte string using ASCII encoding".
func checkServerName(name string) error {
	if len(name) > maxServerName {
		return errLongName
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] >= 0x7f {
			return errASCIIName
		}
	}
	return nil
}

// authorities sets the names in a server's CertificateRequest.
func (c *plan) authorities(p *handshake.Params) error {
	names := c.cfg.ClientCANames
	if names == nil && c.cfg.ClientCAs != nil {
		if names = subjects(c.cfg.ClientCAs); sizeOf(names, 2) > derivedRoom {
			return nil // ask for any authority: so long a list is useless
		}
	}
	p.Authorities = wire.AppendNames(nil, names...)
	return nil
}
