package main

import (
	"bytes"
	"html/template"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// pages serves the status page.
type pages struct {
	started     time.Time
	open, total atomic.Int64 // connections
}

func newPages(now time.Time) *pages { return &pages{started: now} }

// maxRequest is the largest request head, in bytes.
const maxRequest = 16 << 10

// server makes an HTTP server. No peer can hold a connection without sending or reading.
func (p *pages) server(fails failures) *http.Server {
	return &http.Server{
		Handler:           p,
		ReadHeaderTimeout: dialTimeout,
		ReadTimeout:       2 * dialTimeout,
		WriteTimeout:      2 * dialTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxRequest,
		ErrorLog:          log.New(httpLog{fails}, "", 0),
		ConnState:         p.count,
	}
}

// count follows the states of connections.
func (p *pages) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		p.open.Add(1)
		p.total.Add(1)
	case http.StateClosed, http.StateHijacked:
		p.open.Add(-1)
	}
}

// ServeHTTP answers with the status page, which is also that of an error.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := http.StatusOK
	switch {
	case r.URL.Path != "/":
		status = http.StatusNotFound
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", "GET, HEAD")
	}
	var s hermetic.ConnectionState
	if c := netconn.FromContext(r.Context()); c != nil {
		s = c.State()
	}
	var body bytes.Buffer
	err := page.Execute(&body, map[string]any{
		"Status": http.StatusText(status), "HTTP": r.Proto, "Version": versionName(s), "Suite": hermetic.CipherSuiteName(s.CipherSuite),
		"Group": groupName(s.CurveID), "Resumed": s.DidResume, "ALPN": s.NegotiatedProtocol, "Name": s.ServerName, "Peer": r.RemoteAddr,
		"Certificate": ofClient(s), "PSK": string(s.PSKIdentity),
		"Open": p.open.Load(), "Total": p.total.Load(), "Since": time.Since(p.started).Round(time.Second),
	})
	if err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body.Bytes()) // net/http omits it from the answer to HEAD
}

// ofClient describes the client's certificate, or is "".
func ofClient(s hermetic.ConnectionState) string {
	switch {
	case len(s.PeerCertificates) == 0:
		return ""
	case len(s.VerifiedChains) == 0:
		return fromPeer(s.PeerCertificates[0].Subject.String()) + ", not verified"
	}
	return fromPeer(s.PeerCertificates[0].Subject.String()) + ", verified"
}

// httpLog is the log of an HTTP server. Failed handshakes are reported already.
type httpLog struct{ failures }

func (l httpLog) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	if strings.HasPrefix(text, "http: TLS handshake error") {
		return len(line), nil
	}
	_, err := l.out.Write([]byte(strings.Map(printable, text) + "\n"))
	return len(line), err
}

var page = template.Must(template.New("status").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>hermetic</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em;color:#223}
h1{font-weight:600}td{padding:.2em 1.5em .2em 0}td:first-child{color:#667}</style></head>
<body><h1>hermetic: {{.Status}}</h1>
<table>
<tr><td>Protocol</td><td>{{.HTTP}}</td></tr>
<tr><td>Version</td><td>{{.Version}}</td></tr>
<tr><td>Cipher suite</td><td>{{.Suite}}</td></tr>
<tr><td>Group</td><td>{{.Group}}</td></tr>
<tr><td>ALPN</td><td>{{.ALPN}}</td></tr>
<tr><td>Server name</td><td>{{.Name}}</td></tr>
{{- if .Resumed}}
<tr><td>Session</td><td>resumed</td></tr>{{end}}
{{- if .Certificate}}
<tr><td>Your certificate</td><td>{{.Certificate}}</td></tr>{{end}}
{{- if .PSK}}
<tr><td>Your PSK</td><td>{{.PSK}}</td></tr>{{end}}
<tr><td>You</td><td>{{.Peer}}</td></tr>
<tr><td>Connections</td><td>{{.Open}} open, {{.Total}} in {{.Since}}</td></tr>
</table></body></html>
`))
