package mbedtls

import (
	"errors"
	"math"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// NestedTable is the type of a table where no table is allowed.
const NestedTable = "nested-table"

// errValue is the error of a value that is not allowed.
var errValue = errors.New("not allowed")

// option is one option of newconfig.
type option struct {
	types  string // the Lua types of its values
	only   string // the modes that it is for, if not all
	allows string // what is allowed, in words
	secret bool   // no error shows a value
	take   func(o *Options, value string) error
}

// allowed is the error of a value, or nil if it is allowed.
func allowed(ok bool) error {
	if ok {
		return nil
	}
	return errValue
}

// number is the take of a whole number in a range.
func number(least, most int, field func(*Options) *int) func(*Options, string) error {
	return func(o *Options, value string) error {
		n, ok := count(value, least, most)
		*field(o) = n
		return allowed(ok)
	}
}

// text is the take of a string with a minimum length.
func text(least int, field func(*Options) *string) func(*Options, string) error {
	return func(o *Options, value string) error {
		*field(o) = value
		return allowed(len(value) >= least)
	}
}

// named is the take of a list of names.
func named[T any](find func(string) (T, bool), field func(*Options) *[]T) func(*Options, string) error {
	return func(o *Options, value string) error {
		id, ok := find(value)
		if ok {
			*field(o) = append(*field(o), id)
		}
		return allowed(ok)
	}
}

// lines is the take of a list of files or texts. An empty one is a file that does not load.
func lines(field func(*Options) *[]string) func(*Options, string) error {
	return func(o *Options, value string) error {
		*field(o) = append(*field(o), value)
		return nil
	}
}

// truth is the take of a boolean.
func truth(field func(*Options) *bool) func(*Options, string) error {
	return func(o *Options, value string) error {
		*field(o) = value == "true"
		return nil
	}
}

func setCert(id *identity, value string)     { id.cert, id.certSet = value, true }
func setKey(id *identity, value string)      { id.key, id.separate = value, true }
func setPassword(id *identity, value string) { id.password = value }

// ofIdentity is the take of an option about the certificate that is not in a list.
func ofIdentity(set func(*identity, string)) func(*Options, string) error {
	return func(o *Options, value string) error {
		if o.own.single == nil {
			o.own.single = new(identity)
		}
		set(o.own.single, value)
		return nil
	}
}

// newIdentity begins another certificate of the list.
func newIdentity(o *Options, _ string) error {
	o.own.list = append(o.own.list, identity{})
	return nil
}

// ofListed is the take of a field of the last certificate of the list.
func ofListed(set func(*identity, string)) func(*Options, string) error {
	return func(o *Options, value string) error {
		if len(o.own.list) == 0 {
			return errValue
		}
		set(&o.own.list[len(o.own.list)-1], value)
		return nil
	}
}

// verifications are the values of verify.
var verifications = map[string]string{
	"none": "none", "false": "none",
	"optional": "optional",
	"request":  "request", "require-any": "require-any",
	"chain":    "chain",
	"required": "required", "true": "required",
}

// stapling are the values of ocsp.
var stapling = map[string]hermetic.OCSPCheck{
	"stapled":     hermetic.OCSPCheckStapled,
	"must-staple": hermetic.OCSPCheckMustStaple,
	"require":     hermetic.OCSPCheckRequire,
}

// known are the options.
var known = map[string]option{
	"mode": {types: "string", allows: "tls-client, tls-server, dtls-client or dtls-server", take: func(o *Options, value string) (err error) {
		o.mode, err = hermetic.ParseMode(value)
		return err
	}},
	"cacert": {types: "string", take: func(o *Options, value string) error {
		o.trust.cacert, o.trust.cacertSet = value, true
		return nil
	}},
	"capath": {types: "string", allows: "a folder", take: text(1, func(o *Options) *string { return &o.trust.capath })},
	"depth": {types: "number string", allows: "0 to 100", take: func(o *Options, value string) error {
		o.trust.depthSet = true
		return number(0, 100, func(o *Options) *int { return &o.trust.depth })(o, value)
	}},
	"purpose": {types: "string", allows: "any", take: func(o *Options, value string) error {
		o.trust.anyPurpose = value == "any"
		return allowed(o.trust.anyPurpose)
	}},
	"crl":            {types: "string table", take: lines(func(o *Options) *[]string { return &o.trust.revoked })},
	"cert":           {types: "string", take: ofIdentity(setCert)},
	"key":            {types: "string", take: ofIdentity(setKey)},
	"password":       {types: "string", take: ofIdentity(setPassword)},
	"certs":          {types: "table " + NestedTable, take: newIdentity},
	"certs.cert":     {types: "string", allows: "a field of a certificate in the list", take: ofListed(setCert)},
	"certs.key":      {types: "string", allows: "a field of a certificate in the list", take: ofListed(setKey)},
	"certs.password": {types: "string", allows: "a field of a certificate in the list", secret: true, take: ofListed(setPassword)},
	"hostname": {types: "string", only: "clients", allows: "a name of at most 255 bytes", take: func(o *Options, value string) error {
		o.hostname = value
		return allowed(len(value) <= maxName)
	}},
	"verify": {types: "string boolean function", allows: "required, chain, optional, request, require-any, none, true, false or a function", take: func(o *Options, value string) error {
		var ok bool
		o.verify, ok = verifications[value]
		return allowed(ok)
	}},
	"servername": {types: "function", only: "servers"},
	"versions":   {types: "string number table", allows: "1.2 or 1.3", take: named(versionID, func(o *Options) *[]uint16 { return &o.versions })},
	"alpn": {types: "string table function", allows: "a name of 1 to 255 bytes", take: named(func(name string) (string, bool) {
		return name, 0 < len(name) && len(name) < 256
	}, func(o *Options) *[]string { return &o.alpn })},
	"groups":     {types: "string table", allows: groupNames(), take: named(groupID, groupsOf)},
	"keyshares":  {types: "string table", only: "clients", allows: groupNames(), take: named(groupID, sharesOf)},
	"ciphers":    {types: "string table", allows: "a registered name, such as TLS_AES_128_GCM_SHA256", take: named(suiteID, suitesOf)},
	"signatures": {types: "string table", allows: schemeNames(), take: named(schemeID, schemesOf)},
	"policy": {types: "string", allows: "fips, wpa3, cnsa1 or cnsa2", take: func(o *Options, value string) (err error) {
		o.crypto.policy, err = hermetic.ParsePolicy(value)
		return err
	}},
	"ocsp": {types: "string", only: "clients", allows: "stapled, must-staple or require", take: func(o *Options, value string) error {
		var ok bool
		o.trust.ocsp, ok = stapling[value]
		return allowed(ok)
	}},
	"readahead":   {types: "boolean", only: "TLS", take: truth(func(o *Options) *bool { return &o.readAhead })},
	"recordsize":  {types: "number string", only: "TLS", allows: "512 to 16384", take: number(512, maxData, func(o *Options) *int { return &o.records.size })},
	"recordlimit": {types: "number string", allows: "64 to 16385", take: number(64, maxData+1, func(o *Options) *int { return &o.records.limit })},
	"maxfragment": {types: "number string", only: "clients", allows: "512, 1024, 2048 or 4096", take: func(o *Options, value string) error {
		n, ok := count(value, 512, 4096)
		o.records.fragment = n
		return allowed(ok && n&(n-1) == 0)
	}},
	"compression": {types: "string table", allows: compressorNames(), take: named(compressorNamed, func(o *Options) *[]hermetic.CertificateCompressor { return &o.compressors })},
	"mtu":         {types: "number string", only: "DTLS", allows: "128 to 65535", take: number(1, 1<<16-1, func(o *Options) *int { return &o.dtls.mtu })},
	"cid": {types: "number string", only: "DTLS", allows: "0 to 255", take: func(o *Options, value string) error {
		o.dtls.cidSet = true
		return number(0, 255, func(o *Options) *int { return &o.dtls.cid })(o, value)
	}},
	"srtp": {types: "string table", only: "DTLS", allows: srtpNames(), take: named(srtpID, func(o *Options) *[]uint16 { return &o.dtls.srtp })},
	"cookiesecret": {types: "string", only: "DTLS servers", allows: "16 bytes or more", secret: true, take: func(o *Options, value string) error {
		o.dtls.secret = []byte(value)
		return allowed(len(value) >= 16)
	}},
	"psk": {types: "table"},
	"psk.identity": {types: "string", allows: "1 byte or more", take: func(o *Options, value string) error {
		o.psk.Identity = []byte(value)
		return allowed(value != "")
	}},
	"psk.key": {types: "string", allows: "1 to 64 bytes", take: func(o *Options, value string) error {
		o.psk.Key = []byte(value)
		return allowed(value != "")
	}},
	"psk.import": {types: "boolean", take: truth(func(o *Options) *bool { return &o.psk.Import })},
	"psk.context": {types: "string", take: func(o *Options, value string) error {
		o.psk.Context = []byte(value)
		return nil
	}},
	"sessions": {types: "number string boolean", only: "clients", allows: "0 to 1048575, or true", take: func(o *Options, value string) error {
		if o.resume.program = value == "true"; o.resume.program || value == "false" {
			return nil
		}
		return number(0, 1<<20-1, func(o *Options) *int { return &o.resume.sessions })(o, value)
	}},
	"session": {types: "string", only: "clients", allows: "the name of a file", take: text(1, func(o *Options) *string { return &o.resume.file })},
	"earlydata": {types: "number string boolean", allows: "true or false on a client, a number of bytes on a server", take: func(o *Options, value string) error {
		if o.resume.early = value == "true"; o.resume.early || value == "false" {
			return nil
		}
		return number(0, math.MaxInt32, func(o *Options) *int { return &o.resume.maxEarly })(o, value)
	}},
	"tickets": {types: "boolean", only: "servers", take: func(o *Options, value string) error {
		o.resume.noTickets = value == "false"
		return nil
	}},
	"ticketcount": {types: "number string", only: "servers", allows: "1 to 16", take: number(1, 16, func(o *Options) *int { return &o.resume.tickets })},
	"ticketlifetime": {types: "number string", only: "servers", allows: "1 to 604800 seconds", take: func(o *Options, value string) error {
		n, ok := count(value, 1, 7*24*60*60)
		o.resume.lifetime = time.Duration(n) * time.Second
		return allowed(ok)
	}},
	"ticketkeys": {types: "string table", only: "servers", allows: "32 bytes each", secret: true, take: func(o *Options, value string) error {
		var key hermetic.TicketKey
		o.resume.keys = append(o.resume.keys, key)
		return allowed(copy(o.resume.keys[len(o.resume.keys)-1][:], value) == len(key) && len(value) == len(key))
	}},
	"keylog": {types: "string", allows: "the name of a file", take: text(1, func(o *Options) *string { return &o.keylog })},
}
