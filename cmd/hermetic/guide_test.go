package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/trace"
)

var update = flag.Bool("update", false, "write the traces into the guide")

// guideCases are the typical failures of the guide, each with the heading above its trace.
var guideCases = []struct {
	heading string
	change  func(t *testing.T, client, server *hermetic.Config)
	lost    error // what becomes of the ClientHello, if it does not arrive
}{
	{"### Another name", func(t *testing.T, c, s *hermetic.Config) { c.ServerName = "example.com" }, nil},
	{"### An expired certificate", func(t *testing.T, c, s *hermetic.Config) {
		ca := pkitest.CA(t)
		s.Certificates = []tls.Certificate{ca.Leaf(t, pkitest.Options{Expired: true})}
	}, nil},
	{"### No group in common", func(t *testing.T, c, s *hermetic.Config) {
		c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}, []tls.CurveID{tls.CurveP521}
	}, nil},
	{"### A middlebox that cuts large hellos", func(t *testing.T, c, s *hermetic.Config) {}, errors.New("example.com:443: connection reset by peer")},
	{"### PSKs that differ", func(t *testing.T, c, s *hermetic.Config) {
		c.ServerName, c.RootCAs, s.Certificates = "", nil, nil
		c.MinVersion, c.CurvePreferences = tls.VersionTLS13, []tls.CurveID{tls.X25519}
		c.PSKs = []hermetic.PSK{{Identity: []byte("meter"), Key: bytes.Repeat([]byte{1}, 32)}}
		s.PSKs = []hermetic.PSK{{Identity: []byte("meter"), Key: bytes.Repeat([]byte{2}, 32)}}
	}, nil},
}

// failure plays a case, and returns what 'hermetic trace client' draws: its arrows, and the cause.
func failure(t *testing.T, change func(t *testing.T, client, server *hermetic.Config), lost error) string {
	t.Helper()
	ca := pkitest.CA(t)
	now := pkitest.Now
	clock := func() time.Time { return now }
	var out bytes.Buffer
	s, err := newSinks(&traceOptions{color: "never", width: 80}, "", &out)
	if err != nil {
		t.Fatal(err)
	}
	client := &hermetic.Config{Time: clock, RootCAs: ca.Pool(), ServerName: "localhost", Trace: func(e trace.Event) { s.write(e) }}
	server := &hermetic.Config{Time: clock, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	change(t, client, server)
	ends := [2]*hermetic.Engine{}
	if ends[0], err = hermetic.NewEngine(hermetic.TLSClient, client); err != nil {
		t.Fatal(err)
	}
	if ends[1], err = hermetic.NewEngine(hermetic.TLSServer, server); err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		from, to := ends[round%2], ends[1-round%2]
		in := from.Output(nil)
		now = now.Add(15 * time.Millisecond)
		if lost != nil {
			s.blame(lost)
			break
		}
		for len(in) > 0 {
			o, err := to.Open(in)
			if err != nil || o.N == 0 {
				break
			}
			in = in[o.N:]
		}
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	drawing := out.String()
	arrows, _, _ := strings.Cut(drawing, "│\n\nversion")
	_, cause, failed := strings.Cut(drawing, "\nFailed: ")
	if !failed {
		t.Fatalf("it does not fail:\n%s", drawing)
	}
	return arrows + "│\n\nFailed: " + strings.TrimSpace(cause) + "\n"
}

// changing is what differs from run to run: sizes, since signatures do, and the edges of words
// that are wrapped after them.
var changing = regexp.MustCompile(`\s+[0-9]+ B|\s+`)

// TestGuide: the traces of docs/guide/debugging.md are what the command draws. -update writes them.
func TestGuide(t *testing.T) {
	const file = "../../docs/guide/debugging.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	guide := string(b)
	for _, c := range guideCases {
		want := failure(t, c.change, c.lost)
		before, rest, found := strings.Cut(guide, "\n"+c.heading+"\n")
		text, rest, open := strings.Cut(rest, "```text\n")
		got, rest, closed := strings.Cut(rest, "```\n")
		if !found || !open || !closed {
			t.Fatalf("%s has no trace below %q", file, c.heading)
		}
		if *update {
			guide = before + "\n" + c.heading + "\n" + text + "```text\n" + want + "```\n" + rest
			continue
		}
		if changing.ReplaceAllString(got, " ") != changing.ReplaceAllString(want, " ") {
			t.Errorf("%s: below %q is another trace (go test -run Guide -update): %s", file, c.heading, want)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(guide), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
