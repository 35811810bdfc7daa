package interop

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

var keyHex = hex.EncodeToString(sharedKey)

// write is a file for a peer.
func write(t *testing.T, name, text string) string {
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// opensslSessions is s_server, and an s_client for each connection.
type opensslSessions struct{}

func (opensslSessions) name() string              { return "OpenSSL" }
func (opensslSessions) prepare(*testing.T) string { return notInstalled("openssl") }

func (opensslSessions) speaks(stream bool, version uint16) bool {
	return stream || version == tls.VersionTLS12
}

func (opensslSessions) cannot(c sessionCell, server bool) string {
	switch {
	case c.psk && c.version == tls.VersionTLS12 && c.suite != 0 && opensslNames[c.suite] == "":
		return "no such cipher suite"
	case c.hash != 0:
		return "its programs' PSKs are for SHA-256"
	case c.wrong == "identity" && c.version == tls.VersionTLS12 && server:
		return "its server takes every identity for its own"
	}
	return ""
}

func (opensslSessions) words(c sessionCell, server bool) words {
	w := words{resumed: "Reused, ", early: "Early data was accepted"}
	if server {
		w = words{resumed: "Reused session-id", early: "Early data received"}
	}
	switch {
	case c.psk && c.version == tls.VersionTLS13:
		w.psk, w.resumed = w.resumed, "" // it reports a PSK of any kind as a session
	case c.psk && !server:
		w.psk = "PSK identity: " + identity
	}
	return w
}

func (opensslSessions) common(c sessionCell, f files) []string {
	args := openssl{}.common(c.cell, f)
	args = slices.DeleteFunc(args, func(a string) bool { return a == "-quiet" || !c.stream && a == "-tls1_2" })
	if !c.stream {
		args = append(args, "-dtls1_2")
	}
	if c.psk {
		args = append(args, "-psk", keyHex, "-psk_identity", identity)
	}
	if c.psk && c.suite == 0 {
		if c.version == tls.VersionTLS12 {
			args = append(args, "-cipher", "PSK")
		} else {
			args = append(args, "-ciphersuites", hermetic.CipherSuiteName(tls.TLS_AES_128_GCM_SHA256))
		}
	}
	return args
}

func (o opensslSessions) serve(t *testing.T, c sessionCell, f files, port int) *speaker {
	args := append([]string{"s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port)}, o.common(c, f)...)
	if c.mutual {
		args = append(args, "-Verify", "2", "-verify_return_error")
	}
	if c.ids {
		args = append(args, "-no_ticket")
	}
	if c.early {
		args = append(args, "-early_data")
	}
	if c.psk && !c.certs {
		args = append(args, "-nocert")
	}
	return &speaker{process: start(t, "openssl", args...)}
}

func (o opensslSessions) connect(t *testing.T, c sessionCell, f files, port, n int, _ *speaker) *speaker {
	saved := filepath.Join(filepath.Dir(f.ca), "session.pem")
	args := append([]string{"s_client", "-connect", fmt.Sprintf("127.0.0.1:%d", port), "-servername", "localhost", "-nocommands"}, o.common(c, f)...)
	if !c.psk || c.certs {
		args = append(args, "-verify_hostname", "localhost", "-verify_return_error")
	}
	switch {
	case n == 0:
		args = append(args, "-sess_out", saved)
	case c.early:
		args = append(args, "-sess_in", saved, "-early_data", write(t, "early", string(earlyWords)))
	default:
		args = append(args, "-sess_in", saved)
	}
	return &speaker{process: start(t, "openssl", args...)}
}

// gnutlsSessions is gnutls-serv, and a gnutls-cli that resumes by itself.
type gnutlsSessions struct{}

func (gnutlsSessions) name() string              { return "GnuTLS" }
func (gnutlsSessions) prepare(*testing.T) string { return notInstalled("gnutls-serv", "gnutls-cli") }

func (gnutlsSessions) speaks(stream bool, version uint16) bool {
	return stream || version == tls.VersionTLS12
}

func (gnutlsSessions) cannot(c sessionCell, server bool) string {
	switch {
	case c.suite>>8 == 0xd0:
		return "no such cipher suite"
	case c.suite == 0xccac && !server:
		return "its client crashes, with its own server too"
	case c.hash != 0:
		return "its programs' PSKs are for SHA-256"
	case c.certs && server:
		return "an unknown identity is an illegal_parameter to it"
	}
	return ""
}

func (gnutlsSessions) words(c sessionCell, server bool) words {
	if server && !c.stream {
		return words{} // there it says nothing
	}
	return words{resumed: "*** This is a resumed session", psk: "PSK authentication. Connected as '" + identity + "'"}
}

func (gnutlsSessions) common(c sessionCell, port int) []string {
	priority := gnutls{}.priority(c.cell)
	if c.psk {
		priority += ":+PSK:+ECDHE-PSK"
		if !c.certs {
			priority += ":-CTYPE-ALL"
		}
		if c.version == tls.VersionTLS12 {
			priority = strings.Replace(priority, "+PSK:+ECDHE-PSK", "-KX-ALL:+"+map[bool]string{true: "ECDHE-PSK", false: "PSK"}[c.suite == 0xccac], 1)
		}
	}
	args := []string{"--port", fmt.Sprint(port)}
	if !c.stream {
		priority = strings.Replace(priority, "VERS-TLS1.2", "VERS-DTLS1.2", 1)
		args = append(args, "--udp")
	}
	if c.ids {
		args = append(args, "--noticket")
	}
	return append(args, "--priority", priority)
}

func (g gnutlsSessions) serve(t *testing.T, c sessionCell, f files, port int) *speaker {
	args := append(g.common(c, port), "--echo")
	if !c.stream {
		args = append(args, "--nocookie")
	}
	if !c.psk || c.certs {
		args = append(args, "--x509certfile", f.cert, "--x509keyfile", f.key, "--x509cafile", f.ca)
	}
	if c.psk {
		args = append(args, "--pskpasswd", write(t, "keys", identity+":"+keyHex+"\n"))
	}
	if c.mutual {
		args = append(args, "--require-client-cert", "--verify-client-cert")
	} else {
		args = append(args, "--disable-client-cert")
	}
	if c.early {
		args = append(args, "--earlydata", "--maxearlydata", "1000")
	}
	return &speaker{process: start(t, "gnutls-serv", args...), echoes: true, silent: true}
}

func (g gnutlsSessions) connect(t *testing.T, c sessionCell, f files, port, n int, before *speaker) *speaker {
	if n > 0 {
		return before
	}
	args := g.common(c, port)
	if !c.psk || c.certs {
		args = append(args, "--x509cafile", f.ca)
	}
	if c.psk {
		args = append(args, "--pskusername", identity, "--pskkey", keyHex)
	}
	if c.mutual {
		args = append(args, "--x509certfile", f.cert, "--x509keyfile", f.key)
	}
	if c.connections() > 1 {
		args = append(args, "--resume")
	}
	if c.version == tls.VersionTLS13 {
		args = append(args, "--waitresumption")
	}
	if c.early {
		args = append(args, "--earlydata", write(t, "early", string(earlyWords)))
	}
	return &speaker{process: start(t, "gnutls-cli", append(args, "localhost")...), hasty: true}
}

// goSessions is crypto/tls.
type goSessions struct{}

func (goSessions) name() string              { return "crypto/tls" }
func (goSessions) prepare(*testing.T) string { return "" }

func (goSessions) speaks(stream bool, _ uint16) bool { return stream }

func (goSessions) cannot(c sessionCell, server bool) string {
	switch {
	case c.psk:
		return "no external PSKs"
	case c.early:
		return "no 0-RTT over TLS"
	case c.ids:
		return "its sessions are tickets"
	case c.suite != 0 && server:
		return "the cipher suites of TLS 1.3 cannot be chosen"
	}
	return ""
}

func (goSessions) words(sessionCell, bool) words { return words{resumed: resumedWord} }

// resumedWord is what our own peers print.
const resumedWord = "resumed"

func (goSessions) config(t *testing.T, c sessionCell, f files) *tls.Config {
	cfg := goTLS{}.config(t, c.cell, f)
	cfg.NextProtos = nil
	return cfg
}

func (g goSessions) serve(t *testing.T, c sessionCell, f files, port int) *speaker {
	l, err := tls.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port), g.config(t, c, f))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &process{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.echoTLS(conn.(*tls.Conn))
		}
	}()
	return &speaker{process: p, echoes: true}
}

func (g goSessions) connect(t *testing.T, c sessionCell, f files, port, n int, before *speaker) *speaker {
	if n > 0 {
		return before
	}
	cfg := g.config(t, c, f)
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	p := &process{}
	go func() {
		for range c.connections() {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				p.write(err)
				return
			}
			p.echoTLS(tls.Client(conn, cfg))
		}
	}()
	return &speaker{process: p, echoes: true}
}

// echoTLS sends back what comes until the end.
func (p *process) echoTLS(conn *tls.Conn) {
	defer conn.Close()
	err := conn.Handshake()
	if err == nil && conn.ConnectionState().DidResume {
		p.write(resumedWord)
	}
	buf := make([]byte, 1<<14)
	for n := 0; err == nil; {
		if n, err = conn.Read(buf); err == nil {
			_, err = conn.Write(buf[:n])
		}
	}
	p.write(err)
}

// write records a line as the peer's.
func (p *process) write(line any) { fmt.Fprintln(locked{&p.mu, &p.stderr}, line) }

// compiledSessions is a program of ours on another library.
type compiledSessions struct{ *compiled }

func (p compiledSessions) speaks(stream bool, version uint16) bool {
	switch p.source {
	case "mbedtls":
		return version == tls.VersionTLS12
	case "wolfssl":
		return stream || version == tls.VersionTLS12
	}
	return true
}

func (p compiledSessions) cannot(c sessionCell, server bool) string {
	switch p.source {
	case "mbedtls":
		if c.suite>>8 == 0xd0 {
			return "no such cipher suite"
		}
	case "wolfssl":
		switch {
		case c.early:
			return "Debian's build has no early data"
		case c.loss > 0:
			return "5.5 ends the handshake at the first loss, by an alert or its timeout"
		case c.suite != 0 && c.suite != 0xd001 && c.suite != 0xccac && c.version == tls.VersionTLS12:
			return "no such cipher suite in Debian's build"
		case c.suite == 0xccac && !server:
			return "its client has no X25519 with a PSK"
		case c.forged && c.version == tls.VersionTLS12 && !server:
			return "its client takes every answer to a ticket for a resumption"
		}
	case "nss":
		switch {
		case c.psk && c.version == tls.VersionTLS12:
			return "no PSKs in TLS 1.2"
		case c.forged && c.version == tls.VersionTLS12 && server:
			return "a forged ticket is an illegal_parameter to it in TLS 1.2"
		case c.accepts() && !c.stream:
			return "its 0-RTT has an EndOfEarlyData, which DTLS 1.3 leaves out"
		}
	}
	return ""
}

func (p compiledSessions) words(sessionCell, bool) words {
	w := words{resumed: resumedWord}
	if p.source == "nss" {
		w.early, w.psk = "early data", "psk"
	}
	return w
}

func (p compiledSessions) speak(t *testing.T, c sessionCell, f files, server bool, port int) *speaker {
	args := p.arguments(c.datagramCell, f, server, port)
	args = append(args, fmt.Sprintf("connections=%d", c.connections()))
	if c.stream {
		args = append(args, "stream=1")
	}
	if c.ids {
		args = append(args, "ids=1")
	}
	if c.early {
		args = append(args, "early="+string(earlyWords))
	}
	if c.psk {
		args = append(args, "psk="+keyHex, "identity="+identity)
		if !c.certs && !(p.source == "nss" && server) { // it starts no server without one
			args = append(args, "cert=")
		}
	}
	return &speaker{process: p.run(t, args), echoes: true}
}

func (p compiledSessions) serve(t *testing.T, c sessionCell, f files, port int) *speaker {
	return p.speak(t, c, f, true, port)
}

func (p compiledSessions) connect(t *testing.T, c sessionCell, f files, port, n int, before *speaker) *speaker {
	if n > 0 {
		return before
	}
	return p.speak(t, c, f, false, port)
}
