package flow_test

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/test/sim"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// fates counts the datagrams of an exchange by what became of them.
func fates(x *flow.Exchange) map[string]int {
	n := map[string]int{}
	for _, d := range x.Datagrams {
		n[d.Fate]++
	}
	return n
}

// TestExchanges: the two sides of a connection are one exchange, and of each datagram it says what
// became of it.
func TestExchanges(t *testing.T) {
	r := newRun(t, true, nil)
	r.lose = 1
	r.play()
	all := flow.Exchanges(flow.Connections(r.events))
	if len(all) != 1 || all[0].Client == nil || all[0].Server == nil || len(all[0].Views()) != 2 || all[0].Diagnose() != nil {
		t.Fatalf("%d exchanges", len(all))
	}
	first := all[0].Datagrams[0]
	if first.Fate != "lost" || first.From != trace.Client || first.Again || !first.Received.IsZero() || !strings.HasPrefix(first.Labels[0], "ClientHello") {
		t.Errorf("the first: %+v", first)
	}
	again := 0
	for _, d := range all[0].Datagrams[1:] {
		if d.Fate != "received" || d.Sent.IsZero() || d.Received.Before(d.Sent) || d.Bytes == 0 || d.Records == 0 {
			t.Errorf("%+v", d)
		}
		if d.Again {
			again++
		}
	}
	if again == 0 {
		t.Error("nothing was sent again")
	}
	// Each side alone knows its own part.
	for _, side := range []trace.Side{trace.Client, trace.Server} {
		var half []trace.Event
		for _, e := range r.events {
			if e.Side == side {
				half = append(half, e)
			}
		}
		x := flow.Exchanges(flow.Connections(half))[0]
		for _, d := range x.Datagrams {
			if d.From == side && (d.Fate != "unknown" || d.Sent.IsZero() || !d.Received.IsZero()) || d.From != side && (d.Fate != "received" || !d.Sent.IsZero()) {
				t.Errorf("the %s alone: %+v", side, d)
			}
		}
	}
}

// TestExchangesOfMany: several connections at once, of TLS and DTLS.
func TestExchangesOfMany(t *testing.T) {
	var events []trace.Event
	for conn, r := range []*run{newRun(t, false, nil).play(), newRun(t, true, nil).play(), newRun(t, false, nil).play()} {
		for _, e := range r.events {
			e.Conn = uint64(conn)
			events = append(events, e)
		}
	}
	all := flow.Exchanges(flow.Connections(events))
	if len(all) != 3 {
		t.Fatalf("%d exchanges", len(all))
	}
	for i, x := range all {
		if x.Client == nil || x.Server == nil || (len(x.Datagrams) > 0) != (i == 1) {
			t.Errorf("%d: %d views, %d datagrams", i, len(x.Views()), len(x.Datagrams))
		}
	}
}

// TestSimulated: over a bad network, no datagram is told of twice, and none arrives before it was
// sent.
func TestSimulated(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(60) {
		var events []trace.Event
		if _, err := sim.Play(sim.Options{Seed: seed, Trace: func(e trace.Event) { events = append(events, e) }}); err != nil {
			t.Fatal(err)
		}
		for _, x := range flow.Exchanges(flow.Connections(events)) {
			x.Diagnose()
			sent := 0
			for _, d := range x.Datagrams {
				if !d.Sent.IsZero() {
					sent += d.Records
				}
				if !d.Received.IsZero() && d.Received.Before(d.Sent) {
					t.Fatalf("seed %d: %+v", seed, d)
				}
			}
			want := 0
			for _, c := range x.Views() {
				want += c.Sent.Records
			}
			if sent != want {
				t.Errorf("seed %d: %d records, and the datagrams have %d", seed, want, sent)
			}
			for fate, n := range fates(x) {
				seen[fate] += n
			}
		}
	}
	for _, fate := range []string{"received", "lost", "dropped", "unknown"} {
		if seen[fate] == 0 {
			t.Errorf("nothing is %s: %v", fate, seen)
		}
	}
}

// TestDiagnose: the cause, what shows it, and what to do.
func TestDiagnose(t *testing.T) {
	other := pkitest.CA(t)
	for _, c := range []struct {
		name                    string
		change                  func(client, server *hermetic.Config)
		cause, evidence, advice string
	}{
		{"wrong name", func(c, s *hermetic.Config) { c.ServerName = "example.com" },
			"the client says: the certificate is not for example.com", `The certificate of the server is for "localhost`, "--servername NAME"},
		{"unknown authority", func(c, s *hermetic.Config) { c.RootCAs = other.Pool() },
			"unknown_ca", "Its issuer is", "Give the client the certificate of the issuer (RootCAs"},
		{"expired", func(c, s *hermetic.Config) { c.Time = func() time.Time { return pkitest.Now.AddDate(50, 0, 0) } },
			"certificate_expired", "It is valid from", "Renew the certificate of the server, or set the clock of the client"},
		{"no group", func(c, s *hermetic.Config) { s.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			"the server says: ", "The client offered the groups X25519, P-256.", "--groups"},
		{"no version", func(c, s *hermetic.Config) { c.MaxVersion, s.MinVersion = tls.VersionTLS12, tls.VersionTLS13 },
			"protocol_version", "The client offered TLS 1.2", "--tls12"},
		{"no protocol", func(c, s *hermetic.Config) { s.NextProtos = []string{"h3"} },
			"no_application_protocol", `"h2", "http/1.1"`, "--alpn"},
		{"no client certificate", func(c, s *hermetic.Config) { s.ClientAuth = tls.RequireAnyClientCert },
			"certificate_required", "", "--cert FILE"},
		{"PSKs that differ", func(c, s *hermetic.Config) {
			c.PSKs = []hermetic.PSK{{Identity: []byte("me"), Key: bytes.Repeat([]byte{1}, 32)}}
			s.PSKs = []hermetic.PSK{{Identity: []byte("me"), Key: bytes.Repeat([]byte{2}, 32)}}
			s.Certificates = nil
		}, "decrypt_error", `The client offered the PSK "me".`, "Give both the same key"},
		{"a PSK that only the client has", func(c, s *hermetic.Config) {
			c.PSKs = []hermetic.PSK{{Identity: []byte("me"), Key: bytes.Repeat([]byte{1}, 32)}}
			c.ServerName, c.RootCAs = "", nil
			s.PSKs = []hermetic.PSK{{Identity: []byte("you"), Key: bytes.Repeat([]byte{1}, 32)}}
			s.Certificates = nil
		}, "the server says: ", "", "--psk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(t, false, c.change).play()
			x := flow.Exchanges(flow.Connections(r.events))
			if len(x) != 1 {
				t.Fatalf("%d exchanges", len(x))
			}
			d := x[0].Diagnose()
			if d == nil {
				t.Fatal("it has not failed")
			}
			if !strings.Contains(d.Cause, c.cause) || !strings.Contains(strings.Join(d.Evidence, " "), c.evidence) || !strings.Contains(d.Advice, c.advice) {
				t.Errorf("%+v", d)
			}
			for _, v := range x[0].Views() { // each side alone has something to say
				if d := v.Diagnose(); v.Failed != nil && (d == nil || d.Cause == "" || d.Advice == "") {
					t.Errorf("the %s: %+v", v.Side, d)
				}
			}
		})
	}
}

// TestSilence: a peer that says nothing.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(client, server *hermetic.Config)
		events func([]trace.Event) []trace.Event
		advice string
	}{
		{"a small hello", nil, nil, "Check the address and the port"},
		{"a large hello", func(c, s *hermetic.Config) { c.CurvePreferences = nil }, nil, "may not pass large ClientHellos"},
		{"a connection that was reset", func(c, s *hermetic.Config) { c.CurvePreferences = nil }, func(e []trace.Event) []trace.Event {
			return append(e, trace.Event{Conn: 1, Side: trace.Client, Time: pkitest.Now, Data: &trace.Failed{Cause: "connection reset by peer"}})
		}, "may not pass large ClientHellos"},
		{"no hello", nil, func([]trace.Event) []trace.Event {
			return []trace.Event{{Conn: 1, Side: trace.Server, Data: &trace.State{State: "started"}}}
		}, "No ClientHello has arrived"},
	} {
		r := newRun(t, false, c.change)
		r.client.Output(nil)
		if c.events != nil {
			r.events = c.events(r.events)
		}
		if d := flow.Exchanges(flow.Connections(r.events))[0].Diagnose(); d == nil || !strings.Contains(d.Advice, c.advice) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// TestNotes: what a person wants to know about a message.
func TestNotes(t *testing.T) {
	client, _ := newRun(t, false, func(c, s *hermetic.Config) { c.KeyShares = []tls.CurveID{} }).play().connections()
	var notes []string
	for _, s := range client.Steps {
		if s.Message != nil {
			notes = append(notes, flow.Notes(s.Message)...)
		}
	}
	all := strings.Join(notes, "\n")
	for _, want := range []string{
		`server name "localhost"`, "versions TLS 1.3, TLS 1.2", `protocols "h2", "http/1.1"`, "wants a key share of X25519",
		"TLS 1.3, TLS_AES_128_GCM_SHA256", "key share X25519", `protocol "http/1.1"`, "issued by ", `for "localhost`, "ecdsa_secp256r1_sha256",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("there is no %q in\n%s", want, all)
		}
	}
}
