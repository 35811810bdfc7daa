package main

import (
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// serve receives mail, until the listener is closed, and prints it.
func serve(l net.Listener, cfg *hermetic.Config, out io.Writer) error {
	var mu sync.Mutex
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			s := session{cfg: cfg, keep: func(mail []byte) {
				mu.Lock()
				defer mu.Unlock()
				out.Write(mail)
			}}
			s.use(conn)
			s.serve()
			s.conn.Close()
		}()
	}
}

const (
	idle    = time.Minute
	maxLine = 4 << 10 // bytes of a command
	maxMail = 1 << 20 // bytes of a mail
)

// session is a connection, with as much of SMTP as it takes to receive mail.
type session struct {
	conn   net.Conn         // encrypted after STARTTLS
	in     io.LimitedReader // conn: package textproto has no limit for a line
	text   *textproto.Conn
	cfg    *hermetic.Config
	secure bool
	keep   func(mail []byte)
}

// use continues with a connection.
func (s *session) use(conn net.Conn) {
	s.conn, s.in.R = conn, conn
	s.text = textproto.NewConn(struct {
		io.Reader
		io.WriteCloser
	}{&s.in, conn})
}

func (s *session) serve() {
	s.conn.SetDeadline(time.Now().Add(idle))
	s.reply("220 localhost ESMTP")
	for {
		s.conn.SetDeadline(time.Now().Add(idle))
		s.in.N = maxLine
		line, err := s.text.ReadLine()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case verb == "QUIT":
			s.reply("221 bye")
			return
		case verb == "EHLO" && !s.secure:
			s.reply("250-localhost", "250 STARTTLS")
		case verb == "EHLO", verb == "RSET", verb == "NOOP":
			s.reply("250 OK")
		case verb == "STARTTLS" && !s.secure:
			if !s.startTLS() {
				return
			}
		case !s.secure: // RFC 3207, Section 4
			s.reply("530 Must issue a STARTTLS command first")
		case verb == "MAIL", verb == "RCPT":
			s.reply("250 OK")
		case verb == "DATA":
			s.reply("354 Go ahead")
			s.in.N = maxMail
			mail, err := io.ReadAll(s.text.DotReader())
			if err != nil {
				return
			}
			s.keep(mail)
			s.reply("250 OK")
		default:
			s.reply("500 unknown command")
		}
	}
}

func (s *session) reply(lines ...string) {
	fmt.Fprintf(s.text.W, "%s\r\n", strings.Join(lines, "\r\n"))
	s.text.W.Flush()
}

// startTLS upgrades the connection, and reports whether it continues.
func (s *session) startTLS() bool {
	// A client waits for the answer before it begins the handshake. Whatever it has sent before
	// must not be taken for a command that was encrypted (RFC 3207, Section 6).
	if s.text.R.Buffered() > 0 {
		return false
	}
	s.reply("220 Ready to start TLS")
	secure := netconn.Server(s.conn, s.cfg)
	if err := secure.Handshake(); err != nil {
		return false
	}
	// The state begins anew: what was said without TLS is forgotten (RFC 3207, Section 4.2).
	s.use(secure)
	s.secure = true
	return true
}
