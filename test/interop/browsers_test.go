package interop

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/certcompress"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// site is a web site of ours, which counts how its certificate was sent.
type site struct {
	url   string
	mu    sync.Mutex
	sent  map[uint16]int // by the algorithm of its compression
	limit int            // the browser's record_size_limit
	pages int
}

// serveSite serves a page at localhost.
func serveSite(t *testing.T, leaf tls.Certificate, compressors []hermetic.CertificateCompressor) *site {
	t.Helper()
	s := &site{sent: map[uint16]int{}}
	cfg := &hermetic.Config{
		Certificates:           []tls.Certificate{leaf},
		CertificateCompressors: compressors,
		NoTickets:              true,
		VerifyConnection: func(state hermetic.ConnectionState) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sent[state.LocalCertificateCompression]++
			s.limit = state.PeerRecordSizeLimit
			return nil
		},
	}
	l, err := netconn.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		s.mu.Lock()
		s.pages++
		s.mu.Unlock()
		fmt.Fprint(w, "<p>the page of hermetic</p>")
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	s.url = "https://localhost" + strings.TrimPrefix(l.Addr().String(), "127.0.0.1") + "/"
	return s
}

// browse runs a browser, which is killed with all its processes in the end.
func browse(t *testing.T, name string, args ...string) (output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Logf("%s: %v", name, err)
	}
	return string(out)
}

// A browser loads a page, whose certificate it trusts.
type browser struct {
	program string
	load    func(t *testing.T, program string, leaf tls.Certificate, url string)
	limit   int               // its record_size_limit; 0: it sends none
	prefers map[string]uint16 // the algorithm that it gets, by what the server has
}

var browsers = []browser{
	{"chromium", chromium, 0, map[string]uint16{"everything": 2, "only Brotli": 2, "only zlib": 0, "only Zstandard": 0, "nothing": 0}},
	{"firefox-esr", firefox, 1<<14 + 1, map[string]uint16{"everything": 2, "only Brotli": 2, "only zlib": 1, "only Zstandard": 3, "nothing": 0}},
}

func chromium(t *testing.T, program string, leaf tls.Certificate, url string) {
	spki := sha256.Sum256(leaf.Leaf.RawSubjectPublicKeyInfo)
	out := browse(t, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(spki[:]),
		"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--dump-dom", url)
	if !strings.Contains(out, "the page of hermetic") {
		t.Errorf("the page is %q", out)
	}
}

func firefox(t *testing.T, program string, leaf tls.Certificate, url string) {
	profile := t.TempDir()
	print := sha256.Sum256(leaf.Certificate[0])
	host := strings.TrimSuffix(strings.TrimPrefix(url, "https://"), "/")
	override := fmt.Sprintf("%s:\tOID.2.16.840.1.101.3.4.2.1\t%s\t\n", host, strings.TrimSuffix(fmt.Sprintf(strings.Repeat("%02X:", len(print)), hexBytes(print)...), ":"))
	for name, text := range map[string]string{
		"cert_override.txt": override,
		"user.js":           "user_pref('network.captive-portal-service.enabled', false);\nuser_pref('app.update.enabled', false);\n",
	} {
		if err := os.WriteFile(filepath.Join(profile, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	browse(t, program, "--headless", "--no-remote", "--profile", profile, "--screenshot", filepath.Join(profile, "page.png"), url)
}

func hexBytes(sum [32]byte) (list []any) {
	for _, b := range sum {
		list = append(list, b)
	}
	return list
}

// TestBrowsers: browsers load a page, whose certificate they get in the form that they prefer.
// What Chromium does not know is not used.
func TestBrowsers(t *testing.T) {
	leaf := pkitest.CA(t).Leaf(t, pkitest.Options{Kind: pkitest.RSA2048})
	leaf.Certificate = append(leaf.Certificate, leaf.Certificate[0])
	for _, b := range browsers {
		if why := notInstalled(b.program); why != "" {
			if os.Getenv("CI") == "true" {
				t.Error(why)
			}
			t.Log(why)
			continue
		}
		for name, compressors := range map[string][]hermetic.CertificateCompressor{
			"everything": certcompress.All(), "only Brotli": {certcompress.Brotli()}, "only zlib": {hermetic.ZlibCompressor()},
			"only Zstandard": {certcompress.Zstd()}, "nothing": nil,
		} {
			t.Run(b.program+"/"+name, func(t *testing.T) {
				s := serveSite(t, leaf, compressors)
				b.load(t, b.program, leaf, s.url)
				s.check(t, b.prefers[name], b.limit)
			})
		}
	}
}

// check checks that the page was loaded, and how all its certificates were sent.
func (s *site) check(t *testing.T, want uint16, limit int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == 0 {
		t.Error("the page was not loaded")
	}
	for algorithm, n := range s.sent {
		if algorithm != want {
			t.Errorf("%d certificates were sent with algorithm %d, want %d", n, algorithm, want)
		}
	}
	if s.sent[want] == 0 {
		t.Errorf("no certificate was sent with algorithm %d", want)
	}
	if s.limit != limit {
		t.Errorf("its record_size_limit is %d, want %d", s.limit, limit)
	}
}
