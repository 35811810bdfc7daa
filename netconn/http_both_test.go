package netconn_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// httpSide is one of the two that each test of HTTP compares: crypto/tls, and this package.
type httpSide struct {
	name      string
	serve     func(srv *http.Server, l net.Listener, cert tls.Certificate, clients *x509.CertPool, protos ...string) error
	transport func(roots *x509.CertPool, cert *tls.Certificate, protos ...string) *http.Transport
}

var httpSides = []httpSide{{
	name: "crypto/tls",
	serve: func(srv *http.Server, l net.Listener, cert tls.Certificate, clients *x509.CertPool, protos ...string) error {
		cfg := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protos, ClientCAs: clients}
		if clients != nil {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
		srv.TLSConfig = cfg
		if protos == nil {
			return srv.ServeTLS(l, "", "")
		}
		return srv.Serve(tls.NewListener(l, cfg))
	},
	transport: func(roots *x509.CertPool, cert *tls.Certificate, protos ...string) *http.Transport {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: protos}
		if cert != nil {
			t.TLSClientConfig.Certificates = []tls.Certificate{*cert}
		}
		return t
	},
}, {
	name: "netconn",
	serve: func(srv *http.Server, l net.Listener, cert tls.Certificate, clients *x509.CertPool, protos ...string) error {
		cfg := &hermetic.Config{Certificates: []tls.Certificate{cert}, NextProtos: protos, ClientCAs: clients}
		if clients != nil {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
		return netconn.Serve(srv, netconn.NewListener(l, cfg))
	},
	transport: func(roots *x509.CertPool, cert *tls.Certificate, protos ...string) *http.Transport {
		cfg := &hermetic.Config{RootCAs: roots, ServerName: "localhost", NextProtos: protos}
		if cert != nil {
			cfg.Certificates = []tls.Certificate{*cert}
		}
		return netconn.Transport(cfg)
	},
}}

// same runs a test on each side. Each call of say must be the same on both.
func same(t *testing.T, test func(t *testing.T, side httpSide, say func(format string, args ...any))) {
	var want []string
	for i, side := range httpSides {
		var mu sync.Mutex
		var got []string
		ok := t.Run(side.name, func(t *testing.T) {
			test(t, side, func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf(format, args...))
			})
		})
		switch {
		case i == 0:
			want = got
			if ok && len(want) == 0 {
				t.Fatal("the test says nothing")
			}
		case !slices.Equal(got, want):
			t.Errorf("%s:\n  %s\n%s:\n  %s", side.name, strings.Join(got, "\n  "), httpSides[0].name, strings.Join(want, "\n  "))
		}
	}
}

// httpServer is a server on one side, with a log and certificates.
type httpServer struct {
	*http.Server
	ca   *pkitest.Authority
	addr string
	log  *lines
	done chan error
}

func startHTTP(t *testing.T, side httpSide, srv *http.Server, mutual bool, protos ...string) *httpServer {
	t.Helper()
	ca := pkitest.CA(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httpServer{Server: srv, ca: ca, addr: l.Addr().String(), log: newLines(), done: make(chan error, 1)}
	srv.ErrorLog = log.New(s.log, "", 0)
	var clients *x509.CertPool
	if mutual {
		clients = ca.Pool()
	}
	leaf := ca.Leaf(t, pkitest.Options{})
	go func() { s.done <- side.serve(srv, l, leaf, clients, protos...) }()
	t.Cleanup(func() { srv.Close() })
	return s
}

// lines is a log that tests wait for.
type lines struct {
	mu   sync.Mutex
	all  bytes.Buffer
	more chan struct{}
}

func newLines() *lines { return &lines{more: make(chan struct{}, 100)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.Write(p)
	l.more <- struct{}{}
	return len(p), nil
}

// next waits for a line, and returns all.
func (l *lines) next() string {
	<-l.more
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func get(t *testing.T, client http.RoundTripper, url string) (*http.Response, string, error) {
	t.Helper()
	r, err := (&http.Client{Transport: client}).Get(url)
	if err != nil {
		return nil, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r, string(body), err
}

// TestHTTPState: each version of HTTP, both ways, with what the handler and the client see of TLS.
func TestHTTPState(t *testing.T) {
	same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			s := r.TLS
			_, exporter := s.ExportKeyingMaterial("EXPORTER-test", nil, 32)
			fmt.Fprintf(w, "%s %s %d %v, %s %s %v, %d chains, %s, exporter: %v", r.Method, r.Proto, len(body), err,
				tls.VersionName(s.Version), s.NegotiatedProtocol, s.HandshakeComplete, len(s.VerifiedChains), s.PeerCertificates[0].DNSNames, exporter)
		})
		for _, protos := range [][]string{nil, {"h2", "http/1.1"}, {"http/1.1"}, {"h2"}} {
			s := startHTTP(t, side, &http.Server{Handler: h}, true, protos...)
			cert := s.ca.Leaf(t, pkitest.Options{Name: "client"})
			for _, other := range httpSides {
				for _, force := range []bool{true, false} {
					if !force && len(protos) == 1 && protos[0] == "h2" {
						continue // what crypto/tls does then is its own business
					}
					transport := other.transport(s.ca.Pool(), &cert)
					transport.ForceAttemptHTTP2 = force
					for range 3 {
						r, err := (&http.Client{Transport: transport}).Post("https://"+s.addr+"/x", "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
						if err != nil {
							t.Fatal(protos, other.name, force, err)
						}
						body, err := io.ReadAll(r.Body)
						r.Body.Close()
						say("%v, %s, forced %v: %s, %v, %s, %s, %d chains", protos, other.name, force, body, err, r.Proto, r.TLS.NegotiatedProtocol, len(r.TLS.VerifiedChains))
					}
					transport.CloseIdleConnections()
				}
			}
		}
	})
}

// TestHTTPTimeouts: the server's timeouts end a client that sends nothing, a part of its handshake,
// nothing after it, and nothing more.
func TestHTTPTimeouts(t *testing.T) {
	const short = 400 * time.Millisecond // a busy machine finishes its handshakes before that
	for name, srv := range map[string]func() *http.Server{
		"ReadHeaderTimeout": func() *http.Server { return &http.Server{ReadHeaderTimeout: short} },
		"ReadTimeout":       func() *http.Server { return &http.Server{ReadTimeout: short} },
		"IdleTimeout":       func() *http.Server { return &http.Server{IdleTimeout: short, ReadHeaderTimeout: time.Minute} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
				server := srv()
				server.Handler = http.NotFoundHandler()
				s := startHTTP(t, side, server, false)
				raw := func() net.Conn {
					c, err := net.Dial("tcp", s.addr)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					return c
				}
				if name != "IdleTimeout" {
					for _, hello := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
						c := raw()
						io.WriteString(c, hello)
						_, err := io.Copy(io.Discard, c)
						say("%q: closed, %v, %v", hello, err, strings.Contains(s.log.next(), "TLS handshake error from "+c.LocalAddr().String()))
					}
				}
				for _, proto := range []string{"http/1.1", "h2"} {
					c := tls.Client(raw(), &tls.Config{RootCAs: s.ca.Pool(), ServerName: "localhost", NextProtos: []string{proto}})
					switch {
					case name != "IdleTimeout":
					case proto == "h2":
						io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
					default:
						io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					}
					if err := c.Handshake(); err != nil {
						t.Fatal(err)
					}
					if proto == "h2" && name != "IdleTimeout" {
						continue // net/http waits for the preface for ten seconds
					}
					_, err := io.Copy(io.Discard, c)
					say("%s: closed, %v", proto, err == nil || errors.Is(err, io.ErrUnexpectedEOF))
				}
			})
		})
	}
}

// TestHTTPRefusals: strangers get the same answer, and the log the same line.
func TestHTTPRefusals(t *testing.T) {
	same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
		s := startHTTP(t, side, &http.Server{Handler: http.NotFoundHandler()}, false)
		for _, hello := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /x HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n", "PUT / HTTP/1.1\r\n\r\n",
			"DELETE / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		} {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, hello)
			answer, _ := io.ReadAll(c)
			all := s.log.next()
			last := all[strings.LastIndex(strings.TrimSuffix(all, "\n"), "\n")+1:]
			about := "http: TLS handshake error from " + c.LocalAddr().String() + ": "
			say("%q: %q, a line of the log: %v, about HTTP: %v", hello, answer, strings.HasPrefix(last, about),
				strings.HasSuffix(last, ": client sent an HTTP request to an HTTPS server\n"))
			c.Close()
		}
		transport := side.transport(pkitest.CA(t).Pool(), nil)
		_, _, err := get(t, transport, "https://"+s.addr)
		var unverified *tls.CertificateVerificationError
		var authority x509.UnknownAuthorityError
		say("distrust: %v, %v, logged: %v", errors.As(err, &unverified), errors.As(err, &authority), strings.Contains(s.log.next(), "TLS handshake error"))
	})
}

// TestHTTPHooks: ConnState and ConnContext see the same, and BaseContext reaches the handler.
func TestHTTPHooks(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2", "a failed handshake"} {
		t.Run(proto, func(t *testing.T) {
			same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
				type key string
				closed := make(chan struct{})
				var states []string
				var first net.Conn
				srv := &http.Server{
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						fmt.Fprint(w, r.Context().Value(key("base")), r.Context().Value(key("conn")), r.Context().Value(http.ServerContextKey) != nil)
						if side.name == "netconn" && netconn.FromContext(r.Context()) != first {
							t.Error("FromContext is another connection")
						}
					}),
					BaseContext: func(l net.Listener) context.Context {
						return context.WithValue(context.Background(), key("base"), "base")
					},
					ConnContext: func(ctx context.Context, c net.Conn) context.Context {
						first = c
						_, ours := c.(*netconn.Conn)
						_, theirs := c.(*tls.Conn)
						say("ConnContext %v", ours || theirs)
						return context.WithValue(ctx, key("conn"), "conn")
					},
					ConnState: func(c net.Conn, s http.ConnState) {
						states = append(states, fmt.Sprintf("%v, the same: %v", s, c == first || s == http.StateNew))
						if s == http.StateClosed {
							close(closed)
						}
					},
				}
				s := startHTTP(t, side, srv, false)
				if proto == "a failed handshake" {
					c, err := net.Dial("tcp", s.addr)
					if err != nil {
						t.Fatal(err)
					}
					c.Close()
				} else {
					transport := httpSides[0].transport(s.ca.Pool(), nil)
					transport.ForceAttemptHTTP2 = proto == "h2"
					for range 2 {
						r, body, err := get(t, transport, "https://"+s.addr)
						if err != nil {
							t.Fatal(err)
						}
						say("%s %s", r.Proto, body)
					}
					transport.CloseIdleConnections()
				}
				<-closed
				say("ConnState %v", states)
			})
		})
	}
}

// TestHTTPShutdown: Shutdown waits for a request that is under way, Close does not, in both
// versions; both end Serve, and idle connections.
func TestHTTPShutdown(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, graceful := range []bool{true, false} {
			t.Run(fmt.Sprint(version, graceful), func(t *testing.T) {
				same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
					began, finish := make(chan struct{}), make(chan struct{})
					h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/slow" {
							close(began)
							<-finish
						}
						fmt.Fprint(w, r.Proto)
					})
					s := startHTTP(t, side, &http.Server{Handler: h}, false)
					transport := httpSides[0].transport(s.ca.Pool(), nil)
					transport.ForceAttemptHTTP2 = version == "HTTP/2.0"
					defer transport.CloseIdleConnections()
					if _, body, err := get(t, transport, "https://"+s.addr); body != version {
						t.Fatal(body, err)
					}
					result := make(chan string, 1)
					go func() {
						_, body, err := get(t, transport, "https://"+s.addr+"/slow")
						result <- fmt.Sprint(body, ", ", err == nil)
					}()
					<-began
					ended := make(chan error, 1)
					if graceful {
						go func() { ended <- s.Shutdown(context.Background()) }()
						err := <-s.done // Serve returns at once
						select {
						case <-ended:
							t.Error("Shutdown has not waited")
						default:
						}
						close(finish)
						say("%s, Shutdown %v, Serve %v", <-result, <-ended, err)
					} else {
						err := s.Close()
						say("%s, Close %v, Serve %v", <-result, err, <-s.done)
						close(finish)
					}
					_, err := net.Dial("tcp", s.addr)
					say("closed: %v", err != nil)
				})
			})
		}
	}
}

// TestHTTPProxy: CONNECT, with and without TLS to the proxy, and what a proxy may answer.
func TestHTTPProxy(t *testing.T) {
	same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
		s := startHTTP(t, side, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })}, false)
		proxy := func(w http.ResponseWriter, r *http.Request) {
			say("the proxy is asked: %s %v %q %q", r.Method, r.Host == s.addr, r.Header.Get("Proxy-Authorization"), r.Header.Get("X-Of-Transport"))
			if r.URL.Host != s.addr && r.Host != s.addr {
				http.Error(w, "not there", http.StatusTeapot)
				return
			}
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			client, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
			go func() { io.Copy(conn, client); conn.Close() }()
			io.Copy(client, conn)
			client.Close()
		}
		plain := httptest.NewServer(http.HandlerFunc(proxy))
		defer plain.Close()
		secure := httptest.NewUnstartedServer(http.HandlerFunc(proxy))
		secure.TLS = &tls.Config{Certificates: []tls.Certificate{s.ca.Leaf(t, pkitest.Options{})}}
		secure.StartTLS()
		defer secure.Close()
		for _, at := range []string{plain.URL, strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)} {
			for _, force := range []bool{true, false} {
				transport := side.transport(s.ca.Pool(), nil)
				transport.ForceAttemptHTTP2 = force
				u, err := url.Parse(at)
				if err != nil {
					t.Fatal(err)
				}
				u.User = url.UserPassword("user", "secret")
				transport.Proxy = http.ProxyURL(u)
				transport.ProxyConnectHeader = http.Header{"X-Of-Transport": {"header"}}
				for range 2 {
					r, body, err := get(t, transport, "https://"+s.addr)
					if err != nil {
						t.Fatal(at, force, err)
					}
					say("%s, %s, %v", r.Proto, body, r.TLS != nil)
				}
				_, _, err = get(t, transport, "https://elsewhere.example")
				say("%v", strings.Contains(fmt.Sprint(err), "teapot"))
				transport.CloseIdleConnections()
			}
		}
	})
}

// TestHTTPClientFaults: a server that is silent, vanishes, sends garbage or plain HTTP.
func TestHTTPClientFaults(t *testing.T) {
	same(t, func(t *testing.T, side httpSide, say func(string, ...any)) {
		for name, answer := range map[string]func(net.Conn){
			"a silent server":           func(c net.Conn) { io.Copy(io.Discard, c) },
			"one that closes":           func(c net.Conn) {},
			"one that sends garbage":    func(c net.Conn) { c.Write(bytes.Repeat([]byte{0x80}, 1000)) },
			"one of HTTP without TLS":   func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); bufio.NewReader(c).ReadByte() },
			"one that refuses with TLS": func(c net.Conn) { c.Write([]byte{21, 3, 3, 0, 2, 2, 40}); io.Copy(io.Discard, c) },
		} {
			t.Run(name, func(t *testing.T) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						go func() { answer(c); c.Close() }()
					}
				}()
				transport := side.transport(nil, nil)
				transport.TLSHandshakeTimeout = 100 * time.Millisecond
				closed := false
				req, err := http.NewRequest("POST", "https://"+l.Addr().String(), struct {
					io.Reader
					io.Closer
				}{strings.NewReader("x"), closer(func() { closed = true })})
				if err != nil {
					t.Fatal(err)
				}
				_, err = transport.RoundTrip(req)
				var timeout net.Error
				if err == nil {
					t.Fatal("no error")
				}
				if name == "a silent server" && (!errors.As(err, &timeout) || !timeout.Timeout()) {
					t.Errorf("%v is no timeout", err)
				}
				if !closed {
					t.Error("the body is not closed")
				}
			})
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go http.Serve(l, http.NotFoundHandler())
		_, _, err = get(t, side.transport(nil, nil), "https://"+l.Addr().String())
		say("plain HTTP: %v", errors.Is(err, http.ErrSchemeMismatch))
	})
}

type closer func()

func (c closer) Close() error { c(); return nil }
