package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/test/bench/process"
)

func TestMain(m *testing.M) {
	crowdChild()
	process.Child()
	m.Run()
}

// run runs the command.
func run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	c := rootCommand()
	c.SetArgs(args)
	c.SetOut(&out)
	err = c.ExecuteContext(t.Context())
	return out.String(), err
}

func TestFlags(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no regexp":                {[]string{"--rows", "("}, "--rows: error parsing regexp"},
		"no row":                   {[]string{"--rows", "nothing has this name"}, `no row matches "nothing has this name"`},
		"no rounds":                {[]string{"--rounds", "0"}, "--rounds: 0 is less than 1"},
		"an argument":              {[]string{"--quick", "records"}, `unexpected argument "records"`},
		"a check of quick figures": {[]string{"--quick", "--check"}, "--quick excludes --check, --docs and --charts"},
		"no number":                {[]string{"--rounds", "many"}, `--rounds: "many" is not a number`},
		"no name":                  {[]string{"--docs", ""}, "--docs: the name is empty"},
		"to measure, and not to":   {[]string{"--from", "x.json", "--rounds", "3"}, "--rounds and --from exclude each other"},
		"no file":                  {[]string{"--from", "nothing.json"}, "nothing.json: no such file"},
		"no flag":                  {[]string{"--fast"}, "unknown flag: --fast"},
	} {
		if _, err := run(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestFigures(t *testing.T) {
	f := newFigure([]float64{5, 1, 4, 2, 3})
	if f.Median != 3 || f.Q1 != 2 || f.Q3 != 4 || f.spread() != 1 {
		t.Errorf("%+v", f)
	}
	if f := newFigure([]float64{1, 2}); f.Median != 1.5 || f.Q1 != 1.25 {
		t.Errorf("between two samples: %+v", f)
	}
	if f := newFigure(nil); !math.IsNaN(f.Median) {
		t.Errorf("without samples: %+v", f)
	}
	// The second round is disturbed, and both are slow.
	if r := ratios(newFigure([]float64{1, 10, 1}), newFigure([]float64{2, 20, 2})); r.Median != 0.5 || r.spread() != 0 {
		t.Errorf("ratios: %+v", r)
	}
}

func TestShow(t *testing.T) {
	for v, want := range map[float64]string{1.234: "1.23 ns", 284: "284 ns", 9999: "10.0 µs", 408e3: "408 µs", 1.5e6: "1.50 ms", 2e9: "2.00 s"} {
		if got := showTime(v); got != want {
			t.Errorf("%v ns: %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{980: "980 B", 4096: "4.00 KB", 100e6: "95.4 MB"} {
		if got := showBytes(v); got != want {
			t.Errorf("%v bytes: %s, want %s", v, got, want)
		}
	}
}

// TestJSON: what the command prints reads back the same.
func TestJSON(t *testing.T) {
	out, err := run(t, "--quick", "--json", "--rows", "Handshakes: TLS 1.3, X25519, P-256$")
	if err != nil {
		t.Fatal(err)
	}
	var r result
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Machine.Go == "" || len(r.Rows) == 0 || !r.Quick {
		t.Fatalf("%+v", r)
	}
	for _, row := range r.Rows {
		for _, c := range row.Contestants {
			if f := c.Figures[row.Measure]; len(f.Samples) != quickRounds || f.Median <= 0 {
				t.Errorf("%s: %s: %+v", row.Name, c.Name, f)
			}
		}
	}
}
