package hermetic_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"testing"
	"time"

	. "github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func atNow() time.Time { return pkitest.Now }

// hear opens all of in, and returns the data by its kind.
func hear(t *testing.T, e *Engine, in []byte) (data, early string) {
	t.Helper()
	for len(in) > 0 {
		o, err := e.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		switch o.Kind {
		case KindData:
			data += string(o.Data)
		case KindEarlyData:
			early += string(o.Data)
		}
		in = in[o.N:]
	}
	return data, early
}

// say seals data, and returns what the other side hears.
func say(t *testing.T, from, to *Engine, data string) string {
	t.Helper()
	sealed, err := from.Seal(nil, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := hear(t, to, sealed)
	return got
}

// trusted are the Configs of a client and of a server that it verifies.
func trusted(t *testing.T, version uint16) (client, server *Config) {
	ca := pkitest.CA(t)
	client = &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, SessionCache: NewSessionCache(10)}
	server = &Config{Time: atNow, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, MaxVersion: version}
	return client, server
}

// TestUserResumes: a second connection resumes the first, also from a session in bytes, and
// a third server with other keys makes a full handshake of it.
func TestUserResumes(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := trusted(t, version)
		connect(client, server)
		s := client.SessionCache.Get("tls:localhost")
		if s == nil || s.Version() != version || s.ServerName() != "localhost" || s.SingleUse() != (version == tls.VersionTLS13) {
			t.Fatalf("%#x: the session is %+v", version, s)
		}
		saved, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var again Session
		if err := again.UnmarshalBinary(saved); err != nil {
			t.Fatal(err)
		}
		client.SessionCache.Put("tls:localhost", &again)
		c, e := connect(client, server)
		if !c.State().DidResume || !e.State().DidResume || len(c.State().PeerCertificates) == 0 {
			t.Errorf("%#x: client %+v", version, c.State())
		}
		if got := say(t, c, e, "hello"); got != "hello" {
			t.Errorf("%#x: %q", version, got)
		}
		other := server.Clone()
		other.TicketKeys = StaticTicketKeys(TicketKey{1})
		if c, e = connect(client, other); c.State().DidResume || e.State().DidResume || !c.HandshakeComplete() {
			t.Errorf("%#x: a server resumes with other keys", version)
		}
	}
}

// TestUserSendsEarlyData: early data arrives with the ClientHello, and is marked; the same
// bytes from an attacker bring none.
func TestUserSendsEarlyData(t *testing.T) {
	client, server := trusted(t, tls.VersionTLS13)
	client.EarlyData, server.MaxEarlyData = true, 1000
	connect(client, server)
	c, err := NewEngine(TLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	if c.EarlyDataRoom() != 1000 {
		t.Fatalf("room for %d bytes", c.EarlyDataRoom())
	}
	first, err := c.SealEarlyData(nil, []byte("GET /"))
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range [][]byte{bytes.Clone(first), first} {
		e, err := NewEngine(TLSServer, server)
		if err != nil {
			t.Fatal(err)
		}
		if _, early := hear(t, e, in); (early == "GET /") != (i == 0) {
			t.Errorf("server %d: %q", i, early)
		}
		if i > 0 {
			break
		}
		for c.HasOutput() || e.HasOutput() {
			move(e, c)
			move(c, e)
		}
		if !c.HandshakeComplete() || !e.HandshakeComplete() || !c.State().EarlyDataAccepted || !e.State().EarlyDataAccepted {
			t.Errorf("client %+v, server %+v", c.State(), e.State())
		}
	}
}

// TestUserUpdatesKeys: data passes before, between and after updates of either side.
func TestUserUpdatesKeys(t *testing.T) {
	client, server := trusted(t, tls.VersionTLS13)
	c, e := connect(client, server)
	for _, from := range []*Engine{c, e} {
		for _, request := range []KeyUpdateRequest{UpdateNotRequested, UpdateRequested} {
			if err := from.KeyUpdate(request); err != nil {
				t.Fatal(err)
			}
			if a, b := say(t, c, e, "ping"), say(t, e, c, "pong"); a != "ping" || b != "pong" {
				t.Errorf("%v: %q, %q", request, a, b)
			}
		}
	}
	client, server = trusted(t, tls.VersionTLS12)
	if c, _ = connect(client, server); !errors.Is(c.KeyUpdate(UpdateRequested), ErrInvalidOperation) {
		t.Error("TLS 1.2 updates keys")
	}
}

// TestUserAnswersHello: a server keeps nothing of a client whose address it does not know,
// and the cookie is good for that address alone, of the Configs that share the secret.
func TestUserAnswersHello(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := trusted(t, version)
		c, err := NewEngine(DTLSClient, client)
		if err != nil {
			t.Fatal(err)
		}
		hello := c.Output(nil)
		answer, ok := server.AnswerHello(nil, []byte("address"), bytes.Clone(hello))
		if ok || len(answer) == 0 || len(answer) > len(hello) {
			t.Fatalf("%#x: ok %v, %d bytes for %d", version, ok, len(answer), len(hello))
		}
		if _, err := c.Open(answer); err != nil {
			t.Fatal(err)
		}
		second := c.Output(nil)
		for name, test := range map[string]struct {
			cfg  *Config
			id   string
			want bool
		}{
			"the same":        {server, "address", true},
			"a Clone":         {server.Clone(), "address", true},
			"another address": {server, "elsewhere", false},
			"another secret":  {&Config{Time: atNow}, "address", false},
		} {
			if _, ok := test.cfg.AnswerHello(nil, []byte(test.id), bytes.Clone(second)); ok != test.want {
				t.Errorf("%#x, %s: %v", version, name, ok)
			}
		}
	}
}

// half is one direction of a transport without I/O: what is empty would block.
type half struct{ in, out *bytes.Buffer }

func (h half) Read(p []byte) (int, error) {
	if h.in.Len() == 0 {
		return 0, nil
	}
	return h.in.Read(p)
}

func (h half) Write(p []byte) (int, error) { return h.out.Write(p) }

// TestUserOfContext: two Contexts over buffers, from the handshake to the end.
func TestUserOfContext(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		clientConfig, serverConfig := trusted(t, version)
		var there, back bytes.Buffer
		client, err := NewContext(TLSClient, clientConfig, half{&back, &there})
		if err != nil {
			t.Fatal(err)
		}
		server, err := NewContext(TLSServer, serverConfig, half{&there, &back})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 10)); err != ErrWantRead {
			t.Fatalf("%#x: %v, want ErrWantRead", version, err)
		}
		for range 10 {
			for _, c := range []*Context{server, client} {
				if err := c.Handshake(); err != nil && err != ErrWantRead {
					t.Fatal(err)
				}
			}
		}
		if !client.State().HandshakeComplete || !server.State().HandshakeComplete {
			t.Fatalf("%#x: the handshake is not complete", version)
		}
		if n, err := client.Write([]byte("hello")); n != 5 || err != nil {
			t.Errorf("%#x: Write: %d, %v", version, n, err)
		}
		got := make([]byte, 10)
		if n, err := server.Read(got); string(got[:n]) != "hello" || err != nil {
			t.Errorf("%#x: Read: %q, %v", version, got[:n], err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if _, err := server.Read(got); err != ErrClosed {
			t.Errorf("%#x: after close_notify: %v", version, err)
		}
		if _, err := client.Write([]byte("more")); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("%#x: Write after Close: %v", version, err)
		}
	}
}

// TestUserSeesTruncation: a transport that ends without close_notify is no ordinary end.
func TestUserSeesTruncation(t *testing.T) {
	cfg, _ := trusted(t, tls.VersionTLS13)
	ends := struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(nil), io.Discard}
	c, err := NewContext(TLSClient, cfg, ends)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Handshake(); err != io.ErrUnexpectedEOF {
		t.Errorf("%v, want io.ErrUnexpectedEOF", err)
	}
}
