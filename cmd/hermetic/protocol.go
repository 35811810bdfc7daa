package main

import (
	"crypto/tls"
	"os"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/circlgroups"
)

// protocolOptions are the flags for the protocol, its versions and its keys that
// client and server share.
type protocolOptions struct {
	tls12, tls13         bool
	dtls, dtls12, dtls13 bool
	mtu, cid             int
	ciphers, groups      nameList
	srtp                 nameList
	keylog, policy       string
	fastGroups           bool
	sizes                sizeOptions
	tracing              *tracing // or nil
}

func (o *protocolOptions) addTo(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.tls12, "tls12", false, "only TLS 1.2")
	f.BoolVar(&o.tls13, "tls13", false, "only TLS 1.3")
	f.BoolVar(&o.dtls, "dtls", false, "DTLS over UDP instead of TLS")
	f.BoolVar(&o.dtls12, "dtls12", false, "only DTLS 1.2")
	f.BoolVar(&o.dtls13, "dtls13", false, "only DTLS 1.3")
	f.IntVar(&o.mtu, "mtu", 0, "the largest datagram of a DTLS handshake, in `BYTES` (default 1200)")
	o.cid = noCID
	f.Var((*cidLength)(&o.cid), "cid", "negotiate connection IDs; ours have `BYTES` bytes, or are not used if 0 (default: no negotiation)")
	f.Lookup("cid").DefValue = "0" // so that the help does not say -1
	f.BoolVar(&o.fastGroups, "fast-groups", false, "key exchange by github.com/cloudflare/circl: faster, but not the standard library's")
	o.ciphers, o.groups, o.srtp = suiteList(), groupList(), profileList()
	f.Var(&o.ciphers, "ciphers", "cipher `SUITES`, in order of preference, separated by commas")
	f.Var(&o.groups, "groups", "key exchange `GROUPS`, in order of preference, separated by commas")
	f.Var(&o.srtp, "srtp", "SRTP protection `PROFILES` for DTLS, in order of preference, separated by commas")
	o.sizes.addTo(f)
	f.StringVar(&o.policy, "policy", "", "permit only what `NAME` does: fips, wpa3 (192-bit mode), cnsa1 or cnsa2")
	c.PreRun = func(c *cobra.Command, _ []string) { o.tracing = tracingOf(c) }
	f.Var((*filename)(&o.keylog), "keylog", "append the secrets to `FILE`, for Wireshark")
}

// isDTLS reports whether the flags ask for DTLS.
func (o *protocolOptions) isDTLS() bool { return o.dtls || o.dtls12 || o.dtls13 }

// check finds flags that contradict each other.
func (o *protocolOptions) check() error {
	switch dtls := o.isDTLS(); {
	case o.tls12 && dtls:
		return misuse("--tls12 is for TLS: for DTLS use --dtls12")
	case o.tls13 && dtls:
		return misuse("--tls13 is for TLS: for DTLS use --dtls13")
	case o.tls12 && o.tls13:
		return misuse("--tls12 and --tls13 exclude each other: without them both versions are offered")
	case o.dtls12 && o.dtls13:
		return misuse("--dtls12 and --dtls13 exclude each other: --dtls offers both versions")
	case o.mtu != 0 && !dtls:
		return misuse("--mtu is for DTLS: add --dtls")
	case o.cid != noCID && !dtls:
		return misuse("--cid is for DTLS: add --dtls")
	case len(o.srtp.ids) > 0 && !dtls:
		return misuse("--srtp is for DTLS: add --dtls")
	}
	return nil
}

func (o *protocolOptions) apply(cfg *hermetic.Config) (err error) {
	if o.tls12 || o.dtls12 {
		cfg.MaxVersion = tls.VersionTLS12
	}
	if o.tls13 || o.dtls13 {
		cfg.MinVersion = tls.VersionTLS13
	}
	cfg.CipherSuites, cfg.CurvePreferences = o.ciphers.ids, o.groups.groups()
	cfg.DTLS.MTU, cfg.DTLS.SRTPProfiles = o.mtu, o.srtp.ids
	if o.cid != noCID {
		cfg.DTLS.ConnectionIDs, cfg.DTLS.ConnectionIDLength = true, o.cid
	}
	if o.fastGroups {
		cfg.KeyExchanges = circlgroups.All()
	}
	if err := o.sizes.apply(cfg); err != nil {
		return err
	}
	if o.policy != "" {
		if cfg.Policy, err = hermetic.ParsePolicy(o.policy); err != nil {
			return misuse("--policy: %q is none of fips, wpa3, cnsa1, cnsa2", o.policy)
		}
	}
	if o.keylog != "" {
		if cfg.KeyLogWriter, err = os.OpenFile(o.keylog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return misuse("--keylog: %w", err)
		}
	}
	o.tracing.apply(cfg)
	return nil
}
