package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
	"github.com/hermetic-tls/hermetic/trace/page"
)

// pages serves the status page.
type pages struct {
	started     time.Time
	open, total atomic.Int64 // connections
	handshakes  *handshakes
}

func newPages(now time.Time, h *handshakes) *pages { return &pages{started: now, handshakes: h} }

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
	var events []trace.Event
	if c := netconn.FromContext(r.Context()); c != nil {
		c.Control(func(e *hermetic.Engine) error {
			events = p.handshakes.of(e.TraceConn())
			return nil
		})
	}
	var body bytes.Buffer
	err := page.Write(&body, events, &page.Options{
		Title: "hermetic: " + http.StatusText(status), Note: "This is the handshake of your own connection, as the server sees it.", Facts: p.facts(r, s),
	})
	if err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", page.Policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body.Bytes()) // net/http omits it from the answer to HEAD
}

// facts are about the visitor's connection, and the server.
func (p *pages) facts(r *http.Request, s hermetic.ConnectionState) []flow.Fact {
	session := ""
	if s.DidResume {
		session = "resumed"
	}
	all := []flow.Fact{
		{Name: "Protocol", Value: r.Proto}, {Name: "Version", Value: versionName(s)}, {Name: "Cipher suite", Value: hermetic.CipherSuiteName(s.CipherSuite)},
		{Name: "Group", Value: groupName(s.CurveID)}, {Name: "ALPN", Value: s.NegotiatedProtocol}, {Name: "Server name", Value: s.ServerName},
		{Name: "Session", Value: session}, {Name: "Your certificate", Value: ofClient(s)}, {Name: "Your PSK", Value: string(s.PSKIdentity)},
		{Name: "You", Value: r.RemoteAddr},
		{Name: "Connections", Value: fmt.Sprintf("%d open, %d in %v", p.open.Load(), p.total.Load(), time.Since(p.started).Round(time.Second))},
	}
	return slices.DeleteFunc(all, func(f flow.Fact) bool { return f.Value == "" })
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
