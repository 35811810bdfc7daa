package mbedtls

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

func TestOptions(t *testing.T) {
	tests := []struct {
		name    string
		options string // key=value, separated by spaces
		err     string
	}{
		{"a mode is enough", "mode=tls-client", ""},
		{"no mode", "hostname=x", "option 'mode' is missing"},
		{"an unknown mode", "mode=tls", "invalid option 'tls' for 'mode'"},
		{"an unknown option", "mode=tls-client color=red", "unknown option 'color'"},
		{"versions", "mode=tls-client versions=1.2 versions=1.3", ""},
		{"versions in full", "mode=dtls-client versions=DTLS1.2", "invalid option 'DTLS1.2' for 'versions'"},
		{"an old version", "mode=tls-client versions=1.1", "invalid option '1.1' for 'versions'"},
		{"groups in any case", "mode=tls-client groups=x25519 groups=SECP256R1", ""},
		{"a cipher suite", "mode=tls-client ciphers=TLS_AES_128_CCM_SHA256", ""},
		{"a weak cipher suite", "mode=tls-client ciphers=TLS_RSA_WITH_RC4_128_SHA", "invalid option"},
		{"verify without whom to trust", "mode=tls-client verify=true", "needs 'cacert' or 'hostname'"},
		{"verify by the system's roots", "mode=tls-client verify=true hostname=example.com", ""},
		{"an optional server", "mode=tls-client verify=optional", "invalid option 'optional'"},
		{"a server's name for itself", "mode=tls-server hostname=x", "is for clients"},
		{"an MTU", "mode=dtls-client mtu=1400", ""},
		{"no MTU", "mode=dtls-client mtu=0", "invalid option '0' for 'mtu'"},
		{"a small MTU", "mode=dtls-client mtu=127", "option 'mtu': 127 is less than 128"},
		{"whom may a client be", "mode=tls-server verify=required", "needs 'cacert'"},
		{"a missing file", "mode=tls-client cacert=/nowhere", "/nowhere: can't parse CA certificate"},
		{"a file and a memory of sessions", "mode=tls-client session=x sessions=0", "options 'session' and 'sessions' exclude each other"},
		{"a session nowhere", "mode=tls-client session=/no/where", "option 'session': /no/where: no file can be written there"},
		{"early data with sessions", "mode=tls-client sessions=1 earlydata=true", ""},
		{"early data without", "mode=tls-client sessions=0 earlydata=true", "option 'earlydata' needs 'session'"},
		{"early data without tickets", "mode=tls-server tickets=false earlydata=1", "options 'earlydata' and 'tickets = false' exclude"},
		{"early data in TLS 1.2", "mode=tls-server versions=1.2 earlydata=1", "option 'earlydata' needs version 1.3"},
		{"no early data in TLS 1.2", "mode=tls-server versions=1.2 earlydata=0", ""},
		{"a policy", "mode=tls-client policy=fips", ""},
		{"a policy of DTLS", "mode=dtls-server policy=cnsa2", ""},
		{"a policy in capitals", "mode=tls-client policy=FIPS", "invalid option 'FIPS' for 'policy': it must be fips, wpa3, cnsa1 or cnsa2"},
		{"no policy", "mode=tls-client policy=", "invalid option '' for 'policy'"},
		{"a policy with what it permits", "mode=tls-client policy=wpa3 groups=P-384 ciphers=TLS_AES_256_GCM_SHA384", ""},
		{"a policy and groups", "mode=tls-client groups=X25519 policy=fips", "option 'groups': X25519 is forbidden by policy (FIPS 140-3)"},
		{"a policy and ciphers", "mode=tls-client policy=cnsa1 ciphers=TLS_AES_128_GCM_SHA256", "option 'ciphers': TLS_AES_128_GCM_SHA256 is forbidden by policy"},
		{"a policy and signatures", "mode=tls-client policy=fips signatures=Ed25519", "option 'signatures': Ed25519 is forbidden by policy"},
		{"a policy and versions", "mode=tls-client policy=cnsa2 versions=1.2", "option 'versions': TLS 1.2 is forbidden by policy (CNSA 2.0)"},
		{"a policy and key shares", "mode=tls-client policy=cnsa1 keyshares=X25519", "option 'keyshares'"},
		{"a policy and early data", "mode=tls-client policy=cnsa1 sessions=1 earlydata=true", "option 'earlydata': it is forbidden by policy (CNSA 1.0)"},
		{"a policy and a server's early data", "mode=tls-server policy=cnsa1 earlydata=1", "option 'earlydata': it is forbidden by policy"},
		{"OCSP", "mode=dtls-client ocsp=must-staple hostname=example.com verify=true", ""},
		{"OCSP of a server that is not verified", "mode=tls-client ocsp=stapled hostname=example.com", "option 'ocsp' needs a server that is verified"},
		{"OCSP of clients", "mode=tls-server ocsp=require", "option 'ocsp' is for clients"},
		{"some OCSP", "mode=tls-client ocsp=none", "invalid option 'none' for 'ocsp': it must be stapled, must-staple or require"},
		{"a key log nowhere", "mode=tls-client keylog=/no/where", "/no/where: can't open key log"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := Options{Table: true}
			var err error
			for option := range strings.FieldsSeq(test.options) {
				key, value, _ := strings.Cut(option, "=")
				if err = o.Set(key, strings.Fields(known[key].types + " string")[0], value); err != nil {
					break
				}
			}
			if err == nil {
				_, err = o.Config()
			}
			switch {
			case err == nil && test.err != "":
				t.Errorf("no error, want %q", test.err)
			case err != nil && (test.err == "" || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %q, want %q", err, test.err)
			}
		})
	}
}

func TestVersionsAreARange(t *testing.T) {
	var o Options
	o.Set("mode", "string", "tls-client")
	o.Set("versions", "string", "1.3")
	o.Set("versions", "string", "TLS 1.2")
	c, err := o.Config()
	if err != nil || c.config.MinVersion != tls.VersionTLS12 || c.config.MaxVersion != tls.VersionTLS13 {
		t.Errorf("%x to %x, %v", c.config.MinVersion, c.config.MaxVersion, err)
	}
}

// TestPoliciesAreThePresets: newconfig's names are those of ParsePolicy, which lists them in its error.
func TestPoliciesAreThePresets(t *testing.T) {
	_, err := hermetic.ParsePolicy("")
	_, presets, ok := strings.Cut(err.Error(), "none of ")
	if names := strings.Split(presets, ", "); !ok || alternatives(names) != known["policy"].allows {
		t.Errorf("%v, but the option allows %s", err, known["policy"].allows)
	}
	c := made(t, [2]string{"policy", "cnsa2"}, [2]string{"ocsp", "require"}, [2]string{"verify", "true"}, [2]string{"hostname", "localhost"}).config
	if c.Policy == nil || c.Policy.Name != "CNSA 2.0" || c.OCSPCheck != hermetic.OCSPCheckRequire {
		t.Errorf("the configuration has the policy %v and OCSPCheck %v", c.Policy, c.OCSPCheck)
	}
}
