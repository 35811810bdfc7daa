package acme

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// patience bounds what must not hang.
const patience = 2 * time.Minute

const name = "www.example.com"

// serve runs a server of ours with a configuration of crypto/tls.
func serve(t *testing.T, l net.Listener, theirs *tls.Config) {
	t.Helper()
	cfg, err := hermetic.FromTLS(theirs)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				s := netconn.Server(conn, cfg)
				defer s.Close()
				s.SetDeadline(time.Now().Add(patience))
				s.Write([]byte("hello"))
			}()
		}
	}()
}

func listen(t *testing.T, a *authority) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a.address = l.Addr().String()
	return l
}

// visit connects as a browser does, and returns the leaf's serial number.
func visit(t *testing.T, a *authority) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := netconn.Dial(ctx, "tcp", a.address, &hermetic.Config{RootCAs: a.pool(), ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.State().PeerCertificates[0].SerialNumber.String()
}

// check compares what the authority has done.
func (a *authority) check(t *testing.T, want ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.validated, want) || !slices.Equal(a.issued, want) {
		t.Errorf("validated %q and issued %q, want %q", a.validated, a.issued, want)
	}
}

// TestAutocert: the first client makes the server get its certificate, which the authority issues
// after it has met the server; the second one finds it.
func TestAutocert(t *testing.T) {
	a := newAuthority(t)
	m := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		HostPolicy: autocert.HostWhitelist(name),
		Client:     &acme.Client{DirectoryURL: a.url + "/directory"},
	}
	serve(t, listen(t, a), m.TLSConfig())
	first := visit(t, a)
	if again := visit(t, a); again != first {
		t.Errorf("the certificates are %s and %s", first, again)
	}
	a.check(t, name)

	// What the policy refuses is refused to the client, and not asked for.
	_, err := netconn.Dial(t.Context(), "tcp", a.address, &hermetic.Config{RootCAs: a.pool(), ServerName: "www.example.org"})
	if err == nil {
		t.Error("another name is served")
	}
	a.check(t, name)
}

// TestCertmagic is TestAutocert for certmagic, which gets the certificate before the first client, or
// when one asks for it.
func TestCertmagic(t *testing.T) {
	for _, onDemand := range []bool{false, true} {
		t.Run("on demand: "+strconv.FormatBool(onDemand), func(t *testing.T) {
			a := newAuthority(t)
			l := listen(t, a)
			template := certmagic.Config{Storage: &certmagic.FileStorage{Path: t.TempDir()}, Logger: zap.NewNop()}
			if onDemand {
				template.OnDemand = &certmagic.OnDemandConfig{DecisionFunc: func(context.Context, string) error { return nil }}
			}
			var cfg *certmagic.Config
			cache := certmagic.NewCache(certmagic.CacheOptions{
				GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return cfg, nil },
				Logger:           zap.NewNop(),
			})
			defer cache.Stop()
			cfg = certmagic.New(cache, template)
			cfg.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(cfg, certmagic.ACMEIssuer{
				CA: a.url + "/directory", Agreed: true, DisableHTTPChallenge: true,
				ListenHost: "127.0.0.1", AltTLSALPNPort: l.Addr().(*net.TCPAddr).Port,
				HTTPProxy: func(*http.Request) (*url.URL, error) { return nil, nil },
				Logger:    zap.NewNop(),
			})}
			serve(t, l, cfg.TLSConfig())
			if !onDemand {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := cfg.ManageSync(ctx, []string{name}); err != nil {
					t.Fatal(err)
				}
			}
			first := visit(t, a)
			if again := visit(t, a); again != first {
				t.Errorf("the certificates are %s and %s", first, again)
			}
			a.check(t, name)
		})
	}
}
