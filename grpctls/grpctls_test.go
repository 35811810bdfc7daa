package grpctls

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

//lint:file-ignore SA1019 the credentials have deprecated methods and fields too

// patience bounds what must not hang.
const patience = time.Minute

// describe is what an interceptor may see of a peer.
func describe(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errors.New("no peer")
	}
	return describePeer(p)
}

func describePeer(p *peer.Peer) (string, error) {
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return "", fmt.Errorf("the AuthInfo is a %T", p.AuthInfo)
	}
	s := info.State
	text := fmt.Sprintf("%s %s %s complete:%t chains:%d", tls.VersionName(s.Version), s.NegotiatedProtocol, info.SecurityLevel, s.HandshakeComplete, len(s.VerifiedChains))
	if len(s.PeerCertificates) > 0 {
		text += " " + s.PeerCertificates[0].Subject.CommonName
	}
	if info.SPIFFEID != nil {
		text += " " + info.SPIFFEID.String()
	}
	if _, err := s.ExportKeyingMaterial("EXPORTER-test", nil, 32); err != nil {
		return "", err
	}
	return text, nil
}

// say is the method of a service that returns what its server sees of the client.
func say(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.StringValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	text, err := describe(ctx)
	if err != nil {
		return nil, err
	}
	return wrapperspb.String(in.GetValue() + ": " + text), nil
}

var service = grpc.ServiceDesc{
	ServiceName: "hermetic.Test",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: say}},
}

// serve runs a gRPC server, and returns its address.
func serve(t testing.TB, creds credentials.TransportCredentials, options ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.Creds(creds))...)
	server.RegisterService(&service, struct{}{})
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// call calls Say, and returns what the server sees of the client and the client of the server.
func call(t testing.TB, address string, creds credentials.TransportCredentials, options ...any) (server, client string, err error) {
	t.Helper()
	dial := []grpc.DialOption{grpc.WithTransportCredentials(creds)}
	p := new(peer.Peer)
	calls := []grpc.CallOption{grpc.Peer(p)}
	for _, o := range options {
		switch o := o.(type) {
		case grpc.CallOption:
			calls = append(calls, o)
		case grpc.DialOption:
			dial = append(dial, o)
		}
	}
	conn, err := grpc.NewClient("passthrough:///"+address, dial...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out := new(wrapperspb.StringValue)
	if err := conn.Invoke(ctx, "/hermetic.Test/Say", wrapperspb.String("hello"), out, calls...); err != nil {
		return "", "", err
	}
	client, err = describePeer(p)
	return strings.TrimPrefix(out.GetValue(), "hello: "), client, err
}

func ours(t testing.TB, cfg *hermetic.Config) credentials.TransportCredentials {
	t.Helper()
	creds, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

// converted are our credentials for a configuration of crypto/tls.
func converted(t testing.TB, cfg *tls.Config) credentials.TransportCredentials {
	t.Helper()
	c, err := hermetic.FromTLS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ours(t, c)
}

func theirs(_ testing.TB, cfg *tls.Config) credentials.TransportCredentials {
	return credentials.NewTLS(cfg)
}

// sides are the two implementations.
var sides = []struct {
	name string
	make func(testing.TB, *tls.Config) credentials.TransportCredentials
}{{"ours", converted}, {"crypto/tls", theirs}}

// spiffe is a certificate with a SPIFFE ID.
func spiffe(t testing.TB, ca *pkitest.Authority) tls.Certificate {
	id := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/workload"}
	return ca.Leaf(t, pkitest.Options{URIs: []*url.URL{id}})
}

// TestCombinations: each side sees of the other what it sees with crypto/tls on both sides, with
// and without mutual TLS.
func TestCombinations(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := spiffe(t, ca)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, mutual := range []bool{false, true} {
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
			server := &tls.Config{Certificates: []tls.Certificate{leaf}}
			if mutual {
				client.Certificates = server.Certificates
				server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
			}
			var want [2]string
			for _, c := range slices.Backward(sides) { // crypto/tls on both sides first
				for _, s := range slices.Backward(sides) {
					atServer, atClient, err := call(t, serve(t, s.make(t, server)), c.make(t, client))
					if err != nil {
						t.Fatalf("%s to %s, mutual %t: %v", c.name, s.name, mutual, err)
					}
					got := [2]string{atServer, atClient}
					if c.name == "crypto/tls" && s.name == "crypto/tls" {
						if want = got; strings.Contains(got[0], "spiffe://") != mutual || !strings.Contains(got[1], "spiffe://example.org/workload") {
							t.Fatalf("crypto/tls: %q", got)
						}
					}
					if got != want {
						t.Errorf("%s to %s, mutual %t: %q, want %q", c.name, s.name, mutual, got, want)
					}
				}
			}
		}
	}
}

// TestAuthority: the server is verified by the target's host, by the Config's ServerName or by what
// grpc puts in its place, as with grpc's own credentials.
func TestAuthority(t *testing.T) {
	ca := pkitest.CA(t)
	address := serve(t, converted(t, &tls.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{Name: "example.com"})}}))
	for _, test := range []struct {
		name, serverName string
		options          []any
		want             string // in the error; "": none
	}{
		{"the target's host", "", nil, ""},
		{"ServerName", "example.com", nil, ""},
		{"another ServerName", "example.org", nil, "example.com, not example.org"},
		{"WithAuthority", "", []any{grpc.WithAuthority("example.com")}, ""},
		{"WithAuthority with a port", "", []any{grpc.WithAuthority("example.com:443")}, ""},
		{"another WithAuthority", "", []any{grpc.WithAuthority("example.org")}, "example.com, not example.org"},
		{"an authority that no name can be", "", []any{grpc.WithAuthority("ex%C3%A4mple")}, "example.com, not ex%C3%A4mple"},
		{"a call's authority", "example.com", []any{grpc.CallAuthority("example.com")}, ""},
		{"another call's authority", "example.com", []any{grpc.CallAuthority("example.org")}, "example.com, not example.org"},
	} {
		for _, side := range sides {
			creds := side.make(t, &tls.Config{RootCAs: ca.Pool(), ServerName: test.serverName})
			_, _, err := call(t, address, creds, test.options...)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s, %s: %v", test.name, side.name, err)
			case test.want != "" && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%s, %s: %v, want %q", test.name, side.name, err, test.want)
			}
		}
	}
}

// TestHost: the name in an authority.
func TestHost(t *testing.T) {
	c := &creds{serverName: "configured"}
	for authority, want := range map[string]string{
		"example.com": "example.com", "example.com:443": "example.com", "": "configured",
		"127.0.0.1:1": "127.0.0.1", "[::1]:443": "::1", "[::1]": "::1", "::1": "::1",
	} {
		if got := c.host(authority); got != want {
			t.Errorf("%q: %q, want %q", authority, got, want)
		}
	}
}

// TestResumption: the second connection of a channel's credentials resumes the session of the first,
// and both sides still see the identity of the other.
func TestResumption(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := spiffe(t, ca)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		address := serve(t, ours(t, &hermetic.Config{Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}))
		client := ours(t, &hermetic.Config{
			Certificates: []tls.Certificate{leaf}, RootCAs: ca.Pool(), MaxVersion: version, SessionCache: hermetic.NewSessionCache(1),
		})
		var first string
		for _, resumed := range []bool{false, true} {
			p := new(peer.Peer)
			atServer, _, err := call(t, address, client, grpc.Peer(p), grpc.WithAuthority("localhost"))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.AuthInfo.(credentials.TLSInfo).State.DidResume; got != resumed {
				t.Errorf("%s: resumed %t, want %t", tls.VersionName(version), got, resumed)
			}
			if first = cmp.Or(first, atServer); atServer != first || !strings.Contains(first, "chains:1 localhost spiffe://") {
				t.Errorf("%s: the server sees %q, and before %q", tls.VersionName(version), atServer, first)
			}
		}
	}
}

// TestClone: the name of a clone is its own.
func TestClone(t *testing.T) {
	ca := pkitest.CA(t)
	address := serve(t, ours(t, &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}))
	original := ours(t, &hermetic.Config{RootCAs: ca.Pool(), ServerName: "example.com"})
	clone := original.Clone()
	if err := clone.OverrideServerName("localhost"); err != nil {
		t.Fatal(err)
	}
	want := credentials.NewTLS(&tls.Config{ServerName: "localhost"}).Info()
	if got := clone.Info(); !reflect.DeepEqual(got, want) {
		t.Errorf("the clone's Info is %+v, want %+v", got, want)
	}
	if got := original.Info().ServerName; got != "example.com" {
		t.Errorf("the original's name is %q", got)
	}
	if _, _, err := call(t, address, clone); err != nil {
		t.Error(err)
	}
	if _, _, err := call(t, address, original); err == nil {
		t.Error("the original accepts another name")
	}
}

// TestPSK: without a name, only a server with the key is accepted.
func TestPSK(t *testing.T) {
	psk := hermetic.PSK{Identity: []byte("id"), Key: make([]byte, 32)}
	address := serve(t, ours(t, &hermetic.Config{PSKs: []hermetic.PSK{psk}}))
	if _, _, err := call(t, address, ours(t, &hermetic.Config{PSKs: []hermetic.PSK{psk}})); err != nil {
		t.Error(err)
	}
	psk.Key = make([]byte, 16)
	if _, _, err := call(t, address, ours(t, &hermetic.Config{PSKs: []hermetic.PSK{psk}})); err == nil {
		t.Error("another key is accepted")
	}
	plain := serve(t, ours(t, &hermetic.Config{}))
	if _, _, err := call(t, plain, ours(t, &hermetic.Config{PSKs: []hermetic.PSK{psk}})); err == nil {
		t.Error("a certificate is accepted in place of the key")
	}
}

// TestNew: a Config that cannot be used is refused before it is used, by the name of the field.
func TestNew(t *testing.T) {
	for name, test := range map[string]struct {
		cfg   *hermetic.Config
		field string
	}{
		"nil":             {nil, ""},
		"a question":      {&hermetic.Config{Async: hermetic.AsyncSign}, "Async"},
		"a bad version":   {&hermetic.Config{MinVersion: 1}, "MinVersion"},
		"a bad name":      {&hermetic.Config{ServerName: "ä"}, "ServerName"},
		"an empty scheme": {&hermetic.Config{SignatureSchemes: []tls.SignatureScheme{}}, "SignatureSchemes"},
	} {
		_, err := New(test.cfg)
		var fault *hermetic.ConfigError
		if !errors.As(err, &fault) || fault.Field != test.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := &hermetic.Config{NextProtos: make([]string, 0, 4)}
	ours(t, cfg)
	if len(cfg.NextProtos) != 0 || cfg.NextProtos[:1][0] != "" {
		t.Errorf("New has changed NextProtos: %q", cfg.NextProtos[:1])
	}
}

// TestGetConfigForClient: h2 is offered whichever Config serves a client, each of which is cloned
// once.
func TestGetConfigForClient(t *testing.T) {
	ca := pkitest.CA(t)
	inner := &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, NextProtos: []string{"other"}}
	address := serve(t, ours(t, &hermetic.Config{GetConfigForClient: func(*hermetic.ClientHello) (*hermetic.Config, error) { return inner, nil }}))
	client := ours(t, &hermetic.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
	for range 2 {
		if _, _, err := call(t, address, client); err != nil {
			t.Fatal(err)
		}
	}
	var next *hermetic.Config
	var fault error
	c := &chosen{ask: func(*hermetic.ClientHello) (*hermetic.Config, error) { return next, fault }}
	get := func(cfg *hermetic.Config) *hermetic.Config {
		next = cfg
		got, err := c.forClient(nil)
		if err != fault {
			t.Error(err)
		}
		return got
	}
	first := get(inner)
	if first == inner || first != get(inner) || !slices.Equal(first.NextProtos, []string{"other", "h2"}) {
		t.Errorf("the clone is %+v", first)
	}
	with := &hermetic.Config{NextProtos: []string{"h2"}}
	if get(with) != with || get(nil) != nil {
		t.Error("a Config with h2, or none, is cloned")
	}
	for range 2 * maxChosen {
		get(new(hermetic.Config))
	}
	if len(c.clones) != maxChosen {
		t.Errorf("%d clones are kept", len(c.clones))
	}
	if fault = errors.New("a fault"); get(nil) != nil {
		t.Error("a Config comes with an error")
	}
}

// TestSPIFFE: a leaf's SPIFFE ID is what grpc's own credentials say.
func TestSPIFFE(t *testing.T) {
	long := strings.Repeat("a", 256)
	for name, test := range map[string]struct {
		uris []string
		want bool
	}{
		"none":                    {nil, false},
		"one":                     {[]string{"spiffe://example.org/a"}, true},
		"another scheme":          {[]string{"https://example.org/a"}, false},
		"two":                     {[]string{"spiffe://example.org/a", "spiffe://example.org/b"}, false},
		"one and another scheme":  {[]string{"https://example.org/a", "spiffe://example.org/a"}, false},
		"no trust domain":         {[]string{"spiffe:///a"}, false},
		"no path":                 {[]string{"spiffe://example.org"}, false},
		"a user":                  {[]string{"spiffe://user@example.org/a"}, false},
		"opaque":                  {[]string{"spiffe:example.org"}, false},
		"the longest domain":      {[]string{"spiffe://" + long[1:] + "/a"}, true},
		"a domain that is longer": {[]string{"spiffe://" + long + "/a"}, false},
		"too long":                {[]string{"spiffe://example.org/" + strings.Repeat(long, 8)}, false},
	} {
		cert := new(x509.Certificate)
		for _, text := range test.uris {
			uri, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			cert.URIs = append(cert.URIs, uri)
		}
		if id := spiffeID([]*x509.Certificate{cert}); (id != nil) != test.want {
			t.Errorf("%s: %v", name, id)
		}
	}
	if spiffeID(nil) != nil || spiffeID([]*x509.Certificate{{URIs: []*url.URL{nil}}}) != nil {
		t.Error("an ID without a certificate, or without a URI")
	}
}
