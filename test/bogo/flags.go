package main

import (
	"crypto/tls"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// options are what the flags of one connection say.
type options struct {
	// How a pass differs: see the passes of bogo_test.go.
	api        string
	lenient    bool
	defaultMTU int
	ownChoice  bool
	ownVerdict bool

	port, shimID   int
	ipv6           bool
	server, dtls   bool
	resumeCount    int
	async          bool
	implicit       bool
	mtu            int
	timeoutMS      int
	minVersion     int
	maxVersion     int
	no12, no13     bool
	cipher         string
	curves         ints
	keyShares      ints
	noKeyShares    bool
	verifyPrefs    ints
	hostName       string
	maxCertList    int
	maxFragment    int
	compressAll    bool
	compressOne    int
	noLegacyServer bool
	policy         *hermetic.Policy

	credential  credential // of the flags before the first -new-…-credential
	credentials []*credential
	certs       []tls.Certificate // of the credentials that are no PSKs

	trustCert       string
	verifyPeer      bool
	verifyFail      bool
	customVerify    bool
	requireAny      bool
	reverify        bool
	clientCAs       string
	failCertCB      bool
	useEarlyCB      bool
	failEarlyCB     bool
	ocspStapling    bool
	ocspCallback    bool // staples are served, and judged, by a callback
	declineOCSP     bool
	failOCSP        bool
	scts            bool
	acceptedTypes   ints
	clientTypes     ints
	advertiseALPN   string
	selectALPN      string
	declineALPN     bool
	rejectALPN      bool
	privateKeyDelay int

	writesFirst      bool
	initialWrite     string
	repeatWrite      int
	shutsDown        bool
	checkClose       bool
	readSize         int
	keyUpdate        bool
	keyUpdateBefore  bool
	unfinishedWrite  bool
	exportLength     int
	exportSecrets    bool
	tlsUnique        bool
	exportLabel      string
	exportContext    string
	useExportContext bool

	noTicket        bool
	ticketCallback  bool
	renewTicket     bool
	skipTicket      bool
	earlyData       bool
	earlyAfter      int // a client writes its early data after this message
	resumptionDelay int
	resumes         bool // not the first connection
	psk             string
	srtp            string
	pskIdentity     string

	expect expectations
}

// credential is a certificate or a raw public key to offer.
type credential struct {
	raw         bool
	psk         *importedPSK
	certFile    string
	keyFile     string
	prefs       ints
	ocsp        []byte
	scts        []byte
	matchIssuer bool
}

// importedPSK is a key for RFC 9258.
type importedPSK struct {
	key, identity, context []byte
	sha384                 bool
}

// expectations are what the connection must have negotiated.
type expectations struct {
	version, cipher, curve int
	peerScheme             int
	peerVerifyPrefs        ints
	alpn, advertisedALPN   string
	serverName             string
	clientCAs              string
	ocsp, scts             []byte
	peerCertFile           string
	noPeerCert             bool
	peerCertType           int
	peerKeySHA256          []byte
	ems                    bool
	secureRenegotiation    bool // 1.2: or the handshake fails; 1.3 has none that is not
	hrr, noHRR             bool
	verifyResult           bool
	noSessionID            bool
	noSession              bool
	sessionMiss            bool
	ticketRenewal          bool
	ticketEarlyData        bool
	acceptEarly            bool
	rejectEarly            bool
	noOfferEarly           bool
	earlyReason            string
	selected               int
}

// ints is a flag that may be repeated.
type ints []int

func (v *ints) String() string { return "" }
func (v *ints) Set(s string) error {
	n, err := strconv.Atoi(s)
	*v = append(*v, n)
	return err
}

// base64Value is a flag with bytes.
type base64Value struct{ b *[]byte }

func (v base64Value) String() string { return "" }
func (v base64Value) Set(s string) (err error) {
	*v.b, err = base64.StdEncoding.DecodeString(s)
	return err
}

func newOptions() *options {
	return &options{api: "engine", defaultMTU: 16000, initialWrite: "hello", repeatWrite: 1, expect: expectations{selected: -2, peerCertType: -1}}
}

// flags is the table of the flags that the shim knows.
func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("bogo", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	ignored := new(struct {
		b bool // what makes no difference here
		s string
	})
	e := &o.expect
	for name, p := range map[string]*bool{
		"lenient": &o.lenient, "own-choice": &o.ownChoice, "own-verification": &o.ownVerdict,
		"ipv6": &o.ipv6, "server": &o.server, "dtls": &o.dtls, "async": &o.async, "implicit-handshake": &o.implicit,
		"no-tls12": &o.no12, "no-tls13": &o.no13, "no-tls1": &ignored.b, "no-tls11": &ignored.b, "no-key-shares": &o.noKeyShares,
		"no-legacy-server-connect": &o.noLegacyServer, "verify-peer": &o.verifyPeer, "reverify-on-resume": &o.reverify, "export-traffic-secrets": &o.exportSecrets, "verify-fail": &o.verifyFail,
		"use-custom-verify-callback": &o.customVerify, "require-any-client-certificate": &o.requireAny,
		"fail-cert-callback": &o.failCertCB, "use-early-callback": &o.useEarlyCB, "fail-early-callback": &o.failEarlyCB,
		"use-ocsp-callback": &o.ocspCallback, "decline-ocsp-callback": &o.declineOCSP, "fail-ocsp-callback": &o.failOCSP,
		"install-cert-compression-algs": &o.compressAll,
		"set-ocsp-in-callback":          &ignored.b, "use-old-client-cert-callback": &ignored.b,
		"enable-ocsp-stapling": &o.ocspStapling, "enable-signed-cert-timestamps": &o.scts,
		"decline-alpn": &o.declineALPN, "reject-alpn": &o.rejectALPN, "shim-writes-first": &o.writesFirst,
		"shim-shuts-down": &o.shutsDown, "check-close-notify": &o.checkClose, "key-update": &o.keyUpdate,
		"key-update-before-read": &o.keyUpdateBefore, "read-with-unfinished-write": &o.unfinishedWrite,
		"use-export-context": &o.useExportContext, "server-preference": &ignored.b, "no-ticket": &o.noTicket,
		"expect-no-peer-cert": &e.noPeerCert, "expect-extended-master-secret": &e.ems,
		"expect-hrr": &e.hrr, "expect-secure-renegotiation": &e.secureRenegotiation, "expect-no-hrr": &e.noHRR,
		"expect-verify-result": &e.verifyResult, "expect-no-session-id": &e.noSessionID, "expect-no-session": &e.noSession,
		"expect-session-miss": &e.sessionMiss, "expect-ticket-renewal": &e.ticketRenewal,
		"expect-ticket-supports-early-data": &e.ticketEarlyData, "enable-early-data": &o.earlyData,
		"expect-accept-early-data": &e.acceptEarly, "expect-reject-early-data": &e.rejectEarly,
		"expect-no-offer-early-data": &e.noOfferEarly, "tls-unique": &o.tlsUnique,
		"use-ticket-callback": &o.ticketCallback, "use-ticket-aead-callback": &o.ticketCallback, "renew-ticket": &o.renewTicket, "skip-ticket": &o.skipTicket,
	} {
		f.BoolVar(p, name, false, "")
	}
	for name, p := range map[string]*int{
		"default-mtu": &o.defaultMTU, "port": &o.port, "shim-id": &o.shimID, "resume-count": &o.resumeCount, "mtu": &o.mtu,
		"initial-timeout-duration-ms": &o.timeoutMS, "min-version": &o.minVersion, "max-version": &o.maxVersion,
		"max-cert-list": &o.maxCertList, "max-send-fragment": &o.maxFragment, "install-one-cert-compression-alg": &o.compressOne, "read-size": &o.readSize,
		"export-keying-material": &o.exportLength, "private-key-delay-ms": &o.privateKeyDelay,
		"repeat-shim-initial-write": &o.repeatWrite, "resumption-delay": &o.resumptionDelay, "early-write-after-message": &o.earlyAfter,
		"expect-version": &e.version, "expect-cipher": &e.cipher, "expect-curve-id": &e.curve,
		"expect-peer-signature-algorithm": &e.peerScheme, "expect-peer-certificate-type": &e.peerCertType,
		"expect-selected-credential": &e.selected,
	} {
		f.IntVar(p, name, *p, "")
	}
	for name, p := range map[string]*string{
		"api": &o.api, "cipher": &o.cipher, "host-name": &o.hostName, "trust-cert": &o.trustCert, "use-client-ca-list": &o.clientCAs,
		"advertise-alpn": &o.advertiseALPN, "select-alpn": &o.selectALPN, "shim-initial-write": &o.initialWrite,
		"export-label": &o.exportLabel, "export-context": &o.exportContext,
		"expect-alpn": &e.alpn, "expect-advertised-alpn": &e.advertisedALPN, "expect-server-name": &e.serverName,
		"psk": &o.psk, "srtp-profiles": &o.srtp, "psk-identity": &o.pskIdentity, "expect-early-data-reason": &e.earlyReason,
		"expect-client-ca-list": &e.clientCAs, "expect-peer-cert-file": &e.peerCertFile,
	} {
		f.StringVar(p, name, *p, "")
	}
	for name, p := range map[string]*ints{
		"curves": &o.curves, "key-shares": &o.keyShares, "verify-prefs": &o.verifyPrefs,
		"expect-peer-verify-pref": &e.peerVerifyPrefs, "accepted-peer-cert-types": &o.acceptedTypes,
		"available-client-cert-types": &o.clientTypes,
	} {
		f.Var(p, name, "")
	}
	for name, p := range map[string]*[]byte{
		"expect-ocsp-response":          &e.ocsp,
		"expect-signed-cert-timestamps": &e.scts, "expect-peer-rpk-sha256": &e.peerKeySHA256,
	} {
		f.Var(base64Value{p}, name, "")
	}
	for name, preset := range map[string]func() *hermetic.Policy{
		"fips-202205": hermetic.PolicyFIPS, "wpa-202304": hermetic.PolicyWPA3, "cnsa1-202603": hermetic.PolicyCNSA1, "cnsa2-202603": hermetic.PolicyCNSA2,
	} {
		f.BoolFunc(name, "", func(string) error { o.policy = preset(); return nil })
	}
	o.credentialFlags(f)
	return f
}

// credentialFlags belong to the last credential begun.
func (o *options) credentialFlags(f *flag.FlagSet) {
	last := func() *credential {
		if n := len(o.credentials); n > 0 {
			return o.credentials[n-1]
		}
		return &o.credential
	}
	begin := func(raw bool) func(string) error {
		return func(string) error {
			o.credentials = append(o.credentials, &credential{raw: raw})
			return nil
		}
	}
	f.BoolFunc("new-psk-credential", "", func(string) error {
		o.credentials = append(o.credentials, &credential{psk: new(importedPSK)})
		return nil
	})
	f.Func("psk-importer-key", "", func(s string) error { return base64Value{&last().psk.key}.Set(s) })
	f.Func("psk-importer-identity", "", func(s string) error { return base64Value{&last().psk.identity}.Set(s) })
	f.Func("psk-importer-context", "", func(s string) error { return base64Value{&last().psk.context}.Set(s) })
	f.BoolFunc("psk-importer-sha256", "", func(string) error { return nil })
	f.BoolFunc("psk-importer-sha384", "", func(string) error { last().psk.sha384 = true; return nil })
	f.BoolFunc("new-x509-credential", "", begin(false))
	f.BoolFunc("new-rpk-credential", "", begin(true))
	f.BoolFunc("must-match-issuer", "", func(string) error { last().matchIssuer = true; return nil })
	f.Func("cert-file", "", func(s string) error { last().certFile = s; return nil })
	f.Func("key-file", "", func(s string) error { last().keyFile = s; return nil })
	f.Func("signing-prefs", "", func(s string) error { return last().prefs.Set(s) })
	f.Func("ocsp-response", "", func(s string) error { return base64Value{&last().ocsp}.Set(s) })
	f.Func("signed-cert-timestamps", "", func(s string) error { return base64Value{&last().scts}.Set(s) })
}

// parseFlags reads the command line: a flag counts for every connection, or
// with a prefix for the first, the resumed ones, or a retry after a rejection
// of early data.
func parseFlags(args []string) (initial, resume, retry *options, err error) {
	initial, resume, retry = newOptions(), newOptions(), newOptions()
	sets := []*flag.FlagSet{initial.flags(), resume.flags(), retry.flags()}
	for len(args) > 0 {
		name := strings.TrimPrefix(args[0], "-")
		args = args[1:]
		targets := sets
		for i, prefix := range []string{"on-initial-", "on-resume-", "on-retry-"} {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				name, targets = rest, sets[i:i+1]
			}
		}
		name = strings.TrimPrefix(name, "on-shim-")
		fl := sets[0].Lookup(name)
		if fl == nil {
			return nil, nil, nil, fmt.Errorf("unknown flag -%s", name)
		}
		value := "true"
		if b, ok := fl.Value.(interface{ IsBoolFlag() bool }); !ok || !b.IsBoolFlag() {
			if len(args) == 0 {
				return nil, nil, nil, fmt.Errorf("flag -%s has no value", name)
			}
			value, args = args[0], args[1:]
		}
		for _, s := range targets {
			if err := s.Set(name, value); err != nil {
				return nil, nil, nil, fmt.Errorf("flag -%s: %w", name, err)
			}
		}
	}
	resume.resumes, retry.resumes = true, true
	return initial, resume, retry, nil
}
