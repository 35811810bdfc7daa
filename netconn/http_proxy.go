package netconn

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
)

// proxyTimeout is how long a proxy may take for a tunnel, as in net/http.
const proxyTimeout = time.Minute

// connectThrough asks an HTTP proxy for a tunnel (RFC 9110, Section 9.3.6).
func (t *roundTripper) connectThrough(ctx context.Context, conn net.Conn, proxy *url.URL, addr string) error {
	header := t.outer.ProxyConnectHeader.Clone()
	if get := t.outer.GetProxyConnectHeader; get != nil {
		var err error
		if header, err = get(ctx, proxy, addr); err != nil {
			return err
		}
		header = header.Clone()
	}
	if header == nil {
		header = make(http.Header)
	}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: header}
	if err := req.Write(conn); err != nil {
		return err
	}
	limit := t.outer.MaxResponseHeaderBytes
	if limit <= 0 {
		limit = 10 << 20
	}
	// Nothing is lost in the buffer: a TLS server does not speak first.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, limit)), req)
	if err != nil {
		return err
	}
	if judge := t.outer.OnProxyConnectResponse; judge != nil {
		if err := judge(ctx, proxy, req, resp); err != nil {
			return err
		}
	}
	if resp.StatusCode != http.StatusOK {
		_, text, ok := strings.Cut(resp.Status, " ")
		if !ok {
			text = "unknown status code"
		}
		return fmt.Errorf("netconn: the proxy answers %q", text)
	}
	return nil
}

// What a SOCKS proxy may do.
var (
	errSOCKS     = errors.New("netconn: the proxy does not speak SOCKS 5")
	errSOCKSUser = errors.New("netconn: the SOCKS proxy refuses the user, or wants one")
	errSOCKSName = errors.New("netconn: a user, a password or a host is too long for SOCKS 5")
)

// socks5 asks a SOCKS 5 proxy for a connection (RFC 1928, RFC 1929).
func socks5(conn net.Conn, user *url.Userinfo, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	password, _ := user.Password()
	if len(host) > 255 || len(user.Username()) > 255 || len(password) > 255 {
		return errSOCKSName
	}
	const none, login = 0, 2
	method := byte(none)
	if user != nil {
		method = login
	}
	reply := make([]byte, 2)
	if err := exchange(conn, []byte{5, 1, method}, reply); err != nil {
		return err
	}
	switch {
	case reply[0] != 5:
		return errSOCKS
	case reply[1] != method:
		return errSOCKSUser
	case method == login:
		msg := append([]byte{1, byte(len(user.Username()))}, user.Username()...)
		msg = append(append(msg, byte(len(password))), password...)
		if err := exchange(conn, msg, reply); err != nil {
			return err
		}
		if reply[1] != 0 {
			return errSOCKSUser
		}
	}
	msg := append([]byte{5, 1, 0, 3, byte(len(host))}, host...)
	msg = append(msg, byte(n>>8), byte(n))
	reply = make([]byte, 4)
	if err := exchange(conn, msg, reply); err != nil {
		return err
	}
	switch {
	case reply[0] != 5:
		return errSOCKS
	case reply[1] != 0:
		return fmt.Errorf("netconn: the SOCKS proxy answers with error %d", reply[1])
	}
	return skipAddress(conn, reply[3])
}

// exchange writes msg, and reads as much as fits in reply.
func exchange(conn net.Conn, msg, reply []byte) error {
	if _, err := conn.Write(msg); err != nil {
		return err
	}
	_, err := io.ReadFull(codec.Steady(conn), reply)
	return err
}

// skipAddress reads the rest of a SOCKS reply.
func skipAddress(conn net.Conn, kind byte) error {
	size := map[byte]int64{1: net.IPv4len, 4: net.IPv6len}[kind]
	if kind == 3 {
		var n [1]byte
		if _, err := io.ReadFull(codec.Steady(conn), n[:]); err != nil {
			return err
		}
		size = int64(n[0])
	}
	if size == 0 && kind != 3 {
		return errSOCKS
	}
	_, err := io.CopyN(io.Discard, codec.Steady(conn), size+2)
	return err
}
