package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/hermetic-tls/hermetic"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Run handshakes and exchanges in every mode, in memory and over loopback, and show what they cost",
		Args:  needs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return demo(cmd.OutOrStdout()) },
	}
}

// scenario is one way to make a connection.
type scenario struct {
	name   string
	where  string // where the bytes go
	change func(client, server *hermetic.Config)
	run    func(client, server *hermetic.Config) (*result, error)
}

// result is the result of a scenario.
type result struct {
	state     hermetic.ConnectionState
	handshake [2]int // bytes of the handshake: from the client, from the server
	records   int    // of the handshake, both ways
	exchanged int    // bytes of application data, both ways
	allocs    uint64 // of a handshake, both sides
	time      time.Duration
	waited    time.Duration // for lost datagrams, on the engines' clock
}

func scenarios() []scenario {
	max12 := func(c, _ *hermetic.Config) { c.MaxVersion = tls.VersionTLS12 }
	memory, sockets, bytewise := inMemory, onLoopback, byteByByte
	return []scenario{
		{"TLS 1.3", "memory", nil, memory},
		{"TLS 1.3, not post-quantum", "memory", func(c, s *hermetic.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, memory},
		{"TLS 1.3, HelloRetryRequest", "memory", func(c, s *hermetic.Config) { c.KeyShares = []tls.CurveID{} }, memory},
		{"TLS 1.3, ChaCha20-Poly1305", "memory", func(c, s *hermetic.Config) { c.CipherSuites = []uint16{tls.TLS_CHACHA20_POLY1305_SHA256} }, memory},
		{"TLS 1.3, mutual", "memory", mutual, memory},
		{"TLS 1.3, raw public keys", "memory", rawKeys, memory},
		{"TLS 1.3, asynchronous key", "memory", func(c, s *hermetic.Config) { s.Async = hermetic.AsyncSign | hermetic.AsyncChoose }, memory},
		{"TLS 1.3, resumption", "memory", nil, resumption},
		{"TLS 1.3, early data", "memory", nil, earlyData},
		{"TLS 1.3, external PSK", "memory", externalPSK, memory},
		{"TLS 1.2", "memory", max12, memory},
		{"TLS 1.2, resumption", "memory", max12, resumption},
		{"TLS 1.2, mutual", "memory", func(c, s *hermetic.Config) { max12(c, s); mutual(c, s) }, memory},
		{"TLS 1.3", "one byte at a time", nil, bytewise},
		{"TLS 1.2", "one byte at a time", max12, bytewise},
		{"TLS 1.3", "loopback, one event loop", nil, sockets},
		{"TLS 1.2", "loopback, one event loop", max12, sockets},
		{"DTLS 1.3", "memory", nil, lossy(0)},
		{"DTLS 1.2", "memory", max12, lossy(0)},
		{"DTLS 1.3", "memory, every 3rd lost", nil, lossy(3)},
		{"DTLS 1.2", "memory, every 3rd lost", max12, lossy(3)},
		{"DTLS 1.3, connection IDs", "loopback, the client moves", nil, moving},
		{"DTLS 1.2, connection IDs", "loopback, the client moves", max12, moving},
	}
}

func mutual(c, s *hermetic.Config) {
	c.Certificates = s.Certificates
	s.ClientAuth, s.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
}

func rawKeys(c, s *hermetic.Config) {
	key := s.Certificates[0].PrivateKey
	s.Certificates = []tls.Certificate{{PrivateKey: key}}
	c.PeerCertificateTypes = []hermetic.CertificateType{hermetic.CertificateRawPublicKey}
	c.PeerPublicKeys = []crypto.PublicKey{key.(crypto.Signer).Public()}
}

func demo(out io.Writer) error {
	base, pool, err := demoCertificate()
	if err != nil {
		return err
	}
	var report demoReport
	failed := 0
	for _, s := range scenarios() {
		client := &hermetic.Config{RootCAs: pool, ServerName: "localhost"}
		server := &hermetic.Config{Certificates: []tls.Certificate{base}}
		if s.change != nil {
			s.change(client, server)
		}
		r, err := s.run(client, server)
		if err != nil {
			failed++
		}
		report = append(report, demoRow{s.name, s.where, r, err})
	}
	report.print(out, widthOf(out))
	if failed > 0 {
		return fmt.Errorf("%d of %d modes failed", failed, len(scenarios()))
	}
	return nil
}

// demoCertificate makes an authority and a certificate in memory.
func demoCertificate() (tls.Certificate, *x509.CertPool, error) {
	a, err := makeAuthority(1)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	cert, err := a.certificate("localhost", 1)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return cert, pool, err
}

// demoData is sent each way.
const demoData = 256 << 10

// ends are two engines.
type ends struct {
	client, server *hermetic.Engine
	r              *result
}

func newEnds(client, server *hermetic.Config) (*ends, error) {
	c, err := hermetic.NewEngine(hermetic.TLSClient, client)
	if err != nil {
		return nil, err
	}
	s, err := hermetic.NewEngine(hermetic.TLSServer, server)
	return &ends{c, s, new(result)}, err
}

// inMemory moves bytes between two engines.
func inMemory(client, server *hermetic.Config) (*result, error) {
	return inMemoryWith(nil, client, server)
}

// inMemoryWith sends early data, if there is any.
func inMemoryWith(early []byte, client, server *hermetic.Config) (*result, error) {
	// This does what is done once, and makes a session to resume.
	first, err := handshakeInMemory(client, server, nil)
	if err != nil {
		return nil, err
	}
	if err := first.exchange(); err != nil {
		return nil, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	e, err := handshakeInMemory(client, server, early)
	if err != nil {
		return nil, err
	}
	e.r.time = time.Since(start)
	runtime.ReadMemStats(&after)
	e.r.allocs = after.Mallocs - before.Mallocs
	e.r.state = e.client.State()
	return e.r, e.exchange()
}

func handshakeInMemory(client, server *hermetic.Config, early []byte) (*ends, error) {
	e, err := newEnds(client, server)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 0, 16<<10)
	for range 10 {
		if e.client.HandshakeComplete() && e.server.HandshakeComplete() {
			return e, nil
		}
		for i, pair := range [][2]*hermetic.Engine{{e.client, e.server}, {e.server, e.client}} {
			buf = pair[0].Output(buf[:0])
			e.r.handshake[i] += len(buf)
			if len(early) > 0 {
				if buf, err = pair[0].SealEarlyData(buf, early); err != nil {
					return nil, err
				}
				early = nil
			}
			for in := buf; len(in) > 0; {
				o, err := pair[1].Open(in)
				if err := errors.Join(ignorePending(err), answerAll(pair[1])); err != nil {
					return nil, err
				}
				switch {
				case o.Kind == hermetic.KindEarlyData:
					e.r.exchanged += len(o.Data)
				case o.N > 0:
					e.r.records++
				}
				in = in[o.N:]
			}
		}
	}
	return nil, errors.New("the handshake does not complete")
}

func ignorePending(err error) error {
	if err == hermetic.ErrPending {
		return nil
	}
	return err
}

// answerAll answers an engine's questions.
func answerAll(e *hermetic.Engine) error {
	for p := e.Pending(); p != nil; p = e.Pending() {
		var err error
		switch p := p.(type) {
		case *hermetic.ChooseRequest:
			err = p.Answer(nil, nil)
		case *hermetic.SignRequest:
			err = p.Answer(p.Sign(nil, p.Certificate.PrivateKey.(crypto.Signer)))
		case *hermetic.VerifyRequest:
			err = p.Answer(nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exchange sends data both ways.
func (e *ends) exchange() error {
	data := make([]byte, demoData)
	for _, pair := range [][2]*hermetic.Engine{{e.client, e.server}, {e.server, e.client}} {
		out, err := pair[0].Seal(nil, data)
		if err != nil {
			return err
		}
		for got := 0; len(out) > 0; {
			o, err := pair[1].Open(out)
			if err != nil {
				return err
			}
			got += len(o.Data)
			e.r.exchanged += len(o.Data)
			out = out[o.N:]
		}
	}
	return nil
}
