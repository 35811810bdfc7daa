package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/hermetic-tls/hermetic/test/sim"
	"github.com/hermetic-tls/hermetic/trace"
)

// draws draws events.
func draws(t *testing.T, o traceOptions, events []trace.Event) string {
	t.Helper()
	var out bytes.Buffer
	if o.color == "" {
		o.color = "never"
	}
	s, err := newSinks(&o, "a test", &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		s.write(e)
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// simulated are the events of a seed.
func simulated(t *testing.T, seed uint64, loss float64) (events []trace.Event) {
	t.Helper()
	if _, err := sim.Play(sim.Options{Seed: seed, Loss: &loss, Trace: func(e trace.Event) { events = append(events, e) }}); err != nil {
		t.Fatal(err)
	}
	return events
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// TestDrawingFits: at every width, with colors and without, the same text and no line that is too
// long.
func TestDrawingFits(t *testing.T) {
	for seed := range uint64(25) {
		events := simulated(t, seed, 0.2)
		for _, width := range []int{minWidth, 79, 120, maxWidth} {
			plain := draws(t, traceOptions{width: width}, events)
			for l := range strings.Lines(plain) {
				if n := columns(strings.TrimSuffix(l, "\n")); n > width {
					t.Fatalf("seed %d: %d columns of %d: %s", seed, n, width, l)
				}
			}
			colored := draws(t, traceOptions{width: width, color: "always"}, events)
			if colored == plain || sgr.ReplaceAllString(colored, "") != plain {
				t.Fatalf("seed %d: with colors it is another text, or there are none", seed)
			}
		}
	}
}

// hostile is text that nobody may see as it is.
var hostile = "\x1b]0;owned\x07\x1b[2J\u202egpj.exe\u2066\u200f\u0085\r\n</script><img src=x onerror=alert(1)>" + strings.Repeat("long", 5000)

// hostileTrace has it in each of its texts.
func hostileTrace() []trace.Event {
	field := func(name string, fields ...trace.Field) trace.Field {
		return trace.Field{Name: name, Value: hostile, Fields: fields}
	}
	extension := func(name string, fields ...trace.Field) trace.Field { return trace.Field{Name: name, Fields: fields} }
	var events []trace.Event
	for _, d := range []trace.Data{
		&trace.State{State: "started"},
		&trace.Message{Sent: true, Type: "ClientHello", Raw: []byte{1, 2, 3}, Fields: []trace.Field{
			field("random"), field("legacy_version"), {Name: "cipher_suites", Fields: []trace.Field{field("cipher_suite")}},
			extension("extensions", field(hostile, field(hostile)),
				extension("server_name", extension("server_name_list", field("host_name"))),
				extension("supported_groups", extension("named_group_list", field("named_group")))),
		}},
		&trace.Record{Sent: true, Type: hostile, Fragments: []trace.Fragment{{Type: hostile, Total: 3}}},
		&trace.Record{Sent: true, Type: "alert"},
		&trace.Message{Type: "ServerHello", Fields: []trace.Field{field("cipher_suite")}},
		&trace.Message{Type: "Certificate", Fields: []trace.Field{extension("certificate_list", extension("certificate",
			field("subject"), field("issuer"), field("subject_alternative_names"), field("not_before"), field("not_after")))}},
		&trace.Message{Type: hostile, Malformed: true},
		&trace.Question{Question: hostile, Async: true},
		&trace.Drop{Reason: hostile, Length: 5},
		&trace.Retransmission{Trigger: hostile},
		&trace.Timer{Timer: hostile, Change: hostile},
		&trace.Alert{Description: hostile},
		&trace.Completed{Version: hostile, CipherSuite: hostile, ServerName: hostile, Protocol: hostile, EarlyData: hostile},
		&trace.Failed{Alert: "unknown_ca", Cause: hostile},
	} {
		events = append(events, trace.Event{Conn: 1, Side: trace.Client, Data: d})
	}
	return events
}

// TestDrawingIsSafe: whatever a trace says, the terminal gets text, and colors of our own.
func TestDrawingIsSafe(t *testing.T) {
	events := hostileTrace()
	for _, o := range []traceOptions{{}, {color: "always"}, {width: 60}, {width: 200}} {
		out := sgr.ReplaceAllString(draws(t, o, events), "")
		for _, r := range out {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%+v: %q is printed", o, r)
			}
		}
		if !strings.Contains(out, "gpj.exe") || !strings.Contains(out, "Failed") {
			t.Errorf("%+v: the texts are missing:\n%.2000s", o, out)
		}
		if len(out) > 500_000 {
			t.Errorf("%+v: %d bytes", o, len(out))
		}
	}
}

// TestDrawingIsBounded: a connection that never ends is drawn up to a limit.
func TestDrawingIsBounded(t *testing.T) {
	var events []trace.Event
	for n := range 4 * maxEvents {
		events = append(events, trace.Event{Conn: 1, Side: trace.Client, Data: &trace.Drop{Reason: fmt.Sprint(n), Length: 1}})
	}
	for n := range uint64(10 * maxKept) {
		events = append(events, trace.Event{Conn: n, Side: trace.Server, Data: &trace.Alert{Description: "close_notify"}})
	}
	out := draws(t, traceOptions{}, events)
	if n := strings.Count(out, "\n"); n > maxEvents+40*maxKept {
		t.Errorf("%d lines", n)
	}
}

// TestLossFlag: percentages and numbers.
func TestLossFlag(t *testing.T) {
	for in, want := range map[string]float64{"20%": 0.2, "20 %": 0.2, "0.2": 0.2, "0": 0, "100%": 1, "1": 1} {
		if got, err := parseLoss(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "%", "101%", "-1", "NaN", "2", "x"} {
		if got, err := parseLoss(in); err == nil {
			t.Errorf("%s: %v", in, got)
		}
	}
}
