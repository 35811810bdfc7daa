package process

import (
	"fmt"
	"path/filepath"
	"strings"
)

// nginxConfig is the configuration of nginx: one worker, nothing on disk, and otherwise what
// Debian's nginx does by default.
func nginxConfig(dir, address, chain, key string, files int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("daemon off;")
	line("worker_processes 1;")
	line("worker_rlimit_nofile %d;", files)
	line("pid %s;", quote(filepath.Join(dir, "nginx.pid")))
	line("error_log stderr crit;")
	// When less than a sixteenth of them are free, nginx closes idle ones.
	line("events { worker_connections %d; }", files+files/8)
	line("http {")
	line("  access_log off;")
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		line("  %s_temp_path %s;", what, quote(filepath.Join(dir, what)))
	}
	line("  keepalive_timeout 1h;")
	line("  keepalive_requests 1000000000;")
	line("  server {")
	line("    listen %s ssl backlog=4096;", address)
	line("    ssl_certificate %s;", quote(chain))
	line("    ssl_certificate_key %s;", quote(key))
	line("    ssl_protocols TLSv1.3;")
	line("    ssl_ecdh_curve X25519;")
	line("    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;")
	line("    ssl_conf_command NumTickets 1;") // as the others have; OpenSSL would send two
	line("    location = %s { default_type text/plain; return 200 %s; }", path, quote(string(body)))
	line("  }")
	line("}")
	return b.String()
}

// quote makes s one word of nginx's configuration. Where nginx expands variables, as in the text of
// return, s must not have a $.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
