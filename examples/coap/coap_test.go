package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pion "github.com/pion/dtls/v3"
	coapdtls "github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

const patience = time.Minute

const identity, key = "device", "sixteen random b"

// start serves the resources, and returns the address and a function that stops the server.
func start(t *testing.T, config *hermetic.Config) (*netconn.PacketListener, string) {
	t.Helper()
	config.DTLS.ConnectionIDs, config.DTLS.ConnectionIDLength = true, 8
	l, err := netconn.ListenPacket("udp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- serve(l, resources()) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l, l.Addr().String()
}

// asks gets what is at the path.
func asks(ctx context.Context, c *client.Conn, path, want string) error {
	answer, err := c.Get(ctx, path)
	if err != nil {
		return err
	}
	body, err := answer.ReadBody()
	if err == nil && string(body) != want {
		err = fmt.Errorf("%s is %.40q", path, body)
	}
	return err
}

// authority is a certificate and its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate; a nil issuer signs itself.
func (a *authority) issue(t *testing.T, template *x509.Certificate) *authority {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, k
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &k.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, k}
}

func newAuthority(t *testing.T) *authority {
	var none *authority
	return none.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

func (a *authority) leaf(t *testing.T, name string) *authority {
	return a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
}

func (a *authority) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// files writes the certificate and the key for libcoap.
func (a *authority) files(t *testing.T) (cert, private string) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, private = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: a.cert.Raw}, private: {Type: "EC PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, private
}

// credentials are pairs of Configs that fit.
func credentials(t *testing.T) map[string][2]*hermetic.Config {
	ca := newAuthority(t)
	leaf, device := ca.leaf(t, "localhost").tls(), ca.leaf(t, "device").tls()
	raw := []tls.Certificate{{PrivateKey: leaf.PrivateKey}, {PrivateKey: device.PrivateKey}}
	rawTypes := []hermetic.CertificateType{hermetic.CertificateRawPublicKey}
	public := func(c tls.Certificate) []crypto.PublicKey {
		return []crypto.PublicKey{c.PrivateKey.(crypto.Signer).Public()}
	}
	return map[string][2]*hermetic.Config{
		"PSK":          {{PSKs: psks(identity, key)}, {PSKs: psks(identity, key)}},
		"certificates": {{RootCAs: ca.pool(), ServerName: "localhost", Certificates: []tls.Certificate{device}}, {Certificates: []tls.Certificate{leaf}, ClientCAs: ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert}},
		"raw public keys": {
			{Certificates: raw[1:], PeerCertificateTypes: rawTypes, PeerPublicKeys: public(leaf)},
			{Certificates: raw[:1], PeerCertificateTypes: rawTypes, PeerPublicKeys: public(device), ClientAuth: tls.RequireAnyClientCert},
		},
	}
}

// TestOurs: our client and our server, with each kind of credentials, version and cipher suite, and
// a resource of several blocks.
func TestOurs(t *testing.T) {
	for name, c := range credentials(t) {
		for _, id := range suites {
			if psk := id == 0x00A8 || id == 0xC0A8; id>>8 != 0x13 && psk != (name == "PSK") {
				continue
			}
			t.Run(name+", "+hermetic.CipherSuiteName(id), func(t *testing.T) {
				client, server := c[0].Clone(), c[1].Clone()
				client.CipherSuites, server.CipherSuites = []uint16{id}, []uint16{id}
				client.DTLS.ConnectionIDs = true
				_, address := start(t, server)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				cc, err := dial(ctx, address, client)
				if err != nil {
					t.Fatal(err)
				}
				defer cc.Close()
				for path, want := range map[string]string{"/greeting": "hello", "/long": long} {
					if err := asks(ctx, cc, path, want); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// libcoap returns one of libcoap's clients. Without it, the test fails under CI=true.
func libcoap(t *testing.T, library string) string {
	t.Helper()
	path, err := exec.LookPath("coap-client-" + library)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("Debian's libcoap3-bin is not installed: ", err)
	}
	return path
}

// TestLibcoap: libcoap's clients are devices.
func TestLibcoap(t *testing.T) {
	ca := newAuthority(t)
	caFile, _ := ca.files(t)
	device := ca.leaf(t, "device")
	deviceCert, deviceKey := device.files(t)
	both := &hermetic.Config{PSKs: psks(identity, key), CipherSuites: suites}
	ccm8 := &hermetic.Config{PSKs: psks(identity, key), CipherSuites: []uint16{0xC0A8}}
	hinted := &hermetic.Config{PSKs: psks("by hint", "another random b"), CipherSuites: suites, PSKIdentityHint: []byte("shelf")}
	certificates := &hermetic.Config{
		Certificates: []tls.Certificate{ca.leaf(t, "localhost").tls()}, CipherSuites: certificateSuites,
		ClientCAs: ca.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
	rawKeys := &hermetic.Config{
		Certificates: []tls.Certificate{{PrivateKey: ca.leaf(t, "localhost").key}}, CipherSuites: certificateSuites,
		PeerCertificateTypes: []hermetic.CertificateType{hermetic.CertificateRawPublicKey},
		PeerPublicKeys:       []crypto.PublicKey{device.key.Public()}, ClientAuth: tls.RequireAnyClientCert,
	}
	hints := filepath.Join(t.TempDir(), "hints")
	if err := os.WriteFile(hints, []byte("shelf,by hint,another random b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, library := range []string{"openssl", "gnutls"} {
		for _, test := range []struct {
			name   string
			server *hermetic.Config
			args   []string
		}{
			{"PSK", both, []string{"-u", identity, "-k", key}},
			{"PSK, CCM-8", ccm8, []string{"-u", identity, "-k", key}},
			{"PSK by hint", hinted, []string{"-u", identity, "-k", key, "-h", hints}},
			{"certificates", certificates, []string{"-c", deviceCert, "-j", deviceKey, "-C", caFile}},
			{"raw public keys", rawKeys, []string{"-M", deviceKey}},
		} {
			if library == "openssl" && test.server == rawKeys {
				continue // OpenSSL 3.0 has none
			}
			t.Run(library+", "+test.name, func(t *testing.T) {
				program := libcoap(t, library)
				_, address := start(t, test.server.Clone())
				for path, want := range map[string]string{"/greeting": "hello", "/long": long} {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					cmd := exec.CommandContext(ctx, program, append(test.args, "-b", "64", "-B", "20", "coaps://"+address+path)...)
					var errs bytes.Buffer
					cmd.Stderr = &errs
					out, err := cmd.Output()
					if got := string(bytes.TrimSpace(out)); err != nil || got != want {
						t.Errorf("%s: %.100q, %v\n%s", path, got, err, errs.Bytes())
					}
				}
			})
		}
	}
}

// TestLibcoapStranger: a device with a wrong key is served nothing.
func TestLibcoapStranger(t *testing.T) {
	program := libcoap(t, "openssl")
	l, address := start(t, &hermetic.Config{PSKs: psks(identity, key), CipherSuites: suites})
	out, _ := exec.Command(program, "-u", identity, "-k", "a wrong random b", "-B", "3", "coaps://"+address+"/greeting").Output()
	if bytes.Contains(out, []byte("hello")) {
		t.Error("it is served")
	}
	if l.Drops().NoCookie == 0 {
		t.Error("it has not come")
	}
}

// TestPion: pion's client has a connection ID, and our server gives it one.
func TestPion(t *testing.T) {
	_, address := start(t, &hermetic.Config{PSKs: psks(identity, key), CipherSuites: suites})
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 go-coap takes this Config
	c, err := coapdtls.Dial(address, &pion.Config{
		PSK:             func([]byte) ([]byte, error) { return []byte(key), nil },
		PSKIdentityHint: []byte(identity),
		CipherSuites:    []pion.CipherSuiteID{pion.TLS_PSK_WITH_AES_128_CCM_8},

		ConnectionIDGenerator: pion.RandomCIDGenerator(4),
	})
	conn.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for path, want := range map[string]string{"/greeting": "hello", "/long": long} {
		if err := asks(ctx, c, path, want); err != nil {
			t.Error(err)
		}
	}
}

// nomad is a connection whose socket changes.
type nomad struct {
	net.Conn // the first one, for its addresses and deadlines
	server   string
	now      atomic.Pointer[net.UDPConn]
	in       chan []byte
	ended    chan struct{}
	end      sync.Once
}

func newNomad(server string) (*nomad, error) {
	n := &nomad{server: server, in: make(chan []byte, 64), ended: make(chan struct{})}
	err := n.move()
	n.Conn = n.now.Load()
	return n, err
}

// move opens another socket, on another port.
func (n *nomad) move() error {
	c, err := net.Dial("udp", n.server)
	if err != nil {
		return err
	}
	if old := n.now.Swap(c.(*net.UDPConn)); old != nil && old != n.Conn {
		old.Close()
	}
	go func() {
		for {
			buf := make([]byte, 2048)
			k, err := c.Read(buf)
			if err != nil || n.now.Load() != net.Conn(c) {
				return // nothing comes to the old address anymore
			}
			select {
			case n.in <- buf[:k]:
			case <-n.ended:
				return
			}
		}
	}()
	return nil
}

func (n *nomad) Read(b []byte) (int, error) {
	select {
	case d := <-n.in:
		return copy(b, d), nil
	case <-n.ended:
		return 0, net.ErrClosed
	}
}

func (n *nomad) Write(b []byte) (int, error) { return n.now.Load().Write(b) }

func (n *nomad) Close() error {
	n.end.Do(func() {
		close(n.ended)
		n.now.Load().Close()
	})
	return n.Conn.Close()
}

// TestThousandDevices: on one socket, and a tenth of them changes its address.
func TestThousandDevices(t *testing.T) {
	const count, moving = 1000, 10
	l, address := start(t, &hermetic.Config{PSKs: psks(identity, key), CipherSuites: suites})
	config := &hermetic.Config{PSKs: psks(identity, key), CipherSuites: suites, DTLS: hermetic.DTLSConfig{ConnectionIDs: true}}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	device := func(i int) error {
		n, err := newNomad(address)
		if err != nil {
			return err
		}
		conn := netconn.DTLSClient(n, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			n.Close()
			return err
		}
		c := newClient(conn)
		defer c.Close()
		if err := asks(ctx, c, "/greeting", "hello"); err != nil || i%moving != 0 {
			return err
		}
		if err := n.move(); err != nil {
			return err
		}
		return asks(ctx, c, "/greeting", "hello")
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for i := next.Add(1); i <= count; i = next.Add(1) {
				if err := device(int(i)); err != nil {
					t.Errorf("device %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if d := l.Drops(); d.BacklogFull+d.TooManyPeers > 0 {
		t.Errorf("%+v", d)
	}
}
