package observe_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/observe"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
)

// packet is what a side has sent.
type packet struct {
	from trace.Side
	data []byte
}

// talk is a connection: what was sent, what the client has told, and its secrets.
type talk struct {
	packets []packet
	told    []trace.Event
	log     bytes.Buffer
}

// newTalk plays a connection.
func newTalk(t testing.TB, datagram bool, change func(client, server *hermetic.Config)) *talk {
	t.Helper()
	k := new(talk)
	ca := pkitest.CA(t)
	now := func() time.Time { return pkitest.Now }
	client := &hermetic.Config{
		Time: now, RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2"}, KeyLogWriter: &k.log,
		Trace: func(e trace.Event) { k.told = append(k.told, e) },
	}
	server := &hermetic.Config{Time: now, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, NextProtos: []string{"h2"}}
	server.DTLS.TrustAddress = true
	change(client, server)
	modes := [2]hermetic.Mode{hermetic.TLSClient, hermetic.TLSServer}
	if datagram {
		modes = [2]hermetic.Mode{hermetic.DTLSClient, hermetic.DTLSServer}
	}
	c, err := hermetic.NewEngine(modes[0], client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := hermetic.NewEngine(modes[1], server)
	if err != nil {
		t.Fatal(err)
	}
	pass := func(from trace.Side, to *hermetic.Engine, data []byte) {
		k.packets = append(k.packets, packet{from, bytes.Clone(data)})
		for len(data) > 0 {
			o, err := to.Open(data)
			if err != nil || o.N == 0 {
				return
			}
			data = data[o.N:]
		}
	}
	flush := func() {
		for range 8 {
			for c.HasOutput() {
				pass(trace.Client, s, c.Output(nil))
			}
			for s.HasOutput() {
				pass(trace.Server, c, s.Output(nil))
			}
		}
	}
	flush()
	if c.HandshakeComplete() && s.HandshakeComplete() {
		say := func(from trace.Side, e, to *hermetic.Engine) {
			sealed, err := e.Seal(nil, []byte("hello from the "+string(from)))
			if err != nil {
				t.Fatal(err)
			}
			pass(from, to, sealed)
		}
		say(trace.Client, c, s)
		say(trace.Server, s, c)
		if c.State().Version == tls.VersionTLS13 && !datagram {
			if err := s.KeyUpdate(true); err != nil {
				t.Fatal(err)
			}
			flush()
			say(trace.Client, c, s)
			say(trace.Server, s, c)
		}
		c.Close()
		flush()
	}
	return k
}

// observed is what an Observer tells of it.
func (k *talk) observed(t testing.TB, datagram bool, log string, chunk int) (events []trace.Event) {
	t.Helper()
	secrets, err := observe.ReadKeyLog(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	transport := wire.Stream
	if datagram {
		transport = wire.Datagram
	}
	o := observe.New(func(e trace.Event) { events = append(events, e) }, 1, transport, secrets)
	for _, p := range k.packets {
		switch data := p.data; {
		case datagram:
			o.Datagram(pkitest.Now, p.from, data)
		default:
			for len(data) > 0 {
				n := min(chunk, len(data))
				o.Bytes(pkitest.Now, p.from, data[:n])
				data = data[n:]
			}
		}
	}
	o.Close(pkitest.Now)
	return events
}

// outline is what matters of events, in lines: messages, alerts, and what was negotiated. The two
// directions are apart, since an engine may tell of its own later messages first.
func outline(events []trace.Event) string {
	var lines [2][]string
	end := ""
	for _, e := range events {
		switch d := e.Data.(type) {
		case *trace.Message:
			i := 0
			if d.Sent {
				i = 1
			}
			lines[i] = append(lines[i], fmt.Sprintf("%v %s epoch %d seq %d %x %d fields", d.Sent, d.Type, d.Epoch, d.Sequence, d.Raw, len(d.Fields)))
		case *trace.Alert:
			i := 0
			if d.Sent {
				i = 1
			}
			lines[i] = append(lines[i], fmt.Sprintf("%v alert %s", d.Sent, d.Description))
		case *trace.Completed:
			end = fmt.Sprintln("completed", d.Version, d.CipherSuite, d.Group, d.ServerName, d.Protocol, d.HelloRetryRequest)
		case *trace.Failed:
			end = fmt.Sprintln("failed", d.Alert, d.Received)
		}
	}
	return strings.Join(append(append(lines[0], lines[1]...), end), "\n")
}

// records are what is told of records, by direction.
func records(events []trace.Event) string {
	var lines [2][]string
	for _, e := range events {
		if r, ok := e.Data.(*trace.Record); ok {
			i := 0
			if r.Sent {
				i = 1
			}
			lines[i] = append(lines[i], fmt.Sprintf("%v %s %d/%d %d %d at %d", r.Sent, r.Type, r.Epoch, r.Sequence, r.Length, r.DataLength, r.Offset))
		}
	}
	return strings.Join(append(lines[0], lines[1]...), "\n")
}

var talks = []struct {
	name     string
	datagram bool
	change   func(client, server *hermetic.Config)
}{
	{"TLS 1.3", false, func(c, s *hermetic.Config) {}},
	{"TLS 1.3 after a retry", false, func(c, s *hermetic.Config) { c.KeyShares = []tls.CurveID{} }},
	{"TLS 1.2", false, func(c, s *hermetic.Config) { c.MaxVersion = tls.VersionTLS12 }},
	{"TLS 1.2 with ChaCha20", false, func(c, s *hermetic.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	}},
	{"a failure that is encrypted", false, func(c, s *hermetic.Config) { c.ServerName = "example.com" }},
	{"a failure that is not", false, func(c, s *hermetic.Config) {
		c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
	}},
	{"DTLS 1.3", true, func(c, s *hermetic.Config) {}},
	{"DTLS 1.3 after a retry", true, func(c, s *hermetic.Config) { c.KeyShares = []tls.CurveID{} }},
	{"DTLS 1.2", true, func(c, s *hermetic.Config) { c.MaxVersion = tls.VersionTLS12 }},
}

// TestSame: with the secrets, an observer tells what the client tells.
func TestSame(t *testing.T) {
	for _, c := range talks {
		t.Run(c.name, func(t *testing.T) {
			k := newTalk(t, c.datagram, c.change)
			for _, chunk := range []int{1 << 20, 1, 7} {
				got := k.observed(t, c.datagram, k.log.String(), chunk)
				if strings.Contains(c.name, "failure") { // what follows the alert, only an observer sees
					for l := range strings.Lines(outline(k.told)) {
						if !strings.Contains(outline(got)+"\n", l) {
							t.Fatalf("chunks of %d: there is no %s in\n%s", chunk, l, outline(got))
						}
					}
					continue
				}
				if got, want := outline(got), outline(k.told); got != want {
					t.Fatalf("chunks of %d: got\n%s\nwant\n%s", chunk, got, want)
				}
				if got, want := records(got), records(k.told); got != want {
					t.Fatalf("chunks of %d: got\n%s\nwant\n%s", chunk, got, want)
				}
			}
		})
	}
}

// TestWithoutSecrets: what is not encrypted is told of, and that the rest is.
func TestWithoutSecrets(t *testing.T) {
	for _, c := range talks {
		t.Run(c.name, func(t *testing.T) {
			k := newTalk(t, c.datagram, c.change)
			for _, log := range []string{"", "CLIENT_RANDOM 00 00\n# nothing\nCLIENT_TRAFFIC_SECRET_0 zz 00\nx", strings.ReplaceAll(k.log.String(), "a", "b")} {
				list := flow.Connections(k.observed(t, c.datagram, log, 1<<20))
				if len(list) != 1 || list[0].Completed != nil {
					t.Fatalf("%d connections", len(list))
				}
				d := list[0].Diagnose()
				if c.name == "a failure that is not" {
					if list[0].Failed == nil || list[0].Failed.Alert != "handshake_failure" {
						t.Errorf("%+v", list[0].Failed)
					}
					continue
				}
				if list[0].Ended != "encrypted" || !strings.Contains(d.Advice, "--keylog") || list[0].Steps[0].Label != "ClientHello" || len(list[0].Choices) < 3 {
					t.Errorf("%q, %+v", list[0].Ended, d)
				}
			}
		})
	}
}

// TestForeign: what is not TLS.
func TestForeign(t *testing.T) {
	k := &talk{packets: []packet{{trace.Client, []byte("GET / HTTP/1.1\r\n\r\n")}, {trace.Server, []byte("HTTP/1.1 400 Bad Request\r\n")}}}
	if c := flow.Connections(k.observed(t, false, "", 1))[0]; c.Ended != "foreign" || c.Diagnose().Cause != "this is not TLS" {
		t.Errorf("%+v", c)
	}
}

// FuzzBytes and FuzzDatagram: no bytes of either side make an observer panic, and it keeps little.
func FuzzBytes(f *testing.F)    { fuzz(f, false) }
func FuzzDatagram(f *testing.F) { fuzz(f, true) }

func fuzz(f *testing.F, datagram bool) {
	for _, c := range talks {
		if k := newTalk(f, c.datagram, c.change); c.datagram == datagram {
			var all []byte
			for _, p := range k.packets {
				all = append(append(all, byte(len(p.from)&1), byte(len(p.data)>>8), byte(len(p.data))), p.data...)
			}
			f.Add(all, k.log.String())
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, log string) {
		k := new(talk)
		for len(in) > 3 {
			n := min(int(in[1])<<8|int(in[2]), len(in)-3)
			from := []trace.Side{trace.Client, trace.Server}[in[0]&1]
			k.packets = append(k.packets, packet{from, in[3 : 3+n]})
			in = in[3+n:]
		}
		for _, c := range flow.Exchanges(flow.Connections(k.observed(t, datagram, log, 1<<20))) {
			c.Diagnose()
		}
	})
}
