package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/examples/integrations/internal/exampletest"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

const mail = "Subject: hello\r\n\r\nhello\r\n"

// mailbox is a backend of go-smtp, for the mail of one user.
type mailbox struct{ got chan string }

func (m mailbox) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return m, nil }
func (m mailbox) AuthMechanisms() []string                        { return []string{sasl.Plain} }
func (m mailbox) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "me" || password != "secret" {
			return errors.New("wrong password")
		}
		return nil
	}), nil
}
func (m mailbox) Mail(string, *gosmtp.MailOptions) error { return nil }
func (m mailbox) Rcpt(string, *gosmtp.RcptOptions) error { return nil }
func (m mailbox) Reset()                                 {}
func (m mailbox) Logout() error                          { return nil }
func (m mailbox) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	m.got <- string(b)
	return err
}

// TestClient: the client sends a mail with a password to a server of go-smtp, whose STARTTLS is
// crypto/tls.
func TestClient(t *testing.T) {
	ca := pkitest.CA(t)
	box := mailbox{make(chan string, 1)}
	server := gosmtp.NewServer(box)
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	l := listen(t)
	go server.Serve(l)
	defer server.Close()
	args := func(cas, password string) []string {
		return []string{"client", l.Addr().String(), cas, "me", password, "from@example.com", "to@example.com"}
	}
	if err := run(strings.NewReader(mail), io.Discard, args(exampletest.CAFile(t, ca), "secret")); err != nil {
		t.Fatal(err)
	}
	if got := <-box.got; got != mail {
		t.Errorf("the mail is %q", got)
	}
	if err := run(strings.NewReader(mail), io.Discard, args(exampletest.CAFile(t, ca), "guess")); err == nil {
		t.Error("another password is good")
	}
	if err := run(strings.NewReader(mail), io.Discard, args(exampletest.CAFile(t, pkitest.CA(t)), "secret")); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("a server of another authority: %v", err)
	}
	for _, args := range [][]string{nil, {"client"}, {"server", "x"}} {
		if err := run(nil, nil, args); err != errUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// safeBuilder is written by one goroutine and read by another.
type safeBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuilder) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuilder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func startServer(t *testing.T, ca *pkitest.Authority) (address string, out *safeBuilder) {
	t.Helper()
	l, out := listen(t), new(safeBuilder)
	go serve(l, &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}, out)
	return l.Addr().String(), out
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestServer: the server receives a mail from net/smtp, whose StartTLS is crypto/tls.
func TestServer(t *testing.T) {
	ca := pkitest.CA(t)
	address, out := startServer(t, ca)
	c, err := smtp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("from@example.com"); err == nil {
		t.Error("a mail is accepted without TLS")
	}
	if err := c.StartTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}); err != nil {
		t.Fatal(err)
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		t.Error("STARTTLS is offered over TLS")
	}
	if err := errors.Join(c.Mail("from@example.com"), c.Rcpt("to@example.com")); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, mail)
	if err := errors.Join(w.Close(), c.Quit()); err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(out.String(), "\n", "\r\n"); got != mail {
		t.Errorf("the mail is %q", got)
	}
}

// TestBoth: the client with the server.
func TestBoth(t *testing.T) {
	ca := pkitest.CA(t)
	address, out := startServer(t, ca)
	if err := run(strings.NewReader(mail), io.Discard, []string{"client", address, exampletest.CAFile(t, ca), "", "", "from@example.com", "to@example.com"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(out.String(), "\n", "\r\n"); got != mail {
		t.Errorf("the mail is %q", got)
	}
}

// TestInjection: commands that follow STARTTLS without encryption are not taken for encrypted ones.
func TestInjection(t *testing.T) {
	address, out := startServer(t, pkitest.CA(t))
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(exampletest.Patience))
	io.WriteString(c, "EHLO x\r\nSTARTTLS\r\nMAIL FROM:<x>\r\nRCPT TO:<x>\r\nDATA\r\nx\r\n.\r\n")
	answer, _ := io.ReadAll(c)
	if strings.Contains(string(answer), "220 Ready") || out.String() != "" {
		t.Errorf("the server answers %q, and keeps %q", answer, out.String())
	}
}

// TestHostileServer: an answer of the server that is injected, or refuses TLS, ends the client.
func TestHostileServer(t *testing.T) {
	ca := pkitest.CA(t)
	for name, test := range map[string]struct {
		answer string
		want   string
	}{
		"injection":     {"220 x\r\n|250-x\r\n250 STARTTLS\r\n|220 go\r\n250 injected\r\n", errInjected.Error()},
		"no STARTTLS":   {"220 x\r\n|250 x\r\n", errNoStartTLS.Error()},
		"refused":       {"220 x\r\n|250-x\r\n250 STARTTLS\r\n|454 no\r\n", "454"},
		"no greeting":   {"554 no\r\n", "554"},
		"the end":       {"220 x\r\n|250-x\r\n250 STARTTLS\r\n|220 go\r\n|", "EOF"},
		"plain answers": {"220 x\r\n|250-x\r\n250 STARTTLS\r\n|220 go\r\n|220 not TLS\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				lines := bufio.NewReader(c)
				for i, answer := range strings.Split(test.answer, "|") {
					switch i {
					case 0:
					case 3:
						lines.Peek(1) // the ClientHello
					default:
						lines.ReadString('\n')
					}
					io.WriteString(c, answer)
				}
			}()
			err := send(strings.NewReader(mail), l.Addr().String(), ca.Pool(), nil, "a@example.com", "b@example.com")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// TestLongLine: a line without an end does not fill the memory.
func TestLongLine(t *testing.T) {
	address, _ := startServer(t, pkitest.CA(t))
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(exampletest.Patience))
	for range 1 << 14 { // at most 64 MiB
		if _, err := c.Write(make([]byte, 4<<10)); err != nil {
			return // the server has closed
		}
	}
	t.Error("the server reads on")
}
