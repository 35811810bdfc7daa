package page

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/test/sim"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/flow"
	"github.com/hermetic-tls/hermetic/trace/page"
)

// tools returns Node.js, Chromium, and the folder with puppeteer-core and axe-core, which scripts/test
// installs.
func tools(t *testing.T) (node, chromium, folder string) {
	t.Helper()
	missing := func(what string) {
		t.Helper()
		if os.Getenv("CI") == "true" {
			t.Fatalf("there is no %s", what)
		}
		t.Skipf("there is no %s: scripts/test page installs it", what)
	}
	folder = os.Getenv("HERMETIC_PAGE_TOOLS")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "axe-core")); folder == "" || err != nil {
		missing("axe-core")
	}
	find := func(program string) string {
		found, err := exec.LookPath(program)
		if err != nil {
			missing(program)
		}
		return found
	}
	return find("node"), find("chromium"), folder
}

// handshake is the trace of a handshake over TLS, as both sides tell it.
func handshake(t *testing.T, change func(client, server *hermetic.Config)) (events []trace.Event) {
	t.Helper()
	now := pkitest.Now
	ca := pkitest.CA(t)
	tell := func(e trace.Event) { events = append(events, e) }
	client := &hermetic.Config{Trace: tell, RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}}
	server := &hermetic.Config{Trace: tell, Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, NextProtos: []string{"h2"}}
	client.Time = func() time.Time { return now }
	server.Time = client.Time
	change(client, server)
	c, err := hermetic.NewEngine(hermetic.TLSClient, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := hermetic.NewEngine(hermetic.TLSServer, server)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		for _, way := range [][2]*hermetic.Engine{{c, s}, {s, c}} {
			now = now.Add(7 * time.Millisecond)
			for in := way[0].Output(nil); len(in) > 0; {
				o, err := way[1].Open(in)
				if err != nil || o.N == 0 {
					break
				}
				in = in[o.N:]
			}
		}
	}
	return events
}

func simulated(t *testing.T, seed uint64, loss float64) (events []trace.Event) {
	t.Helper()
	if _, err := sim.Play(sim.Options{Seed: seed, Loss: &loss, Trace: func(e trace.Event) { events = append(events, e) }}); err != nil {
		t.Fatal(err)
	}
	return events
}

// of are the events of one side.
func of(side trace.Side, events []trace.Event) (list []trace.Event) {
	for _, e := range events {
		if e.Side == side {
			list = append(list, e)
		}
	}
	return list
}

// hostile is text that would run, or would hide what follows.
const hostile = "</script></style><img src=x onerror=alert(1)><svg onload=alert(2)>\x1b[2J\u202egpj.exe\u2066\r\n\"'`"

// hostileEvents are a trace with a peer's text in it that nothing has made harmless.
func hostileEvents(t *testing.T) []trace.Event {
	events := of(trace.Client, handshake(t, func(c, s *hermetic.Config) {}))
	for _, e := range events {
		switch d := e.Data.(type) {
		case *trace.Message:
			for i := range d.Fields {
				d.Fields[i].Value = hostile + strings.Repeat("unbroken", 200)
			}
			d.Fields = append(d.Fields, trace.Field{Name: strings.Repeat("name", 200), Value: hostile, Length: 1 << 30, Offset: -5})
		case *trace.Completed:
			d.Protocol, d.ServerName, d.CipherSuite, d.Group, d.Version = hostile, strings.Repeat("wide", 300), hostile, hostile, hostile
		}
	}
	return append(events, trace.Event{Conn: 1, Side: trace.Client, Time: pkitest.Now, Data: &trace.Failed{Alert: "bad_certificate", Cause: hostile + strings.Repeat("cause", 300)}})
}

// TestInChromium: nothing overflows, axe-core finds no fault, the page works by keyboard, runs
// nothing of a peer's, and asks for nothing. Screenshots are kept in HERMETIC_SCREENSHOTS, if
// that is set.
func TestInChromium(t *testing.T) {
	node, chromium, folder := tools(t)
	dir := t.TempDir()
	for name, p := range map[string]struct {
		events []trace.Event
		opts   page.Options
	}{
		"success": {of(trace.Client, handshake(t, func(c, s *hermetic.Config) {})), page.Options{Title: "hermetic trace client localhost:4433"}},
		"failure": {handshake(t, func(c, s *hermetic.Config) { c.ServerName = "example.com" }), page.Options{Title: "hermetic trace client example.com:443"}},
		"loss":    {simulated(t, 9, 0.3), page.Options{Title: "hermetic trace sim --seed 9 --loss 30%", Note: "A bad network."}},
		"oneside": {of(trace.Client, simulated(t, 7, 0.3)), page.Options{Title: "A client's datagrams"}},
		"hostile": {hostileEvents(t), page.Options{Title: hostile, Note: hostile, Facts: []flow.Fact{{Name: hostile, Value: strings.Repeat("fact", 300)}}}},
		"nothing": {nil, page.Options{}},
	} {
		var b bytes.Buffer
		if err := page.Write(&b, p.events, &p.opts); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".html"), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shots := os.Getenv("HERMETIC_SCREENSHOTS")
	if shots == "" {
		shots = filepath.Join(dir, "screenshots")
	}
	if err := os.MkdirAll(shots, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "check.js", dir, shots, chromium)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(folder, "node_modules"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var report struct {
		Checks int
		Faults []string
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range report.Faults {
		t.Error(f)
	}
	if report.Checks < 200 {
		t.Errorf("only %d checks were made", report.Checks)
	}
	if n, _ := filepath.Glob(filepath.Join(shots, "*.png")); len(n) < 20 {
		t.Errorf("%d screenshots", len(n))
	}
}
