package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/hermetic-tls/hermetic/test/bench/process"
)

// A goal is what a figure should be.
type goal struct {
	row, contestant string
	measure         measure
	against         string  // the contestant whose figure ours is divided by, or "" for our figure alone
	bound           float64 // the most, or the least for what should be large
}

// goals are all goals.
var goals = []goal{
	{"TLS 1.3, X25519, P-256", ours, opTime, cryptoTLS, 0.70},
	{"TLS 1.3, X25519, P-256", ours, opTime, floor, 1.12},
	{"TLS 1.3, X25519, P-256", ours, allocations, "", 180},
	{"TLS 1.3, X25519, P-256", oursCircl, opTime, cryptoTLS, 0.55},
	{"TLS 1.3, X25519MLKEM768, P-256", ours, opTime, cryptoTLS, 0.75},
	{"TLS 1.3, X25519MLKEM768, P-256", oursCircl, opTime, cryptoTLS, 0.48},
	{"TLS 1.3, X25519, resumed", ours, opTime, cryptoTLS, 0.72},
	{"TLS 1.3, X25519, resumed", ours, allocations, "", 120},
	{"TLS 1.3, X25519, resumed", oursCircl, opTime, cryptoTLS, 0.45},
	{"TLS 1.3, X25519, P-256, fresh chain", ours, opTime, cryptoTLS, 0.80},
	{"TLS 1.3, AES-128-GCM, 16 KB", ours, opTime, floor, 1.06},
	{"TLS 1.3, AES-128-GCM, 64 B", ours, opTime, floor, 1.20},
	{"DTLS 1.2, handshake and close", ours, opTime, pionV3, 0.45},
	{"DTLS 1.3, handshake and close", ours, opTime, pionV4, 0.45},
	{"DTLS 1.3 client", ours, idleHeap, "", 3072},
	{"DTLS 1.3 server", ours, idleHeap, "", 3072},
	{"DTLS 1.2 client", ours, idleHeap, "", 3072},
	{"DTLS 1.2 server", ours, idleHeap, "", 3072},
	{"DTLS 1.3 client", ours, compactHeap, "", 1024},
	{"DTLS 1.3 server", ours, compactHeap, "", 1024},
	{"DTLS 1.2 client", ours, compactHeap, "", 1024},
	{"DTLS 1.2 server", ours, compactHeap, "", 1024},
	{"100,000 peers of a listener, DTLS 1.3", ours, compactRSS, "", 2048},
	{"100,000 peers of a listener, DTLS 1.2", ours, compactRSS, "", 2048},
	{"full handshakes, X25519, P-256", process.Gnettls, perCPU, process.Nginx, 1},
	{"2 KB answers, 64 connections", process.Gnettls, perCPU, process.NetHTTP, 2},
}

// asked is what the goal asks for: ≤ 0.70 × crypto/tls.
func (g goal) asked() string {
	sign, of := "≤ ", " "+string(g.measure)
	if g.measure.large() {
		sign = "≥ "
	}
	if g.against != "" {
		of = " × " + g.against
	}
	return sign + g.show(g.bound) + of
}

// show shows the figure or the ratio that the goal is about.
func (g goal) show(v float64) string {
	if g.against == "" {
		return g.measure.show(v)
	}
	return showRatio(v)
}

// A verdict says whether a goal is reached.
type verdict string

// The verdicts. Figures have noise: the quartiles of the rounds say how much. A goal is missed if
// not even the better quartile reaches it.
const (
	met         verdict = "met"
	withinNoise verdict = "within the noise"
	missed      verdict = "missed"
	unmeasured  verdict = "not measured" // a contestant is missing
)

func (g goal) judge(f figure) verdict {
	median, better := f.Median, f.Q1
	bound := g.bound
	if g.measure.large() {
		median, better, bound = -median, -f.Q3, -bound
	}
	switch {
	case median <= bound:
		return met
	case better <= bound:
		return withinNoise
	}
	return missed
}

// A judgment is a goal that was measured.
type judgment struct {
	Row        string  `json:"row"`
	Contestant string  `json:"contestant"`
	Measure    measure `json:"measure"`
	Against    string  `json:"against,omitempty"`
	Bound      float64 `json:"bound"`
	Measured   figure  `json:"measured"`
	Verdict    verdict `json:"verdict"`
	Missing    string  `json:"missing,omitempty"` // why it is not measured
	goal       goal
}

// judge compares a result with the goals. Goals about other rows are left out.
func (r *result) judge(goals []goal) (list []judgment) {
	for _, g := range goals {
		j := judgment{Row: g.row, Contestant: g.contestant, Measure: g.measure, Against: g.against, Bound: g.bound, goal: g}
		if f, ok := r.figureOf(g); ok {
			j.Measured, j.Verdict = f, g.judge(f)
		} else if j.Missing = r.lacks(g); j.Missing != "" {
			j.Verdict = unmeasured
		} else {
			continue
		}
		list = append(list, j)
	}
	return list
}

// figureOf returns the figure or the ratio that a goal is about.
func (r *result) figureOf(g goal) (figure, bool) {
	for i := range r.Rows {
		if r.Rows[i].Name != g.row {
			continue
		}
		f, ok := r.Rows[i].of(g.contestant, g.measure)
		if g.against == "" || !ok {
			return f, ok
		}
		other, ok := r.Rows[i].of(g.against, g.measure)
		return ratios(f, other), ok
	}
	return figure{}, false
}

// lacks says why a contestant of a goal is missing, if it is.
func (r *result) lacks(g goal) string {
	for _, row := range r.Rows {
		for _, c := range row.Contestants {
			if row.Name == g.row && (c.Name == g.contestant || c.Name == g.against) && c.Missing != "" {
				return c.Missing
			}
		}
	}
	return ""
}

// of returns the figure of a contestant, and whether there is one.
func (r *measuredRow) of(contestant string, m measure) (figure, bool) {
	for _, c := range r.Contestants {
		if c.Name == contestant {
			f, ok := c.Figures[m]
			return f, ok
		}
	}
	return figure{}, false
}

// line is a goal's line in a table.
func (j judgment) line() []string {
	if j.Verdict == unmeasured {
		return []string{j.Row, j.Contestant, j.goal.asked(), "", "", string(j.Verdict)}
	}
	show := j.goal.show
	return []string{j.Row, j.Contestant, j.goal.asked(), show(j.Measured.Median), show(j.Measured.Q1) + " to " + show(j.Measured.Q3), string(j.Verdict)}
}

// missedError says which goals are missed.
type missedError []judgment

func (e missedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d goals are missed:", len(e))
	if len(e) == 1 {
		b.Reset()
		b.WriteString("a goal is missed:")
	}
	for _, j := range e {
		got := j.goal.show(j.Measured.Median)
		if j.Missing != "" {
			got = j.Missing
		}
		fmt.Fprintf(&b, "\n  %s: %s: %s, wanted %s", j.Row, j.Contestant, got, j.goal.asked())
	}
	return b.String()
}

// check returns a missedError if goals are missed.
func check(list []judgment) error {
	var failed missedError
	for _, j := range list {
		if j.Verdict == missed || j.Verdict == unmeasured {
			failed = append(failed, j)
		}
	}
	if failed == nil {
		return nil
	}
	return failed
}

// printGoals writes the goals with their verdicts.
func printGoals(w io.Writer, list []judgment) error {
	if len(list) == 0 {
		return nil
	}
	t := newTable([]string{"goal", "", "bound", "measured", "quartiles", "verdict"})
	for _, j := range list {
		line := j.line()
		color := map[verdict]text.Color{met: text.FgGreen, withinNoise: text.FgYellow, missed: text.FgRed}[j.Verdict]
		line[len(line)-1] = color.Sprint(j.Verdict)
		t.AppendRow(cells(line))
	}
	_, err := fmt.Fprintf(w, "\n%s\n%s\n", text.Bold.Sprint("Goals"), t.Render())
	return err
}
