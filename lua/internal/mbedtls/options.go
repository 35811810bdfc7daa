package mbedtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/filestore"
)

// Options collects the options of newconfig, one by one. An option that is a
// table is set as a table, then once for each of its elements: an element of a
// list by the option's name, a field as "option.field".
type Options struct {
	Table bool // newconfig's table form: errors also say why a file does not load

	given     []string        // the options that were set
	functions map[string]bool // those that are functions
	mode      hermetic.Mode
	trust     trust
	own       identities
	hostname  string
	verify    string
	versions  []uint16
	alpn      []string
	crypto    cryptography
	readAhead bool
	records   records
	dtls      datagrams
	psk       hermetic.PSK
	resume    resumption
	keylog    string

	compressors []hermetic.CertificateCompressor
}

// records are sizes of records, in bytes.
type records struct {
	size     int // of those that we send
	limit    int // of those that we want
	fragment int // of both, for servers that know no limits
}

// cryptography is what a handshake may use, the preferred first.
type cryptography struct {
	groups, shares []tls.CurveID
	suites         []uint16
	schemes        []tls.SignatureScheme
	policy         *hermetic.Policy
}

// datagrams are the options of DTLS.
type datagrams struct {
	mtu    int
	cid    int  // length of our connection IDs
	cidSet bool // they are negotiated
	srtp   []uint16
	secret []byte // of cookies
}

// resumption is what continues in the next session.
type resumption struct {
	sessions  int    // of how many servers sessions are kept
	program   bool   // the program keeps them
	file      string // of a session
	early     bool   // clients offer early data
	maxEarly  int    // how much of it servers accept, in bytes
	noTickets bool
	tickets   int // of one handshake
	lifetime  time.Duration
	keys      []hermetic.TicketKey
}

// Set sets one option, with the Lua type of its value. The error says what is
// wrong with it.
func (o *Options) Set(key, luaType, value string) error {
	option, ok := known[key]
	if !ok {
		return fmt.Errorf("unknown option '%s'", key)
	}
	if types := strings.Fields(option.types); !slices.Contains(types, luaType) {
		return wrongType(key, luaType, types)
	}
	o.given = append(o.given, key)
	switch luaType {
	case "table":
		return nil // its elements follow
	case "function":
		if o.functions == nil {
			o.functions = map[string]bool{}
		}
		o.functions[key] = true
		return nil
	}
	err := option.take(o, value)
	switch {
	case err == nil:
		return nil
	case option.secret:
		return fmt.Errorf("invalid option for '%s': it must be %s", key, option.allows)
	}
	return fmt.Errorf("invalid option '%s' for '%s': it must be %s", value, key, option.allows)
}

// wrongType is the error of a value's type.
func wrongType(key, luaType string, types []string) error {
	also := ""
	if plain := slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == "function" || t == NestedTable }); len(plain) > 0 {
		if types = plain; slices.Contains(strings.Fields(known[key].types), "function") {
			also = "; it may be a function, too"
		}
	}
	return fmt.Errorf("option '%s' must be a %s, not a %s%s", key, alternatives(types), strings.Replace(luaType, "-", " ", 1), also)
}

// alternatives joins words: "string, number or table".
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// maxName is how long a server's name can be.
const maxName = 255

// count parses a whole number of a range. Lua writes the result of a division as
// 1400.0.
func count(value string, least, most int) (n int, ok bool) {
	f, err := strconv.ParseFloat(value, 64)
	ok = err == nil && float64(least) <= f && f <= float64(most) && f == math.Trunc(f)
	if ok {
		n = int(f)
	}
	return n, ok
}

// Mode returns the mode that was set, or zero.
func (o *Options) Mode() hermetic.Mode { return o.mode }

// Config makes the configuration, reading the files that the options name.
func (o *Options) Config() (*Config, error) {
	if o.mode == 0 {
		return nil, errors.New("option 'mode' is missing")
	}
	if err := o.fit(); err != nil {
		return nil, err
	}
	config := &hermetic.Config{
		ServerNameOptional:     true,
		ReadAhead:              o.readAhead,
		KeyExchanges:           exchanges,
		CertificateCompressors: o.compressors,
	}
	config.MaxRecordData, config.RecordSizeLimit, config.MaxFragmentLength = o.records.size, o.records.limit, o.records.fragment
	if err := o.load(config); err != nil {
		return nil, o.fileError(err)
	}
	if err := o.verification(config); err != nil {
		return nil, err
	}
	config.NextProtos = o.alpn
	config.CurvePreferences, config.KeyShares = o.crypto.groups, o.crypto.shares
	config.CipherSuites, config.SignatureSchemes = o.crypto.suites, o.crypto.schemes
	config.Policy = o.crypto.policy
	o.datagrams(config)
	if err := o.preshared(config); err != nil {
		return nil, err
	}
	for _, version := range o.versions {
		if config.MinVersion == 0 || version < config.MinVersion {
			config.MinVersion = version
		}
		config.MaxVersion = max(config.MaxVersion, version)
	}
	if config.OCSPCheck = o.trust.ocsp; o.trust.ocsp != hermetic.OCSPCheckNone && config.InsecureSkipVerify {
		return nil, errors.New("option 'ocsp' needs a server that is verified, with its name: 'cacert', or verify = true")
	}
	made := &Config{mode: o.mode, config: config, readAhead: o.readAhead, functions: o.functions, usages: o.usages(), roots: config.RootCAs}
	if o.mode.IsServer() {
		made.roots = config.ClientCAs
	}
	if o.verify == "request" || o.verify == "require-any" {
		config.ClientCAs = nil // a client would show no certificate of others
	}
	if err := o.resumed(made); err != nil {
		return nil, err
	}
	o.ask(config)
	if o.keylog != "" {
		var err error
		if config.KeyLogWriter, err = openKeyLog(o.keylog); err != nil {
			return nil, err
		}
	}
	if _, err := hermetic.NewEngine(o.mode, config); err != nil {
		return nil, optionError(err)
	}
	return made, nil
}

// optionOf has the options for fields of a Config.
var optionOf = map[string]string{
	"CipherSuites":      "ciphers",
	"CurvePreferences":  "groups",
	"KeyShares":         "keyshares",
	"SignatureSchemes":  "signatures",
	"MaxRecordData":     "recordsize",
	"RecordSizeLimit":   "recordlimit",
	"MaxFragmentLength": "maxfragment",
	"TicketLifetime":    "ticketlifetime",
	"TicketKeys":        "ticketkeys",
	"DTLS.MTU":          "mtu",
	"DTLS.SRTPProfiles": "srtp",
	"DTLS.CookieSecret": "cookiesecret",
	"PSKs[0]":           "psk",
	"MinVersion":        "versions",
	"MaxVersion":        "versions",
	"EarlyData":         "earlydata",
	"MaxEarlyData":      "earlydata",
	"NextProtos":        "alpn",
}

// optionError names the option in place of the Config's field.
func optionError(err error) error {
	var wrong *hermetic.ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	option := optionOf[wrong.Field]
	if field, _, _ := strings.Cut(wrong.Field, "["); option == "" {
		option = optionOf[field]
		if field == "Certificates" {
			option = "cert"
		}
	}
	if option == "" {
		return err
	}
	return fmt.Errorf("option '%s': %s", option, strings.ReplaceAll(wrong.Reason, "Config.Policy", "policy"))
}

// fit reports an option that is not for the mode.
func (o *Options) fit() error {
	for _, key := range o.given {
		only := known[key].only
		if o.functions[key] && key == "alpn" {
			only = "servers"
		}
		for _, word := range strings.Fields(only) {
			if word == "clients" && o.mode.IsServer() || word == "servers" && !o.mode.IsServer() ||
				word == "DTLS" && !o.mode.IsDTLS() || word == "TLS" && o.mode.IsDTLS() {
				if o.functions[key] && key == "alpn" {
					return errors.New("option 'alpn' must be a string or table, not a function: that is for servers")
				}
				return fmt.Errorf("option '%s' is for %s", key, only)
			}
		}
	}
	return nil
}

// ask has the engine ask what functions answer.
func (o *Options) ask(config *hermetic.Config) {
	if o.functions["verify"] {
		config.Async |= hermetic.AsyncVerify
	}
	if o.functions["alpn"] || o.functions["servername"] {
		config.Async |= hermetic.AsyncConfig
	}
}

// datagrams applies the options of DTLS. A datagram of a handshake has room in a step.
func (o *Options) datagrams(config *hermetic.Config) {
	d := &config.DTLS
	d.MTU = min(o.dtls.mtu, maxData)
	d.SRTPProfiles = o.dtls.srtp
	d.ConnectionIDs, d.ConnectionIDLength = o.dtls.cidSet, o.dtls.cid
	if d.CookieSecret = o.dtls.secret; d.CookieSecret == nil {
		d.CookieSecret = cookieSecret()
	}
}

// verification applies verify and hostname. Without them the document's rule
// holds: with cacert the peer is verified, without it the peer is not.
func (o *Options) verification(config *hermetic.Config) error {
	if o.mode.IsServer() {
		return o.verifyClients(config)
	}
	config.ServerName = o.hostname
	switch o.verify {
	case "none":
		config.InsecureSkipVerify = true
	case "optional", "request", "require-any":
		return fmt.Errorf("invalid option '%s' for 'verify': a client verifies or does not", o.verify)
	case "chain":
		if !o.trust.given() {
			return errors.New("option 'verify' needs 'cacert': whose certificates servers must have")
		}
		config.InsecureSkipVerify = true
	case "required":
		if o.hostname == "" && !o.trust.given() {
			return errors.New("option 'verify' needs 'cacert' or 'hostname'")
		}
		config.InsecureSkipVerify = false
	}
	if o.trust.anyPurpose && o.verify != "chain" {
		return errors.New("option 'purpose' of a client needs verify = 'chain'")
	}
	return o.judge(config, o.verify == "chain")
}

// verifyClients is verification of a server. A function that verifies needs no authorities: it
// sees whatever certificate a client shows.
func (o *Options) verifyClients(config *hermetic.Config) error {
	if !o.trust.given() && (o.verify == "optional" || o.verify == "required") {
		return errors.New("option 'verify' needs 'cacert': whose certificates clients must have")
	}
	switch {
	case o.verify == "chain":
		return errors.New("invalid option 'chain' for 'verify': a server verifies no names; use 'required'")
	case o.trust.anyPurpose && !o.trust.given():
		return errors.New("option 'purpose' needs 'cacert'")
	case o.verify == "none":
		config.ClientAuth = tls.NoClientCert
	case o.verify == "request":
		config.ClientAuth = tls.RequestClientCert
	case o.verify == "require-any":
		config.ClientAuth = tls.RequireAnyClientCert
	case o.verify == "optional":
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case o.verify == "required":
		config.ClientAuth = tls.RequireAndVerifyClientCert
	case o.functions["verify"] && o.trust.given():
		config.ClientAuth = tls.VerifyClientCertIfGiven
	case o.functions["verify"]:
		config.ClientAuth = tls.RequestClientCert
	}
	own := false
	if o.trust.anyPurpose && config.ClientAuth >= tls.VerifyClientCertIfGiven {
		// The engine would want a client's certificate.
		if own = true; config.ClientAuth == tls.RequireAndVerifyClientCert {
			config.ClientAuth = tls.RequireAnyClientCert
		} else {
			config.ClientAuth = tls.RequestClientCert
		}
	}
	return o.judge(config, own)
}

// judge applies crl, depth, and the verification that is our own.
func (o *Options) judge(config *hermetic.Config, own bool) error {
	t := &o.trust
	if !own && len(t.revoked) == 0 && !t.depthSet {
		return nil
	}
	if !t.given() {
		option := "crl"
		if t.depthSet {
			option = "depth"
		}
		return fmt.Errorf("option '%s' needs 'cacert' or 'capath': whose certificates it is about", option)
	}
	j := &judge{own: own, roots: config.RootCAs, usages: o.usages(), now: time.Now, depth: -1, policy: o.crypto.policy}
	if o.mode.IsServer() {
		j.roots = config.ClientCAs
	}
	if t.depthSet {
		j.depth = t.depth
	}
	if len(t.revoked) > 0 {
		j.revoked = &crls{lists: t.lists, now: time.Now, policy: o.crypto.policy}
	}
	config.VerifyPeerCertificate = j.verify
	return nil
}

// usages are what the peer's certificate must be for.
func (o *Options) usages() []x509.ExtKeyUsage {
	switch {
	case o.trust.anyPurpose:
		return []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	case o.mode.IsServer():
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// resumed applies sessions, session, tickets and earlydata.
func (o *Options) resumed(made *Config) (err error) {
	config, r, server := made.config, &o.resume, o.mode.IsServer()
	switch {
	case r.file != "" && slices.Contains(o.given, "sessions"):
		return errors.New("options 'session' and 'sessions' exclude each other: a file keeps the session of one server")
	case r.early && server:
		return errors.New("option 'earlydata' of a server is how many bytes it takes")
	case r.maxEarly > 0 && !server:
		return errors.New("option 'earlydata' of a client is true or false")
	case r.maxEarly > 0 && o.mode.IsDTLS():
		return errors.New("option 'earlydata' is for clients and for TLS: a DTLS server asks for a cookie, and rejects what came before it")
	case r.maxEarly > 0 && r.noTickets:
		return errors.New("options 'earlydata' and 'tickets = false' exclude each other: early data comes with the session of a ticket")
	case (r.early || r.maxEarly > 0) && config.MaxVersion == tls.VersionTLS12:
		return errors.New("option 'earlydata' needs version 1.3")
	case r.early && r.file == "" && r.sessions == 0 && !r.program:
		return errors.New("option 'earlydata' needs 'session' or 'sessions': early data goes with a session")
	}
	config.EarlyData, config.MaxEarlyData = r.early, uint32(r.maxEarly)
	config.NoTickets, config.Tickets, config.TicketLifetime = r.noTickets, r.tickets, r.lifetime
	if len(r.keys) > 0 {
		config.TicketKeys = hermetic.StaticTicketKeys(r.keys...)
	}
	return o.store(made)
}

// store makes what keeps a client's sessions.
func (o *Options) store(made *Config) (err error) {
	var store hermetic.SessionCache
	switch r := &o.resume; {
	case r.file != "":
		if store, err = filestore.OpenSessionCache(r.file); err != nil {
			return fmt.Errorf("option 'session': %w", err)
		}
	case r.sessions > 0:
		store = hermetic.NewSessionCache(r.sessions)
	case !r.program:
		return nil
	}
	made.sessions = &sessions{store: store}
	made.config.SessionCache = made.sessions
	return nil
}

// preshared applies psk. A client with a PSK and no option about certificates
// accepts none, because it would not know which to accept.
func (o *Options) preshared(config *hermetic.Config) error {
	switch {
	case !slices.ContainsFunc(o.given, func(key string) bool { return strings.HasPrefix(key, "psk") }):
		return nil
	case o.psk.Key == nil:
		return errors.New("option 'psk.key' is missing")
	case o.psk.Identity == nil:
		return errors.New("option 'psk.identity' is missing")
	case o.psk.Context != nil && !o.psk.Import:
		return errors.New("option 'psk.context' needs 'psk.import'")
	case o.mode.IsServer() && config.ClientAuth == tls.RequireAndVerifyClientCert:
		return errors.New("option 'psk' and 'cacert' exclude each other, unless 'verify' is 'optional' or 'none': a client with a PSK shows no certificate")
	}
	config.PSKs = []hermetic.PSK{o.psk}
	if !o.mode.IsServer() && o.verify == "" && o.hostname == "" && !o.trust.given() {
		config.InsecureSkipVerify = false
	}
	return nil
}

// openKeyLog opens the file that secrets are appended to.
func openKeyLog(name string) (io.Writer, error) {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: can't open key log: %s", name, reason(err))
	}
	return file, nil
}
