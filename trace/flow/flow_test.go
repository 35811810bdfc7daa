package flow_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// run is two engines whose traces are one.
type run struct {
	t              *testing.T
	now            time.Time
	events         []trace.Event
	client, server *hermetic.Engine
	lose           int // so many datagrams are lost
}

const delay = 10 * time.Millisecond

func newRun(t *testing.T, datagram bool, change func(client, server *hermetic.Config)) *run {
	t.Helper()
	r := &run{t: t, now: pkitest.Now}
	ca := pkitest.CA(t)
	tell := func(e trace.Event) { r.events = append(r.events, e) }
	now := func() time.Time { return r.now }
	client := &hermetic.Config{Time: now, Trace: tell, RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}}
	server := &hermetic.Config{Time: now, Trace: tell, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, NextProtos: []string{"http/1.1"}, NoTickets: true}
	client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	server.DTLS.TrustAddress = true
	if change != nil {
		change(client, server)
	}
	modes := [2]hermetic.Mode{hermetic.TLSClient, hermetic.TLSServer}
	if datagram {
		modes = [2]hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer}
	}
	var err error
	if r.client, err = hermetic.NewEngine(modes[0], client); err != nil {
		t.Fatal(err)
	}
	if r.server, err = hermetic.NewEngine(modes[1], server); err != nil {
		t.Fatal(err)
	}
	return r
}

// play passes what the engines say, each time after a delay, until they are silent.
func (r *run) play() *run {
	for range 50 {
		moved := false
		for _, way := range [][2]*hermetic.Engine{{r.client, r.server}, {r.server, r.client}} {
			if s, ok := way[0].Pending().(*hermetic.SignRequest); ok {
				r.now = r.now.Add(time.Second)
				s.Answer(s.Sign(nil, s.Certificate.PrivateKey.(crypto.Signer)))
			}
			var flight []byte
			for way[0].HasOutput() {
				out := way[0].Output(nil)
				if len(out) == 0 {
					break
				}
				moved = true
				if r.lose--; r.lose < 0 {
					flight = append(flight, out...)
				}
			}
			r.now = r.now.Add(delay)
			for len(flight) > 0 {
				o, err := way[1].Open(flight)
				if err != nil || o.N == 0 {
					break
				}
				flight = flight[o.N:]
			}
		}
		if !moved {
			at, ok := r.client.Deadline()
			if !ok || r.client.HandshakeComplete() && r.server.HandshakeComplete() {
				break
			}
			r.now = at
			r.client.Expire()
		}
	}
	return r
}

func (r *run) connections() (client, server *flow.Connection) {
	r.t.Helper()
	// A trace that was saved shows the same.
	var saved bytes.Buffer
	w := trace.NewWriter(&saved, nil)
	for _, e := range r.events {
		w.Write(e)
	}
	events, err := trace.ReadAll(&saved)
	if err != nil {
		r.t.Fatal(err)
	}
	list := flow.Connections(events)
	again := flow.Connections(r.events)
	if len(list) != 2 || len(again) != 2 || outline(list[0]) != outline(again[0]) || list[0].Side != trace.Client {
		r.t.Fatalf("%d connections", len(list))
	}
	return list[0], list[1]
}

// outline is the drawing in one line: flights are separated by |.
func outline(c *flow.Connection) string {
	var b strings.Builder
	flight := 0
	for i := range c.Steps {
		s := &c.Steps[i]
		if s.Flight != flight {
			arrow := " <- "
			if s.From == c.Side {
				arrow = " -> "
			}
			b.WriteString(arrow)
			flight = s.Flight
		}
		fmt.Fprintf(&b, "%s ", s.Notation())
	}
	return strings.TrimSpace(b.String())
}

// TestFlows: the drawings of the RFCs, with flights and round trips.
func TestFlows(t *testing.T) {
	for _, c := range []struct {
		name       string
		datagram   bool
		change     func(client, server *hermetic.Config)
		lose       int
		want       string
		roundTrips int
	}{
		{"TLS 1.3", false, nil, 0,
			"-> ClientHello  <- ServerHello ChangeCipherSpec {EncryptedExtensions} {Certificate} {CertificateVerify} {Finished}  -> ChangeCipherSpec {Finished}", 1},
		{"TLS 1.2", false, func(c, s *hermetic.Config) { c.MaxVersion = tls.VersionTLS12 }, 0,
			"-> ClientHello  <- ServerHello Certificate ServerKeyExchange ServerHelloDone  -> ClientKeyExchange ChangeCipherSpec [Finished]  <- ChangeCipherSpec [Finished]", 2},
		{"a retry", false, func(c, s *hermetic.Config) { c.KeyShares = []tls.CurveID{} }, 0,
			"-> ClientHello  <- HelloRetryRequest  -> ChangeCipherSpec ClientHello  <- ChangeCipherSpec ServerHello {EncryptedExtensions} {Certificate} {CertificateVerify} {Finished}  -> {Finished}", 2},
		{"a loss", true, nil, 1,
			"-> ClientHello timeout  <- ServerHello {EncryptedExtensions} {Certificate} {CertificateVerify} {Finished}  -> {Finished} [ACK]", 1},
		{"a wrong name", false, func(c, s *hermetic.Config) { c.ServerName = "elsewhere.example" }, 0,
			"-> ClientHello  <- ServerHello ChangeCipherSpec {EncryptedExtensions} {Certificate}  -> ChangeCipherSpec {bad_certificate}", 1},
	} {
		r := newRun(t, c.datagram, c.change)
		r.lose = c.lose
		client, _ := r.play().connections()
		if got := outline(client); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
		if client.RoundTrips != c.roundTrips || client.Datagrams != c.datagram {
			t.Errorf("%s: %d round trips, want %d; datagrams %v", c.name, client.RoundTrips, c.roundTrips, client.Datagrams)
		}
		if ok := client.Completed != nil; ok == (client.Failed != nil) {
			t.Errorf("%s: %+v, %+v", c.name, client.Completed, client.Failed)
		}
	}
}

// TestChoices: what each side offered, and what decided.
func TestChoices(t *testing.T) {
	client, server := newRun(t, false, func(c, s *hermetic.Config) {
		s.CurvePreferences = []tls.CurveID{tls.CurveP256}
		c.KeyShares = []tls.CurveID{tls.X25519}
	}).play().connections()
	for _, side := range []*flow.Connection{client, server} {
		got := map[string]string{}
		for _, c := range side.Choices {
			got[c.What] = fmt.Sprintf("%s of %d: %s", c.Chosen, len(c.Offered), c.Why)
		}
		for what, want := range map[string]string{
			"version":                 "TLS 1.3 (0x0304) of 2: it was the client's first choice",
			"cipher suite":            "TLS_AES_128_GCM_SHA256 (0x1301) of 9: it was the client's first choice",
			"group":                   "P-256 (0x0017) of 2: it was number 2 of the client's 2 offers; the first ClientHello had no key share of it, so there was a HelloRetryRequest",
			"signature of the server": "ecdsa_secp256r1_sha256 (0x0403) of 10: it was the client's first choice",
			"protocol":                `"http/1.1" of 2: it was number 2 of the client's 2 offers`,
		} {
			if got[what] != want {
				t.Errorf("%s: %s: %s, want %s", side.Side, what, got[what], want)
			}
		}
	}
	r := newRun(t, false, nil)
	r.client.Output(nil)
	list := flow.Connections(r.events)
	if len(list) != 1 || len(list[0].Choices) != 3 || list[0].Choices[0].Chosen != "" || list[0].Choices[0].Why != "there was no ServerHello" {
		t.Errorf("without an answer: %+v", list[0].Choices)
	}
}

// TestTimes: where the time went.
func TestTimes(t *testing.T) {
	r := newRun(t, true, nil)
	r.lose = 1
	client, _ := r.play().connections()
	if client.Times.Timers < time.Second-5*delay || client.Times.Peer < delay || client.Handshake < time.Second {
		t.Errorf("with a loss: %+v of %v", client.Times, client.Handshake)
	}
	_, server := newRun(t, false, func(c, s *hermetic.Config) { s.Async = hermetic.AsyncSign }).play().connections()
	if server.Times.Caller < time.Second || server.Times.Caller > server.Handshake {
		t.Errorf("with a slow key: %+v of %v", server.Times, server.Handshake)
	}
	for _, s := range server.Steps {
		if s.Kind == flow.Wait && (s.Label != "signature" || s.Duration < time.Second) {
			t.Errorf("%+v", s)
		}
	}
	for _, c := range []*flow.Connection{client, server} {
		if sum := c.Times.Peer + c.Times.Caller + c.Times.Timers + c.Times.Local; sum != c.Handshake {
			t.Errorf("%+v are %v, not %v", c.Times, sum, c.Handshake)
		}
	}
}

// TestVolumes: what one side sends, the other receives.
func TestVolumes(t *testing.T) {
	r := newRun(t, false, nil).play()
	out, err := r.client.Seal(nil, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.server.Open(out); err != nil {
		t.Fatal(err)
	}
	client, server := r.connections()
	if client.Sent != server.Received || server.Sent != client.Received || client.Sent.Data != 5 || server.Sent.Records == 0 {
		t.Errorf("client %+v %+v, server %+v %+v", client.Sent, client.Received, server.Sent, server.Received)
	}
	if last := client.Steps[len(client.Steps)-1]; last.Kind != flow.Data || last.Notation() != "[Application Data]" || last.Bytes != 5 {
		t.Errorf("%+v", last)
	}
}

// FuzzConnections: no trace makes it panic.
func FuzzConnections(f *testing.F) {
	f.Add([]byte(`{"file_schema":"urn:hermetic:trace:1"}` + "\n" + `{"time":5,"name":"message_sent","side":"client","data":{"message_type":"ClientHello"}}` + "\n" +
		`{"time":3,"name":"question_answered","side":"client","data":{}}` + "\n" + `{"time":4,"name":"alert_received","side":"client","data":{}}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		events, _ := trace.ReadAll(bytes.NewReader(in))
		list := flow.Connections(events)
		for _, c := range list {
			for _, s := range c.Steps {
				if s.Event < 0 || s.Event >= len(c.Events) {
					t.Errorf("%+v of %d events", s, len(c.Events))
				}
				s.Notation()
				if s.Message != nil {
					flow.Notes(s.Message)
				}
			}
			flow.Facts(c)
		}
		for _, x := range flow.Exchanges(list) {
			x.Diagnose()
		}
	})
}

// TestHellosWithoutEngine: events of no connection make no connection, and are in no other.
func TestHellosWithoutEngine(t *testing.T) {
	answered := trace.Event{Side: trace.Server, Data: &trace.Message{Type: "ClientHello"}}
	own := trace.Event{Conn: 1, Side: trace.Server, Data: &trace.Message{Type: "ClientHello", Sequence: 1}}
	list := flow.Connections([]trace.Event{answered, own, answered})
	if len(list) != 1 || list[0].Conn != 1 || len(list[0].Events) != 1 {
		t.Errorf("%d connections: %+v", len(list), list)
	}
}
