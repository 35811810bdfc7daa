package interop

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// datagramPeer is another implementation of DTLS, in the role that hermetic
// does not have.
type datagramPeer interface {
	name() string
	// prepare says what is not installed, or "".
	prepare(t *testing.T) (missing string)
	speaks(version uint16) bool
	// cannot says why a cell is not for this peer, or "".
	cannot(c datagramCell, server bool) string
	// start starts it, at the port or for the server there. echoes: it sends back
	// what it receives; otherwise it copies to and from its standard streams.
	start(t *testing.T, c datagramCell, f files, server bool, port int) (p *process, echoes bool)
}

var (
	mbedTLS = &compiled{title: "mbed TLS", source: "mbedtls", flags: []string{"-lmbedtls", "-lmbedx509", "-lmbedcrypto"}}
	wolfSSL = &compiled{title: "wolfSSL", source: "wolfssl", flags: []string{"-lwolfssl"}}
	nss     = &compiled{title: "NSS", source: "nss", flags: []string{"-I/usr/include/nss", "-I/usr/include/nspr", "-lssl3", "-lnss3", "-lnssutil3", "-lnspr4"}}
)

var datagramPeers = []datagramPeer{
	datagramOpenSSL{}, datagramGnuTLS{}, mbedTLS, wolfSSL, nss, pion{}, pion4{},
}

func notInstalled(programs ...string) string {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return p + " is not installed"
		}
	}
	return ""
}

// datagramOpenSSL is OpenSSL's s_server and s_client.
type datagramOpenSSL struct{}

func (datagramOpenSSL) name() string              { return "OpenSSL" }
func (datagramOpenSSL) prepare(*testing.T) string { return notInstalled("openssl") }

func (datagramOpenSSL) speaks(version uint16) bool { return version == tls.VersionTLS12 }

func (datagramOpenSSL) cannot(c datagramCell, server bool) string {
	switch {
	case c.limit != 0:
		return noLimit
	case c.cids != "":
		return noCIDs
	case server && c.kind == pkitest.Ed25519:
		return "its server has no Ed25519 in DTLS"
	}
	return ""
}

func (datagramOpenSSL) start(t *testing.T, c datagramCell, f files, server bool, port int) (*process, bool) {
	at := fmt.Sprintf("127.0.0.1:%d", port)
	args := []string{"s_client", "-connect", at, "-nocommands", "-verify_return_error", "-verify_hostname", "localhost"}
	if server {
		args = []string{"s_server", "-accept", at}
		if c.cookies {
			args = append(args, "-listen")
		}
		if c.mutual {
			args = append(args, "-Verify", "2", "-verify_return_error")
		}
	}
	if c.fragments != 0 && !server {
		args = append(args, "-maxfraglen", fmt.Sprint(c.fragments))
	}
	args = append(args, "-dtls1_2", "-quiet", "-cert", f.cert, "-key", f.key, "-CAfile", f.ca)
	if c.mtu > 0 {
		args = append(args, "-mtu", fmt.Sprint(c.mtu))
	}
	if c.suite != 0 {
		args = append(args, "-cipher", "@SECLEVEL=0:"+opensslNames[c.suite])
	}
	return start(t, "openssl", args...), false
}

// datagramGnuTLS is gnutls-serv and gnutls-cli.
type datagramGnuTLS struct{}

func (datagramGnuTLS) name() string              { return "GnuTLS" }
func (datagramGnuTLS) prepare(*testing.T) string { return notInstalled("gnutls-serv", "gnutls-cli") }

func (datagramGnuTLS) speaks(version uint16) bool { return version == tls.VersionTLS12 }

func (datagramGnuTLS) cannot(c datagramCell, server bool) string {
	switch {
	case c.fragments != 0:
		return prefersLimit
	case c.limit == 512:
		return "reads one record of a datagram, which may have several"
	case c.cids != "":
		return noCIDs
	case c.unproved && !server:
		return noRepeat
	}
	return ""
}

const (
	noCIDs       = "no connection IDs"
	noLimit      = "no record_size_limit"
	noFragments  = "no max_fragment_length"
	prefersLimit = "prefers record_size_limit"
)

// noRepeat: with it, a server that does not trust the address waits forever.
const noRepeat = "does not repeat its hello when it has a part of the answer"

func (datagramGnuTLS) start(t *testing.T, c datagramCell, f files, server bool, port int) (*process, bool) {
	priority := strings.Replace(gnutls{}.priority(c.cell), "VERS-TLS1.2", "VERS-DTLS1.2", 1)
	args := []string{"--udp", "--port", fmt.Sprint(port), "--priority", priority, "--x509cafile", f.ca}
	if c.mtu > 0 {
		args = append(args, "--mtu", fmt.Sprint(c.mtu))
	}
	args = append(args, gnutls{}.sizes(c.cell)...)
	if !server {
		args = append(args, "--logfile", "/dev/null")
		if c.mutual {
			args = append(args, "--x509certfile", f.cert, "--x509keyfile", f.key)
		}
		return start(t, "gnutls-cli", append(args, "127.0.0.1")...), false
	}
	args = append(args, "--echo", "--quiet", "--x509certfile", f.cert, "--x509keyfile", f.key)
	if !c.cookies {
		args = append(args, "--nocookie")
	}
	if c.mutual {
		args = append(args, "--require-client-cert", "--verify-client-cert")
	} else {
		args = append(args, "--disable-client-cert")
	}
	return start(t, "gnutls-serv", args...), true
}

// compiled is a program of ours on another library, in testdata.
type compiled struct {
	title, source string
	flags         []string
	program       string
}

func (p *compiled) name() string { return p.title }

func (p *compiled) prepare(t *testing.T) string {
	if why := notInstalled("cc"); why != "" {
		return why
	}
	if p.source == "nss" && p.libraries() == "" {
		return "HERMETIC_NSS names no folder with a NSS that has DTLS 1.3"
	}
	p.program = filepath.Join(t.TempDir(), p.source)
	args := append([]string{"-Wall", "-Wextra", "-Werror", "-o", p.program, filepath.Join("testdata", p.source+".c")}, p.flags...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "No such file") {
			return p.title + "'s headers are not installed"
		}
		t.Fatalf("%s: %s", p.title, out)
	}
	return ""
}

func (p *compiled) speaks(version uint16) bool {
	return version == tls.VersionTLS12 || p.source == "nss"
}

func (p *compiled) cannot(c datagramCell, server bool) string {
	isNSS := p.source == "nss"
	switch {
	case !isNSS && c.limit != 0:
		return noLimit
	case isNSS && c.fragments != 0:
		return noFragments
	case (isNSS || p.source == "mbedtls") && c.kind == pkitest.Ed25519:
		return "no Ed25519"
	case isNSS && !server && c.unproved && c.version == tls.VersionTLS12:
		return noRepeat
	case isNSS && !server && c.kind == pkitest.RSA2048:
		return "wants keyEncipherment of RSA keys"
	case p.source == "wolfssl" && c.loss > 0:
		return "5.5 ends the handshake at the first loss, by an alert or its timeout"
	case p.source == "wolfssl" && c.suite == 0xc0ad:
		return "no AES-256-CCM"
	case isNSS && strings.Contains(hermetic.CipherSuiteName(c.suite), "CCM"):
		return "no CCM"
	case c.cids != "":
		return noCIDs
	}
	return ""
}

// libraries is where the program's libraries are, where not among the system's:
// Debian's NSS has an older draft of DTLS 1.3, that of its Firefox the final one.
func (p *compiled) libraries() string {
	if p.source == "nss" {
		return os.Getenv("HERMETIC_NSS")
	}
	return ""
}

// suite is the library's name for a cipher suite.
func (p *compiled) suite(id uint16) string {
	switch {
	case id == 0:
		return ""
	case p.source == "mbedtls":
		return strings.ReplaceAll(hermetic.CipherSuiteName(id), "_", "-")
	case p.source == "wolfssl" && id>>8 == 0x13:
		return strings.NewReplacer("TLS_", "TLS13-", "AES_", "AES", "_", "-").Replace(hermetic.CipherSuiteName(id))
	case p.source == "wolfssl" && id == 0xd001:
		return "ECDHE-PSK-AES128-GCM-SHA256"
	case p.source == "wolfssl":
		return strings.Replace(opensslNames[id], "CCM8", "CCM-8", 1)
	}
	return hermetic.CipherSuiteName(id)
}

func (p *compiled) start(t *testing.T, c datagramCell, f files, server bool, port int) (*process, bool) {
	return p.run(t, p.arguments(c, f, server, port)), true
}

// arguments are those of a cell, as testdata/peer.h has them.
func (p *compiled) arguments(c datagramCell, f files, server bool, port int) []string {
	role, version, group := "client", "1.3", ""
	if server {
		role = "server"
	}
	if c.version == tls.VersionTLS12 {
		version = "1.2"
	}
	switch {
	case c.retry && server:
		group = "P-384"
	case c.cookies && !server && c.version == tls.VersionTLS13:
		group = "X25519" // an ML-KEM key share makes two datagrams of a hello
	}
	bit := map[bool]string{true: "1", false: "0"}
	fragments := c.fragments
	if server {
		fragments = 0 // it answers
	}
	return []string{role, fmt.Sprint(port), fmt.Sprintf("limit=%d", c.limit), fmt.Sprintf("fragments=%d", fragments), "ca=" + f.ca, "cert=" + f.cert, "key=" + f.key, "version=" + version, fmt.Sprintf("mtu=%d", c.mtu),
		"mutual=" + bit[c.mutual], "cookies=" + bit[c.cookies], "suite=" + p.suite(c.suite), "group=" + group}
}

func (p *compiled) run(t *testing.T, args []string) *process {
	return start(t, "env", append([]string{"LD_LIBRARY_PATH=" + p.libraries(), p.program}, args...)...)
}
