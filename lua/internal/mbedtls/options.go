package mbedtls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// Options gathers what newconfig is given, option by option. An option that is
// a list is set once for each of its elements.
type Options struct {
	mode         hermetic.Mode
	cacert, cert string
	nameless     error // a file's name is empty: unlike a file that is not set, it does not load
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
	noTickets    bool
	keylog       string
}

// verifications are the values of verify.
var verifications = map[string]string{
	"none": "none", "false": "none",
	"optional": "optional",
	"required": "required", "true": "required",
}

// Set takes one option. The error says what is wrong with it.
func (o *Options) Set(key, value string) (err error) {
	var ok = true
	switch key {
	case "mode":
		o.mode, err = hermetic.ParseMode(value)
		ok = err == nil
	case "cacert":
		if o.cacert = value; value == "" {
			o.nameless = errors.New(": can't parse CA certificate")
		}
	case "cert":
		if o.cert = value; value == "" {
			o.nameless = errors.New(": can't parse certificate")
		}
	case "hostname":
		o.hostname = value
	case "verify":
		o.verify, ok = verifications[value]
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
	case "mtu":
		o.mtu, err = strconv.Atoi(value)
		ok = err == nil && 0 < o.mtu && o.mtu < 1<<16
	case "cid":
		o.cid, err = strconv.Atoi(value)
		ok, o.cidSet = err == nil && 0 <= o.cid && o.cid < 256, true
	case "psk.identity":
		o.psk.Identity = []byte(value)
	case "psk.key":
		o.psk.Key = []byte(value)
	case "psk.import":
		o.psk.Import, ok = value == "true", value == "true" || value == "false"
	case "psk.context":
		o.psk.Context = []byte(value)
	case "sessions":
		o.sessions, err = strconv.Atoi(value)
		ok = err == nil && 0 <= o.sessions && o.sessions < 1<<20
	case "tickets":
		o.noTickets, ok = value == "false", value == "true" || value == "false"
	case "keylog":
		o.keylog = value
	default:
		return fmt.Errorf("unknown option '%s'", key)
	}
	if !ok {
		return fmt.Errorf("invalid option '%s' for '%s'", value, key)
	}
	return nil
}

// Mode is what was set, or zero.
func (o *Options) Mode() hermetic.Mode { return o.mode }

// Config makes the configuration, reading the files that the options name.
func (o *Options) Config() (*hermetic.Config, error) {
	if o.mode == 0 {
		return nil, errors.New("option 'mode' is missing")
	}
	if o.nameless != nil {
		return nil, o.nameless
	}
	config, err := o.load()
	if err != nil {
		return nil, err
	}
	if err := o.verification(config); err != nil {
		return nil, err
	}
	config.NextProtos = o.alpn
	config.CurvePreferences = o.groups
	config.CipherSuites = o.suites
	config.MTU = o.mtu
	config.CookieSecret = cookieSecret()
	config.Datagram.ConnectionIDs, config.Datagram.ConnectionIDLength = o.cidSet, o.cid
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
	if o.keylog != "" {
		config.KeyLogWriter, err = openKeyLog(o.keylog)
	}
	return config, err
}

// load reads the certificates: from files, or from the options themselves if
// they hold PEM.
func (o *Options) load() (*hermetic.Config, error) {
	cacert, cert := o.cacert, o.cert
	if isPEM(cacert) {
		cacert = ""
	}
	if isPEM(cert) {
		cert = ""
	}
	config, err := hermetic.LoadConfig(o.mode, cacert, cert)
	if err == nil && cacert != o.cacert {
		err = o.parseAuthorities(config)
	}
	if err == nil && cert != o.cert {
		var c tls.Certificate
		c, err = hermetic.ParseCertificate([]byte(o.cert))
		config.Certificates = []tls.Certificate{c}
	}
	if file := (*hermetic.FileError)(nil); errors.As(err, &file) {
		err = errors.New(file.File + ": " + file.Problem)
	}
	return config, err
}

func (o *Options) parseAuthorities(config *hermetic.Config) error {
	pool, err := hermetic.ParseCertPool([]byte(o.cacert))
	if err != nil {
		return errors.New("PEM: can't parse CA certificate")
	}
	config.InsecureSkipVerify = false
	if o.mode.IsServer() {
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	} else {
		config.RootCAs = pool
	}
	return nil
}

// verification applies verify and hostname. Without them the document's rule
// stands: with cacert the peer is verified, without it is not.
func (o *Options) verification(config *hermetic.Config) error {
	if o.mode.IsServer() {
		if o.hostname != "" {
			return errors.New("option 'hostname' is for clients")
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

// preshared applies psk and sessions. A client with a PSK that says nothing of
// certificates accepts none: it would not know whose.
func (o *Options) preshared(config *hermetic.Config) error {
	if o.sessions > 0 {
		if o.mode.IsServer() {
			return errors.New("option 'sessions' is for clients")
		}
		config.SessionCache = hermetic.NewSessionCache(o.sessions)
	}
	switch identity, key := len(o.psk.Identity) > 0, len(o.psk.Key) > 0; {
	case !identity && !key:
		return nil
	case !key:
		return errors.New("option 'psk.key' is missing")
	case !identity:
		return errors.New("option 'psk.identity' is missing")
	case o.psk.Context != nil && !o.psk.Import:
		return errors.New("option 'psk.context' needs 'psk.import'")
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
		return nil, fmt.Errorf("%s: can't open key log", name)
	}
	return file, nil
}

// isPEM tells certificates given as strings from file names.
func isPEM(value string) bool { return strings.Contains(value, "-----BEGIN ") }
