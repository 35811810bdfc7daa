package page_test

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/hermetic-tls/hermetic/test/sim"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
	"github.com/hermetic-tls/hermetic/trace/page"
)

// drawn is the page of a trace.
func drawn(t testing.TB, events []trace.Event, o *page.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := page.Write(&b, events, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func simulated(t testing.TB, seed uint64, loss float64) (events []trace.Event) {
	t.Helper()
	if _, err := sim.Play(sim.Options{Seed: seed, Loss: &loss, Trace: func(e trace.Event) { events = append(events, e) }}); err != nil {
		t.Fatal(err)
	}
	return events
}

// TestSamePage: the same trace gives the same bytes.
func TestSamePage(t *testing.T) {
	for seed := range uint64(10) {
		first, second := drawn(t, simulated(t, seed, 0.3), nil), drawn(t, simulated(t, seed, 0.3), nil)
		if first != second {
			t.Errorf("seed %d: the pages differ", seed)
		}
	}
}

var outside = regexp.MustCompile(`(?i)\s(src|href|action|style|on[a-z]+)=|url\(|@import|https?://`)

// TestSelfContained: the page refers to nothing, and its policy permits nothing else.
func TestSelfContained(t *testing.T) {
	p := drawn(t, simulated(t, 9, 0.3), &page.Options{Title: "t", Note: "n", Facts: []flow.Fact{{Name: "a", Value: "b"}}})
	if found := outside.FindString(p); found != "" {
		t.Errorf("the page has %q", found)
	}
	if !strings.Contains(html.UnescapeString(p), `content="`+page.Policy+`"`) || !strings.HasPrefix(page.Policy, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("the policy is %s", page.Policy)
	}
	for _, want := range []string{"<title>t</title>", "ClientHello", "cipher_suite", "role=\"tree\"", "<svg class=\"chart w312\"", "As the server sees it", "lost: "} {
		if !strings.Contains(p, want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// hostile is text that nobody may see as it is.
const hostile = "\x1b[2J\u202egpj.exe\u2066\u200b\u0085\r\n</script></style><img src=x onerror=alert(1)>\"'`{{.}}&amp;"

// hostileTrace has it wherever a trace has text.
func hostileTrace(text string) (events []trace.Event) {
	field := func(name string, fields ...trace.Field) trace.Field {
		return trace.Field{Name: name, Value: text, Fields: fields}
	}
	for _, d := range []trace.Data{
		&trace.Message{Sent: true, Type: "ClientHello", Raw: []byte(text), Fields: []trace.Field{
			field("random"), field("legacy_version"), field("cipher_suites", field("cipher_suite")), field(text, field(text, field(text))),
			{Name: "extensions", Fields: []trace.Field{field("server_name", field("server_name_list", field("host_name")))}},
		}},
		&trace.Record{Sent: true, Type: text, Fragments: []trace.Fragment{{Type: text, Total: 3}}},
		&trace.Message{Type: "ServerHello", Fields: []trace.Field{field("cipher_suite")}},
		&trace.Message{Type: "Certificate", Fields: []trace.Field{field("certificate_list", field("certificate", field("subject"), field("issuer")))}},
		&trace.Message{Type: text, Malformed: true},
		&trace.Question{Question: text, Async: true},
		&trace.Drop{Reason: text, Length: 5},
		&trace.Retransmission{Trigger: text},
		&trace.Alert{Description: text},
		&trace.Completed{Version: text, CipherSuite: text, ServerName: text, Protocol: text, EarlyData: text, Group: text},
		&trace.Failed{Alert: "unknown_ca", Cause: text},
	} {
		events = append(events, trace.Event{Conn: 1, Side: trace.Client, Data: d})
	}
	return events
}

// TestEscaped: whatever a trace says is text.
func TestEscaped(t *testing.T) {
	o := &page.Options{Title: hostile, Note: hostile, Facts: []flow.Fact{{Name: hostile, Value: hostile}}}
	p := drawn(t, hostileTrace(hostile), o)
	harmless := drawn(t, hostileTrace("harmless"), &page.Options{Title: "t", Note: "n", Facts: []flow.Fact{{Name: "a", Value: "b"}}})
	if got, want := strings.Count(p, "<"), strings.Count(harmless, "<"); got != want {
		t.Errorf("the page has %d tags, and a harmless one %d", got, want)
	}
	for _, r := range p {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("the page has %q", r)
		}
	}
	if !strings.Contains(html.UnescapeString(p), "gpj.exe") {
		t.Error("the text is missing")
	}
}

// TestBounded: a large trace gives a page of bounded size.
func TestBounded(t *testing.T) {
	var events []trace.Event
	add := func(conn int, d trace.Data) {
		events = append(events, trace.Event{Conn: uint64(conn), Side: trace.Client, Data: d})
	}
	var fields []trace.Field
	for range 1000 {
		fields = append(fields, trace.Field{Name: "cipher_suite", Value: strings.Repeat("long ", 1000)})
	}
	raw := make([]byte, 64<<10)
	for conn := range 30 {
		for n := range 600 {
			add(conn, &trace.Message{Sent: true, Type: fmt.Sprint("Hello", n), Raw: raw, Length: 1 << 20, Fields: fields})
			add(conn, &trace.Record{Sent: true, Sequence: uint64(n), Fragments: []trace.Fragment{{Type: strings.Repeat("x", 1000)}}})
		}
	}
	p := drawn(t, events, nil)
	if len(p) > 20<<20 {
		t.Errorf("%d bytes", len(p))
	}
	for _, want := range []string{"10 more connections are not shown", "200 more steps are not shown", "300 more datagrams are not shown", "the first 8192 of 1048576 bytes"} {
		if !strings.Contains(p, want) {
			t.Errorf("the page does not say: %s", want)
		}
	}
}

// TestNothing: a trace without a connection.
func TestNothing(t *testing.T) {
	if p := drawn(t, nil, nil); !strings.Contains(p, "There is no connection in this trace.") || !strings.Contains(p, "<h1>TLS handshake</h1>") {
		t.Error("the page does not say so")
	}
}

// TestOddTraces: traces without sense, as a damaged or a forged file has them.
func TestOddTraces(t *testing.T) {
	events := simulated(t, 9, 0.3)
	for cut := 1; cut < len(events); cut += 7 {
		odd := append(append([]trace.Event(nil), events[cut:]...), events[:cut]...) // time goes back
		for i := range odd {
			if i%cut == 0 {
				odd[i].Side = trace.Server
			}
		}
		if p := drawn(t, odd, nil); strings.Count(p, "<script") != 1 || strings.Contains(p, "NaN") {
			t.Errorf("from %d on: the page is damaged", cut)
		}
	}
	for _, d := range []trace.Data{
		&trace.Message{}, &trace.Message{Fields: []trace.Field{{Offset: math.MinInt, Length: math.MaxInt}}, Length: -1}, &trace.Record{Length: -5, Offset: -5},
		&trace.Record{Sent: true, Fragments: []trace.Fragment{{Offset: math.MaxInt, Length: math.MaxInt, Total: -1}}}, &trace.Drop{Length: -1}, &trace.Completed{}, &trace.Failed{},
		&trace.End{Reason: "encrypted"}, &trace.Question{Async: true}, &trace.Answer{}, &trace.Timer{}, &trace.Retransmission{}, &trace.Alert{}, &trace.Path{}, &trace.KeyChange{},
	} {
		for _, side := range []trace.Side{trace.Client, trace.Server, "", "nobody"} {
			drawn(t, []trace.Event{{Side: side, Data: d}, {Side: side, Data: d, Time: time.Unix(1<<40, 0)}, {Side: side, Data: d}}, nil)
		}
	}
}
