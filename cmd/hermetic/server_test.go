package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// lockedBuffer is a server's standard error.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServer runs a server, and returns its address and what it reports.
func startServer(t *testing.T, o serverOptions) (address string, said *lockedBuffer) {
	t.Helper()
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	cfg, err := o.config()
	if err != nil {
		t.Fatal(err)
	}
	said = new(lockedBuffer)
	fails := failures{said}
	l, err := o.listen("127.0.0.1:0", cfg, fails)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- o.serve(l, fails) }()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String(), said
}

func pageServer() serverOptions { return serverOptions{protocol: protocolOptions{cid: noCID}} }

// TestPages: the requests that clients send in practice, over HTTP/1.1.
func TestPages(t *testing.T) {
	address, _ := startServer(t, pageServer())
	for _, test := range []struct {
		name, request string
		want          []string // in the answers
		answers       int
	}{
		{"a request", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"HTTP/1.1 200 OK\r\n", "\r\nDate: ", "<dd>HTTP/1.1</dd>", "\r\nContent-Length: "}, 1},
		{"LF line ends", "GET / HTTP/1.1\nHost: x\nConnection: close\n\n", []string{"200 OK"}, 1},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", []string{"HTTP/1.0 200 OK"}, 0},
		{"two requests at once", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"200 OK", "404 Not Found"}, 2},
		{"a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"200 OK"}, 2},
		{"a body in chunks", "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"200 OK"}, 2},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"200 OK", "Content-Length"}, 1},
		{"another method", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", []string{"405 Method Not Allowed", "Allow: GET, HEAD"}, 1},
		{"another path", "GET /secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"404 Not Found"}, 1},
		{"an address as the target", "GET https://x/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"200 OK"}, 1},
		{"not HTTP", "hello, server\r\n\r\n", []string{"400 Bad Request"}, 1},
		{"a large head", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []string{"431 Request Header Fields Too Large"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, test.request) // the server may close before it has read all
			all, err := io.ReadAll(c)
			if err != nil && test.name != "a large head" {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(string(all), want) {
					t.Errorf("no %q in %q", want, all)
				}
			}
			if got := strings.Count(string(all), "HTTP/1.1 "); got != test.answers {
				t.Errorf("%d answers, want %d: %q", got, test.answers, all)
			}
			if test.name == "HEAD" && strings.Contains(string(all), "<html") {
				t.Errorf("a body: %q", all)
			}
		})
	}
}

// TestPagesHTTP2: HTTP/2 where the client offers it.
func TestPagesHTTP2(t *testing.T) {
	address, _ := startServer(t, pageServer())
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.ProtoMajor != 2 || !bytes.Contains(body, []byte("<dd>HTTP/2.0</dd>")) || !bytes.Contains(body, []byte("<dd>h2</dd>")) {
		t.Errorf("%s, %v: %s", resp.Proto, err, body)
	}
}

// behaviors are what peers do to a server; they may keep the connection open.
var behaviors = map[string]func(c net.Conn){
	"vanishes":             func(c net.Conn) { c.Close() },
	"stalls":               func(net.Conn) {},
	"stalls in a record":   func(c net.Conn) { io.WriteString(c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc") },
	"vanishes in a record": func(c net.Conn) { io.WriteString(c, "\x16\x03\x01\x02\x00\x01"); c.Close() },
	"speaks HTTP":          func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
	"sends an alert":       func(c net.Conn) { io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x28") },
	"claims an endless message": func(c net.Conn) {
		io.WriteString(c, "\x16\x03\x01\x40\x00\x01\xff\xff\xff"+strings.Repeat("x", 1<<14-4))
	},
	"sends garbage":                func(c net.Conn) { c.Write(garbage(1 << 12)) },
	"floods without ever reading":  flood,
	"sends garbage in a handshake": garbled,
}

func garbage(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// flood sends much and reads nothing, after a good handshake. It stops when nothing is taken.
func flood(c net.Conn) {
	conn := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if conn.Handshake() != nil {
		return
	}
	c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for range 1000 {
		if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// garbled sends a damaged record after the ClientHello.
func garbled(c net.Conn) {
	conn := tls.Client(&damaging{Conn: c}, &tls.Config{InsecureSkipVerify: true})
	conn.Handshake()
}

// damaging damages what is written after the first call.
type damaging struct {
	net.Conn
	writes int
}

func (d *damaging) Write(p []byte) (int, error) {
	if d.writes++; d.writes > 1 {
		p = bytes.Clone(p)
		p[len(p)-1] ^= 1
	}
	return d.Conn.Write(p)
}

// TestHostileClients: hostile peers, 20 of each kind, do not keep a server from serving others.
func TestHostileClients(t *testing.T) {
	echoServer := pageServer()
	echoServer.echo = true
	early := echoServer
	early.early, early.tickets = 1000, 1
	for name, o := range map[string]serverOptions{"pages": pageServer(), "echo": echoServer, "early data": early} {
		t.Run(name, func(t *testing.T) {
			address, _ := startServer(t, o)
			var wg sync.WaitGroup
			for _, behave := range behaviors {
				for range 20 {
					c, err := net.Dial("tcp", address)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					wg.Go(func() { behave(c) })
				}
			}
			wg.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, err := netconn.Dial(ctx, "tcp", address, &hermetic.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			exchange(t, c, o.servesPages())
		})
	}
}

func exchange(t *testing.T, c net.Conn, pages bool) {
	t.Helper()
	want := "hello, server\n"
	io.WriteString(c, want)
	if pages {
		io.WriteString(c, "\r\n")
		want = "HTTP/1.1 400 Bad Request\r\n"
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != want {
		t.Errorf("%q, %v, want %q", line, err, want)
	}
}

// TestHostileDatagrams: garbage, and handshakes that stop, do not keep a DTLS server from serving
// others.
func TestHostileDatagrams(t *testing.T) {
	o := pageServer()
	o.protocol.dtls = true
	address, _ := startServer(t, o)
	cfg := &hermetic.Config{InsecureSkipVerify: true}
	for i := range 200 {
		c, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(garbage(1 + i*5))
		e, err := hermetic.NewEngine(hermetic.DTLSClient, cfg)
		if err != nil {
			t.Fatal(err)
		}
		hello := e.Output(nil)
		c.Write(hello)
		c.Write(hello[:len(hello)/2])
		if i%10 == 0 { // bring the cookie back, and vanish
			answer := make([]byte, 1<<14)
			c.SetReadDeadline(time.Now().Add(patience))
			n, err := c.Read(answer)
			if err != nil {
				t.Fatal(err)
			}
			e.Open(answer[:n])
			c.Write(e.Output(nil))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := netconn.Dial(ctx, "udp", address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	exchange(t, c, false)
}

// TestPlainHTTP: a client without TLS is told so, and the report has one line without its words.
func TestPlainHTTP(t *testing.T) {
	address, said := startServer(t, pageServer())
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /\x1b[2J HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if !bytes.Contains(answer, []byte("400 Bad Request")) {
		t.Errorf("the answer is %q", answer)
	}
	if text := said.String(); strings.Count(text, "\n") != 1 || strings.ContainsRune(text, '\x1b') {
		t.Errorf("the server said %q", text)
	}
}

// troubled is a listener that fails sometimes.
type troubled struct {
	net.Listener
	errs []error
}

func (l *troubled) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		return nil, net.ErrClosed
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	if err != nil {
		return nil, err
	}
	a, b := net.Pipe()
	b.Close()
	return netconn.Server(a, new(hermetic.Config)), nil
}

func (l *troubled) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// TestAcceptAll: too many open files is no reason to stop.
func TestAcceptAll(t *testing.T) {
	var said lockedBuffer
	handled := make(chan bool, 2)
	l := &troubled{errs: []error{syscall.EMFILE, nil, syscall.ECONNABORTED, syscall.EMFILE, nil}}
	err := acceptAll(l, failures{&said}, func(c *netconn.Conn) {
		c.Close()
		handled <- true
	})
	if err != net.ErrClosed {
		t.Errorf("it ended with %v", err)
	}
	<-handled
	<-handled
	if n := strings.Count(said.String(), "\n"); n != 3 {
		t.Errorf("the server said %q", said.String())
	}
}
