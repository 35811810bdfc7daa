package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
)

// TestPeers: in each row every server, and every library, does something.
func TestPeers(t *testing.T) {
	out, err := run(t, "--quick", "--json", "--rows", "^(Server|DTLS.*beside pion)")
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if want := len(serverRows()) + len(latencyRows()) + len(serverMemoryRows()) + len(pionRows()) + len(pionMemoryRows()); len(r.Rows) != want {
		t.Errorf("%d rows, want %d", len(r.Rows), want)
	}
	for _, row := range r.Rows {
		for _, c := range row.Contestants {
			f := c.Figures[row.Measure]
			switch {
			case c.Missing != "" && os.Getenv("CI") == "true":
				t.Errorf("%s: %s", row.Name, c.Missing)
			case c.Missing != "":
				t.Logf("%s: %s", row.Name, c.Missing)
			case len(f.Samples) == 0 || f.Median == 0 || math.IsNaN(f.Median):
				t.Errorf("%s: %s: %+v", row.Name, c.Name, f)
			case f.Median < 0 && row.Measure != rss: // of few connections it is noise
				t.Errorf("%s: %s: %v", row.Name, c.Name, f.Median)
			}
		}
	}
}

// TestMissingContestant: the others are measured, the table says what is missing, and --check fails.
func TestMissingContestant(t *testing.T) {
	const reason = "nginx is not installed"
	work := row{name: "work", measure: perCPU, contestants: []contestant{
		{"we", func(*trial) round { return func(*trial) sample { return sample{perCPU: 2} } }},
		{"they", func(t *trial) round { t.Skip(reason); return nil }},
	}}
	m, err := (&runner{rounds: 3}).row(t.Context(), &work)
	if err != nil {
		t.Fatal(err)
	}
	r := &result{Rows: []measuredRow{*m}}
	if f, ok := m.of("we", perCPU); !ok || f.Median != 2 {
		t.Errorf("%+v", f)
	}
	r.Goals = r.judge([]goal{{"work", "we", perCPU, "they", 1}, {"work", "we", perCPU, "", 1}})
	if len(r.Goals) != 2 || r.Goals[0].Verdict != unmeasured || r.Goals[1].Verdict != met {
		t.Errorf("%+v", r.Goals)
	}
	var failed missedError
	if err := check(r.Goals); !errors.As(err, &failed) || len(failed) != 1 || !strings.Contains(err.Error(), reason) {
		t.Errorf("check: %v", err)
	}
	var out strings.Builder
	if err := errors.Join(r.print(&out), r.writeJSON(&out)); err != nil || !strings.Contains(out.String(), "they: "+reason) || !strings.Contains(out.String(), string(unmeasured)) {
		t.Errorf("%v\n%s", err, out.String())
	}
}
