package mbedtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/filestore"
)

// Options collects the options of newconfig, one by one. An option that is a
// table is set as a table, then once for each of its elements: an element of a
// list by the option's name, a field as "option.field".
type Options struct {
	Table bool // newconfig's table form: errors also say why a file does not load

	given        []string // the options that were set
	mode         hermetic.Mode
	cacert, cert string
	nameless     error // the error for an empty file name, which, unlike an unset one, does not load
	hostname     string
	verify       string
	versions     []uint16
	alpn         []string
	groups       []tls.CurveID
	suites       []uint16
	mtu          int
	cid          int  // length of our connection IDs
	cidSet       bool // they are negotiated
	psk          hermetic.PSK
	sessions     int
	session      string // the file of a session
	early        bool   // clients offer early data
	maxEarly     int    // how much of it servers accept, in bytes
	noTickets    bool
	keylog       string
}

// verifications are the values of verify.
var verifications = map[string]string{
	"none": "none", "false": "none",
	"optional": "optional",
	"required": "required", "true": "required",
}

// NestedTable is the type of a table where no table is allowed.
const NestedTable = "nested table"

// known are the options: the Lua types of their values, and the modes that they are
// for, if not all.
var known = map[string]struct{ types, only string }{
	"mode":         {types: "string"},
	"cacert":       {types: "string"},
	"cert":         {types: "string"},
	"hostname":     {types: "string", only: "clients"},
	"verify":       {types: "string boolean"},
	"versions":     {types: "string number table"},
	"alpn":         {types: "string table"},
	"groups":       {types: "string table"},
	"ciphers":      {types: "string table"},
	"mtu":          {types: "number string", only: "DTLS"},
	"cid":          {types: "number string", only: "DTLS"},
	"psk":          {types: "table"},
	"psk.identity": {types: "string"},
	"psk.key":      {types: "string"},
	"psk.import":   {types: "boolean"},
	"psk.context":  {types: "string"},
	"sessions":     {types: "number string", only: "clients"},
	"session":      {types: "string", only: "clients"},
	"earlydata":    {types: "number string boolean"},
	"tickets":      {types: "boolean", only: "servers"},
	"keylog":       {types: "string"},
}

// Set sets one option, with the Lua type of its value. The error says what is
// wrong with it.
func (o *Options) Set(key, luaType, value string) error {
	option, ok := known[key]
	if !ok {
		return fmt.Errorf("unknown option '%s'", key)
	}
	if types := strings.Fields(option.types); !slices.Contains(types, luaType) {
		return fmt.Errorf("option '%s' must be a %s, not a %s", key, alternatives(types), luaType)
	}
	o.given = append(o.given, key)
	if luaType != "table" && !o.take(key, value) {
		return fmt.Errorf("invalid option '%s' for '%s'", value, key)
	}
	return nil
}

// alternatives joins words: "string, number or table".
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// take reports whether the value is valid for the option.
func (o *Options) take(key, value string) (ok bool) {
	var err error
	ok = true
	switch key {
	case "mode":
		o.mode, err = hermetic.ParseMode(value)
		ok = err == nil
	case "cacert":
		if o.cacert = value; value == "" {
			o.nameless = &hermetic.FileError{Problem: "can't parse CA certificate", Err: errNameless}
		}
	case "cert":
		if o.cert = value; value == "" {
			o.nameless = &hermetic.FileError{Problem: "can't parse certificate", Err: errNameless}
		}
	case "hostname":
		o.hostname, ok = value, len(value) <= maxName
	case "verify":
		o.verify, ok = verifications[value]
	case "mtu":
		o.mtu, ok = count(value, 1, 1<<16-1)
	case "cid":
		o.cid, ok = count(value, 0, 255)
		o.cidSet = true
	case "sessions":
		o.sessions, ok = count(value, 0, 1<<20-1)
	case "session":
		o.session, ok = value, value != ""
	case "earlydata":
		if o.early = value == "true"; !o.early && value != "false" {
			o.maxEarly, ok = count(value, 0, math.MaxInt32)
		}
	case "tickets":
		o.noTickets = value == "false"
	case "keylog":
		o.keylog, ok = value, value != ""
	default:
		return o.takeListed(key, value)
	}
	return ok
}

// takeListed is take for a value in a list, or of a PSK.
func (o *Options) takeListed(key, value string) (ok bool) {
	ok = true
	switch key {
	case "versions":
		var id uint16
		id, ok = versionID(value)
		o.versions = append(o.versions, id)
	case "alpn":
		ok = 0 < len(value) && len(value) < 256
		o.alpn = append(o.alpn, value)
	case "groups":
		var id tls.CurveID
		id, ok = groupID(value)
		o.groups = append(o.groups, id)
	case "ciphers":
		var id uint16
		id, ok = suiteID(value)
		o.suites = append(o.suites, id)
	case "psk.identity":
		o.psk.Identity, ok = []byte(value), value != ""
	case "psk.key":
		o.psk.Key, ok = []byte(value), value != ""
	case "psk.import":
		o.psk.Import = value == "true"
	case "psk.context":
		o.psk.Context = []byte(value)
	}
	return ok
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
func (o *Options) Config() (*hermetic.Config, error) {
	if o.mode == 0 {
		return nil, errors.New("option 'mode' is missing")
	}
	if err := o.fit(); err != nil {
		return nil, err
	}
	config, err := o.load()
	if err != nil {
		return nil, o.fileError(err)
	}
	if err := o.verification(config); err != nil {
		return nil, err
	}
	config.NextProtos = o.alpn
	config.CurvePreferences = o.groups
	config.CipherSuites = o.suites
	config.DTLS.MTU = o.mtu
	config.DTLS.CookieSecret = cookieSecret()
	config.DTLS.ConnectionIDs, config.DTLS.ConnectionIDLength = o.cidSet, o.cid
	config.NoTickets = o.noTickets
	if err := o.preshared(config); err != nil {
		return nil, err
	}
	for _, version := range o.versions {
		if config.MinVersion == 0 || version < config.MinVersion {
			config.MinVersion = version
		}
		config.MaxVersion = max(config.MaxVersion, version)
	}
	if err := o.resumed(config); err != nil {
		return nil, err
	}
	if o.keylog != "" {
		if config.KeyLogWriter, err = openKeyLog(o.keylog); err != nil {
			return nil, err
		}
	}
	if _, err := hermetic.NewEngine(o.mode, config); err != nil {
		return nil, optionError(err)
	}
	return config, nil
}

// optionOf has the options for fields of a Config.
var optionOf = map[string]string{
	"CipherSuites":     "ciphers",
	"CurvePreferences": "groups",
	"DTLS.MTU":         "mtu",
	"PSKs[0]":          "psk",
	"NextProtos":       "alpn",
	"Certificates[0]":  "cert",
}

// optionError names the option in place of the Config's field.
func optionError(err error) error {
	var wrong *hermetic.ConfigError
	if !errors.As(err, &wrong) || optionOf[wrong.Field] == "" {
		return err
	}
	return fmt.Errorf("option '%s': %s", optionOf[wrong.Field], wrong.Reason)
}

// fit reports an option that is not for the mode.
func (o *Options) fit() error {
	for _, key := range o.given {
		only := known[key].only
		if only == "clients" && o.mode.IsServer() || only == "servers" && !o.mode.IsServer() || only == "DTLS" && !o.mode.IsDTLS() {
			return fmt.Errorf("option '%s' is for %s", key, only)
		}
	}
	return nil
}

// errNameless is why the file of an empty name does not load.
var errNameless = errors.New("its name is empty")

// fileError is the error of a file that does not load: the original's text,
// and in the table form, which the original lacks, the reason.
func (o *Options) fileError(err error) error {
	file := (*hermetic.FileError)(nil)
	if !errors.As(err, &file) {
		return err
	}
	text := file.File + ": " + file.Problem
	if o.Table {
		text += ": " + reason(file.Err)
	}
	return errors.New(text)
}

// reason is the text of an error whose file has been named.
func reason(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// load reads the certificates: from files, or from the options themselves if
// they hold PEM.
func (o *Options) load() (*hermetic.Config, error) {
	if o.nameless != nil {
		return nil, o.nameless
	}
	config := &hermetic.Config{ServerNameOptional: true}
	if o.cacert == "" {
		config.InsecureSkipVerify = true // the Lua document's rule; no other Config has it
	} else {
		pool, err := authorities(o.cacert)
		if err != nil {
			return nil, err
		}
		if o.mode.IsServer() {
			config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
		} else {
			config.RootCAs = pool
		}
	}
	if o.cert != "" {
		pair, err := keyPair(o.cert)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// authorities are the CA certificates in a file, or in the value itself.
func authorities(value string) (*x509.CertPool, error) {
	if !isPEM(value) {
		return hermetic.LoadCertPool(value)
	}
	return hermetic.ParseCertPool([]byte(value))
}

// keyPair is the certificate and its key in a file, or in the value itself.
func keyPair(value string) (tls.Certificate, error) {
	if !isPEM(value) {
		return hermetic.LoadKeyPair(value)
	}
	return hermetic.ParseKeyPair([]byte(value))
}

// verification applies verify and hostname. Without them the document's rule
// holds: with cacert the peer is verified, without it the peer is not.
func (o *Options) verification(config *hermetic.Config) error {
	if o.mode.IsServer() {
		if o.cacert == "" && (o.verify == "optional" || o.verify == "required") {
			return errors.New("option 'verify' needs 'cacert': whose certificates clients must have")
		}
		switch o.verify {
		case "none":
			config.ClientAuth = tls.NoClientCert
		case "optional":
			config.ClientAuth = tls.VerifyClientCertIfGiven
		case "required":
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		return nil
	}
	config.ServerName = o.hostname
	switch o.verify {
	case "none":
		config.InsecureSkipVerify = true
	case "optional":
		return errors.New("invalid option 'optional' for 'verify': a client verifies or does not")
	case "required":
		if o.hostname == "" && o.cacert == "" {
			return errors.New("option 'verify' needs 'cacert' or 'hostname'")
		}
		config.InsecureSkipVerify = false
	}
	return nil
}

// resumed applies sessions, session and earlydata.
func (o *Options) resumed(config *hermetic.Config) (err error) {
	server := o.mode.IsServer()
	switch {
	case o.session != "" && slices.Contains(o.given, "sessions"):
		return errors.New("options 'session' and 'sessions' exclude each other: a file keeps the session of one server")
	case o.early && server:
		return errors.New("option 'earlydata' of a server is how many bytes it takes")
	case o.maxEarly > 0 && !server:
		return errors.New("option 'earlydata' of a client is true or false")
	case o.maxEarly > 0 && o.mode.IsDTLS():
		return errors.New("option 'earlydata' is for clients and for TLS: a DTLS server asks for a cookie, and rejects what came before it")
	case o.maxEarly > 0 && o.noTickets:
		return errors.New("options 'earlydata' and 'tickets = false' exclude each other: early data comes with the session of a ticket")
	case (o.early || o.maxEarly > 0) && config.MaxVersion == tls.VersionTLS12:
		return errors.New("option 'earlydata' needs version 1.3")
	case o.early && o.session == "" && o.sessions == 0:
		return errors.New("option 'earlydata' needs 'session' or 'sessions': early data goes with a session")
	}
	config.EarlyData, config.MaxEarlyData = o.early, uint32(o.maxEarly)
	if o.sessions > 0 {
		config.SessionCache = hermetic.NewSessionCache(o.sessions)
	}
	if o.session != "" {
		if config.SessionCache, err = filestore.OpenSessionCache(o.session); err != nil {
			return fmt.Errorf("option 'session': %w", err)
		}
	}
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
	if !o.mode.IsServer() && o.verify == "" && o.hostname == "" && o.cacert == "" {
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

// isPEM distinguishes certificates given as strings from file names. A text of several
// lines is not a name either: damaged PEM must not be opened as a file, because the
// error would have its name, a private key.
func isPEM(value string) bool {
	return strings.Contains(value, "-----BEGIN ") || strings.ContainsAny(value, "\r\n")
}
