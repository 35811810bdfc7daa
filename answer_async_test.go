package hermetic

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// answerPending answers one question the way the Config would, and returns
// its kind.
func answerPending(t *testing.T, e *Engine) string {
	t.Helper()
	var err error
	p := e.Pending()
	switch p := p.(type) {
	case *ChooseRequest:
		if e.mode.IsServer() != (p.ClientHello != nil) || e.mode.IsServer() == (p.CertificateRequest != nil) {
			t.Errorf("a ChooseRequest has not what its side needs: %+v", p)
		}
		own := e.plan.cfg.Certificates
		err = p.Answer(&own[0], nil)
	case *SignRequest:
		err = p.Answer(p.Sign(nil, p.Certificate.PrivateKey.(crypto.Signer)))
	case *VerifyRequest:
		if len(p.State.PeerCertificates) == 0 || len(p.State.VerifiedChains) == 0 {
			t.Errorf("a VerifyRequest has no chains")
		}
		err = p.Answer(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%T", p)
}

// asyncPair asks everything, on both sides.
func asyncPair(t *testing.T, version uint16) *meeting {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	all := AsyncChoose | AsyncSign | AsyncVerify
	client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, Certificates: []tls.Certificate{leaf}, Async: all}
	server := &Config{Time: atNow, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{leaf}, Async: all}
	return newMeeting(t, false, client, server)
}

// run moves bytes, whole flights or a byte at a time, and answers what is asked
// by each side only after trying what is not allowed meanwhile.
func (p *meeting) runAsync(t *testing.T, piece int) (asked []string) {
	for range 1000 {
		progress := false
		for _, e := range []*Engine{p.client, p.server} {
			in, out := &p.toServer, &p.toClient
			if e == p.client {
				in, out = out, in
			}
			*out = e.Output(*out)
			if e.Pending() != nil {
				if _, err := e.Open(bytes.Clone(*in)); err != ErrPending {
					t.Fatalf("Open with a question pending: %v", err)
				}
				asked = append(asked, answerPending(t, e))
				progress = true
				continue
			}
			for n := min(piece, len(*in)); n > 0 && n <= len(*in) && e.Pending() == nil; {
				o, err := e.Open((*in)[:n])
				switch {
				case err != nil:
					t.Fatal(err)
				case o.N > 0:
					*in, progress = (*in)[o.N:], true
					n = min(piece, len(*in))
				case n == len(*in):
					t.Fatalf("%d bytes are left", n)
				default:
					n = min(n+piece, len(*in))
				}
			}
		}
		if !progress && p.client.HandshakeComplete() && p.server.HandshakeComplete() {
			return asked
		}
	}
	t.Fatal("the handshake does not end")
	return nil
}

func TestAsyncEverything(t *testing.T) {
	for _, version := range versions {
		for _, piece := range []int{1, 50} {
			p := asyncPair(t, version)
			asked := p.runAsync(t, piece)
			count := map[string]int{}
			for _, a := range asked {
				count[a]++
			}
			for _, kind := range []string{"*hermetic.ChooseRequest", "*hermetic.SignRequest", "*hermetic.VerifyRequest"} {
				if count[kind] != 2 {
					t.Errorf("%s: %s was asked %d times, want twice", tls.VersionName(version), kind, count[kind])
				}
			}
			p.exchange(1000)
		}
	}
}

// TestAsyncMisuse: an answer that comes twice, after Reset or from a session
// before, changes nothing.
func TestAsyncMisuse(t *testing.T) {
	p := asyncPair(t, tls.VersionTLS13)
	p.toServer = p.client.Output(nil)
	if err := p.open(p.server, &p.toServer); err != nil {
		t.Fatal(err)
	}
	choose := p.server.Pending().(*ChooseRequest)
	if err := choose.Answer(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := choose.Answer(nil, nil); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("an answer twice: %v", err)
	}
	sign := p.server.Pending().(*SignRequest)
	p.server.Reset()
	if err := sign.Answer([]byte("x"), nil); !errors.Is(err, ErrInvalidOperation) {
		t.Errorf("an answer after Reset: %v", err)
	}
	if p.server.Pending() != nil {
		t.Error("a question survives Reset")
	}
}

// TestAsyncConfig: the Config that is the answer is in use from then on, its questions too.
func TestAsyncConfig(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		client.NextProtos = []string{"a", "b"}
		server.Async = AsyncConfig
		server.GetConfigForClient = func(*ClientHello) (*Config, error) {
			t.Error("GetConfigForClient is called")
			return nil, nil
		}
		chosen := server.Clone()
		chosen.NextProtos, chosen.Async = []string{"b"}, AsyncConfig|AsyncChoose
		m := newMeeting(t, datagram, client, server)
		var asked []string
		m.answer = func(p Pending) {
			asked = append(asked, fmt.Sprintf("%T", p))
			var err error
			switch p := p.(type) {
			case *ConfigRequest:
				if !slices.Equal(p.ClientHello.SupportedProtos, client.NextProtos) || p.ClientHello.ServerName != "localhost" {
					t.Errorf("the client is described as %+v", p.ClientHello)
				}
				err = p.Answer(chosen, nil)
			case *ChooseRequest:
				err = p.Answer(nil, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		m.finish()
		if got := m.client.State().NegotiatedProtocol; got != "b" {
			t.Errorf("ALPN %q", got)
		}
		if want := []string{"*hermetic.ConfigRequest", "*hermetic.ChooseRequest"}; !slices.Equal(asked, want) {
			t.Errorf("asked %q, want %q", asked, want)
		}
	})
}

// TestAsyncFailures: what an error as an answer becomes.
func TestAsyncFailures(t *testing.T) {
	broken := errors.New("the module is gone")
	for _, c := range []struct {
		kind string
		fail func(Pending) error
		want Alert
	}{
		{"choice", func(p Pending) error { return p.(*ChooseRequest).Answer(nil, broken) }, AlertInternalError},
		{"signature", func(p Pending) error { return p.(*SignRequest).Answer(nil, broken) }, AlertInternalError},
	} {
		p := asyncPair(t, tls.VersionTLS13)
		p.toServer = p.client.Output(nil)
		if err := p.open(p.server, &p.toServer); err != nil {
			t.Fatal(err)
		}
		if c.kind == "signature" {
			answerPending(t, p.server)
		}
		if err := c.fail(p.server.Pending()); err != nil {
			t.Fatal(err)
		}
		_, err := p.server.Open(nil)
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v does not wrap the answer's error", c.kind, err)
		}
		wantAlert(t, p.server, err, c.want)
	}
	// A verdict chooses its alert.
	ca := pkitest.CA(t)
	client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", Async: AsyncVerify}
	server := &Config{Time: atNow, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	p := newMeeting(t, false, client, server)
	p.toServer = p.client.Output(nil)
	p.open(p.server, &p.toServer)
	p.toClient = p.server.Output(nil)
	if err := p.open(p.client, &p.toClient); err != nil && err != ErrPending {
		t.Fatal(err)
	}
	verdict := &AlertError{Alert: AlertCertificateRevoked, Cause: "it is on the list"}
	if err := p.client.Pending().(*VerifyRequest).Answer(verdict); err != nil {
		t.Fatal(err)
	}
	_, err := p.client.Open(nil)
	wantAlert(t, p.client, err, AlertCertificateRevoked)
}

// TestErrorWithoutAlert: a callback whose *AlertError names no alert, whose number is that of
// close_notify, does not tell the peer of an orderly end.
func TestErrorWithoutAlert(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		client.VerifyConnection = func(ConnectionState) error { return &AlertError{Cause: "no"} }
		m := newMeeting(t, datagram, client, server)
		clientErr, serverErr := m.pump()
		var ours, theirs *AlertError
		if !errors.As(clientErr, &ours) || ours.Alert != AlertBadCertificate || ours.Received {
			t.Errorf("client: %v", clientErr)
		}
		if !errors.As(serverErr, &theirs) || theirs.Alert != AlertBadCertificate || !theirs.Received {
			t.Errorf("server: %v", serverErr)
		}
	})
}

// TestCallbacks: GetCertificate, GetClientCertificate, GetConfigForClient,
// VerifyPeerCertificate and VerifyConnection, in both versions.
func TestCallbacks(t *testing.T) {
	for _, version := range versions {
		ca := pkitest.CA(t)
		leaf := ca.Leaf(t, pkitest.Options{})
		var calls []string
		call := func(name string) { calls = append(calls, name) }
		inner := &Config{Time: atNow, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{"inner"}}
		inner.GetCertificate = func(h *ClientHello) (*tls.Certificate, error) {
			call("GetCertificate " + h.ServerName)
			if err := h.SupportsCertificate(&leaf); err != nil {
				t.Errorf("SupportsCertificate: %v", err)
			}
			return &leaf, nil
		}
		inner.VerifyConnection = func(s ConnectionState) error {
			call(fmt.Sprintf("server VerifyConnection %d chains %d", len(s.PeerCertificates), len(s.VerifiedChains)))
			return nil
		}
		server := &Config{Time: atNow, GetConfigForClient: func(h *ClientHello) (*Config, error) {
			call("GetConfigForClient " + h.SupportedProtos[0])
			return inner, nil
		}}
		client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, NextProtos: []string{"inner"}}
		client.GetClientCertificate = func(r *CertificateRequest) (*tls.Certificate, error) {
			call(fmt.Sprintf("GetClientCertificate of %d authorities", len(r.AcceptableCAs)))
			if err := r.SupportsCertificate(&leaf); err != nil {
				t.Errorf("SupportsCertificate: %v", err)
			}
			return &leaf, nil
		}
		client.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			call(fmt.Sprintf("VerifyPeerCertificate %d chains %d", len(raw), len(chains)))
			return nil
		}
		p := newMeeting(t, false, client, server)
		p.handshake()
		want := map[string]bool{
			"GetConfigForClient inner": true, "GetCertificate localhost": true, "server VerifyConnection 1 chains 1": true,
			"GetClientCertificate of 1 authorities": true, "VerifyPeerCertificate 1 chains 1": true,
		}
		for _, c := range calls {
			if !want[c] {
				t.Errorf("%s: unexpected call %q", tls.VersionName(version), c)
			}
			delete(want, c)
		}
		if len(want) > 0 {
			t.Errorf("%s: not called: %v", tls.VersionName(version), want)
		}
		if got := p.server.State().NegotiatedProtocol; got != "inner" {
			t.Errorf("ALPN %q: the Config of GetConfigForClient is not in use", got)
		}
	}
}
