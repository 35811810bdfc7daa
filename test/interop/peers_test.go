package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// peer is another implementation. It receives and sends size bytes, in the
// role that hermetic does not have.
type peer interface {
	name() string
	// cannot says why a cell is not for this peer, or "".
	cannot(c cell) string
	// serve and connect start the peer; wait checks what it received.
	serve(t *testing.T, c cell, f files, port int) (wait func() error)
	connect(t *testing.T, c cell, f files, port int) (wait func() error)
}

var peers = []peer{goTLS{}, openssl{}, gnutls{}, node{}}

// process is a running peer: what it reads comes from us, what it writes is
// collected.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
	met    func(net.Conn) // called by a peer in this process when a handshake is complete; or nil
}

type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// start runs a program and writes size bytes to its standard input.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*patience)
	p := &process{cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = locked{&p.mu, &p.stdout}, locked{&p.mu, &p.stderr}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		p.stdin.Close()
		p.cmd.Wait()
	})
	return p
}

// feed writes the peer's data to its standard input.
func (p *process) feed() { go p.stdin.Write(payload) }

// received waits until the peer has written the payload.
func (p *process) received() error {
	before := -1
	for deadline := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		n, ok := p.stdout.Len(), bytes.Contains(p.stdout.Bytes(), payload)
		p.mu.Unlock()
		if ok {
			return nil
		}
		if n != before {
			before, deadline = n, time.Now().Add(patience)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the peer has received %d bytes: %s", n, p.log())
		}
	}
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	log := p.stderr.String()
	return log[max(0, len(log)-1500):]
}

// files are the certificates in PEM.
type files struct{ ca, cert, key string }

// openssl is OpenSSL's s_client and s_server.
type openssl struct{}

func (openssl) name() string { return "OpenSSL" }

func (openssl) cannot(c cell) string {
	switch {
	case c.postQuantum():
		return "post-quantum algorithms need OpenSSL 3.5"
	case c.rawKeys:
		return "raw public keys need OpenSSL 3.2"
	case c.limit != 0:
		return "no record_size_limit"
	case c.compress != "":
		return "certificate compression needs OpenSSL 3.2"
	}
	return ""
}

func (openssl) common(c cell, f files) []string {
	args := []string{"-quiet", "-cert", f.cert, "-key", f.key, "-CAfile", f.ca}
	if c.version == tls.VersionTLS12 {
		args = append(args, "-tls1_2")
	} else {
		args = append(args, "-tls1_3")
	}
	if c.group != 0 {
		args = append(args, "-groups", map[tls.CurveID]string{tls.X25519: "X25519", tls.CurveP256: "P-256", tls.CurveP384: "P-384", tls.CurveP521: "P-521"}[c.group])
	}
	if c.suite != 0 {
		if c.version == tls.VersionTLS13 {
			args = append(args, "-ciphersuites", hermetic.CipherSuiteName(c.suite))
		} else {
			args = append(args, "-cipher", "@SECLEVEL=0:"+opensslNames[c.suite])
		}
	}
	return args
}

// opensslNames are OpenSSL's names of TLS 1.2 cipher suites.
var opensslNames = map[uint16]string{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	0x00a8: "PSK-AES128-GCM-SHA256", 0x00a9: "PSK-AES256-GCM-SHA384", 0xccab: "PSK-CHACHA20-POLY1305", 0xccac: "ECDHE-PSK-CHACHA20-POLY1305",
	0xc0a4: "PSK-AES128-CCM", 0xc0a5: "PSK-AES256-CCM", 0xc0a8: "PSK-AES128-CCM8", 0xc0a9: "PSK-AES256-CCM8",
	0xc0ac: "ECDHE-ECDSA-AES128-CCM", 0xc0ad: "ECDHE-ECDSA-AES256-CCM", 0xc0ae: "ECDHE-ECDSA-AES128-CCM8", 0xc0af: "ECDHE-ECDSA-AES256-CCM8",
}

func (o openssl) serve(t *testing.T, c cell, f files, port int) func() error {
	args := append([]string{"s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-alpn", "echo"}, o.common(c, f)...)
	if c.mutual {
		args = append(args, "-Verify", "2", "-verify_return_error")
	}
	p := start(t, "openssl", args...)
	p.feed()
	return p.received
}

func (o openssl) connect(t *testing.T, c cell, f files, port int) func() error {
	args := append([]string{"s_client", "-connect", fmt.Sprintf("127.0.0.1:%d", port), "-servername", "localhost", "-verify_hostname", "localhost",
		"-verify_return_error", "-alpn", "echo", "-nocommands"}, o.common(c, f)...)
	if c.fragments != 0 {
		args = append(args, "-maxfraglen", fmt.Sprint(c.fragments))
	}
	p := start(t, "openssl", args...)
	p.feed()
	return p.received
}

// gnutls is gnutls-cli and gnutls-serv.
type gnutls struct{}

func (gnutls) name() string { return "GnuTLS" }

func (gnutls) cannot(c cell) string {
	switch {
	case c.postQuantum():
		return "post-quantum algorithms need GnuTLS 3.8.9"
	case c.fragments != 0:
		return "prefers record_size_limit"
	case c.compress != "":
		return "Debian builds it without certificate compression"
	}
	return ""
}

func (gnutls) priority(c cell) string {
	p := []string{"NORMAL", "-VERS-ALL", "+VERS-TLS1.3"}
	if c.version == tls.VersionTLS12 {
		p[2] = "+VERS-TLS1.2"
	}
	if c.group != 0 {
		p = append(p, "-GROUP-ALL", "+GROUP-"+map[tls.CurveID]string{tls.X25519: "X25519", tls.CurveP256: "SECP256R1", tls.CurveP384: "SECP384R1", tls.CurveP521: "SECP521R1"}[c.group])
	}
	if name := hermetic.CipherSuiteName(c.suite); c.suite != 0 {
		for _, cipher := range []string{"AES_128_GCM:AES-128-GCM", "AES_256_GCM:AES-256-GCM", "CHACHA20:CHACHA20-POLY1305", "AES_128_CCM_8:AES-128-CCM-8", "AES_256_CCM_8:AES-256-CCM-8", "AES_128_CCM:AES-128-CCM", "AES_256_CCM:AES-256-CCM"} {
			part, theirs, _ := strings.Cut(cipher, ":")
			if strings.Contains(name, part) {
				p = append(p, "-CIPHER-ALL", "+"+theirs)
				break
			}
		}
	}
	if c.rawKeys {
		p = append(p, "-CTYPE-ALL", "+CTYPE-CLI-RAWPK", "+CTYPE-SRV-RAWPK")
	}
	return strings.Join(p, ":")
}

func (g gnutls) serve(t *testing.T, c cell, f files, port int) func() error {
	args := []string{"--echo", "--quiet", "--port", fmt.Sprint(port), "--priority", g.priority(c), "--alpn", "echo"}
	if c.rawKeys {
		args = append(args, "--rawpkkeyfile", f.key, "--rawpkfile", rawKeyFile(t, f))
	} else {
		args = append(args, "--x509certfile", f.cert, "--x509keyfile", f.key, "--x509cafile", f.ca)
	}
	if c.mutual {
		args = append(args, "--require-client-cert", "--verify-client-cert")
	} else {
		args = append(args, "--disable-client-cert")
	}
	start(t, "gnutls-serv", append(args, g.sizes(c)...)...)
	return func() error { return nil } // it echoes: what we receive is what it received
}

func (g gnutls) connect(t *testing.T, c cell, f files, port int) func() error {
	args := []string{"--port", fmt.Sprint(port), "--priority", g.priority(c), "--alpn", "echo", "--logfile", "/dev/null"}
	if c.rawKeys {
		args = append(args, "--rawpkkeyfile", f.key, "--rawpkfile", rawKeyFile(t, f), "--no-ca-verification")
	} else {
		args = append(args, "--x509cafile", f.ca)
	}
	if c.mutual {
		args = append(args, "--x509certfile", f.cert, "--x509keyfile", f.key)
	}
	p := start(t, "gnutls-cli", append(append(args, g.sizes(c)...), "localhost")...)
	p.feed()
	return p.received
}

// sizes are the arguments that make messages smaller.
func (gnutls) sizes(c cell) (args []string) {
	if c.limit != 0 {
		args = append(args, "--recordsize", fmt.Sprint(c.limit))
	}
	if c.compress != "" {
		args = append(args, "--compress-cert", c.compress)
	}
	return args
}

// rawKeyFile has the public key alone.
func rawKeyFile(t *testing.T, f files) string {
	name := filepath.Join(t.TempDir(), "public.pem")
	out, err := exec.Command("openssl", "pkey", "-in", f.key, "-pubout").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// goTLS is crypto/tls.
type goTLS struct{}

func (goTLS) name() string { return "crypto/tls" }

func (goTLS) cannot(c cell) string {
	switch {
	case c.limit != 0 || c.fragments != 0 || c.compress != "":
		return "crypto/tls has neither limits nor compression"
	case c.rawKeys:
		return "crypto/tls has no raw public keys"
	case c.group == hermetic.MLKEM1024:
		return "crypto/tls has ML-KEM only in hybrids"
	case strings.Contains(hermetic.CipherSuiteName(c.suite), "CCM"):
		return "crypto/tls has no CCM"
	case c.suite != 0 && c.version == tls.VersionTLS13 && c.suite != tls.TLS_AES_128_GCM_SHA256:
		return ""
	}
	return ""
}

func (goTLS) config(t *testing.T, c cell, f files) *tls.Config {
	cert, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(f.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	cfg := &tls.Config{RootCAs: pool, ClientCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{cert},
		MinVersion: c.version, MaxVersion: c.version, NextProtos: []string{"echo"}}
	if c.group != 0 {
		cfg.CurvePreferences = []tls.CurveID{c.group}
	}
	if c.suite != 0 && c.version == tls.VersionTLS12 {
		cfg.CipherSuites = []uint16{c.suite}
	}
	if c.mutual {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg
}

// exchange sends and receives the payload at the same time.
func exchange(conn *tls.Conn) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(payload)
		sent <- err
	}()
	got := make([]byte, len(payload))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if !bytes.Equal(got, payload) {
		return fmt.Errorf("other bytes were received")
	}
	return <-sent
}

func (g goTLS) serve(t *testing.T, c cell, f files, port int) func() error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = exchange(tls.Server(conn, g.config(t, c, f)))
		}
		done <- err
	}()
	return func() error { return <-done }
}

func (g goTLS) connect(t *testing.T, c cell, f files, port int) func() error {
	done := make(chan error, 1)
	go func() {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			err = exchange(tls.Client(conn, g.config(t, c, f)))
		}
		done <- err
	}()
	return func() error { return <-done }
}
