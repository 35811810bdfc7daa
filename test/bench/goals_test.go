package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestGoalsExist: each goal is about a row and contestants of the table, and no two rows have one
// name.
func TestGoalsExist(t *testing.T) {
	contestants := map[string][]string{}
	for _, s := range sections() {
		for _, r := range s.rows() {
			if contestants[r.name] != nil {
				t.Errorf("two rows are named %q", r.name)
			}
			for _, c := range r.contestants {
				contestants[r.name] = append(contestants[r.name], c.name)
			}
			for name, others := range r.versus {
				for _, c := range append(others, name) {
					if !slices.Contains(contestants[r.name], c) {
						t.Errorf("%s is compared with %q, which is no contestant", r.name, c)
					}
				}
			}
		}
	}
	for _, g := range goals {
		for _, c := range []string{g.contestant, g.against} {
			if c != "" && !slices.Contains(contestants[g.row], c) {
				t.Errorf("a goal is about %q of %q, which does not exist", c, g.row)
			}
		}
	}
}

// measuredAs is a result with one row.
func measuredAs(ours, theirs []float64) *result {
	r := row{name: "work", measure: opTime, contestants: []contestant{{name: "we"}, {name: "they"}}}
	return &result{Rows: []measuredRow{*r.measured([]map[measure][]float64{{opTime: ours, allocations: {7}}, {opTime: theirs}})}}
}

func TestVerdicts(t *testing.T) {
	they := []float64{100, 100, 100, 100, 100}
	atMost := goal{"work", "we", opTime, "they", 0.70}
	for name, c := range map[string]struct {
		ours []float64
		goal goal
		want verdict
	}{
		"exactly":                       {[]float64{70, 70, 70, 70, 70}, atMost, met},
		"better":                        {[]float64{60, 61, 62, 63, 64}, atMost, met},
		"one round is disturbed":        {[]float64{69, 69, 69, 69, 200}, atMost, met},
		"the median misses by noise":    {[]float64{66, 68, 71, 72, 73}, atMost, withinNoise},
		"the quartile misses":           {[]float64{66, 71, 72, 73, 74}, atMost, missed},
		"always a little":               {[]float64{71, 71, 71, 71, 71}, atMost, missed},
		"one lucky round is not enough": {[]float64{10, 90, 90, 90, 90}, atMost, missed},
		"a figure alone":                {they, goal{"work", "we", allocations, "", 7}, met},
		"a figure alone, missed":        {they, goal{"work", "we", allocations, "", 6}, missed},
	} {
		judgments := measuredAs(c.ours, they).judge([]goal{c.goal})
		if len(judgments) != 1 || judgments[0].Verdict != c.want {
			t.Errorf("%s: %+v, want %q", name, judgments, c.want)
		}
		if err := check(judgments); (err != nil) != (c.want == missed) {
			t.Errorf("%s: check: %v", name, err)
		}
	}
}

// TestCheck: the error says which goals are missed, and nothing of the others.
func TestCheck(t *testing.T) {
	r := measuredAs([]float64{80, 80, 80}, []float64{100, 100, 100})
	err := check(r.judge([]goal{
		{"work", "we", opTime, "they", 0.90},
		{"work", "we", opTime, "they", 0.70},
		{"work", "we", allocations, "", 3},
		{"other work", "we", opTime, "they", 0.1},
	}))
	var failed missedError
	if !errors.As(err, &failed) || len(failed) != 2 {
		t.Fatalf("%v", err)
	}
	want := "2 goals are missed:\n  work: we: 0.80, wanted ≤ 0.70 × they\n  work: we: 7, wanted ≤ 3 allocations"
	if err.Error() != want {
		t.Errorf("%s, want %s", err, want)
	}
}

// TestDisturbedRound: a disturbance that hits both contestants of a round changes no ratio.
func TestDisturbedRound(t *testing.T) {
	r := measuredAs([]float64{70, 700, 70}, []float64{100, 1000, 100})
	if f := r.Rows[0].Contestants[0].Ratios["they"]; f.Median != 0.7 || f.spread() != 0 {
		t.Errorf("%+v", f)
	}
}

// TestRows: every row of this process works.
func TestRows(t *testing.T) {
	out, err := run(t, "--quick", "--rows", "^(Handshakes|Records|Memory|Resident memory)")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DTLS 1.2, X25519, resumed", "TLS 1.3, AES-128-CCM, 16 KB", "× crypto/tls", "× floor", "Goals", "wire", "half-open", "compact RSS"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table has no %q", want)
		}
	}
}
