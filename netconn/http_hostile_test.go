package netconn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

const http2Start = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// TestHTTPConfusion: a client that agrees on one version of HTTP and speaks the other reaches no
// handler, and gets nothing in the version that was not agreed on.
func TestHTTPConfusion(t *testing.T) {
	for _, test := range []struct{ name, agreed, sent string }{
		{"HTTP/1.1 under h2", "h2", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"HTTP/1.1 after a part of the preface", "h2", "PRI * HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"half of the preface, and HTTP/1.1", "h2", "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a preface that ends otherwise", "h2", http2Start[:20] + "xxxxGET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"HTTP/2 under http/1.1", "http/1.1", http2Start + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
		{"HTTP/2 under nothing", "", http2Start + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
	} {
		for _, size := range []int{1, 14, 1000} {
			t.Run(fmt.Sprint(test.name, size), func(t *testing.T) {
				var called atomic.Int32
				s := startHTTP(t, httpSides[1], &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) })}, false)
				cfg := &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost"}
				if test.agreed != "" {
					cfg.NextProtos = []string{test.agreed}
				}
				c, err := tls.Dial("tcp", s.addr, cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				for rest := test.sent; rest != ""; {
					n := min(size, len(rest))
					if _, err := io.WriteString(c, rest[:n]); err != nil {
						break // it has ended
					}
					rest = rest[n:]
				}
				answer, _ := io.ReadAll(c)
				if called.Load() != 0 {
					t.Errorf("the handler was called, and the answer is %q", answer)
				}
				if test.agreed == "h2" && strings.HasPrefix(string(answer), "HTTP/1") || test.agreed != "h2" && len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1") {
					t.Errorf("the answer is %q", answer)
				}
			})
		}
	}
}

// TestHTTPOffers: what is agreed on is what the server speaks, whatever the Config, its
// GetConfigForClient and the server's Protocols say.
func TestHTTPOffers(t *testing.T) {
	var one, two, both http.Protocols
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	for _, test := range []struct {
		name    string
		protos  []string
		server  *http.Protocols
		next    map[string]func(*http.Server, *tls.Conn, http.Handler)
		another []string // of GetConfigForClient
		want    string   // of a client that prefers h2
	}{
		{"all defaults", nil, nil, nil, nil, "h2 HTTP/2.0"},
		{"no HTTP/2", []string{"h2", "http/1.1"}, &one, nil, nil, "http/1.1 HTTP/1.1"},
		{"no HTTP/2, the old way", []string{"h2", "http/1.1"}, nil, map[string]func(*http.Server, *tls.Conn, http.Handler){}, nil, "http/1.1 HTTP/1.1"},
		{"no HTTP/1", nil, &two, nil, nil, "h2 HTTP/2.0"},
		{"both", []string{"http/1.1", "h2"}, &both, nil, nil, "http/1.1 HTTP/1.1"},
		{"another Config", []string{"http/1.1"}, nil, nil, []string{"h2"}, "h2 HTTP/2.0"},
		{"another Config with what is not spoken", nil, &one, nil, []string{"h2"}, "h2 nothing"},
		{"another Config with something else", nil, nil, nil, []string{"http/1.1x"}, "an error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ca := pkitest.CA(t)
			cfg := &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, NextProtos: test.protos}
			if test.another != nil {
				other := cfg.Clone()
				other.NextProtos = test.another
				cfg.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) { return other, nil }
			}
			l, err := netconn.Listen("tcp", "127.0.0.1:0", cfg)
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Protocols: test.server, TLSNextProto: test.next, ErrorLog: logTo(io.Discard), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })}
			go netconn.Serve(srv, l)
			defer srv.Close()
			c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}})
			got := "an error"
			if err == nil {
				got = c.ConnectionState().NegotiatedProtocol + " nothing"
				c.Close()
				r, body, err := get(t, httpSides[0].transport(ca.Pool(), nil), "https://"+l.Addr().String())
				if err == nil && r.Proto == body {
					got = c.ConnectionState().NegotiatedProtocol + " " + body
				}
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestPlainServer: http.Server.Serve without netconn.Serve speaks what it has agreed on.
func TestPlainServer(t *testing.T) {
	for _, protos := range [][]string{{"h2", "http/1.1"}, {"http/1.1", "h2"}, {"http/1.1"}, {"h2"}, nil} {
		ca := pkitest.CA(t)
		l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, NextProtos: protos})
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{ErrorLog: logTo(io.Discard), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.TLS.NegotiatedProtocol) })}
		go srv.Serve(l)
		r, body, err := get(t, httpSides[0].transport(ca.Pool(), nil), "https://"+l.Addr().String())
		srv.Close()
		onlyHTTP2 := len(protos) == 1 && protos[0] == "h2"
		if onlyHTTP2 != (err != nil) {
			t.Errorf("%v: %v", protos, err)
		} else if err == nil && (r.Proto != "HTTP/1.1" || strings.Contains(body, "h2")) {
			t.Errorf("%v: %s, %s", protos, r.Proto, body)
		}
	}
}

// TestServeTwice: one server serves several listeners, one of them without TLS, which does not begin
// to speak HTTP/2 by that.
func TestServeTwice(t *testing.T) {
	ca := pkitest.CA(t)
	cfg := &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	srv := &http.Server{ErrorLog: logTo(io.Discard), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.TLS != nil) })}
	var addrs []string
	done := make(chan error, 2)
	for range 2 {
		l, err := netconn.Listen("tcp", "127.0.0.1:0", cfg)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, "https://"+l.Addr().String())
		go func() { done <- netconn.Serve(srv, l) }()
	}
	for _, addr := range addrs {
		for range 2 {
			if _, body, err := get(t, netconn.Transport(&hermetic.Config{RootCAs: ca.Pool()}), addr); body != "HTTP/2.0true" {
				t.Errorf("%s, %v", body, err)
			}
		}
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(plain)
	if _, body, err := get(t, http.DefaultTransport, "http://"+plain.Addr().String()); body != "HTTP/1.1false" {
		t.Errorf("%s, %v", body, err)
	}
	var unencrypted http.Protocols
	unencrypted.SetUnencryptedHTTP2(true)
	if r, body, err := get(t, &http.Transport{Protocols: &unencrypted}, "http://"+plain.Addr().String()); err == nil && r.StatusCode != http.StatusHTTPVersionNotSupported {
		t.Errorf("unencrypted HTTP/2 is served: %s %s", r.Status, body)
	}
	srv.Close()
	for range 2 {
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	}
	l, err := netconn.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := netconn.Serve(srv, l); err != http.ErrServerClosed {
		t.Errorf("after Close: %v", err)
	}
}

// TestServeOthers: connections that are not of this package are refused, not served without TLS.
func TestServeOthers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := newLines()
	srv := &http.Server{ErrorLog: logTo(said), Handler: http.NotFoundHandler()}
	go netconn.Serve(srv, l)
	defer srv.Close()
	if _, _, err := get(t, http.DefaultTransport, "http://"+l.Addr().String()); err == nil {
		t.Error("it is served without TLS")
	}
	if line := said.next(); !strings.Contains(line, "netconn.Listener") {
		t.Error(line)
	}
}

// TestHTTPHalfClose: a client that sends its close_notify after the request gets the answer; a
// Hijacker gets a connection that works; an idle connection of HTTP/2 gets a GOAWAY at Shutdown.
func TestHTTPHalfClose(t *testing.T) {
	same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
		s := startHTTP(t, side, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				fmt.Fprint(w, "answer")
				return
			}
			c, b, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(c, b)
			c.Close()
		})}, false)
		dial := func(proto string) *tls.Conn {
			c, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost", NextProtos: []string{proto}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := dial("http/1.1")
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		c.CloseWrite()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		say("%s, %v", body, err)

		for _, other := range httpSides {
			transport := other.transport(s.ca.Pool(), nil)
			req, err := http.NewRequest("GET", "https://"+s.addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "websocket")
			r, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(other.name, err)
			}
			echo := r.Body.(io.ReadWriteCloser)
			io.WriteString(echo, "hello")
			got := make([]byte, 5)
			_, err = io.ReadFull(echo, got)
			say("%s: %s, %s, %v", other.name, r.Status, got, err)
			echo.Close()
		}

		c = dial("h2")
		io.WriteString(c, http2Start+"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		frames := bufio.NewReader(c)
		frame := func() (kind byte) {
			for kind = 8; kind == 8; { // a WINDOW_UPDATE may come before anything else, or after it
				var header [9]byte
				if _, err := io.ReadFull(frames, header[:]); err != nil {
					return 0xff
				}
				io.CopyN(io.Discard, frames, int64(header[0])<<16|int64(header[1])<<8|int64(header[2]))
				kind = header[3]
			}
			return kind
		}
		say("the first frame is %d", frame())
		for frame() != 4 { // the acknowledgment of our settings
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		say("then a GOAWAY: %v", frame() == 7)
		c.Close()
		say("Shutdown: %v", <-ended)
	})
}

// TestTransportParallel: many first requests at once share connections, and none is left behind.
func TestTransportParallel(t *testing.T) {
	for _, proto := range []string{"h2", "http/1.1"} {
		var open atomic.Int32
		srv := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprintf(w, "%s %d %v", r.Proto, n, err)
			}),
			ConnState: func(_ net.Conn, s http.ConnState) {
				switch s {
				case http.StateNew:
					open.Add(1)
				case http.StateClosed:
					open.Add(-1)
				}
			},
		}
		s := startHTTP(t, httpSides[1], srv, false, proto)
		transport := httpSides[1].transport(s.ca.Pool(), nil)
		transport.MaxConnsPerHost = 3
		var handshakes atomic.Int32
		trace := &httptrace.ClientTrace{TLSHandshakeStart: func() { handshakes.Add(1) }, TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			// CloseIdleConnections cancels what still dials for a request that another connection served.
			if err != nil && err != context.Canceled {
				t.Error(err)
			}
		}}
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", "https://"+s.addr, struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 50_000))})
				if err != nil {
					t.Error(err)
					return
				}
				r, err := transport.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				body, err := io.ReadAll(r.Body)
				if want := r.Proto + " 50000 <nil>"; string(body) != want || err != nil || r.TLS == nil || r.Request.URL != req.URL {
					t.Errorf("%s, %v, want %s", body, err, want)
				}
			})
		}
		wg.Wait()
		if handshakes.Load() == 0 {
			t.Error("httptrace hears of no handshake")
		}
		transport.CloseIdleConnections()
		for deadline := time.Now().Add(time.Minute); open.Load() > 0; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d connections are left", proto, open.Load())
			}
		}
	}
}

// TestTransportChanges: a host may speak another version at its next connection.
func TestTransportChanges(t *testing.T) {
	ca := pkitest.CA(t)
	var turn atomic.Int32
	cfg := &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	configs := []*hermetic.Config{cfg.Clone(), cfg.Clone()}
	configs[0].NextProtos, configs[1].NextProtos = []string{"h2"}, []string{"http/1.1"}
	cfg.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) { return configs[turn.Add(1)%2], nil }
	l, err := netconn.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, body)
	})}
	go netconn.Serve(srv, l)
	defer srv.Close()
	transport := netconn.Transport(&hermetic.Config{RootCAs: ca.Pool()})
	seen := map[string]int{}
	for range 8 {
		r, err := (&http.Client{Transport: transport}).Post("https://"+l.Addr().String(), "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		seen[string(body)]++
		if err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	}
	if len(seen) != 2 || seen["HTTP/2.0 body"] == 0 || seen["HTTP/1.1 body"] == 0 {
		t.Errorf("%v", seen)
	}
}

// TestTransportClone: a clone speaks HTTP/1.1 over this package, and never over crypto/tls.
func TestTransportClone(t *testing.T) {
	s := startHTTP(t, httpSides[1], &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })}, false)
	transport := httpSides[1].transport(s.ca.Pool(), nil)
	clone := transport.Clone()
	if _, body, err := get(t, clone, "https://"+s.addr); body != "HTTP/1.1" {
		t.Errorf("%s, %v", body, err)
	}
	if _, body, err := get(t, transport, "https://"+s.addr); body != "HTTP/2.0" {
		t.Errorf("%s, %v", body, err)
	}
	proxy := startSOCKS(t, "", "")
	clone = transport.Clone()
	clone.Proxy = http.ProxyURL(proxy)
	clone.TLSClientConfig.RootCAs = s.ca.Pool()
	clone.TLSClientConfig.ServerName = "localhost"
	if _, body, err := get(t, clone, "https://"+s.addr); err == nil {
		t.Errorf("it went over crypto/tls: %s", body)
	}
	transport.CloseIdleConnections()
}

func logTo(w io.Writer) *log.Logger { return log.New(w, "", 0) }

// startSOCKS starts a SOCKS 5 proxy, which wants that user if there is one.
func startSOCKS(t *testing.T, user, password string) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		b := make([]byte, 600)
		read := func(n byte) []byte {
			io.ReadFull(c, b[:n])
			return b[:n]
		}
		read(read(2)[1])
		if user != "" {
			c.Write([]byte{5, 2})
			name := string(read(read(2)[1]))
			if name != user || string(read(read(1)[0])) != password {
				c.Write([]byte{1, 1})
				return
			}
			c.Write([]byte{1, 0})
		} else {
			c.Write([]byte{5, 0})
		}
		var host string
		switch read(4)[3] {
		case 1:
			host = net.IP(read(4)).String()
		case 3:
			host = string(read(read(1)[0]))
		}
		port := read(2)
		out, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(int(port[0])<<8|int(port[1]))))
		if err != nil {
			c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
			return
		}
		c.Write(append([]byte{5, 0, 0, 3, 4}, "nameXX"...))
		go func() {
			io.Copy(out, c)
			out.Close()
		}()
		io.Copy(c, out)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	u := &url.URL{Scheme: "socks5", Host: l.Addr().String()}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	return u
}

// TestHTTPSOCKS: SOCKS 5, with and without a user, and what a proxy may refuse.
func TestHTTPSOCKS(t *testing.T) {
	same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
		s := startHTTP(t, side, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })}, false)
		open, closed := startSOCKS(t, "", ""), startSOCKS(t, "user", "secret")
		wrong := *closed
		wrong.User = url.UserPassword("user", "guess")
		for name, proxy := range map[string]*url.URL{"open": open, "closed": closed} {
			transport := side.transport(s.ca.Pool(), nil)
			transport.Proxy = http.ProxyURL(proxy)
			_, body, err := get(t, transport, "https://"+s.addr)
			if err != nil || body != "HTTP/2.0" {
				t.Errorf("%s: %s, %v", name, body, err)
			}
			transport.CloseIdleConnections()
		}
		for _, proxy := range []*url.URL{&wrong, {Scheme: "gopher", Host: "127.0.0.1:1"}} {
			transport := side.transport(s.ca.Pool(), nil)
			transport.Proxy = http.ProxyURL(proxy)
			_, _, err := get(t, transport, "https://"+s.addr)
			say("refused: %v", err != nil)
		}
		transport := side.transport(s.ca.Pool(), nil)
		transport.Proxy = http.ProxyURL(open)
		_, _, err := get(t, transport, "https://127.0.0.1:1")
		say("unreachable: %v", err != nil)
		for name, answer := range map[string]string{"an end": "", "garbage": "HTTP/1.1 400 Bad Request\r\n\r\n", "no method": "\x05\xff", "an unknown address": "\x05\x00\x05\x00\x00\x07"} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if c, err := l.Accept(); err == nil {
					io.WriteString(c, answer)
					c.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, c)
					c.Close()
				}
			}()
			transport := side.transport(s.ca.Pool(), nil)
			transport.Proxy = http.ProxyURL(&url.URL{Scheme: "socks5", Host: l.Addr().String()})
			if _, _, err := get(t, transport, "https://"+s.addr); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			l.Close()
		}
	})
}

// TestServeFlood: clients that stall, vanish, send garbage or flood cost nothing once they are gone
// and the server is closed, and do not delay others.
func TestServeFlood(t *testing.T) {
	before := runtime.NumGoroutine()
	s := startHTTP(t, httpSides[1], &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "answer") })}, false)
	s.ErrorLog = logTo(io.Discard)
	cfg := &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}}
	var open []net.Conn
	for i := range 100 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		switch i % 5 {
		case 0: // stalls
		case 1:
			io.WriteString(c, "\x16\x03\x01\x40\x00\x01") // a part of a record
		case 2:
			c.Write(make([]byte, 1<<16))
			c.Close()
		case 3:
			secure := tls.Client(c, cfg)
			if err := secure.Handshake(); err != nil {
				t.Fatal(err)
			}
			io.WriteString(secure, http2Start+strings.Repeat("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 2000)) // and reads nothing
		case 4:
			if err := tls.Client(c, cfg).Handshake(); err != nil {
				t.Fatal(err)
			}
			c.Close() // without a close_notify
		}
	}
	transport := httpSides[1].transport(s.ca.Pool(), nil)
	if _, body, err := get(t, transport, "https://"+s.addr); body != "answer" {
		t.Errorf("%q, %v", body, err)
	}
	transport.CloseIdleConnections()
	s.Close()
	if err := <-s.done; err != http.ErrServerClosed {
		t.Error(err)
	}
	for _, c := range open {
		c.Close()
	}
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}
