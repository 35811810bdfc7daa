package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// everything is a result with all rows of all sections, in which every figure is the same.
func everything() *result {
	r := &result{Machine: machine{CPU: "a processor", Cores: 2, OS: "linux", Arch: "amd64", Go: "go1.26", Commit: "0123456789ab"}}
	for _, s := range sections() {
		for _, row := range s.rows() {
			samples := make([]map[measure][]float64, len(row.contestants))
			for i := range samples {
				samples[i] = map[measure][]float64{row.measure: {2000, 2000, 2000}, allocations: {7}, onWire: {999}}
			}
			m := row.measured(samples)
			m.Section = s.name
			r.Rows = append(r.Rows, *m)
		}
	}
	return r
}

// saved writes a result as --json does.
func saved(t *testing.T, r *result) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := r.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

const page = "# Title\n\n<!-- bench: Handshakes -->\nold\n<!-- /bench -->\n\nText <!-- of ours -->.\n\n<!-- bench: Memory -->\n<!-- /bench -->\n"

func pageFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestDocs: the tables are between their lines, and nothing else changes, the second time too.
func TestDocs(t *testing.T) {
	docs, from := pageFile(t, page), saved(t, everything())
	var once string
	for range 2 {
		if _, err := run(t, "--from", from, "--rows", "^Handshakes|^Memory", "--docs", docs); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(docs)
		if err != nil {
			t.Fatal(err)
		}
		text := string(got)
		if once != "" && text != once {
			t.Errorf("the second time it is different:\n%s", text)
		}
		once = text
	}
	for _, want := range []string{
		"# Title\n\n<!-- bench: Handshakes -->\n\na processor, 2 cores, linux/amd64, go1.26, commit 0123456789ab.\n\n| time | hermetic |",
		"| TLS 1.3, X25519, P-256 | 2.00 µs | 2.00 µs | 2.00 µs | 2.00 µs | 2.00 µs | ± 0% | 1.00, 1.00 | 1.00, 1.00 | 7 | 999 |\n",
		"| TLS 1.3, X25519, P-256 | hermetic | ≤ 0.70 × crypto/tls | 1.00 | 1.00 to 1.00 | missed |\n",
		"\n\nText <!-- of ours -->.\n\n<!-- bench: Memory -->\n",
		"| TLS 1.3 server | 1.95 KB |",
	} {
		if !strings.Contains(once, want) {
			t.Errorf("no %q in:\n%s", want, once)
		}
	}
	if strings.Contains(once, "old") || strings.Count(once, docsEnd) != 2 {
		t.Errorf("what was there before is still there:\n%s", once)
	}
	for line := range strings.Lines(once) {
		if n := len([]rune(line)) - 1; n > 140 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestDocsRefused: the file stays as it is.
func TestDocsRefused(t *testing.T) {
	quick := everything()
	quick.Quick = true
	for name, c := range map[string]struct {
		result     *result
		rows, page string
		want       string
		usage      bool
	}{
		"part of a section": {everything(), "Handshakes: TLS 1.3", page, `Handshakes needs all of its rows, but "TLS 1.2, X25519, P-256"`, true},
		"no place":          {everything(), "^Records", page, "it has no line <!-- bench: Records -->", false},
		"no end":            {everything(), "^Memory", strings.TrimSuffix(page, docsEnd+"\n"), "it has no line <!-- /bench -->", false},
		"the end is that of another section": {everything(), "^Handshakes",
			strings.Replace(page, "old\n"+docsEnd, "old", 1), "it has no line <!-- /bench -->", false},
		"quick figures": {quick, "", page, "was measured with --quick", true},
	} {
		docs := pageFile(t, c.page)
		_, err := run(t, "--from", saved(t, c.result), "--rows", c.rows, "--docs", docs)
		var wrong *usageError
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &wrong) != c.usage {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if got, _ := os.ReadFile(docs); string(got) != c.page {
			t.Errorf("%s: the file has changed:\n%s", name, got)
		}
	}
}

// TestFrom: figures that were kept give the same table, and what is not a result is refused.
func TestFrom(t *testing.T) {
	r := everything()
	r.Goals = r.judge(goals)
	var want strings.Builder
	if err := r.print(&want); err != nil {
		t.Fatal(err)
	}
	got, err := run(t, "--from", saved(t, r))
	if err != nil || got != want.String() {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want.String())
	}
	if _, err := run(t, "--from", saved(t, r), "--check"); err == nil || !strings.Contains(err.Error(), "goals are missed") {
		t.Errorf("--check: %v", err)
	}
	if _, err := run(t, "--from", saved(t, r), "--check", "--rows", "^Resident memory"); err == nil || !strings.Contains(err.Error(), "no goal") {
		t.Errorf("--check without goals: %v", err)
	}
	for name, text := range map[string]string{"no JSON": "# Title", "no rows": "null", "no contestants": `{"rows":[{"name":"work"}]}`,
		"a measure that does not exist": `{"rows":[{"name":"work","measure":"time","contestants":[{"name":"we","figures":{"color":{}}}]}]}`,
		"no measure":                    `{"rows":[{"name":"work","contestants":[{"name":"we"}]}]}`} {
		if _, err := run(t, "--from", pageFile(t, text)); err == nil || !strings.Contains(err.Error(), "is not the output of --json") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCharts: each picture is well-formed XML with the names of its rows, for light and dark pages,
// and all rows that it shows exist.
func TestCharts(t *testing.T) {
	from, folder := saved(t, everything()), filepath.Join(t.TempDir(), "charts")
	if _, err := run(t, "--from", from, "--charts", folder); err != nil {
		t.Fatal(err)
	}
	for _, c := range allCharts() {
		for _, theme := range themes {
			svg, err := os.ReadFile(filepath.Join(folder, c.file+"-"+theme.name+".svg"))
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			texts := textOf(t, svg)
			for _, want := range []string{c.title, c.rows[0].label, c.series[0].label} {
				if !strings.Contains(texts, want) {
					t.Errorf("%s has no %q: %s", c.file, want, texts)
				}
			}
		}
	}
	if _, err := run(t, "--from", from, "--charts", folder, "--rows", "^Resident"); err == nil || !strings.Contains(err.Error(), "no chart") {
		t.Errorf("no chart: %v", err)
	}
}

// textOf is the text of a picture.
func textOf(t *testing.T, svg []byte) string {
	t.Helper()
	var b strings.Builder
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := d.Token()
		if err == io.EOF {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			b.Write(text)
		}
	}
}

// TestPerformancePage: docs/performance.md has a place for every section, with figures in it, and shows every
// chart.
func TestPerformancePage(t *testing.T) {
	const docs = "../../docs"
	text, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections() {
		_, rest, _ := strings.Cut(string(text), docsStart(s.name)+"\n")
		table, _, _ := strings.Cut(rest, docsEnd)
		for _, row := range s.rows() {
			if !strings.Contains(table, "| "+row.name+" |") {
				t.Errorf("%s has no figures of %q: go run ./test/bench --docs writes them", s.name, row.name)
			}
		}
	}
	for _, c := range allCharts() {
		for _, theme := range themes {
			file := "performance/" + c.file + "-" + theme.name + ".svg"
			if _, err := os.Stat(filepath.Join(docs, file)); err != nil || !strings.Contains(string(text), `"`+file+`"`) {
				t.Errorf("%s is not shown: %v", file, err)
			}
		}
	}
}
