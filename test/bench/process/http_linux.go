package process

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/gnettls"
)

// path is the only resource of the servers, and body is what it has.
const path = "/"

var body = bytes.Repeat([]byte("0123456789abcde\n"), 2048/16)

// runNetHTTP serves HTTP/1.1 with net/http and crypto/tls.
func runNetHTTP(leaf tls.Certificate, ready func(address string)) error {
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path+"{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	})
	server := &http.Server{Handler: mux, Protocols: new(http.Protocols), TLSConfig: &tls.Config{
		Certificates:     []tls.Certificate{leaf},
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519},
	}}
	server.Protocols.SetHTTP1(true)
	ready(l.Addr().String())
	return server.ServeTLS(l, "", "")
}

// runGnet serves HTTP/1.1 without TLS.
func runGnet(ready func(address string)) error {
	return gnet.Run(&handler{ready: ready}, "tcp://"+loopback, gnet.WithNumEventLoop(1), gnet.WithTicker(true))
}

// runGnettls serves HTTP/1.1 with gnettls.
func runGnettls(leaf tls.Certificate, groups []hermetic.KeyExchange, ready func(address string)) error {
	config := &hermetic.Config{
		Certificates:     []tls.Certificate{leaf},
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519},
		CipherSuites:     []uint16{tls.TLS_AES_128_GCM_SHA256},
		KeyExchanges:     groups,
	}
	return gnettls.Run(&handler{ready: ready}, "tcp://"+loopback, config, gnet.WithNumEventLoop(1), gnet.WithTicker(true))
}

// handler is a small server of HTTP/1.1 (RFC 9112) on gnet. It answers pipelined requests, reads
// past the content of those that have any, and keeps connections open.
type handler struct {
	gnet.BuiltinEventEngine
	ready func(address string)
	date  atomic.Pointer[string]
}

// OnTick keeps the date of the answers.
func (h *handler) OnTick() (time.Duration, gnet.Action) {
	now := time.Now()
	date := now.UTC().Format(http.TimeFormat)
	h.date.Store(&date)
	return time.Second - time.Duration(now.Nanosecond()), gnet.None
}

// OnBoot tells where the engine listens.
func (h *handler) OnBoot(e gnet.Engine) gnet.Action {
	h.OnTick()
	fd, err := e.Dup()
	if err != nil {
		return gnet.Shutdown
	}
	defer unix.Close(fd)
	address, err := unix.Getsockname(fd)
	if err != nil {
		return gnet.Shutdown
	}
	h.ready(fmt.Sprintf("127.0.0.1:%d", address.(*unix.SockaddrInet4).Port))
	return gnet.None
}

const (
	maxHead    = 8 << 10 // of a request
	maxContent = 1 << 20 // of a request
)

// answers has buffers for the answers to the requests of one event.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// OnTraffic answers the requests that have arrived.
func (h *handler) OnTraffic(c gnet.Conn) gnet.Action {
	out := answers.Get().(*[]byte)
	defer answers.Put(out)
	*out = (*out)[:0]
	in, _ := c.Peek(-1)
	used, closing := 0, false
	for !closing {
		r := parseRequest(in[used:])
		if r.size == 0 {
			break // it is incomplete
		}
		used += r.size
		*out = h.answer(*out, r)
		closing = r.closing
	}
	if used > 0 {
		c.Discard(used)
	}
	if len(*out) > 0 {
		c.Write(*out)
	}
	if closing {
		return gnet.Close
	}
	return gnet.None
}

// answer appends the answer to r.
func (h *handler) answer(b []byte, r request) []byte {
	content := body
	if r.status != http.StatusOK {
		content = nil
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(r.status)...)
	b = append(b, "\r\nDate: "...)
	b = append(b, *h.date.Load()...)
	b = append(b, "\r\nContent-Type: text/plain\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(content)), 10)
	if r.closing {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	if r.head {
		return b
	}
	return append(b, content...)
}

// request is what the answer to a request depends on.
type request struct {
	size    int // bytes with the content; 0: incomplete
	status  int // of the answer
	head    bool
	closing bool // the answer is the last one
}

// refuse answers a request that cannot be read to its end.
func refuse(in []byte, status int) request {
	return request{size: len(in), status: status, closing: true}
}

// parseRequest reads the request that in starts with.
func parseRequest(in []byte) request {
	n := bytes.Index(in[:min(len(in), maxHead)], []byte("\r\n\r\n"))
	switch {
	case n < 0 && len(in) >= maxHead:
		return refuse(in, http.StatusRequestHeaderFieldsTooLarge)
	case n < 0:
		return request{}
	}
	line, fields, _ := bytes.Cut(in[:n+2], []byte("\r\n"))
	method, target, version, ok := requestLine(line)
	if !ok {
		return refuse(in, http.StatusBadRequest)
	}
	r := request{size: n + 4, status: http.StatusOK, head: string(method) == http.MethodHead, closing: version == '0'}
	content, status := r.fields(fields, version)
	if status != 0 {
		return refuse(in, status)
	}
	if r.size += content; r.size > len(in) {
		return request{}
	}
	switch {
	case !r.head && string(method) != http.MethodGet:
		r.status = http.StatusMethodNotAllowed
	case string(target) != path:
		r.status = http.StatusNotFound
	}
	return r
}

// requestLine splits "GET / HTTP/1.1"; version is the last digit.
func requestLine(line []byte) (method, target []byte, version byte, ok bool) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, protocol, _ := bytes.Cut(rest, []byte(" "))
	if len(method) == 0 || len(target) == 0 || string(protocol) != "HTTP/1.1" && string(protocol) != "HTTP/1.0" {
		return nil, nil, 0, false
	}
	return method, target, protocol[len(protocol)-1], true
}

// fields reads the header, and returns the length of the content, or the status of an error.
func (r *request) fields(header []byte, version byte) (content, status int) {
	host, length := 0, -1
	for line := range bytes.SplitSeq(bytes.TrimSuffix(header, []byte("\r\n")), []byte("\r\n")) {
		if len(line) == 0 {
			continue // there are no fields
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return 0, http.StatusBadRequest
		}
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "Host"):
			host++
		case is(name, "Connection"):
			r.closing = is(value, "close") || version == '0' && !is(value, "keep-alive")
		case is(name, "Transfer-Encoding"):
			return 0, http.StatusNotImplemented
		case is(name, "Content-Length"):
			n, err := strconv.ParseUint(string(value), 10, 31)
			if err != nil || length >= 0 && length != int(n) {
				return 0, http.StatusBadRequest
			}
			length = int(n)
		}
	}
	switch {
	case version == '1' && host != 1:
		return 0, http.StatusBadRequest
	case length > maxContent:
		return 0, http.StatusRequestEntityTooLarge
	}
	return max(length, 0), 0
}

// is compares without regard to case, and needs no lower-case copy.
func is(b []byte, s string) bool { return len(b) == len(s) && bytes.EqualFold(b, []byte(s)) }
