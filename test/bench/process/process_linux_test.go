package process

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

func newPKI(t *testing.T) PKI {
	ca := pkitest.CA(t)
	chain, key := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{}))
	return PKI{Chain: chain, Key: key, Roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw})}
}

// start starts a contestant. Where nginx must be there, its absence is a failure.
func start(t *testing.T, name string, pki PKI) *Server {
	s, err := Start(name, pki, "")
	var missing *MissingError
	if errors.As(err, &missing) && os.Getenv("CI") != "true" {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestContestants: under each load each server does something, in CPU time, and ends without an
// error.
func TestContestants(t *testing.T) {
	pki := newPKI(t)
	for _, name := range []string{Gnettls, GnettlsCircl, Gnet, NetHTTP, Nginx} {
		t.Run(name, func(t *testing.T) {
			s := start(t, name, pki)
			if name != Gnet {
				if n, err := s.Handshakes(t.Context(), 8, 0); err != nil || n <= 0 {
					t.Errorf("%v handshakes, %v", n, err)
				}
			}
			if n, err := s.Answers(t.Context(), 8, 0); err != nil || n <= 0 {
				t.Errorf("%v answers, %v", n, err)
			}
			if l, err := s.Latency(t.Context(), 8, 4000, 0); err != nil || l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.P999 {
				t.Errorf("latencies: %v, %v", l, err)
			}
			if _, err := s.Idle(t.Context(), 100); err != nil {
				t.Errorf("idle: %v", err)
			}
			if _, err := s.Idle(t.Context(), MaxConns+1); err == nil {
				t.Error("there is no limit of idle connections")
			}
		})
	}
}

// TestStartFails: a server that cannot start says why, and leaves no files.
func TestStartFails(t *testing.T) {
	pki := newPKI(t)
	t.Setenv("TMPDIR", t.TempDir())
	wrong := pki
	wrong.Key = newKey(t)
	for _, name := range []string{Gnettls, NetHTTP, Nginx} {
		if s, err := Start(name, wrong, ""); err == nil {
			t.Errorf("%s starts with another's key", name)
			s.Stop()
		}
	}
	if s, err := Start("apache", pki, ""); err == nil {
		t.Error("a server without a name starts")
		s.Stop()
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

func newKey(t *testing.T) []byte {
	_, key := pkitest.PEM(t, pkitest.CA(t).Leaf(t, pkitest.Options{NewKey: true}))
	return key
}

// TestGeneratorFails: a server that goes away under load is an error, not a figure.
func TestGeneratorFails(t *testing.T) {
	s := start(t, Gnettls, newPKI(t))
	gone := *s.server
	gone.address = "127.0.0.1:1"
	if n, err := (&Server{server: &gone, roots: s.roots}).Answers(t.Context(), 8, 0); err == nil {
		t.Errorf("%v answers of nobody", n)
	}
	gone = *s.server
	gone.name = Gnet // no TLS
	if n, err := (&Server{server: &gone, roots: s.roots}).Answers(t.Context(), 8, 0); err == nil {
		t.Errorf("%v answers that are none", n)
	}
}

func TestMissing(t *testing.T) {
	_, err := find("no-such-program", "/no/such/program")
	var missing *MissingError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "apt-get install nginx-light") {
		t.Error(err)
	}
}

func TestNginxConfig(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a "quoted" \ name`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pki := newPKI(t)
	chain, key := filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")
	text := nginxConfig(dir, "127.0.0.1:4433", chain, key, 20_000)
	for _, want := range []string{
		"worker_processes 1;", "listen 127.0.0.1:4433 ssl", "ssl_protocols TLSv1.3;", "ssl_ecdh_curve X25519;",
		"Ciphersuites TLS_AES_128_GCM_SHA256;", "NumTickets 1;", `a \"quoted\" \\ name`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	nginx, err := findNginx()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	config := filepath.Join(dir, "nginx.conf")
	for name, b := range map[string][]byte{chain: pki.Chain, key: pki.Key, config: []byte(text)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(nginx, "-t", "-p", dir, "-c", config).CombinedOutput(); err != nil {
		t.Errorf("nginx -t: %v: %s", err, out)
	}
}

func TestParsePSS(t *testing.T) {
	const head = "555cfec97000-7fff76e9f000 ---p 00000000 00:00 0                          [rollup]\nRss:                1740 kB\n"
	for text, want := range map[string]int{
		head + "Pss:                 386 kB\nPss_Dirty:           104 kB\n": 386 << 10,
		"Pss: 0 kB\n": 0,
		head:          -1,
		"Pss: 1 MB\n": -1,
		"Pss: -1 kB":  -1,
		"Pss: x kB\n": -1,
		"":            -1,
	} {
		if n, ok := parsePSS([]byte(text)); ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
}

func TestParseStat(t *testing.T) {
	for text, want := range map[string][2]int{
		"17 (nginx) S 16 17 17 0 -1":         {17, 16},
		"17 (nginx: worker) S 16 17":         {17, 16},
		"17 (a) S 5 (b) R 16 17":             {17, 16},
		"17 (()) R 16":                       {17, 16},
		"17 (a\nb) Z 16":                     {17, 16},
		"17 nginx S 16":                      {},
		"17 (nginx":                          {},
		"17 )nginx( S 16":                    {},
		"17 (nginx) S":                       {},
		"x (nginx) S 16":                     {},
		"17 (nginx) S x":                     {},
		"":                                   {},
		"17 (nginx) S 99999999999999999999 ": {},
	} {
		pid, ppid, ok := parseStat([]byte(text))
		if ok != (want[0] > 0) || ok && [2]int{pid, ppid} != want {
			t.Errorf("%q: %d, %d, %v", text, pid, ppid, ok)
		}
	}
}

// TestOwnUsage: the figures of the kernel about this process.
func TestOwnUsage(t *testing.T) {
	first, err := cpuTime(os.Getpid())
	if err != nil || first <= 0 {
		t.Fatal(first, err)
	}
	for then := first; then == first; {
		if then, err = cpuTime(os.Getpid()); err != nil || then < first {
			t.Fatal(then, err)
		}
	}
	if n, err := memory(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := cpuTime(1 << 22); err == nil {
		t.Error("there is a clock of a process that does not exist")
	}
	if _, err := child(1 << 22); err == nil {
		t.Error("there is a child of a process that does not exist")
	}
}

func TestRank(t *testing.T) {
	thousand := make([]time.Duration, 1000)
	for i := range thousand {
		thousand[len(thousand)-1-i] = time.Duration(i + 1)
	}
	if l := newLatency(thousand); l != (Latency{500, 990, 999}) {
		t.Errorf("of a thousand: %v", l)
	}
	if l := newLatency([]time.Duration{3}); l != (Latency{3, 3, 3}) {
		t.Errorf("of one: %v", l)
	}
	if l := newLatency([]time.Duration{3, 1, 2}); l != (Latency{2, 3, 3}) {
		t.Errorf("of three: %v", l)
	}
}

func TestPick(t *testing.T) {
	var set unix.CPUSet
	for _, cpu := range []int{3, 5, 64} {
		set.Set(cpu)
	}
	for n, want := range []int{3, 5, 64, 64} {
		if got := pick(set, n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}

func TestAnswerComplete(t *testing.T) {
	answer := func(head string, content []byte) string {
		return "HTTP/1.1 200 OK\r\n" + head + "\r\n\r\n" + string(content)
	}
	length := fmt.Sprintf("Content-Length: %d", len(body))
	whole := answer(length, body)
	for name, c := range map[string]struct {
		text     string
		complete bool
		bad      bool
	}{
		"whole":           {whole, true, false},
		"lower case":      {answer("Server: x\r\n"+strings.ToLower(length), body), true, false},
		"a byte is short": {whole[:len(whole)-1], false, false},
		"half a head":     {whole[:10], false, false},
		"a byte more":     {whole + "x", false, true},
		"another length":  {answer("Content-Length: 5", body), false, true},
		"no length":       {answer("Server: x", body), false, true},
		"an error":        {"HTTP/1.1 502 Bad Gateway\r\n\r\n", false, true},
	} {
		if complete, err := answerComplete([]byte(c.text)); complete != c.complete || (err != nil) != c.bad {
			t.Errorf("%s: %v, %v", name, complete, err)
		}
	}
}

// TestFiles: the limit of descriptors is named before connections fail one by one.
func TestFiles(t *testing.T) {
	if err := enoughFiles(1); err != nil {
		t.Error(err)
	}
	if err := enoughFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Error(err)
	}
}

// TestChildSpecs: what a child cannot do is an error.
func TestChildSpecs(t *testing.T) {
	for _, c := range [][2]string{{serveCommand, "{"}, {loadCommand, "{"}, {serveCommand, "{}"}, {loadCommand, "{}"}} {
		if err := work(c[0], []byte(c[1])); err == nil {
			t.Errorf("%q: no error", c)
		}
	}
}
