package interop

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/certcompress"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// payload goes each way in every cell.
var payload = bytes.Repeat([]byte("hermetic interop: one line of 32\n"), (1<<20)/33+1)[:1<<20]

// cell is one way to make a connection.
type cell struct {
	what      string
	version   uint16
	kind      string // of the key
	group     tls.CurveID
	suite     uint16
	mutual    bool
	retry     bool // by HelloRetryRequest
	keyUpdate bool
	rawKeys   bool
	limit     int    // record_size_limit of both sides
	fragments int    // a client's max_fragment_length
	compress  string // both compress their certificates with that algorithm
	async     bool
}

// cells are all versions with all kinds of keys, and variations of one thing at
// a time.
func cells() (list []cell) {
	add := func(c cell) { list = append(list, c) }
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, kind := range pkitest.Kinds {
			add(cell{what: kind, version: v, kind: kind})
		}
		add(cell{what: "mutual", version: v, mutual: true})
		add(cell{what: "mutual, RSA", version: v, mutual: true, kind: pkitest.RSA2048})
		add(cell{what: "asynchronous key", version: v, async: true})
		for _, g := range []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
			add(cell{what: g.String(), version: v, group: g, kind: pkitest.RSA2048})
		}
		for _, s := range tls.CipherSuites() {
			if slices.Contains(s.SupportedVersions, v) && (strings.Contains(s.Name, "GCM") || strings.Contains(s.Name, "CHACHA")) && (v == tls.VersionTLS13 || strings.Contains(s.Name, "ECDHE")) {
				kind := pkitest.P256
				if strings.Contains(s.Name, "RSA") {
					kind = pkitest.RSA2048
				}
				add(cell{what: s.Name, version: v, suite: s.ID, kind: kind})
			}
		}
	}
	for _, v := range versions {
		for _, n := range []int{512, 1000} {
			add(cell{what: fmt.Sprintf("record_size_limit %d", n), version: v, limit: n, mutual: true})
		}
		for _, n := range []int{512, 4096} {
			add(cell{what: fmt.Sprintf("max_fragment_length %d", n), version: v, fragments: n, mutual: true})
		}
	}
	for _, name := range []string{"zlib", "brotli", "zstd"} {
		add(cell{what: "certificates compressed with " + name, version: tls.VersionTLS13, compress: name, mutual: true, kind: pkitest.RSA2048})
	}
	for _, id := range []uint16{0xc0ac, 0xc0ad, 0xc0ae, 0xc0af} {
		add(cell{what: hermetic.CipherSuiteName(id), version: tls.VersionTLS12, suite: id})
	}
	for _, id := range []uint16{0x1304, 0x1305} {
		add(cell{what: hermetic.CipherSuiteName(id), version: tls.VersionTLS13, suite: id})
	}
	for _, g := range []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, hermetic.MLKEM1024} {
		add(cell{what: hermetic.GroupName(g), version: tls.VersionTLS13, group: g})
	}
	for _, kind := range pkitest.PostQuantum {
		add(cell{what: kind, version: tls.VersionTLS13, kind: kind})
	}
	add(cell{what: "HelloRetryRequest", version: tls.VersionTLS13, group: tls.CurveP384, retry: true})
	add(cell{what: "KeyUpdate", version: tls.VersionTLS13, keyUpdate: true})
	add(cell{what: "raw public keys", version: tls.VersionTLS13, rawKeys: true})
	return list
}

// postQuantum reports whether the group has ML-KEM, or the certificate ML-DSA.
func (c cell) postQuantum() bool {
	return c.group > 500 || slices.Contains(pkitest.PostQuantum, c.kind)
}

// table collects the results.
type table struct {
	mu   sync.Mutex
	rows map[string]map[string]string
	keys []string
}

func (m *table) set(row, column, result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows[row] == nil {
		if m.rows == nil {
			m.rows = map[string]map[string]string{}
		}
		m.rows[row] = map[string]string{}
		m.keys = append(m.keys, row)
	}
	m.rows[row][column] = result
}

// print writes the matrix; reasons stand below it.
func (m *table) print(columns []string) {
	fmt.Printf("\n%-56s", "hermetic against")
	for _, c := range columns {
		fmt.Printf(" %-21s", c)
	}
	fmt.Println()
	slices.Sort(m.keys)
	var reasons []string
	for _, row := range m.keys {
		fmt.Printf("%-56s", row)
		for _, c := range columns {
			result := m.rows[row][c]
			if result != "ok" && result != "FAILED" && result != "" {
				if !slices.Contains(reasons, result) {
					reasons = append(reasons, result)
				}
				result = fmt.Sprintf("- (%d)", slices.Index(reasons, result)+1)
			}
			fmt.Printf(" %-21s", result)
		}
		fmt.Println()
	}
	for i, r := range reasons {
		fmt.Printf("(%d) %s\n", i+1, r)
	}
}

// authority is shared by all cells; its files are written once.
type authority struct {
	ca *pkitest.Authority
}

func (a *authority) files(t *testing.T, kind string) (files, tls.Certificate) {
	leaf := a.ca.Leaf(t, pkitest.Options{Kind: kind})
	chain, key := pkitest.PEM(t, leaf)
	dir := t.TempDir()
	f := files{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.ca.Certificate.Raw})
	for name, data := range map[string][]byte{f.ca: ca, f.cert: chain, f.key: key} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f, leaf
}

// available reports whether the peer's programs are there. Under CI a peer that
// can be installed must be.
func available(t *testing.T, p peer) bool {
	if n, ok := p.(node); ok && n.program() == "" {
		if os.Getenv("CI") == "true" {
			t.Error("HERMETIC_NODE names no Node.js with OpenSSL 3.5")
		}
		t.Log("HERMETIC_NODE names no Node.js with OpenSSL 3.5: no cells with it")
		return false
	}
	for _, program := range map[string][]string{"OpenSSL": {"openssl"}, "GnuTLS": {"gnutls-cli", "gnutls-serv"}}[p.name()] {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Errorf("%s is not installed", program)
			}
			t.Logf("%s is not installed: no cells with %s", program, p.name())
			return false
		}
	}
	return true
}

func TestMatrix(t *testing.T) {
	a := &authority{ca: pkitest.CA(t)}
	var m table
	var columns []string
	for _, p := range peers {
		columns = append(columns, p.name()+" server", p.name()+" client")
	}
	t.Run("cells", func(t *testing.T) {
		for _, p := range peers {
			if !available(t, p) {
				continue
			}
			for _, c := range cells() {
				row := tls.VersionName(c.version) + " " + c.what
				for _, role := range []hermetic.Mode{hermetic.TLSClient, hermetic.TLSServer} {
					column := p.name() + map[hermetic.Mode]string{hermetic.TLSClient: " server", hermetic.TLSServer: " client"}[role]
					if why := p.cannot(c); why != "" {
						m.set(row, column, why)
						continue
					}
					t.Run(fmt.Sprintf("%s/%s", column, row), func(t *testing.T) {
						t.Parallel()
						m.set(row, column, "FAILED")
						run(t, p, c, role, a)
						if !t.Failed() {
							m.set(row, column, "ok")
						}
					})
				}
			}
		}
	})
	m.print(columns)
}

// config is hermetic's side of a cell.
func (c cell) config(a *authority, leaf tls.Certificate, role hermetic.Mode) *hermetic.Config {
	cfg := &hermetic.Config{RootCAs: a.ca.Pool(), ServerName: "localhost", MinVersion: c.version, MaxVersion: c.version, NextProtos: []string{"echo"}}
	cfg.Time = func() time.Time { return time.Now() }
	if role == hermetic.TLSServer || c.mutual || c.rawKeys {
		cfg.Certificates = []tls.Certificate{leaf}
	}
	if c.mutual && role == hermetic.TLSServer {
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, a.ca.Pool()
	}
	if c.group != 0 {
		cfg.CurvePreferences = []tls.CurveID{c.group}
	}
	if c.retry {
		cfg.CurvePreferences = []tls.CurveID{tls.X25519, c.group}
		cfg.KeyShares = []tls.CurveID{tls.X25519}
		if role == hermetic.TLSServer {
			cfg.CurvePreferences, cfg.KeyShares = []tls.CurveID{c.group}, nil
		}
	}
	if c.suite != 0 {
		cfg.CipherSuites = []uint16{c.suite}
	}
	if c.rawKeys {
		cfg.Certificates[0].Certificate = nil
		cfg.PeerCertificateTypes = []hermetic.CertificateType{hermetic.CertificateRawPublicKey}
		cfg.PeerPublicKeys = []crypto.PublicKey{leaf.PrivateKey.(crypto.Signer).Public()}
	}
	c.sizes(cfg, role)
	if c.async {
		cfg.Async = hermetic.AsyncSign | hermetic.AsyncChoose | hermetic.AsyncVerify
	}
	return cfg
}

// sizes sets what makes messages smaller. Our limit is another than the peer's.
func (c cell) sizes(cfg *hermetic.Config, role hermetic.Mode) {
	if c.limit != 0 {
		cfg.RecordSizeLimit = c.limit + 100
	}
	if !role.IsServer() {
		cfg.MaxFragmentLength = c.fragments
	}
	for _, a := range certcompress.All() {
		if a.Name == c.compress {
			cfg.CertificateCompressors = []hermetic.CertificateCompressor{a}
		}
	}
}

func run(t *testing.T, p peer, c cell, role hermetic.Mode, a *authority) {
	f, leaf := a.files(t, c.kind)
	engine, err := hermetic.NewEngine(role, c.config(a, leaf, role))
	if err != nil {
		t.Fatal(err)
	}
	peerCell := c
	if c.retry && role == hermetic.TLSServer {
		peerCell.group = 0 // so that its first share is another
	}
	l := &link{engine: engine}
	var peerDone func() error
	if role == hermetic.TLSClient {
		port := freePort()
		peerDone = p.serve(t, peerCell, f, port)
		if l.fd, err = connect(port); err != nil {
			t.Fatal(err)
		}
	} else {
		listener, port, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(listener)
		peerDone = p.connect(t, peerCell, f, port)
		if l.fd, err = accept(listener); err != nil {
			t.Fatal(err)
		}
	}
	defer l.close()
	if err := c.drive(l); err != nil {
		t.Fatal(err)
	}
	if err := peerDone(); err != nil {
		t.Fatal(err)
	}
	c.check(t, engine.State(), "echo")
}

// drive makes the handshake and sends the payload both ways.
func (c cell) drive(l *link) error {
	deadline := time.Now().Add(patience)
	for !l.engine.HandshakeComplete() {
		if p := l.engine.Pending(); p != nil {
			if err := answer(p); err != nil {
				return err
			}
			if err := l.open(); err != nil {
				return err
			}
			continue
		}
		if l.closed {
			return fmt.Errorf("handshake: the peer has closed")
		}
		if err := l.step(deadline); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
	}
	const parts = 8
	for i := range parts {
		if c.keyUpdate {
			if err := l.engine.KeyUpdate(hermetic.KeyUpdateRequest(i%2 == 0)); err != nil {
				return err
			}
		}
		n := len(payload) / parts
		if err := l.send(payload[i*n : (i+1)*n]); err != nil {
			return err
		}
		if err := l.until("sending", func() bool { return len(l.out) == 0 }); err != nil {
			return err
		}
	}
	whole := len(payload)
	if c.limit != 0 && l.engine.State().Mode.IsServer() {
		whole = 1 // of each 4 KiB that it reads, gnutls-cli sends only what fits in a record
	}
	if err := l.until("receiving", func() bool { return len(l.got) >= whole }); err != nil {
		return err
	}
	if whole == len(payload) && !bytes.Equal(l.got, payload) {
		return fmt.Errorf("other bytes were received")
	}
	return nil
}

// answer answers the questions of an asynchronous cell.
func answer(p hermetic.Pending) error {
	switch p := p.(type) {
	case *hermetic.ChooseRequest:
		return p.Answer(nil, nil)
	case *hermetic.SignRequest:
		return p.Answer(p.Sign(nil, p.Certificate.PrivateKey.(crypto.Signer)))
	case *hermetic.VerifyRequest:
		return p.Answer(nil)
	}
	return fmt.Errorf("unknown question %T", p)
}

func (c cell) check(t *testing.T, s hermetic.ConnectionState, alpn string) {
	switch {
	case s.Version != c.version:
		t.Errorf("version %#x", s.Version)
	case s.NegotiatedProtocol != alpn:
		t.Errorf("ALPN %q", s.NegotiatedProtocol)
	case c.group != 0 && s.CurveID != c.group:
		t.Errorf("group %v", s.CurveID)
	case c.suite != 0 && s.CipherSuite != c.suite:
		t.Errorf("cipher suite %#x", s.CipherSuite)
	case c.retry && !s.HelloRetryRequest:
		t.Error("no HelloRetryRequest")
	case c.limit != 0 && s.PeerRecordSizeLimit != c.limit && s.PeerRecordSizeLimit != c.limit+1: // GnuTLS adds the content type
		t.Errorf("record_size_limit %d", s.PeerRecordSizeLimit)
	case s.MaxFragmentLength != c.fragments:
		t.Errorf("max_fragment_length %d", s.MaxFragmentLength)
	case c.compress != "" && (s.LocalCertificateCompression == 0 || s.PeerCertificateCompression != s.LocalCertificateCompression):
		t.Errorf("certificate compression %d and %d", s.LocalCertificateCompression, s.PeerCertificateCompression)
	case c.mutual && s.Mode.IsServer() && len(s.PeerCertificates) == 0:
		t.Error("no client certificate")
	}
}
