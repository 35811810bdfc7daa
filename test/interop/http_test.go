package interop

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// program skips the test where a program is missing; under CI it fails.
func program(t *testing.T, names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", names[0])
	}
	t.Skipf("%s is not installed", names[0])
	return ""
}

// TestCurl: curl posts the payload to a hermetic server, and gets it back.
func TestCurl(t *testing.T) {
	curl := program(t, "curl")
	a := &authority{ca: pkitest.CA(t)}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, mutual := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/mutual %v", tls.VersionName(version), mutual), func(t *testing.T) {
				c := cell{version: version, mutual: mutual}
				f, leaf := a.files(t, "")
				cfg := c.config(a, leaf, hermetic.TLSServer)
				cfg.NextProtos = []string{"http/1.1"}
				engine, err := hermetic.NewEngine(hermetic.TLSServer, cfg)
				if err != nil {
					t.Fatal(err)
				}
				listener, port, err := listen()
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(listener)
				upload := filepath.Join(t.TempDir(), "payload")
				if err := os.WriteFile(upload, payload, 0o600); err != nil {
					t.Fatal(err)
				}
				args := []string{"--silent", "--show-error", "--noproxy", "*", "--max-time", fmt.Sprint(patience.Seconds()), "--cacert", f.ca, "--data-binary", "@" + upload, "-H", "Expect:",
					"--resolve", fmt.Sprintf("localhost:%d:127.0.0.1", port)}
				if mutual {
					args = append(args, "--cert", f.cert, "--key", f.key)
				}
				p := start(t, curl, append(args, fmt.Sprintf("https://localhost:%d/", port))...)
				fd, err := accept(listener)
				if err != nil {
					t.Fatal(err)
				}
				l := &link{fd: fd, engine: engine}
				if err := l.handshake(); err != nil {
					t.Fatalf("%v: %s", err, p.log())
				}
				var body []byte
				err = l.until("request", func() bool {
					head, rest, ok := bytes.Cut(l.got, []byte("\r\n\r\n"))
					body = rest
					return ok && len(head) > 0 && len(rest) >= len(payload)
				})
				if err != nil || !bytes.Equal(body, payload) {
					t.Fatalf("%v, %d bytes of the body", err, len(body))
				}
				if err := l.send(append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", len(body)), body...)); err != nil {
					t.Fatal(err)
				}
				l.close()
				if err := p.received(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestNginx: a hermetic client gets the payload from nginx.
func TestNginx(t *testing.T) {
	nginx := program(t, "nginx", "/usr/sbin/nginx")
	a := &authority{ca: pkitest.CA(t)}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			c := cell{version: version, mutual: true}
			f, leaf := a.files(t, pkitest.RSA2048)
			port := freePort()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "payload"), payload, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
				t.Fatal(err)
			}
			conf := filepath.Join(dir, "nginx.conf")
			text := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
server { listen 127.0.0.1:%[2]d ssl; server_name localhost; root %[1]s; client_max_body_size 2m;
ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_client_certificate %[5]s; ssl_verify_client on; ssl_protocols TLSv1.2 TLSv1.3; } }
`, dir, port, f.cert, f.key, f.ca)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := start(t, nginx, "-p", dir, "-c", conf)
			cfg := c.config(a, leaf, hermetic.TLSClient)
			cfg.NextProtos = []string{"http/1.1"}
			engine, err := hermetic.NewEngine(hermetic.TLSClient, cfg)
			if err != nil {
				t.Fatal(err)
			}
			fd, err := connect(port)
			if err != nil {
				t.Fatalf("%v: %s", err, p.log())
			}
			l := &link{fd: fd, engine: engine}
			defer l.close()
			if err := l.handshake(); err != nil {
				t.Fatalf("%v: %s", err, p.log())
			}
			if err := l.send([]byte("GET /payload HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			err = l.until("response", func() bool { return bytes.HasSuffix(l.got, payload) })
			if err != nil || !strings.HasPrefix(string(l.got), "HTTP/1.1 200 OK") {
				t.Errorf("%v: %.200q", err, l.got)
			}
		})
	}
}
