package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Transport returns an http.Transport whose "https" requests go over connections of this package,
// with HTTP/1.1 or HTTP/2 as the server chooses. The other fields are those of
// http.DefaultTransport. They may be changed before the first request, and mean what they mean with
// crypto/tls, with these exceptions:
//
//   - DialTLSContext, TLSClientConfig and TLSNextProto must not be changed. TLSClientConfig is set
//     to one whose handshakes always fail, so that nothing is sent over crypto/tls.
//   - Dial is not used, but DialContext is.
//   - Clone returns a transport that speaks HTTP/1.1, and not through proxies: call Transport again.
//   - A request to upgrade the connection, such as a WebSocket's, does not go through a proxy either.
//
// Config.NextProtos may be empty: then "h2" and "http/1.1" are offered, as Protocols and
// ForceAttemptHTTP2 permit. Without Config.ServerName the name to verify is that of the URL, unless
// the Config has PSKs, GetClientPSK or PeerPublicKeys. Nil means the zero Config.
func Transport(cfg *hermetic.Config) *http.Transport {
	outer := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return errOfTransport }},
	}
	t := &roundTripper{outer: outer, routes: make(map[string]*route)}
	if cfg == nil {
		cfg = new(hermetic.Config)
	}
	t.named = cfg.ServerName == "" && len(cfg.PSKs)+len(cfg.PeerPublicKeys) == 0 && cfg.GetClientPSK == nil
	cfg = cfg.Clone()
	if t.named {
		cfg.ServerNameOptional = true // each connection gets its own
	}
	t.common = &handshakes{cfg: cfg}
	outer.DialTLSContext = t.dialHTTP1
	outer.RegisterProtocol("https", alternate{t})
	return outer
}

var errOfTransport = errors.New("netconn: the http.Transport is a clone of Transport's, or the request upgrades the connection: neither goes through a proxy")

// alternate is what [Transport] registers with net/http, which looks for the one field in order to
// close idle connections.
type alternate struct{ Transport *roundTripper }

func (a alternate) RoundTrip(r *http.Request) (*http.Response, error) {
	return a.Transport.roundTrip(r)
}

// roundTripper keeps what the requests of an http.Transport share.
type roundTripper struct {
	outer  *http.Transport
	common *handshakes
	named  bool // by the URL

	mu     sync.Mutex
	routes map[string]*route // by proxy
}

// maxRoutes is how many proxies are remembered.
const maxRoutes = 64

// route is a way to servers: through a proxy, or directly. For connections other than those of
// crypto/tls, net/http has no transport that chooses between HTTP/1.1 and HTTP/2. So a route has one
// of each, and hands a connection to the one for its protocol.
type route struct {
	transport *roundTripper
	proxy     *url.URL // nil: directly
	h1, h2    *http.Transport

	mu     sync.Mutex
	speaks map[string]bool // hosts that have chosen HTTP/2: a hint
}

// maxHints is how many hosts a route remembers.
const maxHints = 1000

// CloseIdleConnections closes those of all routes.
func (t *roundTripper) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.routes {
		r.closeIdle()
	}
}

func (r *route) closeIdle() {
	r.h1.CloseIdleConnections()
	r.h2.CloseIdleConnections()
}

// route returns the way to the server of a request.
func (t *roundTripper) route(req *http.Request) (*route, error) {
	var proxy *url.URL
	key := ""
	if t.outer.Proxy != nil {
		var err error
		if proxy, err = t.outer.Proxy(req); err != nil {
			return nil, err
		}
		if proxy != nil {
			key = proxy.String()
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.routes[key]; r != nil {
		return r, nil
	}
	for key, r := range t.routes {
		if len(t.routes) < maxRoutes {
			break
		}
		r.closeIdle()
		delete(t.routes, key)
	}
	r := &route{transport: t, proxy: proxy, speaks: make(map[string]bool)}
	r.h1, r.h2 = t.inner(r.dialHTTP1), t.inner(r.dialHTTP2)
	r.h1.Protocols.SetHTTP1(true)
	r.h2.Protocols.SetUnencryptedHTTP2(true) // as net/http calls what is not over crypto/tls
	t.routes[key] = r
	return r, nil
}

// inner returns a transport with the fields of the outer one.
func (t *roundTripper) inner(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Transport {
	inner := t.outer.Clone()
	inner.Proxy, inner.TLSClientConfig, inner.TLSNextProto = nil, nil, nil
	inner.DialTLSContext, inner.Protocols = dial, new(http.Protocols)
	return inner
}

// roundTrip tries the transport for the protocol that the host has spoken before. If it chooses
// another one now, its connection is handed to the other transport.
func (t *roundTripper) roundTrip(req *http.Request) (*http.Response, error) {
	r, err := t.route(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	over := &handoff{host: req.URL.Host}
	defer over.end()
	ctx := httptrace.WithClientTrace(context.WithValue(req.Context(), handoffKey{}, over), &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { over.used, _ = got.Conn.(*Conn) },
	})
	resp, err := r.attempt(req, ctx)
	for range 2 { // a server may change its mind
		if !errors.Is(err, errOtherProtocol) {
			break
		}
		resp, err = r.attempt(req, ctx)
	}
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp.Request = req
	if resp.TLS == nil && over.used != nil {
		state := over.used.connectionState()
		resp.TLS = &state
	}
	return resp, nil
}

func (r *route) attempt(req *http.Request, ctx context.Context) (*http.Response, error) {
	inner := r.h1
	if r.speaksHTTP2(req.URL.Host) {
		inner = r.h2
	}
	tried := req.WithContext(ctx)
	if req.Body == nil || req.Body == http.NoBody {
		return inner.RoundTrip(tried)
	}
	body := &heldBody{ReadCloser: req.Body}
	tried.Body = body
	resp, err := inner.RoundTrip(tried)
	if errors.Is(err, errOtherProtocol) {
		return nil, err // the next attempt has the body
	}
	body.release()
	return resp, err
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

func (r *route) speaksHTTP2(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.speaks[host]
}

func (r *route) learn(host string, h2 bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.speaks) >= maxHints {
		clear(r.speaks)
	}
	if h2 {
		r.speaks[host] = true
	} else {
		delete(r.speaks, host)
	}
}

// errOtherProtocol ends a dial whose connection is for the other transport.
var errOtherProtocol = errors.New("netconn: the server has chosen the other version of HTTP")

func (r *route) dialHTTP1(ctx context.Context, _, addr string) (net.Conn, error) {
	return r.dial(ctx, addr, false)
}

func (r *route) dialHTTP2(ctx context.Context, _, addr string) (net.Conn, error) {
	return r.dial(ctx, addr, true)
}

// dial returns a connection with HTTP/2, or one with HTTP/1.1.
func (r *route) dial(ctx context.Context, addr string, h2 bool) (net.Conn, error) {
	over, _ := ctx.Value(handoffKey{}).(*handoff)
	if c := over.take(h2); c != nil {
		return c, nil
	}
	c, err := r.transport.connect(ctx, r.proxy, addr, r.transport.offered())
	if err != nil {
		return nil, err
	}
	if got := c.speaksHTTP2(); got != h2 {
		if over != nil {
			r.learn(over.host, got)
		}
		over.give(c)
		return nil, errOtherProtocol
	}
	return c, nil
}

// dialHTTP1 is for what net/http does not leave to us: upgrades, and clones.
func (t *roundTripper) dialHTTP1(ctx context.Context, _, addr string) (net.Conn, error) {
	c, err := t.connect(ctx, nil, addr, []string{protoHTTP1})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// offered are the ALPN protocols, by the rules of net/http.
func (t *roundTripper) offered() []string {
	var p http.Protocols
	switch {
	case t.outer.Protocols != nil:
		p = *t.outer.Protocols
	default:
		p.SetHTTP1(true)
		p.SetHTTP2(t.outer.ForceAttemptHTTP2)
	}
	if strings.Contains(os.Getenv("GODEBUG"), "http2client=0") {
		p.SetHTTP2(false)
	}
	protos := t.common.cfg.NextProtos
	if len(protos) == 0 {
		protos = []string{protoHTTP2, protoHTTP1}
	}
	return slices.DeleteFunc(slices.Clone(protos), func(proto string) bool {
		return proto == protoHTTP2 && !p.HTTP2() || proto == protoHTTP1 && !p.HTTP1()
	})
}

var errDialedNothing = errors.New("netconn: the http.Transport's DialContext returned neither a connection nor an error")

// dialer returns the function that makes the connections below.
func (t *roundTripper) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := t.outer.DialContext
	if dial == nil {
		return new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if conn == nil && err == nil {
			err = errDialedNothing
		}
		return conn, err
	}
}

// connect dials, through a proxy if there is one, and performs the handshake.
func (t *roundTripper) connect(ctx context.Context, proxy *url.URL, addr string, protos []string) (*Conn, error) {
	var conn net.Conn
	var err error
	dial := t.dialer()
	if proxy == nil {
		conn, err = dial(ctx, "tcp", addr)
	} else {
		conn, err = t.tunnel(ctx, dial, proxy, addr)
	}
	if err != nil {
		return nil, err
	}
	return t.secure(ctx, conn, addr, protos)
}

// secure performs the handshake with addr over conn, which it closes after an error.
func (t *roundTripper) secure(ctx context.Context, conn net.Conn, addr string, protos []string) (*Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c := &Conn{newStream(conn, hermetic.TLSClient, &handshakes{cfg: t.common.offering(protos)})}
	if t.named {
		if err := c.Control(func(e *hermetic.Engine) error { return e.SetServerName(host) }); err != nil {
			conn.Close()
			return nil, err
		}
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err = c.handshakeWithin(ctx, t.outer.TLSHandshakeTimeout)
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(c.connectionState(), err)
	}
	if err == nil {
		return c, nil
	}
	c.Close()
	var header tls.RecordHeaderError
	if errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/" {
		err = http.ErrSchemeMismatch
	}
	return nil, err
}

// handoff passes a connection from the transport that has dialed it to the one for its protocol,
// for one request. Its methods work on nil, which has none.
type handoff struct {
	host string // of the URL
	used *Conn  // that the request was sent over

	mu    sync.Mutex
	conn  *Conn
	ended bool
}

type handoffKey struct{}

func (h *handoff) give(c *Conn) {
	if h != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.ended && h.conn == nil {
			h.conn = c
			return
		}
	}
	c.Close() // the request was sent over another one
}

// take returns the connection if it is one with HTTP/2, or one with HTTP/1.1. What another request
// has learned meanwhile may have sent this one to the transport for the other protocol.
func (h *handoff) take(h2 bool) *Conn {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.conn
	if c == nil || c.speaksHTTP2() != h2 {
		return nil
	}
	h.conn = nil
	return c
}

func (c *Conn) speaksHTTP2() bool { return c.State().NegotiatedProtocol == protoHTTP2 }

// end closes a connection that the request does not need anymore.
func (h *handoff) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	if h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
}

// heldBody is a request's body that a failed dial does not close.
type heldBody struct {
	io.ReadCloser
	mu       sync.Mutex
	closed   bool // Close was called
	released bool
}

func (b *heldBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if !b.released {
		return nil
	}
	return b.ReadCloser.Close()
}

// release lets Close close the body, now if it was called already.
func (b *heldBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
	if b.closed {
		b.ReadCloser.Close()
	}
}

var errProxyScheme = errors.New("netconn: the proxy's scheme is none of http, https, socks5, socks5h")

// tunnel returns a connection to addr through a proxy.
func (t *roundTripper) tunnel(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error), proxy *url.URL, addr string) (net.Conn, error) {
	port := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
	if port == "" {
		return nil, fmt.Errorf("%w: it is %q", errProxyScheme, proxy.Scheme)
	}
	if p := proxy.Port(); p != "" {
		port = p
	}
	at := net.JoinHostPort(proxy.Hostname(), port)
	conn, err := dial(ctx, "tcp", at)
	if err == nil && proxy.Scheme == "https" {
		conn, err = t.secure(ctx, conn, at, nil)
	}
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	if strings.HasPrefix(proxy.Scheme, "socks5") {
		err = socks5(conn, proxy.User, addr)
	} else {
		err = t.connectThrough(ctx, conn, proxy, addr)
	}
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
