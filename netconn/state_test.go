package netconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// stateFields says of each field of tls.ConnectionState when it must differ from zero in the
// connections of TestConnectionStateFields: a field of a later Go is missing here.
var stateFields = map[string]string{
	"Version":                           "always",
	"HandshakeComplete":                 "always",
	"DidResume":                         "resumed",
	"CipherSuite":                       "always",
	"CurveID":                           "always",
	"NegotiatedProtocol":                "always",
	"NegotiatedProtocolIsMutual":        "always",
	"ServerName":                        "always",
	"PeerCertificates":                  "always",
	"VerifiedChains":                    "always",
	"SignedCertificateTimestamps":       "client",
	"OCSPResponse":                      "client",
	"TLSUnique":                         "1.2",
	"ECHAccepted":                       "never", // there is no Encrypted ClientHello
	"HelloRetryRequest":                 "1.3 full",
	"LocalCertificate":                  "full",   // since Go 1.27
	"ekm":                               "always", // else ExportKeyingMaterial panics
	"testingOnlyPeerSignatureAlgorithm": "never",
}

// TestConnectionStateFields: each field is set, on both sides, in both versions, resumed or not,
// as that of crypto/tls at the other end is.
func TestConnectionStateFields(t *testing.T) {
	ca := pkitest.CA(t)
	leaf, own := ca.Leaf(t, pkitest.Options{}), ca.Leaf(t, pkitest.Options{Name: "client"})
	leaf.OCSPStaple, leaf.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("one"), []byte("two")}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &hermetic.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, MinVersion: version, NextProtos: []string{"x"},
			Certificates: []tls.Certificate{own}, SessionCache: hermetic.NewSessionCache(1), CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
			KeyShares: []tls.CurveID{tls.X25519}}
		server := &hermetic.Config{Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
			NextProtos: []string{"x"}, CurvePreferences: []tls.CurveID{tls.CurveP256}}
		theirClient := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, MinVersion: version, NextProtos: []string{"x"},
			Certificates: []tls.Certificate{own}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		theirServer := &tls.Config{Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
			NextProtos: []string{"x"}, CurvePreferences: []tls.CurveID{tls.CurveP256}}
		for _, resumed := range []bool{false, true} {
			name := tls.VersionName(version)
			if resumed {
				name += " resumed"
			}
			t.Run(name, func(t *testing.T) {
				a, b := tcpPipe(t)
				c, theirs := Client(a, client), tls.Server(b, theirServer)
				meetTLS(t, theirs, c)
				checkState(t, "client", version, resumed, c.ConnectionState(), theirs.ConnectionState())
				exports(t, c, theirs)
				if got := c.OCSPResponse(); string(got) != "staple" {
					t.Errorf("OCSPResponse: %q", got)
				}
				a, b = tcpPipe(t)
				s, they := Server(a, server), tls.Client(b, theirClient)
				meetTLS(t, they, s)
				checkState(t, "server", version, resumed, s.ConnectionState(), they.ConnectionState())
				exports(t, s, they)
			})
		}
	}
}

// meetTLS performs the handshake, and exchanges data, so that the client gets a ticket.
func meetTLS(t *testing.T, theirs *tls.Conn, ours *Conn) {
	t.Helper()
	speak := func(c net.Conn) func() error {
		return func() error {
			if _, err := c.Write([]byte("x")); err != nil {
				return err
			}
			_, err := io.ReadFull(c, make([]byte, 1))
			return err
		}
	}
	both(t, speak(theirs), speak(ours))
}

func checkState(t *testing.T, side string, version uint16, resumed bool, ours, theirs tls.ConnectionState) {
	t.Helper()
	moments := map[string]bool{"always": true, side: true}
	switch {
	case version == tls.VersionTLS12:
		moments["1.2"] = true
	case !resumed && side == "client": // crypto/tls sends shares for all its groups
		moments["1.3 full"] = true
	}
	moments["resumed"], moments["full"] = resumed, !resumed
	got := reflect.ValueOf(ours)
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		when, known := stateFields[name]
		if !known {
			t.Errorf("tls.ConnectionState has a field %s, which is new", name)
			continue
		}
		if set := !got.Field(i).IsZero(); set != moments[when] && name != "HelloRetryRequest" {
			t.Errorf("%s: %s is set: %v, want %v", side, name, set, moments[when])
		}
	}
	for name := range stateFields {
		if !got.FieldByName(name).IsValid() && name != "LocalCertificate" {
			t.Errorf("tls.ConnectionState has no field %s", name)
		}
	}
	if own := got.FieldByName("LocalCertificate"); own.IsValid() && !resumed {
		if chain := own.Interface().([][]byte); len(chain) == 0 || !bytes.Equal(chain[0], theirs.PeerCertificates[0].Raw) {
			t.Errorf("%s: LocalCertificate is %x", side, chain)
		}
	}
	if version == tls.VersionTLS13 && side == "client" && !resumed && !ours.HelloRetryRequest {
		t.Error("HelloRetryRequest is not set")
	}
	if ours.Version != theirs.Version || ours.CipherSuite != theirs.CipherSuite || ours.CurveID != theirs.CurveID || ours.DidResume != theirs.DidResume || ours.DidResume != resumed ||
		ours.NegotiatedProtocol != theirs.NegotiatedProtocol || ours.ServerName != theirs.ServerName || ours.HelloRetryRequest != theirs.HelloRetryRequest ||
		!bytes.Equal(ours.TLSUnique, theirs.TLSUnique) || len(ours.VerifiedChains) != len(theirs.VerifiedChains) || len(ours.VerifiedChains[0]) != len(theirs.VerifiedChains[0]) {
		t.Errorf("%s: %+v\nof crypto/tls: %+v", side, ours, theirs)
	}
	got1, err1 := ours.ExportKeyingMaterial("EXPORTER-x", nil, 32)
	got2, err2 := theirs.ExportKeyingMaterial("EXPORTER-x", nil, 32)
	if err1 != nil || err2 != nil || !bytes.Equal(got1, got2) {
		t.Errorf("ExportKeyingMaterial of the states: %x, %v, and of crypto/tls %x, %v", got1, err1, got2, err2)
	}
}

// exports checks Conn.ExportKeyingMaterial against crypto/tls.
func exports(t *testing.T, ours *Conn, theirs *tls.Conn) {
	t.Helper()
	state := theirs.ConnectionState()
	want, err := state.ExportKeyingMaterial("EXPORTER-x", []byte("context"), 40)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ours.ExportKeyingMaterial("EXPORTER-x", []byte("context"), 40); err != nil || !bytes.Equal(got, want) {
		t.Errorf("exported %x, %v, want %x", got, err, want)
	}
}

// TestExporterNeverPanics: at no moment of a connection, and with no arguments.
func TestExporterNeverPanics(t *testing.T) {
	a, b := net.Pipe()
	client, server := configs(t)
	look := func(c *Conn) {
		state := c.connectionState()
		for _, n := range []int{-1, 0, 1 << 20} {
			if _, err := state.ExportKeyingMaterial(strings.Repeat("x", 1000), nil, n); err == nil {
				t.Error("no error of the state")
			}
			if _, err := c.ExportKeyingMaterial(strings.Repeat("x", 1000), nil, n); err == nil {
				t.Error("no error of the Conn's own")
			}
		}
	}
	c, s := Client(a, client), Server(b, server)
	look(c)
	look(Client(a, &hermetic.Config{})) // which cannot be used
	both(t, c.Handshake, s.Handshake)
	look(c)
	look(s)
	b.Close()
	c.Close()
	s.Close()
	look(c)
	look(s)
}

// TestVerifyHostname: as in crypto/tls.
func TestVerifyHostname(t *testing.T) {
	client, server := configs(t)
	if err := Client(nil, client).VerifyHostname("localhost"); err != errHostTooEarly {
		t.Error(err)
	}
	c, s := readyPair(t, client, server)
	if err := c.VerifyHostname("localhost"); err != nil {
		t.Error(err)
	}
	var wrong x509.HostnameError
	if err := c.VerifyHostname("elsewhere.example"); !errors.As(err, &wrong) {
		t.Error(err)
	}
	if err := s.VerifyHostname("localhost"); err != errHostOfClient {
		t.Error(err)
	}
	client = client.Clone()
	client.InsecureSkipVerify = true
	c, _ = readyPair(t, client, server)
	if err := c.VerifyHostname("localhost"); err != errHostUnverified {
		t.Error(err)
	}
}

// TestPeersWithoutTLS: the error for a peer that speaks no TLS has the connection below, over which
// nothing was sent; for one that stops speaking it, it has none.
func TestPeersWithoutTLS(t *testing.T) {
	for name, first := range map[string]string{"HTTP": "GET / HTTP/1.1\r\n\r\n", "SSH": "SSH-2.0-x\r\n", "a byte at a time": "POST / HTTP/1.1\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			a, b := tcpPipe(t)
			_, server := configs(t)
			s := Server(b, server)
			size := len(first)
			if name == "a byte at a time" {
				size = 1
			}
			for i := 0; i < len(first); i += size {
				io.WriteString(a, first[i:i+size])
			}
			for range 2 { // it is repeated
				err := s.Handshake()
				var header tls.RecordHeaderError
				var alert *hermetic.AlertError
				if !errors.As(err, &header) || header.Conn != b || string(header.RecordHeader[:]) != first[:5] || !errors.As(err, &alert) {
					t.Fatalf("%v: %+v", err, header)
				}
			}
			if _, err := s.Read(make([]byte, 1)); err == nil {
				t.Error("Read returns no error")
			}
			b.Write([]byte("answer"))
			s.Close()
			if got, _ := io.ReadAll(a); string(got) != "answer" {
				t.Errorf("the stranger gets %q", got)
			}
		})
	}
	client, server := configs(t)
	c, s := readyPair(t, client, server)
	c.NetConn().Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	_, err := s.Read(make([]byte, 1))
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil {
		t.Errorf("after the handshake: %v, with a connection", err)
	} else if err == nil {
		t.Error("no error")
	}
}

// TestNotHTTP2: nobody can speak HTTP/1 where "h2" was agreed on, and everything else is left alone.
func TestNotHTTP2(t *testing.T) {
	for _, test := range []struct {
		proto, client, server        string
		refusesClient, refusesServer bool
	}{
		{"h2", "GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n", true, true},
		{"h2", "CONNECT x:1 HTTP/1.1\r\n", "HTTP/1.0 400 Bad Request\r\n", true, true},
		{"h2", "OPTIONS * HTTP/1.1\r\n", "HTTP/1.1 2", true, true},
		{"h2", "GET http://x/ HTTP/1.1\r\n", "HTTP/1.", true, true},
		{"h2", "BREW /" + strings.Repeat("x", 5000), "HTTP/2", true, false},
		{"h2", http2Preface, "\x00\x00\x00\x04\x00\x00\x00\x00\x00", false, false},
		{"h2", "PRI * HT", "\x00\x00\x08\x07\x00\x00\x00\x00\x00", false, false},
		{"h2", "PING", "PONG", false, false},
		{"http/1.1", "GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n", false, false},
	} {
		client, server := configs(t)
		client.NextProtos, server.NextProtos = []string{test.proto}, []string{test.proto}
		c, s := readyPair(t, client, server)
		for _, end := range []struct {
			conn    *Conn
			data    string
			refused bool
			peer    *Conn
		}{{c, test.client, test.refusesClient, s}, {s, test.server, test.refusesServer, c}} {
			for range 2 {
				if n, err := end.conn.Write([]byte(end.data)); end.refused != errors.Is(err, ErrNotHTTP2) || end.refused != (n == 0) {
					t.Errorf("%s, %.20q: %d, %v", test.proto, end.data, n, err)
				}
			}
			end.conn.Close()
			got, err := io.ReadAll(end.peer)
			if want := strings.Repeat(end.data, 2); err == nil && string(got) != want && !(end.refused && len(got) == 0) {
				t.Errorf("%s, %.20q: the peer got %.40q", test.proto, end.data, got)
			}
		}
	}
}

func readyPair(t *testing.T, client, server *hermetic.Config) (c, s *Conn) {
	t.Helper()
	c, s = pair(t, client, server)
	return ready(t, c, s)
}

// gate is a connection whose reads wait until it is open.
type gate struct {
	net.Conn
	open chan struct{}
}

func (g *gate) Read(b []byte) (int, error) {
	<-g.open
	return g.Conn.Read(b)
}

// TestConnectionStateDuringHandshake: while a handshake waits for its first record, ConnectionState
// waits for the same handshake. A server still leaves "h2" out; a client has already offered it.
func TestConnectionStateDuringHandshake(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		t.Run(side, func(t *testing.T) {
			bubble(t, func(t *testing.T, client, server *hermetic.Config) {
				client.NextProtos, server.NextProtos = []string{"h2", "http/1.1"}, []string{"h2", "http/1.1"}
				type key struct{}
				var value any
				server.GetConfigForClient = func(hello *hermetic.ClientHello) (*hermetic.Config, error) {
					value = hello.Context().Value(key{})
					return nil, nil
				}
				a, b := net.Pipe()
				held := &gate{open: make(chan struct{})}
				ours, theirs, want := (*Conn)(nil), (*Conn)(nil), "h2"
				if side == "client" {
					held.Conn = a
					ours, theirs = Client(held, client), Server(b, server)
				} else {
					held.Conn, want = b, "http/1.1"
					ours, theirs = Server(held, server), Client(a, client)
				}
				defer ours.Close()
				defer theirs.Close()
				ctx := context.WithValue(t.Context(), key{}, "ours")
				done := make(chan error, 2)
				go func() { done <- ours.HandshakeContext(ctx) }()
				go func() { done <- theirs.HandshakeContext(ctx) }()
				synctest.Wait()
				states := make(chan string)
				for range 2 {
					go func() { states <- ours.ConnectionState().NegotiatedProtocol }()
				}
				synctest.Wait()
				close(held.open)
				for range 2 {
					if err := <-done; err != nil {
						t.Fatal(err)
					}
					if got := <-states; got != want {
						t.Errorf("the protocol is %q, not %q", got, want)
					}
				}
				if got := theirs.State().NegotiatedProtocol; got != want {
					t.Errorf("at the peer it is %q, not %q", got, want)
				}
				if value != "ours" {
					t.Errorf("the context has %v", value)
				}
			})
		})
	}
}
