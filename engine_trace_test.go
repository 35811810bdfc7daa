package hermetic

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/poison"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/trace"
)

// events are those of one or more connections.
type events struct{ list []trace.Event }

func (s *events) add(e trace.Event) { s.list = append(s.list, e) }

// of returns the events of one side and type.
func of[T trace.Data](s *events, side trace.Side) (list []T) {
	for _, e := range s.list {
		if d, ok := e.Data.(T); ok && e.Side == side {
			list = append(list, d)
		}
	}
	return list
}

// watch makes both Configs tell s.
func (s *events) watch(configs ...*Config) {
	for _, c := range configs {
		c.Trace = s.add
	}
}

// hidden is what must not be in any trace, by what they are.
type hidden map[string][]byte

func (s hidden) add(what string, secret []byte) {
	if len(secret) > 0 {
		s[what] = bytes.Clone(secret)
	}
}

// keyLog adds all secrets of a key log, and those that follow from them.
func (s hidden) keyLog(t *testing.T, log string, c *handshake.Connection) {
	prefix := suite.TLS
	if c.Transport == 1 {
		prefix = suite.DTLS
	}
	for line := range strings.Lines(log) {
		f := strings.Fields(line)
		secret, err := hex.DecodeString(f[2])
		if err != nil || len(secret) < 32 {
			t.Fatalf("the key log has %q", line)
		}
		s.add(f[0], secret)
		if strings.Contains(f[0], "TRAFFIC_SECRET_0") {
			for i := range 3 {
				suite.UpdateTrafficSecret(c.Suite.Hash, prefix, secret)
				s.add(fmt.Sprintf("%s+%d", f[0], i+1), secret)
			}
		}
	}
}

// in returns which secrets are in an event, as bytes or as text.
func (s hidden) in(e trace.Event) (found []string) {
	var visit func(v reflect.Value)
	visit = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !v.IsNil() {
				visit(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					visit(v.Field(i))
				}
			}
		case reflect.String:
			found = append(found, s.inText(v.String())...)
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Uint8 {
				found = append(found, s.inBytes(v.Bytes())...)
				return
			}
			for i := range v.Len() {
				visit(v.Index(i))
			}
		}
	}
	visit(reflect.ValueOf(e.Data))
	return found
}

func (s hidden) inBytes(b []byte) (found []string) {
	for what, secret := range s {
		if bytes.Contains(b, secret) {
			found = append(found, what)
		}
	}
	return found
}

func (s hidden) inText(text string) (found []string) {
	found = s.inBytes([]byte(text))
	for what, secret := range s {
		// A value may be cut.
		start := hex.EncodeToString(secret[:min(len(secret), 16)])
		if strings.Contains(text, start) || strings.Contains(text, base64.StdEncoding.EncodeToString(secret)) {
			found = append(found, what)
		}
	}
	return found
}

// check fails the test if an event has a secret.
func (s hidden) check(t *testing.T, list []trace.Event) {
	t.Helper()
	if len(s) < 8 || len(list) < 20 {
		t.Fatalf("only %d secrets and %d events", len(s), len(list))
	}
	for _, e := range list {
		for _, what := range s.in(e) {
			t.Errorf("%s of the %s has the %s", e.Data.Name(), e.Side, what)
		}
	}
	var lines bytes.Buffer
	w := trace.NewWriter(&lines, nil)
	for _, e := range list {
		w.Write(e)
	}
	for _, what := range s.inText(lines.String()) {
		t.Errorf("the trace has the %s", what)
	}
}

// TestTraceHasNoSecrets collects all secrets of all kinds of handshakes, and searches the traces
// of both sides for them.
func TestTraceHasNoSecrets(t *testing.T) {
	external := PSK{Identity: []byte("device 7"), Key: []byte("an external key that is 32 bytes")}
	cases := []struct {
		name   string
		change func(client, server *Config)
	}{
		{"full", nil},
		{"mutual", func(c, s *Config) {
			c.Certificates, s.ClientAuth, s.ClientCAs = s.Certificates, tls.RequireAndVerifyClientCert, c.RootCAs
		}},
		{"retried", func(c, s *Config) { c.KeyShares = []tls.CurveID{} }},
		{"PSK", func(c, s *Config) { c.PSKs, s.PSKs, s.Certificates = []PSK{external}, []PSK{external}, nil }},
		{"imported PSK", func(c, s *Config) {
			imported := external
			imported.Import = true
			c.PSKs, s.PSKs = []PSK{imported}, []PSK{imported}
		}},
		{"early data", func(c, s *Config) { c.EarlyData, s.MaxEarlyData = true, 1000 }},
		{"connection IDs", func(c, s *Config) {
			for _, c := range []*Config{c, s} {
				c.DTLS.ConnectionIDs, c.DTLS.ConnectionIDLength = true, 8
			}
		}},
	}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				client, server, now := sessionConfigs(t, version)
				if c.change != nil {
					c.change(client, server)
				}
				traceAll(t, datagram, client, server, now, external)
			})
		}
	})
}

// traceAll makes a full and a resumed connection, and checks their traces.
func traceAll(t *testing.T, datagram bool, client, server *Config, now *clock, external PSK) {
	var told events
	var log bytes.Buffer
	key := TicketKey(bytes.Repeat([]byte("T"), 32))
	server.TicketKeys, server.Certificates = StaticTicketKeys(key), slices.Clone(server.Certificates)
	guard := NewReplayGuard(100, func() time.Time { return pkitest.Now.Add(time.Hour) })
	server.ReplayGuard = anyID{guard}
	client.KeyLogWriter, server.KeyLogWriter = &log, &log
	cache := client.SessionCache.(*lru)
	told.watch(client, server)
	found := hidden{"ticket key": key[:], "external PSK": external.Key}
	found.add("cookie secret", server.shared().cookieSecret(server.random()))
	for _, c := range server.Certificates {
		found.add("private key", privateKey(t, c.PrivateKey))
	}
	const early, words = "the text of the early data", "the text of the application data"
	found.add("early data", []byte(early))
	found.add("application data", []byte(words))
	for range 2 {
		m := newMeeting(t, datagram, client, server)
		for _, entry := range cache.entries {
			for _, s := range entry.Value.(*lruEntry).sessions {
				found.session(s.state)
			}
		}
		if m.client.EarlyDataRoom() > 0 {
			if err := m.sendEarly(early); err != nil {
				t.Fatal(err)
			}
		}
		m.settle(now)
		for _, e := range []*Engine{m.client, m.server} {
			if e.State().Version == tls.VersionTLS13 {
				m.update(now, e, UpdateRequested)
			}
		}
		say(t, m, words)
		s := m.client.State()
		if out, err := s.ExportKeyingMaterial("EXPORTER-test", nil, 32); err == nil {
			found.add("exported keying material", out)
		}
		found.keyLog(t, log.String(), m.client.conn)
		m.client.Close()
		m.server.Close()
		m.pump()
	}
	found.check(t, told.list)
	if done := of[*trace.Completed](&told, trace.Client); len(done) != 2 || !done[1].Resumed && client.PSKs == nil {
		t.Errorf("the connections: %+v", done)
	} else if client.EarlyData && client.MaxVersion == tls.VersionTLS13 && done[1].EarlyData != "accepted" {
		t.Errorf("early data was not accepted: %+v", done[1])
	}
}

// anyID is a guard that has always been there.
type anyID struct{ ReplayGuard }

func (anyID) Unseen([]byte, time.Time) bool { return true }

func (s hidden) session(state *session.Session) {
	s.add("secret of a session", state.Secret)
	s.add("form of a session", state.Append(nil))
}

func privateKey(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	b, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// update updates the keys of one side, or of both.
func (m *meeting) update(now *clock, e *Engine, request KeyUpdateRequest) {
	m.t.Helper()
	if err := e.KeyUpdate(request); err != nil {
		m.t.Fatal(err)
	}
	for range 3 {
		if err := m.run(); err != nil {
			m.t.Fatal(err)
		}
		now.now = now.now.Add(time.Second)
		for _, e := range []*Engine{m.client, m.server} {
			if err := e.Expire(); err != nil {
				m.t.Fatal(err)
			}
		}
	}
}

// say sends text both ways.
func say(t *testing.T, m *meeting, text string) {
	t.Helper()
	for range 2 {
		for _, d := range [][2]*Engine{{m.client, m.server}, {m.server, m.client}} {
			if _, err := m.pass(d[0], d[1]); err != nil {
				t.Fatal(err)
			}
			out, err := d[0].Seal(nil, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := m.give(d[1], out); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSecretsAreFound: the search above finds a secret wherever it is.
func TestSecretsAreFound(t *testing.T) {
	secret := bytes.Repeat([]byte("0123456789abcdef"), 2)
	found := hidden{"it": secret}
	for name, d := range map[string]trace.Data{
		"bytes":   &trace.Record{Bytes: append([]byte("..."), secret...)},
		"raw":     &trace.Message{Raw: append([]byte("..."), secret...)},
		"text":    &trace.Failed{Cause: "key " + string(secret)},
		"hex":     &trace.Message{Fields: []trace.Field{{Fields: []trace.Field{{Value: hex.EncodeToString(secret)}}}}},
		"cut hex": &trace.Failed{Cause: hex.EncodeToString(secret[:20]) + "..."},
		"base64":  &trace.State{Expects: []string{"", base64.StdEncoding.EncodeToString(secret)}},
	} {
		if len(found.in(trace.Event{Data: d})) == 0 {
			t.Errorf("%s: nothing is found", name)
		}
	}
}

// TestTraceHidesTickets: a ticket that is issued is not in the trace.
func TestTraceHidesTickets(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		var told events
		told.watch(client, server)
		newMeeting(t, datagram, client, server).finish()
		tickets := 0
		for _, m := range append(of[*trace.Message](&told, trace.Server), of[*trace.Message](&told, trace.Client)...) {
			if m.Type != "NewSessionTicket" {
				continue
			}
			f := m.Field("ticket")
			if f == nil || !strings.HasSuffix(f.Value, "bytes, not shown") || m.Malformed {
				t.Fatalf("got %+v", m.Fields)
			}
			if content := m.Raw[f.Offset+2 : f.Offset+f.Length]; len(bytes.Trim(content, "\x00")) > 0 {
				t.Errorf("the ticket is %x", content)
			}
			tickets++
		}
		if tickets != 2 {
			t.Errorf("%d messages with a ticket", tickets)
		}
	})
}

// TestTraceAccounts: the records of a trace are all bytes that went in and out.
func TestTraceAccounts(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		var told events
		told.watch(client, server)
		m := newMeeting(t, datagram, client, server)
		m.finish()
		say(t, m, "words")
		var sent, received [2][]byte
		for i, side := range []trace.Side{trace.Client, trace.Server} {
			for _, r := range of[*trace.Record](&told, side) {
				if len(r.Bytes) != r.Length || r.DataLength > r.Length {
					t.Errorf("%+v", r)
				}
				if r.Sent {
					sent[i] = append(sent[i], r.Bytes...)
				} else {
					received[i] = append(received[i], r.Bytes...)
				}
			}
		}
		for i, name := range []string{"client", "server"} {
			if len(sent[i]) == 0 || !bytes.Equal(sent[i], received[1-i]) {
				t.Errorf("the %s has sent %d bytes, and its peer received %d", name, len(sent[i]), len(received[1-i]))
			}
		}
	})
}

// TestTraceNumbersRecords: under each epoch the numbers of a side's records are 0, 1, 2 and so
// on, and the other side reads the same.
func TestTraceNumbersRecords(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, now := sessionConfigs(t, version)
		var told events
		told.watch(client, server)
		m := newMeeting(t, datagram, client, server)
		m.settle(now)
		if version == tls.VersionTLS13 {
			m.update(now, m.client, UpdateRequested)
		}
		say(t, m, "words")
		for _, side := range []trace.Side{trace.Client, trace.Server} {
			next := map[string]uint64{}
			last := map[bool]uint64{}
			for _, r := range of[*trace.Record](&told, side) {
				key := fmt.Sprint(r.Sent, r.Epoch)
				if r.Sequence != next[key] {
					t.Errorf("%s: sent %v, epoch %d: %d comes after %d", side, r.Sent, r.Epoch, r.Sequence, next[key])
				}
				next[key]++
				last[r.Sent] = max(last[r.Sent], r.Epoch)
			}
			want := uint64(1)
			if version == tls.VersionTLS13 {
				want = 4
			}
			if last[true] != want || last[false] != want {
				t.Errorf("%s: the last epochs are %v, want %d", side, last, want)
			}
		}
	})
}

// TestTraceOfMessages: each side sends the messages of the RFC's figures, in order, and the
// other has the same.
func TestTraceOfMessages(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, _ := sessionConfigs(t, version)
		client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		var told events
		told.watch(client, server)
		newMeeting(t, datagram, client, server).finish()
		flow := func(side trace.Side, sent bool) (list []string) {
			for _, m := range of[*trace.Message](&told, side) {
				if m.Sent == sent {
					list = append(list, fmt.Sprintf("%s %d", m.Type, m.Epoch))
				}
			}
			return list
		}
		want := []string{"ServerHello 0", "EncryptedExtensions 2", "Certificate 2", "CertificateVerify 2", "Finished 2", "NewSessionTicket 3"}
		if version == tls.VersionTLS12 {
			want = []string{"ServerHello 0", "Certificate 0", "ServerKeyExchange 0", "ServerHelloDone 0", "NewSessionTicket 0", "Finished 1"}
		}
		if got := flow(trace.Server, true); !slices.Equal(got, want) {
			t.Errorf("the server sends %q, want %q", got, want)
		}
		if got := flow(trace.Client, false); !slices.Equal(got, want) {
			t.Errorf("the client receives %q, want %q", got, want)
		}
		for _, m := range of[*trace.Message](&told, trace.Client) {
			if m.Malformed || m.Length != len(m.Raw) {
				t.Errorf("%+v", m)
			}
		}
	})
}

// TestTraceOfKeys: both sides name the same secrets for the same direction.
func TestTraceOfKeys(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server, now := sessionConfigs(t, version)
		var told events
		told.watch(client, server)
		m := newMeeting(t, datagram, client, server)
		m.settle(now)
		if version == tls.VersionTLS13 {
			m.update(now, m.server, UpdateNotRequested)
		}
		want := "server_write_key 1"
		if version == tls.VersionTLS13 {
			want = "server_handshake_traffic_secret 2, server_application_traffic_secret_0 3, server_application_traffic_secret_1 4"
		}
		for _, side := range []trace.Side{trace.Client, trace.Server} {
			var got []string
			for _, k := range of[*trace.KeyChange](&told, side) {
				if k.Sent == (side == trace.Server) {
					got = append(got, fmt.Sprintf("%s %d", k.Secret, k.Epoch))
				}
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("%s: %s, want %s", side, text, want)
			}
		}
	})
}

// TestTraceOfDrops: each dropped record is told once, with the reason that it is counted under.
func TestTraceOfDrops(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var told events
		m := newNetwork(t, func(c, s *Config) {
			c.MaxVersion = version
			told.watch(c, s)
		})
		m.finish()
		out, err := m.client.Seal(nil, []byte("words"))
		if err != nil {
			t.Fatal(err)
		}
		forged := bytes.Clone(out)
		forged[len(forged)-1] ^= 1
		clear := append([]byte{23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1}, 'x')
		for _, d := range [][]byte{forged, bytes.Clone(out), bytes.Clone(out), {22, 0xfe}, clear} {
			m.give(m.server, d)
		}
		got := map[string]uint64{}
		for _, d := range of[*trace.Drop](&told, trace.Server) {
			got[d.Reason]++
			if d.Length == 0 || d.Reason != "unprotected" && len(d.Bytes) != d.Length {
				t.Errorf("%+v", d)
			}
		}
		drops := m.server.Drops()
		want := map[string]uint64{"forged": drops.Forged, "replayed": drops.Replayed, "malformed": drops.Malformed, "unprotected": drops.Unprotected}
		if drops.Total() != 4 || !reflect.DeepEqual(got, want) {
			t.Errorf("told of %v, counted %+v", got, drops)
		}
	}
}

// TestTraceOfLoss: a lost flight is sent again after its timer has expired.
func TestTraceOfLoss(t *testing.T) {
	var told events
	lost := true
	m := newNetwork(t, func(c, s *Config) { told.watch(c, s) })
	m.lose = func() bool { return lost }
	m.deliver()
	lost = false
	if err := m.wait(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range told.list {
		switch d := e.Data.(type) {
		case *trace.Timer:
			got = append(got, fmt.Sprint(d.Timer, " ", d.Change))
		case *trace.Retransmission:
			got = append(got, fmt.Sprint("again: ", d.Trigger, " ", d.Attempt))
		case *trace.Record:
			if d.Sent {
				got = append(got, fmt.Sprint("sent ", d.Fragments[0].Type, " ", d.Sequence))
			}
		}
		if len(got) == 6 {
			break
		}
	}
	want := []string{
		"sent ClientHello 0", "retransmission armed", "retransmission expired", "again: timeout 1", "retransmission armed", "sent ClientHello 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestTraceOfFailures: the alert, and on both sides the cause.
func TestTraceOfFailures(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		client, server, _ := sessionConfigs(t, tls.VersionTLS13)
		client.ServerName = "elsewhere.example"
		var told events
		told.watch(client, server)
		newMeeting(t, datagram, client, server).pump()
		failed := append(of[*trace.Failed](&told, trace.Client), of[*trace.Failed](&told, trace.Server)...)
		if len(failed) != 2 || failed[0].Received || !failed[1].Received || failed[0].Alert != "bad_certificate" || failed[1].Alert != "bad_certificate" ||
			!strings.Contains(failed[0].Cause, "elsewhere.example") {
			t.Errorf("%+v", failed)
		}
		alerts := append(of[*trace.Alert](&told, trace.Client), of[*trace.Alert](&told, trace.Server)...)
		want := trace.Alert{Sent: true, Level: "fatal", Description: "bad_certificate", Number: uint8(alert.BadCertificate)}
		if len(alerts) != 2 || *alerts[0] != want || alerts[1].Sent {
			t.Errorf("%+v", alerts)
		}
		answers := of[*trace.Answer](&told, trace.Client)
		if last := answers[len(answers)-1]; last.Question != "verdict" || !last.Failed {
			t.Errorf("%+v", last)
		}
	}
}

// TestTraceOfQuestions: a question for the caller, and its answer.
func TestTraceOfQuestions(t *testing.T) {
	client, server, _ := sessionConfigs(t, tls.VersionTLS13)
	server.Async = AsyncSign | AsyncChoose | AsyncTicketKeys
	var told events
	told.watch(server)
	m := newMeeting(t, false, client, server)
	m.answer = func(p Pending) {
		switch p := p.(type) {
		case *ChooseRequest:
			p.Answer(nil, nil)
		case *SignRequest:
			p.Answer(p.Sign(nil, p.Certificate.PrivateKey.(crypto.Signer)))
		case *TicketKeysRequest:
			p.Answer([]TicketKey{{1}}, nil)
		}
	}
	m.finish()
	var got []string
	for _, e := range told.list {
		switch d := e.Data.(type) {
		case *trace.Question:
			got = append(got, fmt.Sprintf("%s? %v", d.Question, d.Async))
		case *trace.Answer:
			got = append(got, fmt.Sprintf("%s. %v", d.Question, d.Failed))
		}
	}
	want := "certificate? true; certificate. false; signature? true; signature. false; ticket? true; ticket? false; ticket. false"
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// TestTraceOfResumption: the question whether to resume a session, and its answer.
func TestTraceOfResumption(t *testing.T) {
	for answer, failed := range map[Resumption]bool{ResumeAccept: false, ResumeDecline: false, ResumeDecline + 1: true} {
		client, server, now := sessionConfigs(t, tls.VersionTLS13)
		newMeeting(t, false, client, server).settle(now)
		server = server.Clone()
		server.ResumeSession = func(*ResumableSession) Resumption { return answer }
		var told events
		told.watch(server)
		newMeeting(t, false, client, server).run()
		var got []string
		for _, e := range told.list {
			switch d := e.Data.(type) {
			case *trace.Question:
				if d.Question == "replay" {
					t.Errorf("%v: there is no early data, and the question is %q", answer, d.Question)
				}
				if d.Question == "resumption" {
					got = append(got, fmt.Sprintf("asked %v", d.Async))
				}
			case *trace.Answer:
				if d.Question == "resumption" {
					got = append(got, fmt.Sprintf("failed %v", d.Failed))
				}
			}
		}
		if want := fmt.Sprintf("asked false; failed %v", failed); strings.Join(got, "; ") != want {
			t.Errorf("%v: %q, want %q", answer, got, want)
		}
	}
}

// TestTraceSinkPanics: the caller gets the panic, the engine continues, and no event is lost.
func TestTraceSinkPanics(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server := configs(t)
		client.MaxVersion = version
		var calm events
		calm.watch(client)
		newMeeting(t, datagram, client, server).finish()

		var told events
		client = client.Clone()
		panics := true
		client.Trace = func(e trace.Event) {
			told.add(e)
			if panics = !panics; panics {
				panic("the sink is broken")
			}
		}
		m := newMeeting(t, datagram, client, server)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is lost")
				}
			}()
			m.client.Output(nil)
		}()
		for done := false; !done; {
			func() {
				defer func() { recover() }()
				m.client.Close() // which delivers what is left
				done = true
			}()
		}
		var got, want []string
		for i := range 4 {
			got, want = append(got, told.list[i].Data.Name()), append(want, calm.list[i].Data.Name())
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestTraceSinkCallsBack: the engine is consistent when the sink is called, so that it can be
// asked, and even be driven; the events stay in order.
func TestTraceSinkCallsBack(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server := configs(t)
		client.MaxVersion = version
		var told events
		var m *meeting
		var drained []byte
		depth := 0
		client.Trace = func(e trace.Event) {
			told.add(e)
			if depth++; depth > 1 {
				t.Error("an event is delivered within another")
			}
			defer func() { depth-- }()
			m.client.State()
			m.client.HasOutput()
			m.client.Deadline()
			if done, ok := e.Data.(*trace.Completed); ok && !strings.HasSuffix(done.Version, tls.VersionName(m.client.State().Version)) {
				t.Errorf("%+v, and the state is %+v", done, m.client.State())
			}
			if _, ok := e.Data.(*trace.Completed); ok {
				for m.client.HasOutput() { // the Finished
					drained = m.client.Output(nil)
					if err := m.give(m.server, drained); err != nil {
						t.Error(err)
					}
				}
			}
		}
		m = newMeeting(t, datagram, client, server)
		m.finish()
		if len(drained) == 0 && version == tls.VersionTLS13 {
			t.Error("the Finished was not sent")
		}
		for i := 1; i < len(told.list); i++ {
			if told.list[i].Time.Before(told.list[i-1].Time) {
				t.Error("the events are out of order")
			}
		}
	})
}

// TestTraceSinkResets: the sink may even end the connection and begin another.
func TestTraceSinkResets(t *testing.T) {
	for _, datagram := range []bool{false, true} {
		client, server, _ := sessionConfigs(t, tls.VersionTLS13)
		client.ServerName = "elsewhere.example"
		var told events
		var m *meeting
		client.Trace = func(e trace.Event) {
			told.add(e)
			if _, ok := e.Data.(*trace.Failed); ok && e.Conn == 1 {
				m.client.Reset()
			}
		}
		m = newMeeting(t, datagram, client, server)
		m.pump()
		if m.client.Output(nil); told.list[len(told.list)-1].Conn != 2 {
			t.Errorf("the last event is of connection %d", told.list[len(told.list)-1].Conn)
		}
	}
}

// TestCallbackPanicsWithTrace: a callback of the Config that panics loses no event before it, and
// the events continue after it.
func TestCallbackPanicsWithTrace(t *testing.T) {
	client, server := configs(t)
	server.GetCertificate = func(*ClientHello) (*tls.Certificate, error) { panic("a fault") }
	var told events
	told.watch(server)
	m := newMeeting(t, false, client, server)
	hello := m.client.Output(nil)
	func() {
		defer func() { recover() }()
		m.server.Open(hello)
	}()
	if len(of[*trace.Message](&told, trace.Server)) != 1 {
		t.Fatal("the ClientHello is not told of")
	}
	before := len(told.list)
	m.server.Reset()
	server.GetCertificate = nil
	m.server.Open(hello)
	if len(told.list) == before {
		t.Error("nothing is told any longer")
	}
}

// TestTraceNumbersConnections: those of a Config and its Clones, also after Reset.
func TestTraceNumbersConnections(t *testing.T) {
	client, _ := configs(t)
	var told events
	told.watch(client)
	first, err := NewEngine(TLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewEngine(DTLSClient, client.Clone())
	if err != nil {
		t.Fatal(err)
	}
	first.Output(nil)
	if n := first.TraceConn(); n != 1 {
		t.Errorf("the first is number %d", n)
	}
	first.Reset()
	first.Output(nil)
	second.Output(nil)
	if a, b := first.TraceConn(), second.TraceConn(); a != 3 || b != 2 {
		t.Errorf("after Reset the numbers are %d and %d", a, b)
	}
	client.Trace = nil
	if quiet, err := NewEngine(TLSClient, client); err != nil || quiet.TraceConn() != 0 {
		t.Errorf("without a trace the number is %d, %v", quiet.TraceConn(), err)
	}
	var got []uint64
	for _, e := range told.list {
		if !slices.Contains(got, e.Conn) {
			got = append(got, e.Conn)
		}
	}
	if want := []uint64{1, 3, 2}; !slices.Equal(got, want) {
		t.Errorf("the connections are %d, want %d", got, want)
	}
}

// TestTraceOfMovedEngine: an imported connection has a trace too, which knows its version.
func TestTraceOfMovedEngine(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		if datagram && version == tls.VersionTLS12 {
			return // its server keeps a last flight
		}
		client, server, now := sessionConfigs(t, version)
		m := newMeeting(t, datagram, client, server)
		m.settle(now)
		aead := stateAEAD(t, 1)
		state, err := m.server.Export(nil, aead)
		if err != nil {
			t.Fatal(err)
		}
		var told events
		moved := server.Clone()
		moved.Trace = told.add
		if m.server, err = ImportEngine(moved, state, aead, nil); err != nil {
			t.Fatal(err)
		}
		want := uint64(1)
		if version == tls.VersionTLS13 {
			want = 4
			m.update(now, m.client, UpdateNotRequested)
		}
		say(t, m, "words")
		records := of[*trace.Record](&told, trace.Server)
		if len(records) == 0 || told.list[0].Conn != 1 {
			t.Fatal("there is no trace")
		}
		epochs := map[bool]uint64{}
		for _, r := range records {
			epochs[r.Sent] = r.Epoch
		}
		if epochs[false] != want || epochs[true] != min(want, 3) {
			t.Errorf("the epochs are %v", epochs)
		}
		for _, k := range of[*trace.KeyChange](&told, trace.Server) {
			if k.Secret != "client_application_traffic_secret_1" {
				t.Errorf("%+v", k)
			}
		}
	})
}

// silent are the methods of an Engine that cause no events, or leave them to the next call: those
// that only read, and those before there is anything to tell.
var silent = []string{
	"Missing", "Pending", "HasOutput", "Reset", "HandshakeComplete", "MaxData", "Overhead", "SetServerName", "SetConn", "SetContext", "SetPeerID",
	"SetRetransmitTimeout", "Deadline", "Acknowledged", "ConnectionIDs", "EarlyDataRoom", "ExportKeyingMaterial", "Compact", "Export",
	"OpenFrom", "Path", "NewPath", "SetPath", "Drops", "State", "TraceConn", // OpenFrom is Open
}

// TestEveryCallDelivers: a method that causes events delivers them.
func TestEveryCallDelivers(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "\nfunc (e *Engine) ") {
			method, body, _ := strings.Cut(part, "(")
			if i == 0 || !token.IsExported(method) {
				continue
			}
			found[method] = true
			body, _, _ = strings.Cut(body, "\n}\n")
			if enters := strings.Contains(body, "e.trace.Enter()"); enters == slices.Contains(silent, method) {
				t.Errorf("%s: %s delivers events: %v", name, method, enters)
			}
		}
	}
	for _, method := range silent {
		if !found[method] {
			t.Errorf("there is no %s any longer", method)
		}
	}
}

// BenchmarkTrace compares records without a trace, and with one that is thrown away.
func BenchmarkTrace(b *testing.B) {
	for name, sink := range map[string]func(trace.Event){"off": nil, "on": func(trace.Event) {}} {
		for _, datagram := range []bool{false, true} {
			protocol := "TLS"
			if datagram {
				protocol = "DTLS"
			}
			b.Run(protocol+"/"+name, func(b *testing.B) {
				client, server := configs(b)
				client.Trace, server.Trace = sink, sink
				m := newMeeting(b, datagram, client, server)
				m.finish()
				var buf []byte
				data := make([]byte, 1000)
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if buf, err = m.client.Seal(buf[:0], data); err == nil {
						_, err = m.server.Open(buf)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestTraceOffIsFree: a record costs no allocation without a trace.
func TestTraceOffIsFree(t *testing.T) {
	if poison.Copies {
		t.Skip("in a build with poison each result is a copy")
	}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server := configs(t)
		client.MaxVersion = version
		m := newMeeting(t, datagram, client, server)
		m.finish()
		var buf []byte
		data := make([]byte, 1000)
		n := testing.AllocsPerRun(100, func() {
			out, err := m.client.Seal(buf[:0], data)
			if err == nil {
				buf = out
				_, err = m.server.Open(out)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%v allocations a record", n)
		}
	})
}

// TestTraceOfAnsweredHellos: what AnswerHello answers, without an engine, is told as of connection 0.
func TestTraceOfAnsweredHellos(t *testing.T) {
	hello := func(change func(*Config)) []byte {
		client, _ := configs(t)
		client.CurvePreferences = []tls.CurveID{tls.X25519}
		if change != nil {
			change(client)
		}
		e, err := NewEngine(DTLSClient, client)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(e.Output(nil))
	}
	version := func(v uint16) func(*Config) { return func(c *Config) { c.MinVersion, c.MaxVersion = v, v } }
	full := hello(version(tls.VersionTLS13))
	many := bytes.Clone(full)
	for range 1000 {
		many = append(many, 20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1)
	}
	for _, c := range []struct {
		name     string
		datagram []byte
		want     []string // the names of the events, with what matters; nil: any number
		total    int      // if not that of want
	}{
		{"DTLS 1.2", hello(version(tls.VersionTLS12)), []string{"record_received", "message_received ClientHello", "message_sent HelloVerifyRequest", "record_sent"}, 0},
		{"DTLS 1.3", full, []string{"record_received", "message_received ClientHello", "message_sent HelloRetryRequest", "record_sent"}, 0},
		{"no suite in common", hello(func(c *Config) {
			c.MinVersion, c.CipherSuites = tls.VersionTLS13, []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}
		}), []string{"record_received", "message_received ClientHello", "alert_sent handshake_failure", "record_sent"}, 0},
		{"1,000 records after it", many, nil, maxTraced + 3},
		{"garbage", []byte("garbage"), []string{}, 0},
		{"nothing", nil, []string{}, 0},
		{"a record of another kind", []byte{23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, []string{}, 0},
	} {
		_, server := configs(t)
		server.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		silent, _ := server.AnswerHello(nil, []byte("peer"), bytes.Clone(c.datagram))
		server = server.Clone()
		server.Time = atNow
		log := new(events)
		log.watch(server)
		prefix := []byte("prefix")
		answer, ok := server.AnswerHello(prefix, []byte("peer"), bytes.Clone(c.datagram))
		if answer = answer[len(prefix):]; ok || len(answer) != len(silent) {
			t.Errorf("%s: %d bytes answer, %v, and %d without a trace", c.name, len(answer), ok, len(silent))
		}
		var got []string
		var sent, received []byte
		for _, e := range log.list {
			name := e.Data.Name()
			switch d := e.Data.(type) {
			case *trace.Message:
				name += " " + d.Type
			case *trace.Alert:
				name += " " + d.Description
			case *trace.Record:
				if d.Sent {
					sent = append(sent, d.Bytes...)
				} else {
					received = append(received, d.Bytes...)
				}
			}
			if got = append(got, name); e.Conn != 0 || e.Side != trace.Server || !e.Time.Equal(atNow()) {
				t.Errorf("%s: connection %d, the %s, at %v", c.name, e.Conn, e.Side, e.Time)
			}
		}
		if c.want != nil && !slices.Equal(got, c.want) || c.want == nil && len(got) != c.total {
			t.Errorf("%s: %d events, %q, want %q", c.name, len(got), got, c.want)
		}
		if !bytes.Equal(sent, answer) || !bytes.HasPrefix(c.datagram, received) || len(got) > 0 && len(received) < len(full)/2 {
			t.Errorf("%s: the records have %d bytes received, %d sent", c.name, len(received), len(sent))
		}
	}

	// A good cookie is the engine's affair, and a sink that panics damages nothing.
	client, server := configs(t)
	log := new(events)
	log.watch(server)
	e, err := NewEngine(DTLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := server.AnswerHello(nil, []byte("peer"), e.Output(nil))
	if _, err := e.Open(answer); err != nil {
		t.Fatal(err)
	}
	second := e.Output(nil)
	before := len(log.list)
	if _, ok := server.AnswerHello(nil, []byte("peer"), bytes.Clone(second)); !ok || len(log.list) != before {
		t.Errorf("a good cookie: %v, %d events", ok, len(log.list)-before)
	}
	server = server.Clone()
	server.Trace = func(trace.Event) { panic("full") }
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the sink's panic is gone")
				}
			}()
			server.AnswerHello(nil, []byte("other"), bytes.Clone(second))
		}()
	}
	if _, ok := server.AnswerHello(nil, []byte("peer"), second); !ok {
		t.Error("after a panic of the sink the cookie is not good")
	}
}
