package netconn

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// earlyConfigs are a client that has a session with the server, which takes 1,000
// bytes of early data.
func earlyConfigs(t *testing.T) (client, server *hermetic.Config) {
	t.Helper()
	client, server = configs(t)
	client.SessionCache, client.EarlyData = hermetic.NewSessionCache(1), true
	server.MaxEarlyData, server.ReplayGuard = 1000, trusting{}
	server.TicketKeys = hermetic.StaticTicketKeys(hermetic.TicketKey{1}) // which a clone has, too
	c, s := pair(t, client, server)
	both(t, func() error { // after the ticket
		_, err := s.Write([]byte("hello"))
		return err
	}, func() error {
		_, err := io.ReadFull(c, make([]byte, 5))
		return err
	})
	return client, server
}

// earlyPair is a connection that nobody has used yet.
func earlyPair(t *testing.T, client, server *hermetic.Config) (c, s *Conn) {
	t.Helper()
	rawClient, rawServer := tcpPipe(t)
	c, s = Client(rawClient, client), Server(rawServer, server)
	for _, conn := range []*Conn{c, s} {
		conn.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { conn.Close() })
	}
	return c, s
}

// readEarly reads as much early data.
func readEarly(t *testing.T, c *Conn, n int) string {
	t.Helper()
	got := make([]byte, n)
	for i := 0; i < n; {
		m, err := c.ReadEarlyData(got[i:])
		if err != nil {
			t.Fatalf("%q, %v", got[:i], err)
		}
		i += m
	}
	return string(got)
}

func wantEnd(t *testing.T, reason string, c *Conn) {
	t.Helper()
	if n, err := c.ReadEarlyData(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("%s: %d bytes, %v", reason, n, err)
	}
}

// request sends data as its documentation recommends.
func request(c *Conn, data string) error {
	n, err := c.WriteEarlyData([]byte(data))
	if err != nil && !errors.Is(err, hermetic.ErrInvalidOperation) {
		return err
	}
	if err := c.Handshake(); err != nil {
		return err
	}
	if !c.State().EarlyDataAccepted {
		n = 0
	}
	if _, err := c.Write([]byte(data[n:])); err != nil {
		return err
	}
	return c.CloseWrite()
}

// TestEarlyData: it is read, and answered, before the handshake is complete.
func TestEarlyData(t *testing.T) {
	client, server := earlyConfigs(t)
	c, s := earlyPair(t, client, server)
	for _, word := range []string{"early ", "words"} {
		if n, err := c.WriteEarlyData([]byte(word)); n != len(word) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if got := readEarly(t, s, 11); got != "early words" || s.State().HandshakeComplete {
		t.Errorf("%q, complete: %v", got, s.State().HandshakeComplete)
	}
	if n, err := s.WriteEarlyData([]byte("answer")); n != 6 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	answer := make([]byte, 6)
	if _, err := io.ReadFull(c, answer); string(answer) != "answer" || err != nil {
		t.Fatalf("%q, %v", answer, err)
	}
	if s.State().HandshakeComplete {
		t.Error("the answer did not come early")
	}
	wantEnd(t, "the handshake is complete", s)
	if !c.State().EarlyDataAccepted || !s.State().EarlyDataAccepted {
		t.Error("it was not accepted")
	}
	both(t, func() error {
		if _, err := c.Write([]byte("late")); err != nil {
			return err
		}
		return c.CloseWrite()
	}, func() error {
		got, err := io.ReadAll(s)
		if string(got) != "late" {
			t.Errorf("%q", got)
		}
		return err
	})
	wantEnd(t, "and still is", s)
}

// TestEarlyAnswerEnds: an early answer is whole when the server closes after it, though
// the handshake is not complete.
func TestEarlyAnswerEnds(t *testing.T) {
	client, server := earlyConfigs(t)
	c, s := earlyPair(t, client, server)
	if n, err := c.WriteEarlyData([]byte("request")); n != 7 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if got := readEarly(t, s, 7); got != "request" {
		t.Fatalf("%q", got)
	}
	if _, err := s.WriteEarlyData([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestEarlyDataWithoutReadEarlyData: what nobody has read before the handshake is
// complete Read returns, in its place; also with a Config of GetConfigForClient.
func TestEarlyDataWithoutReadEarlyData(t *testing.T) {
	client, chosen := earlyConfigs(t)
	server := &hermetic.Config{GetConfigForClient: func(*hermetic.ClientHello) (*hermetic.Config, error) { return chosen, nil }}
	c, s := earlyPair(t, client, server)
	both(t, func() error { return request(c, "early words") }, func() error {
		if got := readEarly(t, s, 1); got != "e" {
			t.Errorf("%q", got)
		}
		if err := s.Handshake(); err != nil {
			return err
		}
		if got := readEarly(t, s, 2); got != "ar" {
			t.Errorf("%q", got)
		}
		got, err := io.ReadAll(s)
		if string(got) != "ly words" || !s.State().EarlyDataAccepted {
			t.Errorf("%q, accepted: %v", got, s.State().EarlyDataAccepted)
		}
		return err
	})
}

// doubting is a ReplayGuard in doubt, trusting one that has none.
type (
	doubting struct{}
	trusting struct{}
)

func (doubting) Unseen([]byte, time.Time) bool { return false }
func (trusting) Unseen([]byte, time.Time) bool { return true }

// TestNoEarlyData: whatever the reason, what was to be early data comes once.
func TestNoEarlyData(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c, s *hermetic.Config)
		size   int
		offers bool // early data, although it sends none
	}{
		"no session":         {func(c, s *hermetic.Config) { c.SessionCache = nil }, 100, false},
		"the client not":     {func(c, s *hermetic.Config) { c.EarlyData = false }, 100, false},
		"more than it takes": {func(c, s *hermetic.Config) {}, 1001, true},
		"it is rejected":     {func(c, s *hermetic.Config) { s.ReplayGuard = doubting{} }, 100, false},
		"TLS 1.2":            {func(c, s *hermetic.Config) { s.MaxVersion = 0x0303; c.SessionCache = nil }, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := earlyConfigs(t)
			client, server = client.Clone(), server.Clone()
			test.change(client, server)
			c, s := earlyPair(t, client, server)
			data := string(make([]byte, test.size))
			both(t, func() error { return request(c, data) }, func() error {
				wantEnd(t, "there is none", s)
				got, err := io.ReadAll(s)
				if string(got) != data || s.State().EarlyDataAccepted != test.offers {
					t.Errorf("%d bytes, accepted: %v", len(got), s.State().EarlyDataAccepted)
				}
				return err
			})
			if _, err := c.WriteEarlyData([]byte("x")); !errors.Is(err, hermetic.ErrInvalidOperation) {
				t.Errorf("after the handshake: %v", err)
			}
		})
	}
}

// recorded is a transport of which we keep what was written.
type recorded struct {
	net.Conn
	written []byte
}

func (r *recorded) Write(p []byte) (int, error) {
	r.written = append(r.written, p...)
	return r.Conn.Write(p)
}

// TestEarlyDataOfNobody: what was recorded and is sent again comes out of
// ReadEarlyData, if the guard takes it, and never of Read.
func TestEarlyDataOfNobody(t *testing.T) {
	client, server := earlyConfigs(t)
	raw, _ := tcpPipe(t)
	tap := &recorded{Conn: raw}
	if _, err := Client(tap, client).WriteEarlyData([]byte("early words")); err != nil {
		t.Fatal(err)
	}
	for _, early := range []bool{true, false} {
		raw, rawServer := tcpPipe(t)
		s := Server(rawServer, server.Clone())
		s.SetDeadline(time.Now().Add(patience))
		raw.Write(tap.written)
		raw.(*net.TCPConn).CloseWrite()
		if early {
			if got := readEarly(t, s, 11); got != "early words" {
				t.Errorf("%q", got)
			}
			if _, err := s.ReadEarlyData(make([]byte, 1)); err != io.ErrUnexpectedEOF {
				t.Errorf("ReadEarlyData: %v", err)
			}
		}
		if n, err := s.Read(make([]byte, 100)); n != 0 || err != io.ErrUnexpectedEOF {
			t.Errorf("Read: %d bytes, %v", n, err)
		}
	}
}

// TestEarlyDataEnds: Close and deadlines reach a call that waits for it.
func TestEarlyDataEnds(t *testing.T) {
	client, server := earlyConfigs(t)
	c, s := earlyPair(t, client, server)
	s.SetReadDeadline(past)
	if _, err := s.ReadEarlyData(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("past its deadline: %v", err)
	}
	s.SetReadDeadline(time.Time{})
	done := make(chan error)
	go func() {
		_, err := s.ReadEarlyData(make([]byte, 1))
		done <- err
	}()
	s.Close()
	if err := <-done; err != net.ErrClosed {
		t.Errorf("closed: %v", err)
	}
	if _, err := s.WriteEarlyData([]byte("x")); err != net.ErrClosed {
		t.Errorf("closed: %v", err)
	}
	c.Close()
	if _, err := c.WriteEarlyData([]byte("x")); err != net.ErrClosed {
		t.Errorf("closed: %v", err)
	}
	none := Server(c.NetConn(), nil)
	_, readErr := none.ReadEarlyData(make([]byte, 1))
	_, writeErr := none.WriteEarlyData(make([]byte, 1))
	if first := none.Handshake(); first == nil || readErr != first || writeErr != first {
		t.Errorf("without a Config: %v, %v, %v", first, readErr, writeErr)
	}
}

func TestNoEarlyDataInDatagrams(t *testing.T) {
	client, server := configs(t)
	c, s := datagramPair(t, client, server)
	for _, conn := range []*Conn{c, s} {
		_, readErr := conn.ReadEarlyData(make([]byte, 1))
		_, writeErr := conn.WriteEarlyData(make([]byte, 1))
		if readErr != errEarlyDatagrams || writeErr != errEarlyDatagrams {
			t.Errorf("%v, %v", readErr, writeErr)
		}
	}
	server = server.Clone()
	server.MaxEarlyData = 1
	_, err := Listen("udp", "127.0.0.1:0", server)
	if field := (*hermetic.ConfigError)(nil); !errors.As(err, &field) || field.Field != "MaxEarlyData" {
		t.Errorf("Listen: %v", err)
	}
}
