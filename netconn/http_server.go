package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Serve serves HTTP/1.1 and HTTP/2 on l, as srv.Serve does on a listener of crypto/tls: with
// Request.TLS, with the server's timeouts also in the handshake, with ErrorLog, Shutdown and Close.
// It always returns an error: http.ErrServerClosed after Shutdown or Close.
//
// The connections of l must be *[Conn]s, as those of [Listen] are: to limit or filter connections,
// wrap the listener below, and pass that to [NewListener]. Others end with an error in the log.
//
// The server offers "h2" and "http/1.1", or the Config's NextProtos if there are any, without what
// srv.Protocols rules out. HTTP/2 is that of net/http. To hand it connections, Serve changes
// srv.Protocols, Handler, ConnContext and ConnState: it wraps what it finds there, once. So set
// them before, and call Serve before srv serves another listener. On a listener without TLS, srv
// then refuses HTTP/2 as before.
//
// ConnContext and ConnState get the *Conn. For a handler, [FromContext] returns it. A Hijacker
// returns a net.Conn that wraps it. TLSNextProto is for connections of crypto/tls: any other
// protocol that is agreed on ends the connection.
func Serve(srv *http.Server, l net.Listener) error {
	return srv.Serve(&httpListener{l, srv, adopt(srv)})
}

// FromContext returns the connection of a request that [Serve] serves, or nil. Reading or writing it
// corrupts the exchange.
func FromContext(ctx context.Context) *Conn {
	if c, ok := ctx.Value(connKey{}).(*httpConn); ok {
		return c.tls
	}
	return nil
}

type connKey struct{}

// adopting guards the changes to servers.
var adopting sync.Mutex

// adopt prepares a server for Serve, once.
func adopt(srv *http.Server) *httpHandler {
	adopting.Lock()
	defer adopting.Unlock()
	if h, ok := srv.Handler.(*httpHandler); ok {
		return h
	}
	h := &httpHandler{next: srv.Handler, protos: spoken(srv)}
	if h.next == nil {
		h.next = http.DefaultServeMux
	}
	srv.Handler = h
	protos := h.protos
	if protos.HTTP2() {
		// net/http speaks HTTP/2 on connections that are not of crypto/tls only as if they
		// were unencrypted.
		protos.SetUnencryptedHTTP2(true)
	}
	srv.Protocols = &protos
	connContext := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		c, ok := conn.(*httpConn)
		if ok {
			ctx, conn = context.WithValue(ctx, connKey{}, c), c.tls
		}
		if connContext != nil {
			ctx = connContext(ctx, conn)
		}
		if ok {
			c.ctx = ctx
		}
		return ctx
	}
	if connState := srv.ConnState; connState != nil {
		srv.ConnState = func(conn net.Conn, state http.ConnState) {
			if c, ok := conn.(*httpConn); ok {
				conn = c.tls
			}
			connState(conn, state)
		}
	}
	return h
}

// spoken are the protocols of a server, by the rules of net/http.
func spoken(srv *http.Server) (p http.Protocols) {
	_, h2 := srv.TLSNextProto[protoHTTP2]
	switch {
	case srv.Protocols != nil:
		p = *srv.Protocols
	default:
		p.SetHTTP1(true)
		p.SetHTTP2(srv.TLSNextProto == nil || h2)
	}
	if strings.Contains(os.Getenv("GODEBUG"), "http2server=0") && !h2 {
		p.SetHTTP2(false)
	}
	return p
}

// httpHandler is the handler of a server that Serve has prepared.
type httpHandler struct {
	next   http.Handler
	protos http.Protocols // as the user wants them
}

func (h *httpHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*httpConn)
	switch {
	case ok && c.state == nil, ok && r.Method == "PRI", !ok && r.TLS == nil && r.ProtoMajor == 2 && !h.protos.UnencryptedHTTP2():
		// A preface of HTTP/2 that is damaged, or where it was not agreed on.
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusHTTPVersionNotSupported)
		return
	case ok && r.TLS == nil:
		r.TLS = c.state
	}
	h.next.ServeHTTP(w, r)
}

// httpListener hands a server connections whose type does not say that they are encrypted.
type httpListener struct {
	net.Listener
	srv     *http.Server
	handler *httpHandler
}

func (l *httpListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch c := conn.(type) {
		case *Conn:
			c.setProtocols(l.agreeable)
			return &httpConn{Conn: c, tls: c, srv: l.srv, protos: l.handler.protos}, nil
		case *tls.Conn:
			return c, nil
		}
		logf(l.srv, "netconn: Serve needs connections of a netconn.Listener, not a %T: the one from %s is closed", conn, conn.RemoteAddr())
		conn.Close()
	}
}

// agreeable are the ALPN protocols that the server speaks.
func (l *httpListener) agreeable(protos []string) []string {
	if len(protos) == 0 {
		protos = []string{protoHTTP2, protoHTTP1}
	}
	return slices.DeleteFunc(slices.Clone(protos), func(p string) bool {
		return p == protoHTTP2 && !l.handler.protos.HTTP2() || p == protoHTTP1 && !l.handler.protos.HTTP1()
	})
}

// protoHTTP1 is the ALPN protocol of HTTP/1.1 (RFC 7301, Section 6).
const protoHTTP1 = "http/1.1"

// prefaceTimeout is how long a client that has agreed on HTTP/2 may take to begin, as in net/http.
const prefaceTimeout = 10 * time.Second

// httpConn is a connection as a server sees it. The first Read performs the handshake. It has no
// method ConnectionState: net/http would not speak HTTP/2 then.
type httpConn struct {
	net.Conn // tls
	tls      *Conn
	srv      *http.Server
	protos   http.Protocols
	ctx      context.Context // from ConnContext

	once  sync.Once
	err   error                // why there is nothing to read
	state *tls.ConnectionState // once the handshake is complete
	begin preface
}

func (c *httpConn) Read(p []byte) (int, error) {
	c.once.Do(c.handshake)
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.Conn.Read(p)
	if !c.begin.fits(p[:n]) {
		c.err = io.EOF
		return 0, c.err
	}
	return n, err
}

// CloseWrite is for net/http, which calls it when it answers a request that it has not read.
func (c *httpConn) CloseWrite() error { return c.tls.CloseWrite() }

// handshake does what net/http does with a connection of crypto/tls.
func (c *httpConn) handshake() {
	c.err = io.EOF // net/http does not answer that
	if d := shortest(c.srv.ReadHeaderTimeout, c.srv.ReadTimeout, c.srv.WriteTimeout); d > 0 {
		c.Conn.SetDeadline(time.Now().Add(d))
	}
	if err := c.tls.HandshakeContext(c.ctx); err != nil {
		c.refuse(err)
		c.Conn.Close()
		return
	}
	c.Conn.SetDeadline(time.Time{})
	state := c.tls.connectionState()
	if err := c.unfit(&state); err != nil {
		logf(c.srv, "http: TLS connection from %s: %v", c.Conn.RemoteAddr(), err)
		c.Conn.Close()
		return
	}
	h2 := state.NegotiatedProtocol == protoHTTP2
	c.begin.wanted = h2
	c.state, c.err = &state, nil
	d := c.srv.ReadHeaderTimeout
	if d == 0 {
		d = c.srv.ReadTimeout
	}
	if h2 {
		d = shortest(d, prefaceTimeout)
	}
	if d > 0 {
		c.Conn.SetReadDeadline(time.Now().Add(d))
	}
}

// What is wrong with a connection whose handshake has succeeded.
var (
	errUnspoken = errors.New("netconn: the server does not speak the ALPN protocol that was agreed on")
	errNoECDHE  = errors.New("netconn: HTTP/2 is not permitted without an ephemeral key exchange")
)

// unfit returns why HTTP is not spoken on the connection, or nil.
func (c *httpConn) unfit(s *tls.ConnectionState) error {
	switch proto := s.NegotiatedProtocol; {
	case proto == protoHTTP2 && !c.protos.HTTP2(), proto != protoHTTP2 && !c.protos.HTTP1():
		return fmt.Errorf("%w: %.100q", errUnspoken, proto) // Config.GetConfigForClient has another list
	case proto != protoHTTP2 && proto != protoHTTP1 && proto != "":
		return fmt.Errorf("%w: %.100q", errUnspoken, proto)
	case proto == protoHTTP2 && s.Version == tls.VersionTLS12 && s.CurveID == 0 && (c.srv.HTTP2 == nil || !c.srv.HTTP2.PermitProhibitedCipherSuites):
		return errNoECDHE // RFC 9113, Section 9.2.2
	}
	return nil
}

// refuse tells the log of a failed handshake, and a client that speaks HTTP without TLS.
func (c *httpConn) refuse(err error) {
	reason := err.Error()
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && headerOfHTTP(header.RecordHeader) {
		header.Conn.SetWriteDeadline(time.Now().Add(closeTimeout))
		io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		reason = "client sent an HTTP request to an HTTPS server"
	}
	logf(c.srv, "http: TLS handshake error from %s: %s", c.Conn.RemoteAddr(), reason)
}

// headerOfHTTP reports whether a record's header is the beginning of a request.
func headerOfHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// preface watches the first bytes of a connection. Where HTTP/2 was agreed on they must be its
// preface (RFC 9113, Section 3.4), and elsewhere they must not.
type preface struct {
	wanted bool
	seen   int // of it
	done   bool
}

// fits reports whether the connection may continue.
func (f *preface) fits(p []byte) bool {
	for i := 0; i < len(p) && !f.done; i++ {
		if p[i] != http2Preface[f.seen] {
			f.done = true
			return !f.wanted
		}
		f.seen++
		f.done = f.seen == len(http2Preface) || !f.wanted && f.seen == len("PRI * HTTP/2.0")
		if f.done {
			return f.wanted
		}
	}
	return true
}

// shortest returns the least that is a timeout, or zero.
func shortest(timeouts ...time.Duration) (least time.Duration) {
	for _, d := range timeouts {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// logf writes to the server's log.
func logf(srv *http.Server, format string, args ...any) {
	if srv.ErrorLog != nil {
		srv.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}
